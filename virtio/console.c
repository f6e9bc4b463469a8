// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio console device (virtio 1.2 §5.3), one port: queue 0 carries input, queue 1 output.
 *
 * The chardev calls back on the VM's main loop while the queues belong to the worker. Between them
 * are a small buffer under a lock for input, and an eventfd that says "look again" for both.
 */
#include <errno.h>
#include <linux/virtio_console.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/chardev.h"
#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "kvm/virtio.h"

#define CONSOLE_RX	   0
#define CONSOLE_TX	   1
#define CONSOLE_QUEUE_SIZE 128
#define CONSOLE_INPUT_SIZE 4096
/* Chains sent before the loop gets a turn. */
#define CONSOLE_BATCH 64

struct console {
	struct chardev *chr;
	bool have_size;	  /* constant */
	atomic_uint size; /* columns, and rows << 16: written on the main loop */
	int wake_fd;

	pthread_mutex_t lock; /* protects input and what is said of it; a leaf lock */
	uint8_t input[CONSOLE_INPUT_SIZE];
	size_t input_start, input_len;
	bool input_refused; /* the chardev has more */

	struct virtio_device *_Atomic vdev; /* NULL before the first driver */

	/* Worker only. */
	struct loop_source *wake;
	struct virtq_chain *rx, *tx;
	bool size_told;	      /* to the driver that is there */
	bool tx_pending;      /* tx is popped and not yet sent in full */
	unsigned int tx_next; /* its first buffer that is not */
};

/* --- on the main loop --- */

static void console_wake(struct console *con)
{
	uint64_t one = 1;

	/* EAGAIN means that it is about to look anyway. */
	(void)!write(con->wake_fd, &one, sizeof(one));
}

static size_t console_input(void *arg, const uint8_t *buf, size_t len)
{
	struct console *con = arg;
	size_t n;

	pthread_mutex_lock(&con->lock);
	memmove(con->input, con->input + con->input_start, con->input_len);
	con->input_start = 0;
	n = MIN(len, sizeof(con->input) - con->input_len);
	memcpy(con->input + con->input_len, buf, n);
	con->input_len += n;
	con->input_refused = n < len;
	pthread_mutex_unlock(&con->lock);
	console_wake(con);
	return n;
}

static void console_room(void *arg)
{
	console_wake(arg);
}

static bool console_look_at_size(struct console *con)
{
	uint16_t cols, rows;
	bool known = chardev_winsize(con->chr, &cols, &rows);

	if (known)
		atomic_store(&con->size, cols | (unsigned int)rows << 16);
	return known;
}

/* Without F_SIZE there is nobody to tell. */
static void console_resized(void *arg)
{
	struct console *con = arg;
	struct virtio_device *vdev = atomic_load(&con->vdev);

	if (con->have_size && console_look_at_size(con) && vdev)
		virtio_config_changed(vdev);
}

static const struct chardev_front console_front = {
	.input = console_input,
	.room = console_room,
	.resized = console_resized,
};

/* --- on the worker --- */

static bool console_has_input(struct console *con)
{
	bool has;

	pthread_mutex_lock(&con->lock);
	has = con->input_len;
	pthread_mutex_unlock(&con->lock);
	return has;
}

/* Moves as much input as fits into the chain. */
static uint32_t console_fill(struct console *con, const struct virtq_chain *chain)
{
	size_t n;

	pthread_mutex_lock(&con->lock);
	n = virtq_chain_write(chain, 0, con->input + con->input_start, con->input_len);
	con->input_start += n;
	con->input_len -= n;
	pthread_mutex_unlock(&con->lock);
	return n;
}

static void console_accept_more(struct console *con)
{
	bool refused;

	pthread_mutex_lock(&con->lock);
	refused = con->input_refused && con->input_len < sizeof(con->input);
	if (refused)
		con->input_refused = false;
	pthread_mutex_unlock(&con->lock);
	if (refused)
		chardev_accept_input(con->chr);
}

/* Fills buffers as long as there is input; asks for a kick only when it lacks buffers. */
static void console_receive(struct console *con)
{
	struct virtq *vq = virtio_queue(con->vdev, CONSOLE_RX);
	int got = 0;

	if (!vq)
		return;
	do {
		virtq_disable_kicks(vq);
		while (console_has_input(con) && (got = virtq_pop(vq, con->rx)) > 0)
			virtq_push(vq, con->rx, console_fill(con, con->rx));
		if (got < 0) {
			virtio_needs_reset(con->vdev, "its receive queue is broken");
			return;
		}
	} while (console_has_input(con) && virtq_enable_kicks(vq));
	virtio_signal_queue(con->vdev, CONSOLE_RX);
	console_accept_more(con);
}

