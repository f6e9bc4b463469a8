// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio 1.2 §4.1, the modern interface: identity, capabilities, registers, interrupts, window. */
#include <string.h>

#include "rig.h"

static uint64_t common_at(struct rig *rig, uint32_t off)
{
	return rig->bar[rig->common.bar] + rig->common.off + off;
}

static uint64_t common_read(struct rig *rig, uint32_t off, unsigned int len)
{
	return mem_read(rig->m, common_at(rig, off), len);
}

static void common_write(struct rig *rig, uint32_t off, unsigned int len, uint64_t val)
{
	mem_write(rig->m, common_at(rig, off), len, val);
}

/* --- discovery --- */

static void identity(struct rig *rig)
{
	CHECK_EQ(cfg_read(rig->m, PCI_VENDOR_ID, 2), 0x1af4);
	CHECK_EQ(cfg_read(rig->m, PCI_DEVICE_ID, 2), 0x1040 + rig->kind->id);
	CHECK(cfg_read(rig->m, PCI_REVISION_ID, 1) >= 1);
	CHECK(cfg_read(rig->m, PCI_SUBSYSTEM_ID, 2) >= 0x40);
	CHECK_EQ(rig->bar[0], 0); /* nothing that a legacy driver could take for its registers */
}

/* Size of a memory BAR, as PCI has it asked (PCI 3.0 §6.2.5.1). */
static uint64_t bar_size(struct rig *rig, unsigned int bar)
{
	unsigned int reg = PCI_BASE_ADDRESS_0 + 4 * bar;
	uint32_t was = cfg_read(rig->m, reg, 4), mask;

	cfg_write(rig->m, reg, 4, UINT32_MAX);
	mask = cfg_read(rig->m, reg, 4) & ~15u;
	cfg_write(rig->m, reg, 4, was);
	return -(uint64_t)(int32_t)mask;
}

static void regs_fit(struct rig *rig, const struct pci_regs *regs, uint32_t min, uint32_t align)
{
	CHECK(regs->cap);
	CHECK(regs->bar < PCI_NR_BARS);
	CHECK(regs->len >= min);
	CHECK_EQ(regs->off % align, 0);
	CHECK(range_contains(0, bar_size(rig, regs->bar), regs->off, regs->len));
}

static void capabilities(struct rig *rig)
{
	regs_fit(rig, &rig->common, VIRTIO_PCI_COMMON_Q_RESET + 2, 4);
	regs_fit(rig, &rig->isr, 1, 1);
	regs_fit(rig, &rig->notify, 2, 2);
	CHECK(rig->window);
}

static void capability_lengths(struct rig *rig)
{
	unsigned int at = cfg_find_cap(rig->m, 0, PCI_CAP_ID_VNDR), nr = 0;

	while (at) {
		unsigned int type = cfg_read(rig->m, at + VIRTIO_PCI_CAP_CFG_TYPE, 1);
		unsigned int extra =
			type == VIRTIO_PCI_CAP_NOTIFY_CFG || type == VIRTIO_PCI_CAP_PCI_CFG;
		unsigned int next = cfg_read(rig->m, at + PCI_CAP_LIST_NEXT, 1);

		CHECK(cfg_read(rig->m, at + VIRTIO_PCI_CAP_LEN, 1) >= 16 + 4 * extra);
		CHECK_EQ(at % 4, 0);
		CHECK(at >= 0x40 && at < 0x100);
		/* All but those of the window are read-only. */
		if (type != VIRTIO_PCI_CAP_PCI_CFG) {
			uint32_t off = cfg_read(rig->m, at + VIRTIO_PCI_CAP_OFFSET, 4);

			cfg_write(rig->m, at + VIRTIO_PCI_CAP_OFFSET, 4, ~off);
			cfg_write(rig->m, at, 4, 0);
			CHECK_EQ(cfg_read(rig->m, at + VIRTIO_PCI_CAP_OFFSET, 4), off);
			CHECK_EQ(cfg_read(rig->m, at, 1), PCI_CAP_ID_VNDR);
		}
		nr++;
		at = next ? cfg_find_cap(rig->m, next, PCI_CAP_ID_VNDR) : 0;
	}
	CHECK(nr >= 4);
}

