// SPDX-License-Identifier: GPL-2.0-or-later
/* Opening qcow2 images: the header, judged number by number; the chain of backing files. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/log.h"
#include "kvm/util.h"
#include "qcow2.h"

/* "Header extensions" */
#define EXT_END		   0u
#define EXT_BACKING_FORMAT 0xe2792acau
#define EXT_BITMAPS	   0x23852875u

/* What the header says of the backing file. */
struct qcow2_backing {
	char name[QCOW2_MAX_BACKING_NAME + 1]; /* "": none */
	enum disk_format format;
};

static uint32_t qcow2_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static uint64_t qcow2_be64(const uint8_t *p)
{
	return (uint64_t)qcow2_be32(p) << 32 | qcow2_be32(p + 4);
}

static int qcow2_refuse(const struct qcow2 *q, const char *why)
{
	log_error("disk %s: %s", q->disk.path, why);
	return -EINVAL;
}

/* --- the header --- */

static int qcow2_judge_features(struct qcow2 *q, const uint8_t *h, uint32_t header_len)
{
	const uint64_t known =
		QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT | QCOW2_INCOMPAT_COMPRESSION;

	q->incompatible = qcow2_be64(h + QCOW2_H_INCOMPATIBLE);
	q->refcount_order = qcow2_be32(h + QCOW2_H_REFCOUNT_ORDER);
	if (q->incompatible & ~known)
		return qcow2_refuse(q, "has qcow2 features that are not supported (external data "
				       "file or extended L2 entries, for instance)");
	if (q->incompatible & QCOW2_INCOMPAT_CORRUPT && !q->disk.readonly)
		return qcow2_refuse(q, "is marked as corrupt: repair it with qemu-img check "
				       "-r all, or open it with ro");
	if (q->refcount_order > 6)
		return qcow2_refuse(q, "has refcounts of a width that does not exist");
	if (q->incompatible & QCOW2_INCOMPAT_COMPRESSION && header_len > QCOW2_H_COMPRESSION) {
		if (h[QCOW2_H_COMPRESSION] > 1)
			return qcow2_refuse(q, "has a compression that is not supported");
		q->zstd = h[QCOW2_H_COMPRESSION] == 1;
	}
	return 0;
}

static int qcow2_judge_geometry(struct qcow2 *q, const uint8_t *h)
{
	uint64_t size = qcow2_be64(h + QCOW2_H_SIZE), l2_span;
	uint64_t reftable_clusters = qcow2_be32(h + QCOW2_H_REFTABLE_CLUSTERS);

	q->cluster_bits = qcow2_be32(h + QCOW2_H_CLUSTER_BITS);
	if (q->cluster_bits < 9 || q->cluster_bits > 21)
		return qcow2_refuse(q, "has clusters of a size that does not exist");
	q->cluster_size = 1ull << q->cluster_bits;
	q->l2_bits = q->cluster_bits - 3;
	q->file_end = ALIGN_UP(q->file->size, q->cluster_size);
	if (qcow2_be32(h + QCOW2_H_CRYPT))
		return qcow2_refuse(q, "is encrypted, which is not supported");
	if (!size || size > INT64_MAX - 512)
		return qcow2_refuse(q, size ? "is too large" : "is empty");
	q->disk.size = ALIGN_UP(size, 512ull);

	l2_span = q->cluster_size << q->l2_bits;
	q->l1.size = qcow2_be32(h + QCOW2_H_L1_SIZE);
	q->l1.offset = qcow2_be64(h + QCOW2_H_L1_OFFSET);
	q->reftable.offset = qcow2_be64(h + QCOW2_H_REFTABLE_OFFSET);
	q->nr_snapshots = qcow2_be32(h + QCOW2_H_NR_SNAPSHOTS);
	q->snapshots_offset = qcow2_be64(h + QCOW2_H_SNAPSHOTS_OFFSET);
	if (q->l1.size > QCOW2_MAX_L1_BYTES / sizeof(uint64_t) ||
	    q->l1.size < (q->disk.size - 1) / l2_span + 1 || qcow2_in_cluster(q, q->l1.offset) ||
	    q->l1.offset >= q->file_end)
		return qcow2_refuse(q, "has an L1 table that cannot be");
	if (!reftable_clusters ||
	    reftable_clusters > QCOW2_MAX_REFTABLE_BYTES / q->cluster_size + 1 ||
	    qcow2_in_cluster(q, q->reftable.offset) || q->reftable.offset >= q->file_end)
		return qcow2_refuse(q, "has a refcount table that cannot be");
	q->reftable.size = reftable_clusters * q->cluster_size / sizeof(uint64_t);
	if (q->nr_snapshots > QCOW2_MAX_SNAPSHOTS || q->snapshots_offset > INT64_MAX)
		return qcow2_refuse(q, "has more snapshots than can be");
	return 0;
}

