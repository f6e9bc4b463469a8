// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Drivers that break the rules. Whatever they do, the device answers with an error, or stands still
 * with DEVICE_NEEDS_RESET; the program lives, another device of the machine works on, and after a
 * reset so does this one.
 */
#include <linux/virtio_mmio.h>
#include <string.h>
#include <unistd.h>

#include "rig.h"

#define INDIRECT DRV_BIT(VIRTIO_RING_F_INDIRECT_DESC)
#define TABLE	 BUF(0x40)

/* --- one way to break a ring each: what the driver does before it notifies --- */

/* Makes available whatever the descriptors from `head` on say. */
static void make_available(struct rig *rig, uint16_t head)
{
	struct drv_queue *q = &rig->q[0];

	drv_store16(q, q->cfg.driver + 4 + 2 * (q->avail % q->cfg.size), head);
	drv_store16(q, q->cfg.driver + 2, ++q->avail);
}

static struct drv_desc split_desc(uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	return (struct drv_desc){.addr = addr, .len = len, .a = flags, .b = next};
}

/* One descriptor, in the ring's format. Packed: as the next one of the first lap, available. */
static void put(struct rig *rig, unsigned int at, uint64_t addr, uint32_t len, uint16_t flags,
		uint16_t next)
{
	struct drv_desc *d = drv_desc(&rig->q[0], at);

	if (rig->packed)
		*d = (struct drv_desc){addr, len, at, flags | DRV_F_AVAIL};
	else
		*d = split_desc(addr, len, flags, next);
}

static void put_one(struct rig *rig, uint64_t addr, uint32_t len, uint16_t flags)
{
	put(rig, 0, addr, len, flags, 0);
	if (!rig->packed)
		make_available(rig, 0);
}

static void loop_to_itself(struct rig *rig)
{
	put_one(rig, BUF(0), 16, DRV_F_NEXT | DRV_F_WRITE);
}

/* Packed rings have no links: the like is a chain that is longer than the ring. */
static void loop_around(struct rig *rig)
{
	unsigned int size = rig->q[0].cfg.size;

	for (unsigned int i = size; i-- > 0;)
		put(rig, i, BUF(0), 16, DRV_F_NEXT | DRV_F_WRITE, (i + 1) % size);
	if (!rig->packed)
		make_available(rig, size / 2);
}

static void loop_of_empty_buffers(struct rig *rig)
{
	unsigned int size = rig->q[0].cfg.size;

	for (unsigned int i = size; i-- > 0;)
		put(rig, i, 0, 0, DRV_F_NEXT, (i + 1) % size);
	if (!rig->packed)
		make_available(rig, 0);
}

static void head_behind_ring(struct rig *rig)
{
	make_available(rig, rig->q[0].cfg.size);
}

static void head_65535(struct rig *rig)
{
	make_available(rig, 65535);
}

static void next_behind_ring(struct rig *rig)
{
	put(rig, 0, BUF(0), 16, DRV_F_NEXT, rig->q[0].cfg.size);
	make_available(rig, 0);
}

static void next_65535(struct rig *rig)
{
	put(rig, 0, BUF(0), 16, DRV_F_NEXT, 65535);
	make_available(rig, 0);
}

static void index_jumps(struct rig *rig)
{
	drv_store16(&rig->q[0], rig->q[0].cfg.driver + 2, rig->q[0].cfg.size + 1);
}

static void index_jumps_far(struct rig *rig)
{
	drv_store16(&rig->q[0], rig->q[0].cfg.driver + 2, 0x8000);
}

static void index_runs_back(struct rig *rig)
{
	drv_store16(&rig->q[0], rig->q[0].cfg.driver + 2, 0xffff);
}

static void readable_behind_writable(struct rig *rig)
{
	put(rig, 1, BUF(1), 16, 0, 0);
	put(rig, 0, BUF(0), 16, DRV_F_NEXT | DRV_F_WRITE, 1);
	if (!rig->packed)
		make_available(rig, 0);
}

/* --- buffers --- */

static void buffer_in_no_ram(struct rig *rig)
{
	put_one(rig, 0x1000, 16, DRV_F_WRITE);
}

