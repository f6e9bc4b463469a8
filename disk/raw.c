// SPDX-License-Identifier: GPL-2.0-or-later
/* Raw images: files and block devices. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/disk.h"
#include "kvm/log.h"
#include "kvm/util.h"

#define RAW_SECTOR     512
#define RAW_MAX_ALIGN  4096
#define RAW_FILE_BLOCK 4096 /* what file systems like to be written */
#define RAW_BOUNCE     (1 * MIB)
#define RAW_ZERO_CHUNK (64 * KIB)

struct raw {
	struct disk disk;
	int fd;
	bool block;	    /* a block device */
	uint64_t file_size; /* of a file, when it was opened; past it there may be padding */
	uint32_t align;	    /* of offsets, lengths and memory: 1, or what O_DIRECT demands */
	/*
	 * Unaligned direct writes read, change and write back whole blocks: they take it for
	 * writing, all other writes for reading.
	 */
	pthread_rwlock_t rmw_lock;
};

static struct raw *raw_of(struct disk *disk)
{
	return container_of(disk, struct raw, disk);
}

/* Drops n bytes from the front. */
static void raw_iov_advance(struct iovec **iov, int *nr, size_t n)
{
	while (*nr && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		(*iov)++;
		(*nr)--;
	}
	if (*nr) {
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
	}
}

static void raw_iov_zero(const struct iovec *iov, int nr)
{
	for (int i = 0; i < nr; i++)
		memset(iov[i].iov_base, 0, iov[i].iov_len);
}

