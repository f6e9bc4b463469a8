// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio 1.2 §2.1 to §2.6: status, features, configuration space, reset, what all queues share. */
#include <string.h>

#include "rig.h"

#define ACK_DRIVER (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)

/* --- §2.1 status --- */

static void status_is_0_at_first(struct rig *rig)
{
	CHECK_EQ(rig->way->status(rig), 0);
}

static void status_keeps_bits(struct rig *rig)
{
	rig->way->set_status(rig, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	CHECK_EQ(rig->way->status(rig), VIRTIO_CONFIG_S_ACKNOWLEDGE);
	rig->way->set_status(rig, ACK_DRIVER);
	CHECK_EQ(rig->way->status(rig), ACK_DRIVER);
	rig->way->set_status(rig, ACK_DRIVER | VIRTIO_CONFIG_S_FAILED);
	CHECK_EQ(rig->way->status(rig), ACK_DRIVER | VIRTIO_CONFIG_S_FAILED);
	rig->way->set_status(rig, 0);
	CHECK_EQ(rig->way->status(rig), 0);
}

static void needs_reset_is_the_devices(struct rig *rig)
{
	rig_start(rig, 0);
	rig->way->set_status(rig, rig->way->status(rig) | NEEDS_RESET);
	CHECK(!(rig->way->status(rig) & NEEDS_RESET));
	toy_exchange(rig, 0);
}

static void nothing_before_driver_ok(struct rig *rig)
{
	const struct drv_buf buf = {BUF(0), 64};
	int id;
	uint32_t len;

	CHECK(rig_negotiate(rig, VERSION_1 | (rig->packed ? DRV_BIT(VIRTIO_F_RING_PACKED) : 0)));
	rig_queue(rig, 0, 0);
	CHECK(drv_add(&rig->q[0], &buf, 0, 1, 0) >= 0);
	rig->way->notify(rig, 0);
	toy_set_config(rig, 0, 1);
	rig_settle(rig);
	CHECK_EQ(rig_toy(rig)->starts, 0);
	CHECK(!drv_get_used(&rig->q[0], &id, &len));
	CHECK(!rig_interrupted(rig));
	/* §3.1.1: what was made available before is looked at then. */
	rig_driver_ok(rig);
	CHECK_EQ(rig_wait(rig, 0), 64);
}

static void early_notification_starts(struct rig *rig)
{
	rig_reset(rig);
	rig_accept(rig, DRV_BIT(TOY_FEATURE));
	rig_queue(rig, 0, 0);
	rig_settle(rig);
	CHECK_EQ(rig_toy(rig)->starts, 0);
	toy_exchange(rig, 0);
	rig_queue(rig, 1, 0);
	toy_exchange(rig, 1);
	rig_driver_ok(rig);
	toy_exchange(rig, 0);
	CHECK_EQ(rig_toy(rig)->starts, 1);
	CHECK_EQ(rig_toy(rig)->features, DRV_BIT(TOY_FEATURE));
}

/* A buffer where no RAM is: from there on the ring cannot be trusted. */
static void break_ring(struct rig *rig, unsigned int q)
{
	const struct drv_buf nowhere = {0x1000, 64};

	CHECK(drv_add(&rig->q[q], &nowhere, 0, 1, 0) >= 0);
	rig->way->notify(rig, q);
	CHECK(DRV_WAIT(rig->way->status(rig) & NEEDS_RESET));
}

static void needs_reset_is_told(struct rig *rig)
{
	rig_start(rig, 0);
	break_ring(rig, 0);
	CHECK_EQ(rig_take_interrupt(rig) & 2, 2);
	rig_start(rig, 0);
	toy_exchange(rig, 0);
}

static void needs_reset_until_reset(struct rig *rig)
{
	const struct drv_buf buf = {BUF(0), 64};
	unsigned int handled;

	rig_start(rig, 0);
	break_ring(rig, 0);
	rig_settle(rig);
	handled = rig_toy(rig)->handled;
	CHECK(drv_add(&rig->q[1], &buf, 0, 1, 0) >= 0);
	rig->way->notify(rig, 1);
	rig_driver_ok(rig);
	rig_settle(rig);
	CHECK(rig->way->status(rig) & NEEDS_RESET);
	CHECK_EQ(rig_toy(rig)->handled, handled);
	rig_reset(rig);
}

static void driver_ok_without_features_ok(struct rig *rig)
{
	rig_reset(rig);
	rig_accept(rig, VERSION_1);
	rig->way->set_status(rig, ACK_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK);
	rig_settle(rig);
	CHECK(rig->way->status(rig) & NEEDS_RESET);
	CHECK_EQ(rig_toy(rig)->starts, 0);
	rig_start(rig, 0);
	toy_exchange(rig, 0);
}

/* --- §2.2 features --- */

static void offers_by_words(struct rig *rig)
{
	uint64_t offered = rig_offered(rig);

	CHECK(offered & DRV_BIT(TOY_FEATURE));
	CHECK_EQ(!!(offered & VERSION_1), !rig->way->legacy);
	CHECK_EQ(!!(offered & DRV_BIT(TOY_HIGH)), !rig->way->legacy);
	CHECK_EQ(!!(offered & DRV_BIT(VIRTIO_F_ANY_LAYOUT)), rig->way->legacy);
	for (uint32_t word = 2; word; word *= 2)
		CHECK_EQ(rig->way->offered(rig, word), 0);
	CHECK_EQ(rig->way->offered(rig, UINT32_MAX), 0);
	CHECK_EQ(rig_offered(rig), offered);
}

/* §2.2.2, §5.1.3.1, §5.2.5.2: features that mean nothing without another one. */
static void offers_what_is_required(struct rig *rig)
{
	static const struct {
		uint16_t id;
		unsigned int bit, needs;
	} rules[] = {
		{VIRTIO_ID_NET, 7, 1},	  /* GUEST_TSO4: GUEST_CSUM */
		{VIRTIO_ID_NET, 8, 1},	  /* GUEST_TSO6 */
		{VIRTIO_ID_NET, 10, 1},	  /* GUEST_UFO */
		{VIRTIO_ID_NET, 11, 0},	  /* HOST_TSO4: CSUM */
		{VIRTIO_ID_NET, 12, 0},	  /* HOST_TSO6 */
		{VIRTIO_ID_NET, 14, 0},	  /* HOST_UFO */
		{VIRTIO_ID_NET, 13, 11},  /* HOST_ECN: HOST_TSO4 (or 6) */
		{VIRTIO_ID_NET, 9, 7},	  /* GUEST_ECN */
		{VIRTIO_ID_NET, 18, 17},  /* CTRL_RX: CTRL_VQ */
		{VIRTIO_ID_NET, 19, 17},  /* CTRL_VLAN */
		{VIRTIO_ID_NET, 21, 17},  /* GUEST_ANNOUNCE */
		{VIRTIO_ID_NET, 22, 17},  /* MQ */
		{VIRTIO_ID_NET, 23, 17},  /* CTRL_MAC_ADDR */
		{VIRTIO_ID_BLOCK, 11, 9}, /* CONFIG_WCE: FLUSH */
	};
	uint64_t offered = rig_offered(rig);

	for (unsigned int i = 0; i < ARRAY_SIZE(rules); i++)
		if (rig->kind->id == rules[i].id && offered & DRV_BIT(rules[i].bit))
			CHECK(offered & DRV_BIT(rules[i].needs));
}

static void accepts_any_subset(struct rig *rig)
{
	/* The core's bits and the toy's: none needs another one. */
	uint64_t offered = rig_offered(rig);

	for (unsigned int bit = 0; bit < 64; bit++) {
		if (!(offered & DRV_BIT(bit)))
			continue;
		CHECK(rig_negotiate(rig, VERSION_1 | DRV_BIT(bit)));
		CHECK(rig_negotiate(rig, VERSION_1 | (offered & ~DRV_BIT(bit))));
	}
	CHECK(rig_negotiate(rig, offered));
}

static void accepts_all_offered(struct rig *rig)
{
	rig_start(rig, rig_offered(rig) & ~DRV_BIT(VIRTIO_F_RING_PACKED));
}

static void refuses_what_was_not_offered(struct rig *rig)
{
	uint64_t offered = rig_offered(rig);

	for (unsigned int bit = 0; bit < 64; bit++)
		if (!(offered & DRV_BIT(bit)))
			CHECK(!rig_negotiate(rig, VERSION_1 | DRV_BIT(bit)));
	/* A driver that gives in may try again without a reset. */
	rig_accept(rig, VERSION_1);
	rig->way->set_status(rig, DRV_STATUS_FEATURES);
	CHECK(rig->way->status(rig) & VIRTIO_CONFIG_S_FEATURES_OK);
}

static void refuses_driver_without_version_1(struct rig *rig)
{
	CHECK(!rig_negotiate(rig, 0));
	CHECK(!rig_negotiate(rig, rig_offered(rig) & ~VERSION_1));
}

static void features_are_settled(struct rig *rig)
{
	CHECK(rig_negotiate(rig, VERSION_1 | DRV_BIT(TOY_FEATURE)));
	rig_accept(rig, VERSION_1 | DRV_BIT(TOY_HIGH));
	rig_queue(rig, 0, 0);
	rig_driver_ok(rig);
	CHECK_EQ(rig_toy(rig)->features, VERSION_1 | DRV_BIT(TOY_FEATURE));
}

/* §2.2.2: what went well once goes well again. */
static void renegotiates(struct rig *rig)
{
	uint64_t features = rig_offered(rig) & ~DRV_BIT(VIRTIO_F_RING_PACKED);

	for (unsigned int i = 0; i < 3; i++) {
		rig_start(rig, features);
		rig_start(rig, 0);
	}
}

/* §2.2.3, §6.3: of what is not offered by way of 32 bits nothing is negotiated. */
static void legacy_takes_what_it_can(struct rig *rig)
{
	rig_start(rig, UINT64_MAX);
	CHECK_EQ(rig_toy(rig)->features, rig_offered(rig));
	CHECK_EQ(rig_toy(rig)->features >> 32, 0);
	toy_exchange(rig, 0);
	rig_start(rig, 0);
	CHECK_EQ(rig_toy(rig)->features, 0);
}

/* --- §2.4 reset --- */

static void reset_forgets(struct rig *rig)
{
	uint32_t max = rig->way->queue_size(rig, 0);

	rig_start(rig, 0);
	toy_exchange(rig, 0);
	rig->way->set_status(rig, 0);
	CHECK_EQ(rig->way->status(rig), 0);
	CHECK_EQ(rig_toy(rig)->stops, 1);
	for (unsigned int q = 0; q < 2; q++) {
		CHECK_EQ(rig->way->queue_size(rig, q), max);
		CHECK(!rig->way->queue_enabled(rig, q));
	}
	/* And once more, from the start. */
	rig_start(rig, 0);
	toy_exchange(rig, 0);
}

static void reset_is_silence(struct rig *rig)
{
	const struct drv_buf buf = {BUF(0), 64};
	unsigned int handled;
	int id;
	uint32_t len;

	rig_start(rig, 0);
	toy_exchange(rig, 0);
	/* An interrupt that nobody took is taken back. */
	toy_set_config(rig, 0, 1);
	CHECK(rig_interrupted(rig));
	rig->way->set_status(rig, 0);
	CHECK(!rig_interrupted(rig));
	handled = rig_toy(rig)->handled;
	CHECK(drv_add(&rig->q[0], &buf, 0, 1, 0) >= 0);
	rig->way->notify(rig, 0);
	toy_set_config(rig, 0, 2);
	rig_settle(rig);
	CHECK(!rig_interrupted(rig));
	CHECK_EQ(rig->way->take_isr(rig), 0);
	CHECK_EQ(rig_toy(rig)->handled, handled);
	CHECK(!drv_get_used(&rig->q[0], &id, &len));
}

/* A notification of before the reset does not start the life after it. */
static void reset_forgets_notifications(struct rig *rig)
{
	rig_start(rig, 0);
	rig->way->notify(rig, 0);
	rig->way->set_status(rig, 0);
	rig->way->notify(rig, 0);
	rig_reset(rig);
	rig_accept(rig, rig->way->legacy ? 0 : VERSION_1);
	if (!rig->way->legacy)
		rig->way->set_status(rig, DRV_STATUS_FEATURES);
	rig_queue(rig, 0, 0);
	rig_settle(rig);
	CHECK_EQ(rig_toy(rig)->starts, 1);
	rig_driver_ok(rig);
	toy_exchange(rig, 0);
}

static void reset_in_flight(struct rig *rig)
{
	const struct drv_buf buf = {BUF(0), 64};
	int id;
	uint32_t len;

	rig_start(rig, 0);
	rig_toy(rig)->hold = true;
	CHECK(drv_add(&rig->q[0], &buf, 0, 1, 0) >= 0);
	rig->way->notify(rig, 0);
	rig_settle(rig);
	rig->way->set_status(rig, 0);
	CHECK_EQ(rig->way->status(rig), 0);
	rig_toy(rig)->hold = false;
	rig_settle(rig);
	CHECK(!drv_get_used(&rig->q[0], &id, &len));
	rig_start(rig, 0);
	toy_exchange(rig, 0);
}

static void reset_each(struct rig *rig)
{
	rig->way->set_status(rig, 0);
	for (unsigned int i = 0; i < 3; i++) {
		rig_start(rig, 0);
		for (unsigned int q = 0; q < RIG_QUEUES && rig->way->queue_size(rig, q); q++)
			rig->way->notify(rig, q);
		rig_settle(rig);
		CHECK(!(rig->way->status(rig) & NEEDS_RESET));
		rig->way->set_status(rig, 0);
		CHECK_EQ(rig->way->status(rig), 0);
	}
	CHECK(!rig_interrupted(rig));
}

/* --- §2.5 configuration space --- */

static void config_before_features(struct rig *rig)
{
	CHECK_EQ(rig->way->config_read(rig, 0, 4), 0x13121110);
	rig_reset(rig);
	CHECK_EQ(rig->way->config_read(rig, 8, 4), 0x1b1a1918);
}

static void config_any_width(struct rig *rig)
{
	CHECK_EQ(rig->way->config_read(rig, 0, 4), 0x13121110);
	CHECK_EQ(rig->way->config_read(rig, 5, 1), 0x15);
	CHECK_EQ(rig->way->config_read(rig, 6, 2), 0x1716);
	CHECK_EQ(rig->way->config_read(rig, 4, 8), 0x1b1a191817161514);
	rig->way->config_write(rig, 2, 2, 0xbeef);
	CHECK_EQ(rig->way->config_read(rig, 0, 4), 0xbeef1110);
	rig->way->config_write(rig, 1, 1, 0x77);
	CHECK_EQ(rig->way->config_read(rig, 0, 4), 0xbeef7710);
}

static void config_has_an_end(struct rig *rig)
{
	CHECK_EQ(rig->way->config_read(rig, TOY_CONFIG_SIZE - 2, 2), 0x1b1a);
	CHECK_EQ(rig->way->config_read(rig, TOY_CONFIG_SIZE, 4), 0);
	rig->way->config_write(rig, TOY_CONFIG_SIZE, 4, UINT32_MAX);
	/* §4.1.4.9 wants whole accesses of the window to be aligned. */
	if (rig->way != &ways[PCI_WINDOW]) {
		CHECK_EQ(rig->way->config_read(rig, TOY_CONFIG_SIZE - 2, 4), 0x1b1a);
		rig->way->config_write(rig, TOY_CONFIG_SIZE - 2, 4, UINT32_MAX);
	}
	CHECK_EQ(rig->way->config_read(rig, TOY_CONFIG_SIZE - 4, 4), 0x1b1a1918);
}

static void config_change_is_told(struct rig *rig)
{
	rig_start(rig, 0);
	toy_set_config(rig, 3, 0xaa);
	CHECK_EQ(rig_take_interrupt(rig), 2);
	CHECK_EQ(rig->way->config_read(rig, 3, 1), 0xaa);
	CHECK_EQ(rig->way->take_isr(rig), 0);
}

static void generation_shows_changes(struct rig *rig)
{
	uint32_t before;

	rig->way->config_read(rig, 0, 4);
	before = rig->way->generation(rig);
	rig->way->config_read(rig, 0, 4);
	CHECK_EQ(rig->way->generation(rig), before);
	toy_set_config(rig, 0, 0xee);
	CHECK_EQ(rig->way->config_read(rig, 0, 1), 0xee);
	CHECK(rig->way->generation(rig) != before);
}

/* As many changes between two reads as a count of 8 bits cannot tell from none.
 */
static void generation_does_not_wrap(struct rig *rig)
{
	for (unsigned int nr = 255; nr <= 257; nr++) {
		uint32_t before;

		rig->way->config_read(rig, 0, 4);
		before = rig->way->generation(rig);
		for (unsigned int i = 0; i < nr; i++)
			toy_set_config(rig, 4 + i % 4, nr + i);
		rig->way->config_read(rig, 0, 4);
		CHECK(rig->way->generation(rig) != before);
	}
}

/* The owner has written it, and has not said so yet: the driver must not take
 * halves for a whole. */
static void generation_shows_untold_changes(struct rig *rig)
{
	uint32_t before, low, high;

	rig->way->config_read(rig, 0, 4);
	before = rig->way->generation(rig);
	low = rig->way->config_read(rig, 0, 4);
	rig_toy(rig)->config[0] = 0xee;
	rig_toy(rig)->config[4] = 0xee;
	high = rig->way->config_read(rig, 4, 4);
	CHECK(low % 256 != high % 256);
	CHECK(rig->way->generation(rig) != before);
}

/* --- §2.6 queues --- */

static void queue_exists_or_not(struct rig *rig)
{
	static const uint32_t absent[] = {2, 3, 63, 64, 255, 256, 65535};

	CHECK_EQ(rig->way->queue_size(rig, 0), TOY_QUEUE_SIZE);
	CHECK_EQ(rig->way->queue_size(rig, 1), TOY_QUEUE_SIZE);
	for (unsigned int i = 0; i < ARRAY_SIZE(absent); i++)
		CHECK_EQ(rig->way->queue_size(rig, absent[i]), 0);
}

static void queue_sizes_are_powers_of_two(struct rig *rig)
{
	for (unsigned int q = 0; q < 64; q++) {
		uint32_t size = rig->way->queue_size(rig, q);

		CHECK(size <= 32768 && !(size & (size - 1)));
	}
}

static void queue_size_is_the_drivers(struct rig *rig)
{
	for (uint16_t size = 1; size <= TOY_QUEUE_SIZE; size *= 2) {
		CHECK(rig_negotiate(rig,
				    VERSION_1 | (rig->packed ? DRV_BIT(VIRTIO_F_RING_PACKED) : 0)));
		rig_queue(rig, 0, size);
		rig_driver_ok(rig);
		/* Around more than once: the device agrees where the ring ends. */
		for (unsigned int i = 0; i < 3 * TOY_QUEUE_SIZE + 1; i++)
			toy_exchange(rig, 0);
	}
}

static void queues_are_optional(struct rig *rig)
{
	uint64_t features = VERSION_1 | (rig->packed ? DRV_BIT(VIRTIO_F_RING_PACKED) : 0);

	CHECK(rig_negotiate(rig, features));
	rig_queue(rig, 1, 0);
	rig_driver_ok(rig);
	rig->way->notify(rig, 0);
	toy_exchange(rig, 1);
	CHECK(rig_negotiate(rig, features));
	rig_driver_ok(rig);
	rig->way->notify(rig, 0);
	rig_settle(rig);
	CHECK(!(rig->way->status(rig) & NEEDS_RESET));
}

/* --- §2.6.1 resetting one queue --- */

static void queue_reset_not_negotiated(struct rig *rig)
{
	rig_start(rig, 0);
	rig->way->queue_reset(rig, 0);
	CHECK(rig->way->queue_enabled(rig, 0));
	toy_exchange(rig, 0);
}

static void queue_reset_stops_it(struct rig *rig)
{
	const struct drv_buf buf = {BUF(0), 64};
	int id;
	uint32_t len;

	rig_start(rig, DRV_BIT(VIRTIO_F_RING_RESET));
	toy_exchange(rig, 0);
	rig->way->queue_reset(rig, 0);
	CHECK(!rig->way->queue_enabled(rig, 0));
	CHECK_EQ(rig->way->queue_size(rig, 0), TOY_QUEUE_SIZE);
	CHECK_EQ(rig_toy(rig)->queue_stops, 1);
	CHECK(drv_add(&rig->q[0], &buf, 0, 1, 0) >= 0);
	rig->way->notify(rig, 0);
	rig_settle(rig);
	CHECK(!drv_get_used(&rig->q[0], &id, &len));
	CHECK(!rig_interrupted(rig));
	/* The others go on. */
	toy_exchange(rig, 1);
}

static void queue_reset_in_flight(struct rig *rig)
{
	const struct drv_buf buf = {BUF(0), 64};
	int id;
	uint32_t len;

	rig_start(rig, DRV_BIT(VIRTIO_F_RING_RESET));
	rig_toy(rig)->hold = true;
	CHECK(drv_add(&rig->q[0], &buf, 0, 1, 0) >= 0);
	rig->way->notify(rig, 0);
	rig_settle(rig);
	rig->way->queue_reset(rig, 0);
	rig_toy(rig)->hold = false;
	rig_settle(rig);
	CHECK(!drv_get_used(&rig->q[0], &id, &len));
	rig_queue(rig, 0, 0);
	toy_exchange(rig, 0);
}

static void queue_reset_and_enable(struct rig *rig)
{
	rig_start(rig, DRV_BIT(VIRTIO_F_RING_RESET));
	for (uint16_t size = 1; size <= TOY_QUEUE_SIZE; size *= 2) {
		rig->way->queue_reset(rig, 0);
		rig_queue(rig, 0, size); /* at its first entry again, with another size */
		for (unsigned int i = 0; i < 5; i++)
			toy_exchange(rig, 0);
		toy_exchange(rig, 1);
	}
	CHECK_EQ(rig_toy(rig)->starts, 1);
}

static void queue_reset_each(struct rig *rig)
{
	rig_start(rig, rig_offered(rig) & ~DRV_BIT(VIRTIO_F_RING_PACKED));
	for (unsigned int q = 0; q < RIG_QUEUES && rig->way->queue_size(rig, q); q++) {
		rig->way->notify(rig, q);
		rig->way->queue_reset(rig, q);
		CHECK(!rig->way->queue_enabled(rig, q));
		rig_queue(rig, q, 0);
		rig->way->notify(rig, q);
	}
	rig_settle(rig);
	CHECK(!(rig->way->status(rig) & NEEDS_RESET));
}

/* --- §2.3, notifications of the driver --- */

static void notifies_used_buffers(struct rig *rig)
{
	rig_start(rig, 0);
	for (unsigned int i = 0; i < 100; i++)
		toy_exchange(rig, i % 2);
}

static void survives_spurious_notifications(struct rig *rig)
{
	rig_start(rig, 0);
	for (unsigned int i = 0; i < 100; i++)
		rig->way->notify(rig, i % 2);
	rig_settle(rig);
	CHECK(!rig_interrupted(rig));
	CHECK_EQ(rig_toy(rig)->handled, 0);
	toy_exchange(rig, 0);
	toy_exchange(rig, 1);
}

#define T BIT_OF(TOY)

const struct check core_checks[] = {
	{"2.1.2", "has status 0 at first", ALL_WAYS, 0, ALL_KINDS, status_is_0_at_first},
	{"2.1", "keeps the bits that the driver sets, until a reset", ALL_WAYS, 0, T,
	 status_keeps_bits},
	{"2.1", "alone sets DEVICE_NEEDS_RESET", ALL_WAYS, BOTH_RINGS, T,
	 needs_reset_is_the_devices},
	{"2.1.2", "consumes no buffer and notifies nobody before DRIVER_OK", MODERN_WAYS,
	 BOTH_RINGS, T, nothing_before_driver_ok},
	{"3.1.2", "serves a legacy driver's queues before DRIVER_OK", LEGACY_WAYS, 0, T,
	 early_notification_starts},
	{"2.1.2", "tells the driver of DEVICE_NEEDS_RESET by a configuration interrupt", ALL_WAYS,
	 BOTH_RINGS, T, needs_reset_is_told},
	{"2.1.2", "stands still after DEVICE_NEEDS_RESET, and works after a reset", ALL_WAYS,
	 BOTH_RINGS, T, needs_reset_until_reset},
	{"3.1.1", "does not start on DRIVER_OK without FEATURES_OK", MODERN_WAYS, 0, T,
	 driver_ok_without_features_ok},
	{"2.2", "offers features by words of 32 bits, none beyond the second", ALL_WAYS, 0, T,
	 offers_by_words},
	{"2.2.2", "offers no feature without what that requires", ALL_WAYS, 0, ALL_KINDS,
	 offers_what_is_required},
	{"2.2.2", "accepts every subset that makes sense", MODERN_WAYS, 0, T, accepts_any_subset},
	{"2.2.2", "accepts all that it offers", ALL_WAYS, BOTH_RINGS, ALL_KINDS,
	 accepts_all_offered},
	{"2.2.2", "clears FEATURES_OK when it did not offer what the driver wants", MODERN_WAYS, 0,
	 ALL_KINDS, refuses_what_was_not_offered},
	{"6.1", "clears FEATURES_OK for a driver without VERSION_1", MODERN_WAYS, 0, ALL_KINDS,
	 refuses_driver_without_version_1},
	{"3.1.1", "takes no features after FEATURES_OK", MODERN_WAYS, 0, T, features_are_settled},
	{"2.2.2", "negotiates anew what it has negotiated before", ALL_WAYS, BOTH_RINGS, ALL_KINDS,
	 renegotiates},
	{"2.2.3", "uses for a legacy driver the low 32 bits that it offered", LEGACY_WAYS, 0, T,
	 legacy_takes_what_it_can},
	{"2.4.1", "is as new after a reset", ALL_WAYS, BOTH_RINGS, T, reset_forgets},
	{"2.4.1", "neither notifies nor touches queues after a reset", ALL_WAYS, BOTH_RINGS, T,
	 reset_is_silence},
	{"2.4.1", "has forgotten notifications of before a reset", ALL_WAYS, 0, T,
	 reset_forgets_notifications},
	{"2.4.1", "drops what was in flight at a reset", ALL_WAYS, BOTH_RINGS, T, reset_in_flight},
	{"2.4.1", "can be reset at any time", ALL_WAYS, BOTH_RINGS, ALL_KINDS, reset_each},
	{"2.5.2", "lets its configuration be read before FEATURES_OK", ALL_WAYS, 0, T,
	 config_before_features},
	{"4.1.3.1", "gives parts of its configuration by any natural access", ALL_WAYS, 0, T,
	 config_any_width},
	{"2.5", "has nothing behind its configuration", ALL_WAYS, 0, T, config_has_an_end},
	{"2.5", "tells of a change of its configuration", ALL_WAYS, 0, T, config_change_is_told},
	{"4.1.4.3.1", "presents a new generation once changes have been read", MODERN_WAYS, 0, T,
	 generation_shows_changes},
	{"4.1.4.3.1", "presents a new generation after any number of changes", MODERN_WAYS, 0, T,
	 generation_does_not_wrap},
	{"4.1.4.3.1", "presents a new generation for a change in the middle of a read", MODERN_WAYS,
	 0, T, generation_shows_untold_changes},
	{"2.6", "has size 0 for queues that it does not have", ALL_WAYS, 0, T, queue_exists_or_not},
	{"2.6", "offers queue sizes that are powers of two, at most 32768", ALL_WAYS, 0, ALL_KINDS,
	 queue_sizes_are_powers_of_two},
	{"2.6", "uses the queue size that the driver chose", ALL_WAYS & ~BIT_OF(PCI_LEGACY),
	 BOTH_RINGS, T, queue_size_is_the_drivers},
	{"2.6", "leaves alone the queues that the driver does not enable", MODERN_WAYS, BOTH_RINGS,
	 T, queues_are_optional},
	{"2.6.1", "resets a queue only if that was negotiated", MODERN_WAYS, BOTH_RINGS, T,
	 queue_reset_not_negotiated},
	{"2.6.1.1.1", "takes nothing from a queue that was reset, and serves the others",
	 MODERN_WAYS, BOTH_RINGS, T, queue_reset_stops_it},
	{"2.6.1.1.1", "drops what was in flight in a queue at its reset", MODERN_WAYS, BOTH_RINGS,
	 T, queue_reset_in_flight},
	{"2.6.1.2.1", "serves a queue that was reset and enabled again, with a size of its own",
	 MODERN_WAYS, BOTH_RINGS, T, queue_reset_and_enable},
	{"2.6.1", "can have each queue reset while it works", MODERN_WAYS, BOTH_RINGS, ALL_KINDS,
	 queue_reset_each},
	{"2.3", "notifies the driver of used buffers", ALL_WAYS, BOTH_RINGS, T,
	 notifies_used_buffers},
	{"2.7.10.2", "handles notifications for nothing", ALL_WAYS, BOTH_RINGS, T,
	 survives_spurious_notifications},
	{0},
};
