// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counts the references to all host clusters anew, after a writer died: from the maps of the
 * active image and of its snapshots, and from the tables themselves.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/util.h"
#include "qcow2.h"

#define RECOUNT_MAX_CLUSTERS (1ull << 28) /* which takes a GiB to count */

struct recount {
	struct qcow2 *q;
	uint32_t *refs;
	uint64_t nr;
};

static int recount_add(struct recount *r, uint64_t offset, uint64_t len)
{
	uint64_t first = offset >> r->q->cluster_bits;
	uint64_t last = (offset + len - 1) >> r->q->cluster_bits;

	if (!len)
		return 0;
	if (last < first || last >= r->nr)
		return -EUCLEAN;
	for (uint64_t i = first; i <= last; i++)
		if (r->refs[i] < UINT32_MAX)
			r->refs[i]++;
	return 0;
}

static int recount_l2_entry(struct recount *r, uint64_t entry)
{
	uint64_t offset, len;

	if (entry & QCOW2_COMPRESSED) {
		qcow2_compressed_extent(r->q, entry, &offset, &len);
		/* It says in sectors how long it is at most: the file may end before. */
		if (offset >= r->q->file_end)
			return -EUCLEAN;
		return recount_add(r, offset, MIN(len, r->q->file_end - offset));
	}
	offset = entry & QCOW2_OFFSET;
	if (!offset)
		return 0;
	return qcow2_in_cluster(r->q, offset) ? -EUCLEAN
					      : recount_add(r, offset, r->q->cluster_size);
}

/* One map: its L1, the L2 tables and what they refer to. */
static int recount_l1(struct recount *r, uint64_t l1_offset, const uint64_t *l1, uint32_t size)
{
	struct qcow2 *q = r->q;
	int err = recount_add(r, l1_offset, size * sizeof(uint64_t));
	uint64_t *l2 = malloc(q->cluster_size);

	if (!l2)
		return -ENOMEM;
	for (uint32_t i = 0; i < size && !err; i++) {
		uint64_t offset = l1[i] & QCOW2_OFFSET;

		if (!offset)
			continue;
		err = qcow2_in_cluster(q, offset) ? -EUCLEAN
						  : recount_add(r, offset, q->cluster_size);
		if (!err)
			err = qcow2_file_read(q, l2, q->cluster_size, offset);
		for (uint64_t j = 0; j < q->cluster_size / sizeof(*l2) && !err; j++)
			err = recount_l2_entry(r, be64toh(l2[j]));
	}
	free(l2);
	return err;
}

static int recount_snapshot(struct recount *r, const uint8_t *header)
{
	uint64_t offset = be64toh(*(const uint64_t *)header);
	uint32_t size = be32toh(*(const uint32_t *)(header + 8));
	uint64_t *l1;
	int err;

	if (qcow2_in_cluster(r->q, offset) || size > QCOW2_MAX_L1_BYTES / sizeof(*l1))
		return -EUCLEAN;
	l1 = calloc(MAX(size, 1u), sizeof(*l1));
	if (!l1)
		return -ENOMEM;
	err = qcow2_file_read(r->q, l1, size * sizeof(*l1), offset);
	for (uint32_t i = 0; i < size; i++)
		l1[i] = be64toh(l1[i]);
	if (!err)
		err = recount_l1(r, offset, l1, size);
	free(l1);
	return err;
}

/* "Snapshots": 40 bytes, extra data, id, name, padding to 8. */
static int recount_snapshots(struct recount *r)
{
	uint64_t at = r->q->snapshots_offset;
	_Alignas(8) uint8_t header[40];
	int err = 0;

	for (uint32_t i = 0; i < r->q->nr_snapshots && !err; i++) {
		if (at >= r->q->file_end)
			return -EUCLEAN;
		err = qcow2_file_read(r->q, header, sizeof(header), at);
		if (!err)
			err = recount_snapshot(r, header);
		at += sizeof(header) + be32toh(*(uint32_t *)(header + 36));
		at += be16toh(*(uint16_t *)(header + 12)) + be16toh(*(uint16_t *)(header + 14));
		at = ALIGN_UP(at, 8ull);
	}
	return err ?: recount_add(r, r->q->snapshots_offset, at - r->q->snapshots_offset);
}

static int recount_tables(struct recount *r)
{
	struct qcow2 *q = r->q;
	int err = recount_add(r, 0, q->cluster_size);

	if (!err)
		err = recount_add(r, q->reftable.offset, q->reftable.size * sizeof(uint64_t));
	for (uint32_t i = 0; i < q->reftable.size && !err; i++) {
		uint64_t offset = q->reftable.entry[i] & QCOW2_OFFSET;

		if (offset)
			err = qcow2_in_cluster(q, offset) ? -EUCLEAN
							  : recount_add(r, offset, q->cluster_size);
	}
	if (!err)
		err = recount_l1(r, q->l1.offset, q->l1.entry, q->l1.size);
	return err ?: recount_snapshots(r);
}

/*
 * A block that is missing for clusters in use is not ours to make up: we write them before what
 * they count, and where to put it is not known until all is counted.
 */
static int recount_apply(struct recount *r)
{
	struct qcow2 *q = r->q;
	uint64_t count;
	int err = 0;

	for (uint64_t i = 0; i < r->nr && !err; i++) {
		err = qcow2_refcount_get(q, i, &count);
		/* Bitmaps have clusters of their own, which we do not count. */
		if (err || count == r->refs[i] || (q->has_bitmaps && count > r->refs[i]))
			continue;
		if (!qcow2_has_block(q, i))
			return -EUCLEAN;
		err = qcow2_refcount_set(q, i, r->refs[i]);
		if (!err && q->nr_dirty > q->nr_tables / 2)
			err = qcow2_write_refcounts(q);
	}
	return err;
}

int qcow2_recount(struct qcow2 *q)
{
	struct recount r = {.q = q, .nr = q->file_end >> q->cluster_bits};
	int err;

	if (r.nr > RECOUNT_MAX_CLUSTERS)
		return -EFBIG;
	r.refs = calloc(r.nr, sizeof(*r.refs));
	if (!r.refs)
		return -ENOMEM;
	err = recount_tables(&r);
	if (!err)
		err = recount_apply(&r);
	free(r.refs);
	return err ?: qcow2_commit(q);
}
