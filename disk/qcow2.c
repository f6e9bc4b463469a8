// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading and writing through the map of a qcow2 image. See qcow2.h for what is promised when. */
#include "qcow2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/util.h"

#define QCOW2_IOVS  64 /* of a request that go to the file at once */
#define QCOW2_ALIGN 4096

enum qcow2_kind { QCOW2_NONE, QCOW2_ZEROES, QCOW2_PACKED, QCOW2_DATA };

/* Where a guest cluster is. */
struct qcow2_place {
	enum qcow2_kind kind;
	bool in_place;	/* host is this cluster's alone */
	uint64_t host;	/* of QCOW2_DATA, and of zeroes that keep their space; else 0 */
	uint64_t entry; /* as it stands in L2 */
};

static struct qcow2 *qcow2_of(struct disk *disk)
{
	return container_of(disk, struct qcow2, disk);
}

/* --- iovecs --- */

struct qcow2_iov {
	struct iovec *iov;
	int nr;
};

/* Cuts up to `len` bytes off the front into `out`, of QCOW2_IOVS. Returns how many bytes. */
static uint64_t qcow2_iov_cut(struct qcow2_iov *from, uint64_t len, struct iovec *out, int *nr_out)
{
	uint64_t done = 0;

	*nr_out = 0;
	while (done < len && from->nr && *nr_out < QCOW2_IOVS) {
		size_t part = MIN(len - done, from->iov->iov_len);

		if (part) {
			out[(*nr_out)++] = (struct iovec){from->iov->iov_base, part};
			from->iov->iov_base = (uint8_t *)from->iov->iov_base + part;
			from->iov->iov_len -= part;
			done += part;
		}
		if (!from->iov->iov_len) {
			from->iov++;
			from->nr--;
		}
	}
	return done;
}

static void qcow2_iov_fill(const struct iovec *iov, int nr, const uint8_t *from)
{
	for (int i = 0; i < nr; i++) {
		if (from)
			memcpy(iov[i].iov_base, from, iov[i].iov_len);
		else
			memset(iov[i].iov_base, 0, iov[i].iov_len);
		from = from ? from + iov[i].iov_len : NULL;
	}
}

