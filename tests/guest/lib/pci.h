/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef GUEST_PCI_H
#define GUEST_PCI_H

#include "lib.h"

/*
 * PCI bus 0. A function is its bdf: slot << 3 | function. pci_* go through ECAM, one address an
 * access, so that any CPU may; cf8_* use the two ports, which only one CPU at a time may.
 */
#define PCI_VENDOR	     0x00
#define PCI_DEVICE	     0x02
#define PCI_COMMAND	     0x04
#define PCI_STATUS	     0x06
#define PCI_CLASS_REV	     0x08
#define PCI_HEADER_TYPE	     0x0e
#define PCI_BAR(n)	     (0x10 + 4 * (n))
#define PCI_CAPABILITIES     0x34
#define PCI_INT_LINE	     0x3c
#define PCI_INT_PIN	     0x3d
#define PCI_COMMAND_IO	     1u
#define PCI_COMMAND_MEM	     2u
#define PCI_COMMAND_MASTER   4u
#define PCI_COMMAND_INTX_OFF 0x400u
#define PCI_STATUS_INTX	     8u
#define PCI_STATUS_CAPS	     0x10u
#define PCI_CAP_MSIX	     0x11
#define PCI_CAP_VENDOR	     0x09

extern uint64_t pci_ecam; /* ECAM_BASE, until a guest for other machines sets it */

uint8_t pci_read8(uint8_t bdf, unsigned int reg);
uint16_t pci_read16(uint8_t bdf, unsigned int reg);
uint32_t pci_read32(uint8_t bdf, unsigned int reg);
void pci_write8(uint8_t bdf, unsigned int reg, uint8_t val);
void pci_write16(uint8_t bdf, unsigned int reg, uint16_t val);
void pci_write32(uint8_t bdf, unsigned int reg, uint32_t val);

uint32_t cf8_read(uint8_t bdf, unsigned int reg, unsigned int len);
void cf8_write(uint8_t bdf, unsigned int reg, unsigned int len, uint32_t val);

bool pci_exists(uint8_t bdf);
/* The bdf of the nth (from 0) function with these ids, or -1. */
int pci_find(uint16_t vendor, uint16_t device, unsigned int nth);
/* The capability behind `after` (0: the first) with this id, or 0. */
unsigned int pci_find_capability(uint8_t bdf, uint8_t id, unsigned int after);

/* --- BARs; the number is the lower half's --- */
bool bar_exists(uint8_t bdf, unsigned int bar);
bool bar_is_io(uint8_t bdf, unsigned int bar);
bool bar_is_64(uint8_t bdf, unsigned int bar);
uint64_t bar_get(uint8_t bdf, unsigned int bar); /* the address, type bits off */
void bar_set(uint8_t bdf, unsigned int bar, uint64_t addr);
/* Sizes by writing all ones, and puts back what was there; decode stays as it is. */
uint64_t bar_size(uint8_t bdf, unsigned int bar);

static inline void pci_command(uint8_t bdf, uint16_t clear, uint16_t set)
{
	pci_write16(bdf, PCI_COMMAND, (pci_read16(bdf, PCI_COMMAND) & ~clear) | set);
}

/* --- MSI-X --- */
struct msix {
	uint8_t bdf;
	unsigned int cap, nr_vectors, table_bar, pba_bar;
	uint64_t table_off, pba_off;
};

bool msix_find(struct msix *msix, uint8_t bdf);
void msix_control(const struct msix *msix, bool enable, bool mask_all);
/* Programs a vector to arrive at this CPU; it stays masked as it is. */
void msix_set(const struct msix *msix, unsigned int nr, uint8_t vector);
void msix_mask(const struct msix *msix, unsigned int nr, bool mask);
bool msix_pending(const struct msix *msix, unsigned int nr);

#endif
