// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio console device with several ports (virtio 1.2 §5.3). Queues: 0 and 1 are port 0's input
 * and output, 2 and 3 carry control messages to and from the driver, then come two for each
 * further port (§5.3.2).
 *
 * All of it happens on the device's worker: it waits for the queues and for the files.
 */
#include "kvm/multiport.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_console.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/stream.h"
#include "kvm/util.h"
#include "kvm/virtio.h"

#define MULTIPORT_CONTROL_RX 2
#define MULTIPORT_CONTROL_TX 3
#define MULTIPORT_QUEUE_SIZE 128
#define PORT_OUT_IDLE	     EPOLLERR /* a reader that goes is told to the guest at once */
#define MULTIPORT_BATCH	     64	      /* chains before other sources get a turn */
#define PORT_LOOK_NS	     UINT64_C(250000000) /* at ptys, of which nothing else tells */
#define PORT_SIZE_NS	     UINT64_C(500000000) /* and at the size of terminals that are not ours */

struct port {
	struct multiport *ports;
	unsigned int nr;
	struct stream in, out; /* closed: nothing (more) comes or goes */
	/* NULL: closed, or a file that epoll refuses because it is always ready. */
	struct loop_source *in_src, *out_src;

	bool ready;	 /* the driver knows it */
	bool guest_open; /* the driver throws away what comes before */
	bool host_open;	 /* what the driver was last told, or is about to be */
	bool closing;	 /* the guest has closed it, but its output is still going out */
	/* Control messages that are due. States rather than a queue, so there is no end of room. */
	bool tell_added, tell_console, tell_name, tell_open, tell_size;

	/* PORT_LISTENER: the listener; PORT_PTY: a timer. What waits for somebody at the other end. */
	struct loop_source *wait_src;
	uint16_t rows, cols; /* of the terminal, as the driver was last told */

	struct virtq_chain *tx;
	bool tx_pending;      /* tx is popped and not yet sent in full */
	unsigned int tx_next; /* its first buffer that is not */
};

struct multiport {
	const struct multiport_params *params;
	struct virtio_device *vdev;
	struct virtq_chain *message;	/* from the driver */
	struct virtq_chain *chain;	/* used and given back at once */
	struct loop_source *size_timer; /* NULL: there is no terminal */
	struct port port[MULTIPORT_MAX];
};

static unsigned int port_rx_queue(const struct port *port)
{
	return port->nr ? 2 * port->nr + 2 : 0;
}

/* --- control messages to the driver --- */

/* Sends one; false when the driver has no buffer for it (yet). */
static bool multiport_tell(struct multiport *ports, struct virtq *vq, const struct port *port,
			   uint16_t event, uint16_t value, const void *more, size_t more_len)
{
	const struct virtio_console_control msg = {
		.id = htole32(port->nr), .event = htole16(event), .value = htole16(value)};
	uint32_t len;
	int got = virtq_pop(vq, ports->chain);

	if (got < 0)
		virtio_needs_reset(ports->vdev, "its control queue is broken");
	if (got <= 0)
		return false;
	len = virtq_chain_write(ports->chain, 0, &msg, sizeof(msg));
	len += virtq_chain_write(ports->chain, sizeof(msg), more, more_len);
	virtq_push(vq, ports->chain, len);
	return true;
}

/* All that is due of one port, in the order that §5.3.6.2 wants; false: out of buffers. */
static bool multiport_tell_port(struct multiport *ports, struct virtq *vq, struct port *port)
{
	const char *name = ports->params->port[port->nr].name;
	/*
	 * §5.3.6.2. Linux took these for rows and columns until its stable series of 2026, but for a
	 * while in 2025; nothing tells a device which of both a driver does.
	 */
	const struct {
		uint16_t cols, rows;
	} size = {htole16(port->cols), htole16(port->rows)};

	if (port->tell_added) {
		if (!multiport_tell(ports, vq, port, VIRTIO_CONSOLE_PORT_ADD, 1, NULL, 0))
			return false;
		port->tell_added = false;
	}
	/* The rest would be dropped by a driver that is not ready for it. */
	if (!port->ready)
		return true;
	if (port->tell_console) {
		if (!multiport_tell(ports, vq, port, VIRTIO_CONSOLE_CONSOLE_PORT, 1, NULL, 0))
			return false;
		port->tell_console = false;
	}
	if (port->tell_size) {
		if (!multiport_tell(ports, vq, port, VIRTIO_CONSOLE_RESIZE, 0, &size, sizeof(size)))
			return false;
		port->tell_size = false;
	}
	if (port->tell_name) {
		if (!multiport_tell(ports, vq, port, VIRTIO_CONSOLE_PORT_NAME, 1, name,
				    strlen(name)))
			return false;
		port->tell_name = false;
	}
	if (port->tell_open) {
		if (!multiport_tell(ports, vq, port, VIRTIO_CONSOLE_PORT_OPEN, port->host_open,
				    NULL, 0))
			return false;
		port->tell_open = false;
	}
	return true;
}

