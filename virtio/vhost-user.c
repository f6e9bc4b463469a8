// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The front end of vhost-user: see vhost-user.h. Numbers are the host's own byte order, as both ends
 * are on one machine.
 *
 *	     open             start                      stop
 *	gone -----> connected ------> serving the guest ------> connected
 *	  ^             |                    |
 *	  +-------------+--------------------+  the back end hangs up, answers nonsense or not at all
 */
#include "kvm/vhost-user.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/memory.h"
#include "kvm/util.h"
#include "kvm/virtio.h"

#define VHOST_USER_BIT(n) (1ULL << (n))

/* What we ask of the back end. */
enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_GET_CONFIG = 24,
};

/* What it may tell us on the channel that is its own. */
#define VHOST_USER_BACKEND_CONFIG_CHANGE 2

#define VHOST_USER_VERSION    0x1 /* in the lowest two bits of the flags */
#define VHOST_USER_REPLY      0x4
#define VHOST_USER_NEED_REPLY 0x8
#define VHOST_USER_FLAGS      0xf

/* Feature bit 30 of the device's is the protocol's own and not for the driver. */
#define VHOST_USER_F_PROTOCOL_FEATURES VHOST_USER_BIT(30)

#define VHOST_USER_PROTOCOL_MQ		VHOST_USER_BIT(0)
#define VHOST_USER_PROTOCOL_REPLY_ACK	VHOST_USER_BIT(3)
#define VHOST_USER_PROTOCOL_BACKEND_REQ VHOST_USER_BIT(5)
#define VHOST_USER_PROTOCOL_CONFIG	VHOST_USER_BIT(9)
#define VHOST_USER_PROTOCOL_KNOWN                                 \
	(VHOST_USER_PROTOCOL_MQ | VHOST_USER_PROTOCOL_REPLY_ACK | \
	 VHOST_USER_PROTOCOL_BACKEND_REQ | VHOST_USER_PROTOCOL_CONFIG)

#define VHOST_USER_MAX_REGIONS 8
#define VHOST_USER_RETRY_NS    20000000 /* between attempts to get into a full listen queue */

struct vhost_user_header {
	uint32_t request, flags, size;
};

struct vhost_user_vring_state {
	uint32_t index, num;
};

struct vhost_user_vring_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};

struct vhost_user_region {
	uint64_t gpa, size, user_addr, fd_offset;
};

struct vhost_user_memory {
	uint32_t nr, padding;
	struct vhost_user_region region[VHOST_USER_MAX_REGIONS];
};

struct vhost_user_config {
	uint32_t off, size, flags;
	uint8_t bytes[VHOST_USER_MAX_CONFIG];
};

/* As it goes over the socket. */
struct vhost_user_message {
	struct vhost_user_header head;
	union {
		uint64_t u64;
		struct vhost_user_vring_state state;
		struct vhost_user_vring_addr addr;
		struct vhost_user_memory memory;
		struct vhost_user_config config;
	};
} __attribute__((packed));

#define VHOST_USER_HEAD sizeof(struct vhost_user_header)

struct vhost_user {
	struct vhost_user_backend be;
	int fd;	    /* -1: gone */
	int req_fd; /* our end of the channel on which the back end asks; -1: none */
	uint64_t features, protocol, max_queues;

	pthread_mutex_t config_lock; /* protects config */
	uint8_t config[VHOST_USER_MAX_CONFIG];

	/* From start to stop. */
	struct virtio_device *vdev;
	struct loop_source *source, *req_source, *err_source;
	int err_fd;	  /* the back end's sign that it gave up a queue */
	uint64_t running; /* one bit a queue */
};

/* --- waiting --- */

static uint64_t vhost_user_deadline(const struct vhost_user *vu)
{
	return now_ns() + vu->be.limit_ns;
}

/* 0 when fd is ready, -ETIMEDOUT when the time is over. */
static int vhost_user_wait(int fd, short events, uint64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};
	uint64_t now = now_ns();
	int n;

	if (now >= deadline)
		return -ETIMEDOUT;
	n = poll(&p, 1, (int)MIN((deadline - now) / 1000000 + 1, 3600000));
	if (n < 0 && errno != EINTR)
		return -errno;
	return 0; /* or the time is over: the next one finds out */
}

