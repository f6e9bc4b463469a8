// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio over MMIO (virtio 1.2 §4.2): one register window a device and one interrupt line, which is
 * up until the driver has acknowledged every reason for it. Version 1 (§4.2.4) differs in how a
 * queue is described, and in that its driver is a legacy one.
 */
#include "kvm/virtio-mmio.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_mmio.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/bus.h"
#include "kvm/ioeventfd.h"
#include "kvm/irq.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/virtio.h"

#define VIRTIO_MMIO_MAGIC	 0x74726976 /* "virt" */
#define VIRTIO_MMIO_VENDOR	 0x4d564b4c /* "LKVM" */
#define VIRTIO_MMIO_LEGACY_ALIGN 4096
#define VIRTIO_MMIO_QUEUE_RESET	 0x0c0	    /* virtio 1.2; not in the kernel's header */
#define VIRTIO_MMIO_SHM_ABSENT	 UINT32_MAX /* §4.2.2: length and base of no such region */

struct virtio_mmio {
	struct virtio_device *vdev;
	struct bus *bus;
	struct io_region *region;
	int vm_fd;
	uint64_t base;
	unsigned int nr_ioeventfds;
	bool legacy;

	/* A driver that races with itself gets what it asked for. */
	atomic_uint device_feature_select, driver_feature_select, queue_select;
	/* Version 1. The page size is told once, before the first reset, and outlives it. */
	atomic_uint page_size, queue_align;

	pthread_mutex_t isr_lock; /* protects isr and the line's agreement with it */
	uint32_t isr;
	struct irq_line line;
};

/* --- interrupts --- */

static void virtio_mmio_raise(struct virtio_mmio *mio, uint32_t why)
{
	pthread_mutex_lock(&mio->isr_lock);
	mio->isr |= why;
	irq_line_set(&mio->line, true);
	pthread_mutex_unlock(&mio->isr_lock);
}

static void virtio_mmio_raise_queue(void *transport, unsigned int q)
{
	(void)q;
	virtio_mmio_raise(transport, VIRTIO_MMIO_INT_VRING);
}

static void virtio_mmio_raise_config(void *transport)
{
	virtio_mmio_raise(transport, VIRTIO_MMIO_INT_CONFIG);
}

static const struct virtio_transport virtio_mmio_transport = {
	.raise_queue = virtio_mmio_raise_queue,
	.raise_config = virtio_mmio_raise_config,
};

static uint32_t virtio_mmio_isr(struct virtio_mmio *mio)
{
	uint32_t isr;

	pthread_mutex_lock(&mio->isr_lock);
	isr = mio->isr;
	pthread_mutex_unlock(&mio->isr_lock);
	return isr;
}

static void virtio_mmio_ack(struct virtio_mmio *mio, uint32_t what)
{
	pthread_mutex_lock(&mio->isr_lock);
	mio->isr &= ~what;
	irq_line_set(&mio->line, mio->isr);
	pthread_mutex_unlock(&mio->isr_lock);
}

/* --- registers (§4.2.2): 32 bits wide and aligned, but for the device's configuration --- */

static void virtio_mmio_reset_regs(struct virtio_mmio *mio)
{
	mio->device_feature_select = mio->driver_feature_select = mio->queue_select = 0;
	mio->queue_align = VIRTIO_MMIO_LEGACY_ALIGN;
	virtio_mmio_ack(mio, UINT32_MAX);
}

static void virtio_mmio_set_status(struct virtio_mmio *mio, uint32_t status)
{
	virtio_device_set_status(mio->vdev, status);
	if (!(uint8_t)status)
		virtio_mmio_reset_regs(mio);
}

static uint32_t virtio_mmio_feature_word(uint64_t features, unsigned int word)
{
	return word < 2 ? features >> 32 * word : 0;
}

