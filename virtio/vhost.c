// SPDX-License-Identifier: GPL-2.0-or-later
/* Queues served by the kernel: see vhost.h. */
#include "kvm/vhost.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/memory.h"
#include "kvm/util.h"
#include "kvm/virtio.h"

#define VHOST_BIT(n) (1ULL << (n))

static int vhost_ioctl(const struct vhost *vhost, unsigned long request, void *arg)
{
	return ioctl(vhost->fd, request, arg) < 0 ? -errno : 0;
}

int vhost_init(struct vhost *vhost, int fd, unsigned int first, unsigned int nr)
{
	int err;

	*vhost = (struct vhost){.fd = fd, .first = first, .nr = nr, .err_fd = -1};
	/* Busy: an earlier life of the machine has done it. */
	err = vhost_ioctl(vhost, VHOST_SET_OWNER, NULL);
	if (!err || err == -EBUSY)
		err = vhost_ioctl(vhost, VHOST_GET_FEATURES, &vhost->features);
	if (err)
		return err;
	vhost->err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return vhost->err_fd < 0 ? -errno : 0;
}

void vhost_fini(struct vhost *vhost)
{
	/* A zeroed one was never initialised: descriptor 0 is not ours. */
	if (vhost->nr && vhost->err_fd >= 0)
		close(vhost->err_fd);
	vhost->err_fd = -1;
}

uint64_t vhost_ring_features(const struct vhost *vhost)
{
	/* These are not of the kernel's: what it is told of a queue is all that it has to know. */
	const uint64_t ours = VHOST_BIT(VIRTIO_F_VERSION_1) | VHOST_BIT(VIRTIO_F_RING_RESET);

	return vhost->features | ours;
}

/* --- memory --- */

static int vhost_set_memory(struct vhost *vhost, const struct memory *mem)
{
	struct vhost_memory *table;
	int err;

	table = calloc(1, sizeof(*table) + mem->nr_banks * sizeof(table->regions[0]));
	if (!table)
		return -ENOMEM;
	table->nregions = mem->nr_banks;
	for (unsigned int i = 0; i < mem->nr_banks; i++)
		table->regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = mem->bank[i].gpa,
			.memory_size = mem->bank[i].size,
			.userspace_addr = (uintptr_t)mem->bank[i].hva,
		};
	err = vhost_ioctl(vhost, VHOST_SET_MEM_TABLE, table);
	free(table);
	return err;
}

/* --- queues --- */

static int vhost_set_ring_fd(struct vhost *vhost, unsigned int ring, unsigned long request, int fd)
{
	struct vhost_vring_file file = {.index = ring, .fd = fd};

	return vhost_ioctl(vhost, request, &file);
}

static int vhost_set_ring(struct vhost *vhost, unsigned int ring, const struct virtio_loan *loan)
{
	struct vhost_vring_state size = {.index = ring, .num = loan->ring.size};
	struct vhost_vring_state base = {.index = ring, .num = loan->base};
	struct vhost_vring_addr addr = {
		.index = ring,
		.desc_user_addr = (uintptr_t)loan->ring.desc,
		.avail_user_addr = (uintptr_t)loan->ring.driver,
		.used_user_addr = (uintptr_t)loan->ring.device,
	};
	int err;

	err = vhost_ioctl(vhost, VHOST_SET_VRING_NUM, &size);
	if (!err)
		err = vhost_ioctl(vhost, VHOST_SET_VRING_BASE, &base);
	if (!err)
		err = vhost_ioctl(vhost, VHOST_SET_VRING_ADDR, &addr);
	if (!err)
		err = vhost_set_ring_fd(vhost, ring, VHOST_SET_VRING_ERR, vhost->err_fd);
	if (!err)
		err = vhost_set_ring_fd(vhost, ring, VHOST_SET_VRING_CALL, loan->call_fd);
	if (!err)
		err = vhost_set_ring_fd(vhost, ring, VHOST_SET_VRING_KICK, loan->kick_fd);
	return err;
}