/* The whole buffer; descriptors that come along are dropped by the kernel, as none is asked for. */
static int vhost_user_receive(int fd, void *buf, size_t len, uint64_t deadline)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = recv(fd, (char *)buf + done, len - done, MSG_DONTWAIT);
		int err = 0;

		if (n > 0)
			done += n;
		else if (n == 0)
			return -ECONNRESET;
		else if (errno == EAGAIN)
			err = vhost_user_wait(fd, POLLIN, deadline);
		else if (errno != EINTR)
			err = -errno;
		if (err)
			return err;
	}
	return 0;
}

/* The descriptors go with the first byte. */
static int vhost_user_transmit(int fd, const void *buf, size_t len, const int *fds,
			       unsigned int nr_fds, uint64_t deadline)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int) * VHOST_USER_MAX_REGIONS)];
	} control = {0};

	control.head = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
					.cmsg_type = SCM_RIGHTS,
					.cmsg_len = CMSG_LEN(sizeof(int) * nr_fds)};
	if (nr_fds)
		memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * nr_fds);
	for (size_t done = 0; done < len;) {
		struct iovec iov = {.iov_base = (char *)buf + done, .iov_len = len - done};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
		int err = 0;
		ssize_t n;

		if (nr_fds && !done) {
			msg.msg_control = &control;
			msg.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
		}
		n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0)
			done += n;
		else if (errno == EAGAIN)
			err = vhost_user_wait(fd, POLLOUT, deadline);
		else if (errno != EINTR)
			err = -errno;
		if (err)
			return err;
	}
	return 0;
}

/* --- the conversation: after the first failure there is none any more --- */

static void vhost_user_hang_up(struct vhost_user *vu)
{
	loop_remove(vu->source);
	loop_remove(vu->req_source);
	vu->source = vu->req_source = NULL;
	if (vu->fd >= 0)
		close(vu->fd);
	if (vu->req_fd >= 0)
		close(vu->req_fd);
	vu->fd = vu->req_fd = -1;
}

/* Says why, once: a back end that is gone stays gone. */
static int vhost_user_fail(struct vhost_user *vu, const char *why)
{
	if (vu->fd >= 0)
		log_error("%s: %s", vu->be.name, why);
	vhost_user_hang_up(vu);
	if (vu->vdev)
		virtio_needs_reset(vu->vdev, "its back end is gone");
	return -EIO;
}

static int vhost_user_fail_errno(struct vhost_user *vu, int err)
{
	switch (err) {
	case -ETIMEDOUT:
		return vhost_user_fail(vu, "the back end does not answer");
	case -ECONNRESET:
	case -EPIPE:
		return vhost_user_fail(vu, "the back end closed the connection");
	default:
		return vhost_user_fail(vu, strerror(-err));
	}
}

static int vhost_user_send(struct vhost_user *vu, uint32_t request, uint32_t flags,
			   struct vhost_user_message *msg, uint32_t size, const int *fds,
			   unsigned int nr_fds)
{
	int err;

	if (vu->fd < 0)
		return -EIO;
	msg->head = (struct vhost_user_header){request, VHOST_USER_VERSION | flags, size};
	err = vhost_user_transmit(vu->fd, msg, VHOST_USER_HEAD + size, fds, nr_fds,
				  vhost_user_deadline(vu));
	return err ? vhost_user_fail_errno(vu, err) : 0;
}

/* The answer to `request`, which must be just `size` bytes. One limit for all of it. */
static int vhost_user_answer(struct vhost_user *vu, uint32_t request,
			     struct vhost_user_message *msg, uint32_t size)
{
	uint64_t deadline = vhost_user_deadline(vu);
	int err;

	err = vhost_user_receive(vu->fd, &msg->head, VHOST_USER_HEAD, deadline);
	if (err)
		return vhost_user_fail_errno(vu, err);
	if (msg->head.request != request || msg->head.size != size ||
	    (msg->head.flags & (VHOST_USER_FLAGS & ~VHOST_USER_NEED_REPLY)) !=
		    (VHOST_USER_VERSION | VHOST_USER_REPLY))
		return vhost_user_fail(vu, "the back end does not answer what was asked");
	err = vhost_user_receive(vu->fd, &msg->u64, size, deadline);
	return err ? vhost_user_fail_errno(vu, err) : 0;
}

