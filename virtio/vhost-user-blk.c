// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio block device (virtio 1.2 §5.2) whose requests a back end serves: all of it but the number
 * of queues, capacity included, is as the back end says.
 */
#include <linux/virtio_blk.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/disk.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/vhost-user.h"
#include "kvm/virtio-models.h"
#include "kvm/virtio.h"

#define VHOST_USER_BLK_QUEUE_SIZE 256
#define VHOST_USER_BLK_BIT(n)	  (1ULL << (n))

/* What is in the configuration that is asked for. The cache mode is not for the guest to change. */
#define VHOST_USER_BLK_FEATURES                                                                 \
	(VHOST_USER_BLK_BIT(VIRTIO_BLK_F_SIZE_MAX) | VHOST_USER_BLK_BIT(VIRTIO_BLK_F_SEG_MAX) | \
	 VHOST_USER_BLK_BIT(VIRTIO_BLK_F_GEOMETRY) | VHOST_USER_BLK_BIT(VIRTIO_BLK_F_RO) |      \
	 VHOST_USER_BLK_BIT(VIRTIO_BLK_F_BLK_SIZE) | VHOST_USER_BLK_BIT(VIRTIO_BLK_F_FLUSH) |   \
	 VHOST_USER_BLK_BIT(VIRTIO_BLK_F_TOPOLOGY) | VHOST_USER_BLK_BIT(VIRTIO_BLK_F_DISCARD) | \
	 VHOST_USER_BLK_BIT(VIRTIO_BLK_F_WRITE_ZEROES))

struct vhost_user_blk {
	struct vhost_user *vu; /* borrowed */
	unsigned int nr_queues;
};

static uint64_t vhost_user_blk_features(void *dev)
{
	struct vhost_user_blk *blk = dev;
	uint64_t features = vhost_user_features(blk->vu) & VHOST_USER_BLK_FEATURES;

	return features | (blk->nr_queues > 1 ? VHOST_USER_BLK_BIT(VIRTIO_BLK_F_MQ) : 0);
}

static uint64_t vhost_user_blk_ring_features(void *dev)
{
	return vhost_user_ring_features(((struct vhost_user_blk *)dev)->vu);
}

static void vhost_user_blk_config_read(void *dev, uint32_t off, void *buf, uint32_t len)
{
	struct vhost_user_blk *blk = dev;
	struct virtio_blk_config cfg;

	vhost_user_config(blk->vu, 0, &cfg, VHOST_USER_BLK_CONFIG_SIZE);
	cfg.num_queues = htole16(blk->nr_queues);
	memcpy(buf, (const uint8_t *)&cfg + off, len);
}

static int vhost_user_blk_start(void *dev, struct virtio_device *vdev)
{
	return vhost_user_start(((struct vhost_user_blk *)dev)->vu, vdev);
}

static void vhost_user_blk_stop(void *dev)
{
	vhost_user_stop(((struct vhost_user_blk *)dev)->vu);
}

static void vhost_user_blk_kick(void *dev, unsigned int q)
{
	vhost_user_kick(((struct vhost_user_blk *)dev)->vu, q);
}

static void vhost_user_blk_queue_stop(void *dev, unsigned int q)
{
	vhost_user_stop_queue(((struct vhost_user_blk *)dev)->vu, q);
}

static const struct virtio_model vhost_user_blk_model = {
	.name = "vhost-user-blk",
	.id = VIRTIO_ID_BLOCK,
	.config_size = VHOST_USER_BLK_CONFIG_SIZE,
	.features = vhost_user_blk_features,
	.ring_features = vhost_user_blk_ring_features,
	.config_read = vhost_user_blk_config_read,
	.start = vhost_user_blk_start,
	.stop = vhost_user_blk_stop,
	.kick = vhost_user_blk_kick,
	.queue_stop = vhost_user_blk_queue_stop,
	.destroy = free,
};

/* 0 after one error line: it has fewer queues than asked for. */
static unsigned int vhost_user_blk_choose_queues(struct vhost_user *vu, const char *name,
						 unsigned int wanted)
{
	struct virtio_blk_config cfg;
	unsigned int has = 1;

	if (vhost_user_features(vu) & VHOST_USER_BLK_BIT(VIRTIO_BLK_F_MQ)) {
		vhost_user_config(vu, 0, &cfg, VHOST_USER_BLK_CONFIG_SIZE);
		has = MIN(le16toh(cfg.num_queues), vhost_user_max_queues(vu));
		has = MAX(has, 1);
	}
	if (wanted <= has)
		return wanted ?: MIN(has, DISK_MAX_QUEUES);
	log_error("--disk vhost-user=%s: queues=%u, but its back end has %u", name, wanted, has);
	return 0;
}

struct virtio_device *vhost_user_blk_create(const struct memory *mem, struct vhost_user *vu,
					    const struct disk_params *params)
{
	uint16_t queue_sizes[DISK_MAX_QUEUES];
	struct vhost_user_blk *blk;
	unsigned int nr_queues = vhost_user_blk_choose_queues(vu, params->path, params->nr_queues);

	if (!nr_queues)
		return NULL;
	blk = calloc(1, sizeof(*blk));
	if (!blk) {
		log_error("--disk vhost-user=%s: out of memory", params->path);
		return NULL;
	}
	blk->vu = vu;
	blk->nr_queues = nr_queues;
	for (unsigned int q = 0; q < nr_queues; q++)
		queue_sizes[q] = VHOST_USER_BLK_QUEUE_SIZE;
	return virtio_device_create(&vhost_user_blk_model, blk, params->path, mem, nr_queues,
				    queue_sizes);
}
