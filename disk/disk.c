// SPDX-License-Identifier: GPL-2.0-or-later
/* Opening disk images: what is it, may we have it, which format is it. */
#include "kvm/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/util.h"

/* O_NONBLOCK so that a FIFO is an error and not a wait. It means nothing to files and disks. */
static int disk_open_fd(const struct disk_params *params)
{
	int flags = O_CLOEXEC | O_NONBLOCK | (params->readonly ? O_RDONLY : O_RDWR) |
		    (params->direct ? O_DIRECT : 0);
	struct stat st;
	int fd;

	fd = open(params->path, flags);
	/* open() fails in many ways for what is no image; say that rather. */
	if (stat(params->path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		log_error("disk %s: %s", params->path,
			  S_ISDIR(st.st_mode) ? "is a folder"
					      : "is neither a file nor a block device");
		if (fd >= 0)
			close(fd);
		errno = EINVAL;
		return -1;
	}
	if (fd >= 0)
		return fd;
	if (errno == EINVAL && params->direct)
		log_error("disk %s: its file system cannot do direct I/O", params->path);
	else
		log_error("disk %s: %s", params->path, strerror(errno));
	return -1;
}

/*
 * Locks of the open file description: they belong to fd and not to the process, and other
 * programs that lock images this way (byte ranges of theirs included) are noticed.
 */
static int disk_lock(const struct disk_params *params, int fd)
{
	struct flock lock = {
		.l_type = params->readonly ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES) {
		log_error("disk %s: in use by another process", params->path);
		errno = EBUSY;
		return -1;
	}
	/* Some network file systems have no locks. */
	log_warning("disk %s: cannot be locked: %s", params->path, strerror(errno));
	return 0;
}

/* Nothing of a raw disk may look like an image, unless the user says that it is raw. */
static int disk_check_raw(const struct disk_params *params, int fd)
{
	/* Aligned, and large enough, for any O_DIRECT. */
	static const char qcow_magic[4] = {'Q', 'F', 'I', '\xfb'};
	char head[4096] __attribute__((aligned(4096)));

	if (params->format == DISK_FORMAT_RAW ||
	    pread(fd, head, sizeof(head), 0) < (ssize_t)sizeof(qcow_magic) ||
	    memcmp(head, qcow_magic, sizeof(qcow_magic)) != 0)
		return 0;
	log_error("disk %s: looks like a qcow2 image: say format=qcow2, or format=raw if it is not",
		  params->path);
	return -EINVAL;
}

static bool disk_named_qcow2(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot && !strcmp(dot, ".qcow2");
}

/*
 * The format is what the user says, by word or by the file's name, and never what the content
 * says: the content of a raw disk is the guest's, so it must not choose a format that can refer to
 * other files of the host.
 */
static struct disk *disk_open_depth(struct disk_params params, unsigned int depth)
{
	struct disk *disk;
	int fd;

	if (params.format == DISK_FORMAT_BY_NAME && disk_named_qcow2(params.path))
		params.format = DISK_FORMAT_QCOW2;
	fd = disk_open_fd(&params);
	if (fd < 0)
		return NULL;
	if (disk_lock(&params, fd)) {
		close(fd);
		errno = EBUSY;
		return NULL;
	}
	if (params.format != DISK_FORMAT_QCOW2 && disk_check_raw(&params, fd)) {
		close(fd);
		errno = EINVAL;
		return NULL;
	}
	disk = disk_raw_open(&params, fd);
	if (disk && params.format == DISK_FORMAT_QCOW2)
		disk = disk_qcow2_open(&params, disk, depth);
	return disk;
}

struct disk *disk_open(const struct disk_params *params)
{
	struct disk *disk = disk_open_depth(*params, 0);

	if (disk && disk->size % MAX(params->block_size, 512u)) {
		log_error("disk %s: its size is not a multiple of the block size", params->path);
		disk_close(disk);
		errno = EINVAL;
		return NULL;
	}
	return disk;
}

struct disk *disk_open_backing(const struct disk_params *params, unsigned int depth)
{
	return disk_open_depth(*params, depth);
}

void disk_close(struct disk *disk)
{
	if (disk)
		disk->ops->close(disk);
}
