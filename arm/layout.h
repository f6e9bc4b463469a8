/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_ARM_LAYOUT_H
#define LKVM_ARM_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Every address and interrupt number of the arm64 machine stands here and nowhere else. The map is
 * kvmtool's, so that its guests and firmware find what they look for. layout.c has the same as a
 * table, which a unit test checks for overlaps.
 */

/* --- guest physical addresses --- */
#define LAYOUT_PCI_IO	      0x0ULL /* ports 0 to 0xffff */
#define LAYOUT_PCI_IO_SIZE    0x10000ULL
#define LAYOUT_UART	      0x1000000ULL
#define LAYOUT_UART_STRIDE    0x1000ULL
#define LAYOUT_RTC	      0x1010000ULL
#define LAYOUT_PVTIME	      0x1020000ULL /* stolen time: 64 bytes a vCPU */
#define LAYOUT_PVTIME_SIZE    0x10000ULL
#define LAYOUT_GPIO	      0x1030000ULL /* not in the map of kvmtool, which has no power button */
#define LAYOUT_FLASH	      0x2000000ULL
#define LAYOUT_FLASH_MAX_SIZE 0x1000000ULL
#define LAYOUT_VIRTIO_MMIO    0x3000000ULL
/* Interrupt controllers end at 1 GiB; redistributors and then the ITS lie below the distributor. */
#define LAYOUT_GIC_DIST		 0x3fff0000ULL
#define LAYOUT_GIC_DIST_SIZE	 0x10000ULL
#define LAYOUT_GICV2_CPU	 0x3ffd0000ULL
#define LAYOUT_GICV2_CPU_SIZE	 0x20000ULL
#define LAYOUT_GICV2M		 0x3ffcf000ULL
#define LAYOUT_GICV2M_SIZE	 0x1000ULL
#define LAYOUT_GICV3_REDIST_SIZE 0x20000ULL /* of each vCPU */
#define LAYOUT_GICV3_ITS_SIZE	 0x20000ULL
#define LAYOUT_ECAM		 0x40000000ULL
#define LAYOUT_ECAM_SIZE	 0x100000ULL /* bus 0; 256 MiB are kept free for all buses */
#define LAYOUT_PCI_MEM32	 0x50000000ULL
#define LAYOUT_PCI_MEM32_SIZE	 0x30000000ULL
#define LAYOUT_RAM		 0x80000000ULL /* or higher, by --mem SIZE@ADDR */
#define LAYOUT_RAM_ALIGN	 0x200000ULL

/* 64-bit BARs: above RAM, this much or what the guest's physical addresses leave. */
#define LAYOUT_PCI_MEM64_SIZE  (64ULL << 30)
#define LAYOUT_PCI_MEM64_ALIGN (1ULL << 30)

/* Linux takes a device tree of up to 2 MiB that lies in one 2 MiB block (booting.rst). */
#define LAYOUT_FDT_ALIGN 0x200000ULL
#define LAYOUT_FDT_SIZE	 0x40000ULL
/* Kernel, device tree and initrd lie within this many bytes, from a multiple of 1 GiB. */
#define LAYOUT_BOOT_WINDOW (32ULL << 30)
/* A 32-bit kernel's own mapping reaches no farther into RAM. */
#define LAYOUT_BOOT_WINDOW32 (256ULL << 20)
/* Where a kernel that does not say goes, from the start of RAM. */
#define LAYOUT_KERNEL	0x80000ULL
#define LAYOUT_KERNEL32 0x8000ULL

/* --- shared peripheral interrupts; GSI n in KVM's sense is SPI n, which is interrupt 32 + n --- */
#define LAYOUT_SPI_UART	      0 /* four */
#define LAYOUT_SPI_RTC	      4
#define LAYOUT_SPI_GPIO	      5
#define LAYOUT_SPI_INTX	      8 /* four: INTA#..INTD# of slot 0, then swizzled */
#define LAYOUT_SPI_VIRTIO     16
#define LAYOUT_NR_VIRTIO_MMIO 48
#define LAYOUT_SPI_V2M	      64 /* MSIs of GICv2m */
#define LAYOUT_NR_SPI_V2M     64
#define LAYOUT_NR_SPIS	      128
#define LAYOUT_SPI_BASE	      32 /* the interrupt number of SPI 0 */

/* Which pin of the GPIO controller is the power button. */
#define LAYOUT_GPIO_POWER 3

/* --- private peripheral interrupts, numbered from 16 (BSA 1.0 §3.4) --- */
#define LAYOUT_PPI_MAINTENANCE 9
#define LAYOUT_PPI_HYP_TIMER   10
#define LAYOUT_PPI_VIRT_TIMER  11
#define LAYOUT_PPI_HYP_VIRT    12 /* EL2's virtual timer */
#define LAYOUT_PPI_SEC_TIMER   13
#define LAYOUT_PPI_PHYS_TIMER  14
#define LAYOUT_PPI_PMU	       7
#define LAYOUT_PPI_BASE	       16

struct layout_range {
	const char *name;
	uint64_t base, size;
};

/* Address ranges and SPIs: sorted, apart. */
extern const struct layout_range layout_ranges[];
extern const size_t layout_nr_ranges;
extern const struct layout_range layout_spis[];
extern const size_t layout_nr_spis;

static inline uint64_t layout_gicv3_redist(unsigned int nr_cpus)
{
	return LAYOUT_GIC_DIST - nr_cpus * LAYOUT_GICV3_REDIST_SIZE;
}

static inline uint64_t layout_gicv3_its(unsigned int nr_cpus)
{
	return layout_gicv3_redist(nr_cpus) - LAYOUT_GICV3_ITS_SIZE;
}

#endif