/* Something that only has to be done; the back end says whether it was, if it can. */
static int vhost_user_do(struct vhost_user *vu, uint32_t request, struct vhost_user_message *msg,
			 uint32_t size, const int *fds, unsigned int nr_fds)
{
	bool ack = vu->protocol & VHOST_USER_PROTOCOL_REPLY_ACK;
	int err;

	err = vhost_user_send(vu, request, ack ? VHOST_USER_NEED_REPLY : 0, msg, size, fds, nr_fds);
	if (err || !ack)
		return err;
	err = vhost_user_answer(vu, request, msg, sizeof(msg->u64));
	if (!err && msg->u64)
		err = vhost_user_fail(vu, "the back end refused a request");
	return err;
}

static int vhost_user_get_u64(struct vhost_user *vu, uint32_t request, uint64_t *val)
{
	struct vhost_user_message msg;
	int err;

	err = vhost_user_send(vu, request, 0, &msg, 0, NULL, 0);
	if (!err)
		err = vhost_user_answer(vu, request, &msg, sizeof(msg.u64));
	if (!err)
		*val = msg.u64;
	return err;
}

static int vhost_user_set_u64(struct vhost_user *vu, uint32_t request, uint64_t val)
{
	struct vhost_user_message msg = {.u64 = val};

	return vhost_user_do(vu, request, &msg, sizeof(msg.u64), NULL, 0);
}

static int vhost_user_set_state(struct vhost_user *vu, uint32_t request, unsigned int q,
				uint32_t num)
{
	struct vhost_user_message msg = {.state = {.index = q, .num = num}};

	return vhost_user_do(vu, request, &msg, sizeof(msg.state), NULL, 0);
}

/* The eventfds of a queue. */
static int vhost_user_set_fd(struct vhost_user *vu, uint32_t request, unsigned int q, int fd)
{
	struct vhost_user_message msg = {.u64 = q};

	return vhost_user_do(vu, request, &msg, sizeof(msg.u64), &fd, 1);
}

static int vhost_user_get_config(struct vhost_user *vu)
{
	uint32_t size = offsetof(struct vhost_user_config, bytes) + vu->be.config_size;
	struct vhost_user_message msg = {.config = {.size = vu->be.config_size}};
	int err;

	err = vhost_user_send(vu, VHOST_USER_GET_CONFIG, 0, &msg, size, NULL, 0);
	if (!err)
		err = vhost_user_answer(vu, VHOST_USER_GET_CONFIG, &msg, size);
	if (err)
		return err;
	pthread_mutex_lock(&vu->config_lock);
	memcpy(vu->config, msg.config.bytes, vu->be.config_size);
	pthread_mutex_unlock(&vu->config_lock);
	return 0;
}

/* --- getting to know each other --- */

static int vhost_user_open_channel(struct vhost_user *vu)
{
	struct vhost_user_message msg;
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return vhost_user_fail_errno(vu, -errno);
	vu->req_fd = pair[0];
	err = vhost_user_do(vu, VHOST_USER_SET_BACKEND_REQ_FD, &msg, 0, &pair[1], 1);
	close(pair[1]);
	return err;
}

static int vhost_user_agree_protocol(struct vhost_user *vu)
{
	uint64_t offered, need = vu->be.config_size ? VHOST_USER_PROTOCOL_CONFIG : 0;
	int err;

	err = vhost_user_get_u64(vu, VHOST_USER_GET_PROTOCOL_FEATURES, &offered);
	if (err)
		return err;
	if (need & ~offered)
		return vhost_user_fail(
			vu, "the back end does not tell the configuration of the device");
	offered &= VHOST_USER_PROTOCOL_KNOWN;
	/* Not acknowledged itself: vu->protocol is empty as yet. */
	err = vhost_user_set_u64(vu, VHOST_USER_SET_PROTOCOL_FEATURES, offered);
	if (!err)
		vu->protocol = offered;
	return err;
}

