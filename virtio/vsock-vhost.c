// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio socket device (virtio 1.2 §5.10) served by the host's kernel: its connections are the
 * host's AF_VSOCK sockets. Both queues with data are the kernel's, or none; the event queue, which is
 * only for migration, is nobody's.
 */
#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_vsock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/vhost.h"
#include "kvm/virtio-models.h"
#include "kvm/virtio.h"

enum { VSOCK_RX, VSOCK_TX, VSOCK_EVENT, VSOCK_NR_QUEUES };

#define VSOCK_QUEUE_SIZE 256

struct vsock_vhost {
	uint64_t cid;
	struct vhost vhost;
	struct virtio_device *vdev;
};

static int vsock_set_running(struct vsock_vhost *vs, int running)
{
	return ioctl(vs->vhost.fd, VHOST_VSOCK_SET_RUNNING, &running) ? -errno : 0;
}

/* Once both queues run. What the driver sent earlier than that is looked for by the kick. */
static int vsock_run(struct vsock_vhost *vs)
{
	int err;

	if (!vhost_queue_running(&vs->vhost, VSOCK_RX) ||
	    !vhost_queue_running(&vs->vhost, VSOCK_TX))
		return 0;
	err = vsock_set_running(vs, 1);
	if (err)
		log_guest("%s: vhost-vsock: %s", vs->vdev->name, strerror(-err));
	else
		virtio_device_kick(vs->vdev, VSOCK_TX);
	return err;
}

static int vsock_vhost_start(void *dev, struct virtio_device *vdev)
{
	struct vsock_vhost *vs = dev;
	int err;

	vs->vdev = vdev;
	err = vhost_start(&vs->vhost, vdev, 0);
	if (err)
		return err;
	err = vsock_run(vs);
	if (err)
		vhost_stop(&vs->vhost);
	return err;
}

static void vsock_vhost_stop(void *dev)
{
	struct vsock_vhost *vs = dev;

	vsock_set_running(vs, 0);
	vhost_stop(&vs->vhost);
}

/* A queue is there again: notifications of one that the kernel serves do not come here. */
static void vsock_vhost_kick(void *dev, unsigned int q)
{
	struct vsock_vhost *vs = dev;

	if (q == VSOCK_EVENT || vhost_queue_running(&vs->vhost, q))
		return;
	if (vhost_start_queue(&vs->vhost, q) || vsock_run(vs))
		virtio_needs_reset(vs->vdev, "the kernel does not take its queue");
}

static void vsock_vhost_queue_stop(void *dev, unsigned int q)
{
	struct vsock_vhost *vs = dev;

	vsock_set_running(vs, 0);
	vhost_stop_queue(&vs->vhost, q);
}

static uint64_t vsock_vhost_features(void *dev)
{
	const struct vsock_vhost *vs = dev;

	return vs->vhost.features & 1ULL << VIRTIO_VSOCK_F_SEQPACKET;
}

static uint64_t vsock_vhost_ring_features(void *dev)
{
	return vhost_ring_features(&((struct vsock_vhost *)dev)->vhost);
}

static void vsock_vhost_config_read(void *dev, uint32_t off, void *buf, uint32_t len)
{
	const struct vsock_vhost *vs = dev;
	const struct virtio_vsock_config cfg = {.guest_cid = htole64(vs->cid)};

	memcpy(buf, (const uint8_t *)&cfg + off, len);
}

static void vsock_vhost_destroy(void *dev)
{
	struct vsock_vhost *vs = dev;

	vhost_fini(&vs->vhost);
	free(vs);
}

static const struct virtio_model vsock_vhost_model = {
	.name = "vhost-vsock",
	.id = VIRTIO_ID_VSOCK,
	.config_size = sizeof(struct virtio_vsock_config),
	.features = vsock_vhost_features,
	.ring_features = vsock_vhost_ring_features,
	.config_read = vsock_vhost_config_read,
	.start = vsock_vhost_start,
	.stop = vsock_vhost_stop,
	.kick = vsock_vhost_kick,
	.queue_stop = vsock_vhost_queue_stop,
	.destroy = vsock_vhost_destroy,
};

struct virtio_device *vsock_vhost_create(const struct memory *mem, const char *name, uint32_t cid,
					 int fd)
{
	static const uint16_t sizes[VSOCK_NR_QUEUES] = {VSOCK_QUEUE_SIZE, VSOCK_QUEUE_SIZE,
							VSOCK_QUEUE_SIZE};
	struct vsock_vhost *vs = calloc(1, sizeof(*vs));
	int err = vs ? vhost_init(&vs->vhost, fd, VSOCK_RX, 2) : -ENOMEM;

	if (err) {
		log_error("%s: %s", name, strerror(-err));
		if (vs)
			vsock_vhost_destroy(vs);
		return NULL;
	}
	vs->cid = cid;
	return virtio_device_create(&vsock_vhost_model, vs, name, mem, VSOCK_NR_QUEUES, sizes);
}
