/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_DISK_QCOW2_H
#define LKVM_DISK_QCOW2_H

/*
 * qcow2 images, version 2 and 3 (QEMU's docs/interop/qcow2.txt; sections are named in quotes).
 *
 * The image is hostile: each number read from it is judged where it is read. It is a map of two
 * levels (L1 -> L2 -> cluster) from guest to host clusters, and a reference count for each host
 * cluster, in two levels too (refcount table -> block).
 *
 * What the guest has not flushed it may lose, so changed tables stay in memory until a flush (or
 * until many are dirty), and go out in an order in which the image is whole at any moment:
 *
 *	data as it comes      to clusters that nothing on disk refers to
 *	qcow2_commit():  1    refcounts, L2 tables that are new;	then fdatasync
 *			 2    the refcount table;			then fdatasync
 *			 3    L2 tables, L1;				then fdatasync
 *			 4    what these no longer refer to may be used again
 *
 * Whoever dies between 1 and 3 leaves clusters that are counted and not used (leaks) and nothing
 * worse. Version 3 images carry the dirty bit while we write; the next one that opens the image,
 * QEMU included, then counts anew. Version 2 has no such bit: it is always counted anew.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm/disk.h"

#define QCOW2_MAGIC 0x514649fbu

/* "Header": offsets of what is read or written. */
#define QCOW2_H_BACKING_OFFSET	  8
#define QCOW2_H_BACKING_SIZE	  16
#define QCOW2_H_CLUSTER_BITS	  20
#define QCOW2_H_SIZE		  24
#define QCOW2_H_CRYPT		  32
#define QCOW2_H_L1_SIZE		  36
#define QCOW2_H_L1_OFFSET	  40
#define QCOW2_H_REFTABLE_OFFSET	  48
#define QCOW2_H_REFTABLE_CLUSTERS 56
#define QCOW2_H_NR_SNAPSHOTS	  60
#define QCOW2_H_SNAPSHOTS_OFFSET  64
#define QCOW2_H_INCOMPATIBLE	  72
#define QCOW2_H_AUTOCLEAR	  88
#define QCOW2_H_REFCOUNT_ORDER	  96
#define QCOW2_H_LENGTH		  100
#define QCOW2_H_COMPRESSION	  104
#define QCOW2_HEADER_V2		  72
#define QCOW2_HEADER_V3		  104
#define QCOW2_HEADER_MAX	  512 /* of which we look at no more */

#define QCOW2_INCOMPAT_DIRTY	   1ull
#define QCOW2_INCOMPAT_CORRUPT	   2ull
#define QCOW2_INCOMPAT_COMPRESSION 8ull

/* "L1 table entry", "L2 table entry" */
#define QCOW2_COPIED	 (1ull << 63) /* referred to once: may be written in place */
#define QCOW2_COMPRESSED (1ull << 62)
#define QCOW2_ZERO	 1ull
#define QCOW2_OFFSET	 0x00fffffffffffe00ull

/* Limits; QEMU has the same, so nobody makes images beyond them. */
#define QCOW2_MAX_L1_BYTES	 (32u << 20)
#define QCOW2_MAX_REFTABLE_BYTES (8u << 20)
#define QCOW2_MAX_SNAPSHOTS	 65536
#define QCOW2_MAX_BACKING_NAME	 1023
#define QCOW2_MAX_DEPTH		 32 /* images in a chain */

#define QCOW2_ORDER_U64 6 /* entries of 2^6 bits: all tables but refcount blocks */

/* A refcount block or L2 table in memory, as it is on disk. */
struct qcow2_table {
	uint64_t offset; /* 0: unused */
	uint64_t last_use;
	bool l2, dirty;
	bool fresh; /* L2 that L1 on disk does not refer to yet */
	uint8_t *data;
};

/* A table of tables, all of it in memory; entries [first, end) are to be written. */
struct qcow2_root {
	uint64_t *entry;
	uint64_t offset;
	uint32_t size, first, end;
};

struct qcow2 {
	struct disk disk;
	struct disk *file, *backing; /* backing may be NULL */
	char *backing_path;
	unsigned int version, cluster_bits, refcount_order, l2_bits;
	uint64_t cluster_size;
	uint64_t incompatible;
	bool zstd, has_bitmaps;
	uint32_t nr_snapshots;
	uint64_t snapshots_offset;

