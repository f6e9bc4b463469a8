// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio 1.2 §2.7 and §2.8: what a device does with split and packed rings. */
#include <string.h>

#include "rig.h"

#define EVENT_IDX DRV_BIT(VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT  DRV_BIT(VIRTIO_RING_F_INDIRECT_DESC)

#define TABLE BUF(0x40)

static bool filled(struct rig *rig, uint64_t gpa, uint32_t len, uint8_t byte)
{
	const uint8_t *at = rig_ptr(rig, gpa);

	for (uint32_t i = 0; i < len; i++)
		if (at[i] != byte)
			return false;
	return true;
}

static void leaves_readable_buffers(struct rig *rig)
{
	const struct drv_buf bufs[] = {{BUF(0), 64}, {BUF(1), 64}, {BUF(2), 64}};

	memset(rig_ptr(rig, BUF(0)), 0x11, 0x3000);
	rig_start(rig, 0);
	CHECK_EQ(rig_send(rig, 0, bufs, 2, 1), 64);
	CHECK(filled(rig, BUF(0), 0x2000, 0x11));
	CHECK(filled(rig, BUF(2), 64, TOY_BYTE));
	CHECK(filled(rig, BUF(2) + 64, 64, 0x11));
	CHECK_EQ(rig_send(rig, 0, bufs, 3, 0), 0);
	CHECK(filled(rig, BUF(0), 0x2000, 0x11));
}

static void takes_any_framing(struct rig *rig)
{
	struct drv_buf bufs[TOY_QUEUE_SIZE];
	unsigned int seed = 7;

	rig_start(rig, 0);
	for (unsigned int i = 0; i < 200; i++) {
		unsigned int nr = 1 + rand_r(&seed) % TOY_QUEUE_SIZE, nr_out = rand_r(&seed) % nr;
		uint32_t in = 0;

		memset(rig_ptr(rig, BUF(0)), 0, TOY_QUEUE_SIZE * 0x1000);
		for (unsigned int b = 0; b < nr; b++) {
			/* Lengths of 0 too, at any address. */
			bufs[b] =
				(struct drv_buf){BUF(b) + rand_r(&seed) % 99, rand_r(&seed) % 700};
			in += b < nr_out ? 0 : bufs[b].len;
		}
		CHECK_EQ(rig_send(rig, 0, bufs, nr_out, nr - nr_out), in);
		for (unsigned int b = 0; b < nr; b++)
			CHECK(filled(rig, bufs[b].gpa, bufs[b].len, b < nr_out ? 0 : TOY_BYTE));
	}
}

static void use_many(struct rig *rig, uint64_t features)
{
	const struct drv_buf buf = {BUF(0), 16};
	unsigned int added = 0, used = 0;
	uint32_t len;
	int id;

	/* Further than 16 bits count. */
	rig_start(rig, features);
	while (used < 70000) {
		while (added < 70000 && drv_add(&rig->q[0], &buf, 0, 1, 0) >= 0)
			added++;
		rig->way->notify(rig, 0);
		CHECK(drv_wait_used(&rig->q[0], &id, &len));
		do {
			CHECK_EQ(len, 16);
			used++;
		} while (drv_get_used(&rig->q[0], &id, &len));
	}
	rig_settle(rig);
	CHECK(!drv_get_used(&rig->q[0], &id, &len));
	CHECK_EQ(rig_toy(rig)->handled, 70000);
}

static void returns_each_buffer_once(struct rig *rig)
{
	use_many(rig, 0);
}

/* drv_get_used() sees to that, of all devices and in all checks that negotiate it. */
static void keeps_order(struct rig *rig)
{
	CHECK(rig_offered(rig) & DRV_BIT(VIRTIO_F_IN_ORDER));
	use_many(rig, DRV_BIT(VIRTIO_F_IN_ORDER));
}

/* Chains of all lengths, so that a packed ring's end comes in the middle of some. */
static void goes_around(struct rig *rig)
{
	struct drv_buf bufs[TOY_QUEUE_SIZE];

	rig_start(rig, 0);
	for (unsigned int b = 0; b < TOY_QUEUE_SIZE; b++)
		bufs[b] = (struct drv_buf){BUF(b), 8 + b};
	for (unsigned int i = 0; i < 300; i++) {
		unsigned int nr = 1 + i % 7, in = 0;

		for (unsigned int b = 0; b < nr; b++)
			in += bufs[b].len;
		CHECK_EQ(rig_send(rig, 0, bufs, 0, nr), in);
	}
}