static void notify_capability(struct rig *rig)
{
	uint32_t nr = common_read(rig, VIRTIO_PCI_COMMON_NUMQ, 2), step = rig->notify_step;

	/* A power of two that is even, or 0. */
	CHECK(!step || (step > 1 && !(step & (step - 1))));
	for (uint32_t q = 0; q < nr; q++) {
		common_write(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
		CHECK(rig->notify.len >= common_read(rig, VIRTIO_PCI_COMMON_Q_NOFF, 2) * step + 2);
	}
}

static void device_capability(struct rig *rig)
{
	/* The entropy device has no configuration, all others do. */
	if (rig->kind->id == VIRTIO_ID_RNG)
		CHECK_EQ(rig->device.cap, 0);
	else
		regs_fit(rig, &rig->device, 1, 4);
}

/* --- common configuration --- */

static void feature_words(struct rig *rig)
{
	common_write(rig, VIRTIO_PCI_COMMON_STATUS, 1, 3);
	for (uint32_t word = 0; word < 2; word++) {
		uint32_t offered = rig->way->offered(rig, word);

		CHECK_EQ(common_read(rig, VIRTIO_PCI_COMMON_DFSELECT, 4), word);
		common_write(rig, VIRTIO_PCI_COMMON_GFSELECT, 4, word);
		common_write(rig, VIRTIO_PCI_COMMON_GF, 4, offered);
		CHECK_EQ(common_read(rig, VIRTIO_PCI_COMMON_GFSELECT, 4), word);
		CHECK_EQ(common_read(rig, VIRTIO_PCI_COMMON_GF, 4), offered);
	}
	common_write(rig, VIRTIO_PCI_COMMON_GFSELECT, 4, 2);
	CHECK_EQ(common_read(rig, VIRTIO_PCI_COMMON_GF, 4), 0);
	common_write(rig, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	CHECK_EQ(common_read(rig, VIRTIO_PCI_COMMON_GF, 4), rig->way->offered(rig, 0));
}

static void registers_after_reset(struct rig *rig)
{
	static const struct {
		uint32_t off;
		unsigned int len;
		uint32_t val;
	} regs[] = {
		{VIRTIO_PCI_COMMON_DFSELECT, 4, 0},
		{VIRTIO_PCI_COMMON_GFSELECT, 4, 0},
		{VIRTIO_PCI_COMMON_GF, 4, 0},
		{VIRTIO_PCI_COMMON_MSIX, 2, VIRTIO_MSI_NO_VECTOR},
		{VIRTIO_PCI_COMMON_STATUS, 1, 0},
		{VIRTIO_PCI_COMMON_Q_SELECT, 2, 0},
		{VIRTIO_PCI_COMMON_Q_SIZE, 2, TOY_QUEUE_SIZE},
		{VIRTIO_PCI_COMMON_Q_MSIX, 2, VIRTIO_MSI_NO_VECTOR},
		{VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0},
		{VIRTIO_PCI_COMMON_Q_RESET, 2, 0},
		{VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0},
		{VIRTIO_PCI_COMMON_Q_USEDHI, 4, 0},
	};

	for (unsigned int turn = 0; turn < 2; turn++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(regs); i++)
			CHECK_EQ(common_read(rig, regs[i].off, regs[i].len), regs[i].val);
		rig_start(rig, DRV_BIT(VIRTIO_F_RING_RESET));
		common_write(rig, VIRTIO_PCI_COMMON_MSIX, 2, 1);
		common_write(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
		common_write(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	}
}

static void address_halves(struct rig *rig)
{
	common_write(rig, VIRTIO_PCI_COMMON_STATUS, 1, 3);
	for (uint32_t off = VIRTIO_PCI_COMMON_Q_DESCLO; off < VIRTIO_PCI_COMMON_Q_NDATA; off += 8) {
		common_write(rig, off + 4, 4, 0x11223344);
		common_write(rig, off, 4, 0x55667788);
		CHECK_EQ(common_read(rig, off, 4), 0x55667788);
		CHECK_EQ(common_read(rig, off + 4, 4), 0x11223344);
		/* What both halves at once give, if a driver does that. */
		common_write(rig, off, 8, 0x0102030405060708);
		CHECK_EQ(common_read(rig, off, 8), 0x0102030405060708);
	}
}

static void num_queues(struct rig *rig)
{
	uint32_t nr = common_read(rig, VIRTIO_PCI_COMMON_NUMQ, 2);

	CHECK(nr > 0);
	CHECK(rig->way->queue_size(rig, nr - 1) > 0);
	CHECK_EQ(rig->way->queue_size(rig, nr), 0);
	common_write(rig, VIRTIO_PCI_COMMON_NUMQ, 2, 1 + nr);
	CHECK_EQ(common_read(rig, VIRTIO_PCI_COMMON_NUMQ, 2), nr);
}

/* Without packed rings queue_size is 0 or a power of two, whatever the driver
 * writes. */
static void queue_size_register(struct rig *rig)
{
	static const uint16_t odd[] = {3, 7, 12, 15, 17, 255, 32767, 65535};

	CHECK(rig_negotiate(rig, VERSION_1));
	for (unsigned int i = 0; i < ARRAY_SIZE(odd); i++) {
		uint32_t size;

		common_write(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
		common_write(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2, odd[i]);
		size = common_read(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2);
		CHECK(size <= TOY_QUEUE_SIZE && !(size & (size - 1)));
	}
}

static void queue_enable_0(struct rig *rig)
{
	rig_start(rig, 0);
	common_write(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	common_write(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	CHECK(rig->way->queue_enabled(rig, 0));
	toy_exchange(rig, 0);
}

static void queue_reset_register(struct rig *rig)
{
	rig_start(rig, DRV_BIT(VIRTIO_F_RING_RESET));
	common_write(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	common_write(rig, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	CHECK(DRV_WAIT(!common_read(rig, VIRTIO_PCI_COMMON_Q_RESET, 2)));
	CHECK_EQ(common_read(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	rig_queue(rig, 1, 0);
	CHECK_EQ(common_read(rig, VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
	toy_exchange(rig, 1);
}

/* Any offset and any width: nothing moves but what the register says. */
static void odd_accesses(struct rig *rig)
{
	uint64_t at = rig->bar[rig->common.bar];

	for (unsigned int len = 1; len <= 8; len *= 2) {
		for (uint32_t off = 0; off + len <= 0x4000; off += off < 0x80 ? 1 : 0x1f) {
			mem_read(rig->m, at + off, len);
			mem_write(rig->m, at + off, len, 0x0101010101010101);
		}
	}
	common_write(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	CHECK_EQ(common_read(rig, VIRTIO_PCI_COMMON_STATUS, 1), 0);
	common_write(rig, VIRTIO_PCI_COMMON_STATUS, 4, 0x03030303);
	CHECK_EQ(common_read(rig, VIRTIO_PCI_COMMON_STATUS, 1), 0);
	rig_start(rig, 0);
	toy_exchange(rig, 0);
}

/* --- notification, ISR, interrupts --- */

static void notified_by_kvm(struct rig *rig)
{
	uint64_t at = rig->bar[rig->notify.bar] + rig->notify.off;
	unsigned int found = 0;

	for (unsigned int i = 0; i < MACHINE_IOEVENTFDS; i++) {
		const struct ioeventfd *e = ioeventfds() + i;

		if (!e->fd || e->io)
			continue;
		for (unsigned int q = 0; q < 2; q++)
			found += e->at == at + q * rig->notify_step && e->any &&
				 e->fd == rig->vdev->queue[q].kick_fd;
	}
	CHECK_EQ(found, 2);
}

static void isr_says_why(struct rig *rig)
{
	const struct drv_buf buf = {BUF(0), 16};

	rig_start(rig, 0);
	CHECK_EQ(rig->way->take_isr(rig), 0);
	rig_send(rig, 0, &buf, 0, 1);
	CHECK(DRV_WAIT(rig_interrupted(rig)));
	CHECK(cfg_read(rig->m, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	toy_set_config(rig, 0, 1);
	/* Both reasons at once, and reading takes all. */
	CHECK_EQ(rig->way->take_isr(rig), 3);
	CHECK(!rig_interrupted(rig));
	CHECK(!(cfg_read(rig->m, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT));
	CHECK_EQ(rig->way->take_isr(rig), 0);
}

static void intx_can_be_masked(struct rig *rig)
{
	uint16_t command = cfg_read(rig->m, PCI_COMMAND, 2);

	rig_start(rig, 0);
	cfg_write(rig->m, PCI_COMMAND, 2, command | PCI_COMMAND_INTX_DISABLE);
	toy_set_config(rig, 0, 1);
	CHECK(!rig_interrupted(rig));
	CHECK(cfg_read(rig->m, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	cfg_write(rig->m, PCI_COMMAND, 2, command);
	CHECK_EQ(rig_take_interrupt(rig), 2);
}

#define MSI_DATA 0x40

static uint64_t msix_table(struct rig *rig)
{
	uint32_t at = cfg_read(rig->m, rig->msix + PCI_MSIX_TABLE, 4);

	return rig->bar[at & PCI_MSIX_TABLE_BIR] + (at & PCI_MSIX_TABLE_OFFSET);
}

static unsigned int msix_size(struct rig *rig)
{
	uint16_t flags = cfg_read(rig->m, rig->msix + PCI_MSIX_FLAGS, 2);

	return (flags & PCI_MSIX_FLAGS_QSIZE) + 1;
}

static void msix_mask(struct rig *rig, unsigned int vector, bool masked)
{
	mem_write(rig->m,
		  msix_table(rig) + vector * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL, 4,
		  masked);
}

static bool msix_pending(struct rig *rig, unsigned int vector)
{
	uint32_t at = cfg_read(rig->m, rig->msix + PCI_MSIX_PBA, 4);

	return mem_read(rig->m, rig->bar[at & PCI_MSIX_PBA_BIR] + (at & PCI_MSIX_PBA_OFFSET), 8) >>
		       vector &
	       1;
}

/* Vector n says MSI_DATA + n. */
static void msix_enable(struct rig *rig)
{
	CHECK(rig->msix);
	for (unsigned int v = 0; v < msix_size(rig); v++) {
		uint64_t entry = msix_table(rig) + v * PCI_MSIX_ENTRY_SIZE;

		mem_write(rig->m, entry, 4, 0xfee00000);
		mem_write(rig->m, entry + 4, 4, 0);
		mem_write(rig->m, entry + 8, 4, MSI_DATA + v);
		msix_mask(rig, v, false);
	}
	cfg_write(rig->m, rig->msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

static void set_vectors(struct rig *rig, uint16_t config, uint16_t queue0, uint16_t queue1)
{
	common_write(rig, VIRTIO_PCI_COMMON_MSIX, 2, config);
	CHECK_EQ(common_read(rig, VIRTIO_PCI_COMMON_MSIX, 2), config);
	common_write(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	common_write(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2, queue0);
	CHECK_EQ(common_read(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2), queue0);
	common_write(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	common_write(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2, queue1);
	CHECK_EQ(common_read(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2), queue1);
}

static void msix_send(struct rig *rig, unsigned int q)
{
	const struct drv_buf buf = {BUF(0), 16};

	rig_send(rig, q, &buf, 0, 1);
	rig_settle(rig);
}

static void msix_table_size(struct rig *rig)
{
	unsigned int size = msix_size(rig);

	CHECK(size >= 2 && size <= 0x800);
	msix_enable(rig);
	for (unsigned int v = 0; v < size; v++)
		set_vectors(rig, v, v, v);
	set_vectors(rig, VIRTIO_MSI_NO_VECTOR, VIRTIO_MSI_NO_VECTOR, VIRTIO_MSI_NO_VECTOR);
}

static void msix_refuses_vectors(struct rig *rig)
{
	const uint16_t bad[] = {msix_size(rig), 0x7ff, 0x800, 0xfffe};

	msix_enable(rig);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		set_vectors(rig, 0, 0, 0);
		common_write(rig, VIRTIO_PCI_COMMON_MSIX, 2, bad[i]);
		common_write(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2, bad[i]);
		CHECK_EQ(common_read(rig, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
		CHECK_EQ(common_read(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	}
}

static void msix_sends_vectors(struct rig *rig)
{
	unsigned int before;

	msix_enable(rig);
	rig_start(rig, 0);
	set_vectors(rig, 2, 0, 1);
	for (unsigned int q = 0; q < 2; q++) {
		before = msi_count();
		msix_send(rig, q);
		CHECK_EQ(msi_count(), before + 1);
		CHECK_EQ(msi_last_data(), MSI_DATA + q);
	}
	before = msi_count();
	toy_set_config(rig, 0, 1);
	CHECK_EQ(msi_count(), before + 1);
	CHECK_EQ(msi_last_data(), MSI_DATA + 2);
	/* One for all. */
	set_vectors(rig, 0, 0, 0);
	msix_send(rig, 1);
	CHECK_EQ(msi_last_data(), MSI_DATA);
	CHECK(!rig_interrupted(rig));
	rig->way->take_isr(rig);
}

static void msix_unmapped_is_silent(struct rig *rig)
{
	unsigned int before;

	msix_enable(rig);
	rig_start(rig, 0);
	before = msi_count();
	msix_send(rig, 0);
	toy_set_config(rig, 0, 1);
	CHECK_EQ(msi_count(), before);
	CHECK(!rig_interrupted(rig));
	rig->way->take_isr(rig);
}

static void msix_mask_holds_back(struct rig *rig)
{
	unsigned int before;

	msix_enable(rig);
	rig_start(rig, 0);
	set_vectors(rig, 2, 0, 1);
	before = msi_count();
	msix_mask(rig, 0, true);
	msix_send(rig, 0);
	msix_send(rig, 0);
	CHECK_EQ(msi_count(), before);
	CHECK(msix_pending(rig, 0));
	msix_send(rig, 1);
	CHECK_EQ(msi_count(), before + 1);
	msix_mask(rig, 0, false);
	CHECK_EQ(msi_count(), before + 2);
	CHECK_EQ(msi_last_data(), MSI_DATA);
	CHECK(!msix_pending(rig, 0));
}

/* Whatever the kind of interrupt: the bit is there before the driver hears. */
static void isr_has_config_bit_with_msix(struct rig *rig)
{
	msix_enable(rig);
	rig_start(rig, 0);
	set_vectors(rig, 2, 0, 1);
	toy_set_config(rig, 0, 1);
	CHECK(!rig_interrupted(rig));
	CHECK_EQ(rig->way->take_isr(rig), 2);
	CHECK_EQ(rig->way->take_isr(rig), 0);
	/* The status bit follows the ISR only when MSI-X is off. */
	toy_set_config(rig, 0, 2);
	cfg_write(rig->m, rig->msix + PCI_MSIX_FLAGS, 2, 0);
	CHECK(cfg_read(rig->m, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	CHECK_EQ(rig_take_interrupt(rig), 2);
}

/* --- a device that moves, and one that goes --- */

static void follows_its_bar(struct rig *rig)
{
	unsigned int reg = PCI_BASE_ADDRESS_0 + 4 * rig->common.bar;

	rig_start(rig, 0);
	for (unsigned int i = 1; i <= 4; i++) {
		uint64_t old = rig->bar[rig->common.bar];

		cfg_write(rig->m, reg, 4, MACHINE_MEM64 + i * 0x100000);
		rig->bar[rig->common.bar] = MACHINE_MEM64 + i * 0x100000;
		CHECK_EQ(mem_read(rig->m, old + rig->common.off + VIRTIO_PCI_COMMON_NUMQ, 2),
			 0xffff);
		notified_by_kvm(rig);
		toy_exchange(rig, 0);
	}
	cfg_write(rig->m, PCI_COMMAND, 2, 0);
	CHECK_EQ(nr_ioeventfds(), 0);
}

static void goes_while_busy(struct rig *rig)
{
	const struct drv_buf buf = {BUF(0), 64};

	for (unsigned int i = 0; i < 20; i++) {
		rig_start(rig, 0);
		while (drv_add(&rig->q[0], &buf, 0, 1, 0) >= 0)
			;
		rig->way->notify(rig, 0);
		rig->way->detach(rig);
		CHECK(!rig_interrupted(rig));
		virtio_config_changed(rig->vdev);
		rig->way->attach(rig);
	}
}

/* --- the window --- */

static void window_set(struct rig *rig, uint8_t bar, uint32_t off, uint32_t len)
{
	cfg_write(rig->m, rig->window + VIRTIO_PCI_CAP_BAR, 1, bar);
	cfg_write(rig->m, rig->window + VIRTIO_PCI_CAP_OFFSET, 4, off);
	cfg_write(rig->m, rig->window + VIRTIO_PCI_CAP_LENGTH, 4, len);
}

#define WINDOW_DATA(rig) ((rig)->window + 16)

static void window_is_writable(struct rig *rig)
{
	window_set(rig, rig->common.bar, 0x12345678, 4);
	CHECK_EQ(cfg_read(rig->m, rig->window + VIRTIO_PCI_CAP_BAR, 1), rig->common.bar);
	CHECK_EQ(cfg_read(rig->m, rig->window + VIRTIO_PCI_CAP_OFFSET, 4), 0x12345678);
	CHECK_EQ(cfg_read(rig->m, rig->window + VIRTIO_PCI_CAP_LENGTH, 4), 4);
	CHECK_EQ(cfg_read(rig->m, rig->window, 1), PCI_CAP_ID_VNDR);
}

static void window_widths(struct rig *rig)
{
	uint8_t bar = rig->common.bar;
	uint32_t off = rig->common.off;

	window_set(rig, bar, off + VIRTIO_PCI_COMMON_STATUS, 1);
	cfg_write(rig->m, WINDOW_DATA(rig), 4, 0xffffff01);
	CHECK_EQ(rig->way->status(rig), 1);
	window_set(rig, bar, off + VIRTIO_PCI_COMMON_NUMQ, 2);
	CHECK_EQ(cfg_read(rig->m, WINDOW_DATA(rig), 2), 2);
	window_set(rig, bar, off + VIRTIO_PCI_COMMON_GFSELECT, 4);
	cfg_write(rig->m, WINDOW_DATA(rig), 4, 1);
	CHECK_EQ(cfg_read(rig->m, WINDOW_DATA(rig), 4), 1);
}

/* Where it does not point at registers nothing is accessed, and nothing breaks. */
static void window_elsewhere(struct rig *rig)
{
	static const struct {
		uint32_t off, len;
	} bad[] = {{0x4000, 4},
		   {0xfffffffc, 4},
		   {VIRTIO_PCI_COMMON_STATUS + 1, 4},
		   {VIRTIO_PCI_COMMON_STATUS, 3},
		   {VIRTIO_PCI_COMMON_STATUS, 0},
		   {VIRTIO_PCI_COMMON_STATUS, 0x80000001}};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		window_set(rig, rig->common.bar, bad[i].off, bad[i].len);
		cfg_write(rig->m, WINDOW_DATA(rig), 4, 0x03030303);
		cfg_read(rig->m, WINDOW_DATA(rig), 4);
	}
	for (unsigned int bar = 0; bar < 256; bar++) {
		if (bar == rig->common.bar)
			continue;
		window_set(rig, bar, rig->common.off + VIRTIO_PCI_COMMON_STATUS, 1);
		cfg_write(rig->m, WINDOW_DATA(rig), 1, 3);
	}
	CHECK_EQ(rig->way->status(rig), 0);
	rig_start(rig, 0);
	toy_exchange(rig, 0);
}

/* Every BAR that one of the other capabilities names, and the legacy registers, too. */
static void window_notifies(struct rig *rig)
{
	const struct drv_buf buf = {BUF(0), 16};

	rig_start(rig, 0);
	CHECK(drv_add(&rig->q[1], &buf, 0, 1, 0) >= 0);
	window_set(rig, rig->notify.bar, rig->notify.off + rig->notify_step, 2);
	cfg_write(rig->m, WINDOW_DATA(rig), 2, 1);
	CHECK_EQ(rig_wait(rig, 1), 16);
}

#define T      BIT_OF(TOY)
#define PLAIN  BIT_OF(PCI)
#define MAPPED (BIT_OF(PCI) | BIT_OF(PCI_BOTH))

const struct check pci_checks[] = {
	{"4.1.2.1", "has the ids of a device that is not transitional", PLAIN, 0, ALL_KINDS,
	 identity},
	{"4.1.4.3.1", "has common, notification, ISR and window capabilities, inside its BARs",
	 MAPPED, 0, ALL_KINDS, capabilities},
	{"4.1.4.2", "counts all of a capability in cap_len, read-only", MAPPED, 0, ALL_KINDS,
	 capability_lengths},
	{"4.1.4.4.1", "has room for every queue's notification", MAPPED, 0, ALL_KINDS,
	 notify_capability},
	{"4.1.4.6.1", "has a device capability if it has such configuration, aligned", MAPPED, 0,
	 ALL_KINDS, device_capability},
	{"4.1.4.3.1", "presents the features that it offers and that the driver wrote, by words",
	 MAPPED, 0, T, feature_words},
	{"4.1.4.3.1", "has registers as new after a reset", MAPPED, 0, T, registers_after_reset},
	{"4.1.3.1", "takes 64-bit addresses by halves", MAPPED, 0, T, address_halves},
	{"4.1.4.3", "says how many queues there are, read-only", MAPPED, 0, ALL_KINDS, num_queues},
	{"4.1.4.3.1", "presents 0 or a power of two in queue_size", MAPPED, 0, T,
	 queue_size_register},
	{"4.1.4.3.2", "is not stopped by a 0 in queue_enable", MAPPED, BOTH_RINGS, T,
	 queue_enable_0},
	{"4.1.4.3.1", "presents 0 in queue_reset and queue_enable after a queue's reset", MAPPED,
	 BOTH_RINGS, T, queue_reset_register},
	{"4.1.3.1", "survives accesses of any width anywhere", MAPPED, 0, T, odd_accesses},
	{"4.1.5.2", "is notified by KVM", MAPPED, 0, T, notified_by_kvm},
	{"4.1.4.5.1", "says in the ISR and the PCI status why it interrupts, until that is read",
	 PCI_WAYS, 0, T, isr_says_why},
	{"4.1.4.5.1", "keeps the PCI status when INTx is masked", PCI_WAYS, 0, T,
	 intx_can_be_masked},
	{"4.1.5.1.2.1", "maps any event to any vector, and to none", MAPPED, 0, T, msix_table_size},
	{"4.1.5.1.2.1", "reports a vector that cannot be as NO_VECTOR", MAPPED, 0, T,
	 msix_refuses_vectors},
	{"4.1.5.3.1", "sends the vectors of its queues and of its configuration", MAPPED,
	 BOTH_RINGS, T, msix_sends_vectors},
	{"4.1.5.3.1", "sends nothing for an event without a vector", MAPPED, 0, T,
	 msix_unmapped_is_silent},
	{"4.1.5.3.1", "holds a masked vector back until it is unmasked", MAPPED, 0, T,
	 msix_mask_holds_back},
	{"4.1.4.5.1", "sets the configuration bit of the ISR with MSI-X, too", MAPPED, 0, T,
	 isr_has_config_bit_with_msix},
	{"4.1", "follows its BAR, ioeventfds included", PLAIN, BOTH_RINGS, T, follows_its_bar},
	{"2.4.1", "raises nothing after it is gone", MAPPED, BOTH_RINGS, T, goes_while_busy},
	{"4.1.4.9", "has a window with writable bar, offset, length", PCI_WAYS, 0, T,
	 window_is_writable},
	{"4.1.4.9.1", "reads and writes as many bytes as the window's length says", PCI_WAYS, 0, T,
	 window_widths},
	{"4.1.4.9", "does nothing through a window to elsewhere", PCI_WAYS, 0, T, window_elsewhere},
	{"4.1.4.9.1", "is notified through the window", PCI_WAYS, BOTH_RINGS, T, window_notifies},
	{0},
};
