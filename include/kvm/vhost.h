/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_VHOST_H
#define LKVM_VHOST_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Queues that the kernel serves: /dev/vhost-net, /dev/vhost-vsock, /dev/vhost-scsi (linux/vhost.h).
 * This is what they have in common; a model adds its own ioctls on the same descriptor, which say
 * where the queues lead: after vhost_start() or vhost_start_queue(), and the other way round before
 * vhost_stop() or vhost_stop_queue(). A notification that comes before the kernel knows where to is
 * lost: models whose driver may have been that early say virtio_device_kick() afterwards.
 *
 * The kernel reads and writes guest memory, by a table of the RAM's banks: device memory is not in
 * it. It learns of the memory, the features and the queues anew with each vhost_start(), so a device
 * reset or a reboot of the guest needs nothing of its own. Notifications and interrupts do not pass
 * through our threads (virtio_queue_lend()).
 *
 * All but init and fini: on the device's worker, from the model's callbacks.
 */
struct virtio_device;
struct loop_source;

#define VHOST_MAX_QUEUES 64

struct vhost {
	int fd;			/* borrowed */
	unsigned int first, nr; /* the kernel's ring i is the device's queue first + i */
	uint64_t features;	/* that the kernel knows, of the rings and of the device */

	struct virtio_device *vdev; /* NULL while stopped */
	int err_fd;
	struct loop_source *err_source;
	uint64_t running; /* one bit a queue */
};

/*
 * fd: of open_device(). It may have served an earlier device of this process. 0 or a negative errno.
 */
int vhost_init(struct vhost *vhost, int fd, unsigned int first, unsigned int nr);
void vhost_fini(struct vhost *vhost); /* it is stopped; fine on a zeroed one */

/* For virtio_model.ring_features; the model has queue_stop. */
uint64_t vhost_ring_features(const struct vhost *vhost);

/*
 * The driver's features (those of them that the kernel knows, and `extra` ones that the driver knows
 * nothing of) and memory; then all of the queues that run are set up. 0, or a negative errno and
 * nothing has changed. When the kernel finds a queue broken later, the device goes to
 * DEVICE_NEEDS_RESET, which ends in the model's stop.
 */
int vhost_start(struct vhost *vhost, struct virtio_device *vdev, uint64_t extra);
void vhost_stop(struct vhost *vhost);

/*
 * A single queue of the device, for the model's kick (it runs again after a queue reset) and its
 * queue_stop. Nothing happens when it runs already, or does not. 0 or a negative errno.
 */
int vhost_start_queue(struct vhost *vhost, unsigned int q);
void vhost_stop_queue(struct vhost *vhost, unsigned int q);

static inline bool vhost_has_queue(const struct vhost *vhost, unsigned int q)
{
	return q >= vhost->first && q - vhost->first < vhost->nr;
}

/* Whether the kernel serves queue q now. */
static inline bool vhost_queue_running(const struct vhost *vhost, unsigned int q)
{
	return vhost_has_queue(vhost, q) && vhost->running >> (q - vhost->first) & 1;
}

#endif
