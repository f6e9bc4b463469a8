/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_RUN_OPTIONS_H
#define LKVM_RUN_OPTIONS_H

#include "kvm/config.h"
#include "kvm/rootfs.h"

/* What the words of `lkvm run` and `lkvm sandbox` set; cfg is what the rest of lkvm sees of it. */
struct run_options {
	struct vm_config cfg;
	struct rootfs rootfs; /* .sandbox is the caller's to set */
	const char *run_dir;
	bool mem_given, net_given;
	bool kernel_is_word; /* it was named without -k */
};

/*
 * Reads the words; what is set points into argv or at copies that live as long as the process.
 * 0; OPTIONS_HELP after --help; negative errno after one error line.
 */
int run_options_parse(struct run_options *run, int argc, char **argv, const char *usage);

/*
 * What holds where the words are silent: the machine's size, its name, the kernel, and a root for
 * it. After that cfg is complete. -EINVAL: the words do not fit together; another negative errno: the
 * host could not; after one error line.
 */
int run_options_complete(struct run_options *run);

#endif