static int qcow2_read_extension(struct qcow2 *q, uint32_t type, uint32_t len, uint64_t at,
				struct qcow2_backing *backing)
{
	char name[16] = "";
	int err;

	if (type == EXT_BITMAPS)
		q->has_bitmaps = true;
	if (type != EXT_BACKING_FORMAT || len >= sizeof(name))
		return 0;
	err = qcow2_file_read(q, name, len, at);
	if (!err && !strcmp(name, "raw"))
		backing->format = DISK_FORMAT_RAW;
	if (!err && !strcmp(name, "qcow2"))
		backing->format = DISK_FORMAT_QCOW2;
	return err;
}

static int qcow2_read_extensions(struct qcow2 *q, uint64_t at, uint64_t end,
				 struct qcow2_backing *backing)
{
	uint8_t head[8];

	while (at + sizeof(head) <= end) {
		int err = qcow2_file_read(q, head, sizeof(head), at);
		uint32_t type = qcow2_be32(head), len = qcow2_be32(head + 4);

		if (err || type == EXT_END)
			return err;
		at += sizeof(head);
		if (len > end - at)
			return qcow2_refuse(q, "has a header extension that does not end");
		err = qcow2_read_extension(q, type, len, at, backing);
		if (err)
			return err;
		at += ALIGN_UP((uint64_t)len, 8ull);
	}
	return 0;
}

static int qcow2_read_header(struct qcow2 *q, struct qcow2_backing *backing)
{
	uint8_t h[QCOW2_HEADER_MAX];
	uint32_t header_len = QCOW2_HEADER_V2, name_len;
	uint64_t name_at;
	int err = qcow2_file_read(q, h, sizeof(h), 0);

	if (err) {
		log_error("disk %s: %s", q->disk.path, strerror(-err));
		return err;
	}
	q->version = qcow2_be32(h + 4);
	if (qcow2_be32(h) != QCOW2_MAGIC)
		return qcow2_refuse(q, "is not a qcow2 image");
	if (q->version < 2 || q->version > 3)
		return qcow2_refuse(q, "is of a version of qcow that is not supported");
	q->refcount_order = 4;
	if (q->version == 3)
		header_len = qcow2_be32(h + QCOW2_H_LENGTH);
	err = qcow2_judge_geometry(q, h);
	if (err)
		return err;
	if (header_len > q->cluster_size || (q->version == 3 && header_len < QCOW2_HEADER_V3))
		return qcow2_refuse(q, "has a header of a length that cannot be");
	err = q->version == 3 ? qcow2_judge_features(q, h, header_len) : 0;
	if (err)
		return err;

	name_at = qcow2_be64(h + QCOW2_H_BACKING_OFFSET);
	name_len = qcow2_be32(h + QCOW2_H_BACKING_SIZE);
	if (name_at && (name_len > QCOW2_MAX_BACKING_NAME || name_at < header_len ||
			!range_contains(0, q->cluster_size, name_at, name_len)))
		return qcow2_refuse(q, "has a backing file name that cannot be");
	err = qcow2_read_extensions(q, header_len, name_at ?: q->cluster_size, backing);
	if (!err && name_at)
		err = qcow2_file_read(q, backing->name, name_len, name_at);
	return err;
}

static int qcow2_read_root(struct qcow2 *q, struct qcow2_root *root)
{
	int err;

	root->entry = calloc(root->size, sizeof(*root->entry));
	if (!root->entry)
		return -ENOMEM;
	err = qcow2_file_read(q, root->entry, root->size * sizeof(*root->entry), root->offset);
	for (uint32_t i = 0; i < root->size; i++)
		root->entry[i] = be64toh(root->entry[i]);
	return err;
}

