// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/device.c virtio/virtq.c memory.c util/worker.c util/loop.c util/util.c util/log.c */
/* The status machine, features and queues of a virtio device, with a model that does little. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/log.h"
#include "kvm/util.h"
#include "virtio-driver.h"

#define FAKE_FEATURE 3
#define FAKE_QUEUES  2
#define FAKE_SIZE    16

struct fake {
	struct virtio_device *vdev;
	struct virtq_chain *chain;
	atomic_uint starts, stops, kicks, queue_stops, destroys;
	atomic_bool in_callback;
	int start_result;
	uint8_t config[8];
};

/* All callbacks but those on registers are on one thread. */
static void fake_enter(struct fake *fake)
{
	if (atomic_exchange(&fake->in_callback, true))
		abort();
}

static void fake_leave(struct fake *fake)
{
	fake->in_callback = false;
}

static uint64_t fake_features(void *dev)
{
	(void)dev;
	return DRV_BIT(FAKE_FEATURE);
}

static void fake_config_read(void *dev, uint32_t off, void *buf, uint32_t len)
{
	assert(range_contains(0, 8, off, len));
	memcpy(buf, ((struct fake *)dev)->config + off, len);
}

static void fake_config_write(void *dev, uint32_t off, const void *buf, uint32_t len)
{
	assert(range_contains(0, 8, off, len));
	memcpy(((struct fake *)dev)->config + off, buf, len);
}

static int fake_start(void *dev, struct virtio_device *vdev)
{
	struct fake *fake = dev;

	fake_enter(fake);
	fake->vdev = vdev;
	fake->starts++;
	fake_leave(fake);
	return fake->start_result;
}

static void fake_stop(void *dev)
{
	struct fake *fake = dev;

	fake_enter(fake);
	fake->stops++;
	fake_leave(fake);
}

static uint32_t fake_handle(void *dev, struct virtq_chain *chain)
{
	(void)dev;
	return virtq_chain_write(chain, 0, "ok", 2);
}

static void fake_kick(void *dev, unsigned int q)
{
	struct fake *fake = dev;

	fake_enter(fake);
	fake->kicks++;
	virtio_process_queue(fake->vdev, q, fake->chain, fake_handle, fake);
	fake_leave(fake);
}

static void fake_queue_stop(void *dev, unsigned int q)
{
	struct fake *fake = dev;

	assert(virtio_queue(fake->vdev, q));
	fake->queue_stops++;
}

static void fake_destroy(void *dev)
{
	((struct fake *)dev)->destroys++;
}

static const struct virtio_model fake_model = {
	.name = "fake",
	.id = 42,
	.config_size = 8,
	.features = fake_features,
	.config_read = fake_config_read,
	.config_write = fake_config_write,
	.start = fake_start,
	.stop = fake_stop,
	.kick = fake_kick,
	.queue_stop = fake_queue_stop,
	.destroy = fake_destroy,
};

struct setup {
	struct drv_ram ram;
	struct drv_transport transport;
	struct drv_queue q[FAKE_QUEUES];
	struct fake fake;
	struct virtio_device *vdev;
};

static int setup_init(void **state)
{
	const uint16_t sizes[FAKE_QUEUES] = {FAKE_SIZE, FAKE_SIZE};
	struct setup *s = calloc(1, sizeof(*s));

	drv_ram_init(&s->ram);
	s->fake.chain = virtq_chain_create();
	s->vdev = virtio_device_create(&fake_model, &s->fake, "fake", &s->ram.mem, FAKE_QUEUES,
				       sizes);
	virtio_device_attach(s->vdev, &drv_transport_ops, &s->transport);
	*state = s;
	return 0;
}

static int setup_fini(void **state)
{
	struct setup *s = *state;

	virtio_device_destroy(s->vdev);
	assert_int_equal(s->fake.destroys, 1);
	assert_int_equal(s->fake.starts,
			 s->fake.stops + (s->fake.start_result ? s->fake.starts : 0));
	virtq_chain_destroy(s->fake.chain);
	drv_ram_fini(&s->ram);
	free(s);
	return 0;
}