/* Sends what is left of the pending chain and returns it. False: the chardev is full. */
static bool console_send(struct console *con, struct virtq *vq)
{
	for (; con->tx_next < con->tx->nr_out; con->tx_next++) {
		struct iovec *iov = con->tx->iov + con->tx_next;
		size_t n = chardev_write(con->chr, iov->iov_base, iov->iov_len);

		iov->iov_base = (uint8_t *)iov->iov_base + n;
		iov->iov_len -= n;
		if (iov->iov_len)
			return false;
	}
	con->tx_pending = false;
	virtq_push(vq, con->tx, 0);
	virtio_signal_queue(con->vdev, CONSOLE_TX);
	return true;
}

/*
 * Linux looks at the size only when it is told that it has changed, and does not listen before its
 * console is there: with its first output.
 */
static void console_tell_size(struct console *con)
{
	if (con->have_size && !con->size_told)
		virtio_config_changed(con->vdev);
	con->size_told = true;
}

static void console_transmit(struct console *con)
{
	struct virtq *vq = virtio_queue(con->vdev, CONSOLE_TX);
	unsigned int left = CONSOLE_BATCH;
	int got = 0;

	if (!vq || (con->tx_pending && !console_send(con, vq)))
		return;
	do {
		virtq_disable_kicks(vq);
		while (left && (got = virtq_pop(vq, con->tx)) > 0) {
			left--;
			console_tell_size(con);
			con->tx_pending = true;
			con->tx_next = 0;
			if (!console_send(con, vq))
				return; /* console_room() goes on */
		}
		if (got < 0) {
			virtio_needs_reset(con->vdev, "its transmit queue is broken");
			return;
		}
		if (!left) {
			virtio_device_kick(con->vdev, CONSOLE_TX);
			return;
		}
	} while (virtq_enable_kicks(vq));
}

static void console_woken(void *arg, uint32_t events)
{
	struct console *con = arg;
	uint64_t count;

	(void)events;
	(void)!read(con->wake_fd, &count, sizeof(count));
	console_receive(con);
	console_transmit(con);
}

static void console_kick(void *dev, unsigned int q)
{
	if (q == CONSOLE_RX)
		console_receive(dev);
	else
		console_transmit(dev);
}

static void console_queue_stop(void *dev, unsigned int q)
{
	struct console *con = dev;

	if (q == CONSOLE_TX)
		con->tx_pending = false;
}

static int console_start(void *dev, struct virtio_device *vdev)
{
	struct console *con = dev;

	con->vdev = vdev;
	con->wake = loop_add(virtio_loop(vdev), con->wake_fd, EPOLLIN, console_woken, con);
	return con->wake ? 0 : -errno;
}

static void console_stop(void *dev)
{
	struct console *con = dev;

	loop_remove(con->wake);
	con->wake = NULL;
	con->size_told = con->tx_pending = false;
}

/* --- any thread --- */

static uint64_t console_features(void *dev)
{
	struct console *con = dev;

	return con->have_size ? 1ULL << VIRTIO_CONSOLE_F_SIZE : 0;
}

static void console_config_read(void *dev, uint32_t off, void *buf, uint32_t len)
{
	struct console *con = dev;
	unsigned int size = atomic_load(&con->size);
	const struct virtio_console_config cfg = {
		.cols = htole16(size & 0xffff),
		.rows = htole16(size >> 16),
	};

	memcpy(buf, (const uint8_t *)&cfg + off, len);
}

static void console_destroy(void *dev)
{
	struct console *con = dev;

	chardev_set_front(con->chr, NULL, NULL);
	if (con->wake_fd >= 0)
		close(con->wake_fd);
	pthread_mutex_destroy(&con->lock);
	virtq_chain_destroy(con->rx);
	virtq_chain_destroy(con->tx);
	free(con);
}

static const struct virtio_model console_model = {
	.name = "virtio-console",
	.id = VIRTIO_ID_CONSOLE,
	.in_order = true,
	.config_size = sizeof(struct virtio_console_config),
	.features = console_features,
	.config_read = console_config_read,
	.start = console_start,
	.stop = console_stop,
	.kick = console_kick,
	.queue_stop = console_queue_stop,
	.destroy = console_destroy,
};

struct virtio_device *console_create(const struct memory *mem, const char *name,
				     struct chardev *chr)
{
	const uint16_t queue_sizes[] = {CONSOLE_QUEUE_SIZE, CONSOLE_QUEUE_SIZE};
	struct console *con = calloc(1, sizeof(*con));

	if (!con) {
		log_error("%s: out of memory", name);
		return NULL;
	}
	con->chr = chr;
	con->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	con->rx = virtq_chain_create();
	con->tx = virtq_chain_create();
	con->have_size = console_look_at_size(con);
	pthread_mutex_init(&con->lock, NULL);
	if (con->wake_fd < 0 || !con->rx || !con->tx) {
		log_error("%s: out of memory or file descriptors", name);
		console_destroy(con);
		return NULL;
	}
	chardev_set_front(chr, &console_front, con);
	return virtio_device_create(&console_model, con, name, mem, ARRAY_SIZE(queue_sizes),
				    queue_sizes);
}
