// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A port of the multiport console: two queues on the guest's side, a file, pty or socket on the
 * host's. See multiport.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/util.h"
#include "multiport-internal.h"

#define PORT_BATCH    64		  /* chains before other sources get a turn */
#define PORT_OUT_IDLE EPOLLERR		  /* a reader that goes is told to the guest at once */
#define PORT_LOOK_NS  UINT64_C(250000000) /* at ptys, of which nothing else tells */

static unsigned int port_rx_queue(const struct port *port)
{
	return port->nr ? 2 * port->nr + 2 : 0;
}

/* --- input --- */

static void port_close_in(struct port *port)
{
	loop_remove(port->in_src);
	port->in_src = NULL;
	stream_close(&port->in);
}

static void port_close_out(struct port *port)
{
	loop_remove(port->out_src);
	port->out_src = NULL;
	stream_close(&port->out);
}

static void port_wait(struct port *port)
{
	if (port_params(port)->kind == PORT_LISTENER)
		loop_modify(port->wait_src, EPOLLIN);
	else
		loop_arm_timer(port->wait_src, PORT_LOOK_NS);
}

/* To the guest's reader this is the end of the file, to its writer a broken pipe. */
static void port_hang_up(struct port *port)
{
	port->host_open = false;
	port->tell_open = true;
	if (port->wait_src) {
		port_close_in(port);
		port_close_out(port);
		port_wait(port);
	}
	multiport_tell_all(port->ports);
}

