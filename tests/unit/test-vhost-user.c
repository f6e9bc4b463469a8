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
#include "virtio-driver.h"

#define RINGS	 4 /* that the back end has */
#define QUEUES	 2 /* that the device has */
#define SIZE	 16
#define SECTORS	 1234
#define LIMIT_NS UINT64_C(300000000)

/* --- the back end: written from the protocol's specification, not from the front end --- */

enum {
	REQ_GET_FEATURES = 1,
	REQ_SET_FEATURES = 2,
	REQ_SET_OWNER = 3,
	REQ_SET_MEM_TABLE = 5,
	REQ_SET_VRING_NUM = 8,
	REQ_SET_VRING_ADDR = 9,
	REQ_SET_VRING_BASE = 10,
	REQ_GET_VRING_BASE = 11,
	REQ_SET_VRING_KICK = 12,
	REQ_SET_VRING_CALL = 13,
	REQ_SET_VRING_ERR = 14,
	REQ_GET_PROTOCOL_FEATURES = 15,
	REQ_SET_PROTOCOL_FEATURES = 16,
	REQ_GET_QUEUE_NUM = 17,
	REQ_SET_VRING_ENABLE = 18,
	REQ_SET_SLAVE_REQ_FD = 21,
	REQ_GET_CONFIG = 24,
};

enum sin {
	SIN_NONE,
	SIN_HANG_UP,
	SIN_SILENCE,
	SIN_HALF,     /* of an answer */
	SIN_DRIP,     /* a byte now and then */
	SIN_OTHER,    /* the answer to another question */
	SIN_LONG,     /* more than fits the question */
	SIN_HUGE,     /* a size that wraps */
	SIN_NO_REPLY, /* its flag is missing */
	SIN_REFUSE,   /* an acknowledgement that says no */
	SIN_TWICE,    /* the answer comes again */
	NR_SINS,
};

struct message {
	uint32_t request, flags, size;
	union {
		uint64_t u64;
		struct {
			uint32_t index, num;
		} state;
		struct {
			uint32_t index, flags;
			uint64_t desc, used, avail, log;
		} addr;
		struct {
			uint32_t nr, padding;
			uint64_t gpa, size, user, off;
		} memory;
		struct {
			uint32_t off, size, flags;
			uint8_t bytes[256];
		} config;
		uint8_t raw[512];
	};
} __attribute__((packed));

struct back_ring {
	bool enabled;
	uint32_t num, base;
	uint64_t desc, avail, used; /* user addresses */
	int kick, call, err;
};

struct back {
	pthread_t thread;
	int fd, slave_fd, quit_fd;
	atomic_uint sin, sin_at; /* at that request */
	bool small;		 /* offers less */
	atomic_uint_fast64_t features;
	atomic_uint_fast64_t capacity;
	uint64_t user;
	uint8_t *hva; /* guest memory; NULL: none */
	uint64_t mem_size;
	struct back_ring ring[RINGS];
	atomic_uint served, requests;
};

static void back_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void *back_ptr(struct back *b, uint64_t user)
{
	assert(user >= b->user && user - b->user < b->mem_size);
	return b->hva + (user - b->user);
}

/* Returns every chain that is available, with its number of bytes being the descriptor's. */
static void back_serve(struct back *b, struct back_ring *ring)
{
	uint16_t *avail = back_ptr(b, ring->avail), *used = back_ptr(b, ring->used);
	struct drv_desc *desc = back_ptr(b, ring->desc);
	uint16_t used_idx = used[1];

	while (ring->base % 65536 != __atomic_load_n(&avail[1], __ATOMIC_SEQ_CST)) {
		uint16_t head = avail[2 + ring->base % ring->num];
		uint32_t elem[2] = {head, desc[head].len};

		memcpy(used + 2 + 4 * (used_idx % ring->num), elem, sizeof(elem));
		__atomic_store_n(&used[1], ++used_idx, __ATOMIC_SEQ_CST);
		ring->base++;
		b->served++;
	}
	eventfd_write(ring->call, 1);
}

static bool back_read(struct back *b, void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = recv(b->fd, (char *)buf + done, len - done, 0);

		if (n <= 0)
			return false;
		done += n;
	}
	return true;
}

