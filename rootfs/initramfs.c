// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/initramfs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/util.h"

#define INITRAMFS_ALIGN 4

void initramfs_init(struct initramfs *rd)
{
	*rd = (struct initramfs){.fd = memfd_create("initramfs", MFD_CLOEXEC)};
	if (rd->fd < 0)
		rd->err = -errno;
}

static void initramfs_write(struct initramfs *rd, const void *data, size_t len)
{
	static const char zeroes[INITRAMFS_ALIGN];
	size_t pad = ALIGN_UP(rd->len + len, INITRAMFS_ALIGN) - rd->len - len;

	if (!rd->err)
		rd->err = write_full(rd->fd, data, len);
	if (!rd->err)
		rd->err = write_full(rd->fd, zeroes, pad);
	rd->len += len + pad;
}

static void initramfs_add(struct initramfs *rd, const char *name, uint32_t mode, const void *data,
			  size_t len)
{
	char head[512];
	int n;

	if (len > UINT32_MAX)
		rd->err = -EFBIG;
	/* Magic, inode, mode, uid, gid, links, mtime, size, device, its rdev, length of name, sum. */
	n = snprintf(head, sizeof(head),
		     "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s", ++rd->nr_files,
		     mode, 0, 0, 1, 0, (uint32_t)len, 0, 0, 0, 0, (uint32_t)strlen(name) + 1, 0,
		     name);
	if (n >= (int)sizeof(head)) {
		rd->err = -ENAMETOOLONG;
		return;
	}
	initramfs_write(rd, head, (size_t)n + 1);
	initramfs_write(rd, data, len);
}

void initramfs_add_folder(struct initramfs *rd, const char *name)
{
	initramfs_add(rd, name, S_IFDIR | 0755, "", 0);
}

void initramfs_add_file(struct initramfs *rd, const char *name, uint32_t mode, const void *data,
			size_t len)
{
	initramfs_add(rd, name, S_IFREG | mode, data, len);
}

int initramfs_finish(struct initramfs *rd)
{
	initramfs_add(rd, "TRAILER!!!", 0, "", 0);
	if (rd->err && rd->fd >= 0)
		close(rd->fd);
	return rd->err ? rd->err : rd->fd;
}