static void qcow2_iov_gather(uint8_t *to, const struct iovec *iov, int nr)
{
	for (int i = 0; i < nr; i++) {
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
}

/* --- the map; lock held --- */

static uint64_t qcow2_l1_index(const struct qcow2 *q, uint64_t off)
{
	return off >> (q->cluster_bits + q->l2_bits);
}

static uint64_t qcow2_l2_index(const struct qcow2 *q, uint64_t off)
{
	return off >> q->cluster_bits & ((1ull << q->l2_bits) - 1);
}

static int qcow2_judge_entry(struct qcow2 *q, uint64_t entry, struct qcow2_place *place)
{
	uint64_t host = entry & QCOW2_OFFSET;

	*place = (struct qcow2_place){.entry = entry};
	if (entry & QCOW2_COMPRESSED) {
		place->kind = QCOW2_PACKED;
		return 0;
	}
	if (qcow2_in_cluster(q, host))
		return qcow2_corrupt(q, "data between clusters");
	place->host = host;
	place->in_place = host && entry & QCOW2_COPIED;
	if (q->version >= 3 && entry & QCOW2_ZERO)
		place->kind = QCOW2_ZEROES;
	else
		place->kind = host ? QCOW2_DATA : QCOW2_NONE;
	if (place->in_place && host >= q->file_end)
		return qcow2_corrupt(q, "data behind the end of the file");
	return 0;
}

static int qcow2_map(struct qcow2 *q, uint64_t off, struct qcow2_place *place)
{
	uint64_t l1 = qcow2_l1_index(q, off), entry;
	int err;

	*place = (struct qcow2_place){.kind = QCOW2_NONE};
	if (l1 >= q->l1.size)
		return -EIO;
	if (!(q->l1.entry[l1] & QCOW2_OFFSET))
		return 0;
	err = qcow2_entry_get(q, q->l1.entry[l1] & QCOW2_OFFSET, true, qcow2_l2_index(q, off),
			      QCOW2_ORDER_U64, &entry);
	if (err)
		return err == -EUCLEAN ? qcow2_corrupt(q, "an L2 table is no such") : err;
	err = qcow2_judge_entry(q, entry, place);
	/* What a snapshot has too, by way of a table that it has too, is not ours to change. */
	if (!(q->l1.entry[l1] & QCOW2_COPIED))
		place->in_place = false;
	return err;
}

/* Whether the file may be written there: clusters that hold tables are in no sound map. */
static bool qcow2_may_write(const struct qcow2 *q, uint64_t host, uint64_t len)
{
	return !ranges_overlap(host, len, 0, q->cluster_size) &&
	       !ranges_overlap(host, len, q->l1.offset, q->l1.size * sizeof(uint64_t)) &&
	       !ranges_overlap(host, len, q->reftable.offset, q->reftable.size * sizeof(uint64_t));
}

/* --- reading; lock held --- */

static int qcow2_read_packed(struct qcow2 *q, uint64_t entry, uint8_t *cluster)
{
	uint64_t offset, len;
	uint8_t *in;
	int err;

	qcow2_compressed_extent(q, entry, &offset, &len);
	if (offset >= q->file_end)
		return qcow2_corrupt(q, "data behind the end of the file");
	in = malloc(len);
	if (!in)
		return -ENOMEM;
	err = qcow2_file_read(q, in, len, offset);
	if (!err)
		err = qcow2_inflate(q->zstd, in, len, cluster, q->cluster_size);
	free(in);
	return err == -EUCLEAN ? -EIO : err; /* one cluster is lost, not the image */
}

/* The backing file may be shorter. */
static int qcow2_read_backing(struct qcow2 *q, struct iovec *iov, int nr, uint64_t off,
			      uint64_t len)
{
	uint64_t size = q->backing ? q->backing->size : 0;
	struct qcow2_iov rest = {iov, nr};
	struct iovec part[QCOW2_IOVS];
	int nr_part, err;

	if (off + len <= size)
		return q->backing->ops->preadv(q->backing, iov, nr, off);
	if (off < size) {
		qcow2_iov_cut(&rest, size - off, part, &nr_part);
		err = q->backing->ops->preadv(q->backing, part, nr_part, off);
		if (err)
			return err;
	}
	qcow2_iov_fill(rest.iov, rest.nr, NULL);
	return 0;
}

/* `len` bytes at `off`, within a cluster unless they are adjacent in the file too. */
static int qcow2_read_place(struct qcow2 *q, const struct qcow2_place *place, struct iovec *iov,
			    int nr, uint64_t off, uint64_t len)
{
	uint8_t *cluster;
	int err;

	switch (place->kind) {
	case QCOW2_DATA:
		return q->file->ops->preadv(q->file, iov, nr,
					    place->host + qcow2_in_cluster(q, off));
	case QCOW2_ZEROES:
		qcow2_iov_fill(iov, nr, NULL);
		return 0;
	case QCOW2_NONE:
		return qcow2_read_backing(q, iov, nr, off, len);
	case QCOW2_PACKED:
		break;
	}
	cluster = malloc(q->cluster_size);
	if (!cluster)
		return -ENOMEM;
	err = qcow2_read_packed(q, place->entry, cluster);
	if (!err)
		qcow2_iov_fill(iov, nr, cluster + qcow2_in_cluster(q, off));
	free(cluster);
	return err;
}

/*
 * Where `off` is, and for how many of `len` bytes what follows is the same, so that large requests
 * stay large.
 */
static int qcow2_map_run(struct qcow2 *q, uint64_t off, uint64_t *len, struct qcow2_place *place)
{
	uint64_t run = q->cluster_size - qcow2_in_cluster(q, off);
	struct qcow2_place next;
	int err = qcow2_map(q, off, place);

	while (!err && run < *len && place->kind != QCOW2_PACKED) {
		if (qcow2_map(q, off + run, &next) || next.kind != place->kind ||
		    next.in_place != place->in_place)
			break;
		if (place->host && next.host != place->host + qcow2_in_cluster(q, off) + run)
			break;
		if (!place->host && next.host)
			break;
		run += q->cluster_size;
	}
	*len = MIN(*len, run);
	return err;
}

static uint64_t qcow2_iov_len(const struct iovec *iov, int nr)
{
	uint64_t len = 0;

	for (int i = 0; i < nr; i++)
		len += iov[i].iov_len;
	return len;
}

int qcow2_preadv(struct disk *disk, struct iovec *iov, int nr, uint64_t off)
{
	struct qcow2 *q = qcow2_of(disk);
	uint64_t left = qcow2_iov_len(iov, nr);
	struct qcow2_iov from = {iov, nr};
	struct iovec part[QCOW2_IOVS];
	struct qcow2_place place;
	int err = 0, nr_part;

	while (left && !err) {
		uint64_t len = left;

		pthread_rwlock_rdlock(&q->lock);
		err = qcow2_map_run(q, off, &len, &place);
		len = qcow2_iov_cut(&from, len, part, &nr_part);
		if (!err)
			err = qcow2_read_place(q, &place, part, nr_part, off, len);
		pthread_rwlock_unlock(&q->lock);
		off += len;
		left -= len;
	}
	return err;
}

/* --- changing the map; lock held for writing --- */

/* An L2 table for `off` that is this image's alone. */
static int qcow2_need_l2(struct qcow2 *q, uint64_t off, uint64_t *l2)
{
	uint64_t l1 = qcow2_l1_index(q, off), old;
	int err;

	if (l1 >= q->l1.size)
		return -EIO;
	old = q->l1.entry[l1] & QCOW2_OFFSET;
	*l2 = old;
	if (old && q->l1.entry[l1] & QCOW2_COPIED)
		return 0;
	err = qcow2_alloc(q, 1, l2);
	if (err)
		return err;
	err = qcow2_table_create(q, *l2, true, old);
	if (err) {
		qcow2_unalloc(q, *l2);
		return err == -EUCLEAN ? qcow2_corrupt(q, "an L2 table is no such") : err;
	}
	qcow2_root_set(&q->l1, l1, *l2 | QCOW2_COPIED);
	if (old)
		qcow2_unref(q, old, q->cluster_size);
	return 0;
}

/* Lets go of what an entry referred to, unless it goes on to be referred to by the new one. */
static int qcow2_replace(struct qcow2 *q, uint64_t off, const struct qcow2_place *old,
			 uint64_t entry)
{
	uint64_t l2, offset = old->host, len = q->cluster_size;
	int err;

	if (old->kind == QCOW2_PACKED) {
		qcow2_compressed_extent(q, old->entry, &offset, &len);
		if (offset >= q->file_end)
			return qcow2_corrupt(q, "data behind the end of the file");
		len = MIN(len, q->file_end - offset);
	}
	err = qcow2_need_l2(q, off, &l2);
	if (!err)
		err = qcow2_entry_set(q, l2, true, qcow2_l2_index(q, off), QCOW2_ORDER_U64, entry);
	if (err)
		return err;
	if (offset && offset != (entry & QCOW2_OFFSET))
		qcow2_unref(q, offset, len);
	return 0;
}

/* Tables that change are held in memory: not too many. */
static int qcow2_relieve(struct qcow2 *q)
{
	return q->nr_dirty > q->nr_tables / 2 || q->nr_unused > 4096 ? qcow2_commit(q) : 0;
}

/* --- writing --- */

/* All of a cluster as it is now, but for [off, off + n), which is the iovecs. */
static int qcow2_write_merged(struct qcow2 *q, const struct qcow2_place *old, uint64_t host,
			      struct iovec *iov, int nr, uint64_t off)
{
	uint64_t in = qcow2_in_cluster(q, off);
	struct iovec whole;
	void *cluster;
	int err;

	if (posix_memalign(&cluster, QCOW2_ALIGN, q->cluster_size))
		return -ENOMEM;
	whole = (struct iovec){cluster, q->cluster_size};
	err = qcow2_read_place(q, old, &whole, 1, off - in, q->cluster_size);
	if (!err) {
		qcow2_iov_gather((uint8_t *)cluster + in, iov, nr);
		err = qcow2_file_write(q, cluster, q->cluster_size, host);
	}
	free(cluster);
	return err;
}

/* Writes into a cluster that is new, or that has been zeroes. */
static int qcow2_write_new(struct qcow2 *q, const struct qcow2_place *old, uint64_t host,
			   struct iovec *iov, int nr, uint64_t off, uint64_t len)
{
	bool reads_zero = old->kind == QCOW2_ZEROES || (old->kind == QCOW2_NONE && !q->backing);
	int err;

	/* What lies behind the end of the file is zero without being written. */
	if (len == q->cluster_size || (reads_zero && host >= q->file_end))
		err = q->file->ops->pwritev(q->file, iov, nr, host + qcow2_in_cluster(q, off));
	else
		err = qcow2_write_merged(q, old, host, iov, nr, off);
	if (!err)
		q->file_end = MAX(q->file_end, host + q->cluster_size);
	return err;
}

/* Within one cluster; lock held for writing. */
static int qcow2_write_cluster(struct qcow2 *q, struct iovec *iov, int nr, uint64_t off,
			       uint64_t len)
{
	struct qcow2_place place;
	uint64_t host;
	bool alloc;
	int err = qcow2_map(q, off, &place);

	if (err || q->failed)
		return err ?: -EIO;
	host = place.host;
	alloc = !place.in_place;
	if (place.in_place && !qcow2_may_write(q, host, q->cluster_size))
		return qcow2_corrupt(q, "a table is mapped as data");
	if (place.in_place && place.kind == QCOW2_DATA)
		return q->file->ops->pwritev(q->file, iov, nr, host + qcow2_in_cluster(q, off));
	/* From here on the image is not as the header says. */
	err = qcow2_mark(q);
	if (!err && alloc)
		err = qcow2_alloc(q, 1, &host);
	if (err)
		return err;
	err = qcow2_write_new(q, &place, host, iov, nr, off, len);
	if (!err)
		err = qcow2_replace(q, off, &place, host | QCOW2_COPIED);
	if (err) {
		if (alloc)
			qcow2_unalloc(q, host);
		return err;
	}
	return qcow2_relieve(q);
}

/* The first bytes of the request, as many as can be done in one way. */
static int qcow2_write_some(struct qcow2 *q, struct qcow2_iov *from, uint64_t off, uint64_t *len)
{
	uint64_t in = qcow2_in_cluster(q, off), run = *len;
	struct iovec part[QCOW2_IOVS];
	struct qcow2_place place;
	int err, nr;

	pthread_rwlock_rdlock(&q->lock);
	err = q->failed ? -EIO : qcow2_map_run(q, off, &run, &place);
	if (!err && place.in_place && place.kind == QCOW2_DATA &&
	    qcow2_may_write(q, place.host, in + run)) {
		*len = qcow2_iov_cut(from, run, part, &nr);
		err = q->file->ops->pwritev(q->file, part, nr, place.host + in);
		pthread_rwlock_unlock(&q->lock);
		return err;
	}
	pthread_rwlock_unlock(&q->lock);
	if (err)
		return err;
	*len = qcow2_iov_cut(from, MIN(*len, q->cluster_size - in), part, &nr);
	pthread_rwlock_wrlock(&q->lock);
	err = qcow2_write_cluster(q, part, nr, off, *len);
	pthread_rwlock_unlock(&q->lock);
	return err;
}

int qcow2_pwritev(struct disk *disk, struct iovec *iov, int nr, uint64_t off)
{
	struct qcow2 *q = qcow2_of(disk);
	uint64_t left = qcow2_iov_len(iov, nr), len;
	struct qcow2_iov from = {iov, nr};
	int err = disk->readonly ? -EROFS : 0;

	while (left && !err) {
		len = left;
		err = qcow2_write_some(q, &from, off, &len);
		off += len;
		left -= len;
	}
	return err;
}

int qcow2_flush(struct disk *disk)
{
	struct qcow2 *q = qcow2_of(disk);
	int err;

	if (disk->readonly)
		return 0;
	/* Most of the waiting is done here, while others go on. */
	err = q->file->ops->flush(q->file);
	if (err)
		return err;
	pthread_rwlock_wrlock(&q->lock);
	err = q->failed ? -EIO : qcow2_commit(q);
	pthread_rwlock_unlock(&q->lock);
	return err;
}

/* --- discard and write zeroes: whole clusters by the map, what is left over by writing --- */

/* What a cluster's entry becomes; false: it stays. */
static bool qcow2_emptied(const struct qcow2 *q, const struct qcow2_place *old, bool keep,
			  uint64_t *entry)
{
	bool reads_zero = old->kind == QCOW2_ZEROES || (old->kind == QCOW2_NONE && !q->backing);

	if (keep && q->version >= 3 && old->in_place)
		*entry = old->host | QCOW2_COPIED | QCOW2_ZERO;
	else if (keep && reads_zero)
		return false;
	else
		*entry = q->backing ? QCOW2_ZERO : 0;
	return *entry != old->entry;
}

static int qcow2_empty_cluster(struct qcow2 *q, uint64_t off, bool keep)
{
	struct qcow2_place place;
	uint64_t entry;
	int err = qcow2_map(q, off, &place);

	if (err || q->failed)
		return err ?: -EIO;
	if (!qcow2_emptied(q, &place, keep, &entry))
		return 0;
	err = qcow2_mark(q);
	if (!err)
		err = qcow2_replace(q, off, &place, entry);
	return err ?: qcow2_relieve(q);
}

/* Version 2 cannot say that a cluster hides what is behind it. */
static bool qcow2_can_empty(const struct qcow2 *q)
{
	return q->version >= 3 || !q->backing;
}

static int qcow2_write_zero_buffer(struct disk *disk, uint64_t off, uint64_t len)
{
	struct qcow2 *q = qcow2_of(disk);
	uint8_t *zero;
	int err = 0;

	if (!len)
		return 0;
	zero = calloc(1, q->cluster_size);
	if (!zero)
		return -ENOMEM;
	while (len && !err) {
		struct iovec iov = {zero, MIN(len, q->cluster_size - qcow2_in_cluster(q, off))};
		uint64_t n = iov.iov_len;

		err = qcow2_pwritev(disk, &iov, 1, off);
		off += n;
		len -= n;
	}
	free(zero);
	return err;
}

static int qcow2_empty(struct qcow2 *q, uint64_t off, uint64_t end, bool keep)
{
	int err = 0;

	for (; off < end && !err; off += q->cluster_size) {
		pthread_rwlock_wrlock(&q->lock);
		err = qcow2_empty_cluster(q, off, keep);
		pthread_rwlock_unlock(&q->lock);
	}
	return err;
}

int qcow2_discard(struct disk *disk, uint64_t off, uint64_t len)
{
	struct qcow2 *q = qcow2_of(disk);

	if (disk->readonly)
		return -EROFS;
	if (!qcow2_can_empty(q))
		return 0;
	return qcow2_empty(q, ALIGN_UP(off, q->cluster_size),
			   ALIGN_DOWN(off + len, q->cluster_size), false);
}

int qcow2_write_zeroes(struct disk *disk, uint64_t off, uint64_t len)
{
	struct qcow2 *q = qcow2_of(disk);
	uint64_t end = off + len;
	uint64_t first = ALIGN_UP(off, q->cluster_size), last = ALIGN_DOWN(end, q->cluster_size);
	int err;

	if (disk->readonly)
		return -EROFS;
	if (!qcow2_can_empty(q) || first >= last)
		return qcow2_write_zero_buffer(disk, off, len);
	err = qcow2_write_zero_buffer(disk, off, first - off);
	if (!err)
		err = qcow2_empty(q, first, last, true);
	return err ?: qcow2_write_zero_buffer(disk, last, end - last);
}
