// SPDX-License-Identifier: GPL-2.0-or-later
/* Tables of qcow2 images in memory, and how they get to the disk. See qcow2.h for the order. */
#include "qcow2.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/log.h"
#include "kvm/util.h"

#define TABLES_BYTES (16 * MIB)
#define TABLES_MIN   16
#define TABLES_MAX   256
#define TABLES_ALIGN 4096 /* for any O_DIRECT */

int qcow2_file_read(struct qcow2 *q, void *buf, uint64_t len, uint64_t off)
{
	struct iovec iov = {buf, len};

	return q->file->ops->preadv(q->file, &iov, 1, off);
}

int qcow2_file_write(struct qcow2 *q, const void *buf, uint64_t len, uint64_t off)
{
	struct iovec iov = {(void *)buf, len};

	return q->file->ops->pwritev(q->file, &iov, 1, off);
}

static int qcow2_file_flush(struct qcow2 *q)
{
	return q->file->ops->flush(q->file);
}

int qcow2_tables_init(struct qcow2 *q)
{
	q->nr_tables = MIN(MAX(TABLES_BYTES / q->cluster_size, TABLES_MIN), TABLES_MAX);
	q->table = calloc(q->nr_tables, sizeof(*q->table));
	return q->table ? 0 : -ENOMEM;
}

void qcow2_tables_fini(struct qcow2 *q)
{
	for (unsigned int i = 0; i < q->nr_tables && q->table; i++)
		free(q->table[i].data);
	free(q->table);
}

/* --- one table; table_lock held --- */

/* The table at `offset`, else one that can be used for it: empty, or the longest unused clean. */
static struct qcow2_table *qcow2_table_slot(struct qcow2 *q, uint64_t offset)
{
	struct qcow2_table *best = NULL;

	for (unsigned int i = 0; i < q->nr_tables; i++) {
		struct qcow2_table *t = &q->table[i];

		if (t->offset == offset)
			return t;
		if (!t->dirty && (!best || t->last_use < best->last_use))
			best = t;
	}
	return best;
}

static int qcow2_table_alloc(struct qcow2 *q, struct qcow2_table *t)
{
	void *data;

	t->offset = 0;
	t->last_use = 0;
	if (t->data)
		return 0;
	if (posix_memalign(&data, TABLES_ALIGN, q->cluster_size))
		return -ENOMEM;
	t->data = data;
	return 0;
}

static int qcow2_table_get(struct qcow2 *q, uint64_t offset, bool l2, struct qcow2_table **table)
{
	struct qcow2_table *t;
	int err;

	if (!offset || qcow2_in_cluster(q, offset) || offset >= q->file_end)
		return -EUCLEAN;
	t = qcow2_table_slot(q, offset);
	if (!t)
		return -ENOBUFS; /* many are dirty: qcow2_commit() keeps it from happening */
	if (t->offset != offset) {
		err = qcow2_table_alloc(q, t);
		if (!err)
			err = qcow2_file_read(q, t->data, q->cluster_size, offset);
		if (err)
			return err;
		t->offset = offset;
		t->l2 = l2;
		t->fresh = false;
	}
	/* Only a broken image has one as the other. */
	if (t->l2 != l2)
		return -EUCLEAN;
	t->last_use = ++q->use;
	*table = t;
	return 0;
}

static void qcow2_table_set_dirty(struct qcow2 *q, struct qcow2_table *t)
{
	q->nr_dirty += !t->dirty;
	t->dirty = true;
}

static uint64_t qcow2_load(const uint8_t *data, uint64_t index, unsigned int order)
{
	unsigned int per_byte_bits = 3 - MIN(order, 3u), bits = 1u << order;
	uint64_t val = 0;

	if (order < 3) {
		unsigned int shift = (index & ((1u << per_byte_bits) - 1)) << order;

		return data[index >> per_byte_bits] >> shift & ((1u << bits) - 1);
	}
	data += index << (order - 3);
	for (unsigned int i = 0; i < bits / 8; i++)
		val = val << 8 | data[i];
	return val;
}

static void qcow2_store(uint8_t *data, uint64_t index, unsigned int order, uint64_t val)
{
	unsigned int per_byte_bits = 3 - MIN(order, 3u), bits = 1u << order;

	if (order < 3) {
		unsigned int shift = (index & ((1u << per_byte_bits) - 1)) << order;
		unsigned int mask = ((1u << bits) - 1) << shift;

		data += index >> per_byte_bits;
		*data = (*data & ~mask) | (val << shift & mask);
		return;
	}
	data += index << (order - 3);
	for (unsigned int i = bits / 8; i--; val >>= 8)
		data[i] = val;
}

int qcow2_entry_get(struct qcow2 *q, uint64_t offset, bool l2, uint64_t index, unsigned int order,
		    uint64_t *val)
{
	struct qcow2_table *t;
	int err;

	pthread_mutex_lock(&q->table_lock);
	err = qcow2_table_get(q, offset, l2, &t);
	if (!err)
		*val = qcow2_load(t->data, index, order);
	pthread_mutex_unlock(&q->table_lock);
	return err;
}

int qcow2_entry_set(struct qcow2 *q, uint64_t offset, bool l2, uint64_t index, unsigned int order,
		    uint64_t val)
{
	struct qcow2_table *t;
	int err;

	pthread_mutex_lock(&q->table_lock);
	err = qcow2_table_get(q, offset, l2, &t);
	if (!err) {
		qcow2_store(t->data, index, order, val);
		qcow2_table_set_dirty(q, t);
	}
	pthread_mutex_unlock(&q->table_lock);
	return err;
}

