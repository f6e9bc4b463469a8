// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio file system device (virtio 1.2 §5.11): FUSE requests, which a back end (virtiofsd) serves.
 * Queue 0 is for what must not wait behind others. Its configuration is the tag, which is ours.
 */
#include <linux/virtio_fs.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/fs.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/vhost-user.h"
#include "kvm/virtio-models.h"
#include "kvm/virtio.h"

#define FS_QUEUE_SIZE VIRTQ_MAX_SIZE /* a request has a descriptor for each of its pages */

_Static_assert(sizeof(((struct virtio_fs_config *)0)->tag) == FS_MAX_TAG, "§5.11.4");

struct fs {
	struct vhost_user *vu; /* borrowed, as is the rest */
	const struct fs_params *params;
};

static uint64_t fs_features(void *dev)
{
	(void)dev;
	return 0;
}

static uint64_t fs_ring_features(void *dev)
{
	return vhost_user_ring_features(((struct fs *)dev)->vu);
}

static void fs_config_read(void *dev, uint32_t off, void *buf, uint32_t len)
{
	const char *tag = ((struct fs *)dev)->params->tag;
	struct virtio_fs_config cfg = {.num_request_queues = htole32(1)};

	memcpy(cfg.tag, tag, strlen(tag)); /* padded with zeroes, and not ended by one if full */
	memcpy(buf, (const uint8_t *)&cfg + off, len);
}

static int fs_start(void *dev, struct virtio_device *vdev)
{
	return vhost_user_start(((struct fs *)dev)->vu, vdev);
}

static void fs_stop(void *dev)
{
	vhost_user_stop(((struct fs *)dev)->vu);
}

static void fs_kick(void *dev, unsigned int q)
{
	vhost_user_kick(((struct fs *)dev)->vu, q);
}

static void fs_queue_stop(void *dev, unsigned int q)
{
	vhost_user_stop_queue(((struct fs *)dev)->vu, q);
}

static const struct virtio_model fs_model = {
	.name = "virtio-fs",
	.id = VIRTIO_ID_FS,
	.config_size = sizeof(struct virtio_fs_config),
	.features = fs_features,
	.ring_features = fs_ring_features,
	.config_read = fs_config_read,
	.start = fs_start,
	.stop = fs_stop,
	.kick = fs_kick,
	.queue_stop = fs_queue_stop,
	.destroy = free,
};

struct virtio_device *fs_create(const struct memory *mem, struct vhost_user *vu,
				const struct fs_params *params)
{
	static const uint16_t sizes[] = {FS_QUEUE_SIZE, FS_QUEUE_SIZE};
	struct fs *fs = calloc(1, sizeof(*fs));

	if (!fs) {
		log_error("%s: out of memory", params->name);
		return NULL;
	}
	fs->vu = vu;
	fs->params = params;
	return virtio_device_create(&fs_model, fs, params->name, mem, ARRAY_SIZE(sizes), sizes);
}
