// SPDX-License-Identifier: GPL-2.0-or-later
/* A driver's steps, whatever the transport; and the toy's and the suite's small helpers. */
#include <stdlib.h>
#include <string.h>

#include "kvm/loop.h"
#include "kvm/worker.h"
#include "rig.h"

#define RIG_ROUNDS	 3
#define OTHER_FIRST_RING 8 /* places of rings in RAM that the other device has */

/* --- life --- */

static void rig_add_round(void *arg);

static void rig_attach(struct rig *rig)
{
	rig->vdev = rig->kind->create(rig);
	CHECK(rig->vdev);
	worker_call(rig->vdev->worker, rig_add_round, rig);
	CHECK(rig->round);
	rig->way->attach(rig);
}

void rig_init(struct rig *rig, struct machine *m, const struct kind *kind, const struct way *way,
	      bool packed)
{
	memset(rig, 0, sizeof(*rig));
	rig->m = m;
	rig->kind = kind;
	rig->way = way;
	rig->packed = packed;
	rig->mmio = MACHINE_MMIO;
	rig->gsi = MACHINE_MMIO_GSI;
	rig_attach(rig);
}

void rig_init_other(struct rig *other, struct rig *rig)
{
	memset(other, 0, sizeof(*other));
	other->m = rig->m;
	other->kind = &kinds[TOY];
	other->way = &ways[MMIO];
	other->mmio = MACHINE_MMIO + 0x1000;
	other->gsi = MACHINE_MMIO_GSI + 1;
	other->first_ring = OTHER_FIRST_RING;
	rig_attach(other);
}

void rig_fini(struct rig *rig)
{
	if (rig->vp || rig->mio)
		rig->way->detach(rig);
	virtio_device_destroy(rig->vdev);
	if (rig->kind->destroy)
		rig->kind->destroy(rig);
}

/* --- initialization --- */

uint64_t rig_offered(struct rig *rig)
{
	return rig->way->offered(rig, 0) | (uint64_t)rig->way->offered(rig, 1) << 32;
}

