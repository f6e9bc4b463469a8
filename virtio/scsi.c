// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio SCSI host (virtio 1.2 §5.6) served by the host's kernel: the units of one of its vhost-scsi
 * targets. All queues are the kernel's, or none.
 */
#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_scsi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm/log.h"
#include "kvm/scsi.h"
#include "kvm/util.h"
#include "kvm/vhost.h"
#include "kvm/virtio-models.h"
#include "kvm/virtio.h"

enum { SCSI_CONTROL, SCSI_EVENT, SCSI_REQUEST, SCSI_NR_QUEUES };

#define SCSI_QUEUE_SIZE	 128
#define SCSI_SEG_MAX	 (SCSI_QUEUE_SIZE - 2) /* a request's header and its answer are two more */
#define SCSI_MAX_SECTORS 0xffff
#define SCSI_MAX_TARGET	 255
#define SCSI_MAX_LUN	 16383

struct scsi {
	const struct scsi_params *params;
	struct vhost vhost;
	struct virtio_device *vdev;
};

/* Where the queues lead, once all of them run. */
static int scsi_run(struct scsi *scsi)
{
	int err;

	for (unsigned int q = 0; q < SCSI_NR_QUEUES; q++)
		if (!vhost_queue_running(&scsi->vhost, q))
			return 0;
	err = scsi_set_endpoint(scsi->vhost.fd, scsi->params);
	if (err)
		log_guest("%s: vhost-scsi: %s", scsi->vdev->name, strerror(-err));
	/* Requests that came before were for nobody. */
	for (unsigned int q = 0; q < SCSI_NR_QUEUES && !err; q++)
		virtio_device_kick(scsi->vdev, q);
	return err;
}

static int scsi_start(void *dev, struct virtio_device *vdev)
{
	struct scsi *scsi = dev;
	int err;

	scsi->vdev = vdev;
	err = vhost_start(&scsi->vhost, vdev, 0);
	if (err)
		return err;
	err = scsi_run(scsi);
	if (err)
		vhost_stop(&scsi->vhost);
	return err;
}

/* Returns when the requests in flight have ended, as the kernel waits for them. */
static void scsi_stop(void *dev)
{
	struct scsi *scsi = dev;

	scsi_clear_endpoint(scsi->vhost.fd, scsi->params);
	vhost_stop(&scsi->vhost);
}

/* A queue is there again: notifications of one that the kernel serves do not come here. */
static void scsi_kick(void *dev, unsigned int q)
{
	struct scsi *scsi = dev;

	if (vhost_queue_running(&scsi->vhost, q))
		return;
	if (vhost_start_queue(&scsi->vhost, q) || scsi_run(scsi))
		virtio_needs_reset(scsi->vdev, "the kernel does not take its queue");
}

static void scsi_queue_stop(void *dev, unsigned int q)
{
	struct scsi *scsi = dev;

	scsi_clear_endpoint(scsi->vhost.fd, scsi->params);
	vhost_stop_queue(&scsi->vhost, q);
}

static uint64_t scsi_features(void *dev)
{
	const struct scsi *scsi = dev;

	return scsi->vhost.features & 1ULL << VIRTIO_SCSI_F_HOTPLUG;
}

static uint64_t scsi_ring_features(void *dev)
{
	return vhost_ring_features(&((struct scsi *)dev)->vhost);
}

/* sense_size and cdb_size are the driver's to change, but the kernel knows these only. */
static void scsi_config_read(void *dev, uint32_t off, void *buf, uint32_t len)
{
	const struct virtio_scsi_config cfg = {
		.num_queues = htole32(1),
		.seg_max = htole32(SCSI_SEG_MAX),
		.max_sectors = htole32(SCSI_MAX_SECTORS),
		.cmd_per_lun = htole32(SCSI_QUEUE_SIZE),
		.event_info_size = htole32(sizeof(struct virtio_scsi_event)),
		.sense_size = htole32(VIRTIO_SCSI_SENSE_DEFAULT_SIZE),
		.cdb_size = htole32(VIRTIO_SCSI_CDB_DEFAULT_SIZE),
		.max_target = htole16(SCSI_MAX_TARGET),
		.max_lun = htole32(SCSI_MAX_LUN),
	};

	(void)dev;
	memcpy(buf, (const uint8_t *)&cfg + off, len);
}

static void scsi_destroy(void *dev)
{
	struct scsi *scsi = dev;

	vhost_fini(&scsi->vhost);
	free(scsi);
}

static const struct virtio_model scsi_model = {
	.name = "vhost-scsi",
	.id = VIRTIO_ID_SCSI,
	.config_size = sizeof(struct virtio_scsi_config),
	.features = scsi_features,
	.ring_features = scsi_ring_features,
	.config_read = scsi_config_read,
	.start = scsi_start,
	.stop = scsi_stop,
	.kick = scsi_kick,
	.queue_stop = scsi_queue_stop,
	.destroy = scsi_destroy,
};

struct virtio_device *scsi_create(const struct memory *mem, const struct scsi_params *params,
				  int fd)
{
	static const uint16_t sizes[SCSI_NR_QUEUES] = {SCSI_QUEUE_SIZE, SCSI_QUEUE_SIZE,
						       SCSI_QUEUE_SIZE};
	struct scsi *scsi = calloc(1, sizeof(*scsi));
	int err = scsi ? vhost_init(&scsi->vhost, fd, SCSI_CONTROL, SCSI_NR_QUEUES) : -ENOMEM;

	if (err) {
		log_error("%s: %s", params->word, strerror(-err));
		if (scsi)
			scsi_destroy(scsi);
		return NULL;
	}
	scsi->params = params;
	return virtio_device_create(&scsi_model, scsi, params->word, mem, SCSI_NR_QUEUES, sizes);
}
