// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Several threads at once: vCPUs that use the same device, its worker, a disk's I/O threads. To be
 * run with the thread sanitizer as well; with LONG=1 in the environment for twenty times as long.
 */
#include <linux/virtio_blk.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

#define HEADERS BUF(0)
#define STATUS	BUF(1)
#define DATA	BUF(2)
#define PATTERN 0x77

static unsigned int turns(unsigned int few)
{
	return getenv("LONG") ? 20 * few : few;
}

/* A driver's thread that goes on until it is told to end. */
struct vcpu {
	struct rig *rig;
	pthread_t thread;
	atomic_bool end;
};

static void vcpu_start(struct vcpu *vcpu, struct rig *rig, void *(*fn)(void *))
{
	vcpu->rig = rig;
	vcpu->end = false;
	CHECK(!pthread_create(&vcpu->thread, NULL, fn, vcpu));
}

static void vcpu_stop(struct vcpu *vcpu)
{
	vcpu->end = true;
	pthread_join(vcpu->thread, NULL);
}

/* --- a reset while requests are with the I/O threads --- */

/* As many reads as the queue takes; none is waited for. */
static unsigned int fill_queue(struct rig *rig)
{
	const struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_IN};
	unsigned int nr = 0;

	memcpy(rig_ptr(rig, HEADERS), &header, sizeof(header));
	for (;; nr++) {
		const struct drv_buf bufs[] = {
			{HEADERS, sizeof(header)}, {DATA + 512 * nr, 512}, {STATUS + nr, 1}};

		if (drv_add(&rig->q[0], bufs, 1, 2, 0) < 0)
			return nr;
	}
}

static bool untouched(struct rig *rig, unsigned int nr)
{
	const uint8_t *data = rig_ptr(rig, DATA), *status = rig_ptr(rig, STATUS);

	for (unsigned int i = 0; i < 512 * nr; i++)
		if (data[i] != PATTERN)
			return false;
	for (unsigned int i = 0; i < nr; i++)
		if (status[i] != PATTERN)
			return false;
	return true;
}

static void reset_with_io_in_flight(struct rig *rig)
{
	rig_disk(rig)->delay_us = 300;
	for (unsigned int i = 0; i < turns(15); i++) {
		unsigned int nr;
		uint32_t len;
		int id;

		rig_start(rig, 0);
		nr = fill_queue(rig);
		rig->way->notify(rig, 0);
		if (i % 3)
			drv_wait_used(&rig->q[0], &id, &len);
		rig->way->set_status(rig, 0);
		CHECK_EQ(rig->way->status(rig), 0);
		/* The memory is the driver's again. */
		memset(rig_ptr(rig, DATA), PATTERN, 512 * nr);
		memset(rig_ptr(rig, STATUS), PATTERN, nr);
		rig_settle(rig);
		CHECK(untouched(rig, nr));
		CHECK(!rig_interrupted(rig));
	}
}

static void queue_reset_with_io_in_flight(struct rig *rig)
{
	rig_disk(rig)->delay_us = 300;
	rig_start(rig, DRV_BIT(VIRTIO_F_RING_RESET));
	for (unsigned int i = 0; i < turns(15); i++) {
		unsigned int nr = fill_queue(rig);

		rig->way->notify(rig, 0);
		rig->way->queue_reset(rig, 0);
		memset(rig_ptr(rig, DATA), PATTERN, 512 * nr);
		memset(rig_ptr(rig, STATUS), PATTERN, nr);
		rig_settle(rig);
		CHECK(untouched(rig, nr));
		rig_queue(rig, 0, 0);
		rig_settle(rig);
	}
}

/* --- other vCPUs that do what they like meanwhile --- */

static void *notify_and_read(void *arg)
{
	struct vcpu *vcpu = arg;
	const struct way *way = vcpu->rig->way;

	/* Nothing that selects: two drivers of one device that both do would disturb each other. */
	while (!vcpu->end) {
		virtio_device_kick(vcpu->rig->vdev, 0);
		virtio_device_kick(vcpu->rig->vdev, 1);
		way->status(vcpu->rig);
		way->config_read(vcpu->rig, 0, 4);
		virtio_config_changed(vcpu->rig->vdev);
	}
	return NULL;
}