static void buffer_in_mmio(struct rig *rig)
{
	put_one(rig, MACHINE_MMIO, 16, DRV_F_WRITE);
}

static void buffer_at_the_end(struct rig *rig)
{
	put_one(rig, DRV_GPA + DRV_RAM_SIZE - 8, 16, DRV_F_WRITE);
}

static void buffer_before_the_start(struct rig *rig)
{
	put_one(rig, DRV_GPA - 8, 16, DRV_F_WRITE);
}

static void buffer_wraps(struct rig *rig)
{
	put_one(rig, UINT64_MAX - 15, 0x1000, DRV_F_WRITE);
}

static void buffer_wraps_into_ram(struct rig *rig)
{
	put_one(rig, UINT64_MAX - 0xfff, UINT32_MAX, DRV_F_WRITE);
}

static void buffer_of_4g(struct rig *rig)
{
	put_one(rig, BUF(0), UINT32_MAX, DRV_F_WRITE);
}

/* --- indirect tables --- */

static void put_table(struct rig *rig, unsigned int i, uint64_t addr, uint32_t len, uint16_t flags,
		      uint16_t next)
{
	struct drv_desc d = rig->packed ? (struct drv_desc){addr, len, 0, flags}
					: split_desc(addr, len, flags, next);

	memcpy((uint8_t *)rig_ptr(rig, TABLE) + i * sizeof(d), &d, sizeof(d));
}

static void table_good(struct rig *rig)
{
	put_table(rig, 0, BUF(0), 16, DRV_F_WRITE, 0);
	put_one(rig, TABLE, 16, DRV_F_INDIRECT);
}

static void table_empty(struct rig *rig)
{
	put_one(rig, TABLE, 0, DRV_F_INDIRECT);
}

static void table_odd(struct rig *rig)
{
	put_one(rig, TABLE, 17, DRV_F_INDIRECT);
}

static void table_short(struct rig *rig)
{
	put_one(rig, TABLE, 15, DRV_F_INDIRECT);
}

static void table_in_no_ram(struct rig *rig)
{
	put_one(rig, 0x1000, 16, DRV_F_INDIRECT);
}

static void table_in_mmio(struct rig *rig)
{
	put_one(rig, MACHINE_MMIO, 16, DRV_F_INDIRECT);
}

static void table_over_the_end(struct rig *rig)
{
	put_one(rig, DRV_GPA + DRV_RAM_SIZE - 16, 32, DRV_F_INDIRECT);
}

static void table_wraps(struct rig *rig)
{
	put_one(rig, UINT64_MAX - 15, 0x1000, DRV_F_INDIRECT);
}

/* All of RAM, most of it empty descriptors; and as long as a length can say. */
static void table_is_all_ram(struct rig *rig)
{
	for (unsigned int i = 0; i < 4096; i++)
		put_table(rig, i, BUF(0), 0, DRV_F_NEXT, i + 1);
	put_one(rig, TABLE, DRV_GPA + DRV_RAM_SIZE - TABLE, DRV_F_INDIRECT);
}

static void table_huge(struct rig *rig)
{
	put_one(rig, DRV_GPA, 0xfffffff0, DRV_F_INDIRECT);
}

static void table_with_next(struct rig *rig)
{
	put_table(rig, 0, BUF(0), 16, DRV_F_WRITE, 0);
	put(rig, 1, BUF(1), 16, DRV_F_WRITE, 0);
	put(rig, 0, TABLE, 16, DRV_F_INDIRECT | DRV_F_NEXT, 1);
	if (!rig->packed)
		make_available(rig, 0);
}

static void table_nested(struct rig *rig)
{
	put_table(rig, 0, TABLE + 16, 16, DRV_F_INDIRECT, 0);
	put_table(rig, 1, BUF(0), 16, DRV_F_WRITE, 0);
	put_one(rig, TABLE, 32, DRV_F_INDIRECT);
}

static void table_is_itself(struct rig *rig)
{
	put_table(rig, 0, TABLE, 16, DRV_F_INDIRECT, 0);
	put_one(rig, TABLE, 16, DRV_F_INDIRECT);
}