int qcow2_table_create(struct qcow2 *q, uint64_t offset, bool l2, uint64_t from)
{
	struct qcow2_table *t, *old = NULL;
	int err = 0;

	pthread_mutex_lock(&q->table_lock);
	if (from)
		err = qcow2_table_get(q, from, l2, &old);
	t = err ? NULL : qcow2_table_slot(q, offset);
	if (!err && !t)
		err = -ENOBUFS;
	if (!err && t->offset != offset)
		err = qcow2_table_alloc(q, t);
	if (!err) {
		/* It may be the same one, if no other is clean. */
		if (old)
			memmove(t->data, old->data, q->cluster_size);
		else
			memset(t->data, 0, q->cluster_size);
		t->offset = offset;
		t->last_use = ++q->use;
		t->l2 = l2;
		t->fresh = l2;
		qcow2_table_set_dirty(q, t);
		q->file_end = MAX(q->file_end, offset + q->cluster_size);
	}
	pthread_mutex_unlock(&q->table_lock);
	return err;
}

/* --- writing --- */

void qcow2_root_set(struct qcow2_root *root, uint32_t index, uint64_t val)
{
	root->entry[index] = val;
	root->first = root->end ? MIN(root->first, index) : index;
	root->end = MAX(root->end, index + 1);
}

static int qcow2_root_write(struct qcow2 *q, struct qcow2_root *root)
{
	uint64_t some[64];
	int err;

	while (root->first < root->end) {
		unsigned int nr = MIN(root->end - root->first, ARRAY_SIZE(some));

		for (unsigned int i = 0; i < nr; i++)
			some[i] = htobe64(root->entry[root->first + i]);
		err = qcow2_file_write(q, some, nr * sizeof(some[0]),
				       root->offset + root->first * sizeof(some[0]));
		if (err)
			return err;
		root->first += nr;
	}
	root->first = root->end = 0;
	return 0;
}

static int qcow2_write_tables(struct qcow2 *q, bool l2, bool fresh)
{
	int err = 0;

	pthread_mutex_lock(&q->table_lock);
	for (unsigned int i = 0; i < q->nr_tables && !err; i++) {
		struct qcow2_table *t = &q->table[i];

		if (!t->dirty || t->l2 != l2 || t->fresh != fresh)
			continue;
		err = qcow2_file_write(q, t->data, q->cluster_size, t->offset);
		if (err)
			break;
		/* Until L1 is written, which needs it too, it stays fresh: it may change again. */
		t->dirty = false;
		q->nr_dirty--;
	}
	pthread_mutex_unlock(&q->table_lock);
	return err;
}

int qcow2_write_refcounts(struct qcow2 *q)
{
	return qcow2_write_tables(q, false, false);
}

static void qcow2_tables_linked(struct qcow2 *q)
{
	pthread_mutex_lock(&q->table_lock);
	for (unsigned int i = 0; i < q->nr_tables; i++)
		q->table[i].fresh = false;
	pthread_mutex_unlock(&q->table_lock);
}

bool qcow2_is_dirty(struct qcow2 *q)
{
	bool dirty;

	pthread_mutex_lock(&q->table_lock);
	dirty = q->nr_dirty;
	pthread_mutex_unlock(&q->table_lock);
	return dirty || q->l1.end || q->reftable.end || q->nr_unused;
}

int qcow2_commit(struct qcow2 *q)
{
	int err;

	if (!qcow2_is_dirty(q))
		return 0;
	err = qcow2_mark(q);
	if (!err)
		err = qcow2_write_refcounts(q);
	if (!err)
		err = qcow2_write_tables(q, true, true);
	if (!err)
		err = qcow2_file_flush(q);
	if (!err && q->reftable.end) {
		err = qcow2_root_write(q, &q->reftable);
		if (!err)
			err = qcow2_file_flush(q);
	}
	if (!err)
		err = qcow2_write_tables(q, true, false);
	if (!err)
		err = qcow2_root_write(q, &q->l1);
	if (!err)
		err = qcow2_file_flush(q);
	if (err)
		return err;
	qcow2_tables_linked(q);
	qcow2_free_unused(q);
	return 0;
}

/* --- marks in the header --- */

static int qcow2_write_incompatible(struct qcow2 *q, uint64_t bits)
{
	uint64_t val = htobe64(bits);
	int err = qcow2_file_write(q, &val, sizeof(val), QCOW2_H_INCOMPATIBLE);

	if (!err)
		err = qcow2_file_flush(q);
	if (!err)
		q->incompatible = bits;
	return err;
}

int qcow2_mark(struct qcow2 *q)
{
	const uint64_t none = 0;
	int err = 0;

	if (q->marked)
		return 0;
	if (q->version >= 3) {
		/* "autoclear_features": what others keep in step with the data is so no more. */
		err = qcow2_file_write(q, &none, sizeof(none), QCOW2_H_AUTOCLEAR);
		if (!err)
			err = qcow2_write_incompatible(q, q->incompatible | QCOW2_INCOMPAT_DIRTY);
	}
	q->marked = !err;
	return err;
}

int qcow2_unmark(struct qcow2 *q)
{
	if (q->version < 3 || !(q->incompatible & QCOW2_INCOMPAT_DIRTY))
		return 0;
	return qcow2_write_incompatible(q, q->incompatible & ~QCOW2_INCOMPAT_DIRTY);
}

int qcow2_corrupt(struct qcow2 *q, const char *why)
{
	if (!q->failed)
		log_error("disk %s: the image is corrupt: %s%s", q->disk.path, why,
			  q->disk.readonly ? "" : "; no more is written to it");
	if (!q->failed && !q->disk.readonly && q->version >= 3)
		(void)qcow2_write_incompatible(q, q->incompatible | QCOW2_INCOMPAT_CORRUPT);
	q->failed = true;
	return -EIO;
}