/* The kernel lets go of the eventfds; from here on it does nothing to the ring. */
static uint16_t vhost_clear_ring(struct vhost *vhost, unsigned int ring)
{
	struct vhost_vring_state base = {.index = ring};

	vhost_set_ring_fd(vhost, ring, VHOST_SET_VRING_KICK, -1);
	vhost_ioctl(vhost, VHOST_GET_VRING_BASE, &base);
	vhost_set_ring_fd(vhost, ring, VHOST_SET_VRING_CALL, -1);
	vhost_set_ring_fd(vhost, ring, VHOST_SET_VRING_ERR, -1);
	return base.num;
}

int vhost_start_queue(struct vhost *vhost, unsigned int q)
{
	unsigned int ring = q - vhost->first;
	struct virtio_loan loan;
	int err;

	if (!vhost->vdev || !vhost_has_queue(vhost, q) || vhost_queue_running(vhost, q))
		return 0;
	err = virtio_queue_lend(vhost->vdev, q, &loan);
	if (err)
		return err;
	err = vhost_set_ring(vhost, ring, &loan);
	if (err) {
		log_guest("%s: vhost, queue %u: %s", vhost->vdev->name, q, strerror(-err));
		vhost_clear_ring(vhost, ring);
		virtio_queue_return(vhost->vdev, q, loan.base);
		return err;
	}
	vhost->running |= VHOST_BIT(ring);
	return 0;
}

void vhost_stop_queue(struct vhost *vhost, unsigned int q)
{
	unsigned int ring = q - vhost->first;

	if (!vhost_queue_running(vhost, q))
		return;
	virtio_queue_return(vhost->vdev, q, vhost_clear_ring(vhost, ring));
	vhost->running &= ~VHOST_BIT(ring);
}

/* --- the device --- */

static void vhost_failed(void *arg, uint32_t events)
{
	struct vhost *vhost = arg;
	uint64_t count;

	(void)events;
	if (read(vhost->err_fd, &count, sizeof(count)) == sizeof(count))
		virtio_needs_reset(vhost->vdev, "the kernel's vhost found a queue broken");
}

static int vhost_set_up(struct vhost *vhost, uint64_t features)
{
	int err;

	err = vhost_ioctl(vhost, VHOST_SET_FEATURES, &features);
	if (!err)
		err = vhost_set_memory(vhost, vhost->vdev->mem);
	for (unsigned int q = vhost->first; q < vhost->first + vhost->nr && !err; q++)
		if (virtio_queue(vhost->vdev, q))
			err = vhost_start_queue(vhost, q);
	return err;
}

/* Bits that mean something else to vhost: VHOST_F_LOG_ALL, and what is VIRTIO_F_ANY_LAYOUT here. */
#define VHOST_OWN_FEATURES (VHOST_BIT(VHOST_F_LOG_ALL) | VHOST_BIT(VHOST_NET_F_VIRTIO_NET_HDR))

int vhost_start(struct vhost *vhost, struct virtio_device *vdev, uint64_t extra)
{
	uint64_t features = (vdev->acked & ~VHOST_OWN_FEATURES) | extra;
	int err;

	vhost->vdev = vdev;
	vhost->err_source =
		loop_add(virtio_loop(vdev), vhost->err_fd, EPOLLIN, vhost_failed, vhost);
	err = vhost->err_source ? vhost_set_up(vhost, features & vhost->features)
				: -errno;
	if (err) {
		log_guest("%s: vhost: %s", vdev->name, strerror(-err));
		vhost_stop(vhost);
	}
	return err;
}

void vhost_stop(struct vhost *vhost)
{
	uint64_t count;

	for (unsigned int i = 0; i < vhost->nr; i++)
		vhost_stop_queue(vhost, vhost->first + i);
	loop_remove(vhost->err_source);
	vhost->err_source = NULL;
	(void)!read(vhost->err_fd, &count, sizeof(count));
	vhost->vdev = NULL;
}