static int vhost_user_greet(struct vhost_user *vu)
{
	const uint64_t need = VHOST_USER_F_PROTOCOL_FEATURES | VHOST_USER_BIT(VIRTIO_F_VERSION_1);
	struct vhost_user_message msg;
	int err;

	vu->protocol = 0;
	err = vhost_user_get_u64(vu, VHOST_USER_GET_FEATURES, &vu->features);
	if (err)
		return err;
	if (need & ~vu->features)
		return vhost_user_fail(
			vu, "the back end is from before virtio 1.0, or no vhost-user device");
	err = vhost_user_agree_protocol(vu);
	if (!err)
		err = vhost_user_do(vu, VHOST_USER_SET_OWNER, &msg, 0, NULL, 0);
	vu->max_queues = 1;
	if (!err && vu->protocol & VHOST_USER_PROTOCOL_MQ)
		err = vhost_user_get_u64(vu, VHOST_USER_GET_QUEUE_NUM, &vu->max_queues);
	if (!err && vu->protocol & VHOST_USER_PROTOCOL_BACKEND_REQ)
		err = vhost_user_open_channel(vu);
	if (!err && vu->be.config_size)
		err = vhost_user_get_config(vu);
	return err;
}

int vhost_user_connect(const char *name, const char *path, uint64_t limit_ns)
{
	const struct timespec retry = {.tv_nsec = VHOST_USER_RETRY_NS};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	uint64_t deadline = now_ns() + (limit_ns ?: VHOST_USER_LIMIT_NS);
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		log_error("%s: the name of a socket has at most %zu bytes", name,
			  sizeof(addr.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		log_error("%s: %m", name);
		return -errno;
	}
	/* On a unix socket it is at once, or (EAGAIN) others queue for the back end's attention. */
	while (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		err = -errno;
		if (err == -EAGAIN && now_ns() < deadline) {
			nanosleep(&retry, NULL);
			continue;
		}
		log_error("%s: %s%s", name, strerror(-err),
			  err == -ECONNREFUSED || err == -ENOENT ? " (is the back end running?)"
								 : "");
		close(fd);
		return err;
	}
	return fd;
}

static int vhost_user_come_in(struct vhost_user *vu)
{
	vu->fd = vu->be.connect(vu->be.arg);
	return vu->fd < 0 ? vu->fd : vhost_user_greet(vu);
}

struct vhost_user *vhost_user_open(const struct vhost_user_backend *be)
{
	struct vhost_user *vu = calloc(1, sizeof(*vu));

	if (!vu) {
		log_error("%s: out of memory", be->name);
		return NULL;
	}
	vu->be = *be;
	if (!vu->be.limit_ns)
		vu->be.limit_ns = VHOST_USER_LIMIT_NS;
	vu->fd = vu->req_fd = -1;
	pthread_mutex_init(&vu->config_lock, NULL);
	vu->err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vu->err_fd < 0)
		log_error("%s: %m", be->name);
	if (vu->err_fd < 0 || vhost_user_come_in(vu) < 0) {
		vhost_user_close(vu);
		return NULL;
	}
	return vu;
}

void vhost_user_close(struct vhost_user *vu)
{
	if (!vu)
		return;
	vhost_user_hang_up(vu);
	if (vu->err_fd >= 0)
		close(vu->err_fd);
	pthread_mutex_destroy(&vu->config_lock);
	free(vu);
}

/* The device stands: the one who serves it now must be able to do what was said before. */
static int vhost_user_come_back(struct vhost_user *vu, uint64_t acked)
{
	uint64_t features = vu->features, max_queues = vu->max_queues;
	int err = vhost_user_come_in(vu);

	if (!err && (features & acked & ~vu->features || vu->max_queues < max_queues))
		err = vhost_user_fail(vu, "the back end can do less than before");
	/* What the driver was offered stays what it is offered. */
	vu->features = features;
	vu->max_queues = max_queues;
	if (!err)
		log_info("%s: connected anew", vu->be.name);
	return err;
}

/* --- questions --- */

uint64_t vhost_user_features(const struct vhost_user *vu)
{
	return vu->features;
}

uint64_t vhost_user_ring_features(const struct vhost_user *vu)
{
	/* Not of the back end's: what it is told of a queue is all that it has to know. */
	return vu->features | VHOST_USER_BIT(VIRTIO_F_RING_RESET);
}

unsigned int vhost_user_max_queues(const struct vhost_user *vu)
{
	return MIN(vu->max_queues, VIRTIO_MAX_QUEUES);
}

void vhost_user_config(struct vhost_user *vu, uint32_t off, void *buf, uint32_t len)
{
	pthread_mutex_lock(&vu->config_lock);
	memcpy(buf, vu->config + off, len);
	pthread_mutex_unlock(&vu->config_lock);
}