	/*
	 * The map and the refcounts: held for reading while data is read or written where the map
	 * says, for writing while these change. Taken before table_lock.
	 */
	pthread_rwlock_t lock;
	bool marked;	    /* the header says that we write */
	atomic_bool failed; /* corrupt: no more writing */
	struct qcow2_root l1, reftable;
	uint64_t file_end;  /* whole clusters; behind it the file is empty */
	uint64_t next_free; /* no cluster below this index is free */
	uint64_t *unused;   /* host clusters to be freed by the next commit; once per reference */
	unsigned int nr_unused, max_unused;

	pthread_mutex_t table_lock; /* protects the tables */
	struct qcow2_table *table;
	unsigned int nr_tables, nr_dirty;
	uint64_t use;
};

static inline uint64_t qcow2_in_cluster(const struct qcow2 *q, uint64_t off)
{
	return off & (q->cluster_size - 1);
}

/* All of these return 0 or a negative errno. */

/* --- qcow2-table.c: the tables, and the one order in which they are written --- */
int qcow2_file_read(struct qcow2 *q, void *buf, uint64_t len, uint64_t off);
int qcow2_file_write(struct qcow2 *q, const void *buf, uint64_t len, uint64_t off);
int qcow2_tables_init(struct qcow2 *q);
void qcow2_tables_fini(struct qcow2 *q);
/* Entry `index` (of 2^order bits) of the table at `offset`. Setting wants `lock` for writing. */
int qcow2_entry_get(struct qcow2 *q, uint64_t offset, bool l2, uint64_t index, unsigned int order,
		    uint64_t *val);
int qcow2_entry_set(struct qcow2 *q, uint64_t offset, bool l2, uint64_t index, unsigned int order,
		    uint64_t val);
/* A new table at `offset`: empty, or a copy of the one at `from`. */
int qcow2_table_create(struct qcow2 *q, uint64_t offset, bool l2, uint64_t from);
int qcow2_write_refcounts(struct qcow2 *q); /* the dirty blocks, not the refcount table */
void qcow2_root_set(struct qcow2_root *root, uint32_t index, uint64_t val);
/* Lock held for writing. */
int qcow2_commit(struct qcow2 *q);
bool qcow2_is_dirty(struct qcow2 *q);
int qcow2_mark(struct qcow2 *q);   /* sets the dirty bit, before anything else changes */
int qcow2_unmark(struct qcow2 *q); /* all is written */
/* Says why, and ends all writing: -EIO. */
int qcow2_corrupt(struct qcow2 *q, const char *why);

/* --- qcow2-alloc.c: refcounts; lock held for writing --- */
int qcow2_refcount_get(struct qcow2 *q, uint64_t cluster, uint64_t *count);
bool qcow2_has_block(const struct qcow2 *q, uint64_t cluster); /* that counts it */
int qcow2_refcount_set(struct qcow2 *q, uint64_t cluster, uint64_t count);
int qcow2_alloc(struct qcow2 *q, uint64_t nr, uint64_t *offset); /* adjacent clusters */
void qcow2_unalloc(struct qcow2 *q, uint64_t offset); /* never referred to: free at once */
/* One reference less, once the map on disk says so. Out of memory it is a leak. */
void qcow2_unref(struct qcow2 *q, uint64_t offset, uint64_t len);
void qcow2_free_unused(struct qcow2 *q);

/* --- qcow2-check.c --- */
int qcow2_recount(struct qcow2 *q); /* makes all refcounts what they should be */

/* --- qcow2-inflate.c --- */
int qcow2_inflate(bool zstd, const void *in, uint64_t in_len, void *out, uint64_t out_len);
/* Where a compressed cluster is ("Compressed Clusters Descriptor"). */
void qcow2_compressed_extent(const struct qcow2 *q, uint64_t entry, uint64_t *offset,
			     uint64_t *len);

/* --- qcow2.c: struct disk_ops --- */
int qcow2_preadv(struct disk *disk, struct iovec *iov, int nr, uint64_t off);
int qcow2_pwritev(struct disk *disk, struct iovec *iov, int nr, uint64_t off);
int qcow2_flush(struct disk *disk);
int qcow2_discard(struct disk *disk, uint64_t off, uint64_t len);
int qcow2_write_zeroes(struct disk *disk, uint64_t off, uint64_t len);

#endif
