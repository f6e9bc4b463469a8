// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/mmio.c virtio/device.c virtio/virtq.c bus.c memory.c util/worker.c util/loop.c util/util.c util/log.c */
/*
 * Both versions of virtio over MMIO as a driver sees them. The names of the tests say which clause
 * of virtio 1.2 they are about.
 */
#include <linux/virtio_mmio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/log.h"
#include "kvm/virtio-mmio.h"
#include "virtio-toy.h"

#define BASE	    0xfeb00000u
#define GSI	    14
#define QUEUE_RESET 0xc0
#define SHM_SEL	    0xac
#define PAGE	    4096

struct setup {
	struct drv_ram ram;
	struct drv_queue q;
	struct bus bus;
	struct irq_chip irq;
	struct virtio_device *vdev;
	struct toy *toy;
	struct virtio_mmio *mio;
};

static uint64_t reg_read(struct setup *s, uint64_t off, unsigned int len)
{
	uint64_t val = 0;

	assert_true(bus_read(&s->bus, NULL, BASE + off, len, &val));
	return val;
}

static void reg_write(struct setup *s, uint64_t off, unsigned int len, uint64_t val)
{
	assert_true(bus_write(&s->bus, NULL, BASE + off, len, val));
}

static uint32_t r(struct setup *s, uint64_t off)
{
	return reg_read(s, off, 4);
}

static void w(struct setup *s, uint64_t off, uint32_t val)
{
	reg_write(s, off, 4, val);
}

static int setup_init(void **state, const struct virtio_model *model, bool legacy)
{
	const struct virtio_mmio_place place = {BASE, GSI};
	struct setup *s = calloc(1, sizeof(*s));

	log_set_level(LOG_LEVEL_ERROR);
	drv_ram_init(&s->ram);
	bus_init(&s->bus, "mmio");
	s->vdev = toy_create(model, &s->ram.mem);
	s->toy = s->vdev->dev;
	s->mio = virtio_mmio_create(&s->bus, &s->irq, -1, &place, s->vdev, legacy);
	assert_non_null(s->mio);
	*state = s;
	return 0;
}

static int setup_modern(void **state)
{
	return setup_init(state, &toy_model, false);
}

static int setup_legacy(void **state)
{
	return setup_init(state, &toy_model, true);
}

static int setup_new(void **state)
{
	return setup_init(state, &toy_new_model, true);
}

static int setup_fini(void **state)
{
	struct setup *s = *state;

	virtio_mmio_destroy(s->mio);
	virtio_device_destroy(s->vdev);
	bus_fini(&s->bus);
	drv_ram_fini(&s->ram);
	assert_int_equal(toy_nr_eventfds(), 0);
	assert_false(toy_level);
	free(s);
	return 0;
}

/* --- a driver --- */