static void table_loops(struct rig *rig)
{
	put_table(rig, 0, BUF(0), 16, DRV_F_WRITE | DRV_F_NEXT, 1);
	put_table(rig, 1, BUF(0), 16, DRV_F_WRITE | DRV_F_NEXT, 0);
	put_one(rig, TABLE, 32, DRV_F_INDIRECT);
}

static void table_next_behind_it(struct rig *rig)
{
	put_table(rig, 0, BUF(0), 16, DRV_F_WRITE | DRV_F_NEXT, 2);
	put_table(rig, 1, BUF(0), 16, DRV_F_WRITE, 0);
	put_one(rig, TABLE, 32, DRV_F_INDIRECT);
}

static void table_buffer_in_no_ram(struct rig *rig)
{
	put_table(rig, 0, 0x1000, 16, DRV_F_WRITE, 0);
	put_one(rig, TABLE, 16, DRV_F_INDIRECT);
}

/* --- the same thing again and again, for each of them --- */

/* The device stands still and says so; all else works, and after a reset it does, too. */
static void expect_broken(struct rig *rig, struct rig *other)
{
	unsigned int handled;
	uint32_t len;
	int id;

	CHECK(DRV_WAIT(rig->way->status(rig) & NEEDS_RESET));
	rig_settle(rig);
	handled = rig_toy(rig)->handled;
	rig->way->notify(rig, 0);
	rig->way->notify(rig, 1);
	rig_settle(rig);
	CHECK_EQ(rig_toy(rig)->handled, handled);
	CHECK(!drv_get_used(&rig->q[0], &id, &len));
	toy_exchange(other, 0);
	rig_start(rig, INDIRECT);
	toy_exchange(rig, 0);
	toy_exchange(other, 1);
}

static void break_ring(struct rig *rig, void (*how)(struct rig *rig), uint64_t features)
{
	static struct rig other;

	rig_init_other(&other, rig);
	rig_start(&other, 0);
	rig_start(rig, features);
	how(rig);
	rig->way->notify(rig, 0);
	expect_broken(rig, &other);
	rig_fini(&other);
}

#define BREAKS(name, features)                     \
	static void breaks_##name(struct rig *rig) \
	{                                          \
		break_ring(rig, name, features);   \
	}

BREAKS(loop_to_itself, 0)
BREAKS(loop_around, 0)
BREAKS(loop_of_empty_buffers, 0)
BREAKS(head_behind_ring, 0)
BREAKS(head_65535, 0)
BREAKS(next_behind_ring, 0)
BREAKS(next_65535, 0)
BREAKS(index_jumps, 0)
BREAKS(index_jumps_far, 0)
BREAKS(index_runs_back, 0)
BREAKS(readable_behind_writable, 0)
BREAKS(buffer_in_no_ram, 0)
BREAKS(buffer_in_mmio, 0)
BREAKS(buffer_at_the_end, 0)
BREAKS(buffer_before_the_start, 0)
BREAKS(buffer_wraps, 0)
BREAKS(buffer_wraps_into_ram, 0)
BREAKS(buffer_of_4g, 0)
BREAKS(table_good, 0)
BREAKS(table_empty, INDIRECT)
BREAKS(table_odd, INDIRECT)
BREAKS(table_short, INDIRECT)
BREAKS(table_in_no_ram, INDIRECT)
BREAKS(table_in_mmio, INDIRECT)
BREAKS(table_over_the_end, INDIRECT)
BREAKS(table_wraps, INDIRECT)
BREAKS(table_is_all_ram, INDIRECT)
BREAKS(table_huge, INDIRECT)
BREAKS(table_with_next, INDIRECT)
BREAKS(table_nested, INDIRECT)
BREAKS(table_is_itself, INDIRECT)
BREAKS(table_loops, INDIRECT)
BREAKS(table_next_behind_it, INDIRECT)
BREAKS(table_buffer_in_no_ram, INDIRECT)

/* --- a head that is in flight already --- */

