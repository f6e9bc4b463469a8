/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_VIRTIO_MODELS_H
#define LKVM_VIRTIO_MODELS_H

#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One constructor per device model: each makes the model's state and its virtio device around a
 * back end, which it borrows until virtio_device_destroy(). NULL after one error line. `name` is
 * what messages call the device and must live as long as it.
 */
struct memory;
struct virtio_device;
struct disk;
struct disk_params;
struct net_backend;
struct p9_params;
struct chardev;
struct seat;
struct scsi_params;
struct vsock_uds;
struct vhost_user;
struct fs_params;

struct virtio_device *blk_create(const struct memory *mem, const char *name, struct disk *disk,
				 const struct disk_params *params); /* borrowed, too */
/* Gives the disk, and its image, a new size in bytes. Any thread but the worker. Prints nothing. */
int blk_resize(struct virtio_device *vdev, uint64_t size);
/* The same, served by a back end, of whose configuration vhost_user_open() is to ask this much. */
#define VHOST_USER_BLK_CONFIG_SIZE offsetof(struct virtio_blk_config, max_secure_erase_sectors)
struct virtio_device *vhost_user_blk_create(const struct memory *mem, struct vhost_user *vu,
					    const struct disk_params *params);
struct virtio_device *fs_create(const struct memory *mem, struct vhost_user *vu,
				const struct fs_params *params);
struct virtio_device *net_create(const struct memory *mem, const char *name,
				 struct net_backend *be, const unsigned char mac[6]);
/* The cable is pulled, or plugged in again; it is in at first. Main loop only. */
void net_set_link(struct virtio_device *vdev, bool up);
struct virtio_device *console_create(const struct memory *mem, const char *name,
				     struct chardev *chr);
/* A socket device; the host's end of its connections is `uds` (kvm/vsock.h). */
struct virtio_device *vsock_create(const struct memory *mem, const char *name, uint32_t cid,
				   const struct vsock_uds *uds);
/* The same by the kernel: fd is vsock_vhost_open()'s. */
struct virtio_device *vsock_vhost_create(const struct memory *mem, const char *name, uint32_t cid,
					 int fd);
/* A SCSI host whose disks are a target of the kernel's: fd is scsi_open()'s. params is borrowed. */
struct virtio_device *scsi_create(const struct memory *mem, const struct scsi_params *params,
				  int fd);
struct virtio_device *rng_create(const struct memory *mem, const char *name);
/* Opens the folder itself; params must live as long as the device. */
struct virtio_device *p9_create(const struct memory *mem, const struct p9_params *params);

enum input_kind_id { INPUT_KEYBOARD, INPUT_MOUSE, INPUT_TABLET };
/* Takes its events from the seat while a driver is up. */
struct virtio_device *input_create(const struct memory *mem, enum input_kind_id kind,
				   struct seat *seat);

/* --- the balloon; sizes are in bytes. All but create: any thread but the worker. --- */

/* target: what balloon_set_target() would say. */
struct virtio_device *balloon_create(const struct memory *mem, const char *name, uint64_t target);
/* Asks the driver, now or when there will be one, to have that much memory in the balloon. */
void balloon_set_target(struct virtio_device *vdev, uint64_t bytes);

#define BALLOON_NR_STATS 10 /* VIRTIO_BALLOON_S_* */

struct balloon_stats {
	uint64_t target, actual; /* what was asked for, and what the driver says is in it */
	uint64_t when_ns;	 /* now_ns() at which the driver told the rest; 0: never */
	bool known[BALLOON_NR_STATS];
	uint64_t value[BALLOON_NR_STATS];
};

/* What is known by now. */
struct balloon_stats balloon_get_stats(struct virtio_device *vdev);
/*
 * Asks the driver for new statistics, without waiting: when they are there notify_fd, an eventfd
 * which must outlive the device, is written. A driver may never answer. -ENOTCONN: there is none
 * that could. Main loop only.
 */
int balloon_request_stats(struct virtio_device *vdev, int notify_fd);

#endif
