/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_CONF_H
#define LKVM_CONF_H

#include <stdio.h>

#include "kvm/rootfs.h"

struct modules;
struct vm_config;

/* The lines of guest/protocol.h. Errors of writing show when the stream is closed. */
void conf_say_machine(FILE *conf, const struct rootfs *rootfs, const struct vm_config *cfg,
		      const struct modules *mods);
/* -ENOENT: there is no such user in the guest. Nothing is printed. */
int conf_say_command(FILE *conf, const struct rootfs *rootfs, const struct rootfs_command *command);

#endif
