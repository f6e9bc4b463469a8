/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_TESTS_VIRTQ_DRIVER_H
#define LKVM_TESTS_VIRTQ_DRIVER_H

/*
 * The driver's side of a virtqueue (virtio 1.2 §2.7, §2.8), written from the specification and
 * sharing nothing with virtio/virtq.c: what the tests drive devices with.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/memory.h"
#include "kvm/virtq.h"

#define DRV_GPA	      0x10000000ull
#define DRV_RAM_SIZE  0x400000ull
#define DRV_RINGS     DRV_GPA /* areas of queue n are at DRV_RINGS + n * DRV_RING_STEP */
#define DRV_RING_STEP 0x10000ull
#define DRV_DATA      (DRV_GPA + 0x100000ull)

#define DRV_F_NEXT     1
#define DRV_F_WRITE    2
#define DRV_F_INDIRECT 4
#define DRV_F_AVAIL    0x80
#define DRV_F_USED     0x8000

struct drv_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t a, b; /* split: flags, next; packed: id, flags */
};

struct drv_buf {
	uint64_t gpa;
	uint32_t len;
};

struct drv_ram {
	struct memory mem;
	uint8_t *hva;
};

struct drv_queue {
	struct drv_ram *ram;
	struct virtq_config cfg;
	unsigned int nr_free; /* descriptors */
	uint16_t free_head;   /* split: first free descriptor */
	uint16_t avail, used; /* split: free-running; packed: positions */
	bool avail_wrap, used_wrap;
	uint64_t added, taken;	  /* ring entries (split) or slots (packed), ever */
	uint64_t kicked;	  /* value of `added` when a kick was last considered */
	uint16_t nr_descs[65536]; /* of the chain with that id */
	bool busy[65536];
	bool in_order;	       /* chains come back as they went (§6.2), which is checked */
	uint16_t order[65536]; /* their ids; both counts are free-running */
	uint16_t order_added, order_used;
};

static inline void drv_ram_init(struct drv_ram *ram)
{
	memset(ram, 0, sizeof(*ram));
	if (posix_memalign((void **)&ram->hva, 4096, DRV_RAM_SIZE))
		abort();
	memset(ram->hva, 0, DRV_RAM_SIZE);
	ram->mem.nr_banks = 1;
	ram->mem.bank[0] =
		(struct memory_bank){.gpa = DRV_GPA, .size = DRV_RAM_SIZE, .hva = ram->hva};
}

static inline void drv_ram_fini(struct drv_ram *ram)
{
	free(ram->hva);
}

static inline void *drv_ptr(struct drv_ram *ram, uint64_t gpa)
{
	assert(gpa >= DRV_GPA && gpa < DRV_GPA + DRV_RAM_SIZE);
	return ram->hva + (gpa - DRV_GPA);
}

static inline uint16_t drv_load16(const struct drv_queue *q, uint64_t gpa)
{
	return __atomic_load_n((uint16_t *)drv_ptr(q->ram, gpa), __ATOMIC_SEQ_CST);
}

static inline void drv_store16(const struct drv_queue *q, uint64_t gpa, uint16_t val)
{
	__atomic_store_n((uint16_t *)drv_ptr(q->ram, gpa), val, __ATOMIC_SEQ_CST);
}

static inline struct drv_desc *drv_desc(const struct drv_queue *q, unsigned int i)
{
	return (struct drv_desc *)drv_ptr(q->ram, q->cfg.desc) + i;
}

static inline void drv_queue_init(struct drv_queue *q, struct drv_ram *ram, unsigned int nr,
				  const struct virtq_config *cfg)
{
	uint64_t base = DRV_RINGS + nr * DRV_RING_STEP;

	memset(q, 0, sizeof(*q));
	memset(drv_ptr(ram, base), 0, DRV_RING_STEP);
	q->ram = ram;
	q->cfg = *cfg;
	q->cfg.desc = base;
	q->cfg.driver = base + 0x8000;
	q->cfg.device = base + 0xa000;
	q->nr_free = cfg->size;
	q->avail_wrap = q->used_wrap = true;
	if (!cfg->packed)
		for (unsigned int i = 0; i < cfg->size; i++)
			drv_desc(q, i)->b = i + 1;
}

