/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_X86_LAYOUT_H
#define LKVM_X86_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

struct boot_e820_entry;
struct memory;

/*
 * Every address and interrupt number of the x86 machine stands here and nowhere else. layout.c has
 * the same as a table, from which the E820 map is made and which a unit test checks for overlaps.
 */

/* --- guest physical addresses: below 1 MiB, what lkvm leaves there for the kernel --- */
#define LAYOUT_GDT		 0x1000
#define LAYOUT_BOOT_PARAMS	 0x2000 /* Linux' zero page */
#define LAYOUT_START_INFO	 0x3000 /* PVH's hvm_start_info and what it points to */
#define LAYOUT_START_INFO_SIZE	 0x1000
#define LAYOUT_PAGE_TABLES	 0x4000
#define LAYOUT_PAGE_TABLES_SIZE	 0x6000
#define LAYOUT_FLAT		 0x10000 /* flat binaries: 1000:0000 */
#define LAYOUT_CMDLINE		 0x20000
#define LAYOUT_CMDLINE_SIZE	 0x10000
#define LAYOUT_LOW_RAM_END	 0x9fc00 /* where a PC's EBDA begins */
#define LAYOUT_ACPI		 0xe0000 /* the RSDP is looked for from here (ACPI 6.4 §5.2.5.1) */
#define LAYOUT_ACPI_SIZE	 0x1c000
#define LAYOUT_MPTABLE		 0xfc000 /* searched from 0xf0000 (MP 1.4 §4) */
#define LAYOUT_MPTABLE_SIZE	 0x4000
#define LAYOUT_FIRMWARE_LOW	 0xe0000 /* a firmware's end once more; no tables then */
#define LAYOUT_FIRMWARE_LOW_SIZE 0x20000
#define LAYOUT_HIGH_RAM		 0x100000

/* --- the gap below 4 GiB --- */
#define LAYOUT_GAP		 0xc0000000ULL /* RAM ends here, the rest follows at 4 GiB */
#define LAYOUT_PCI_MEM32	 0xc0000000ULL
#define LAYOUT_PCI_MEM32_SIZE	 0x20000000ULL
#define LAYOUT_ECAM		 0xe0000000ULL /* bus 0 */
#define LAYOUT_ECAM_SIZE	 0x100000ULL
#define LAYOUT_VIRTIO_MMIO	 0xfeb00000ULL
#define LAYOUT_VIRTIO_MMIO_SIZE	 0x10000ULL
#define LAYOUT_IOAPIC		 0xfec00000ULL /* fixed by KVM */
#define LAYOUT_LAPIC		 0xfee00000ULL
#define LAYOUT_IDENTITY_MAP	 0xfeffc000ULL /* 4 pages that KVM needs on old Intel CPUs */
#define LAYOUT_TSS		 0xfeffd000ULL
#define LAYOUT_FIRMWARE		 0xff000000ULL /* ends at 4 GiB */
#define LAYOUT_FIRMWARE_MAX_SIZE 0x1000000ULL
#define LAYOUT_4G		 0x100000000ULL

/* 64-bit BARs: above RAM, this much or what the guest's physical addresses leave. */
#define LAYOUT_PCI_MEM64_SIZE  (64ULL << 30)
#define LAYOUT_PCI_MEM64_ALIGN (1ULL << 30)

/* --- ports --- */
#define LAYOUT_I8042	   0x60 /* and 0x64 */
#define LAYOUT_PORT_B	   0x61 /* speaker, timer 2: KVM's PIT has it, or ports.c */
#define LAYOUT_RTC	   0x70
#define LAYOUT_POST	   0x80 /* POST codes; Linux writes here to wait a microsecond */
#define LAYOUT_PORT_A	   0x92 /* A20 gate, fast reset */
#define LAYOUT_COM1	   0x3f8
#define LAYOUT_COM2	   0x2f8
#define LAYOUT_COM3	   0x3e8
#define LAYOUT_COM4	   0x2e8
#define LAYOUT_ACPI_PM	   0x600 /* ACPI_PM_SIZE ports, pvpanic among them */
#define LAYOUT_PCI_CF8	   0xcf8
#define LAYOUT_PCI_IO	   0xc000
#define LAYOUT_PCI_IO_SIZE 0x4000

/* --- GSIs, in KVM's sense --- */
#define LAYOUT_GSI_KBD	 1
#define LAYOUT_GSI_COM24 3
#define LAYOUT_GSI_COM13 4
#define LAYOUT_GSI_RTC	 8
#define LAYOUT_GSI_SCI	 9
#define LAYOUT_GSI_MOUSE 12
#define LAYOUT_GSI_INTX	 16 /* four: INTA#..INTD# of slot 0, then swizzled */
#define LAYOUT_NR_PINS	 24
/* The timer's IRQ 0 arrives at this pin of the IOAPIC, as on every PC since the MP specification. */
#define LAYOUT_TIMER_PIN 2
/*
 * virtio-mmio devices share the ISA interrupts that no device here has and INTx leaves alone at the
 * PIC. Others would do for ACPI, but a command line can only name interrupts that Linux has set up
 * by itself, which are the ISA bus's.
 */
#define LAYOUT_VIRTIO_MMIO_GSIS \
	{                       \
		6, 14, 15       \
	}
/* The same four INTx lines at the PIC, for kernels that do without the IOAPIC. */
#define LAYOUT_INTX_PIC      \
	{                    \
		10, 11, 5, 7 \
	}
#define LAYOUT_IOAPIC_ID 0 /* what KVM's IOAPIC reads as after reset */

enum layout_space { LAYOUT_MEMORY, LAYOUT_PORTS };

struct layout_range {
	const char *name;
	enum layout_space space;
	uint64_t base, size;
};

extern const struct layout_range layout_ranges[];
extern const size_t layout_nr_ranges;

/* Splits RAM of `size` bytes around the gap. */
static inline uint64_t layout_low_ram(uint64_t size)
{
	return size < LAYOUT_GAP ? size : LAYOUT_GAP;
}

static inline uint64_t layout_ram_end(uint64_t size)
{
	return size <= LAYOUT_GAP ? size : LAYOUT_4G + size - LAYOUT_GAP;
}

/*
 * The memory map as a PC's firmware reports it (ACPI 6.4 §15): RAM, and what is neither RAM nor
 * free for PCI. Writes at most LAYOUT_E820_MAX entries, sorted; returns how many.
 */
#define LAYOUT_E820_MAX 8
unsigned int layout_e820(const struct memory *mem, struct boot_e820_entry *map);

#endif
