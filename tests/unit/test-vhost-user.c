// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/vhost-user.c virtio/vhost-user-blk.c virtio/lend.c virtio/device.c virtio/virtq.c util/worker.c util/loop.c util/util.c util/log.c memory.c */
/*
 * The vhost-user front end, and a disk on it, against a back end in a thread: a good one that serves
 * rings through the memory it was given, and bad ones that hang up, lie or say nothing, at each of
 * the requests in turn.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/disk.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/vhost-user.h"
#include "kvm/virtio-models.h"
#include "vhost-user-back.h"

#define QUEUES	 2 /* that the device has */
#define SIZE	 16
#define SECTORS	 1234
#define LIMIT_NS (5 * BACK_DRIP_NS)

/* --- the device --- */

struct setup {
	struct back *back; /* the latest one */
	unsigned int sin, sin_at, nr_backs;
	bool nobody, small;
	struct drv_ram ram;
	int ram_fd;
	struct drv_transport transport;
	struct drv_queue q[QUEUES];
	struct vhost_user *vu;
	struct disk_params params;
	struct virtio_device *vdev;
};

static void setup_end_back(struct setup *s)
{
	back_destroy(s->back);
	s->back = NULL;
}

static int setup_connect(void *arg)
{
	struct setup *s = arg;
	int fd;

	setup_end_back(s);
	if (s->nobody)
		return -ECONNREFUSED;
	s->back = back_create(&fd);
	s->back->sin = s->sin;
	s->back->sin_at = s->sin_at;
	s->back->small = s->small;
	s->back->capacity = SECTORS;
	s->nr_backs++;
	back_run(s->back);
	return fd;
}

static bool setup_open(struct setup *s)
{
	const struct vhost_user_backend be = {
		.name = "back end",
		.config_size = VHOST_USER_BLK_CONFIG_SIZE,
		.limit_ns = LIMIT_NS,
		.connect = setup_connect,
		.arg = s,
	};

	s->vu = vhost_user_open(&be);
	return s->vu;
}

static void setup_create(struct setup *s)
{
	s->params = (struct disk_params){.path = "disk", .vhost_user = true, .nr_queues = QUEUES};
	s->vdev = vhost_user_blk_create(&s->ram.mem, s->vu, &s->params);
	assert_non_null(s->vdev);
	virtio_device_attach(s->vdev, &drv_transport_ops, &s->transport);
}

/* The driver comes up: a first one, or one more after a reset. */
static void setup_run(struct setup *s)
{
	assert_true(drv_negotiate(s->vdev, DRV_BIT(VIRTIO_F_VERSION_1) |
						   DRV_BIT(VIRTIO_BLK_F_FLUSH) |
						   DRV_BIT(VIRTIO_BLK_F_MQ)));
	for (unsigned int q = 0; q < QUEUES; q++)
		drv_setup_queue(&s->q[q], s->vdev, &s->ram, q, SIZE);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
}

static int setup_init(void **state)
{
	struct setup *s = calloc(1, sizeof(*s));

	s->ram_fd = memfd_create("ram", MFD_CLOEXEC);
	assert_int_equal(ftruncate(s->ram_fd, DRV_RAM_SIZE), 0);
	s->ram.hva = mmap(NULL, DRV_RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->ram_fd, 0);
	s->ram.mem.nr_banks = 1;
	s->ram.mem.bank[0] = (struct memory_bank){
		.gpa = DRV_GPA, .size = DRV_RAM_SIZE, .hva = s->ram.hva, .fd = s->ram_fd};
	*state = s;
	return 0;
}

static int setup_fini(void **state)
{
	struct setup *s = *state;

	virtio_device_destroy(s->vdev);
	vhost_user_close(s->vu);
	setup_end_back(s);
	munmap(s->ram.hva, DRV_RAM_SIZE);
	close(s->ram_fd);
	free(s);
	return 0;
}

