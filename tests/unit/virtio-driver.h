/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_TESTS_VIRTIO_DRIVER_H
#define LKVM_TESTS_VIRTIO_DRIVER_H

/* A driver for whole virtio devices, in process, by way of a transport that only counts. */
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <time.h>

#include "kvm/virtio.h"
#include "virtq-driver.h"

#define DRV_BIT(n) (1ull << (n))
#define DRV_STATUS_FEATURES \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define DRV_STATUS_RUNNING (DRV_STATUS_FEATURES | VIRTIO_CONFIG_S_DRIVER_OK)

struct drv_transport {
	atomic_uint queue_irqs[VIRTIO_MAX_QUEUES], config_irqs;
};

static inline void drv_raise_queue(void *transport, unsigned int q)
{
	((struct drv_transport *)transport)->queue_irqs[q]++;
}

static inline void drv_raise_config(void *transport)
{
	((struct drv_transport *)transport)->config_irqs++;
}

static const struct virtio_transport drv_transport_ops = {
	.raise_queue = drv_raise_queue,
	.raise_config = drv_raise_config,
};

static inline void drv_ack(struct virtio_device *vdev, uint64_t features)
{
	virtio_device_ack_features(vdev, 0, features);
	virtio_device_ack_features(vdev, 1, features >> 32);
}

/* Up to FEATURES_OK; whether it stuck. */
static inline bool drv_negotiate(struct virtio_device *vdev, uint64_t features)
{
	virtio_device_set_status(vdev, 0);
	virtio_device_set_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_device_set_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	drv_ack(vdev, features);
	virtio_device_set_status(vdev, DRV_STATUS_FEATURES);
	return virtio_device_status(vdev) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static inline void drv_set_areas(struct virtio_device *vdev, unsigned int nr,
				 const struct virtq_config *cfg)
{
	const uint64_t area[] = {cfg->desc, cfg->driver, cfg->device};

	virtio_device_set_queue_size(vdev, nr, cfg->size);
	for (unsigned int i = 0; i < 3; i++) {
		virtio_device_set_queue_area(vdev, nr, i, false, area[i]);
		virtio_device_set_queue_area(vdev, nr, i, true, area[i] >> 32);
	}
}

/* Lays out queue nr as negotiated and enables it. */
static inline void drv_setup_queue(struct drv_queue *q, struct virtio_device *vdev,
				   struct drv_ram *ram, unsigned int nr, uint16_t size)
{
	uint64_t features = virtio_device_acked(vdev);
	struct virtq_config cfg = {
		.size = size,
		.packed = features & DRV_BIT(VIRTIO_F_RING_PACKED),
		.event_idx = features & DRV_BIT(VIRTIO_RING_F_EVENT_IDX),
		.indirect = features & DRV_BIT(VIRTIO_RING_F_INDIRECT_DESC),
	};

	drv_queue_init(q, ram, nr, &cfg);
	q->in_order = features & DRV_BIT(VIRTIO_F_IN_ORDER);
	drv_set_areas(vdev, nr, &q->cfg);
	virtio_device_enable_queue(vdev, nr);
}

static inline void drv_pause(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

/* Waits for `cond`, at most ten seconds. */
#define DRV_WAIT(cond)                               \
	({                                           \
		unsigned int tries_ = 0;             \
		while (!(cond) && tries_++ < 100000) \
			drv_pause();                 \
		tries_ <= 100000;                    \
	})

static inline bool drv_wait_used(struct drv_queue *q, int *id, uint32_t *len)
{
	return DRV_WAIT(drv_get_used(q, id, len));
}

#endif
