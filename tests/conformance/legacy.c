// SPDX-License-Identifier: GPL-2.0-or-later
/* What devices owe to drivers of before virtio 1.0, on PCI (§4.1.4.10) and on MMIO (§4.2.4). */
#include <linux/virtio_mmio.h>
#include <string.h>

#include "rig.h"

static uint32_t in(struct rig *rig, unsigned int reg, unsigned int len)
{
	return io_read(rig->m, rig->port + reg, len);
}

static void out(struct rig *rig, unsigned int reg, unsigned int len, uint32_t val)
{
	io_write(rig->m, rig->port + reg, len, val);
}

static void transitional_identity(struct rig *rig)
{
	static const struct {
		uint16_t id, device;
	} ids[] = {
		{VIRTIO_ID_NET, 0x1000},     {VIRTIO_ID_BLOCK, 0x1001}, {VIRTIO_ID_BALLOON, 0x1002},
		{VIRTIO_ID_CONSOLE, 0x1003}, {VIRTIO_ID_SCSI, 0x1004},	{VIRTIO_ID_RNG, 0x1005},
		{VIRTIO_ID_9P, 0x1009},
	};

	CHECK_EQ(cfg_read(rig->m, PCI_VENDOR_ID, 2), 0x1af4);
	CHECK_EQ(cfg_read(rig->m, PCI_REVISION_ID, 1), 0);
	CHECK_EQ(cfg_read(rig->m, PCI_SUBSYSTEM_ID, 2), rig->kind->id);
	for (unsigned int i = 0; i < ARRAY_SIZE(ids); i++)
		if (ids[i].id == rig->kind->id)
			CHECK_EQ(cfg_read(rig->m, PCI_DEVICE_ID, 2), ids[i].device);
}

static void legacy_bar(struct rig *rig)
{
	CHECK_EQ(cfg_read(rig->m, PCI_BASE_ADDRESS_0, 4) & 3, PCI_BASE_ADDRESS_SPACE_IO);
	CHECK_EQ(in(rig, VIRTIO_PCI_STATUS, 1), 0);
	CHECK(rig->common.cap && rig->window);
}

static void no_legacy_interface(struct rig *rig)
{
	/* Asked for a transitional device, or for version 1, it is what it can be. */
	rig->way->detach(rig);
	ways[PCI_LEGACY].attach(rig);
	CHECK_EQ(cfg_read(rig->m, PCI_DEVICE_ID, 2), 0x1040 + rig->kind->id);
	CHECK_EQ(cfg_read(rig->m, PCI_BASE_ADDRESS_0, 4), 0);
	ways[PCI_LEGACY].detach(rig);
	ways[MMIO_LEGACY].attach(rig);
	CHECK_EQ(mem_read(rig->m, rig->mmio + VIRTIO_MMIO_VERSION, 4), 2);
	ways[MMIO_LEGACY].detach(rig);
	rig->way->attach(rig);
}