static void head_twice(struct rig *rig)
{
	static struct rig other;
	const struct drv_buf buf = {BUF(0), 16};

	rig_init_other(&other, rig);
	rig_start(&other, 0);
	rig_start(rig, 0);
	rig_toy(rig)->hold = true;
	CHECK(drv_add(&rig->q[0], &buf, 0, 1, 0) == 0);
	rig->way->notify(rig, 0);
	rig_settle(rig);
	CHECK(rig_toy(rig)->held);
	make_available(rig, 0);
	rig->way->notify(rig, 0);
	CHECK(DRV_WAIT(rig->way->status(rig) & NEEDS_RESET));
	rig_toy(rig)->hold = false;
	expect_broken(rig, &other);
	rig_fini(&other);
}

/* Packed: more descriptors are made available than the ring has, while the first are in flight. */
static void lap_over_in_flight(struct rig *rig)
{
	static struct rig other;
	const struct drv_buf buf = {BUF(0), 16};
	unsigned int size;

	rig_init_other(&other, rig);
	rig_start(&other, 0);
	rig_start(rig, 0);
	size = rig->q[0].cfg.size;
	rig_toy(rig)->hold = true;
	CHECK(drv_add(&rig->q[0], &buf, 0, 1, 0) == 0);
	rig->way->notify(rig, 0);
	rig_settle(rig);
	for (unsigned int i = 1; i < size; i++)
		put(rig, i, BUF(0), 16, DRV_F_WRITE | DRV_F_NEXT, 0);
	/* Around: as a driver of the second lap would mark it. */
	*drv_desc(&rig->q[0], 0) = (struct drv_desc){BUF(0), 16, 0, DRV_F_WRITE | DRV_F_USED};
	rig->way->notify(rig, 0);
	CHECK(DRV_WAIT(rig->way->status(rig) & NEEDS_RESET));
	rig_toy(rig)->hold = false;
	expect_broken(rig, &other);
	rig_fini(&other);
}

/* --- queues that cannot be --- */

static void bad_queue(struct rig *rig, const struct virtq_config *cfg)
{
	static struct rig other;
	uint64_t features = rig->packed ? DRV_BIT(VIRTIO_F_RING_PACKED) : 0;

	rig_init_other(&other, rig);
	rig_start(&other, 0);
	CHECK(rig_negotiate(rig, rig->way->legacy ? 0 : VERSION_1 | features));
	rig_layout(rig, 0, 0);
	rig->way->queue_set(rig, 0, cfg);
	rig->way->queue_enable(rig, 0);
	rig_driver_ok(rig);
	rig->way->notify(rig, 0);
	expect_broken(rig, &other);
	rig_fini(&other);
}

/* Each of the areas there, the others where they should be. */
static void bad_places(struct rig *rig, uint64_t gpa)
{
	struct virtq_config good = {.size = 8};

	good.desc = DRV_RINGS;
	good.driver = DRV_RINGS + 0x8000;
	good.device = DRV_RINGS + 0xa000;
	for (unsigned int i = 0; i < (rig->way->legacy ? 1 : 3); i++) {
		struct virtq_config bad = good;

		*(uint64_t *[]){&bad.desc, &bad.driver, &bad.device}[i] = gpa;
		bad_queue(rig, &bad);
	}
}

static void ring_in_no_ram(struct rig *rig)
{
	bad_places(rig, 0x1000);
}

static void ring_in_mmio(struct rig *rig)
{
	bad_places(rig, MACHINE_MMIO);
}

static void ring_over_the_end(struct rig *rig)
{
	bad_places(rig, DRV_GPA + DRV_RAM_SIZE - (rig->way->legacy ? LEGACY_PAGE : 0));
}

static void ring_wraps(struct rig *rig)
{
	bad_places(rig, rig->way->legacy ? (uint64_t)UINT32_MAX * LEGACY_PAGE : UINT64_MAX - 15);
}