/* Returns a descriptor that came along, or -1. */
static bool back_read_message(struct back *b, struct message *msg, int *fd)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = msg, .iov_len = 12};
	struct msghdr h = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(b->fd, &h, 0);

	*fd = -1;
	if (n <= 0)
		return false;
	if (CMSG_FIRSTHDR(&h))
		memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof(int));
	assert(msg->size <= sizeof(msg->raw));
	return back_read(b, (char *)msg + n, 12 - n + msg->size);
}

static void back_set_memory(struct back *b, const struct message *msg, int fd)
{
	assert(msg->memory.nr == 1 && fd >= 0);
	if (b->hva)
		munmap(b->hva, b->mem_size);
	b->user = msg->memory.user;
	b->mem_size = msg->memory.size;
	b->hva = mmap(NULL, b->mem_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, msg->memory.off);
	assert(b->hva != MAP_FAILED);
}

/* Does what is asked; whether msg now is an answer of its own. */
static bool back_obey(struct back *b, struct message *msg, int *fd)
{
	struct back_ring *ring = &b->ring[msg->state.index % RINGS];
	struct virtio_blk_config cfg = {.capacity = b->capacity, .num_queues = RINGS};

	switch (msg->request) {
	case REQ_GET_FEATURES:
		msg->u64 = DRV_BIT(VIRTIO_F_VERSION_1) | DRV_BIT(30) | DRV_BIT(VIRTIO_BLK_F_MQ) |
			   (b->small ? 0 : DRV_BIT(VIRTIO_BLK_F_FLUSH)) |
			   DRV_BIT(VIRTIO_BLK_F_CONFIG_WCE) | DRV_BIT(VIRTIO_RING_F_EVENT_IDX);
		break;
	case REQ_GET_PROTOCOL_FEATURES:
		msg->u64 = DRV_BIT(0) | DRV_BIT(3) | DRV_BIT(5) | DRV_BIT(9) | DRV_BIT(15);
		break;
	case REQ_GET_QUEUE_NUM:
		msg->u64 = RINGS;
		break;
	case REQ_GET_CONFIG:
		memcpy(msg->config.bytes, &cfg, msg->config.size);
		return true;
	case REQ_GET_VRING_BASE:
		msg->state.num = ring->base;
		back_close(&ring->kick);
		back_close(&ring->call);
		back_close(&ring->err);
		ring->enabled = false;
		return true;
	case REQ_SET_FEATURES:
		b->features = msg->u64;
		return false;
	case REQ_SET_PROTOCOL_FEATURES:
		assert(msg->u64 == (DRV_BIT(0) | DRV_BIT(3) | DRV_BIT(5) | DRV_BIT(9)));
		return false;
	case REQ_SET_MEM_TABLE:
		back_set_memory(b, msg, *fd);
		return false;
	case REQ_SET_VRING_NUM:
		ring->num = msg->state.num;
		return false;
	case REQ_SET_VRING_BASE:
		ring->base = msg->state.num;
		return false;
	case REQ_SET_VRING_ADDR:
		ring->desc = msg->addr.desc;
		ring->avail = msg->addr.avail;
		ring->used = msg->addr.used;
		return false;
	case REQ_SET_VRING_KICK:
		ring->kick = *fd;
		*fd = -1;
		return false;
	case REQ_SET_VRING_CALL:
		ring->call = *fd;
		*fd = -1;
		return false;
	case REQ_SET_VRING_ERR:
		ring->err = *fd;
		*fd = -1;
		return false;
	case REQ_SET_VRING_ENABLE:
		ring->enabled = msg->state.num;
		return false;
	case REQ_SET_SLAVE_REQ_FD:
		back_close(&b->slave_fd);
		b->slave_fd = *fd;
		*fd = -1;
		return false;
	default:
		assert(msg->request == REQ_SET_OWNER);
		return false;
	}
	msg->size = sizeof(msg->u64);
	return true;
}