/* --- the chain --- */

/* Relative names are relative to the image. */
static char *qcow2_backing_path(const struct qcow2 *q, const char *name)
{
	const char *slash = strrchr(q->disk.path, '/');

	if (*name == '/' || !slash)
		return strdup(name);
	return xasprintf("%.*s%s", (int)(slash + 1 - q->disk.path), q->disk.path, name);
}

/*
 * An image can name any file of the host to be read by whoever opens the image: only with the
 * user's leave, and only in the format that it says.
 */
static int qcow2_open_backing(struct qcow2 *q, const struct disk_params *params,
			      const struct qcow2_backing *backing, unsigned int depth)
{
	struct disk_params below = {.readonly = true, .backing = true, .format = backing->format};

	if (!*backing->name)
		return 0;
	if (!params->backing) {
		log_error("disk %s: wants to read from its backing file '%s': say backing=allow if "
			  "it may",
			  q->disk.path, backing->name);
		return -EPERM;
	}
	if (depth >= QCOW2_MAX_DEPTH)
		return qcow2_refuse(q, "has too many images behind it");
	if (backing->format == DISK_FORMAT_BY_NAME)
		return qcow2_refuse(q, "does not say which format its backing file has: tell it "
				       "with qemu-img rebase -u -F FORMAT -b FILE");
	q->backing_path = qcow2_backing_path(q, backing->name);
	if (!q->backing_path)
		return -ENOMEM;
	below.path = q->backing_path;
	below.direct = params->direct;
	q->backing = disk_open_backing(&below, depth + 1);
	return q->backing ? 0 : -EINVAL;
}

/* --- life --- */

static void qcow2_close(struct disk *disk)
{
	struct qcow2 *q = container_of(disk, struct qcow2, disk);
	int err = 0;

	/* Each commit may free what the next one has to write. */
	while (!err && !q->failed && !disk->readonly && qcow2_is_dirty(q))
		err = qcow2_commit(q);
	if (!err && !q->failed && !disk->readonly)
		err = qcow2_unmark(q);
	if (err)
		log_error("disk %s: %s", disk->path, strerror(-err));
	qcow2_tables_fini(q);
	disk_close(q->file);
	disk_close(q->backing);
	pthread_mutex_destroy(&q->table_lock);
	pthread_rwlock_destroy(&q->lock);
	free(q->backing_path);
	free(q->l1.entry);
	free(q->reftable.entry);
	free(q->unused);
	free(q);
}

static int qcow2_resize(struct disk *disk, uint64_t size);

static void qcow2_init_locks(struct qcow2 *q)
{
	pthread_rwlockattr_t attr;

	/* A flush must not wait for ever while others read. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&q->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	pthread_mutex_init(&q->table_lock, NULL);
}

static int qcow2_init(struct qcow2 *q, const struct disk_params *params, unsigned int depth)
{
	struct qcow2_backing backing = {.format = DISK_FORMAT_BY_NAME};
	int err = qcow2_read_header(q, &backing);

	if (!err)
		err = qcow2_open_backing(q, params, &backing, depth);
	if (err)
		return err; /* said already */
	err = qcow2_tables_init(q);
	if (!err)
		err = qcow2_read_root(q, &q->l1);
	if (!err)
		err = qcow2_read_root(q, &q->reftable);
	if (err) {
		log_error("disk %s: %s", q->disk.path, strerror(-err));
		return err;
	}
	if (q->disk.readonly || (q->version >= 3 && !(q->incompatible & QCOW2_INCOMPAT_DIRTY)))
		return 0;
	if (q->version >= 3)
		log_info("disk %s: was not closed; counting its clusters anew", q->disk.path);
	err = qcow2_recount(q);
	if (err)
		log_error("disk %s: its refcounts cannot be repaired (%s): try qemu-img check "
			  "-r all",
			  q->disk.path, strerror(-err));
	return err;
}