/* Version 1 of MMIO says where a queue is by four numbers. */
static void mmio_legacy_numbers(struct rig *rig)
{
	static const struct {
		uint32_t page, num, align, pfn;
	} bad[] = {
		{UINT32_MAX, 8, LEGACY_PAGE, UINT32_MAX}, /* ends beyond all addresses */
		{1, 8, 16, (uint32_t)DRV_GPA + 1},	  /* not aligned */
		{LEGACY_PAGE, 8, 0x80000000,
		 DRV_GPA / LEGACY_PAGE}, /* the used ring is elsewhere */
		{LEGACY_PAGE, 7, LEGACY_PAGE, DRV_GPA / LEGACY_PAGE},
	};
	static struct rig other;

	rig_init_other(&other, rig);
	rig_start(&other, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		rig_reset(rig);
		rig_accept(rig, 0);
		rig_layout(rig, 0, 0);
		mem_write(rig->m, rig->mmio + VIRTIO_MMIO_GUEST_PAGE_SIZE, 4, bad[i].page);
		mem_write(rig->m, rig->mmio + VIRTIO_MMIO_QUEUE_NUM, 4, bad[i].num);
		mem_write(rig->m, rig->mmio + VIRTIO_MMIO_QUEUE_ALIGN, 4, bad[i].align);
		mem_write(rig->m, rig->mmio + VIRTIO_MMIO_QUEUE_PFN, 4, bad[i].pfn);
		rig->way->notify(rig, 0);
		rig_driver_ok(rig);
		mem_write(rig->m, rig->mmio + VIRTIO_MMIO_GUEST_PAGE_SIZE, 4, LEGACY_PAGE);
		expect_broken(rig, &other);
	}
	/* Alignments that are none are ignored; a page size of 0 leaves no address but 0. */
	mem_write(rig->m, rig->mmio + VIRTIO_MMIO_QUEUE_ALIGN, 4, 0);
	mem_write(rig->m, rig->mmio + VIRTIO_MMIO_QUEUE_ALIGN, 4, 3);
	mem_write(rig->m, rig->mmio + VIRTIO_MMIO_GUEST_PAGE_SIZE, 4, 0);
	CHECK(!rig->way->queue_enabled(rig, 0));
	mem_write(rig->m, rig->mmio + VIRTIO_MMIO_QUEUE_PFN, 4, 5);
	CHECK(!rig->way->queue_enabled(rig, 0));
	mem_write(rig->m, rig->mmio + VIRTIO_MMIO_GUEST_PAGE_SIZE, 4, LEGACY_PAGE);
	rig_start(rig, 0);
	toy_exchange(rig, 0);
	rig_fini(&other);
}

static void ring_not_aligned(struct rig *rig)
{
	bad_places(rig, DRV_RINGS + 0x4001);
}

static void ring_of_bad_size(struct rig *rig)
{
	static const uint16_t split[] = {0, 3, 7, TOY_QUEUE_SIZE + 1, 2 * TOY_QUEUE_SIZE, 65535};
	static const uint16_t packed[] = {0, TOY_QUEUE_SIZE + 1, 2 * TOY_QUEUE_SIZE, 65535};

	for (unsigned int i = 0; i < (rig->packed ? ARRAY_SIZE(packed) : ARRAY_SIZE(split)); i++) {
		struct virtq_config cfg = {
			.size = rig->packed ? packed[i] : split[i],
			.desc = DRV_RINGS,
			.driver = DRV_RINGS + 0x8000,
			.device = DRV_RINGS + 0xa000,
		};

		bad_queue(rig, &cfg);
	}
}

/* An enabled queue is as it is, before DRIVER_OK and after. */
static void size_after_enable(struct rig *rig)
{
	struct virtq_config cfg;

	CHECK(rig_negotiate(rig,
			    rig->way->legacy ? 0 : VERSION_1 | (rig->packed ? DRV_BIT(34) : 0)));
	rig_queue(rig, 0, 8);
	for (unsigned int i = 0; i < 2; i++) {
		cfg = rig->q[0].cfg;
		cfg.size = 4;
		cfg.desc = 0x1000;
		cfg.driver = cfg.device = 0x2000;
		rig->way->queue_set(rig, 0, &cfg);
		if (i && !rig->way->legacy)
			rig->way->queue_enable(rig, 0);
		rig_driver_ok(rig);
		for (unsigned int n = 0; n < 20; n++)
			toy_exchange(rig, 0);
	}
}