void rig_reset(struct rig *rig)
{
	rig->way->set_status(rig, 0);
	CHECK(DRV_WAIT(rig->way->status(rig) == 0));
	rig->way->set_status(rig, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	rig->way->set_status(rig, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
}

void rig_accept(struct rig *rig, uint64_t features)
{
	rig->way->accept(rig, 0, features);
	rig->way->accept(rig, 1, features >> 32);
	rig->features = rig->way->legacy ? features & rig_offered(rig) : features;
}

bool rig_negotiate(struct rig *rig, uint64_t features)
{
	rig_reset(rig);
	rig_accept(rig, features);
	if (rig->way->legacy)
		return true;
	rig->way->set_status(rig, DRV_STATUS_FEATURES);
	return rig->way->status(rig) & VIRTIO_CONFIG_S_FEATURES_OK;
}

/* §2.7.2: of a legacy queue all is at one address, in this order. */
static void rig_layout_legacy(struct drv_queue *q)
{
	uint64_t end;

	q->cfg.driver = q->cfg.desc + 16 * q->cfg.size;
	end = q->cfg.driver + 6 + 2 * q->cfg.size;
	q->cfg.device = (end + LEGACY_PAGE - 1) / LEGACY_PAGE * LEGACY_PAGE;
}

void rig_layout(struct rig *rig, unsigned int q, uint16_t size)
{
	uint32_t max = rig->way->queue_size(rig, q);
	struct virtq_config cfg = {
		/* A legacy PCI device's queues have the size that they have. */
		.size = rig->way == &ways[PCI_LEGACY] ? max : size ?: MIN(max, 16),
		.packed = rig->features & DRV_BIT(VIRTIO_F_RING_PACKED),
		.event_idx = rig->features & DRV_BIT(VIRTIO_RING_F_EVENT_IDX),
		.indirect = rig->features & DRV_BIT(VIRTIO_RING_F_INDIRECT_DESC),
	};

	CHECK(max > 0 && q < RIG_QUEUES);
	drv_queue_init(&rig->q[q], &rig->m->ram, rig->first_ring + q, &cfg);
	rig->q[q].in_order = rig->features & DRV_BIT(VIRTIO_F_IN_ORDER);
	if (rig->way->legacy)
		rig_layout_legacy(&rig->q[q]);
}

void rig_queue(struct rig *rig, unsigned int q, uint16_t size)
{
	rig_layout(rig, q, size);
	rig->way->queue_set(rig, q, &rig->q[q].cfg);
	rig->way->queue_enable(rig, q);
	CHECK(rig->way->queue_enabled(rig, q));
}

void rig_driver_ok(struct rig *rig)
{
	uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	if (!rig->way->legacy)
		status |= VIRTIO_CONFIG_S_FEATURES_OK;
	rig->way->set_status(rig, status | VIRTIO_CONFIG_S_DRIVER_OK);
	/* A device looks at its queues once when it starts. That is over before a check begins. */
	rig_settle(rig);
}

void rig_start(struct rig *rig, uint64_t features)
{
	if (!rig->way->legacy)
		features |= VERSION_1;
	if (rig->packed)
		features |= DRV_BIT(VIRTIO_F_RING_PACKED);
	CHECK(rig_negotiate(rig, features));
	for (unsigned int q = 0; q < RIG_QUEUES && rig->way->queue_size(rig, q); q++)
		rig_queue(rig, q, 0);
	rig_driver_ok(rig);
	CHECK(rig->way->status(rig) & VIRTIO_CONFIG_S_DRIVER_OK);
	CHECK(!(rig->way->status(rig) & NEEDS_RESET));
}

/* --- operation --- */

uint32_t rig_wait(struct rig *rig, unsigned int q)
{
	uint32_t len = 0;
	int id;

	CHECK(drv_wait_used(&rig->q[q], &id, &len));
	return len;
}

uint32_t rig_send(struct rig *rig, unsigned int q, const struct drv_buf *bufs, unsigned int nr_out,
		  unsigned int nr_in)
{
	CHECK(drv_add(&rig->q[q], bufs, nr_out, nr_in, 0) >= 0);
	rig->way->notify(rig, q);
	return rig_wait(rig, q);
}

static void rig_round(void *arg, uint32_t events)
{
	struct rig *rig = arg;

	(void)events;
	if (++rig->rounds < RIG_ROUNDS)
		loop_arm_timer(rig->round, 1);
}

static void rig_add_round(void *arg)
{
	struct rig *rig = arg;

	rig->round = loop_add_timer(virtio_loop(rig->vdev), rig_round, rig);
}

/* A round of the worker's loop sees all events that there were when it began. */
static void rig_begin_rounds(void *arg)
{
	struct rig *rig = arg;

	rig->rounds = 0;
	loop_arm_timer(rig->round, 1);
}

void rig_settle(struct rig *rig)
{
	worker_call(rig->vdev->worker, rig_begin_rounds, rig);
	CHECK(DRV_WAIT(rig->rounds == RIG_ROUNDS));
}

bool rig_interrupted(struct rig *rig)
{
	return line_is_up(rig->gsi);
}

uint32_t rig_take_interrupt(struct rig *rig)
{
	uint32_t isr;

	CHECK(DRV_WAIT(rig_interrupted(rig)));
	isr = rig->way->take_isr(rig);
	CHECK(!rig_interrupted(rig));
	return isr;
}

void toy_exchange(struct rig *rig, unsigned int q)
{
	const struct drv_buf buf = {BUF(rig->first_ring + q), 64};
	uint8_t *data = rig_ptr(rig, buf.gpa);

	memset(data, 0, 64);
	drv_enable_interrupts(&rig->q[q], 0);
	CHECK_EQ(rig_send(rig, q, &buf, 0, 1), 64);
	CHECK_EQ(data[0], TOY_BYTE);
	CHECK_EQ(data[63], TOY_BYTE);
	CHECK_EQ(rig_take_interrupt(rig), 1);
}