static void takes_lowest_alignment(struct rig *rig)
{
	struct drv_queue *q = &rig->q[0];

	CHECK(rig_negotiate(rig, VERSION_1 | (rig->packed ? DRV_BIT(VIRTIO_F_RING_PACKED) : 0)));
	rig_layout(rig, 0, 8);
	q->cfg.desc += 16;
	q->cfg.driver += rig->packed ? 4 : 2;
	q->cfg.device += 4;
	if (!rig->packed)
		for (unsigned int i = 0; i < 8; i++)
			drv_desc(q, i)->b = i + 1;
	rig->way->queue_set(rig, 0, &q->cfg);
	rig->way->queue_enable(rig, 0);
	rig_driver_ok(rig);
	for (unsigned int i = 0; i < 20; i++)
		toy_exchange(rig, 0);
}

static void takes_any_packed_size(struct rig *rig)
{
	for (uint16_t size = 1; size <= TOY_QUEUE_SIZE; size++) {
		CHECK(rig_negotiate(rig, VERSION_1 | DRV_BIT(VIRTIO_F_RING_PACKED)));
		rig_queue(rig, 0, size);
		rig_driver_ok(rig);
		for (unsigned int i = 0; i < 40; i++)
			toy_exchange(rig, 0);
	}
}

/* --- indirect descriptors --- */

static void takes_indirect(struct rig *rig)
{
	struct drv_buf bufs[200];
	uint32_t len;
	int id;

	rig_start(rig, INDIRECT);
	for (unsigned int nr = 1; nr <= ARRAY_SIZE(bufs); nr += 33) {
		memset(rig_ptr(rig, BUF(0)), 0, 0x10000);
		for (unsigned int b = 0; b < nr; b++)
			bufs[b] = (struct drv_buf){BUF(0) + 100 * b, 50};
		/* The table may lie at any address. */
		CHECK(drv_add(&rig->q[0], bufs, nr / 2, nr - nr / 2, TABLE + nr) >= 0);
		rig->way->notify(rig, 0);
		CHECK(drv_wait_used(&rig->q[0], &id, &len));
		CHECK_EQ(len, (nr - nr / 2) * 50);
		for (unsigned int b = 0; b < nr; b++)
			CHECK(filled(rig, bufs[b].gpa, 50, b < nr / 2 ? 0 : TOY_BYTE));
	}
}

/* The flags of the descriptor that was added last, which the device has not been told of yet. */
static uint16_t *last_flags(struct rig *rig, int id)
{
	struct drv_queue *q = &rig->q[0];

	if (!rig->packed)
		return &drv_desc(q, id)->a;
	return &drv_desc(q, (q->avail ?: q->cfg.size) - 1)->b;
}

static void ignores_write_on_indirect(struct rig *rig)
{
	const struct drv_buf bufs[] = {{BUF(0), 32}, {BUF(1), 32}};
	uint32_t len;
	int id;

	rig_start(rig, INDIRECT);
	memset(rig_ptr(rig, BUF(0)), 0, 0x2000);
	id = drv_add(&rig->q[0], bufs, 1, 1, TABLE);
	*last_flags(rig, id) |= DRV_F_WRITE;
	rig->way->notify(rig, 0);
	CHECK(drv_wait_used(&rig->q[0], &id, &len));
	CHECK_EQ(len, 32);
	CHECK(filled(rig, BUF(0), 32, 0) && filled(rig, BUF(1), 32, TOY_BYTE));
}

static void ignores_the_rest_of_a_table(struct rig *rig)
{
	const struct drv_buf bufs[] = {{BUF(0), 32}, {BUF(1), 32}, {BUF(2), 32}};
	struct drv_desc *table = rig_ptr(rig, TABLE);
	uint32_t len;
	int id, want;

	rig_start(rig, INDIRECT);
	memset(rig_ptr(rig, BUF(0)), 0, 0x3000);
	want = drv_add(&rig->q[0], bufs, 1, 2, TABLE);
	for (unsigned int i = 0; i < ARRAY_SIZE(bufs); i++) {
		table[i].a = 0xbeef + i;
		table[i].b |= (uint16_t)~DRV_F_WRITE;
	}
	rig->way->notify(rig, 0);
	CHECK(drv_wait_used(&rig->q[0], &id, &len));
	CHECK_EQ(id, want);
	CHECK_EQ(len, 64);
	CHECK(filled(rig, BUF(0), 32, 0) && filled(rig, BUF(2), 32, TOY_BYTE));
}

