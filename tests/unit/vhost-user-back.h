/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_TESTS_VHOST_USER_BACK_H
#define LKVM_TESTS_VHOST_USER_BACK_H

/*
 * A back end of the vhost-user protocol, in a thread: written from the protocol's specification, not
 * from the front end. It serves split rings by returning each chain as it is, or commits one of the
 * sins below.
 */
#include <assert.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "kvm/util.h"
#include "virtio-driver.h"

#define BACK_RINGS   4 /* that it has */
#define BACK_DRIP_NS 60000000

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
	struct back_ring ring[BACK_RINGS];
	atomic_uint served, requests;
};

static inline void back_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline void *back_ptr(struct back *b, uint64_t user)
{
	assert(user >= b->user && user - b->user < b->mem_size);
	return b->hva + (user - b->user);
}

/* Returns every chain that is available, with its number of bytes being the descriptor's. */
static inline void back_serve(struct back *b, struct back_ring *ring)
{
	uint16_t *avail = back_ptr(b, ring->avail), *used = back_ptr(b, ring->used);
	struct drv_desc *desc = back_ptr(b, ring->desc);
	uint16_t used_idx = used[1], before = used_idx;

	while (ring->base % 65536 != __atomic_load_n(&avail[1], __ATOMIC_SEQ_CST)) {
		uint16_t head = avail[2 + ring->base % ring->num] % ring->num;
		uint32_t elem[2] = {head, desc[head].len};

		memcpy(used + 2 + 4 * (used_idx % ring->num), elem, sizeof(elem));
		__atomic_store_n(&used[1], ++used_idx, __ATOMIC_SEQ_CST);
		ring->base++;
		b->served++;
	}
	if (used_idx != before)
		eventfd_write(ring->call, 1);
}

static inline bool back_read(struct back *b, void *buf, size_t len)
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
static inline bool back_read_message(struct back *b, struct message *msg, int *fd)
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

static inline void back_set_memory(struct back *b, const struct message *msg, int fd)
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
static inline bool back_obey(struct back *b, struct message *msg, int *fd)
{
	struct back_ring *ring = &b->ring[msg->state.index % BACK_RINGS];
	struct virtio_blk_config cfg = {.capacity = b->capacity, .num_queues = BACK_RINGS};

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
		msg->u64 = BACK_RINGS;
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
static inline bool back_sin(struct back *b, struct message *msg)
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
			nanosleep(&(struct timespec){.tv_nsec = BACK_DRIP_NS}, NULL);
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

static inline bool back_hear(struct back *b)
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

static inline void *back_main(void *arg)
{
	struct back *b = arg;
	bool go_on = true;

	while (go_on) {
		struct pollfd p[2 + BACK_RINGS] = {{.fd = b->fd, .events = POLLIN},
						   {.fd = b->quit_fd, .events = POLLIN}};

		for (unsigned int i = 0; i < BACK_RINGS; i++)
			p[2 + i] = (struct pollfd){.fd = b->ring[i].enabled ? b->ring[i].kick : -1,
						   .events = POLLIN};
		poll(p, ARRAY_SIZE(p), -1);
		for (unsigned int i = 0; i < BACK_RINGS; i++) {
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
	for (unsigned int i = 0; i < BACK_RINGS; i++) {
		back_close(&b->ring[i].kick);
		back_close(&b->ring[i].call);
		back_close(&b->ring[i].err);
	}
	if (b->hva)
		munmap(b->hva, b->mem_size);
	return NULL;
}

/* A new one on a new socket, whose other end is returned. */
static inline struct back *back_create(int *fd)
{
	struct back *b = calloc(1, sizeof(*b));
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		abort();
	b->fd = pair[1];
	b->slave_fd = -1;
	b->quit_fd = eventfd(0, EFD_CLOEXEC);
	for (unsigned int i = 0; i < BACK_RINGS; i++)
		b->ring[i] = (struct back_ring){.kick = -1, .call = -1, .err = -1};
	*fd = pair[0];
	return b;
}

static inline void back_run(struct back *b)
{
	if (pthread_create(&b->thread, NULL, back_main, b))
		abort();
}

static inline void back_destroy(struct back *b)
{
	if (!b)
		return;
	eventfd_write(b->quit_fd, 1);
	pthread_join(b->thread, NULL);
	close(b->quit_fd);
	free(b);
}

#endif