/* Of the registers that both versions have, and of the queue's in the version at hand. */
static uint32_t virtio_mmio_read_queue(struct virtio_mmio *mio, uint64_t off)
{
	struct virtio_queue_regs regs = virtio_device_queue_regs(mio->vdev, mio->queue_select);
	uint32_t page_size = mio->page_size;

	if (off == VIRTIO_MMIO_QUEUE_NUM_MAX)
		return regs.max_size;
	if (off == VIRTIO_MMIO_QUEUE_PFN && mio->legacy && regs.enabled && page_size)
		return regs.area[VIRTIO_AREA_DESC] / page_size;
	if (off == VIRTIO_MMIO_QUEUE_READY && !mio->legacy)
		return regs.enabled;
	return 0; /* a QueueReset is over when its write is */
}

static uint32_t virtio_mmio_read_reg(struct virtio_mmio *mio, uint64_t off)
{
	struct virtio_device *vdev = mio->vdev;

	switch (off) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return VIRTIO_MMIO_MAGIC;
	case VIRTIO_MMIO_VERSION:
		return mio->legacy ? 1 : 2;
	case VIRTIO_MMIO_DEVICE_ID:
		return vdev->model->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VIRTIO_MMIO_VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return virtio_mmio_feature_word(virtio_device_features(vdev),
						mio->device_feature_select);
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return virtio_mmio_isr(mio);
	case VIRTIO_MMIO_STATUS:
		return virtio_device_status(vdev);
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return mio->legacy ? 0 : VIRTIO_MMIO_SHM_ABSENT;
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return mio->legacy ? 0 : virtio_device_config_generation(vdev);
	default:
		return virtio_mmio_read_queue(mio, off);
	}
}

static void virtio_mmio_write_legacy_queue(struct virtio_mmio *mio, uint64_t off, uint32_t val)
{
	switch (off) {
	case VIRTIO_MMIO_GUEST_PAGE_SIZE:
		mio->page_size = val;
		break;
	case VIRTIO_MMIO_QUEUE_ALIGN:
		if (is_power_of_two(val))
			mio->queue_align = val;
		break;
	case VIRTIO_MMIO_QUEUE_PFN:
		virtio_device_set_legacy_queue(mio->vdev, mio->queue_select,
					       (uint64_t)val * mio->page_size, mio->queue_align);
		break;
	}
}

static void virtio_mmio_write_queue(struct virtio_mmio *mio, uint64_t off, uint32_t val)
{
	unsigned int q = mio->queue_select;

	switch (off) {
	case VIRTIO_MMIO_QUEUE_READY:
		if (val == 1)
			virtio_device_enable_queue(mio->vdev, q);
		else if (val == 0)
			virtio_device_disable_queue(mio->vdev, q);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		virtio_device_set_queue_area(mio->vdev, q, VIRTIO_AREA_DESC, off & 4, val);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		virtio_device_set_queue_area(mio->vdev, q, VIRTIO_AREA_DRIVER, off & 4, val);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		virtio_device_set_queue_area(mio->vdev, q, VIRTIO_AREA_DEVICE, off & 4, val);
		break;
	case VIRTIO_MMIO_QUEUE_RESET:
		if (val == 1)
			virtio_device_reset_queue(mio->vdev, q);
		break;
	}
}

static void virtio_mmio_write_reg(struct virtio_mmio *mio, uint64_t off, uint32_t val)
{
	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		mio->device_feature_select = val;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		virtio_device_ack_features(mio->vdev, mio->driver_feature_select, val);
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		mio->driver_feature_select = val;
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		mio->queue_select = val;
		break;
	case VIRTIO_MMIO_QUEUE_NUM:
		virtio_device_set_queue_size(mio->vdev, mio->queue_select, val);
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY: /* only where KVM does not write the eventfd itself */
		virtio_device_kick(mio->vdev, val);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		virtio_mmio_ack(mio, val);
		break;
	case VIRTIO_MMIO_STATUS:
		virtio_mmio_set_status(mio, val);
		break;
	default:
		if (mio->legacy)
			virtio_mmio_write_legacy_queue(mio, off, val);
		else
			virtio_mmio_write_queue(mio, off, val);
	}
}

