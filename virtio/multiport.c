// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio console device with several ports (virtio 1.2 §5.3). Queues: 0 and 1 are port 0's input
 * and output, 2 and 3 carry control messages to and from the driver, then come two for each
 * further port (§5.3.2).
 *
 * All of it happens on the device's worker: it waits for the queues and for the files.
 */
#include <errno.h>
#include <linux/virtio_console.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/util.h"
#include "multiport-internal.h"

#define MULTIPORT_CONTROL_RX 2
#define MULTIPORT_CONTROL_TX 3
#define MULTIPORT_QUEUE_SIZE 128
#define PORT_SIZE_NS	     UINT64_C(500000000) /* how often we look at terminals that are not ours */

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
	 * §5.3.6.2. Linux had the rows first for years; its maintained series agree by now. Nothing
	 * tells a device which of both a driver does.
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

void multiport_tell_all(struct multiport *ports)
{
	struct virtq *vq = virtio_queue(ports->vdev, MULTIPORT_CONTROL_RX);

	for (unsigned int i = 0; vq && i < ports->params->nr; i++)
		if (!multiport_tell_port(ports, vq, &ports->port[i]))
			break;
	virtio_signal_queue(ports->vdev, MULTIPORT_CONTROL_RX);
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
			multiport_port_receive(port);
		else
			multiport_port_transmit(port);
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
		multiport_port_transmit(port);
	else
		multiport_port_receive(port);
}

static void multiport_look_at_sizes(void *arg, uint32_t events)
{
	struct multiport *ports = arg;

	(void)events;
	for (unsigned int i = 0; i < ports->params->nr; i++)
		if (multiport_port_look_at_size(&ports->port[i]))
			ports->port[i].tell_size = true;
	multiport_tell_all(ports);
	loop_arm_timer(ports->size_timer, PORT_SIZE_NS);
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
		ret = multiport_port_start(&ports->port[i]);
	if (ret == 0 && multiport_terminal(ports)) {
		ports->size_timer =
			loop_add_timer(virtio_loop(vdev), multiport_look_at_sizes, ports);
		if (!ports->size_timer)
			return -errno;
		for (unsigned int i = 0; i < ports->params->nr; i++)
			multiport_port_look_at_size(&ports->port[i]);
		loop_arm_timer(ports->size_timer, PORT_SIZE_NS);
	}
	return ret;
}

static void multiport_stop(void *dev)
{
	struct multiport *ports = dev;

	for (unsigned int i = 0; i < ports->params->nr; i++)
		multiport_port_stop(&ports->port[i]);
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

	for (unsigned int i = 0; i < ports->params->nr; i++)
		multiport_port_close(&ports->port[i]);
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
		ret = multiport_port_open(&ports->port[i], ports, i);
	if (ret < 0) {
		multiport_destroy(ports);
		return NULL;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(queue_sizes); i++)
		queue_sizes[i] = MULTIPORT_QUEUE_SIZE;
	return virtio_device_create(&multiport_model, ports, name, mem, 2 * params->nr + 2,
				    queue_sizes);
}
