// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/9p.c 9p/server.c 9p/op-name.c 9p/op-io.c 9p/op-attr.c 9p/fid.c 9p/share.c 9p/wire.c 9p/iov.c virtio/device.c virtio/virtq.c memory.c util/worker.c util/loop.c util/util.c util/log.c */
/* virtio-9p: an in-process driver with many requests at once, resets among them, broken chains. */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_9p.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/9p.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "p9-client.h"
#include "virtio-driver.h"

#define QUEUE_SIZE 128
#define FILE_SIZE  65536
#define SLOTS	   16
#define SLOT_SIZE  0x20000ull
#define Q(x)	   ((uint64_t)(x))

/* Guest memory of a request that is under way. */
#define OUT(slot) (DRV_DATA + (slot)*SLOT_SIZE)
#define IN(slot)  (OUT(slot) + SLOT_SIZE / 2)

struct setup {
	char path[32];
	struct p9_params params;
	struct drv_ram ram;
	struct drv_transport transport;
	struct drv_queue q;
	struct virtio_device *vdev;
	struct cl_msg msg;
	int slot_id[SLOTS]; /* chain under way, or -1 */
};

static void begin(struct setup *s)
{
	assert_true(drv_negotiate(s->vdev, virtio_device_features(s->vdev)));
	drv_setup_queue(&s->q, s->vdev, &s->ram, 0, QUEUE_SIZE);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
	drv_enable_interrupts(&s->q, 0);
	for (unsigned int i = 0; i < SLOTS; i++)
		s->slot_id[i] = -1;
}

static int setup_init(void **state)
{
	struct setup *s = calloc(1, sizeof(*s));
	uint32_t data[FILE_SIZE / 4];
	char name[64];
	int fd;

	strcpy(s->path, "/tmp/test-v9p-XXXXXX");
	assert_non_null(mkdtemp(s->path));
	snprintf(name, sizeof(name), "%s/data", s->path);
	for (unsigned int i = 0; i < ARRAY_SIZE(data); i++)
		data[i] = i;
	fd = open(name, O_WRONLY | O_CREAT, 0644);
	assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
	close(fd);
	s->params = (struct p9_params){.path = s->path, .tag = "the tag", .mapped = true};
	drv_ram_init(&s->ram);
	s->vdev = p9_create(&s->ram.mem, &s->params);
	assert_non_null(s->vdev);
	virtio_device_attach(s->vdev, &drv_transport_ops, &s->transport);
	begin(s);
	*state = s;
	return 0;
}

static int setup_fini(void **state)
{
	struct setup *s = *state;
	char command[64];

	virtio_device_destroy(s->vdev);
	drv_ram_fini(&s->ram);
	snprintf(command, sizeof(command), "rm -rf %s", s->path);
	assert_int_equal(system(command), 0);
	free(s);
	return 0;
}

/* Puts s->msg on the ring, in and out cut into pieces. */
static void add(struct setup *s, unsigned int slot, uint32_t room)
{
	struct drv_buf bufs[] = {{OUT(slot), 5},
				 {OUT(slot) + 5, s->msg.len - 5},
				 {IN(slot), 9},
				 {IN(slot) + 9, room - 9}};

	memcpy(drv_ptr(&s->ram, OUT(slot)), s->msg.bytes, s->msg.len);
	s->slot_id[slot] = drv_add(&s->q, bufs, 2, 2, 0);
	assert_true(s->slot_id[slot] >= 0);
}

/* The next answer; sleeps as a driver does, until the interrupt that it asked for. */
static unsigned int wait_any(struct setup *s, uint32_t *len)
{
	unsigned int slot = 0, irqs = s->transport.queue_irqs[0];
	int id;

	while (!drv_get_used(&s->q, &id, len)) {
		drv_enable_interrupts(&s->q, 0);
		if (drv_get_used(&s->q, &id, len))
			break;
		assert_true(DRV_WAIT(s->transport.queue_irqs[0] != irqs));
		irqs = s->transport.queue_irqs[0];
	}
	while (slot < SLOTS && s->slot_id[slot] != id)
		slot++;
	assert_true(slot < SLOTS);
	s->slot_id[slot] = -1;
	return slot;
}

static int call(struct setup *s, uint8_t type, const char *fmt, ...)
{
	struct cl_msg *reply = calloc(1, sizeof(*reply));
	va_list ap;
	int ret;

	va_start(ap, fmt);
	cl_vbuild(&s->msg, type, 3, fmt, ap);
	va_end(ap);
	add(s, 0, 8192);
	virtio_device_kick(s->vdev, 0);
	wait_any(s, &reply->len);
	memcpy(reply->bytes, drv_ptr(&s->ram, IN(0)), reply->len);
	ret = cl_judge(reply, type, 3);
	free(reply);
	return ret;
}

