// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/console.c virtio/device.c virtio/virtq.c memory.c util/worker.c util/loop.c util/util.c util/log.c */
/* virtio-console between an in-process driver and a chardev that takes and gives as told. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "kvm/chardev.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "virtio-driver.h"

#include <linux/virtio_console.h>

#define RX	   0
#define TX	   1
#define QUEUE_SIZE 16

/* --- the chardev, whose main loop is the test's thread --- */

struct chardev {
	const struct chardev_front *front;
	void *arg;
	pthread_mutex_t lock; /* protects output and room */
	uint8_t output[1 << 20];
	size_t output_len, room;
	atomic_bool accepts;
	bool sized;
	uint16_t more_cols;
};

void chardev_set_front(struct chardev *chr, const struct chardev_front *front, void *arg)
{
	chr->front = front;
	chr->arg = arg;
}

size_t chardev_write(struct chardev *chr, const void *buf, size_t len)
{
	size_t n;

	pthread_mutex_lock(&chr->lock);
	n = MIN(len, chr->room);
	assert(chr->output_len + n <= sizeof(chr->output));
	memcpy(chr->output + chr->output_len, buf, n);
	chr->output_len += n;
	chr->room -= n;
	pthread_mutex_unlock(&chr->lock);
	return n;
}

void chardev_accept_input(struct chardev *chr)
{
	chr->accepts = true;
}

bool chardev_winsize(struct chardev *chr, uint16_t *cols, uint16_t *rows)
{
	*cols = 132 + chr->more_cols;
	*rows = 43;
	return chr->sized;
}

static void chardev_give_room(struct chardev *chr, size_t room)
{
	pthread_mutex_lock(&chr->lock);
	chr->room += room;
	pthread_mutex_unlock(&chr->lock);
	chr->front->room(chr->arg);
}

static size_t chardev_output_len(struct chardev *chr)
{
	size_t len;

	pthread_mutex_lock(&chr->lock);
	len = chr->output_len;
	pthread_mutex_unlock(&chr->lock);
	return len;
}

/* --- set-up --- */

struct setup {
	struct drv_ram ram;
	struct drv_transport transport;
	struct drv_queue q[2];
	struct chardev chr;
	struct virtio_device *vdev;
};

static int setup_init(void **state)
{
	struct setup *s = calloc(1, sizeof(*s));

	drv_ram_init(&s->ram);
	pthread_mutex_init(&s->chr.lock, NULL);
	s->chr.sized = true;
	s->vdev = console_create(&s->ram.mem, "console", &s->chr);
	virtio_device_attach(s->vdev, &drv_transport_ops, &s->transport);
	*state = s;
	return 0;
}

static int setup_fini(void **state)
{
	struct setup *s = *state;

	virtio_device_destroy(s->vdev);
	assert_null(s->chr.front);
	drv_ram_fini(&s->ram);
	free(s);
	return 0;
}

static void setup_run(struct setup *s, uint64_t features)
{
	assert_true(drv_negotiate(s->vdev, features));
	drv_setup_queue(&s->q[RX], s->vdev, &s->ram, RX, QUEUE_SIZE);
	drv_setup_queue(&s->q[TX], s->vdev, &s->ram, TX, QUEUE_SIZE);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
	drv_enable_interrupts(&s->q[RX], 0);
	drv_enable_interrupts(&s->q[TX], 0);
}

static void setup_kick(struct setup *s, unsigned int q)
{
	if (drv_wants_kick(&s->q[q]))
		virtio_device_kick(s->vdev, q);
}

