// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci.h"

#define CF8 0xcf8
#define CFC 0xcfc

uint64_t pci_ecam = ECAM_BASE;

static uint64_t ecam(uint8_t bdf, unsigned int reg)
{
	return pci_ecam + ((uint64_t)bdf << 12) + reg;
}

uint8_t pci_read8(uint8_t bdf, unsigned int reg)
{
	return read8(ecam(bdf, reg));
}

uint16_t pci_read16(uint8_t bdf, unsigned int reg)
{
	return read16(ecam(bdf, reg));
}

uint32_t pci_read32(uint8_t bdf, unsigned int reg)
{
	return read32(ecam(bdf, reg));
}

void pci_write8(uint8_t bdf, unsigned int reg, uint8_t val)
{
	write8(ecam(bdf, reg), val);
}

void pci_write16(uint8_t bdf, unsigned int reg, uint16_t val)
{
	write16(ecam(bdf, reg), val);
}

void pci_write32(uint8_t bdf, unsigned int reg, uint32_t val)
{
	write32(ecam(bdf, reg), val);
}

static void cf8_select(uint8_t bdf, unsigned int reg)
{
	outl(CF8, 1u << 31 | (uint32_t)bdf << 8 | (reg & 0xfc));
}

uint32_t cf8_read(uint8_t bdf, unsigned int reg, unsigned int len)
{
	uint16_t port = CFC + (reg & 3);

	cf8_select(bdf, reg);
	return len == 1 ? inb(port) : len == 2 ? inw(port) : inl(port);
}

void cf8_write(uint8_t bdf, unsigned int reg, unsigned int len, uint32_t val)
{
	uint16_t port = CFC + (reg & 3);

	cf8_select(bdf, reg);
	if (len == 1)
		outb(port, val);
	else if (len == 2)
		outw(port, val);
	else
		outl(port, val);
}

bool pci_exists(uint8_t bdf)
{
	return pci_read16(bdf, PCI_VENDOR) != 0xffff;
}

int pci_find(uint16_t vendor, uint16_t device, unsigned int nth)
{
	for (unsigned int bdf = 0; bdf < 256; bdf++)
		if (pci_read32(bdf, PCI_VENDOR) == ((uint32_t)device << 16 | vendor) && nth-- == 0)
			return bdf;
	return -1;
}

unsigned int pci_find_capability(uint8_t bdf, uint8_t id, unsigned int after)
{
	unsigned int at = after ? pci_read8(bdf, after + 1) : pci_read8(bdf, PCI_CAPABILITIES);

	if (!(pci_read16(bdf, PCI_STATUS) & PCI_STATUS_CAPS))
		return 0;
	for (unsigned int left = 48; at >= 0x40 && left; left--) {
		if (pci_read8(bdf, at) == id)
			return at;
		at = pci_read8(bdf, at + 1);
	}
	return 0;
}

/* --- BARs --- */

bool bar_is_io(uint8_t bdf, unsigned int bar)
{
	return pci_read32(bdf, PCI_BAR(bar)) & 1;
}

bool bar_is_64(uint8_t bdf, unsigned int bar)
{
	return (pci_read32(bdf, PCI_BAR(bar)) & 7) == 4;
}

uint64_t bar_get(uint8_t bdf, unsigned int bar)
{
	uint64_t addr = pci_read32(bdf, PCI_BAR(bar)) & ~(bar_is_io(bdf, bar) ? 3u : 15u);

	if (bar_is_64(bdf, bar))
		addr |= (uint64_t)pci_read32(bdf, PCI_BAR(bar + 1)) << 32;
	return addr;
}

void bar_set(uint8_t bdf, unsigned int bar, uint64_t addr)
{
	bool is_64 = bar_is_64(bdf, bar);

	pci_write32(bdf, PCI_BAR(bar), addr);
	if (is_64)
		pci_write32(bdf, PCI_BAR(bar + 1), addr >> 32);
}

uint64_t bar_size(uint8_t bdf, unsigned int bar)
{
	uint64_t addr = bar_get(bdf, bar), mask, type = bar_is_io(bdf, bar) ? 3 : 15;

	bar_set(bdf, bar, ~0UL);
	mask = bar_get(bdf, bar);
	if (!bar_is_64(bdf, bar))
		mask |= 0xffffffff00000000UL;
	bar_set(bdf, bar, addr);
	mask &= ~type;
	return -mask;
}

bool bar_exists(uint8_t bdf, unsigned int bar)
{
	uint32_t old = pci_read32(bdf, PCI_BAR(bar)), mask;

	pci_write32(bdf, PCI_BAR(bar), ~0u);
	mask = pci_read32(bdf, PCI_BAR(bar));
	pci_write32(bdf, PCI_BAR(bar), old);
	return mask != 0;
}

/* --- MSI-X (PCI 3.0 §6.8.2) --- */

bool msix_find(struct msix *msix, uint8_t bdf)
{
	unsigned int cap = pci_find_capability(bdf, PCI_CAP_MSIX, 0);
	uint32_t table = pci_read32(bdf, cap + 4), pba = pci_read32(bdf, cap + 8);

	*msix = (struct msix){
		.bdf = bdf,
		.cap = cap,
		.nr_vectors = (pci_read16(bdf, cap + 2) & 0x7ff) + 1,
		.table_bar = table & 7,
		.pba_bar = pba & 7,
		.table_off = table & ~7u,
		.pba_off = pba & ~7u,
	};
	return cap != 0;
}

void msix_control(const struct msix *msix, bool enable, bool mask_all)
{
	pci_write16(msix->bdf, msix->cap + 2, enable << 15 | mask_all << 14);
}

static uint64_t msix_entry(const struct msix *msix, unsigned int nr)
{
	return bar_get(msix->bdf, msix->table_bar) + msix->table_off + 16 * nr;
}

void msix_set(const struct msix *msix, unsigned int nr, uint8_t vector)
{
	uint64_t entry = msix_entry(msix, nr);

	write32(entry, LAPIC_BASE | apic_id() << 12);
	write32(entry + 4, 0);
	write32(entry + 8, vector);
}

void msix_mask(const struct msix *msix, unsigned int nr, bool mask)
{
	write32(msix_entry(msix, nr) + 12, mask);
}

bool msix_pending(const struct msix *msix, unsigned int nr)
{
	uint64_t pba = bar_get(msix->bdf, msix->pba_bar) + msix->pba_off;

	return read32(pba + nr / 32 * 4) >> nr % 32 & 1;
}
