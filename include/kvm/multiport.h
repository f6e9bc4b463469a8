/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_MULTIPORT_H
#define LKVM_MULTIPORT_H

#include <stdbool.h>

struct memory;
struct virtio_device;

/*
 * A virtio-serial device: a console with several ports (virtio 1.2 §5.3, F_MULTIPORT), each a byte
 * stream in either direction between a file of the host's and /dev/vportNpM in the guest.
 *
 * Nothing is lost and nothing is held: bytes go straight between files and the guest's buffers, and
 * whoever is slow makes the other side wait. The guest sees the end of in_fd, and of out_fd's
 * reader, as its port being closed.
 */
#define MULTIPORT_MAX 16

enum port_kind {
	PORT_FILES,    /* in_fd is read, out_fd is written */
	PORT_LISTENER, /* in_fd is a listening socket: one client at a time is the port's other end */
	PORT_PTY,      /* in_fd is a pty's master, non-blocking: whoever has opened the slave is */
};

struct port_params {
	const char *name;
	int in_fd, out_fd; /* -1: none. The caller keeps them, as long as the device lives */
	enum port_kind kind;
	/*
	 * Also a console of the guest's (/dev/hvcN), which has the size of the terminal on in_fd. What it
	 * prints while there is nobody at the other end is dropped.
	 */
	bool console;
};

struct multiport_params {
	unsigned int nr;
	struct port_params port[MULTIPORT_MAX];
	/*
	 * The guest closed the port, and all that it wrote is delivered. On the device's worker. May be
	 * NULL.
	 */
	void (*closed)(void *arg, unsigned int port);
	/*
	 * What the guest wrote could not be delivered, by an error of out_fd's that has been printed;
	 * that nobody reads any more is none. Likewise.
	 */
	void (*lost)(void *arg, unsigned int port);
	void *arg;
};

/* NULL after one error line. params must live as long as the device. */
struct virtio_device *multiport_create(const struct memory *mem, const char *name,
				       const struct multiport_params *params);

#endif