static void no_such_queue(struct rig *rig)
{
	static const uint32_t numbers[] = {2,	 3,	 63,	 64,	  255,	      1023,
					   1024, 0x7fff, 0xffff, 0x10000, 0x80000000, UINT32_MAX};
	struct virtq_config cfg = {.size = 8, .desc = DRV_RINGS};

	rig_start(rig, rig->way->legacy ? 0 : DRV_BIT(VIRTIO_F_RING_RESET));
	for (unsigned int i = 0; i < ARRAY_SIZE(numbers); i++) {
		rig->way->notify(rig, numbers[i]);
		/* PCI has 16 bits for a number. */
		if (numbers[i] > 0xffff && !rig->mio)
			continue;
		CHECK_EQ(rig->way->queue_size(rig, numbers[i]), 0);
		rig->way->queue_set(rig, numbers[i], &cfg);
		rig->way->queue_enable(rig, numbers[i]);
		CHECK(!rig->way->queue_enabled(rig, numbers[i]));
		if (rig->way->queue_reset)
			rig->way->queue_reset(rig, numbers[i]);
		if (rig->way->queue_disable)
			rig->way->queue_disable(rig, numbers[i]);
		rig->way->notify(rig, numbers[i]);
	}
	rig_settle(rig);
	CHECK(!(rig->way->status(rig) & NEEDS_RESET));
	toy_exchange(rig, 0);
	toy_exchange(rig, 1);
}

static void comes_back_wrong(struct rig *rig)
{
	static struct rig other;
	struct virtq_config cfg = {.size = 8, .desc = 0x1000, .driver = 0x2000, .device = 0x3000};

	rig_init_other(&other, rig);
	rig_start(&other, 0);
	rig_start(rig, DRV_BIT(VIRTIO_F_RING_RESET));
	rig->way->queue_reset(rig, 0);
	rig->way->queue_set(rig, 0, &cfg);
	rig->way->queue_enable(rig, 0);
	drv_queue_init(&rig->q[0], &rig->m->ram, 0, &cfg);
	expect_broken(rig, &other);
	rig_fini(&other);
}

/* --- every device, fed with nonsense --- */

/* Chains of random shape and content in all its queues: each comes back, or the device says no. */
static void random_chains(struct rig *rig)
{
	static struct rig other;
	unsigned int seed = 11, nr_queues = 0;

	rig_init_other(&other, rig);
	rig_start(&other, 0);
	for (unsigned int turn = 0; turn < 30; turn++) {
		/* A NIC whose features contradict each other may refuse to start. */
		rig_start(rig, 0);
		for (nr_queues = 0; nr_queues < RIG_QUEUES; nr_queues++)
			if (!rig->way->queue_size(rig, nr_queues))
				break;
		for (unsigned int i = 0; i < 24; i++) {
			unsigned int q = rand_r(&seed) % nr_queues;
			struct drv_buf bufs[4];
			unsigned int nr = 1 + rand_r(&seed) % ARRAY_SIZE(bufs);
			unsigned int nr_out = rand_r(&seed) % (nr + 1);
			uint32_t *words = rig_ptr(rig, BUF(0));

			for (unsigned int w = 0; w < 1024; w++)
				words[w] = rand_r(&seed) % (w % 3 ? 20 : UINT32_MAX);
			for (unsigned int b = 0; b < nr; b++)
				bufs[b] =
					(struct drv_buf){BUF(0) + rand_r(&seed) % 2048,
							 rand_r(&seed) % 2 ? rand_r(&seed) % 40
									   : rand_r(&seed) % 2048};
			if (drv_add(&rig->q[q], bufs, nr_out, nr - nr_out, 0) >= 0)
				rig->way->notify(rig, q);
			if (i % 8 == 7)
				rig_settle(rig);
		}
		rig_settle(rig);
		toy_exchange(&other, turn % 2);
	}
	rig->way->set_status(rig, 0);
	CHECK_EQ(rig->way->status(rig), 0);
	rig_fini(&other);
}

/*
 * Every device looks at its queues in its own way. Those that it takes from when it is notified:
 * what is in them cannot be.
 */
static bool takes_at_once(const struct rig *rig, unsigned int q)
{
	switch (rig->kind->id) {
	case VIRTIO_ID_NET:
	case VIRTIO_ID_CONSOLE:
	case VIRTIO_ID_VSOCK:
	case VIRTIO_ID_INPUT:
		return q == 1;
	default:
		return q == 0;
	}
}