#define VERSION_1 DRV_BIT(VIRTIO_F_VERSION_1)

static void setup_run(struct setup *s, uint64_t features)
{
	assert_true(drv_negotiate(s->vdev, features));
	for (unsigned int q = 0; q < FAKE_QUEUES; q++)
		drv_setup_queue(&s->q[q], s->vdev, &s->ram, q, FAKE_SIZE);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
	assert_int_equal(virtio_device_status(s->vdev), DRV_STATUS_RUNNING);
}

static void setup_roundtrip(struct setup *s, unsigned int q)
{
	struct drv_buf buf = {DRV_DATA + q * 16, 16};
	uint32_t len = 0;
	int id, got;

	memset(drv_ptr(&s->ram, buf.gpa), 0, 16);
	drv_enable_interrupts(&s->q[q], 0);
	id = drv_add(&s->q[q], &buf, 0, 1, 0);
	assert_true(id >= 0);
	virtio_device_kick(s->vdev, q);
	assert_true(drv_wait_used(&s->q[q], &got, &len));
	assert_int_equal(got, id);
	assert_int_equal(len, 2);
	assert_memory_equal(drv_ptr(&s->ram, buf.gpa), "ok", 2);
}

static void test_features(void **state)
{
	struct setup *s = *state;
	uint64_t offered = virtio_device_features(s->vdev);

	assert_true(offered & DRV_BIT(FAKE_FEATURE));
	assert_true(offered & VERSION_1);
	assert_true(offered & DRV_BIT(VIRTIO_F_RING_PACKED));
	assert_true(offered & DRV_BIT(VIRTIO_RING_F_INDIRECT_DESC));
	assert_true(offered & DRV_BIT(VIRTIO_RING_F_EVENT_IDX));
	assert_true(offered & DRV_BIT(VIRTIO_F_RING_RESET));
	assert_false(offered & DRV_BIT(VIRTIO_F_IN_ORDER)); /* unless the model says so */
	assert_false(offered & DRV_BIT(VIRTIO_F_ACCESS_PLATFORM));

	assert_true(drv_negotiate(s->vdev, offered));
	assert_int_equal(virtio_device_acked(s->vdev), offered);
	/* Settled is settled. */
	drv_ack(s->vdev, VERSION_1);
	assert_int_equal(virtio_device_acked(s->vdev), offered);
	/* Reset forgets them all. */
	virtio_device_set_status(s->vdev, 0);
	assert_int_equal(virtio_device_acked(s->vdev), 0);
	assert_int_equal(virtio_device_status(s->vdev), 0);

	assert_false(drv_negotiate(s->vdev, offered & ~VERSION_1));
	assert_false(drv_negotiate(s->vdev, offered | DRV_BIT(VIRTIO_F_ACCESS_PLATFORM)));
	assert_false(drv_negotiate(s->vdev, offered | 1));
	assert_false(drv_negotiate(s->vdev, UINT64_MAX));
	/* A driver that gives in may try once more, and words that are not there do no harm. */
	drv_ack(s->vdev, VERSION_1);
	virtio_device_ack_features(s->vdev, 2, 0);
	virtio_device_ack_features(s->vdev, UINT32_MAX, UINT32_MAX);
	virtio_device_set_status(s->vdev, DRV_STATUS_FEATURES);
	assert_int_equal(virtio_device_status(s->vdev), DRV_STATUS_FEATURES);
}