struct disk *disk_qcow2_open(const struct disk_params *params, struct disk *file,
			     unsigned int depth)
{
	static const struct disk_ops ops = {
		.preadv = qcow2_preadv,
		.pwritev = qcow2_pwritev,
		.flush = qcow2_flush,
		.discard = qcow2_discard,
		.write_zeroes = qcow2_write_zeroes,
		.close = qcow2_close,
		.resize = qcow2_resize,
	};
	struct qcow2 *q = calloc(1, sizeof(*q));
	int err;

	if (!q) {
		log_error("disk %s: %s", params->path, strerror(ENOMEM));
		disk_close(file);
		errno = ENOMEM;
		return NULL;
	}
	q->disk = (struct disk){
		.ops = &ops,
		.path = params->path,
		.block_size = 512,
		.physical_block_size = file->physical_block_size,
		.readonly = params->readonly,
	};
	q->file = file;
	qcow2_init_locks(q);
	err = qcow2_init(q, params, depth);
	if (!err) {
		q->disk.optimal_io_size = q->cluster_size;
		return &q->disk;
	}
	q->failed = true; /* nothing of it is to be written */
	qcow2_close(&q->disk);
	errno = -err;
	return NULL;
}

/* --- growing --- */

static int qcow2_write_u64(struct qcow2 *q, uint64_t at, uint64_t val)
{
	val = htobe64(val);
	return qcow2_file_write(q, &val, sizeof(val), at);
}

/* A larger L1, written and counted before the header says so. */
static int qcow2_grow_l1(struct qcow2 *q, uint64_t size)
{
	struct qcow2_root old = q->l1, root = {0};
	uint64_t nr = ALIGN_UP(size * sizeof(uint64_t), q->cluster_size) >> q->cluster_bits;
	uint8_t update[12];
	uint64_t *disk;
	int err;

	if (size * sizeof(uint64_t) > QCOW2_MAX_L1_BYTES)
		return -EFBIG;
	err = qcow2_alloc(q, nr, &root.offset);
	if (err)
		return err;
	root.size = nr * q->cluster_size / sizeof(uint64_t);
	root.entry = calloc(root.size, sizeof(uint64_t));
	disk = calloc(root.size, sizeof(uint64_t));
	if (!root.entry || !disk) {
		free(root.entry);
		free(disk);
		return -ENOMEM;
	}
	memcpy(root.entry, old.entry, old.size * sizeof(uint64_t));
	for (uint32_t i = 0; i < root.size; i++)
		disk[i] = htobe64(root.entry[i]);
	memcpy(update, &(uint32_t){htobe32(root.size)}, 4);
	memcpy(update + 4, &(uint64_t){htobe64(root.offset)}, 8);
	err = qcow2_commit(q);
	if (!err)
		err = qcow2_file_write(q, disk, root.size * sizeof(uint64_t), root.offset);
	if (!err)
		err = q->file->ops->flush(q->file);
	if (!err)
		err = qcow2_file_write(q, update, sizeof(update), QCOW2_H_L1_SIZE);
	free(disk);
	if (err) {
		free(root.entry);
		return err;
	}
	q->file_end = MAX(q->file_end, root.offset + nr * q->cluster_size);
	q->l1 = root;
	free(old.entry);
	qcow2_unref(q, old.offset, old.size * sizeof(uint64_t));
	return 0;
}

static int qcow2_resize(struct disk *disk, uint64_t size)
{
	struct qcow2 *q = container_of(disk, struct qcow2, disk);
	uint64_t need = (size - 1) / (q->cluster_size << q->l2_bits) + 1;
	int err = 0;

	if (size < disk->size || size % 512 || size > INT64_MAX - 512)
		return -EINVAL;
	if (q->version < 3 && q->nr_snapshots)
		return -EOPNOTSUPP; /* their sizes are not written down */
	pthread_rwlock_wrlock(&q->lock);
	if (q->failed)
		err = -EIO;
	if (!err)
		err = qcow2_mark(q);
	if (!err)
		err = qcow2_commit(q);
	if (!err && need > q->l1.size)
		err = qcow2_grow_l1(q, need);
	if (!err)
		err = qcow2_write_u64(q, QCOW2_H_SIZE, size);
	if (!err)
		err = q->file->ops->flush(q->file);
	if (!err)
		disk->size = size;
	pthread_rwlock_unlock(&q->lock);
	return err;
}
