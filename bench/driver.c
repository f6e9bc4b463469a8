// SPDX-License-Identifier: GPL-2.0-or-later
#include "driver.h"

#define MMIO_FIRST 0xfeb00000UL
#define MMIO_STEP  0x200
#define MMIO_NR	   32

/* --- over PCI (§4.1.4.3) --- */

static void pci_queue(struct virtio *v, struct bench_queue *queue)
{
	uint64_t common = virtio_reg(v, &v->common, 0);

	write16(common + 0x16, queue->nr);
	v->vq.notify_off = read16(common + 0x1e);
	write16(common + 0x18, queue->size);
	write64(common + 0x20, (uint64_t)queue->desc);
	write64(common + 0x28, (uint64_t)&queue->avail);
	write64(common + 0x30, (uint64_t)&queue->used);
	write16(common + 0x1c, 1);
	queue->notify_at = virtio_notify_addr(v);
	queue->notify_32 = false;
}

static bool pci_start(unsigned int type, uint64_t features, struct bench_queue *queues,
		      unsigned int nr)
{
	static struct virtio v;

	pci_ecam = option("ecam", ECAM_BASE);
	if (!virtio_find(&v, 0x1040 + type, 0) || !virtio_negotiate(&v, features))
		return false;
	for (unsigned int i = 0; i < nr; i++)
		pci_queue(&v, &queues[i]);
	virtio_set_status(&v, virtio_status(&v) | VIRTIO_DRIVER_OK);
	return virtio_status(&v) & VIRTIO_DRIVER_OK;
}

/* --- over MMIO (§4.2.2) --- */

static uint64_t mmio_find(unsigned int type)
{
	for (unsigned int i = 0; i < MMIO_NR; i++) {
		uint64_t base = MMIO_FIRST + i * MMIO_STEP;

		if (read32(base) == 0x74726976 && read32(base + 4) == 2 && read32(base + 8) == type)
			return base;
	}
	return 0;
}

static void mmio_area(uint64_t base, uint32_t reg, const void *at)
{
	write32(base + reg, (uint64_t)at);
	write32(base + reg + 4, (uint64_t)at >> 32);
}

static void mmio_queue(uint64_t base, struct bench_queue *queue)
{
	write32(base + 0x30, queue->nr);
	write32(base + 0x38, queue->size);
	mmio_area(base, 0x80, queue->desc);
	mmio_area(base, 0x90, &queue->avail);
	mmio_area(base, 0xa0, &queue->used);
	write32(base + 0x44, 1);
	queue->notify_at = base + 0x50;
	queue->notify_32 = true;
}

static bool mmio_start(uint64_t base, uint64_t features, struct bench_queue *queues,
		       unsigned int nr)
{
	const uint32_t known = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK;

	write32(base + 0x70, 0);
	write32(base + 0x70, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	for (unsigned int i = 0; i < 2; i++) {
		write32(base + 0x24, i);
		write32(base + 0x20, features >> 32 * i);
	}
	write32(base + 0x70, known);
	if (!(read32(base + 0x70) & VIRTIO_FEATURES_OK))
		return false;
	for (unsigned int i = 0; i < nr; i++)
		mmio_queue(base, &queues[i]);
	write32(base + 0x70, known | VIRTIO_DRIVER_OK);
	return read32(base + 0x70) & VIRTIO_DRIVER_OK;
}

/* --- one device, two ways --- */

static void queue_clear(struct bench_queue *queue, uint16_t nr)
{
	memset(&queue->avail, 0, sizeof(queue->avail));
	memset(&queue->used, 0, sizeof(queue->used));
	queue->avail.flags = 1; /* no interrupts */
	queue->nr = nr;
}

bool bench_start(unsigned int type, uint64_t features, struct bench_queue *queues, unsigned int nr)
{
	uint64_t base = mmio_find(type);

	for (unsigned int i = 0; i < nr; i++)
		queue_clear(&queues[i], i);
	return base ? mmio_start(base, features | VIRTIO_F_VERSION_1, queues, nr)
		    : pci_start(type, features | VIRTIO_F_VERSION_1, queues, nr);
}

void bench_notify(const struct bench_queue *queue)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (*(volatile uint16_t *)&queue->used.flags)
		return;
	if (queue->notify_32)
		write32(queue->notify_at, queue->nr);
	else
		write16(queue->notify_at, queue->nr);
}
