/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_VIRTIO_MULTIPORT_INTERNAL_H
#define LKVM_VIRTIO_MULTIPORT_INTERNAL_H

/* What multiport.c (the device) and multiport-port.c (its ports) share; all on the device's worker. */
#include "kvm/multiport.h"
#include "kvm/stream.h"
#include "kvm/virtio.h"

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

static inline const struct port_params *port_params(const struct port *port)
{
	return &port->ports->params->port[port->nr];
}

/* --- multiport.c --- */

/* Sends the control messages that are due, as far as there are buffers. */
void multiport_tell_all(struct multiport *ports);

/* --- multiport-port.c --- */

/* What is there whether a driver is or not. 0, or a negative errno after an error line. */
int multiport_port_open(struct port *port, struct multiport *ports, unsigned int nr);
void multiport_port_close(struct port *port); /* fine when it was never opened */
/* While a driver is there; the second is fine whatever the first said. */
int multiport_port_start(struct port *port);
void multiport_port_stop(struct port *port);
/* Moves what there is; an event or a kick goes on with the rest. */
void multiport_port_receive(struct port *port);
void multiport_port_transmit(struct port *port);
/* Whether it has another size than the driver was told. */
bool multiport_port_look_at_size(struct port *port);

#endif