static void each_queue_breaks(struct rig *rig)
{
	static struct rig other;

	rig_init_other(&other, rig);
	rig_start(&other, 0);
	for (unsigned int q = 0; q < RIG_QUEUES && rig->way->queue_size(rig, q); q++) {
		const struct drv_buf bufs[] = {{0x1000, 16}, {BUF(0), 16}};

		rig_start(rig, 0);
		CHECK(drv_add(&rig->q[q], bufs, 1, 1, 0) >= 0);
		rig->way->notify(rig, q);
		if (takes_at_once(rig, q))
			CHECK(DRV_WAIT(rig->way->status(rig) & NEEDS_RESET));
		rig_settle(rig);
		/* It stands still, whatever comes now. */
		for (unsigned int i = 0; i < RIG_QUEUES && rig->way->queue_size(rig, i); i++)
			rig->way->notify(rig, i);
		rig_settle(rig);
		toy_exchange(&other, q % 2);
		rig->way->set_status(rig, 0);
		CHECK_EQ(rig->way->status(rig), 0);
	}
	rig_start(rig, 0);
	rig_settle(rig);
	CHECK(!(rig->way->status(rig) & NEEDS_RESET));
	rig_fini(&other);
}

static void configuration_writes(struct rig *rig)
{
	static struct rig other;
	unsigned int seed = 5;

	rig_init_other(&other, rig);
	rig_start(&other, 0);
	rig_start(rig, 0);
	if (rig->kind->id != VIRTIO_ID_RNG) {
		for (unsigned int i = 0; i < 3000; i++) {
			unsigned int len = 1u << rand_r(&seed) % 3;
			uint32_t off = rand_r(&seed) % 0xf0 / len * len;

			rig->way->config_write(rig, off, len, rand_r(&seed));
			rig->way->config_read(rig, off, len);
		}
	}
	toy_exchange(&other, 0);
	rig_fini(&other);
}

static void balloon_statistics(struct rig *rig)
{
	static const uint32_t lens[] = {0, 1, 9, 10, 11, 99, 640, 641, 100000};
	static struct rig other;
	enum { STATS = 2 };

	rig_init_other(&other, rig);
	rig_start(&other, 0);
	rig_start(rig, DRV_BIT(1));
	memset(rig_ptr(rig, BUF(0)), 0x02, 0x20000);
	for (unsigned int i = 0; i < ARRAY_SIZE(lens); i++) {
		/* Readable as it should be, writable, both, and two at once. */
		const struct drv_buf bufs[] = {{BUF(0), lens[i]}, {BUF(1), lens[i]}};

		for (unsigned int nr_in = 0; nr_in < 3; nr_in++)
			drv_add(&rig->q[STATS], bufs, 2 - nr_in, nr_in, 0);
		rig->way->notify(rig, STATS);
		rig_settle(rig);
		toy_exchange(&other, 0);
	}
	CHECK(!(rig->way->status(rig) & NEEDS_RESET));
	rig_fini(&other);
}

#define T BIT_OF(TOY)
/* Rings of these are not lkvm's to judge. */
#define LENT  (BIT_OF(VHOST_USER_BLK) | BIT_OF(FS) | BIT_OF(SCSI) | BIT_OF(VHOST_VSOCK))
#define S     BIT_OF(SPLIT)
#define P     BIT_OF(PACKED)
#define SIZED (ALL_WAYS & ~BIT_OF(PCI_LEGACY))
/* Both halves of the work: where the ring format does not matter, and where the way does not. */
#define BREAK(what, name)                                           \
	{                                                           \
		"2.7", what, ALL_WAYS, BOTH_RINGS, T, breaks_##name \
	}
#define BREAK_SPLIT(what, name)                            \
	{                                                  \
		"2.7", what, ALL_WAYS, S, T, breaks_##name \
	}