static inline struct drv_desc drv_make(const struct drv_buf *buf, uint16_t flags)
{
	return (struct drv_desc){.addr = buf->gpa, .len = buf->len, .a = flags};
}

/* Writes the chain's buffers as a table of descriptors (an indirect one). */
static inline void drv_write_table(struct drv_queue *q, uint64_t table, const struct drv_buf *bufs,
				   unsigned int nr_out, unsigned int nr)
{
	uint8_t *at = drv_ptr(q->ram, table);

	for (unsigned int i = 0; i < nr; i++) {
		uint16_t flags = i >= nr_out ? DRV_F_WRITE : 0;
		struct drv_desc d = drv_make(&bufs[i], flags);

		if (q->cfg.packed) {
			d.a = 0;
			d.b = flags;
		} else if (i + 1 < nr) {
			d.a |= DRV_F_NEXT;
			d.b = i + 1;
		}
		memcpy(at + i * sizeof(d), &d, sizeof(d));
	}
}

static inline int drv_add_split(struct drv_queue *q, const struct drv_buf *bufs,
				const uint16_t *flags, unsigned int nr)
{
	uint16_t head = q->free_head, at = head;

	for (unsigned int i = 0; i < nr; i++) {
		struct drv_desc *d = drv_desc(q, at);
		uint16_t next = d->b;

		*d = drv_make(&bufs[i], flags[i] | (i + 1 < nr ? DRV_F_NEXT : 0));
		d->b = next;
		at = next;
	}
	q->free_head = at;
	drv_store16(q, q->cfg.driver + 4 + 2 * (q->avail % q->cfg.size), head);
	q->avail++;
	q->added++;
	drv_store16(q, q->cfg.driver + 2, q->avail);
	return head;
}

static inline int drv_add_packed(struct drv_queue *q, const struct drv_buf *bufs,
				 const uint16_t *flags, unsigned int nr)
{
	uint16_t first = q->avail, first_flags = 0, id = 0;

	while (q->busy[id])
		id++;
	for (unsigned int i = 0; i < nr; i++) {
		struct drv_desc *d = drv_desc(q, q->avail);
		uint16_t f = flags[i] | (i + 1 < nr ? DRV_F_NEXT : 0) |
			     (q->avail_wrap ? DRV_F_AVAIL : DRV_F_USED);

		d->addr = bufs[i].gpa;
		d->len = bufs[i].len;
		d->a = id;
		if (i)
			d->b = f;
		else
			first_flags = f;
		if (++q->avail == q->cfg.size) {
			q->avail = 0;
			q->avail_wrap = !q->avail_wrap;
		}
	}
	q->added += nr;
	__atomic_store_n(&drv_desc(q, first)->b, first_flags, __ATOMIC_SEQ_CST);
	return id;
}

/*
 * Makes a chain available: nr_out buffers to be read, then nr_in to be written; by way of an
 * indirect table at `table` unless that is 0. The chain's id, or -1 when the ring is full.
 */
static inline int drv_add(struct drv_queue *q, const struct drv_buf *bufs, unsigned int nr_out,
			  unsigned int nr_in, uint64_t table)
{
	unsigned int nr = table ? 1 : nr_out + nr_in;
	struct drv_buf indirect = {table, (nr_out + nr_in) * sizeof(struct drv_desc)};
	uint16_t flags[VIRTQ_MAX_SIZE];
	int id;

	if (q->nr_free < nr)
		return -1;
	for (unsigned int i = 0; i < nr; i++)
		flags[i] = i >= nr_out ? DRV_F_WRITE : 0;
	if (table) {
		drv_write_table(q, table, bufs, nr_out, nr_out + nr_in);
		flags[0] = DRV_F_INDIRECT;
		bufs = &indirect;
	}
	id = q->cfg.packed ? drv_add_packed(q, bufs, flags, nr) : drv_add_split(q, bufs, flags, nr);
	q->nr_free -= nr;
	q->nr_descs[id] = nr;
	q->busy[id] = true;
	q->order[q->order_added++] = id;
	return id;
}