static bool setup_needs_reset(struct setup *s)
{
	return virtio_device_status(s->vdev) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* One request on each queue, there and back. */
static void assert_served(struct setup *s)
{
	for (unsigned int q = 0; q < QUEUES; q++) {
		const struct drv_buf buf = {.gpa = DRV_DATA, .len = 100 + q};
		unsigned int irqs = s->transport.queue_irqs[q];
		int want, got;
		uint32_t len;

		want = drv_add(&s->q[q], &buf, 0, 1, 0);
		assert_true(want >= 0);
		virtio_device_kick(s->vdev, q);
		assert_true(drv_wait_used(&s->q[q], &got, &len));
		assert_int_equal(got, want);
		assert_int_equal(len, 100 + q);
		assert_true(DRV_WAIT(s->transport.queue_irqs[q] > irqs));
	}
}

/* --- a good one --- */

static void test_served(void **state)
{
	struct setup *s = *state;
	struct virtio_blk_config cfg;
	uint64_t features;

	assert_true(setup_open(s));
	setup_create(s);
	features = virtio_device_features(s->vdev);
	assert_true(features & DRV_BIT(VIRTIO_BLK_F_MQ));
	assert_true(features & DRV_BIT(VIRTIO_BLK_F_FLUSH));
	assert_true(features & DRV_BIT(VIRTIO_RING_F_EVENT_IDX));
	assert_false(features & DRV_BIT(VIRTIO_F_RING_PACKED)); /* which it has not */
	assert_false(features & DRV_BIT(VIRTIO_RING_F_INDIRECT_DESC));
	assert_false(features & DRV_BIT(VIRTIO_BLK_F_CONFIG_WCE));
	assert_false(features & DRV_BIT(30));
	setup_run(s);
	assert_int_equal(virtio_device_status(s->vdev), DRV_STATUS_RUNNING);
	assert_int_equal(s->back->features, DRV_BIT(VIRTIO_F_VERSION_1) |
						    DRV_BIT(VIRTIO_BLK_F_FLUSH) |
						    DRV_BIT(VIRTIO_BLK_F_MQ) | DRV_BIT(30));
	virtio_device_config_read(s->vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(cfg.capacity, SECTORS);
	assert_int_equal(cfg.num_queues, QUEUES);
	for (unsigned int i = 0; i < 3 * SIZE; i++)
		assert_served(s);
}

static void test_lives(void **state)
{
	struct setup *s = *state;

	assert_true(setup_open(s));
	for (unsigned int life = 0; life < 3; life++) {
		setup_create(s);
		for (unsigned int reset = 0; reset < 3; reset++) {
			setup_run(s);
			assert_served(s);
		}
		/* The machine goes, and its memory with it; the connection stays. */
		virtio_device_destroy(s->vdev);
		for (unsigned int i = 0; i < BACK_RINGS; i++)
			assert_int_equal(s->back->ring[i].call, -1);
	}
	setup_create(s);
	assert_int_equal(s->nr_backs, 1);
}

static void test_queue_reset(void **state)
{
	struct setup *s = *state;

	assert_true(setup_open(s));
	setup_create(s);
	assert_true(
		drv_negotiate(s->vdev, DRV_BIT(VIRTIO_F_VERSION_1) | DRV_BIT(VIRTIO_F_RING_RESET)));
	/* Which is between the driver and us. */
	for (unsigned int q = 0; q < QUEUES; q++)
		drv_setup_queue(&s->q[q], s->vdev, &s->ram, q, SIZE);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
	assert_false(s->back->features & DRV_BIT(VIRTIO_F_RING_RESET));
	assert_served(s);
	virtio_device_reset_queue(s->vdev, 1);
	assert_int_equal(s->back->ring[1].kick, -1);
	drv_setup_queue(&s->q[1], s->vdev, &s->ram, 1, SIZE / 2);
	assert_true(DRV_WAIT(s->back->ring[1].num == SIZE / 2));
	assert_served(s);
}

/* The back end says that its configuration is a new one, and wants that acknowledged or not. */
static void test_config_change(void **state)
{
	struct setup *s = *state;
	struct message msg = {.request = 2, .flags = 1};
	struct virtio_blk_config cfg;
	uint8_t generation;

	assert_true(setup_open(s));
	setup_create(s);
	setup_run(s);
	virtio_device_config_read(s->vdev, 0, &cfg, sizeof(cfg));
	generation = virtio_device_config_generation(s->vdev);
	s->back->capacity = 777;
	assert_int_equal(send(s->back->slave_fd, &msg, 12, 0), 12);
	assert_true(DRV_WAIT(s->transport.config_irqs == 1));
	virtio_device_config_read(s->vdev, 0, &cfg, sizeof(cfg));
	assert_int_not_equal(virtio_device_config_generation(s->vdev), generation);
	assert_int_equal(cfg.capacity, 777);

	msg.flags = 9;
	assert_int_equal(send(s->back->slave_fd, &msg, 12, 0), 12);
	assert_int_equal(recv(s->back->slave_fd, &msg, 20, MSG_WAITALL), 20);
	assert_int_equal(msg.u64, 0);
	/* Something that is not ours to do is refused, and no harm. */
	msg = (struct message){.request = 3, .flags = 9, .size = 8};
	assert_int_equal(send(s->back->slave_fd, &msg, 20, 0), 20);
	assert_int_equal(recv(s->back->slave_fd, &msg, 20, MSG_WAITALL), 20);
	assert_int_equal(msg.u64, 1);
	assert_served(s);
}

/* --- bad ones --- */

static const unsigned int open_requests[] = {
	REQ_GET_FEATURES,  REQ_GET_PROTOCOL_FEATURES, REQ_SET_OWNER,
	REQ_GET_QUEUE_NUM, REQ_SET_SLAVE_REQ_FD,      REQ_GET_CONFIG,
};

static const unsigned int start_requests[] = {
	REQ_SET_FEATURES,   REQ_SET_MEM_TABLE,	REQ_SET_VRING_NUM,
	REQ_SET_VRING_ADDR, REQ_SET_VRING_BASE, REQ_SET_VRING_KICK,
	REQ_SET_VRING_CALL, REQ_SET_VRING_ERR,	REQ_SET_VRING_ENABLE,
};

/* Those take no time; the others are tried with few requests. */
static bool sin_is_quick(unsigned int sin)
{
	return sin != SIN_SILENCE && sin != SIN_HALF && sin != SIN_DRIP;
}

static bool sin_is_one(unsigned int sin, unsigned int request)
{
	bool asks = request == REQ_GET_FEATURES || request == REQ_GET_PROTOCOL_FEATURES ||
		    request == REQ_GET_QUEUE_NUM || request == REQ_GET_CONFIG;

	/* An answer that is the wrong number is not wrong; one too many shows with the next one. */
	return !(sin == SIN_REFUSE && asks) && sin != SIN_TWICE;
}

static void test_bad_at_open(void **state)
{
	struct setup *s = *state;

	for (unsigned int sin = SIN_HANG_UP; sin < NR_SINS; sin++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(open_requests); i++) {
			if (!sin_is_one(sin, open_requests[i]) || (i > 1 && !sin_is_quick(sin)))
				continue;
			s->sin = sin;
			s->sin_at = open_requests[i];
			assert_false(setup_open(s));
		}
	}
	s->sin_at = 0;
	assert_true(setup_open(s));
}

/* Each time the device ends in NEEDS_RESET, the driver resets it, and a better back end is found. */
static void test_bad_at_start(void **state)
{
	struct setup *s = *state;
	unsigned int backs = 1;

	assert_true(setup_open(s));
	setup_create(s);
	for (unsigned int sin = SIN_HANG_UP; sin < NR_SINS; sin++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(start_requests); i++) {
			if (!sin_is_one(sin, start_requests[i]) || (i > 1 && !sin_is_quick(sin)))
				continue;
			s->back->sin = sin;
			s->back->sin_at = start_requests[i];
			setup_run(s);
			assert_true(DRV_WAIT(setup_needs_reset(s)));
			setup_run(s);
			assert_int_equal(s->nr_backs, ++backs);
			assert_served(s);
		}
	}
}