static uint64_t virtio_mmio_read(void *dev, uint64_t off, unsigned int len)
{
	struct virtio_mmio *mio = dev;
	uint8_t buf[8];

	if (off < VIRTIO_MMIO_CONFIG)
		return len == 4 && off % 4 == 0 ? virtio_mmio_read_reg(mio, off) : 0;
	virtio_device_config_read(mio->vdev, off - VIRTIO_MMIO_CONFIG, buf, len);
	return le_load(buf, len);
}

static void virtio_mmio_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct virtio_mmio *mio = dev;
	uint8_t buf[8];

	if (off >= VIRTIO_MMIO_CONFIG) {
		le_store(buf, len, val);
		virtio_device_config_write(mio->vdev, off - VIRTIO_MMIO_CONFIG, buf, len);
	} else if (len == 4 && off % 4 == 0) {
		virtio_mmio_write_reg(mio, off, val);
	}
}

static const struct io_ops virtio_mmio_ops = {
	.read = virtio_mmio_read,
	.write = virtio_mmio_write,
};

/* --- life --- */

/* One register for all queues: KVM tells them apart by the number that is written. */
static struct ioeventfd virtio_mmio_ioeventfd(const struct virtio_mmio *mio, unsigned int q)
{
	return (struct ioeventfd){
		.at = mio->base + VIRTIO_MMIO_QUEUE_NOTIFY,
		.len = 4,
		.match = q,
		.fd = mio->vdev->queue[q].kick_fd,
	};
}

static int virtio_mmio_add_ioeventfds(struct virtio_mmio *mio)
{
	for (unsigned int q = 0; q < mio->vdev->nr_queues; q++) {
		const struct ioeventfd ev = virtio_mmio_ioeventfd(mio, q);
		int err = ioeventfd_add(mio->vm_fd, &ev);

		if (err < 0)
			return err;
		mio->nr_ioeventfds++;
	}
	return 0;
}

static void virtio_mmio_del_ioeventfds(struct virtio_mmio *mio)
{
	while (mio->nr_ioeventfds) {
		const struct ioeventfd ev = virtio_mmio_ioeventfd(mio, --mio->nr_ioeventfds);

		ioeventfd_del(mio->vm_fd, &ev);
	}
}

struct virtio_mmio *virtio_mmio_create(struct bus *mmio, struct irq_chip *irq, int vm_fd,
				       const struct virtio_mmio_place *place,
				       struct virtio_device *vdev, bool legacy)
{
	struct virtio_mmio *mio = calloc(1, sizeof(*mio));
	int err;

	if (!mio) {
		log_error("%s: out of memory", vdev->name);
		return NULL;
	}
	mio->vdev = vdev;
	mio->bus = mmio;
	mio->vm_fd = vm_fd;
	mio->base = place->base;
	mio->legacy = legacy && virtio_device_has_legacy(vdev);
	pthread_mutex_init(&mio->isr_lock, NULL);
	irq_line_init(&mio->line, irq, place->gsi);
	virtio_mmio_reset_regs(mio);
	virtio_device_set_legacy(vdev, mio->legacy);
	virtio_device_attach(vdev, &virtio_mmio_transport, mio);
	mio->region =
		bus_insert(mmio, vdev->name, mio->base, VIRTIO_MMIO_SIZE, &virtio_mmio_ops, mio);
	err = mio->region ? virtio_mmio_add_ioeventfds(mio) : -errno;
	if (err < 0) {
		log_error("%s: registers at 0x%" PRIx64 ": %s", vdev->name, mio->base,
			  strerror(-err));
		virtio_mmio_destroy(mio);
		return NULL;
	}
	return mio;
}

void virtio_mmio_destroy(struct virtio_mmio *mio)
{
	if (!mio)
		return;
	virtio_device_set_status(mio->vdev, 0);
	virtio_device_attach(mio->vdev, NULL, NULL);
	virtio_mmio_del_ioeventfds(mio);
	bus_remove(mio->bus, mio->region);
	virtio_mmio_ack(mio, UINT32_MAX);
	pthread_mutex_destroy(&mio->isr_lock);
	free(mio);
}
