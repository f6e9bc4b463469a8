/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_VHOST_USER_H
#define LKVM_VHOST_USER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Queues that another process serves: the front end of the vhost-user protocol (QEMU's
 * docs/interop/vhost-user.rst). Guest memory, notifications and interrupts are shared with that
 * process, the back end, as file descriptors; a unix socket says how they belong together.
 *
 * The back end is not trusted: what it says is judged like what a guest says, and each wait for it
 * has a limit. When it dies or talks nonsense, the device goes to DEVICE_NEEDS_RESET; when the
 * driver then resets the device, or the guest reboots, the back end is looked for anew.
 *
 * A connection is the host's side of a device: it outlives the machine. open, close and the
 * questions: main loop; what takes a virtio_device, and all after it: the device's worker.
 */
struct virtio_device;
struct vhost_user;

#define VHOST_USER_MAX_CONFIG 256 /* bytes, by the protocol */

struct vhost_user_backend {
	const char *name;     /* what the user typed, for messages */
	uint32_t config_size; /* bytes of device configuration that the back end has; 0: none */
	uint64_t limit_ns;    /* how long an answer may take; 0: VHOST_USER_LIMIT_NS */
	/*
	 * A new connection, non-blocking: a socket, or a negative errno after one error line. The
	 * main loop calls it, or the worker while the device is reset.
	 */
	int (*connect)(void *arg);
	void *arg;
};

#define VHOST_USER_LIMIT_NS UINT64_C(20000000000)

/* Connects and asks what the back end can do. NULL after one error line. `be` is copied. */
struct vhost_user *vhost_user_open(const struct vhost_user_backend *be);
void vhost_user_close(struct vhost_user *vu); /* it is stopped; NULL is fine */

/* For back ends that listen at a path; as vhost_user_backend.connect, `name` and limit as there. */
int vhost_user_connect(const char *name, const char *path, uint64_t limit_ns);

/* --- questions; the answers stay the same for the connection's life --- */

uint64_t vhost_user_features(const struct vhost_user *vu);
/* For virtio_model.ring_features. */
uint64_t vhost_user_ring_features(const struct vhost_user *vu);
unsigned int vhost_user_max_queues(const struct vhost_user *vu);
/* The configuration as last told by the back end; off + len within config_size. Any thread. */
void vhost_user_config(struct vhost_user *vu, uint32_t off, void *buf, uint32_t len);

/* --- for a model's start, stop, kick and queue_stop --- */

/*
 * Shows the back end the guest's memory and hands over all queues that run. When the configuration
 * changes later the driver is told. 0, or a negative errno after one line.
 */
int vhost_user_start(struct vhost_user *vu, struct virtio_device *vdev);
/* Takes the queues back: from here on the back end does nothing to the guest. */
void vhost_user_stop(struct vhost_user *vu);
/* A queue that was stopped runs again; nothing happens when it does already. */
void vhost_user_kick(struct vhost_user *vu, unsigned int q);
void vhost_user_stop_queue(struct vhost_user *vu, unsigned int q);

#endif