/* False: that was the last of it. */
static bool back_sin(struct back *b, struct message *msg)
{
	size_t len = 12 + msg->size;

	if (b->sin_at != msg->request)
		return send(b->fd, msg, len, MSG_NOSIGNAL) == (ssize_t)len;
	switch ((enum sin)b->sin) {
	case SIN_HANG_UP:
		return false;
	case SIN_SILENCE:
		return true;
	case SIN_HALF:
		send(b->fd, msg, len - 3, MSG_NOSIGNAL);
		return true;
	case SIN_DRIP:
		for (size_t i = 0; i < len; i++) {
			send(b->fd, (char *)msg + i, 1, MSG_NOSIGNAL);
			nanosleep(&(struct timespec){.tv_nsec = LIMIT_NS / 5}, NULL);
		}
		return true;
	case SIN_OTHER:
		msg->request ^= 1;
		break;
	case SIN_LONG:
		msg->size += 8;
		len += 8;
		break;
	case SIN_HUGE:
		msg->size = UINT32_MAX;
		break;
	case SIN_NO_REPLY:
		msg->flags &= ~4u;
		break;
	case SIN_REFUSE:
		msg->u64 = 1;
		break;
	case SIN_TWICE:
		send(b->fd, msg, len, MSG_NOSIGNAL);
		break;
	default:
		break;
	}
	send(b->fd, msg, len, MSG_NOSIGNAL);
	return true;
}

static bool back_hear(struct back *b)
{
	struct message msg = {0};
	bool answer;
	int fd;

	if (!back_read_message(b, &msg, &fd))
		return false;
	b->requests++;
	assert((msg.flags & 3) == 1 && !(msg.flags & 4));
	answer = back_obey(b, &msg, &fd);
	back_close(&fd);
	if (!answer && !(msg.flags & 8))
		return b->sin_at != msg.request || b->sin != SIN_HANG_UP;
	if (!answer) {
		msg.u64 = 0;
		msg.size = sizeof(msg.u64);
	}
	msg.flags = 5;
	return back_sin(b, &msg);
}

static void *back_main(void *arg)
{
	struct back *b = arg;
	bool go_on = true;

	while (go_on) {
		struct pollfd p[2 + RINGS] = {{.fd = b->fd, .events = POLLIN},
					      {.fd = b->quit_fd, .events = POLLIN}};

		for (unsigned int i = 0; i < RINGS; i++)
			p[2 + i] = (struct pollfd){.fd = b->ring[i].enabled ? b->ring[i].kick : -1,
						   .events = POLLIN};
		poll(p, ARRAY_SIZE(p), -1);
		for (unsigned int i = 0; i < RINGS; i++) {
			eventfd_t count;

			if (p[2 + i].revents && eventfd_read(b->ring[i].kick, &count) == 0)
				back_serve(b, &b->ring[i]);
		}
		if (p[1].revents)
			break;
		if (p[0].revents)
			go_on = back_hear(b);
	}
	back_close(&b->fd);
	back_close(&b->slave_fd);
	for (unsigned int i = 0; i < RINGS; i++) {
		back_close(&b->ring[i].kick);
		back_close(&b->ring[i].call);
		back_close(&b->ring[i].err);
	}
	if (b->hva)
		munmap(b->hva, b->mem_size);
	return NULL;
}

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
	if (!s->back)
		return;
	eventfd_write(s->back->quit_fd, 1);
	pthread_join(s->back->thread, NULL);
	close(s->back->quit_fd);
	free(s->back);
	s->back = NULL;
}

static int setup_connect(void *arg)
{
	struct setup *s = arg;
	struct back *b;
	int pair[2];

	setup_end_back(s);
	if (s->nobody)
		return -ECONNREFUSED;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	b = calloc(1, sizeof(*b));
	b->fd = pair[1];
	b->slave_fd = -1;
	b->quit_fd = eventfd(0, EFD_CLOEXEC);
	b->sin = s->sin;
	b->sin_at = s->sin_at;
	b->small = s->small;
	b->capacity = SECTORS;
	for (unsigned int i = 0; i < RINGS; i++)
		b->ring[i] = (struct back_ring){.kick = -1, .call = -1, .err = -1};
	s->back = b;
	s->nr_backs++;
	assert_int_equal(pthread_create(&b->thread, NULL, back_main, b), 0);
	return pair[0];
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
		for (unsigned int i = 0; i < RINGS; i++)
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
	struct disk_params params = {.path = "disk", .vhost_user = true, .nr_queues = RINGS + 1};

	assert_true(setup_open(s));
	assert_null(vhost_user_blk_create(&s->ram.mem, s->vu, &params));
	params.nr_queues = 0;
	s->vdev = vhost_user_blk_create(&s->ram.mem, s->vu, &params);
	assert_int_equal(s->vdev->nr_queues, RINGS);
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