static void negotiate(struct setup *s, uint64_t features)
{
	w(s, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(r(s, VIRTIO_MMIO_STATUS), 0);
	w(s, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	w(s, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (unsigned int i = 0; i < 2; i++) {
		w(s, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
		w(s, VIRTIO_MMIO_DRIVER_FEATURES, features >> 32 * i);
	}
}

static void set_area(struct setup *s, uint64_t off, uint64_t gpa)
{
	w(s, off, gpa);
	w(s, off + 4, gpa >> 32);
}

static void modern_queue(struct setup *s, unsigned int nr)
{
	struct virtq_config cfg = {.size = 8};

	drv_queue_init(&s->q, &s->ram, nr, &cfg);
	w(s, VIRTIO_MMIO_QUEUE_SEL, nr);
	w(s, VIRTIO_MMIO_QUEUE_NUM, 8);
	set_area(s, VIRTIO_MMIO_QUEUE_DESC_LOW, s->q.cfg.desc);
	set_area(s, VIRTIO_MMIO_QUEUE_AVAIL_LOW, s->q.cfg.driver);
	set_area(s, VIRTIO_MMIO_QUEUE_USED_LOW, s->q.cfg.device);
	w(s, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void modern_start(struct setup *s, uint64_t features)
{
	negotiate(s, DRV_BIT(VIRTIO_F_VERSION_1) | features);
	w(s, VIRTIO_MMIO_STATUS, DRV_STATUS_FEATURES);
	assert_int_equal(r(s, VIRTIO_MMIO_STATUS), DRV_STATUS_FEATURES);
	modern_queue(s, 0);
	w(s, VIRTIO_MMIO_STATUS, DRV_STATUS_RUNNING);
	assert_int_equal(r(s, VIRTIO_MMIO_STATUS), DRV_STATUS_RUNNING);
}

#define LEGACY_RUNNING \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK)

static void legacy_queue(struct setup *s, unsigned int nr, uint16_t size, uint32_t align)
{
	toy_queue_init(&s->q, &s->ram, nr, size, align);
	w(s, VIRTIO_MMIO_QUEUE_SEL, nr);
	w(s, VIRTIO_MMIO_QUEUE_NUM, size);
	w(s, VIRTIO_MMIO_QUEUE_ALIGN, align);
	w(s, VIRTIO_MMIO_QUEUE_PFN, s->q.cfg.desc / PAGE);
}

/* In Linux' order: the page size is told before the device is reset. */
static void legacy_start(struct setup *s, uint64_t features)
{
	w(s, VIRTIO_MMIO_GUEST_PAGE_SIZE, PAGE);
	negotiate(s, features);
	legacy_queue(s, 0, 8, PAGE);
	w(s, VIRTIO_MMIO_STATUS, LEGACY_RUNNING);
	assert_int_equal(r(s, VIRTIO_MMIO_STATUS), LEGACY_RUNNING);
}

/* One buffer there and back, and the interrupt for it. */
static void exchange(struct setup *s, unsigned int nr)
{
	struct drv_buf buf = {DRV_DATA, 64};
	uint8_t *data = drv_ptr(&s->ram, DRV_DATA);
	uint32_t len = 0;
	int id;

	memset(data, 0, 64);
	assert_true(drv_add(&s->q, &buf, 0, 1, 0) >= 0);
	w(s, VIRTIO_MMIO_QUEUE_NOTIFY, nr);
	assert_true(drv_wait_used(&s->q, &id, &len));
	assert_int_equal(len, 64);
	assert_int_equal(data[0], TOY_BYTE);
	assert_int_equal(data[63], TOY_BYTE);
	assert_true(DRV_WAIT(toy_level));
	assert_int_equal(r(s, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	w(s, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_false(toy_level);
}

/* --- registers --- */

static void test_identity(void **state)
{
	static const struct {
		uint32_t off, modern, legacy;
	} table[] = {
		{VIRTIO_MMIO_MAGIC_VALUE, 0x74726976, 0x74726976},
		{VIRTIO_MMIO_VERSION, 2, 1},
		{VIRTIO_MMIO_DEVICE_ID, VIRTIO_ID_BLOCK, VIRTIO_ID_BLOCK},
		{VIRTIO_MMIO_VENDOR_ID, 0x4d564b4c, 0x4d564b4c},
		{VIRTIO_MMIO_STATUS, 0, 0},
		{VIRTIO_MMIO_INTERRUPT_STATUS, 0, 0},
		{VIRTIO_MMIO_QUEUE_NUM_MAX, TOY_QUEUE_SIZE, TOY_QUEUE_SIZE},
		{VIRTIO_MMIO_QUEUE_PFN, 0, 0},
		{VIRTIO_MMIO_QUEUE_READY, 0, 0},
		{VIRTIO_MMIO_SHM_LEN_LOW, UINT32_MAX, 0},
		{VIRTIO_MMIO_SHM_LEN_HIGH, UINT32_MAX, 0},
		{VIRTIO_MMIO_SHM_BASE_LOW, UINT32_MAX, 0},
		{VIRTIO_MMIO_SHM_BASE_HIGH, UINT32_MAX, 0},
		{VIRTIO_MMIO_CONFIG_GENERATION, 0, 0},
	};
	struct setup *s = *state;
	bool legacy = r(s, VIRTIO_MMIO_VERSION) == 1;

	for (unsigned int i = 0; i < ARRAY_SIZE(table); i++)
		assert_int_equal(r(s, table[i].off), legacy ? table[i].legacy : table[i].modern);
	assert_int_equal(toy_gsi, GSI);
}

static void test_features(void **state)
{
	struct setup *s = *state;
	bool legacy = r(s, VIRTIO_MMIO_VERSION) == 1;
	uint32_t word[4];

	for (unsigned int i = 0; i < 4; i++) {
		w(s, VIRTIO_MMIO_DEVICE_FEATURES_SEL, i);
		word[i] = r(s, VIRTIO_MMIO_DEVICE_FEATURES);
	}
	assert_true(word[0] & 1u << TOY_FEATURE);
	assert_int_equal(!!(word[0] & 1u << VIRTIO_F_ANY_LAYOUT), legacy);
	assert_int_equal(!!(word[1] & 1u << (VIRTIO_F_VERSION_1 - 32)), !legacy);
	if (legacy)
		assert_int_equal(word[1], 0);
	assert_int_equal(word[2] | word[3], 0);
}

static void test_config(void **state)
{
	struct setup *s = *state;

	assert_int_equal(reg_read(s, VIRTIO_MMIO_CONFIG, 4), 0x13121110);
	assert_int_equal(reg_read(s, VIRTIO_MMIO_CONFIG + 5, 1), 0x15);
	assert_int_equal(reg_read(s, VIRTIO_MMIO_CONFIG + 6, 2), 0x1716);
	assert_int_equal(reg_read(s, VIRTIO_MMIO_CONFIG + 4, 8), 0x1b1a191817161514);
	reg_write(s, VIRTIO_MMIO_CONFIG + 2, 2, 0xbeef);
	assert_int_equal(reg_read(s, VIRTIO_MMIO_CONFIG, 4), 0xbeef1110);
	/* Across its end, behind it, and at the very end of the window. */
	assert_int_equal(reg_read(s, VIRTIO_MMIO_CONFIG + 8, 8), 0x1b1a1918);
	assert_int_equal(reg_read(s, VIRTIO_MMIO_CONFIG + TOY_CONFIG_SIZE, 4), 0);
	assert_int_equal(reg_read(s, VIRTIO_MMIO_SIZE - 8, 8), 0);
	reg_write(s, VIRTIO_MMIO_CONFIG + 8, 8, UINT64_MAX);
	reg_write(s, VIRTIO_MMIO_SIZE - 4, 4, UINT32_MAX);
	assert_int_equal(reg_read(s, VIRTIO_MMIO_CONFIG + 8, 4), 0x1b1a1918);
}

/* §4.2.2.2 has drivers use aligned 32-bit accesses only; others do nothing. */
static void test_widths(void **state)
{
	struct setup *s = *state;

	assert_int_equal(reg_read(s, VIRTIO_MMIO_MAGIC_VALUE, 1), 0);
	assert_int_equal(reg_read(s, VIRTIO_MMIO_MAGIC_VALUE, 2), 0);
	assert_int_equal(reg_read(s, VIRTIO_MMIO_MAGIC_VALUE, 8), 0);
	assert_int_equal(reg_read(s, VIRTIO_MMIO_MAGIC_VALUE + 2, 4), 0);
	reg_write(s, VIRTIO_MMIO_STATUS, 1, 1);
	reg_write(s, VIRTIO_MMIO_STATUS, 8, 1);
	assert_int_equal(r(s, VIRTIO_MMIO_STATUS), 0);
	/* Every register that there is, and is not. */
	for (unsigned int off = 0; off < VIRTIO_MMIO_CONFIG; off += 4) {
		if (off == VIRTIO_MMIO_STATUS || off == VIRTIO_MMIO_QUEUE_NOTIFY)
			continue;
		w(s, off, UINT32_MAX);
		r(s, off);
	}
	assert_int_equal(r(s, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
}

static void test_notify_by_kvm(void **state)
{
	struct setup *s = *state;

	assert_int_equal(toy_nr_eventfds(), 2);
	for (unsigned int q = 0; q < 2; q++) {
		assert_int_equal(toy_eventfd[q].at, BASE + VIRTIO_MMIO_QUEUE_NOTIFY);
		assert_int_equal(toy_eventfd[q].len, 4);
		assert_false(toy_eventfd[q].any || toy_eventfd[q].io);
		assert_int_equal(toy_eventfd[q].match, q);
		assert_int_equal(toy_eventfd[q].fd, s->vdev->queue[q].kick_fd);
	}
}

/* --- version 2 --- */

static void test_modern_works(void **state)
{
	struct setup *s = *state;

	modern_start(s, DRV_BIT(TOY_HIGH));
	assert_int_equal(s->toy->features, DRV_BIT(TOY_HIGH) | DRV_BIT(VIRTIO_F_VERSION_1));
	for (unsigned int i = 0; i < 20; i++)
		exchange(s, 0);
	/* And once more from the start. */
	modern_start(s, 0);
	exchange(s, 0);
}

static void test_modern_refuses(void **state)
{
	struct setup *s = *state;

	negotiate(s, DRV_BIT(VIRTIO_F_VERSION_1) | DRV_BIT(6));
	w(s, VIRTIO_MMIO_STATUS, DRV_STATUS_FEATURES);
	assert_false(r(s, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK);
	negotiate(s, 0);
	w(s, VIRTIO_MMIO_STATUS, DRV_STATUS_FEATURES);
	assert_false(r(s, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK);
	negotiate(s, DRV_BIT(VIRTIO_F_VERSION_1));
	w(s, VIRTIO_MMIO_STATUS, LEGACY_RUNNING);
	assert_true(r(s, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void test_modern_ready(void **state)
{
	struct setup *s = *state;

	modern_start(s, 0);
	assert_int_equal(r(s, VIRTIO_MMIO_QUEUE_READY), 1);
	exchange(s, 0);
	w(s, VIRTIO_MMIO_QUEUE_READY, 0);
	assert_int_equal(r(s, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(s->toy->queue_stops, 1);
	w(s, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	modern_queue(s, 0);
	assert_int_equal(r(s, VIRTIO_MMIO_QUEUE_READY), 1);
	exchange(s, 0);
	assert_int_equal(s->toy->starts, 1);
}

static void test_modern_queue_reset(void **state)
{
	struct setup *s = *state;

	modern_start(s, 0);
	w(s, QUEUE_RESET, 1);
	assert_int_equal(r(s, VIRTIO_MMIO_QUEUE_READY), 1);
	modern_start(s, DRV_BIT(VIRTIO_F_RING_RESET));
	w(s, QUEUE_RESET, 1);
	assert_int_equal(r(s, QUEUE_RESET), 0);
	assert_int_equal(r(s, VIRTIO_MMIO_QUEUE_READY), 0);
	modern_queue(s, 0);
	exchange(s, 0);
}

static void test_modern_has_no_legacy_registers(void **state)
{
	struct setup *s = *state;

	negotiate(s, DRV_BIT(VIRTIO_F_VERSION_1));
	w(s, VIRTIO_MMIO_GUEST_PAGE_SIZE, PAGE);
	w(s, VIRTIO_MMIO_QUEUE_PFN, DRV_GPA / PAGE);
	assert_int_equal(r(s, VIRTIO_MMIO_QUEUE_PFN), 0);
	assert_int_equal(r(s, VIRTIO_MMIO_QUEUE_READY), 0);
}

static void test_interrupts(void **state)
{
	struct setup *s = *state;

	modern_start(s, 0);
	virtio_config_changed(s->vdev);
	assert_true(toy_level);
	assert_int_equal(r(s, VIRTIO_MMIO_CONFIG_GENERATION), 1);
	assert_int_equal(r(s, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	/* Up until every reason is acknowledged; what was not given cannot be taken. */
	w(s, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_true(toy_level);
	w(s, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	assert_false(toy_level);
	virtio_config_changed(s->vdev);
	w(s, VIRTIO_MMIO_STATUS, 0);
	assert_false(toy_level);
	assert_int_equal(r(s, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

/* --- version 1 --- */

static void test_legacy_works(void **state)
{
	struct setup *s = *state;

	legacy_start(s, DRV_BIT(TOY_FEATURE));
	assert_int_equal(s->toy->features, DRV_BIT(TOY_FEATURE));
	assert_int_equal(r(s, VIRTIO_MMIO_QUEUE_PFN), s->q.cfg.desc / PAGE);
	for (unsigned int i = 0; i < 20; i++)
		exchange(s, 0);
	legacy_start(s, 0);
	exchange(s, 0);
}

static void test_legacy_layouts(void **state)
{
	static const uint32_t aligns[] = {4, 64, 4096, 16384};
	struct setup *s = *state;

	w(s, VIRTIO_MMIO_GUEST_PAGE_SIZE, PAGE);
	for (unsigned int i = 0; i < ARRAY_SIZE(aligns); i++) {
		for (unsigned int size = 1; size <= TOY_QUEUE_SIZE; size *= 2) {
			negotiate(s, 0);
			legacy_queue(s, 1, size, aligns[i]);
			w(s, VIRTIO_MMIO_STATUS, LEGACY_RUNNING);
			exchange(s, 1);
		}
	}
}

/* What is not offered, or has no place in 32 bits, is not negotiated. */
static void test_legacy_features(void **state)
{
	struct setup *s = *state;

	legacy_start(s, UINT64_MAX);
	assert_int_equal(s->toy->features & DRV_BIT(VIRTIO_F_VERSION_1), 0);
	assert_int_equal(s->toy->features & DRV_BIT(6), 0);
	assert_true(s->toy->features & DRV_BIT(TOY_FEATURE));
	assert_int_equal(r(s, VIRTIO_MMIO_STATUS), LEGACY_RUNNING);
}

static void test_legacy_early(void **state)
{
	struct setup *s = *state;

	w(s, VIRTIO_MMIO_GUEST_PAGE_SIZE, PAGE);
	negotiate(s, DRV_BIT(TOY_FEATURE));
	legacy_queue(s, 0, 8, PAGE);
	assert_int_equal(s->toy->starts, 0);
	exchange(s, 0);
	assert_int_equal(s->toy->starts, 1);
	/* A second queue, then DRIVER_OK: nothing starts anew. */
	legacy_queue(s, 1, 8, PAGE);
	exchange(s, 1);
	w(s, VIRTIO_MMIO_STATUS, LEGACY_RUNNING);
	exchange(s, 1);
	assert_int_equal(s->toy->starts, 1);
	assert_int_equal(r(s, VIRTIO_MMIO_STATUS), LEGACY_RUNNING);
}

/* A notification that nobody saw before the reset does not start the next life. */
static void test_legacy_stale_kick(void **state)
{
	struct setup *s = *state;

	legacy_start(s, 0);
	w(s, VIRTIO_MMIO_STATUS, 0);
	virtio_device_kick(s->vdev, 0);
	w(s, VIRTIO_MMIO_STATUS, 0);
	negotiate(s, 0);
	legacy_queue(s, 0, 8, PAGE);
	usleep(20000);
	assert_int_equal(s->toy->starts, 1);
	w(s, VIRTIO_MMIO_STATUS, LEGACY_RUNNING);
	exchange(s, 0);
}

static void test_legacy_pfn_0(void **state)
{
	struct setup *s = *state;

	legacy_start(s, 0);
	exchange(s, 0);
	w(s, VIRTIO_MMIO_QUEUE_PFN, 0);
	assert_int_equal(r(s, VIRTIO_MMIO_QUEUE_PFN), 0);
	assert_int_equal(s->toy->queue_stops, 1);
	legacy_queue(s, 0, 4, PAGE);
	exchange(s, 0);
}

/* --- hostile drivers --- */

static void test_no_such_queue(void **state)
{
	static const uint32_t numbers[] = {2, 63, 64, 65535, 65536, 0x80000000, UINT32_MAX};
	struct setup *s = *state;
	bool legacy = r(s, VIRTIO_MMIO_VERSION) == 1;

	if (legacy)
		legacy_start(s, 0);
	else
		modern_start(s, DRV_BIT(VIRTIO_F_RING_RESET));
	for (unsigned int i = 0; i < ARRAY_SIZE(numbers); i++) {
		w(s, VIRTIO_MMIO_QUEUE_SEL, numbers[i]);
		assert_int_equal(r(s, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
		w(s, VIRTIO_MMIO_QUEUE_NUM, 8);
		w(s, VIRTIO_MMIO_QUEUE_ALIGN, 4);
		w(s, VIRTIO_MMIO_QUEUE_PFN, 1);
		w(s, VIRTIO_MMIO_QUEUE_DESC_LOW, DRV_GPA);
		w(s, VIRTIO_MMIO_QUEUE_READY, 1);
		w(s, VIRTIO_MMIO_QUEUE_READY, 0);
		w(s, QUEUE_RESET, 1);
		assert_int_equal(r(s, VIRTIO_MMIO_QUEUE_READY) | r(s, VIRTIO_MMIO_QUEUE_PFN), 0);
		w(s, VIRTIO_MMIO_QUEUE_NOTIFY, numbers[i]);
	}
	exchange(s, 0);
}

/* Sizes and places that cannot be: NEEDS_RESET, and after a reset all is well. */
static void test_legacy_bad_queues(void **state)
{
	static const struct {
		uint32_t page, num, align, pfn;
	} bad[] = {
		{PAGE, 8, PAGE, 1},		       /* no RAM there */
		{PAGE, 8, PAGE, UINT32_MAX},	       /* nor there */
		{UINT32_MAX, 8, PAGE, UINT32_MAX},     /* ends beyond all addresses */
		{1, 8, 16, (uint32_t)DRV_GPA + 1},     /* not aligned */
		{PAGE, 8, 0x80000000, DRV_GPA / PAGE}, /* the used ring is elsewhere */
		{PAGE, 7, PAGE, DRV_GPA / PAGE},       /* no power of two */
		{PAGE, 0, PAGE, DRV_GPA / PAGE},
	};
	struct setup *s = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		negotiate(s, 0);
		w(s, VIRTIO_MMIO_GUEST_PAGE_SIZE, bad[i].page);
		w(s, VIRTIO_MMIO_QUEUE_SEL, 0);
		w(s, VIRTIO_MMIO_QUEUE_NUM, bad[i].num);
		w(s, VIRTIO_MMIO_QUEUE_ALIGN, bad[i].align);
		w(s, VIRTIO_MMIO_QUEUE_PFN, bad[i].pfn);
		w(s, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		w(s, VIRTIO_MMIO_STATUS, LEGACY_RUNNING);
		assert_true(DRV_WAIT(r(s, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET));
		legacy_start(s, 0);
		exchange(s, 0);
	}
	/* Alignments that are none are ignored; a page size of 0 leaves no address but 0. */
	w(s, VIRTIO_MMIO_QUEUE_ALIGN, 0);
	w(s, VIRTIO_MMIO_QUEUE_ALIGN, 3);
	w(s, VIRTIO_MMIO_GUEST_PAGE_SIZE, 0);
	assert_int_equal(r(s, VIRTIO_MMIO_QUEUE_PFN), 0);
	w(s, VIRTIO_MMIO_QUEUE_SEL, 1);
	w(s, VIRTIO_MMIO_QUEUE_PFN, 5);
	assert_int_equal(r(s, VIRTIO_MMIO_QUEUE_PFN), 0);
	legacy_start(s, 0);
	exchange(s, 0);
}

static void test_new_kind(void **state)
{
	struct setup *s = *state;

	assert_int_equal(r(s, VIRTIO_MMIO_VERSION), 2);
	modern_start(s, 0);
	exchange(s, 0);
}

#define MODERN(name, fn)                                                \
	{                                                               \
		name " (version 2)", fn, setup_modern, setup_fini, NULL \
	}
#define LEGACY(name, fn)                                                \
	{                                                               \
		name " (version 1)", fn, setup_legacy, setup_fini, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MODERN("4.2.2.1 magic, version, ids, what reads 0 after reset", test_identity),
		LEGACY("4.2.4 magic, version, ids, what reads 0 after reset", test_identity),
		MODERN("4.2.2 features by words, VERSION_1 offered", test_features),
		LEGACY("6.3 features by words, bits above 31 not offered", test_features),
		MODERN("4.2.2 configuration of any width, and beyond its end", test_config),
		LEGACY("4.2.4 configuration of any width, and beyond its end", test_config),
		MODERN("4.2.2.2 control registers are 32 bits wide", test_widths),
		LEGACY("4.2.2.2 control registers are 32 bits wide", test_widths),
		MODERN("4.2.3.3 a notification is an eventfd by value", test_notify_by_kvm),
		LEGACY("4.2.3.3 a notification is an eventfd by value", test_notify_by_kvm),
		MODERN("3.1.1 initialization, and buffers go round", test_modern_works),
		MODERN("2.2.2 FEATURES_OK refused; DRIVER_OK without it", test_modern_refuses),
		MODERN("4.2.2.1 QueueReady 0 takes a queue back", test_modern_ready),
		MODERN("2.6.1 queue reset, only if negotiated", test_modern_queue_reset),
		MODERN("4.2.2 no legacy registers", test_modern_has_no_legacy_registers),
		MODERN("4.2.2.1 InterruptACK, level until then; ConfigGeneration", test_interrupts),
		LEGACY("3.1.2 initialization, and buffers go round", test_legacy_works),
		LEGACY("2.7.2 layouts of all sizes and alignments", test_legacy_layouts),
		LEGACY("2.2.3 features are settled without FEATURES_OK", test_legacy_features),
		LEGACY("3.1.2 the device is used before DRIVER_OK", test_legacy_early),
		LEGACY("a notification from before a reset is forgotten", test_legacy_stale_kick),
		LEGACY("4.2.4 QueuePFN 0 takes a queue back", test_legacy_pfn_0),
		MODERN("queues that do not exist", test_no_such_queue),
		LEGACY("queues that do not exist", test_no_such_queue),
		LEGACY("queues that cannot be", test_legacy_bad_queues),
		{"5 a device with no legacy interface is version 2", test_new_kind, setup_new,
		 setup_fini, NULL},
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
