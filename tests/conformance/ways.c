// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The transports as drivers use them (virtio 1.2 §4): PCI, of which the modern interface is used
 * through BARs or through the window in configuration space, and MMIO; each with its legacy form.
 */
#include <linux/virtio_mmio.h>
#include <string.h>

#include "kvm/virtio-mmio.h"
#include "kvm/virtio-pci.h"
#include "rig.h"

#define AREA_STEP 8 /* queue_desc, queue_driver, queue_device of 4.1.4.3 */

/* --- PCI: finding things --- */

static void pci_find_bars(struct rig *rig)
{
	for (unsigned int i = 0; i < PCI_NR_BARS; i++) {
		uint32_t low = cfg_read(rig->m, PCI_BASE_ADDRESS_0 + 4 * i, 4);

		rig->bar[i] = low & PCI_BASE_ADDRESS_SPACE_IO ? low & ~3u : low & ~15u;
		if ((low & 7) == PCI_BASE_ADDRESS_MEM_TYPE_64) {
			uint64_t high = cfg_read(rig->m, PCI_BASE_ADDRESS_0 + 4 * i + 4, 4);

			rig->bar[i++] |= high << 32;
		}
	}
	rig->port = rig->bar[0];
}

static void pci_find_regs(struct rig *rig)
{
	struct machine *m = rig->m;

	for (unsigned int at = cfg_find_cap(m, 0, PCI_CAP_ID_VNDR); at;
	     at = cfg_find_cap(m, cfg_read(m, at + PCI_CAP_LIST_NEXT, 1), PCI_CAP_ID_VNDR)) {
		const struct pci_regs regs = {
			.cap = at,
			.bar = cfg_read(m, at + VIRTIO_PCI_CAP_BAR, 1),
			.off = cfg_read(m, at + VIRTIO_PCI_CAP_OFFSET, 4),
			.len = cfg_read(m, at + VIRTIO_PCI_CAP_LENGTH, 4),
		};

		switch (cfg_read(m, at + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			rig->common = regs;
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			rig->notify = regs;
			rig->notify_step = cfg_read(m, at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
			break;
		case VIRTIO_PCI_CAP_ISR_CFG:
			rig->isr = regs;
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			rig->device = regs;
			break;
		case VIRTIO_PCI_CAP_PCI_CFG:
			rig->window = at;
			break;
		}
		if (!cfg_read(m, at + PCI_CAP_LIST_NEXT, 1))
			break;
	}
	rig->msix = cfg_find_cap(m, 0, PCI_CAP_ID_MSIX);
}

static void pci_attach_as(struct rig *rig, bool transitional, uint16_t command)
{
	rig->vp = virtio_pci_create(&rig->m->pci, rig->vdev, transitional);
	CHECK(rig->vp && pci_assign_bars(&rig->m->pci) == 0);
	pci_find_bars(rig);
	pci_find_regs(rig);
	rig->gsi = cfg_read(rig->m, PCI_INTERRUPT_LINE, 1);
	cfg_write(rig->m, PCI_COMMAND, 2, command | PCI_COMMAND_MASTER);
}

static void pci_attach(struct rig *rig)
{
	pci_attach_as(rig, false, PCI_COMMAND_MEMORY);
}

/* Firmware that has given no address to any BAR. */
static void pci_attach_window(struct rig *rig)
{
	pci_attach_as(rig, false, 0);
}

static void pci_attach_both(struct rig *rig)
{
	pci_attach_as(rig, true, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
}

static void pci_attach_legacy(struct rig *rig)
{
	pci_attach_as(rig, true, PCI_COMMAND_IO);
}

static void pci_detach(struct rig *rig)
{
	virtio_pci_destroy(rig->vp);
	rig->vp = NULL;
}

/* --- PCI: the modern interface (§4.1.4) --- */

static void window_aim(struct rig *rig, uint8_t bar, uint32_t off, uint32_t len)
{
	cfg_write(rig->m, rig->window + VIRTIO_PCI_CAP_BAR, 1, bar);
	cfg_write(rig->m, rig->window + VIRTIO_PCI_CAP_OFFSET, 4, off);
	cfg_write(rig->m, rig->window + VIRTIO_PCI_CAP_LENGTH, 4, len);
}

/* One access to the registers that a capability describes. */
#define REGS(rig, regs) (rig)->regs.bar, (rig)->regs.off

static uint64_t pci_read(struct rig *rig, uint8_t bar, uint32_t base, uint32_t off,
			 unsigned int len)
{
	if (rig->way != &ways[PCI_WINDOW])
		return mem_read(rig->m, rig->bar[bar] + base + off, len);
	if (len == 8)
		return pci_read(rig, bar, base, off, 4) | pci_read(rig, bar, base, off + 4, 4)
								  << 32;
	window_aim(rig, bar, base + off, len);
	return cfg_read(rig->m, rig->window + sizeof(struct virtio_pci_cap), len);
}

static void pci_write(struct rig *rig, uint8_t bar, uint32_t base, uint32_t off, unsigned int len,
		      uint64_t val)
{
	if (rig->way != &ways[PCI_WINDOW]) {
		mem_write(rig->m, rig->bar[bar] + base + off, len, val);
	} else if (len == 8) {
		pci_write(rig, bar, base, off, 4, (uint32_t)val);
		pci_write(rig, bar, base, off + 4, 4, val >> 32);
	} else {
		window_aim(rig, bar, base + off, len);
		cfg_write(rig->m, rig->window + sizeof(struct virtio_pci_cap), len, val);
	}
}

static uint32_t common_read(struct rig *rig, uint32_t off, unsigned int len)
{
	return pci_read(rig, REGS(rig, common), off, len);
}

static void common_write(struct rig *rig, uint32_t off, unsigned int len, uint32_t val)
{
	pci_write(rig, REGS(rig, common), off, len, val);
}

static uint8_t pci_status(struct rig *rig)
{
	return common_read(rig, VIRTIO_PCI_COMMON_STATUS, 1);
}

static void pci_set_status(struct rig *rig, uint8_t status)
{
	common_write(rig, VIRTIO_PCI_COMMON_STATUS, 1, status);
}

static uint32_t pci_offered(struct rig *rig, uint32_t word)
{
	common_write(rig, VIRTIO_PCI_COMMON_DFSELECT, 4, word);
	return common_read(rig, VIRTIO_PCI_COMMON_DF, 4);
}

static void pci_accept(struct rig *rig, uint32_t word, uint32_t bits)
{
	common_write(rig, VIRTIO_PCI_COMMON_GFSELECT, 4, word);
	common_write(rig, VIRTIO_PCI_COMMON_GF, 4, bits);
}

static void pci_select(struct rig *rig, uint32_t q)
{
	common_write(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
}

static uint32_t pci_queue_size(struct rig *rig, uint32_t q)
{
	pci_select(rig, q);
	return common_read(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2);
}

static void pci_queue_set(struct rig *rig, uint32_t q, const struct virtq_config *cfg)
{
	const uint64_t area[] = {cfg->desc, cfg->driver, cfg->device};

	pci_select(rig, q);
	common_write(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2, cfg->size);
	for (unsigned int i = 0; i < ARRAY_SIZE(area); i++) {
		uint32_t at = VIRTIO_PCI_COMMON_Q_DESCLO + AREA_STEP * i;

		common_write(rig, at, 4, area[i]);
		common_write(rig, at + 4, 4, area[i] >> 32);
	}
}

static void pci_queue_enable(struct rig *rig, uint32_t q)
{
	pci_select(rig, q);
	common_write(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static bool pci_queue_enabled(struct rig *rig, uint32_t q)
{
	pci_select(rig, q);
	return common_read(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2);
}

static void pci_queue_reset(struct rig *rig, uint32_t q)
{
	pci_select(rig, q);
	common_write(rig, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	CHECK(DRV_WAIT(!common_read(rig, VIRTIO_PCI_COMMON_Q_RESET, 2)));
}

/* A queue that does not exist has no address; one behind the last that does is as good. */
static void pci_notify(struct rig *rig, uint32_t q)
{
	uint32_t off = q;

	if (pci_queue_size(rig, q))
		off = common_read(rig, VIRTIO_PCI_COMMON_Q_NOFF, 2);
	off *= rig->notify_step;
	if (off + 2 <= rig->notify.len)
		pci_write(rig, REGS(rig, notify), off, 2, q);
}

static uint64_t pci_config_read(struct rig *rig, uint32_t off, unsigned int len)
{
	return pci_read(rig, REGS(rig, device), off, len);
}

static void pci_config_write(struct rig *rig, uint32_t off, unsigned int len, uint64_t val)
{
	pci_write(rig, REGS(rig, device), off, len, val);
}

static uint32_t pci_generation(struct rig *rig)
{
	return common_read(rig, VIRTIO_PCI_COMMON_CFGGENERATION, 1);
}

static uint32_t pci_take_isr(struct rig *rig)
{
	return pci_read(rig, REGS(rig, isr), 0, 1);
}

#define PCI_MODERN_OPS                                                                            \
	.detach = pci_detach, .status = pci_status, .set_status = pci_set_status,                 \
	.offered = pci_offered, .accept = pci_accept, .queue_size = pci_queue_size,               \
	.queue_set = pci_queue_set, .queue_enable = pci_queue_enable,                             \
	.queue_enabled = pci_queue_enabled, .queue_reset = pci_queue_reset, .notify = pci_notify, \
	.config_read = pci_config_read, .config_write = pci_config_write,                         \
	.generation = pci_generation, .take_isr = pci_take_isr

/* --- PCI: the legacy interface (§4.1.4.10) --- */

static uint8_t legacy_status(struct rig *rig)
{
	return io_read(rig->m, rig->port + VIRTIO_PCI_STATUS, 1);
}

static void legacy_set_status(struct rig *rig, uint8_t status)
{
	io_write(rig->m, rig->port + VIRTIO_PCI_STATUS, 1, status);
}

static uint32_t legacy_offered(struct rig *rig, uint32_t word)
{
	return word ? 0 : io_read(rig->m, rig->port + VIRTIO_PCI_HOST_FEATURES, 4);
}

static void legacy_accept(struct rig *rig, uint32_t word, uint32_t bits)
{
	if (!word)
		io_write(rig->m, rig->port + VIRTIO_PCI_GUEST_FEATURES, 4, bits);
}

static void legacy_select(struct rig *rig, uint32_t q)
{
	io_write(rig->m, rig->port + VIRTIO_PCI_QUEUE_SEL, 2, q);
}

static uint32_t legacy_queue_size(struct rig *rig, uint32_t q)
{
	legacy_select(rig, q);
	return io_read(rig->m, rig->port + VIRTIO_PCI_QUEUE_NUM, 2);
}

static void legacy_queue_set(struct rig *rig, uint32_t q, const struct virtq_config *cfg)
{
	if (q < RIG_QUEUES)
		rig->area[q] = cfg->desc;
}

static void legacy_queue_enable(struct rig *rig, uint32_t q)
{
	legacy_select(rig, q);
	io_write(rig->m, rig->port + VIRTIO_PCI_QUEUE_PFN, 4,
		 (q < RIG_QUEUES ? rig->area[q] : DRV_GPA) >> VIRTIO_PCI_QUEUE_ADDR_SHIFT);
}

static bool legacy_queue_enabled(struct rig *rig, uint32_t q)
{
	legacy_select(rig, q);
	return io_read(rig->m, rig->port + VIRTIO_PCI_QUEUE_PFN, 4);
}

static void legacy_queue_disable(struct rig *rig, uint32_t q)
{
	legacy_select(rig, q);
	io_write(rig->m, rig->port + VIRTIO_PCI_QUEUE_PFN, 4, 0);
}

static void legacy_notify(struct rig *rig, uint32_t q)
{
	io_write(rig->m, rig->port + VIRTIO_PCI_QUEUE_NOTIFY, 2, q);
}

static uint32_t legacy_config(struct rig *rig)
{
	uint16_t flags = cfg_read(rig->m, rig->msix + PCI_MSIX_FLAGS, 2);

	return rig->port + VIRTIO_PCI_CONFIG_OFF(!!(flags & PCI_MSIX_FLAGS_ENABLE));
}

static uint64_t legacy_config_read(struct rig *rig, uint32_t off, unsigned int len)
{
	uint32_t at = legacy_config(rig) + off;

	if (len < 8)
		return io_read(rig->m, at, len);
	return io_read(rig->m, at, 4) | (uint64_t)io_read(rig->m, at + 4, 4) << 32;
}

static void legacy_config_write(struct rig *rig, uint32_t off, unsigned int len, uint64_t val)
{
	io_write(rig->m, legacy_config(rig) + off, len, val);
}

static uint32_t legacy_take_isr(struct rig *rig)
{
	return io_read(rig->m, rig->port + VIRTIO_PCI_ISR, 1);
}

/* --- MMIO (§4.2) --- */

static uint32_t reg_read(struct rig *rig, uint32_t off)
{
	return mem_read(rig->m, rig->mmio + off, 4);
}

static void reg_write(struct rig *rig, uint32_t off, uint32_t val)
{
	mem_write(rig->m, rig->mmio + off, 4, val);
}

static void mmio_attach_as(struct rig *rig, bool legacy)
{
	const struct virtio_mmio_place place = {rig->mmio, rig->gsi};

	rig->mio = virtio_mmio_create(&rig->m->mmio, &rig->m->irq, -1, &place, rig->vdev, legacy);
	CHECK(rig->mio);
}

static void mmio_attach(struct rig *rig)
{
	mmio_attach_as(rig, false);
}

static void mmio_detach(struct rig *rig)
{
	virtio_mmio_destroy(rig->mio);
	rig->mio = NULL;
}

static uint8_t mmio_status(struct rig *rig)
{
	return reg_read(rig, VIRTIO_MMIO_STATUS);
}

static void mmio_set_status(struct rig *rig, uint8_t status)
{
	reg_write(rig, VIRTIO_MMIO_STATUS, status);
}

static uint32_t mmio_offered(struct rig *rig, uint32_t word)
{
	reg_write(rig, VIRTIO_MMIO_DEVICE_FEATURES_SEL, word);
	return reg_read(rig, VIRTIO_MMIO_DEVICE_FEATURES);
}

static void mmio_accept(struct rig *rig, uint32_t word, uint32_t bits)
{
	reg_write(rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
	reg_write(rig, VIRTIO_MMIO_DRIVER_FEATURES, bits);
}

static uint32_t mmio_queue_size(struct rig *rig, uint32_t q)
{
	reg_write(rig, VIRTIO_MMIO_QUEUE_SEL, q);
	return reg_read(rig, VIRTIO_MMIO_QUEUE_NUM_MAX);
}

static void mmio_queue_set(struct rig *rig, uint32_t q, const struct virtq_config *cfg)
{
	const struct {
		uint32_t off;
		uint64_t area;
	} areas[] = {
		{VIRTIO_MMIO_QUEUE_DESC_LOW, cfg->desc},
		{VIRTIO_MMIO_QUEUE_AVAIL_LOW, cfg->driver},
		{VIRTIO_MMIO_QUEUE_USED_LOW, cfg->device},
	};

	reg_write(rig, VIRTIO_MMIO_QUEUE_SEL, q);
	reg_write(rig, VIRTIO_MMIO_QUEUE_NUM, cfg->size);
	for (unsigned int i = 0; i < ARRAY_SIZE(areas); i++) {
		reg_write(rig, areas[i].off, areas[i].area);
		reg_write(rig, areas[i].off + 4, areas[i].area >> 32);
	}
}

static void mmio_queue_ready(struct rig *rig, uint32_t q, uint32_t ready)
{
	reg_write(rig, VIRTIO_MMIO_QUEUE_SEL, q);
	reg_write(rig, VIRTIO_MMIO_QUEUE_READY, ready);
}

static void mmio_queue_enable(struct rig *rig, uint32_t q)
{
	mmio_queue_ready(rig, q, 1);
}

static void mmio_queue_disable(struct rig *rig, uint32_t q)
{
	mmio_queue_ready(rig, q, 0);
	CHECK(DRV_WAIT(!reg_read(rig, VIRTIO_MMIO_QUEUE_READY)));
}

static bool mmio_queue_enabled(struct rig *rig, uint32_t q)
{
	reg_write(rig, VIRTIO_MMIO_QUEUE_SEL, q);
	return reg_read(rig, VIRTIO_MMIO_QUEUE_READY);
}

static void mmio_queue_reset(struct rig *rig, uint32_t q)
{
	reg_write(rig, VIRTIO_MMIO_QUEUE_SEL, q);
	reg_write(rig, MMIO_QUEUE_RESET, 1);
	CHECK(DRV_WAIT(!reg_read(rig, MMIO_QUEUE_RESET)));
}

static void mmio_notify(struct rig *rig, uint32_t q)
{
	reg_write(rig, VIRTIO_MMIO_QUEUE_NOTIFY, q);
}

static uint64_t mmio_config_read(struct rig *rig, uint32_t off, unsigned int len)
{
	return mem_read(rig->m, rig->mmio + VIRTIO_MMIO_CONFIG + off, len);
}

static void mmio_config_write(struct rig *rig, uint32_t off, unsigned int len, uint64_t val)
{
	mem_write(rig->m, rig->mmio + VIRTIO_MMIO_CONFIG + off, len, val);
}

static uint32_t mmio_generation(struct rig *rig)
{
	return reg_read(rig, VIRTIO_MMIO_CONFIG_GENERATION);
}

static uint32_t mmio_take_isr(struct rig *rig)
{
	uint32_t isr = reg_read(rig, VIRTIO_MMIO_INTERRUPT_STATUS);

	reg_write(rig, VIRTIO_MMIO_INTERRUPT_ACK, isr);
	return isr;
}

/* --- MMIO, version 1 (§4.2.4) --- */

/* In Linux' order: the page size is told once, before the device is used. */
static void mmio_attach_legacy(struct rig *rig)
{
	mmio_attach_as(rig, true);
	reg_write(rig, VIRTIO_MMIO_GUEST_PAGE_SIZE, LEGACY_PAGE);
}

static void mmio_legacy_queue_set(struct rig *rig, uint32_t q, const struct virtq_config *cfg)
{
	reg_write(rig, VIRTIO_MMIO_QUEUE_SEL, q);
	reg_write(rig, VIRTIO_MMIO_QUEUE_NUM, cfg->size);
	reg_write(rig, VIRTIO_MMIO_QUEUE_ALIGN, LEGACY_PAGE);
	if (q < RIG_QUEUES)
		rig->area[q] = cfg->desc;
}

static void mmio_legacy_queue_pfn(struct rig *rig, uint32_t q, uint64_t gpa)
{
	reg_write(rig, VIRTIO_MMIO_QUEUE_SEL, q);
	reg_write(rig, VIRTIO_MMIO_QUEUE_PFN, gpa / LEGACY_PAGE);
}

static void mmio_legacy_queue_enable(struct rig *rig, uint32_t q)
{
	mmio_legacy_queue_pfn(rig, q, q < RIG_QUEUES ? rig->area[q] : DRV_GPA);
}

static void mmio_legacy_queue_disable(struct rig *rig, uint32_t q)
{
	mmio_legacy_queue_pfn(rig, q, 0);
}

static bool mmio_legacy_queue_enabled(struct rig *rig, uint32_t q)
{
	reg_write(rig, VIRTIO_MMIO_QUEUE_SEL, q);
	return reg_read(rig, VIRTIO_MMIO_QUEUE_PFN);
}

/* What the two versions have in common. */
#define MMIO_OPS                                                                                   \
	.detach = mmio_detach, .status = mmio_status, .set_status = mmio_set_status,               \
	.offered = mmio_offered, .accept = mmio_accept, .queue_size = mmio_queue_size,             \
	.notify = mmio_notify, .config_read = mmio_config_read, .config_write = mmio_config_write, \
	.take_isr = mmio_take_isr

const struct way ways[NR_WAYS] = {
	[PCI] = {.name = "pci", .attach = pci_attach, PCI_MODERN_OPS},
	[PCI_WINDOW] = {.name = "pci-window", .attach = pci_attach_window, PCI_MODERN_OPS},
	[PCI_BOTH] = {.name = "pci-transitional", .attach = pci_attach_both, PCI_MODERN_OPS},
	[PCI_LEGACY] =
		{
			.name = "pci-legacy",
			.legacy = true,
			.attach = pci_attach_legacy,
			.detach = pci_detach,
			.status = legacy_status,
			.set_status = legacy_set_status,
			.offered = legacy_offered,
			.accept = legacy_accept,
			.queue_size = legacy_queue_size,
			.queue_set = legacy_queue_set,
			.queue_enable = legacy_queue_enable,
			.queue_enabled = legacy_queue_enabled,
			.queue_disable = legacy_queue_disable,
			.notify = legacy_notify,
			.config_read = legacy_config_read,
			.config_write = legacy_config_write,
			.take_isr = legacy_take_isr,
		},
	[MMIO] =
		{
			.name = "mmio",
			.attach = mmio_attach,
			MMIO_OPS,
			.queue_set = mmio_queue_set,
			.queue_enable = mmio_queue_enable,
			.queue_enabled = mmio_queue_enabled,
			.queue_reset = mmio_queue_reset,
			.queue_disable = mmio_queue_disable,
			.generation = mmio_generation,
		},
	[MMIO_LEGACY] =
		{
			.name = "mmio-legacy",
			.legacy = true,
			.attach = mmio_attach_legacy,
			MMIO_OPS,
			.queue_set = mmio_legacy_queue_set,
			.queue_enable = mmio_legacy_queue_enable,
			.queue_enabled = mmio_legacy_queue_enabled,
			.queue_disable = mmio_legacy_queue_disable,
		},
};
