/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_DRIVERS_H
#define LKVM_DRIVERS_H

struct modules;
struct rootfs;
struct vm_config;

/*
 * Finds the modules of cfg->kernel, which calls itself `release`, and collects those that the guest
 * needs; decides by what the kernel has how the guest is given files, if that is open: rootfs->files.
 * 0, or a negative errno after one error line.
 */
int drivers_collect(struct rootfs *rootfs, const struct vm_config *cfg, const char *release,
		    struct modules *mods);

#endif