static void test_bad_at_stop(void **state)
{
	struct setup *s = *state;

	assert_true(setup_open(s));
	setup_create(s);
	for (unsigned int sin = SIN_HANG_UP; sin < NR_SINS; sin++) {
		setup_run(s);
		assert_false(setup_needs_reset(s));
		assert_served(s);
		s->back->sin = sin;
		s->back->sin_at = REQ_GET_VRING_BASE;
		virtio_device_set_status(s->vdev, 0);
		assert_int_equal(virtio_device_status(s->vdev), 0);
		s->back->sin_at = 0;
		/* It said something twice: that shows when the next thing is asked. */
		if (sin == SIN_TWICE) {
			setup_run(s);
			virtio_device_set_status(s->vdev, 0);
		}
		/* One that was not stopped could still serve: the next one comes when it is gone. */
		setup_end_back(s);
	}
	setup_run(s);
	assert_served(s);
}

static void test_death(void **state)
{
	struct setup *s = *state;

	assert_true(setup_open(s));
	setup_create(s);
	for (unsigned int i = 0; i < 5; i++) {
		setup_run(s);
		assert_served(s);
		setup_end_back(s); /* with nothing, or something, under way */
		if (i % 2)
			virtio_device_kick(s->vdev, 0);
		assert_true(DRV_WAIT(setup_needs_reset(s)));
		assert_true(DRV_WAIT(s->transport.config_irqs == i + 1));
	}
	/* Nobody is there any more: the driver is told, each time. */
	s->nobody = true;
	for (unsigned int i = 0; i < 3; i++) {
		setup_run(s);
		assert_true(setup_needs_reset(s));
	}
	s->nobody = false;
	setup_run(s);
	assert_served(s);
	/* One that can do less than what was offered will not do. */
	setup_end_back(s);
	assert_true(DRV_WAIT(setup_needs_reset(s)));
	s->small = true;
	setup_run(s);
	assert_true(setup_needs_reset(s));
	s->small = false;
	setup_run(s);
	assert_served(s);
}