static void open_data(struct setup *s)
{
	assert_int_equal(call(s, P9_TVERSION, "ds", 1 << 17, "9P2000.L"), 0);
	assert_int_equal(call(s, P9_TATTACH, "ddssd", 0, P9_NOFID, "", "", 0), 0);
	assert_int_equal(call(s, P9_TWALK, "ddws", 0, 1, 1, "data"), 0);
	assert_int_equal(call(s, P9_TLOPEN, "dd", 1, O_RDONLY), 0);
}

static void add_read(struct setup *s, unsigned int slot, uint32_t at)
{
	cl_build(&s->msg, P9_TREAD, slot, "dqd", 1, Q(at * 4), 4096);
	add(s, slot, 8192);
}

static void test_config(void **state)
{
	struct setup *s = *state;
	uint8_t config[64];

	assert_true(virtio_device_features(s->vdev) & DRV_BIT(VIRTIO_9P_MOUNT_TAG));
	virtio_device_config_read(s->vdev, 0, config, sizeof(config));
	assert_int_equal(config[0], 7);
	assert_memory_equal(config + 2, "the tag\0", 8);
}

/* Sixteen under way all the time, each answered with its own data. */
static void test_parallel(void **state)
{
	struct setup *s = *state;
	uint32_t at[SLOTS], len, data;
	unsigned int started = 0, ended = 0;

	open_data(s);
	for (; started < SLOTS; started++) {
		at[started] = started * 7;
		add_read(s, started, at[started]);
	}
	virtio_device_kick(s->vdev, 0);
	for (; ended < 4000; ended++) {
		unsigned int slot = wait_any(s, &len);

		assert_int_equal(len, P9_RREAD_HEADER + 4096);
		memcpy(&data, (char *)drv_ptr(&s->ram, IN(slot)) + 5, 2);
		assert_int_equal(data & 0xffff, slot);
		memcpy(&data, (char *)drv_ptr(&s->ram, IN(slot)) + P9_RREAD_HEADER, 4);
		assert_int_equal(data, at[slot]);
		if (started < 4000) {
			at[slot] = started++ * 7 % 15000;
			add_read(s, slot, at[slot]);
			if (drv_wants_kick(&s->q))
				virtio_device_kick(s->vdev, 0);
		}
	}
	assert_true(s->transport.queue_irqs[0] > 0);
}

static void test_reset_in_flight(void **state)
{
	struct setup *s = *state;

	for (unsigned int i = 0; i < 100; i++) {
		open_data(s);
		for (unsigned int slot = 0; slot < SLOTS; slot++)
			add_read(s, slot, slot);
		virtio_device_kick(s->vdev, 0);
		/* One queue, or all of the device. */
		if (i & 1) {
			virtio_device_reset_queue(s->vdev, 0);
			drv_setup_queue(&s->q, s->vdev, &s->ram, 0, QUEUE_SIZE);
			drv_enable_interrupts(&s->q, 0);
		} else {
			virtio_device_set_status(s->vdev, 0);
			/* Nothing is written to the driver's memory any more. */
			memset(drv_ptr(&s->ram, DRV_DATA), 0x55, SLOTS * SLOT_SIZE);
			usleep(100);
			for (unsigned int j = 0; j < SLOTS * SLOT_SIZE; j += 512)
				assert_int_equal(*(uint8_t *)drv_ptr(&s->ram, DRV_DATA + j), 0x55);
			begin(s);
		}
	}
}

static void test_odd_chains(void **state)
{
	struct setup *s = *state;
	struct drv_buf in = {IN(0), 100}, out = {OUT(0), 7};
	uint32_t len;
	int id;

	/* No request, no room, neither whole. Each is answered. */
	assert_true(drv_add(&s->q, &in, 0, 1, 0) >= 0);
	virtio_device_kick(s->vdev, 0);
	assert_true(drv_wait_used(&s->q, &id, &len));
	assert_int_equal(len, P9_RLERROR_SIZE);
	assert_true(drv_add(&s->q, &out, 1, 0, 0) >= 0);
	virtio_device_kick(s->vdev, 0);
	assert_true(drv_wait_used(&s->q, &id, &len));
	assert_int_equal(len, 0);
	in.len = 10;
	assert_true(drv_add(&s->q, &in, 0, 1, 0) >= 0);
	virtio_device_kick(s->vdev, 0);
	assert_true(drv_wait_used(&s->q, &id, &len));
	assert_int_equal(len, 0);
	open_data(s);
}

static void test_broken_ring(void **state)
{
	struct setup *s = *state;
	struct drv_buf far = {0xdead0000beef, 100};

	open_data(s);
	assert_true(drv_add(&s->q, &far, 1, 0, 0) >= 0);
	virtio_device_kick(s->vdev, 0);
	assert_true(DRV_WAIT(virtio_device_status(s->vdev) & VIRTIO_CONFIG_S_NEEDS_RESET));
	virtio_device_kick(s->vdev, 0);
	begin(s);
	open_data(s);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup_init, setup_fini)
	const struct CMUnitTest tests[] = {
		T(test_config),	    T(test_parallel),	 T(test_reset_in_flight),
		T(test_odd_chains), T(test_broken_ring),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
