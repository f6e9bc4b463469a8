// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio 1.2 §4.2: the registers of devices in memory, version 2 and version 1. */
#include <linux/virtio_mmio.h>

#include "rig.h"

static uint32_t r(struct rig *rig, uint32_t off)
{
	return mem_read(rig->m, rig->mmio + off, 4);
}

static void w(struct rig *rig, uint32_t off, uint32_t val)
{
	mem_write(rig->m, rig->mmio + off, 4, val);
}

static void identity(struct rig *rig)
{
	CHECK_EQ(r(rig, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	CHECK_EQ(r(rig, VIRTIO_MMIO_VERSION), rig->way->legacy ? 1 : 2);
	CHECK_EQ(r(rig, VIRTIO_MMIO_DEVICE_ID), rig->kind->id);
	/* Read-only. */
	w(rig, VIRTIO_MMIO_MAGIC_VALUE, 0);
	w(rig, VIRTIO_MMIO_VERSION, 0);
	w(rig, VIRTIO_MMIO_DEVICE_ID, 0);
	CHECK_EQ(r(rig, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	CHECK_EQ(r(rig, VIRTIO_MMIO_DEVICE_ID), rig->kind->id);
}

static void registers_after_reset(struct rig *rig)
{
	for (unsigned int turn = 0; turn < 2; turn++) {
		CHECK_EQ(r(rig, VIRTIO_MMIO_STATUS), 0);
		CHECK_EQ(r(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
		for (uint32_t q = 0; q < 2; q++) {
			w(rig, VIRTIO_MMIO_QUEUE_SEL, q);
			CHECK_EQ(r(rig, VIRTIO_MMIO_QUEUE_READY), 0);
			CHECK_EQ(r(rig, VIRTIO_MMIO_QUEUE_PFN), 0);
			CHECK_EQ(r(rig, MMIO_QUEUE_RESET), 0);
		}
		rig_start(rig, 0);
		toy_set_config(rig, 0, turn);
		w(rig, VIRTIO_MMIO_STATUS, 0);
	}
	w(rig, VIRTIO_MMIO_STATUS, 0);
}

static void no_shared_memory(struct rig *rig)
{
	for (uint32_t id = 0; id < 300; id += 37) {
		w(rig, 0x0ac, id);
		CHECK_EQ(r(rig, VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
		CHECK_EQ(r(rig, VIRTIO_MMIO_SHM_LEN_HIGH), UINT32_MAX);
		CHECK_EQ(r(rig, VIRTIO_MMIO_SHM_BASE_LOW), UINT32_MAX);
		CHECK_EQ(r(rig, VIRTIO_MMIO_SHM_BASE_HIGH), UINT32_MAX);
	}
}

static void interrupt_status(struct rig *rig)
{
	const struct drv_buf buf = {BUF(0), 16};

	rig_start(rig, 0);
	rig_send(rig, 0, &buf, 0, 1);
	CHECK(DRV_WAIT(rig_interrupted(rig)));
	CHECK_EQ(r(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 1);
	toy_set_config(rig, 0, 1);
	CHECK_EQ(r(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	CHECK_EQ(r(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	/* Each until it is acknowledged; the line as long as there is any. */
	w(rig, VIRTIO_MMIO_INTERRUPT_ACK, 1);
	CHECK_EQ(r(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
	CHECK(rig_interrupted(rig));
	w(rig, VIRTIO_MMIO_INTERRUPT_ACK, 0xfffffffd);
	CHECK(rig_interrupted(rig));
	w(rig, VIRTIO_MMIO_INTERRUPT_ACK, 2);
	CHECK_EQ(r(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	CHECK(!rig_interrupted(rig));
}

static void queue_ready_0(struct rig *rig)
{
	const struct drv_buf buf = {BUF(0), 16};
	uint32_t len;
	int id;

	rig_start(rig, 0);
	CHECK_EQ(r(rig, VIRTIO_MMIO_QUEUE_READY), 0); /* of a queue that is not there */
	w(rig, VIRTIO_MMIO_QUEUE_SEL, 0);
	CHECK_EQ(r(rig, VIRTIO_MMIO_QUEUE_READY), 1);
	toy_exchange(rig, 0);
	rig->way->queue_disable(rig, 0);
	CHECK_EQ(rig_toy(rig)->queue_stops, 1);
	CHECK(drv_add(&rig->q[0], &buf, 0, 1, 0) >= 0);
	rig->way->notify(rig, 0);
	rig_settle(rig);
	CHECK(!drv_get_used(&rig->q[0], &id, &len));
	toy_exchange(rig, 1);
	rig_queue(rig, 0, 0);
	toy_exchange(rig, 0);
	CHECK_EQ(rig_toy(rig)->starts, 1);
}

static void widths(struct rig *rig)
{
	CHECK_EQ(mem_read(rig->m, rig->mmio + VIRTIO_MMIO_MAGIC_VALUE, 1), 0);
	CHECK_EQ(mem_read(rig->m, rig->mmio + VIRTIO_MMIO_MAGIC_VALUE, 2), 0);
	CHECK_EQ(mem_read(rig->m, rig->mmio + VIRTIO_MMIO_MAGIC_VALUE + 2, 4), 0);
	mem_write(rig->m, rig->mmio + VIRTIO_MMIO_STATUS, 1, 1);
	mem_write(rig->m, rig->mmio + VIRTIO_MMIO_STATUS, 8, 1);
	CHECK_EQ(r(rig, VIRTIO_MMIO_STATUS), 0);
	/* Every register that there is, and is not. */
	for (uint32_t off = 0; off < VIRTIO_MMIO_CONFIG; off += 4) {
		if (off == VIRTIO_MMIO_STATUS || off == VIRTIO_MMIO_QUEUE_NOTIFY)
			continue;
		w(rig, off, UINT32_MAX);
		r(rig, off);
	}
	if (rig->way->legacy)
		w(rig, VIRTIO_MMIO_GUEST_PAGE_SIZE, LEGACY_PAGE);
	rig_start(rig, 0);
	toy_exchange(rig, 0);
}

static void notified_by_kvm(struct rig *rig)
{
	CHECK_EQ(nr_ioeventfds(), 2);
	for (unsigned int q = 0; q < 2; q++) {
		const struct ioeventfd *e = ioeventfds() + q;

		CHECK_EQ(e->at, rig->mmio + VIRTIO_MMIO_QUEUE_NOTIFY);
		CHECK_EQ(e->len, 4);
		CHECK(!e->any && !e->io);
		CHECK_EQ(e->match, q);
		CHECK(e->fd == rig->vdev->queue[q].kick_fd);
	}
}

static void no_legacy_registers(struct rig *rig)
{
	CHECK(rig_negotiate(rig, VERSION_1));
	w(rig, VIRTIO_MMIO_QUEUE_SEL, 0);
	w(rig, VIRTIO_MMIO_GUEST_PAGE_SIZE, LEGACY_PAGE);
	w(rig, VIRTIO_MMIO_QUEUE_PFN, DRV_GPA / LEGACY_PAGE);
	CHECK_EQ(r(rig, VIRTIO_MMIO_QUEUE_PFN), 0);
	CHECK_EQ(r(rig, VIRTIO_MMIO_QUEUE_READY), 0);
}

static void queue_pfn_reads_back(struct rig *rig)
{
	rig_start(rig, 0);
	for (uint32_t q = 0; q < 2; q++) {
		w(rig, VIRTIO_MMIO_QUEUE_SEL, q);
		CHECK_EQ(r(rig, VIRTIO_MMIO_QUEUE_PFN), rig->q[q].cfg.desc / LEGACY_PAGE);
	}
	/* The page size is the driver's once for all: a reset does not take it. */
	rig_start(rig, 0);
	toy_exchange(rig, 0);
}

#define T    BIT_OF(TOY)
#define BOTH (BIT_OF(MMIO) | BIT_OF(MMIO_LEGACY))

const struct check mmio_checks[] = {
	{"4.2.2.1", "has the magic value, the version and its id, read-only", BOTH, 0, ALL_KINDS,
	 identity},
	{"4.2.2.1", "has registers as new after a reset", BOTH, 0, T, registers_after_reset},
	{"4.2.2", "has length and base -1 for shared memory that it has not", BIT_OF(MMIO), 0, T,
	 no_shared_memory},
	{"4.2.2.1", "shows each event in InterruptStatus until it is acknowledged", BOTH, 0, T,
	 interrupt_status},
	{"4.2.2.1", "does not touch a queue whose QueueReady is 0", BIT_OF(MMIO), BOTH_RINGS, T,
	 queue_ready_0},
	{"4.2.2.2", "has registers of 32 bits", BOTH, 0, T, widths},
	{"4.2.3.3", "is notified by KVM, by the queue's number", BOTH, 0, T, notified_by_kvm},
	{"4.2.2", "has no registers of version 1 in version 2", BIT_OF(MMIO), 0, T,
	 no_legacy_registers},
	{"4.2.4", "reads QueuePFN back, and keeps the page size over a reset", BIT_OF(MMIO_LEGACY),
	 0, T, queue_pfn_reads_back},
	{0},
};