static void test_chatter(void **state)
{
	struct setup *s = *state;
	const struct message reply = {.request = 1, .flags = 5, .size = 8};
	const struct message huge = {.request = 2, .flags = 9, .size = 1u << 30};

	assert_true(setup_open(s));
	setup_create(s);
	/* An answer that nobody asked for. */
	setup_run(s);
	send(s->back->fd, &reply, 20, 0);
	assert_true(DRV_WAIT(setup_needs_reset(s)));
	/* A request longer than any. */
	setup_run(s);
	assert_served(s);
	send(s->back->slave_fd, &huge, 12, 0);
	assert_true(DRV_WAIT(setup_needs_reset(s)));
	/* Half a request, and then nothing. */
	setup_run(s);
	send(s->back->slave_fd, &reply, 7, 0);
	assert_true(DRV_WAIT(setup_needs_reset(s)));
	/* The back end gives a queue up. */
	setup_run(s);
	assert_served(s);
	eventfd_write(s->back->ring[1].err, 1);
	assert_true(DRV_WAIT(setup_needs_reset(s)));
	setup_run(s);
	assert_served(s);
}

/* What we share with it is ours to read and write as well, however it sets that up. */
static void test_blocking_eventfds(void **state)
{
	struct setup *s = *state;

	assert_true(setup_open(s));
	setup_create(s);
	for (unsigned int i = 0; i < 20; i++) {
		setup_run(s);
		assert_served(s);
		for (unsigned int q = 0; q < QUEUES; q++) {
			fcntl(s->back->ring[q].kick, F_SETFL, 0);
			fcntl(s->back->ring[q].call, F_SETFL, 0);
			fcntl(s->back->ring[q].err, F_SETFL, 0);
			if (i % 2)
				eventfd_write(s->back->ring[q].kick, UINT64_MAX - 1);
		}
		virtio_device_set_status(s->vdev, 0);
	}
	setup_run(s);
	assert_served(s);
}

static void test_queues(void **state)
{
	struct setup *s = *state;
	struct disk_params params = {
		.path = "disk", .vhost_user = true, .nr_queues = BACK_RINGS + 1};

	assert_true(setup_open(s));
	assert_null(vhost_user_blk_create(&s->ram.mem, s->vu, &params));
	params.nr_queues = 0;
	s->vdev = vhost_user_blk_create(&s->ram.mem, s->vu, &params);
	assert_int_equal(s->vdev->nr_queues, BACK_RINGS);
}

static void test_connect(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/vhost-user-XXXXXX", name[200];
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd[8];
	unsigned int nr = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/s", dir);
	assert_int_equal(vhost_user_connect("x", addr.sun_path, LIMIT_NS), -ENOENT);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(vhost_user_connect("x", addr.sun_path, LIMIT_NS), -ECONNREFUSED);
	/* Nobody accepts: the queue is full at some time, and then the limit counts. */
	assert_int_equal(listen(listener, 1), 0);
	while (nr < ARRAY_SIZE(fd) &&
	       (fd[nr] = vhost_user_connect("x", addr.sun_path, LIMIT_NS)) >= 0)
		nr++;
	assert_true(nr > 0 && nr < ARRAY_SIZE(fd));
	assert_int_equal(fd[nr], -EAGAIN);
	while (nr)
		close(fd[--nr]);
	close(listener);
	unlink(addr.sun_path);
	rmdir(dir);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_int_equal(vhost_user_connect("x", name, LIMIT_NS), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_served, setup_init, setup_fini),
		cmocka_unit_test_setup_teardown(test_lives, setup_init, setup_fini),
		cmocka_unit_test_setup_teardown(test_queue_reset, setup_init, setup_fini),
		cmocka_unit_test_setup_teardown(test_config_change, setup_init, setup_fini),
		cmocka_unit_test_setup_teardown(test_bad_at_open, setup_init, setup_fini),
		cmocka_unit_test_setup_teardown(test_bad_at_start, setup_init, setup_fini),
		cmocka_unit_test_setup_teardown(test_bad_at_stop, setup_init, setup_fini),
		cmocka_unit_test_setup_teardown(test_death, setup_init, setup_fini),
		cmocka_unit_test_setup_teardown(test_chatter, setup_init, setup_fini),
		cmocka_unit_test_setup_teardown(test_blocking_eventfds, setup_init, setup_fini),
		cmocka_unit_test_setup_teardown(test_queues, setup_init, setup_fini),
		cmocka_unit_test(test_connect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