static void test_status(void **state)
{
	struct setup *s = *state;

	setup_run(s, VERSION_1);
	assert_int_equal(s->fake.starts, 1);
	/* Bits stay; starting twice is starting once; NEEDS_RESET is not the driver's. */
	virtio_device_set_status(s->vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING | VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(virtio_device_status(s->vdev), DRV_STATUS_RUNNING);
	assert_int_equal(s->fake.starts, 1);
	setup_roundtrip(s, 0);
	setup_roundtrip(s, 1);
	virtio_device_set_status(s->vdev, 0);
	assert_int_equal(s->fake.stops, 1);
	virtio_device_set_status(s->vdev, 0);
	assert_int_equal(s->fake.stops, 1);
	/* And once more, with everything different. */
	setup_run(s, virtio_device_features(s->vdev));
	setup_roundtrip(s, 0);
}

static void test_driver_ok_too_early(void **state)
{
	struct setup *s = *state;

	virtio_device_set_status(s->vdev, VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(virtio_device_status(s->vdev), VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(s->fake.starts, 0);
	setup_run(s, VERSION_1);
	setup_roundtrip(s, 0);
}

static void test_start_fails(void **state)
{
	struct setup *s = *state;

	s->fake.start_result = -EIO;
	assert_true(drv_negotiate(s->vdev, VERSION_1));
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
	assert_int_equal(virtio_device_status(s->vdev),
			 DRV_STATUS_RUNNING | VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(s->transport.config_irqs, 1);
	assert_int_equal(s->fake.stops, 0);
}

static void test_queue_regs(void **state)
{
	struct setup *s = *state;
	struct virtio_queue_regs regs;

	regs = virtio_device_queue_regs(s->vdev, 0);
	assert_int_equal(regs.max_size, FAKE_SIZE);
	assert_int_equal(regs.size, FAKE_SIZE);
	assert_false(regs.enabled);
	/* Queues that are not there. */
	for (unsigned int q = FAKE_QUEUES; q < 70000; q += 999) {
		regs = virtio_device_queue_regs(s->vdev, q);
		assert_int_equal(regs.size, 0);
		virtio_device_set_queue_size(s->vdev, q, 8);
		virtio_device_set_queue_area(s->vdev, q, VIRTIO_AREA_DESC, true, 8);
		virtio_device_enable_queue(s->vdev, q);
		virtio_device_reset_queue(s->vdev, q);
		virtio_device_kick(s->vdev, q);
	}
	/* Larger than the device can is no size at all. */
	virtio_device_set_queue_size(s->vdev, 0, FAKE_SIZE + 1);
	assert_int_equal(virtio_device_queue_regs(s->vdev, 0).size, 0);
	virtio_device_set_queue_size(s->vdev, 0, 4);
	virtio_device_set_queue_area(s->vdev, 0, VIRTIO_AREA_DRIVER, false, 0x11223344);
	virtio_device_set_queue_area(s->vdev, 0, VIRTIO_AREA_DRIVER, true, 0x55667788);
	regs = virtio_device_queue_regs(s->vdev, 0);
	assert_int_equal(regs.size, 4);
	assert_int_equal(regs.area[VIRTIO_AREA_DRIVER], 0x5566778811223344);
	/* Enabled means settled. */
	virtio_device_enable_queue(s->vdev, 0);
	virtio_device_set_queue_size(s->vdev, 0, 8);
	virtio_device_set_queue_area(s->vdev, 0, VIRTIO_AREA_DRIVER, false, 0);
	assert_int_equal(virtio_device_queue_regs(s->vdev, 0).size, 4);
	assert_int_equal(virtio_device_queue_regs(s->vdev, 0).area[VIRTIO_AREA_DRIVER],
			 0x5566778811223344);
	virtio_device_set_status(s->vdev, 0);
	regs = virtio_device_queue_regs(s->vdev, 0);
	assert_int_equal(regs.size, FAKE_SIZE);
	assert_int_equal(regs.area[VIRTIO_AREA_DRIVER], 0);
	assert_false(regs.enabled);
}

/* The size that the driver chose is the ring's. */
static void test_small_queue(void **state)
{
	struct setup *s = *state;

	assert_true(drv_negotiate(s->vdev, VERSION_1));
	drv_setup_queue(&s->q[1], s->vdev, &s->ram, 1, 2);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
	for (unsigned int i = 0; i < 9; i++)
		setup_roundtrip(s, 1);
}

static void test_bad_queue(void **state)
{
	struct setup *s = *state;

	assert_true(drv_negotiate(s->vdev, VERSION_1));
	drv_setup_queue(&s->q[0], s->vdev, &s->ram, 0, FAKE_SIZE);
	drv_setup_queue(&s->q[1], s->vdev, &s->ram, 1, 3);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
	assert_true(virtio_device_status(s->vdev) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(s->fake.starts, 0);
	assert_int_equal(s->transport.config_irqs, 1);
}

static void test_broken_queue(void **state)
{
	struct setup *s = *state;
	struct drv_buf bad = {0x1000, 16}, good = {DRV_DATA, 16};
	uint32_t len = 0;
	int id;

	setup_run(s, VERSION_1);
	drv_add(&s->q[0], &bad, 0, 1, 0);
	virtio_device_kick(s->vdev, 0);
	assert_true(DRV_WAIT(s->fake.stops == 1));
	assert_int_equal(virtio_device_status(s->vdev),
			 DRV_STATUS_RUNNING | VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(s->transport.config_irqs, 1);
	/* The other queue stands still too, and queues cannot be sneaked in. */
	drv_add(&s->q[1], &good, 0, 1, 0);
	virtio_device_kick(s->vdev, 1);
	virtio_device_enable_queue(s->vdev, 1);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
	assert_false(drv_get_used(&s->q[1], &id, &len));
	assert_int_equal(s->fake.starts, 1);
	setup_run(s, VERSION_1);
	setup_roundtrip(s, 0);
	assert_int_equal(s->fake.starts, 2);
}

static void test_queue_reset(void **state)
{
	struct setup *s = *state;

	/* Not unless negotiated. */
	setup_run(s, VERSION_1);
	virtio_device_reset_queue(s->vdev, 0);
	assert_true(virtio_device_queue_regs(s->vdev, 0).enabled);

	setup_run(s, VERSION_1 | DRV_BIT(VIRTIO_F_RING_RESET));
	setup_roundtrip(s, 0);
	virtio_device_reset_queue(s->vdev, 0);
	assert_int_equal(s->fake.queue_stops, 1);
	assert_false(virtio_device_queue_regs(s->vdev, 0).enabled);
	assert_int_equal(virtio_device_queue_regs(s->vdev, 0).size, FAKE_SIZE);
	setup_roundtrip(s, 1);
	/* Back with another size; kicks in between fall through. */
	virtio_device_kick(s->vdev, 0);
	drv_setup_queue(&s->q[0], s->vdev, &s->ram, 0, 4);
	setup_roundtrip(s, 0);
	setup_roundtrip(s, 0);
	/* Back, but wrong. */
	virtio_device_reset_queue(s->vdev, 1);
	virtio_device_enable_queue(s->vdev, 1);
	assert_true(virtio_device_status(s->vdev) & VIRTIO_CONFIG_S_NEEDS_RESET);
	virtio_device_reset_queue(s->vdev, 1);
}

static void test_config(void **state)
{
	struct setup *s = *state;
	uint8_t buf[16], generation = virtio_device_config_generation(s->vdev);

	virtio_device_config_write(s->vdev, 2, "abcd", 4);
	virtio_device_config_write(s->vdev, 5, "efgh", 4); /* leaves the space: dropped */
	virtio_device_config_write(s->vdev, UINT32_MAX, "efgh", 4);
	memset(buf, 0xff, sizeof(buf));
	virtio_device_config_read(s->vdev, 4, buf, 8);
	assert_memory_equal(buf, "cd\0\0\0\0\0\0", 8);
	virtio_device_config_read(s->vdev, UINT32_MAX, buf, 8);
	assert_memory_equal(buf, "\0\0\0\0\0\0\0\0", 8);
	/* Nobody is told before DRIVER_OK. */
	virtio_config_changed(s->vdev);
	assert_int_equal(s->transport.config_irqs, 0);
	assert_int_not_equal(virtio_device_config_generation(s->vdev), generation);
	setup_run(s, VERSION_1);
	virtio_config_changed(s->vdev);
	assert_int_equal(s->transport.config_irqs, 1);
	virtio_device_set_status(s->vdev, 0);
	virtio_device_attach(s->vdev, NULL, NULL);
	virtio_config_changed(s->vdev);
	virtio_device_attach(s->vdev, &drv_transport_ops, &s->transport);
}

/* Far more chains than one go handles, all made available before the driver is done. */
static void test_many(void **state)
{
	struct setup *s = *state;
	struct drv_buf buf = {DRV_DATA, 16};
	unsigned int added = 0, used = 0;
	uint32_t len = 0;
	int id;

	setup_run(s, VERSION_1 | DRV_BIT(VIRTIO_RING_F_EVENT_IDX));
	while (used < 5000) {
		while (added < 5000 && drv_add(&s->q[0], &buf, 0, 1, 0) >= 0)
			added++;
		if (drv_wants_kick(&s->q[0]))
			virtio_device_kick(s->vdev, 0);
		assert_true(drv_wait_used(&s->q[0], &id, &len));
		used++;
	}
	assert_true(s->fake.kicks > 0);
}

/* Registers and status from several vCPUs at once, with traffic: whatever it does, it ends. */
static void *test_race_thread(void *arg)
{
	struct setup *s = arg;
	unsigned int seed = (uintptr_t)pthread_self();

	for (unsigned int i = 0; i < 3000; i++) {
		unsigned int q = rand_r(&seed) % (FAKE_QUEUES + 1);

		switch (rand_r(&seed) % 10) {
		case 0:
			virtio_device_set_status(s->vdev, 0);
			break;
		case 1 ... 2:
			drv_ack(s->vdev, VERSION_1 | DRV_BIT(VIRTIO_F_RING_RESET));
			virtio_device_set_status(s->vdev, DRV_STATUS_FEATURES);
			break;
		case 3 ... 4:
			drv_set_areas(s->vdev, q, &s->q[q % FAKE_QUEUES].cfg);
			virtio_device_enable_queue(s->vdev, q);
			break;
		case 5 ... 6:
			virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
			break;
		case 7:
			virtio_device_reset_queue(s->vdev, q);
			break;
		case 8:
			virtio_config_changed(s->vdev);
			break;
		case 9:
			virtio_device_kick(s->vdev, q);
			break;
		}
	}
	return NULL;
}

static void test_race(void **state)
{
	struct setup *s = *state;
	struct drv_buf buf = {DRV_DATA, 16};
	pthread_t thread[4];

	setup_run(s, VERSION_1 | DRV_BIT(VIRTIO_F_RING_RESET));
	for (unsigned int i = 0; i < FAKE_SIZE; i++) {
		drv_add(&s->q[0], &buf, 0, 1, 0);
		drv_add(&s->q[1], &buf, 0, 1, 0);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(thread); i++)
		pthread_create(&thread[i], NULL, test_race_thread, s);
	for (unsigned int i = 0; i < ARRAY_SIZE(thread); i++)
		pthread_join(thread[i], NULL);
	setup_run(s, VERSION_1);
	setup_roundtrip(s, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_init, setup_fini)
	const struct CMUnitTest tests[] = {
		TEST(test_features),	TEST(test_status),	 TEST(test_driver_ok_too_early),
		TEST(test_start_fails), TEST(test_queue_regs),	 TEST(test_small_queue),
		TEST(test_bad_queue),	TEST(test_broken_queue), TEST(test_queue_reset),
		TEST(test_config),	TEST(test_many),	 TEST(test_race),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