static void takes_chain_then_indirect(struct rig *rig)
{
	const struct drv_buf direct[] = {{BUF(0), 32}, {TABLE, 32}},
			     behind[] = {{BUF(1), 32}, {BUF(2), 32}};
	uint32_t len;
	int id;

	rig_start(rig, INDIRECT);
	memset(rig_ptr(rig, BUF(0)), 0, 0x3000);
	id = drv_add(&rig->q[0], direct, 2, 0, 0);
	drv_write_table(&rig->q[0], TABLE, behind, 1, 2);
	drv_desc(&rig->q[0], drv_desc(&rig->q[0], id)->b)->a = DRV_F_INDIRECT;
	rig->way->notify(rig, 0);
	CHECK(drv_wait_used(&rig->q[0], &id, &len));
	CHECK_EQ(len, 32);
	CHECK(filled(rig, BUF(1), 32, 0) && filled(rig, BUF(2), 32, TOY_BYTE));
}

/* --- interrupts that are, and are not, wanted --- */

static void send_one(struct rig *rig)
{
	const struct drv_buf buf = {BUF(0), 16};

	CHECK_EQ(rig_send(rig, 0, &buf, 0, 1), 16);
	rig_settle(rig);
}

static void interrupts_unless_told_not_to(struct rig *rig)
{
	rig_start(rig, 0);
	for (unsigned int i = 0; i < 3; i++) {
		drv_disable_interrupts(&rig->q[0]);
		send_one(rig);
		send_one(rig);
		CHECK(!rig_interrupted(rig));
		drv_enable_interrupts(&rig->q[0], 0);
		send_one(rig);
		CHECK_EQ(rig_take_interrupt(rig), 1);
	}
}

/* Without EVENT_IDX the field behind the ring means nothing, whatever is there. */
static void ignores_used_event(struct rig *rig)
{
	struct drv_queue *q = &rig->q[0];

	rig_start(rig, 0);
	for (unsigned int i = 0; i < 40; i++) {
		if (rig->packed) /* DESC is not a value that may be used then */
			drv_store16(q, q->cfg.driver, 0x1234 + i);
		else
			drv_store16(q, q->cfg.driver + 4 + 2 * q->cfg.size, 30000);
		send_one(rig);
		CHECK_EQ(rig_take_interrupt(rig), 1);
	}
}

static void interrupts_at_event(struct rig *rig)
{
	rig_start(rig, EVENT_IDX);
	for (unsigned int ahead = 0; ahead < 2 * TOY_QUEUE_SIZE; ahead++) {
		uint64_t event = drv_enable_interrupts(&rig->q[0], ahead % TOY_QUEUE_SIZE);

		while (rig->q[0].taken < event) {
			send_one(rig);
			CHECK(!rig_interrupted(rig));
		}
		send_one(rig);
		CHECK_EQ(rig_take_interrupt(rig), 1);
	}
}

static void ignores_flags_with_event(struct rig *rig)
{
	rig_start(rig, EVENT_IDX);
	for (unsigned int i = 0; i < 20; i++) {
		drv_store16(&rig->q[0], rig->q[0].cfg.driver, 1);
		drv_enable_interrupts(&rig->q[0], 0);
		send_one(rig);
		CHECK_EQ(rig_take_interrupt(rig), 1);
	}
}

/* --- and notifications that the device says it wants --- */

static void used_flags_are_0_or_1(struct rig *rig)
{
	rig_start(rig, 0);
	for (unsigned int i = 0; i < 20; i++) {
		CHECK(drv_load16(&rig->q[0], rig->q[0].cfg.device) <= 1);
		send_one(rig);
	}
	/* Nothing left to do: it wants to hear. */
	CHECK_EQ(drv_load16(&rig->q[0], rig->q[0].cfg.device), 0);
}

static void used_flags_are_0_with_event(struct rig *rig)
{
	rig_start(rig, EVENT_IDX);
	for (unsigned int i = 0; i < 20; i++) {
		CHECK_EQ(drv_load16(&rig->q[0], rig->q[0].cfg.device), 0);
		send_one(rig);
	}
}

static void wants_notifications_when_idle(struct rig *rig)
{
	static const uint64_t features[] = {0, EVENT_IDX};
	const struct drv_buf buf = {BUF(0), 16};

	for (unsigned int f = 0; f < ARRAY_SIZE(features); f++) {
		rig_start(rig, features[f]);
		for (unsigned int i = 0; i < 3 * TOY_QUEUE_SIZE + 1; i++) {
			rig_settle(rig);
			CHECK(drv_add(&rig->q[0], &buf, 0, 1, 0) >= 0);
			CHECK(drv_wants_kick(&rig->q[0]));
			rig->way->notify(rig, 0);
			CHECK_EQ(rig_wait(rig, 0), 16);
		}
	}
}

/* --- packed rings --- */