static void multiport_tell_all(struct multiport *ports)
{
	struct virtq *vq = virtio_queue(ports->vdev, MULTIPORT_CONTROL_RX);

	for (unsigned int i = 0; vq && i < ports->params->nr; i++)
		if (!multiport_tell_port(ports, vq, &ports->port[i]))
			break;
	virtio_signal_queue(ports->vdev, MULTIPORT_CONTROL_RX);
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

static const struct port_params *port_params(const struct port *port)
{
	return &port->ports->params->port[port->nr];
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
static void port_receive(struct port *port)
{
	struct virtio_device *vdev = port->ports->vdev;
	unsigned int q = port_rx_queue(port), left = MULTIPORT_BATCH;
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
				log_error("%s: %s", port_params(port)->name, strerror(-n));
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

static void port_transmit(struct port *port)
{
	const struct multiport_params *params = port->ports->params;
	struct virtio_device *vdev = port->ports->vdev;
	unsigned int q = port_rx_queue(port) + 1, left = MULTIPORT_BATCH;
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

static void port_in_event(void *arg, uint32_t events)
{
	struct port *port = arg;

	(void)events;
	port_receive(port);
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
	port_transmit(port);
}

/* --- control messages from the driver --- */

static void multiport_port_message(struct port *port, uint16_t event, uint16_t value)
{
	switch (event) {
	case VIRTIO_CONSOLE_PORT_READY:
		port->ready = value;
		port->tell_console = value && port_params(port)->console;
		port->tell_size = port->tell_console && port->rows;
		port->tell_name = value;
		port->tell_open = value;
		break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		port->guest_open = value;
		port->closing = !value;
		/* What it wrote before this message is in the queue by now. */
		if (value)
			port_receive(port);
		else
			port_transmit(port);
		break;
	}
}

/* A virtio_handle_fn. Unknown ports and events are ignored. */
static uint32_t multiport_message(void *dev, struct virtq_chain *chain)
{
	struct multiport *ports = dev;
	struct virtio_console_control msg;
	uint32_t id;

	if (virtq_chain_read(chain, 0, &msg, sizeof(msg)) < sizeof(msg))
		return 0;
	id = le32toh(msg.id);
	if (le16toh(msg.event) == VIRTIO_CONSOLE_DEVICE_READY) {
		for (unsigned int i = 0; i < ports->params->nr; i++)
			ports->port[i].tell_added = msg.value != 0;
	} else if (id < ports->params->nr) {
		multiport_port_message(&ports->port[id], le16toh(msg.event), le16toh(msg.value));
	}
	return 0;
}

static void multiport_kick(void *dev, unsigned int q)
{
	struct multiport *ports = dev;
	struct port *port = &ports->port[q < 2 ? 0 : q / 2 - 1];

	if (q == MULTIPORT_CONTROL_TX)
		virtio_process_queue(ports->vdev, q, ports->message, multiport_message, ports);
	if (q == MULTIPORT_CONTROL_TX || q == MULTIPORT_CONTROL_RX)
		multiport_tell_all(ports);
	else if (q & 1)
		port_transmit(port);
	else
		port_receive(port);
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
	port_receive(port);
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

/* Whether it has another size than the driver was told. */
static bool port_look_at_size(struct port *port)
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

static void multiport_look_at_sizes(void *arg, uint32_t events)
{
	struct multiport *ports = arg;

	(void)events;
	for (unsigned int i = 0; i < ports->params->nr; i++)
		if (port_look_at_size(&ports->port[i]))
			ports->port[i].tell_size = true;
	multiport_tell_all(ports);
	loop_arm_timer(ports->size_timer, PORT_SIZE_NS);
}

static int port_start(struct port *port)
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

/* The first of the consoles that have one, or NULL. */
static const struct port_params *multiport_terminal(const struct multiport *ports)
{
	for (unsigned int i = 0; i < ports->params->nr; i++)
		if (ports->params->port[i].console && isatty(ports->params->port[i].in_fd))
			return &ports->params->port[i];
	return NULL;
}

static int multiport_start(void *dev, struct virtio_device *vdev)
{
	struct multiport *ports = dev;
	int ret = 0;

	ports->vdev = vdev;
	for (unsigned int i = 0; i < ports->params->nr && ret == 0; i++)
		ret = port_start(&ports->port[i]);
	if (ret == 0 && multiport_terminal(ports)) {
		ports->size_timer =
			loop_add_timer(virtio_loop(vdev), multiport_look_at_sizes, ports);
		if (!ports->size_timer)
			return -errno;
		for (unsigned int i = 0; i < ports->params->nr; i++)
			port_look_at_size(&ports->port[i]);
		loop_arm_timer(ports->size_timer, PORT_SIZE_NS);
	}
	return ret;
}

static void multiport_stop(void *dev)
{
	struct multiport *ports = dev;

	for (unsigned int i = 0; i < ports->params->nr; i++) {
		struct port *port = &ports->port[i];

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
	loop_remove(ports->size_timer);
	ports->size_timer = NULL;
}

static void multiport_queue_stop(void *dev, unsigned int q)
{
	struct multiport *ports = dev;

	if (q & 1 && q != MULTIPORT_CONTROL_TX)
		ports->port[q < 2 ? 0 : q / 2 - 1].tx_pending = false;
}

/* Linux takes RESIZE messages only from a device with F_SIZE, too. */
static uint64_t multiport_features(void *dev)
{
	uint64_t size = multiport_terminal(dev) ? 1ULL << VIRTIO_CONSOLE_F_SIZE : 0;

	return 1ULL << VIRTIO_CONSOLE_F_MULTIPORT | size;
}

static void multiport_config_read(void *dev, uint32_t off, void *buf, uint32_t len)
{
	struct multiport *ports = dev;
	const struct port_params *terminal = multiport_terminal(ports);
	struct virtio_console_config cfg = {.max_nr_ports = htole32(ports->params->nr)};
	struct winsize ws;

	if (terminal && !ioctl(terminal->in_fd, TIOCGWINSZ, &ws)) {
		cfg.cols = htole16(ws.ws_col);
		cfg.rows = htole16(ws.ws_row);
	}
	memcpy(buf, (const uint8_t *)&cfg + off, len);
}

static void multiport_destroy(void *dev)
{
	struct multiport *ports = dev;

	for (unsigned int i = 0; i < ports->params->nr; i++) {
		stream_close(&ports->port[i].in);
		stream_close(&ports->port[i].out);
		virtq_chain_destroy(ports->port[i].tx);
	}
	virtq_chain_destroy(ports->chain);
	virtq_chain_destroy(ports->message);
	free(ports);
}

static const struct virtio_model multiport_model = {
	.name = "virtio-serial",
	.id = VIRTIO_ID_CONSOLE,
	.in_order = true,
	.config_size = sizeof(struct virtio_console_config),
	.features = multiport_features,
	.config_read = multiport_config_read,
	.start = multiport_start,
	.stop = multiport_stop,
	.kick = multiport_kick,
	.queue_stop = multiport_queue_stop,
	.destroy = multiport_destroy,
};

static int multiport_open_port(struct multiport *ports, unsigned int nr)
{
	const struct port_params *params = &ports->params->port[nr];
	struct port *port = &ports->port[nr];
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

struct virtio_device *multiport_create(const struct memory *mem, const char *name,
				       const struct multiport_params *params)
{
	uint16_t queue_sizes[2 * MULTIPORT_MAX + 2];
	struct multiport *ports = calloc(1, sizeof(*ports));
	int ret = 0;

	if (!ports) {
		log_error("%s: out of memory", name);
		return NULL;
	}
	ports->params = params;
	ports->chain = virtq_chain_create();
	ports->message = virtq_chain_create();
	if (!ports->chain || !ports->message) {
		log_error("%s: out of memory", name);
		ret = -ENOMEM;
	}
	for (unsigned int i = 0; i < params->nr && ret == 0; i++)
		ret = multiport_open_port(ports, i);
	if (ret < 0) {
		multiport_destroy(ports);
		return NULL;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(queue_sizes); i++)
		queue_sizes[i] = MULTIPORT_QUEUE_SIZE;
	return virtio_device_create(&multiport_model, ports, name, mem, 2 * params->nr + 2,
				    queue_sizes);
}