/* --- what the back end does by itself --- */

static void vhost_user_heard(void *arg, uint32_t events)
{
	struct vhost_user *vu = arg;
	char byte;
	ssize_t n = recv(vu->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

	(void)events;
	if (n > 0)
		vhost_user_fail(vu, "the back end says what was not asked");
	else if (n == 0)
		vhost_user_fail_errno(vu, -ECONNRESET);
	else if (errno != EAGAIN && errno != EINTR)
		vhost_user_fail_errno(vu, -errno);
}

/* A request of the back end's: only that the configuration changed is for us. */
static void vhost_user_asked(void *arg, uint32_t events)
{
	struct vhost_user *vu = arg;
	uint64_t deadline = vhost_user_deadline(vu);
	struct vhost_user_message msg = {0};
	bool known;
	int err;

	(void)events;
	err = vhost_user_receive(vu->req_fd, &msg.head, VHOST_USER_HEAD, deadline);
	if (!err && msg.head.size > sizeof(msg) - VHOST_USER_HEAD)
		err = -EPROTO;
	if (!err)
		err = vhost_user_receive(vu->req_fd, &msg.u64, msg.head.size, deadline);
	known = msg.head.request == VHOST_USER_BACKEND_CONFIG_CHANGE && vu->be.config_size;
	if (!err && msg.head.flags & VHOST_USER_NEED_REPLY) {
		msg.head.flags = VHOST_USER_VERSION | VHOST_USER_REPLY;
		msg.head.size = sizeof(msg.u64);
		msg.u64 = !known;
		err = vhost_user_transmit(vu->req_fd, &msg, VHOST_USER_HEAD + sizeof(msg.u64), NULL,
					  0, deadline);
	}
	if (err) {
		vhost_user_fail_errno(vu, err);
		return;
	}
	if (known && vhost_user_get_config(vu) == 0)
		virtio_config_changed(vu->vdev);
}

static void vhost_user_queue_failed(void *arg, uint32_t events)
{
	struct vhost_user *vu = arg;

	(void)events;
	if (eventfd_take(vu->err_fd))
		virtio_needs_reset(vu->vdev, "its back end found a queue broken");
}

/* --- queues --- */

static bool vhost_user_running(const struct vhost_user *vu, unsigned int q)
{
	return vu->running >> q & 1;
}

static int vhost_user_set_queue(struct vhost_user *vu, unsigned int q,
				const struct virtio_loan *loan)
{
	struct vhost_user_message addr = {
		.addr = {.index = q,
			 .desc = (uintptr_t)loan->ring.desc,
			 .used = (uintptr_t)loan->ring.device,
			 .avail = (uintptr_t)loan->ring.driver},
	};
	int err;

	err = vhost_user_set_state(vu, VHOST_USER_SET_VRING_NUM, q, loan->ring.size);
	if (!err)
		err = vhost_user_set_state(vu, VHOST_USER_SET_VRING_BASE, q, loan->base);
	if (!err)
		err = vhost_user_do(vu, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr.addr), NULL,
				    0);
	if (!err)
		err = vhost_user_set_fd(vu, VHOST_USER_SET_VRING_ERR, q, vu->err_fd);
	if (!err)
		err = vhost_user_set_fd(vu, VHOST_USER_SET_VRING_CALL, q, loan->call_fd);
	/* It begins with the first notification, which is there already. */
	if (!err)
		err = vhost_user_set_fd(vu, VHOST_USER_SET_VRING_KICK, q, loan->kick_fd);
	if (!err)
		err = vhost_user_set_state(vu, VHOST_USER_SET_VRING_ENABLE, q, 1);
	return err;
}

static int vhost_user_start_queue(struct vhost_user *vu, unsigned int q)
{
	struct virtio_loan loan;
	int err;

	if (vhost_user_running(vu, q) || !virtio_queue(vu->vdev, q))
		return 0;
	err = virtio_queue_lend(vu->vdev, q, &loan);
	if (err)
		return err;
	vu->running |= VHOST_USER_BIT(q);
	err = vhost_user_set_queue(vu, q, &loan);
	if (err)
		vhost_user_stop_queue(vu, q);
	return err;
}