static void test_size(void **state)
{
	struct setup *s = *state;
	struct virtio_console_config cfg;

	assert_true(virtio_device_features(s->vdev) & DRV_BIT(VIRTIO_CONSOLE_F_SIZE));
	assert_false(virtio_device_features(s->vdev) & DRV_BIT(VIRTIO_CONSOLE_F_MULTIPORT));
	virtio_device_config_read(s->vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(cfg.cols, 132);
	assert_int_equal(cfg.rows, 43);
}

/* The terminal is resized: before there is a driver, and with one, who is told. */
static void test_resize(void **state)
{
	struct setup *s = *state;
	struct virtio_console_config cfg;

	s->chr.more_cols = 1;
	s->chr.front->resized(s->chr.arg);
	setup_run(s, DRV_BIT(VIRTIO_F_VERSION_1) | DRV_BIT(VIRTIO_CONSOLE_F_SIZE));
	virtio_device_config_read(s->vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(cfg.cols, 133);
	assert_int_equal(s->transport.config_irqs, 0);
	s->chr.more_cols = 2;
	s->chr.front->resized(s->chr.arg);
	assert_int_equal(s->transport.config_irqs, 1);
	virtio_device_config_read(s->vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(cfg.cols, 134);
	assert_int_equal(cfg.rows, 43);
	/* The driver is reminded once it is surely there. */
	s->chr.room = 100;
	for (unsigned int i = 0; i < 3; i++) {
		struct drv_buf buf = {DRV_DATA, 10};
		uint32_t len;
		int id;

		assert_true(drv_add(&s->q[TX], &buf, 1, 0, 0) >= 0);
		setup_kick(s, TX);
		assert_true(drv_wait_used(&s->q[TX], &id, &len));
		assert_int_equal(s->transport.config_irqs, 2);
	}
}

/* Output all arrives, in order, through a chardev that gives room by and by. */
static void test_output(void **state)
{
	struct setup *s = *state;
	size_t sent = 0, total = 300000, got = 0;
	unsigned int seed = 1;
	int id, slot = 0;
	uint32_t len;

	setup_run(s, virtio_device_features(s->vdev));
	for (size_t i = 0; i < total; i++)
		*(uint8_t *)drv_ptr(&s->ram, DRV_DATA + i) = i * 7 + (i >> 8);
	while (got < total) {
		size_t want = 1 + rand_r(&seed) % 5000, a = MIN(want, total - sent);
		struct drv_buf bufs[] = {{DRV_DATA + sent, a / 3},
					 {DRV_DATA + sent + a / 3, a - a / 3}};

		if (sent < total && drv_add(&s->q[TX], bufs, 2, 0, 0) >= 0) {
			sent += a;
			setup_kick(s, TX);
		} else {
			chardev_give_room(&s->chr, 1 + slot++ % 7000);
		}
		while (drv_get_used(&s->q[TX], &id, &len))
			assert_int_equal(len, 0);
		drv_enable_interrupts(&s->q[TX], 0);
		got = chardev_output_len(&s->chr);
	}
	assert_memory_equal(s->chr.output, drv_ptr(&s->ram, DRV_DATA), total);
	/* All came back, too. */
	assert_true(DRV_WAIT(({
		while (drv_get_used(&s->q[TX], &id, &len))
			;
		s->q[TX].nr_free == QUEUE_SIZE;
	})));
	assert_true(s->transport.queue_irqs[TX] > 0);
	assert_int_equal(s->transport.queue_irqs[RX], 0);
}

/* While output is stuck the chain stays with the device, and input still flows. */
static void test_stuck_output(void **state)
{
	struct setup *s = *state;
	struct drv_buf out = {DRV_DATA, 1000}, in = {DRV_DATA + 4096, 100};
	uint32_t len = 0;
	int id;

	setup_run(s, DRV_BIT(VIRTIO_F_VERSION_1));
	drv_add(&s->q[TX], &out, 1, 0, 0);
	setup_kick(s, TX);
	drv_add(&s->q[RX], &in, 0, 1, 0);
	setup_kick(s, RX);
	assert_int_equal(s->chr.front->input(s->chr.arg, (const uint8_t *)"hi", 2), 2);
	assert_true(drv_wait_used(&s->q[RX], &id, &len));
	assert_int_equal(len, 2);
	assert_false(drv_get_used(&s->q[TX], &id, &len));
	chardev_give_room(&s->chr, 999);
	assert_true(DRV_WAIT(chardev_output_len(&s->chr) == 999));
	assert_false(drv_get_used(&s->q[TX], &id, &len));
	/* Reset in the middle: the rest is forgotten, what comes after is not mixed up with it. */
	setup_run(s, DRV_BIT(VIRTIO_F_VERSION_1));
	out.len = 5;
	drv_add(&s->q[TX], &out, 1, 0, 0);
	setup_kick(s, TX);
	chardev_give_room(&s->chr, 100);
	assert_true(drv_wait_used(&s->q[TX], &id, &len));
	assert_int_equal(chardev_output_len(&s->chr), 999 + 5);
}

/* Nothing typed is lost, before the driver is there and while it has no buffers. */
static void test_input(void **state)
{
	struct setup *s = *state;
	size_t given = 0, got = 0, total = 100000;
	uint8_t *typed = malloc(total);
	uint32_t len;
	int id;

	for (size_t i = 0; i < total; i++)
		typed[i] = i * 13 + (i >> 8);
	given = s->chr.front->input(s->chr.arg, typed, total);
	assert_true(given > 0 && given < total);
	assert_false(s->chr.accepts);
	setup_run(s, virtio_device_features(s->vdev));
	for (unsigned int round = 0; got < total; round++) {
		struct drv_buf bufs[] = {{DRV_DATA + round % 16 * 4096, 1 + round % 61},
					 {DRV_DATA + round % 16 * 4096 + 61, 1 + round % 1500}};
		unsigned int size = bufs[0].len + bufs[1].len;
		uint8_t buf[4096];

		assert_true(drv_add(&s->q[RX], bufs, 0, 2, 0) >= 0);
		setup_kick(s, RX);
		while (!drv_get_used(&s->q[RX], &id, &len)) {
			if (atomic_exchange(&s->chr.accepts, false))
				given += s->chr.front->input(s->chr.arg, typed + given,
							     total - given);
			drv_pause();
		}
		assert_true(len > 0 && len <= size);
		memcpy(buf, drv_ptr(&s->ram, bufs[0].gpa), bufs[0].len);
		memcpy(buf + bufs[0].len, drv_ptr(&s->ram, bufs[1].gpa), bufs[1].len);
		assert_memory_equal(buf, typed + got, len);
		got += len;
		drv_enable_interrupts(&s->q[RX], 0);
	}
	assert_int_equal(given, total);
	/* In bulk, not byte by byte. */
	assert_true(s->transport.queue_irqs[RX] < total / 50);
	free(typed);
}

/* A broken ring ends in NEEDS_RESET; the chardev may go on calling. */
static void test_broken(void **state)
{
	struct setup *s = *state;
	struct drv_buf bad = {0x1000, 10};

	setup_run(s, DRV_BIT(VIRTIO_F_VERSION_1));
	drv_add(&s->q[TX], &bad, 1, 0, 0);
	setup_kick(s, TX);
	assert_true(DRV_WAIT(virtio_device_status(s->vdev) & VIRTIO_CONFIG_S_NEEDS_RESET));
	for (unsigned int i = 0; i < 100; i++) {
		s->chr.front->input(s->chr.arg, (const uint8_t *)"x", 1);
		chardev_give_room(&s->chr, 10);
	}
	setup_run(s, DRV_BIT(VIRTIO_F_VERSION_1));
	bad.gpa = DRV_DATA;
	drv_add(&s->q[TX], &bad, 1, 0, 0);
	setup_kick(s, TX);
	assert_true(DRV_WAIT(chardev_output_len(&s->chr) == 10));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_init, setup_fini)
	const struct CMUnitTest tests[] = {
		TEST(test_size),  TEST(test_resize), TEST(test_output), TEST(test_stuck_output),
		TEST(test_input), TEST(test_broken),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