/* Reads everything. Behind the end of the file is padding; short of it is an error. */
static int raw_read(struct raw *raw, struct iovec *iov, int nr, uint64_t off)
{
	while (nr) {
		ssize_t n = preadv(raw->fd, iov, MIN(nr, IOV_MAX), off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		off += n;
		raw_iov_advance(&iov, &nr, n);
		if (nr && off >= raw->file_size && !raw->block) {
			raw_iov_zero(iov, nr);
			return 0;
		}
		if (n == 0 && nr)
			return -EIO;
	}
	return 0;
}

static int raw_write(struct raw *raw, struct iovec *iov, int nr, uint64_t off)
{
	while (nr) {
		ssize_t n = pwritev(raw->fd, iov, MIN(nr, IOV_MAX), off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		off += n;
		raw_iov_advance(&iov, &nr, n);
	}
	return 0;
}

/* --- direct I/O that is not aligned --- */

static bool raw_aligned(const struct raw *raw, const struct iovec *iov, int nr, uint64_t off)
{
	if (off % raw->align)
		return false;
	for (int i = 0; i < nr; i++)
		if ((uintptr_t)iov[i].iov_base % raw->align || iov[i].iov_len % raw->align)
			return false;
	return true;
}

/* Copies n bytes between buf and the front of the iovecs, and drops them from there. */
static void raw_iov_copy(struct iovec **iov, int *nr, uint8_t *buf, size_t n, bool to_iov)
{
	while (n) {
		size_t part = MIN(n, (*iov)->iov_len);

		if (to_iov)
			memcpy((*iov)->iov_base, buf, part);
		else
			memcpy(buf, (*iov)->iov_base, part);
		buf += part;
		n -= part;
		raw_iov_advance(iov, nr, part);
	}
}

/* One piece through the bounce buffer: [off, off + n), which fits into it. */
static int raw_bounce_piece(struct raw *raw, uint8_t *bounce, struct iovec **iov, int *nr,
			    uint64_t off, size_t n, bool write)
{
	uint64_t start = ALIGN_DOWN(off, (uint64_t)raw->align);
	uint64_t end = ALIGN_UP(off + n, (uint64_t)raw->align);
	struct iovec whole = {.iov_base = bounce, .iov_len = end - start};
	int err = 0;

	if (!write || start != off || end != off + n)
		err = raw_read(raw, &whole, 1, start);
	if (err)
		return err;
	raw_iov_copy(iov, nr, bounce + (off - start), n, !write);
	whole = (struct iovec){.iov_base = bounce, .iov_len = end - start};
	return write ? raw_write(raw, &whole, 1, start) : 0;
}

static int raw_bounce(struct raw *raw, struct iovec *iov, int nr, uint64_t off, bool write)
{
	uint64_t len = 0;
	void *bounce;
	int err;

	for (int i = 0; i < nr; i++)
		len += iov[i].iov_len;
	err = posix_memalign(&bounce, raw->align, RAW_BOUNCE);
	if (err)
		return -err;
	while (len && !err) {
		size_t n = MIN(len, RAW_BOUNCE - off % raw->align);

		err = raw_bounce_piece(raw, bounce, &iov, &nr, off, n, write);
		off += n;
		len -= n;
	}
	free(bounce);
	return err;
}

/* --- the operations --- */

static int raw_preadv(struct disk *disk, struct iovec *iov, int nr, uint64_t off)
{
	struct raw *raw = raw_of(disk);

	if (raw_aligned(raw, iov, nr, off))
		return raw_read(raw, iov, nr, off);
	return raw_bounce(raw, iov, nr, off, false);
}

static int raw_pwritev(struct disk *disk, struct iovec *iov, int nr, uint64_t off)
{
	struct raw *raw = raw_of(disk);
	int err;

	if (raw_aligned(raw, iov, nr, off)) {
		pthread_rwlock_rdlock(&raw->rmw_lock);
		err = raw_write(raw, iov, nr, off);
	} else {
		pthread_rwlock_wrlock(&raw->rmw_lock);
		err = raw_bounce(raw, iov, nr, off, true);
	}
	pthread_rwlock_unlock(&raw->rmw_lock);
	return err;
}

static int raw_flush(struct disk *disk)
{
	int ret;

	if (disk->readonly)
		return 0;
	do {
		ret = fdatasync(raw_of(disk)->fd);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}

static int raw_discard(struct disk *disk, uint64_t off, uint64_t len)
{
	struct raw *raw = raw_of(disk);
	uint64_t range[2] = {off, len};
	int ret;

	if (!len)
		return 0;
	if (raw->block)
		ret = ioctl(raw->fd, BLKDISCARD, range);
	else
		ret = fallocate(raw->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
	/* It is a hint, and not all file systems and devices take it, or less than their own blocks. */
	return ret < 0 && errno != EOPNOTSUPP && errno != EINVAL ? -errno : 0;
}

/* By hand, where the kernel cannot. */
static int raw_write_zero_buffers(struct disk *disk, uint64_t off, uint64_t len)
{
	void *zero;
	int err;

	err = posix_memalign(&zero, RAW_MAX_ALIGN, RAW_ZERO_CHUNK);
	if (err)
		return -err;
	memset(zero, 0, RAW_ZERO_CHUNK);
	while (len && !err) {
		struct iovec iov = {.iov_base = zero, .iov_len = MIN(len, RAW_ZERO_CHUNK)};
		size_t n = iov.iov_len;

		err = raw_pwritev(disk, &iov, 1, off);
		off += n;
		len -= n;
	}
	free(zero);
	return err;
}

static int raw_write_zeroes(struct disk *disk, uint64_t off, uint64_t len)
{
	struct raw *raw = raw_of(disk);
	uint64_t range[2] = {off, len};
	int ret;

	if (!len)
		return 0;
	pthread_rwlock_rdlock(&raw->rmw_lock);
	if (raw->block)
		ret = ioctl(raw->fd, BLKZEROOUT, range);
	else
		ret = fallocate(raw->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, off, len);
	pthread_rwlock_unlock(&raw->rmw_lock);
	if (ret < 0 && (errno == EOPNOTSUPP || errno == EINVAL))
		return raw_write_zero_buffers(disk, off, len);
	return ret < 0 ? -errno : 0;
}

static int raw_get_size(struct raw *raw);

/* A file only grows: what is cut off is lost, and nobody who wants that asks a running VM. */
static int raw_resize(struct disk *disk, uint64_t size)
{
	struct raw *raw = raw_of(disk);
	struct stat st;
	int err;

	if (!raw->block) {
		if (size % RAW_SECTOR || size % raw->align || size < disk->size)
			return -EINVAL;
		if (fstat(raw->fd, &st) < 0 ||
		    ((uint64_t)st.st_size < size && ftruncate(raw->fd, size) < 0))
			return -errno;
		raw->file_size = disk->size = size;
		return 0;
	}
	err = raw_get_size(raw);
	return err || disk->size == size ? err : -EINVAL;
}

/*
 * Where direct I/O has larger blocks than a sector, writes may have to be made of reads and
 * writes, and all must take the lock against those.
 */
static int raw_request_fd(struct disk *disk, const struct disk_request *req)
{
	struct raw *raw = raw_of(disk);

	if (raw->align > RAW_SECTOR)
		return -1;
	if (req->op == DISK_FLUSH)
		return disk->readonly ? -1 : raw->fd;
	return raw_aligned(raw, req->iov, req->nr, req->off) ? raw->fd : -1;
}

static void raw_close(struct disk *disk)
{
	struct raw *raw = raw_of(disk);
	int err = raw_flush(disk);

	if (err)
		log_error("disk %s: %s", disk->path, strerror(-err));
	close(raw->fd);
	pthread_rwlock_destroy(&raw->rmw_lock);
	free(raw);
}

static const struct disk_ops raw_ops = {
	.preadv = raw_preadv,
	.pwritev = raw_pwritev,
	.flush = raw_flush,
	.discard = raw_discard,
	.write_zeroes = raw_write_zeroes,
	.close = raw_close,
	.resize = raw_resize,
	.request_fd = raw_request_fd,
};

/* --- opening --- */

static int raw_get_size(struct raw *raw)
{
	struct stat st;
	int block_size = 0;
	unsigned int physical = 0, optimal = 0;

	if (fstat(raw->fd, &st) < 0)
		return -errno;
	raw->block = S_ISBLK(st.st_mode);
	raw->disk.block_size = RAW_SECTOR;
	raw->disk.physical_block_size = RAW_FILE_BLOCK;
	if (!raw->block) {
		raw->file_size = st.st_size;
		raw->disk.size = ALIGN_UP(raw->file_size, RAW_SECTOR);
		return 0;
	}
	if (ioctl(raw->fd, BLKGETSIZE64, &raw->file_size) < 0 ||
	    ioctl(raw->fd, BLKSSZGET, &block_size) < 0)
		return -errno;
	raw->disk.size = raw->file_size;
	raw->disk.block_size = block_size;
	if (ioctl(raw->fd, BLKPBSZGET, &physical) == 0 && is_power_of_two(physical))
		raw->disk.physical_block_size = physical;
	if (ioctl(raw->fd, BLKIOOPT, &optimal) == 0 && is_power_of_two(optimal))
		raw->disk.optimal_io_size = optimal;
	return 0;
}

/* What O_DIRECT wants is found out by trying: 0 if it is more than anything known. */
static uint32_t raw_probe_align(int fd)
{
	void *buf;
	uint32_t align;

	if (posix_memalign(&buf, RAW_MAX_ALIGN, RAW_MAX_ALIGN))
		return 0;
	/* Memory that is aligned to `align` and to no more. */
	for (align = RAW_SECTOR; align <= RAW_MAX_ALIGN; align *= 2)
		if (pread(fd, (uint8_t *)buf + align % RAW_MAX_ALIGN, align, align) >= 0)
			break;
	free(buf);
	return align <= RAW_MAX_ALIGN ? align : 0;
}

static int raw_init(struct raw *raw, const struct disk_params *params)
{
	int err = raw_get_size(raw);

	if (err) {
		log_error("disk %s: %s", params->path, strerror(-err));
		return err;
	}
	if (!raw->disk.size) {
		log_error("disk %s: is empty", params->path);
		return -EINVAL;
	}
	raw->align = params->direct ? raw_probe_align(raw->fd) : 1;
	/* A guest must not see the size change; what is inside an image has sizes of its own. */
	if (!raw->align || (params->format != DISK_FORMAT_QCOW2 &&
			    (raw->disk.size % raw->align || raw->file_size % raw->align))) {
		log_error("disk %s: its size does not allow direct I/O", params->path);
		return -EINVAL;
	}
	return 0;
}

struct disk *disk_raw_open(const struct disk_params *params, int fd)
{
	struct raw *raw = calloc(1, sizeof(*raw));
	int err;

	if (!raw) {
		log_error("disk %s: %s", params->path, strerror(ENOMEM));
		close(fd);
		errno = ENOMEM;
		return NULL;
	}
	raw->fd = fd;
	raw->disk.ops = &raw_ops;
	raw->disk.path = params->path;
	raw->disk.readonly = params->readonly;
	pthread_rwlock_init(&raw->rmw_lock, NULL);
	err = raw_init(raw, params);
	if (err) {
		raw_ops.close(&raw->disk);
		errno = -err;
		return NULL;
	}
	return &raw->disk;
}
