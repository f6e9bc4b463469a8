/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_ROOTFS_H
#define LKVM_ROOTFS_H

#include <stdbool.h>
#include <stdint.h>

struct vm_config;

/*
 * A folder of the host as the guest's root: what was asked for, and how it becomes shares and an
 * initramfs with the embedded init and the kernel's modules.
 */
#define ROOTFS_MAX_SHARES 12

struct rootfs_share {
	const char *dir; /* the same in the guest */
	bool rw;
};

struct rootfs {
	const char *dir; /* NULL: the host's own root */
	bool rw, sandbox;
	const char *user, *cwd, *modules;
	unsigned int nr_shares;
	struct rootfs_share share[ROOTFS_MAX_SHARES];
	char **command; /* NULL-terminated; NULL: a shell */
};

/* Whether something was asked for that only such a guest can do. */
bool rootfs_is_wanted(const struct rootfs *rootfs);

/*
 * The folder that `-d WORD` means, if it is one: a folder, or what `lkvm setup WORD` has made.
 * malloc'ed; NULL: a disk image.
 */
char *rootfs_find(const char *word);
/* Where `lkvm setup NAME` puts it, malloc'ed; NULL after an error line. */
char *rootfs_named_path(const char *name);

/*
 * Sets the configuration's shares, initrd, parameters and streams. 0; -ENOEXEC with nothing
 * printed when the kernel is no Linux; or another negative errno after one error line.
 */
int rootfs_prepare(const struct rootfs *rootfs, struct vm_config *cfg);

#endif
