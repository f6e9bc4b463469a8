/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_INITRAMFS_H
#define LKVM_INITRAMFS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Builds an initramfs ("newc" cpio, Documentation/driver-api/early-userspace/buffer-format.rst) in
 * a file in memory. The first error is remembered; only initramfs_finish() has to be checked.
 */
struct initramfs {
	int fd, err;
	uint32_t nr_files;
	size_t len;
};

void initramfs_init(struct initramfs *rd);
/* Names without a leading '/'; their folders must have been added before. */
void initramfs_add_folder(struct initramfs *rd, const char *name);
void initramfs_add_file(struct initramfs *rd, const char *name, uint32_t mode, const void *data,
			size_t len);
/* The file, whose position is at its end, or a negative errno. It is the caller's to close. */
int initramfs_finish(struct initramfs *rd);

#endif
