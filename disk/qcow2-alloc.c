// SPDX-License-Identifier: GPL-2.0-or-later
/* Reference counts of host clusters: who is free, who is used once or more. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/util.h"
#include "qcow2.h"

/* Clusters that one refcount block counts. */
static uint64_t qcow2_block_entries(const struct qcow2 *q)
{
	return q->cluster_size * 8 >> q->refcount_order;
}

static uint64_t qcow2_block_of(const struct qcow2 *q, uint64_t cluster)
{
	uint64_t i = cluster / qcow2_block_entries(q);

	return i < q->reftable.size ? q->reftable.entry[i] & QCOW2_OFFSET : 0;
}

bool qcow2_has_block(const struct qcow2 *q, uint64_t cluster)
{
	return qcow2_block_of(q, cluster);
}

int qcow2_refcount_get(struct qcow2 *q, uint64_t cluster, uint64_t *count)
{
	uint64_t block = qcow2_block_of(q, cluster);

	*count = 0;
	if (!block)
		return 0;
	return qcow2_entry_get(q, block, false, cluster % qcow2_block_entries(q), q->refcount_order,
			       count);
}

/*
 * A larger refcount table, behind all that the old one covers, where nothing can be: first the
 * refcount blocks that count for what is written here, then the table.
 */
static int qcow2_grow_reftable(struct qcow2 *q)
{
	uint64_t entries = qcow2_block_entries(q), start = q->reftable.size * entries;
	uint64_t size = q->reftable.size * 2, bytes = size * sizeof(uint64_t);
	uint64_t nr_table = bytes / q->cluster_size, nr_blocks = 1;
	struct qcow2_root root = {.size = size}, old = q->reftable;
	uint8_t update[12];
	uint64_t *disk;
	int err = 0;

	if (bytes > QCOW2_MAX_REFTABLE_BYTES)
		return -EFBIG;
	while (nr_blocks * entries < nr_blocks + nr_table)
		nr_blocks++;
	root.offset = (start + nr_blocks) * q->cluster_size;
	root.entry = calloc(size, sizeof(uint64_t));
	disk = malloc(bytes);
	if (!root.entry || !disk || nr_blocks > old.size) {
		free(root.entry);
		free(disk);
		return -ENOMEM;
	}
	memcpy(root.entry, old.entry, old.size * sizeof(uint64_t));
	q->reftable = root;
	for (uint64_t i = 0; i < nr_blocks && !err; i++) {
		q->reftable.entry[old.size + i] = (start + i) * q->cluster_size;
		err = qcow2_table_create(q, (start + i) * q->cluster_size, false, 0);
	}
	for (uint64_t i = 0; i < nr_blocks + nr_table && !err; i++)
		err = qcow2_refcount_set(q, start + i, 1);
	for (uint64_t i = 0; i < size; i++)
		disk[i] = htobe64(q->reftable.entry[i]);
	if (!err)
		err = qcow2_mark(q);
	if (!err)
		err = qcow2_write_refcounts(q);
	if (!err)
		err = qcow2_file_write(q, disk, bytes, root.offset);
	if (!err)
		err = q->file->ops->flush(q->file);
	memcpy(update, &(uint64_t){htobe64(root.offset)}, 8);
	memcpy(update + 8, &(uint32_t){htobe32(nr_table)}, 4);
	if (!err)
		err = qcow2_file_write(q, update, sizeof(update), QCOW2_H_REFTABLE_OFFSET);
	if (!err)
		err = q->file->ops->flush(q->file);
	free(disk);
	free(old.entry);
	if (err)
		return qcow2_corrupt(q, "its refcount table could not be enlarged");
	q->file_end = MAX(q->file_end, root.offset + bytes);
	qcow2_unref(q, old.offset, old.size * sizeof(uint64_t));
	return 0;
}