static inline bool drv_event_passed(uint64_t event, uint64_t from, uint64_t to)
{
	return event >= from && event < to;
}

/* Whether the device wants to be notified of what was added since this was asked last. */
static inline bool drv_wants_kick(struct drv_queue *q)
{
	uint64_t from = q->kicked, to = q->added, lap;
	uint16_t flags, event;

	q->kicked = to;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (from == to)
		return false;
	if (!q->cfg.packed) {
		if (!q->cfg.event_idx)
			return !(drv_load16(q, q->cfg.device) & 1);
		event = drv_load16(q, q->cfg.device + 4 + 8 * q->cfg.size);
		return (uint16_t)(to - event - 1) < to - from;
	}
	flags = drv_load16(q, q->cfg.device + 2);
	if (flags != 2)
		return flags == 0;
	/* Back to a count of slots: the event lies in the lap that its wrap bit names. */
	event = drv_load16(q, q->cfg.device);
	lap = to / q->cfg.size;
	if (((lap & 1) == 0) != !!(event & 0x8000))
		lap--;
	return drv_event_passed(lap * q->cfg.size + (event & 0x7fff), from, to);
}

/* Takes one used chain back. */
static inline bool drv_get_used(struct drv_queue *q, int *id, uint32_t *len)
{
	if (q->cfg.packed) {
		struct drv_desc *d = drv_desc(q, q->used);
		uint16_t flags = __atomic_load_n(&d->b, __ATOMIC_SEQ_CST);

		if (!!(flags & DRV_F_AVAIL) != q->used_wrap ||
		    !!(flags & DRV_F_USED) != q->used_wrap)
			return false;
		*id = d->a;
		*len = flags & DRV_F_WRITE ? d->len : 0;
		q->used += q->nr_descs[*id];
		q->taken += q->nr_descs[*id];
		if (q->used >= q->cfg.size) {
			q->used -= q->cfg.size;
			q->used_wrap = !q->used_wrap;
		}
	} else {
		uint32_t elem[2];

		if (drv_load16(q, q->cfg.device + 2) == q->used)
			return false;
		memcpy(elem, drv_ptr(q->ram, q->cfg.device + 4 + 8 * (q->used % q->cfg.size)), 8);
		*id = elem[0];
		*len = elem[1];
		q->used++;
		q->taken++;
	}
	assert(*id >= 0 && *id < 65536 && q->busy[*id]);
	assert(!q->in_order || q->order[q->order_used] == *id);
	q->order_used++;
	if (!q->cfg.packed) {
		uint16_t at = *id;

		for (unsigned int i = 1; i < q->nr_descs[*id]; i++)
			at = drv_desc(q, at)->b;
		drv_desc(q, at)->b = q->free_head;
		q->free_head = *id;
	}
	q->busy[*id] = false;
	q->nr_free += q->nr_descs[*id];
	return true;
}

static inline void drv_disable_interrupts(struct drv_queue *q)
{
	if (q->cfg.packed)
		drv_store16(q, q->cfg.driver + 2, 1);
	else if (!q->cfg.event_idx)
		drv_store16(q, q->cfg.driver, 1);
}

/*
 * Asks for an interrupt: at once, or with event index when `ahead` more entries or slots beyond
 * the next are used. Returns the count (as of `taken`) whose use is to raise it.
 */
static inline uint64_t drv_enable_interrupts(struct drv_queue *q, unsigned int ahead)
{
	uint64_t event = q->taken + ahead;

	if (!q->cfg.event_idx) {
		drv_store16(q, q->cfg.packed ? q->cfg.driver + 2 : q->cfg.driver, 0);
	} else if (!q->cfg.packed) {
		drv_store16(q, q->cfg.driver + 4 + 2 * q->cfg.size, event);
	} else {
		bool odd_lap = event / q->cfg.size & 1;

		drv_store16(q, q->cfg.driver, event % q->cfg.size | (odd_lap ? 0 : 0x8000));
		drv_store16(q, q->cfg.driver + 2, 2);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return event;
}

#endif