static bool port_is_gone(const struct port *port)
{
	struct pollfd p = {.fd = port->out.fd};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

/* What stopped a queue: the batch is full, no chain is there, or the file (or the ring) says no. */
enum port_stop { PORT_GO_ON, PORT_NO_CHAIN, PORT_WAITS };

/* One read into one chain. */
static enum port_stop port_receive_one(struct port *port, struct virtq *vq)
{
	struct virtq_chain *chain = port->ports->chain;
	int got = virtq_pop(vq, chain);
	ssize_t n;

	if (got < 0)
		virtio_needs_reset(port->ports->vdev, "a receive queue is broken");
	if (got <= 0)
		return got < 0 ? PORT_WAITS : PORT_NO_CHAIN;
	n = chain->in_len ? stream_readv(&port->in, virtq_chain_in(chain), chain->nr_in) : 0;
	if (n > 0 || !chain->in_len) {
		virtq_push(vq, chain, n);
		return PORT_GO_ON;
	}
	virtq_unpop(vq, chain);
	if (n == -EAGAIN) {
		if (port->in_src)
			loop_modify(port->in_src, EPOLLIN);
		return PORT_WAITS;
	}
	port_close_in(port);
	/* A client that only sends no more is told of later, by the watch on its other direction. */
	if (n < 0 || !port->wait_src || port_is_gone(port))
		port_hang_up(port);
	return PORT_WAITS;
}

/* The file is watched only while there are buffers, the queue only while there are none. */
void multiport_port_receive(struct port *port)
{
	struct virtio_device *vdev = port->ports->vdev;
	unsigned int q = port_rx_queue(port), left = PORT_BATCH;
	struct virtq *vq = virtio_queue(vdev, q);
	enum port_stop stop;

	if (!vq || !port->guest_open || port->in.kind == STREAM_NONE)
		return;
	if (port->in_src)
		loop_modify(port->in_src, 0);
	do {
		virtq_disable_kicks(vq);
		do
			stop = port_receive_one(port, vq);
		while (stop == PORT_GO_ON && --left);
	} while (stop == PORT_NO_CHAIN && virtq_enable_kicks(vq));
	virtio_signal_queue(vdev, q);
	if (stop == PORT_GO_ON)
		virtio_device_kick(vdev, q);
}

/* --- output --- */

static void port_lost(const struct port *port, int err)
{
	const struct multiport_params *params = port->ports->params;

	log_error("%s: %s", port_params(port)->name, strerror(err));
	if (params->lost)
		params->lost(params->arg, port->nr);
}

/* Writes what is left of the pending chain; false: the file takes no more now. */
static bool port_send(struct port *port)
{
	while (port->tx_next < port->tx->nr_out && port->out.kind != STREAM_NONE) {
		struct iovec *iov = port->tx->iov + port->tx_next;
		ssize_t n = stream_writev(&port->out, iov, port->tx->nr_out - port->tx_next);

		if (n == -EAGAIN) {
			if (port->out_src)
				loop_modify(port->out_src, EPOLLOUT);
			return false;
		}
		if (n < 0) {
			if (n != -EPIPE)
				port_lost(port, (int)-n);
			port_close_out(port);
			port_hang_up(port);
			break;
		}
		for (; n && (size_t)n >= iov->iov_len; iov++, port->tx_next++)
			n -= iov->iov_len;
		if (n) {
			iov->iov_base = (uint8_t *)iov->iov_base + n;
			iov->iov_len -= n;
		}
	}
	return true;
}

static enum port_stop port_transmit_one(struct port *port, struct virtq *vq)
{
	int got;

	if (!port->tx_pending) {
		got = virtq_pop(vq, port->tx);
		if (got < 0)
			virtio_needs_reset(port->ports->vdev, "a transmit queue is broken");
		if (got <= 0)
			return got < 0 ? PORT_WAITS : PORT_NO_CHAIN;
		port->tx_pending = true;
		port->tx_next = 0;
	}
	if (!port_send(port))
		return PORT_WAITS;
	port->tx_pending = false;
	virtq_push(vq, port->tx, 0);
	return PORT_GO_ON;
}

void multiport_port_transmit(struct port *port)
{
	const struct multiport_params *params = port->ports->params;
	struct virtio_device *vdev = port->ports->vdev;
	unsigned int q = port_rx_queue(port) + 1, left = PORT_BATCH;
	struct virtq *vq = virtio_queue(vdev, q);
	enum port_stop stop;

	if (!vq)
		return;
	do {
		virtq_disable_kicks(vq);
		do
			stop = port_transmit_one(port, vq);
		while (stop == PORT_GO_ON && --left);
	} while (stop == PORT_NO_CHAIN && virtq_enable_kicks(vq));
	virtio_signal_queue(vdev, q);
	if (stop == PORT_GO_ON)
		virtio_device_kick(vdev, q);
	if (stop == PORT_NO_CHAIN && port->closing) {
		port->closing = false;
		if (params->closed)
			params->closed(params->arg, port->nr);
	}
}

/* --- the other end --- */

static void port_in_event(void *arg, uint32_t events)
{
	struct port *port = arg;

	(void)events;
	multiport_port_receive(port);
}

static void port_out_event(void *arg, uint32_t events)
{
	struct port *port = arg;

	/* With output pending the write itself will say so. */
	if (events & (EPOLLHUP | EPOLLERR) && !port->tx_pending) {
		port_close_out(port);
		port_hang_up(port);
		return;
	}
	loop_modify(port->out_src, PORT_OUT_IDLE);
	multiport_port_transmit(port);
}

/* --- life --- */

static int port_watch(struct port *port, const struct stream *stream, uint32_t events, loop_fn fn,
		      struct loop_source **src)
{
	if (stream->kind == STREAM_NONE)
		return 0;
	*src = loop_add(virtio_loop(port->ports->vdev), stream->fd, events, fn, port);
	return *src || errno == EPERM ? 0 : -errno;
}

/* Somebody is at the other end: its descriptors are a copy of `fd`. */
static void port_connect(struct port *port, int fd, enum stream_kind kind)
{
	port->in = (struct stream){fcntl(fd, F_DUPFD_CLOEXEC, 3), kind, false};
	port->out = (struct stream){fcntl(fd, F_DUPFD_CLOEXEC, 3), kind, false};
	if (port->in.fd < 0 || port->out.fd < 0 ||
	    port_watch(port, &port->in, 0, port_in_event, &port->in_src) ||
	    port_watch(port, &port->out, PORT_OUT_IDLE, port_out_event, &port->out_src)) {
		log_error("%s: %m", port_params(port)->name);
		port_hang_up(port);
		return;
	}
	port->host_open = true;
	port->tell_open = true;
	multiport_tell_all(port->ports);
	multiport_port_receive(port);
}

static void port_accept(void *arg, uint32_t events)
{
	struct port *port = arg;
	int fd = accept4(port_params(port)->in_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	loop_modify(port->wait_src, 0);
	port_connect(port, fd, STREAM_SOCKET);
	close(fd);
}

/* While nobody has the slave open, the master reports a hang-up. */
static void port_look(void *arg, uint32_t events)
{
	struct port *port = arg;
	struct pollfd p = {.fd = port_params(port)->in_fd};

	(void)events;
	if (poll(&p, 1, 0) > 0 && p.revents & POLLHUP)
		port_wait(port);
	else
		port_connect(port, p.fd, STREAM_OWN);
}

bool multiport_port_look_at_size(struct port *port)
{
	struct winsize ws;

	if (!port_params(port)->console || port_params(port)->kind == PORT_LISTENER ||
	    ioctl(port_params(port)->in_fd, TIOCGWINSZ, &ws) || !ws.ws_row || !ws.ws_col ||
	    (ws.ws_row == port->rows && ws.ws_col == port->cols))
		return false;
	port->rows = ws.ws_row;
	port->cols = ws.ws_col;
	return true;
}

int multiport_port_start(struct port *port)
{
	struct loop *loop = virtio_loop(port->ports->vdev);
	const struct port_params *params = port_params(port);
	int ret;

	if (params->kind == PORT_FILES) {
		port->host_open = true;
		ret = port_watch(port, &port->in, 0, port_in_event, &port->in_src);
		return ret ? ret
			   : port_watch(port, &port->out, PORT_OUT_IDLE, port_out_event,
					&port->out_src);
	}
	port->host_open = false;
	if (params->kind == PORT_LISTENER)
		port->wait_src = loop_add(loop, params->in_fd, 0, port_accept, port);
	else
		port->wait_src = loop_add_timer(loop, port_look, port);
	if (!port->wait_src)
		return -errno;
	port_wait(port);
	return 0;
}

void multiport_port_stop(struct port *port)
{
	if (port->wait_src) {
		port_close_in(port);
		port_close_out(port);
	}
	loop_remove(port->in_src);
	loop_remove(port->out_src);
	loop_remove(port->wait_src);
	port->in_src = port->out_src = port->wait_src = NULL;
	port->ready = port->guest_open = port->closing = port->tx_pending = false;
	port->tell_added = port->tell_console = port->tell_name = false;
	port->tell_open = port->tell_size = false;
}

/* --- life --- */

int multiport_port_open(struct port *port, struct multiport *ports, unsigned int nr)
{
	const struct port_params *params = &ports->params->port[nr];
	int ret = 0;

	port->ports = ports;
	port->nr = nr;
	port->tx = virtq_chain_create();
	if (!port->tx)
		ret = -ENOMEM;
	if (ret == 0 && params->kind != PORT_FILES)
		return 0;
	if (ret == 0 && params->in_fd >= 0)
		ret = stream_open(&port->in, params->in_fd, O_RDONLY);
	if (ret == 0 && params->out_fd >= 0)
		ret = stream_open(&port->out, params->out_fd, O_WRONLY);
	if (ret < 0)
		log_error("%s: %s", params->name, strerror(-ret));
	return ret;
}

void multiport_port_close(struct port *port)
{
	stream_close(&port->in);
	stream_close(&port->out);
	virtq_chain_destroy(port->tx);
}