static void config_moves_with_msix(struct rig *rig)
{
	CHECK_EQ(in(rig, VIRTIO_PCI_CONFIG_OFF(false), 4), 0x13121110);
	cfg_write(rig->m, rig->msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	CHECK_EQ(in(rig, VIRTIO_PCI_CONFIG_OFF(true), 4), 0x13121110);
	out(rig, VIRTIO_MSI_CONFIG_VECTOR, 2, 1);
	CHECK_EQ(in(rig, VIRTIO_MSI_CONFIG_VECTOR, 2), 1);
	out(rig, VIRTIO_MSI_CONFIG_VECTOR, 2, 3);
	CHECK_EQ(in(rig, VIRTIO_MSI_CONFIG_VECTOR, 2), VIRTIO_MSI_NO_VECTOR);
	cfg_write(rig->m, rig->msix + PCI_MSIX_FLAGS, 2, 0);
	CHECK_EQ(in(rig, VIRTIO_PCI_CONFIG_OFF(false), 4), 0x13121110);
}

static void legacy_msix_vectors(struct rig *rig)
{
	uint32_t table;
	unsigned int before;
	const struct drv_buf buf = {BUF(0), 16};

	cfg_write(rig->m, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	table = rig->bar[cfg_read(rig->m, rig->msix + PCI_MSIX_TABLE, 4) & PCI_MSIX_TABLE_BIR];
	for (unsigned int v = 0; v < 3; v++) {
		mem_write(rig->m, table + 16 * v, 8, 0xfee00000);
		mem_write(rig->m, table + 16 * v + 8, 8, 100 + v);
	}
	cfg_write(rig->m, rig->msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	rig_start(rig, 0);
	out(rig, VIRTIO_MSI_CONFIG_VECTOR, 2, 2);
	out(rig, VIRTIO_PCI_QUEUE_SEL, 2, 1);
	CHECK_EQ(in(rig, VIRTIO_MSI_QUEUE_VECTOR, 2), VIRTIO_MSI_NO_VECTOR);
	out(rig, VIRTIO_MSI_QUEUE_VECTOR, 2, 1);
	CHECK_EQ(in(rig, VIRTIO_MSI_QUEUE_VECTOR, 2), 1);
	before = msi_count();
	rig_send(rig, 1, &buf, 0, 1);
	rig_settle(rig);
	CHECK_EQ(msi_count(), before + 1);
	CHECK_EQ(msi_last_data(), 101);
	toy_set_config(rig, 0, 1);
	CHECK_EQ(msi_last_data(), 102);
	CHECK(!rig_interrupted(rig));
}

static void legacy_notified_by_kvm(struct rig *rig)
{
	unsigned int found = 0;

	for (unsigned int i = 0; i < MACHINE_IOEVENTFDS; i++) {
		const struct ioeventfd *e = ioeventfds() + i;

		if (!e->fd || !e->io)
			continue;
		CHECK_EQ(e->at, rig->port + VIRTIO_PCI_QUEUE_NOTIFY);
		CHECK_EQ(e->len, 2);
		CHECK(!e->any && e->match < 2);
		CHECK(e->fd == rig->vdev->queue[e->match].kick_fd);
		found++;
	}
	CHECK_EQ(found, 2);
	/* They follow the BAR. */
	cfg_write(rig->m, PCI_BASE_ADDRESS_0, 4, 0x8000);
	if (rig->port != 0x8000) {
		rig->port = 0x8000;
		legacy_notified_by_kvm(rig);
		rig_start(rig, 0);
		toy_exchange(rig, 0);
	}
}

static void legacy_widths(struct rig *rig)
{
	for (unsigned int reg = 0; reg < VIRTIO_PCI_CONFIG_OFF(false); reg++) {
		for (unsigned int len = 1; len <= 4; len *= 2) {
			if (reg == VIRTIO_PCI_STATUS)
				continue;
			in(rig, reg, len);
			if (reg != VIRTIO_PCI_QUEUE_NOTIFY)
				out(rig, reg, len, UINT32_MAX);
		}
	}
	out(rig, VIRTIO_PCI_STATUS, 2, 7);
	CHECK_EQ(in(rig, VIRTIO_PCI_STATUS, 1), 0);
	CHECK_EQ(in(rig, VIRTIO_PCI_HOST_FEATURES, 2), 0);
	rig_start(rig, 0);
	toy_exchange(rig, 0);
}

/* Each interface for itself: the second driver begins with a reset. */
static void both_interfaces_in_turn(struct rig *rig)
{
	const struct way *modern = rig->way, *legacy = &ways[PCI_LEGACY];

	for (unsigned int i = 0; i < 3; i++) {
		rig->way = legacy;
		rig_start(rig, 0);
		CHECK_EQ(rig_toy(rig)->features >> 32, 0);
		toy_exchange(rig, 0);
		rig->way = modern;
		rig_start(rig, DRV_BIT(TOY_HIGH));
		CHECK_EQ(rig_toy(rig)->features, VERSION_1 | DRV_BIT(TOY_HIGH));
		toy_exchange(rig, 0);
		/* The other door is no way to a running queue. */
		legacy->queue_disable(rig, 0);
		legacy->queue_enable(rig, 0);
		toy_exchange(rig, 0);
		CHECK_EQ(rig_toy(rig)->queue_stops, 0);
	}
	rig->way = modern;
}

static void address_0_takes_a_queue(struct rig *rig)
{
	rig_start(rig, 0);
	toy_exchange(rig, 0);
	rig->way->queue_disable(rig, 0);
	CHECK(!rig->way->queue_enabled(rig, 0));
	CHECK_EQ(rig_toy(rig)->queue_stops, 1);
	toy_exchange(rig, 1);
	rig_queue(rig, 0, 0);
	toy_exchange(rig, 0);
}

static void mmio_legacy_layouts(struct rig *rig)
{
	static const uint32_t aligns[] = {4, 64, 4096, 16384};

	for (unsigned int i = 0; i < ARRAY_SIZE(aligns); i++) {
		for (uint16_t size = 1; size <= TOY_QUEUE_SIZE; size *= 2) {
			struct drv_queue *q = &rig->q[1];
			uint64_t end;

			rig_reset(rig);
			rig_accept(rig, 0);
			rig_layout(rig, 1, size);
			end = q->cfg.driver + 6 + 2 * size;
			q->cfg.device = (end + aligns[i] - 1) / aligns[i] * aligns[i];
			rig->way->queue_set(rig, 1, &q->cfg);
			mem_write(rig->m, rig->mmio + VIRTIO_MMIO_QUEUE_ALIGN, 4, aligns[i]);
			rig->way->queue_enable(rig, 1);
			rig_driver_ok(rig);
			for (unsigned int n = 0; n < 5; n++)
				toy_exchange(rig, 1);
		}
	}
}

#define T      BIT_OF(TOY)
#define NEW    (BIT_OF(KEYBOARD) | BIT_OF(MOUSE) | BIT_OF(TABLET) | BIT_OF(VSOCK))

const struct check legacy_checks[] = {
	{"4.1.2.3", "has a transitional device's ids", BIT_OF(PCI_LEGACY), 0, ALL_KINDS,
	 transitional_identity},
	{"4.1.5.1.1.1", "has its legacy registers in I/O BAR 0, and capabilities as well",
	 BIT_OF(PCI_LEGACY), 0, ALL_KINDS, legacy_bar},
	{"5", "is not transitional if devices of its kind never were", BIT_OF(PCI), 0, NEW,
	 no_legacy_interface},
	{"4.1.4.10", "has its configuration behind the registers, which MSI-X moves",
	 BIT_OF(PCI_LEGACY), 0, T, config_moves_with_msix},
	{"4.1.4.10", "sends the vectors that a legacy driver sets", BIT_OF(PCI_LEGACY), 0, T,
	 legacy_msix_vectors},
	{"4.1.4.10", "is notified by KVM, by the queue's number", BIT_OF(PCI_LEGACY), 0, T,
	 legacy_notified_by_kvm},
	{"4.1.4.10", "answers registers at their width", BIT_OF(PCI_LEGACY), 0, T, legacy_widths},
	{"4.1.4.10", "serves drivers of either interface in turn", BIT_OF(PCI_BOTH), 0, T,
	 both_interfaces_in_turn},
	{"4.1.5.1.3.1", "gives a queue back whose address becomes 0", LEGACY_WAYS, 0, T,
	 address_0_takes_a_queue},
	{"2.7.2", "finds the parts of a queue at any QueueAlign", BIT_OF(MMIO_LEGACY), 0, T,
	 mmio_legacy_layouts},
	{0},
};