void vhost_user_stop_queue(struct vhost_user *vu, unsigned int q)
{
	struct vhost_user_message msg = {.state = {.index = q}};
	int err;

	if (!vhost_user_running(vu, q))
		return;
	/* The answer comes when the back end has finished what it had begun. */
	err = vhost_user_send(vu, VHOST_USER_GET_VRING_BASE, 0, &msg, sizeof(msg.state), NULL, 0);
	if (!err)
		err = vhost_user_answer(vu, VHOST_USER_GET_VRING_BASE, &msg, sizeof(msg.state));
	virtio_queue_return(vu->vdev, q, err ? 0 : msg.state.num);
	vu->running &= ~VHOST_USER_BIT(q);
}

void vhost_user_kick(struct vhost_user *vu, unsigned int q)
{
	if (vhost_user_start_queue(vu, q) && vu->fd >= 0)
		virtio_needs_reset(vu->vdev, "a queue could not be handed over");
}

/* --- the device --- */

static int vhost_user_set_memory(struct vhost_user *vu, const struct memory *mem)
{
	struct vhost_user_message msg = {.memory = {.nr = mem->nr_banks}};
	int fds[MEMORY_MAX_BANKS];

	_Static_assert(MEMORY_MAX_BANKS <= VHOST_USER_MAX_REGIONS, "one region a bank");
	for (unsigned int i = 0; i < mem->nr_banks; i++) {
		const struct memory_bank *bank = &mem->bank[i];

		msg.memory.region[i] = (struct vhost_user_region){
			.gpa = bank->gpa,
			.size = bank->size,
			.user_addr = (uintptr_t)bank->hva,
			.fd_offset = bank->fd_offset,
		};
		fds[i] = bank->fd;
	}
	return vhost_user_do(vu, VHOST_USER_SET_MEM_TABLE, &msg,
			     offsetof(struct vhost_user_memory, region[mem->nr_banks]), fds,
			     mem->nr_banks);
}

static int vhost_user_watch(struct vhost_user *vu)
{
	struct loop *loop = virtio_loop(vu->vdev);

	vu->source = loop_add(loop, vu->fd, EPOLLIN, vhost_user_heard, vu);
	vu->err_source = loop_add(loop, vu->err_fd, EPOLLIN, vhost_user_queue_failed, vu);
	if (vu->req_fd >= 0)
		vu->req_source = loop_add(loop, vu->req_fd, EPOLLIN, vhost_user_asked, vu);
	if (vu->source && vu->err_source && (vu->req_fd < 0 || vu->req_source))
		return 0;
	return vhost_user_fail_errno(vu, -errno);
}

static int vhost_user_set_up(struct vhost_user *vu)
{
	uint64_t features = (vu->vdev->acked & vu->features) | VHOST_USER_F_PROTOCOL_FEATURES;
	int err;

	err = vhost_user_set_u64(vu, VHOST_USER_SET_FEATURES, features);
	if (!err)
		err = vhost_user_set_memory(vu, vu->vdev->mem);
	for (unsigned int q = 0; q < vu->vdev->nr_queues && !err; q++)
		err = vhost_user_start_queue(vu, q);
	return err ?: vhost_user_watch(vu);
}

/* Whether the peer is still there; a connection is not watched while the driver is not up. */
static bool vhost_user_is_there(const struct vhost_user *vu)
{
	struct pollfd p = {.fd = vu->fd, .events = POLLRDHUP};

	return vu->fd >= 0 && poll(&p, 1, 0) == 0;
}

int vhost_user_start(struct vhost_user *vu, struct virtio_device *vdev)
{
	int err = 0;

	if (!vhost_user_is_there(vu)) {
		vhost_user_hang_up(vu);
		err = vhost_user_come_back(vu, vdev->acked);
	}
	if (err)
		return err;
	vu->vdev = vdev;
	err = vhost_user_set_up(vu);
	if (err)
		vhost_user_stop(vu);
	return err;
}

void vhost_user_stop(struct vhost_user *vu)
{
	if (!vu->vdev)
		return;
	for (unsigned int q = 0; q < vu->vdev->nr_queues; q++)
		vhost_user_stop_queue(vu, q);
	loop_remove(vu->source);
	loop_remove(vu->req_source);
	loop_remove(vu->err_source);
	vu->source = vu->req_source = vu->err_source = NULL;
	eventfd_take(vu->err_fd);
	vu->vdev = NULL;
}