static void packed_used_flags(struct rig *rig)
{
	const struct drv_buf buf = {BUF(0), 16};
	struct drv_queue *q = &rig->q[0];

	rig_start(rig, 0);
	for (unsigned int i = 0; i < 3 * q->cfg.size; i++) {
		struct drv_desc *d = drv_desc(q, i % q->cfg.size);
		bool wrap = i / q->cfg.size % 2 == 0, in = i % 3;

		CHECK_EQ(rig_send(rig, 0, &buf, !in, in), in ? 16 : 0);
		CHECK_EQ(!!(d->b & DRV_F_AVAIL), wrap);
		CHECK_EQ(!!(d->b & DRV_F_USED), wrap);
		/* §2.8.4: whether len means anything. */
		CHECK_EQ(!!(d->b & DRV_F_WRITE), in);
	}
}

/* §2.8.6: the id of a chain is that of its last descriptor. */
static void packed_id_of_last(struct rig *rig)
{
	const struct drv_buf bufs[] = {{BUF(0), 16}, {BUF(1), 16}, {BUF(2), 16}};
	struct drv_queue *q = &rig->q[0];

	rig_start(rig, 0);
	CHECK(drv_add(q, bufs, 1, 2, 0) == 0);
	drv_desc(q, 0)->a = drv_desc(q, 1)->a = 0x7777;
	drv_desc(q, 2)->a = 4242;
	q->nr_descs[4242] = 3;
	q->busy[4242] = true;
	rig->way->notify(rig, 0);
	CHECK_EQ(rig_wait(rig, 0), 32);
	CHECK_EQ(drv_desc(q, 0)->a, 4242);
	CHECK(!q->busy[4242]);
}

#define T	 BIT_OF(TOY)
#define S	 BIT_OF(SPLIT)
#define P	 BIT_OF(PACKED)
#define ONE_EACH (BIT_OF(MMIO) | BIT_OF(PCI))

const struct check ring_checks[] = {
	{"2.7.5.1", "writes to no buffer that is for reading", ALL_WAYS, BOTH_RINGS, T,
	 leaves_readable_buffers},
	{"2.7.4.1", "does not care how a message is cut into buffers", ALL_WAYS, BOTH_RINGS, T,
	 takes_any_framing},
	{"2.7.8.2", "uses each buffer once, with the number of bytes written", BIT_OF(MMIO),
	 BOTH_RINGS, T, returns_each_buffer_once},
	{"6.2", "uses buffers in the order in which they came, with IN_ORDER", BIT_OF(MMIO),
	 BOTH_RINGS, T, keeps_order},
	{"2.8.1", "goes around the ring, chains across its end included", ALL_WAYS, BOTH_RINGS, T,
	 goes_around},
	{"2.7", "takes areas at their lowest alignment", ONE_EACH, BOTH_RINGS, T,
	 takes_lowest_alignment},
	{"2.8.10.1", "takes packed rings whose size is no power of two", MODERN_WAYS, P, T,
	 takes_any_packed_size},
	{"2.7.5.3", "takes indirect tables, at any address, longer than the ring", ALL_WAYS,
	 BOTH_RINGS, T, takes_indirect},
	{"2.7.5.3.2", "ignores the write flag of an indirect descriptor", ALL_WAYS, BOTH_RINGS, T,
	 ignores_write_on_indirect},
	{"2.8.7", "ignores ids, and flags but WRITE, in an indirect table", MODERN_WAYS, P, T,
	 ignores_the_rest_of_a_table},
	{"2.7.5.3.2", "takes descriptors that end with an indirect one", ALL_WAYS, S, T,
	 takes_chain_then_indirect},
	{"2.7.7.2", "interrupts for used buffers unless it is told not to", ALL_WAYS, BOTH_RINGS, T,
	 interrupts_unless_told_not_to},
	{"2.7.7.2", "ignores used_event without EVENT_IDX", ALL_WAYS, BOTH_RINGS, T,
	 ignores_used_event},
	{"2.7.7.2", "interrupts at the event with EVENT_IDX, and not before", ALL_WAYS, BOTH_RINGS,
	 T, interrupts_at_event},
	{"2.7.7.2", "ignores the flags with EVENT_IDX", ALL_WAYS, S, T, ignores_flags_with_event},
	{"2.7.10.2", "sets its flags to 0 or 1", ALL_WAYS, S, T, used_flags_are_0_or_1},
	{"2.7.10.2", "sets its flags to 0 with EVENT_IDX", ALL_WAYS, S, T,
	 used_flags_are_0_with_event},
	{"2.7.10", "asks for notifications when it has nothing to do", ALL_WAYS, BOTH_RINGS, T,
	 wants_notifications_when_idle},
	{"2.8.1", "marks used descriptors with its wrap counter, and written ones", MODERN_WAYS, P,
	 T, packed_used_flags},
	{"2.8.6", "takes a chain's id from its last descriptor", MODERN_WAYS, P, T,
	 packed_id_of_last},
	{0},
};
