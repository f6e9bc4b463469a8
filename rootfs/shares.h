/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_SHARES_H
#define LKVM_SHARES_H

struct rootfs;
struct vm_config;

/* Adds the guest's root and what else it was given to the shares, as rootfs->files says. 0, or a
 * negative errno after one error line. */
int shares_add(struct rootfs *rootfs, struct vm_config *cfg);

#endif