const struct check hostile_checks[] = {
	BREAK("a descriptor whose next is itself, or that never ends", loop_to_itself),
	BREAK("a loop through the ring, or a chain longer than it", loop_around),
	BREAK("a loop of empty buffers", loop_of_empty_buffers),
	BREAK_SPLIT("a head behind the ring", head_behind_ring),
	BREAK_SPLIT("a head of 65535", head_65535),
	BREAK_SPLIT("a next behind the ring", next_behind_ring),
	BREAK_SPLIT("a next of 65535", next_65535),
	BREAK_SPLIT("an available index that jumps", index_jumps),
	BREAK_SPLIT("an available index that jumps far", index_jumps_far),
	BREAK_SPLIT("an available index that runs back", index_runs_back),
	BREAK("a readable buffer behind a writable one", readable_behind_writable),
	BREAK("a buffer where there is no RAM", buffer_in_no_ram),
	BREAK("a buffer in a device's registers", buffer_in_mmio),
	BREAK("a buffer over the end of RAM", buffer_at_the_end),
	BREAK("a buffer that begins before RAM", buffer_before_the_start),
	BREAK("a buffer that wraps around", buffer_wraps),
	BREAK("a length that wraps around into RAM", buffer_wraps_into_ram),
	BREAK("a buffer of 4 GiB", buffer_of_4g),
	BREAK("an indirect table that was not negotiated", table_good),
	BREAK("an empty indirect table", table_empty),
	BREAK("an indirect table of 17 bytes", table_odd),
	BREAK("an indirect table of 15 bytes", table_short),
	BREAK("an indirect table where there is no RAM", table_in_no_ram),
	BREAK("an indirect table in a device's registers", table_in_mmio),
	BREAK("an indirect table over the end of RAM", table_over_the_end),
	BREAK("an indirect table that wraps around", table_wraps),
	BREAK("an indirect table that is all RAM", table_is_all_ram),
	BREAK("an indirect table of 4 GiB", table_huge),
	BREAK("an indirect descriptor with a next", table_with_next),
	BREAK_SPLIT("an indirect table in an indirect table", table_nested),
	BREAK_SPLIT("an indirect table that is its own", table_is_itself),
	BREAK_SPLIT("a loop in an indirect table", table_loops),
	BREAK_SPLIT("a next behind the indirect table", table_next_behind_it),
	BREAK("an indirect table with a buffer where there is no RAM", table_buffer_in_no_ram),
	{"2.7.13", "a head made available twice while in flight", ALL_WAYS, S, T, head_twice},
	{"2.8.21", "descriptors made available over those in flight", MODERN_WAYS, P, T,
	 lap_over_in_flight},
	{"2.6", "a ring where there is no RAM", ALL_WAYS, BOTH_RINGS, T, ring_in_no_ram},
	{"2.6", "a ring in a device's registers", ALL_WAYS, BOTH_RINGS, T, ring_in_mmio},
	{"2.6", "a ring over the end of RAM", ALL_WAYS, BOTH_RINGS, T, ring_over_the_end},
	{"2.6", "a ring that wraps around", ALL_WAYS, BOTH_RINGS, T, ring_wraps},
	{"2.6", "a ring that is not aligned", MODERN_WAYS, BOTH_RINGS, T, ring_not_aligned},
	{"2.6", "a ring of a size that cannot be", SIZED, BOTH_RINGS, T, ring_of_bad_size},
	{"4.2.4", "numbers of version 1 that make no queue", BIT_OF(MMIO_LEGACY), 0, T,
	 mmio_legacy_numbers},
	{"2.6", "a queue that is changed once it is enabled", ALL_WAYS, BOTH_RINGS, T,
	 size_after_enable},
	{"2.6", "queues that do not exist, notified and set up", ALL_WAYS, BOTH_RINGS, T,
	 no_such_queue},
	{"2.6.1.2.1", "a queue that is reset and comes back wrong", MODERN_WAYS, BOTH_RINGS, T,
	 comes_back_wrong},
	{"2.7", "requests of random shape and content", ALL_WAYS, BOTH_RINGS, ALL_KINDS & ~T,
	 random_chains},
	{"2.7", "a buffer where there is no RAM, in each of its queues", ALL_WAYS, BOTH_RINGS,
	 ALL_KINDS & ~LENT & ~T, each_queue_breaks},
	{"2.5", "configuration written at random", ALL_WAYS, 0, ALL_KINDS, configuration_writes},
	{"5.5.6.3", "balloon statistics of any length", ALL_WAYS, BOTH_RINGS, BIT_OF(BALLOON),
	 balloon_statistics},
	{0},
};