static void resets_beside_another_vcpu(struct rig *rig)
{
	struct vcpu vcpu;

	vcpu_start(&vcpu, rig, notify_and_read);
	for (unsigned int i = 0; i < turns(40); i++) {
		const struct drv_buf buf = {BUF(0), 64};

		rig_start(rig, 0);
		for (unsigned int n = 0; n < 5; n++)
			CHECK_EQ(rig_send(rig, 0, &buf, 0, 1), 64);
		rig->way->set_status(rig, 0);
		CHECK_EQ(rig->way->status(rig), 0);
	}
	vcpu_stop(&vcpu);
	rig->way->set_status(rig, 0);
}

/* --- MSI-X vectors that are masked and unmasked while requests complete --- */

static uint64_t vector_ctrl(struct rig *rig, unsigned int vector)
{
	uint32_t table = cfg_read(rig->m, rig->msix + PCI_MSIX_TABLE, 4);

	return rig->bar[table & PCI_MSIX_TABLE_BIR] + (table & PCI_MSIX_TABLE_OFFSET) +
	       vector * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL;
}

static void *mask_and_unmask(void *arg)
{
	struct vcpu *vcpu = arg;
	struct machine *m = vcpu->rig->m;
	uint64_t ctrl = vector_ctrl(vcpu->rig, 0);
	unsigned int msix = vcpu->rig->msix;

	for (unsigned int i = 0; !vcpu->end; i++) {
		mem_write(m, ctrl, 4, 1);
		if (i % 2)
			mem_write(m, ctrl - 4, 4, 0x40 + i % 7);
		mem_write(m, ctrl, 4, 0);
		/* All vectors at once. */
		if (i % 5 == 0) {
			cfg_write(m, msix + PCI_MSIX_FLAGS, 2,
				  PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
			cfg_write(m, msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
		}
		if (i % 16 == 0)
			drv_pause();
	}
	return NULL;
}

/* However it falls: a completion that the driver wants to hear of is heard of. */
static void loses_no_message(struct rig *rig)
{
	uint64_t regs = rig->bar[rig->common.bar] + rig->common.off;
	const struct drv_buf buf = {BUF(0), 64};
	struct vcpu vcpu;

	mem_write(rig->m, vector_ctrl(rig, 0) - 12, 4, 0xfee00000);
	mem_write(rig->m, vector_ctrl(rig, 0) - 4, 4, 0x40);
	mem_write(rig->m, vector_ctrl(rig, 0), 4, 0);
	cfg_write(rig->m, rig->msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	rig_start(rig, 0);
	mem_write(rig->m, regs + VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	mem_write(rig->m, regs + VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
	vcpu_start(&vcpu, rig, mask_and_unmask);
	for (unsigned int i = 0; i < turns(150); i++) {
		unsigned int before = msi_count();

		CHECK_EQ(rig_send(rig, 0, &buf, 0, 1), 64);
		CHECK(DRV_WAIT(msi_count() != before));
	}
	vcpu_stop(&vcpu);
}

const struct check thread_checks[] = {
	{"2.4.1", "blk: lets go of all memory at a reset with requests in flight", ALL_WAYS,
	 BOTH_RINGS, BIT_OF(BLK), reset_with_io_in_flight},
	{"2.6.1.1.1", "blk: lets go of all memory when a queue with requests is reset",
	 BIT_OF(PCI) | BIT_OF(MMIO), BOTH_RINGS, BIT_OF(BLK), queue_reset_with_io_in_flight},
	{"2.4.1", "is reset while another vCPU uses it", ALL_WAYS & ~BIT_OF(PCI_WINDOW), BOTH_RINGS,
	 BIT_OF(TOY), resets_beside_another_vcpu},
	{"4.1.5.3.1", "loses no message while vectors are masked and unmasked",
	 BIT_OF(PCI) | BIT_OF(PCI_BOTH), BOTH_RINGS, BIT_OF(TOY), loses_no_message},
	{0},
};