/* Where there is no block yet nothing is used: the block is put there itself. */
static int qcow2_need_block(struct qcow2 *q, uint64_t cluster)
{
	uint64_t entries = qcow2_block_entries(q), i = cluster / entries;
	uint64_t first = i * entries, offset = first * q->cluster_size;
	int err;

	while (i >= q->reftable.size) {
		err = qcow2_grow_reftable(q);
		if (err)
			return err;
	}
	if (qcow2_block_of(q, cluster))
		return 0;
	if (!first || offset & ~QCOW2_OFFSET)
		return first ? -EFBIG : qcow2_corrupt(q, "it has no refcounts");
	err = qcow2_table_create(q, offset, false, 0);
	if (err)
		return err;
	qcow2_root_set(&q->reftable, i, offset);
	return qcow2_refcount_set(q, first, 1);
}

int qcow2_refcount_set(struct qcow2 *q, uint64_t cluster, uint64_t count)
{
	int err = qcow2_block_of(q, cluster) ? 0 : qcow2_need_block(q, cluster);

	if (err)
		return err;
	if (q->refcount_order < 6 && count >> (1u << q->refcount_order))
		return -EOVERFLOW;
	return qcow2_entry_set(q, qcow2_block_of(q, cluster), false,
			       cluster % qcow2_block_entries(q), q->refcount_order, count);
}

/* "Refcounts" of a sound image never give these away. */
static bool qcow2_is_metadata(const struct qcow2 *q, uint64_t offset, uint64_t len)
{
	return ranges_overlap(offset, len, 0, q->cluster_size) ||
	       ranges_overlap(offset, len, q->l1.offset, q->l1.size * sizeof(uint64_t)) ||
	       ranges_overlap(offset, len, q->reftable.offset,
			      q->reftable.size * sizeof(uint64_t)) ||
	       (q->nr_snapshots && ranges_overlap(offset, len, q->snapshots_offset, 1));
}

int qcow2_alloc(struct qcow2 *q, uint64_t nr, uint64_t *offset)
{
	uint64_t run = 0, cluster, count;
	int err;

	if (nr >= qcow2_block_entries(q))
		return -EFBIG;
	for (cluster = q->next_free; run < nr; cluster++) {
		err = qcow2_need_block(q, cluster);
		if (!err)
			err = qcow2_refcount_get(q, cluster, &count);
		if (err)
			return err == -EUCLEAN ? qcow2_corrupt(q, "a refcount block is no such")
					       : err;
		run = count ? 0 : run + 1;
	}
	cluster -= nr;
	*offset = cluster * q->cluster_size;
	if (qcow2_is_metadata(q, *offset, nr * q->cluster_size))
		return qcow2_corrupt(q, "clusters in use are counted as free");
	for (uint64_t i = 0; i < nr; i++) {
		err = qcow2_refcount_set(q, cluster + i, 1);
		if (err)
			return err;
	}
	if (nr == 1)
		q->next_free = cluster + 1;
	return 0;
}

static void qcow2_put(struct qcow2 *q, uint64_t offset, bool punch)
{
	uint64_t cluster = offset >> q->cluster_bits, count;

	if (qcow2_refcount_get(q, cluster, &count) || !count ||
	    qcow2_refcount_set(q, cluster, count - 1)) {
		(void)qcow2_corrupt(q, "a cluster in use is counted as free");
		return;
	}
	if (count > 1)
		return;
	q->next_free = MIN(q->next_free, cluster);
	if (punch)
		(void)q->file->ops->discard(q->file, offset, q->cluster_size);
}

void qcow2_unalloc(struct qcow2 *q, uint64_t offset)
{
	qcow2_put(q, offset, false);
}

void qcow2_unref(struct qcow2 *q, uint64_t offset, uint64_t len)
{
	uint64_t end = offset + len;

	for (offset -= qcow2_in_cluster(q, offset); offset < end; offset += q->cluster_size) {
		if (q->nr_unused == q->max_unused) {
			unsigned int max = MAX(q->max_unused * 2, 64u);
			uint64_t *more = realloc(q->unused, max * sizeof(*more));

			if (!more)
				return; /* a leak */
			q->unused = more;
			q->max_unused = max;
		}
		q->unused[q->nr_unused++] = offset;
	}
}

void qcow2_free_unused(struct qcow2 *q)
{
	/* No more than leaves room for other tables; the rest has time. */
	while (q->nr_unused && q->nr_dirty < q->nr_tables / 2)
		qcow2_put(q, q->unused[--q->nr_unused], true);
}
