// SPDX-License-Identifier: GPL-2.0-or-later
#include "layout.h"

#include <asm/bootparam.h>

#include "kvm/acpi-pm.h"
#include "kvm/memory.h"
#include "kvm/serial.h"
#include "kvm/util.h"

#define E820_RAM      1
#define E820_RESERVED 2

/* Sorted within a space; firmware's low copy shares its place with the tables by design. */
const struct layout_range layout_ranges[] = {
	{"GDT", LAYOUT_MEMORY, LAYOUT_GDT, 0x1000},
	{"boot_params", LAYOUT_MEMORY, LAYOUT_BOOT_PARAMS, sizeof(struct boot_params)},
	{"start info", LAYOUT_MEMORY, LAYOUT_START_INFO, LAYOUT_START_INFO_SIZE},
	{"page tables", LAYOUT_MEMORY, LAYOUT_PAGE_TABLES, LAYOUT_PAGE_TABLES_SIZE},
	{"command line", LAYOUT_MEMORY, LAYOUT_CMDLINE, LAYOUT_CMDLINE_SIZE},
	{"ACPI tables", LAYOUT_MEMORY, LAYOUT_ACPI, LAYOUT_ACPI_SIZE},
	{"MP table", LAYOUT_MEMORY, LAYOUT_MPTABLE, LAYOUT_MPTABLE_SIZE},
	{"RAM from 1 MiB", LAYOUT_MEMORY, LAYOUT_HIGH_RAM, LAYOUT_GAP - LAYOUT_HIGH_RAM},
	{"PCI 32-bit window", LAYOUT_MEMORY, LAYOUT_PCI_MEM32, LAYOUT_PCI_MEM32_SIZE},
	{"ECAM", LAYOUT_MEMORY, LAYOUT_ECAM, LAYOUT_ECAM_SIZE},
	{"virtio-mmio", LAYOUT_MEMORY, LAYOUT_VIRTIO_MMIO, LAYOUT_VIRTIO_MMIO_SIZE},
	{"IOAPIC", LAYOUT_MEMORY, LAYOUT_IOAPIC, 0x1000},
	{"LAPIC", LAYOUT_MEMORY, LAYOUT_LAPIC, 0x1000},
	{"KVM identity map", LAYOUT_MEMORY, LAYOUT_IDENTITY_MAP, 0x1000},
	{"KVM TSS", LAYOUT_MEMORY, LAYOUT_TSS, 0x3000},
	{"firmware", LAYOUT_MEMORY, LAYOUT_FIRMWARE, LAYOUT_FIRMWARE_MAX_SIZE},

	{"PIC 1", LAYOUT_PORTS, 0x20, 2},
	{"PIT", LAYOUT_PORTS, 0x40, 4},
	{"i8042 data", LAYOUT_PORTS, LAYOUT_I8042, 1},
	{"port B", LAYOUT_PORTS, LAYOUT_PORT_B, 1},
	{"i8042 command", LAYOUT_PORTS, LAYOUT_I8042 + 4, 1},
	{"RTC", LAYOUT_PORTS, LAYOUT_RTC, 2},
	{"POST", LAYOUT_PORTS, LAYOUT_POST, 1},
	{"port A", LAYOUT_PORTS, LAYOUT_PORT_A, 1},
	{"PIC 2", LAYOUT_PORTS, 0xa0, 2},
	{"COM4", LAYOUT_PORTS, LAYOUT_COM4, SERIAL_SIZE},
	{"COM2", LAYOUT_PORTS, LAYOUT_COM2, SERIAL_SIZE},
	{"COM3", LAYOUT_PORTS, LAYOUT_COM3, SERIAL_SIZE},
	{"COM1", LAYOUT_PORTS, LAYOUT_COM1, SERIAL_SIZE},
	{"ELCR", LAYOUT_PORTS, 0x4d0, 2},
	{"ACPI PM", LAYOUT_PORTS, LAYOUT_ACPI_PM, ACPI_PM_SIZE},
	{"PCI CF8/CFC", LAYOUT_PORTS, LAYOUT_PCI_CF8, 8},
	{"PCI I/O window", LAYOUT_PORTS, LAYOUT_PCI_IO, LAYOUT_PCI_IO_SIZE},
};

const size_t layout_nr_ranges = ARRAY_SIZE(layout_ranges);

unsigned int layout_e820(const struct memory *mem, struct boot_e820_entry *map)
{
	const struct memory_bank *low = &mem->bank[0];
	unsigned int nr = 0;

	map[nr++] = (struct boot_e820_entry){0, LAYOUT_LOW_RAM_END, E820_RAM};
	map[nr++] = (struct boot_e820_entry){LAYOUT_LOW_RAM_END,
					     LAYOUT_HIGH_RAM - LAYOUT_LOW_RAM_END, E820_RESERVED};
	map[nr++] =
		(struct boot_e820_entry){LAYOUT_HIGH_RAM, low->size - LAYOUT_HIGH_RAM, E820_RAM};
	map[nr++] = (struct boot_e820_entry){LAYOUT_ECAM, LAYOUT_ECAM_SIZE, E820_RESERVED};
	map[nr++] = (struct boot_e820_entry){LAYOUT_IDENTITY_MAP, 0x4000, E820_RESERVED};
	for (unsigned int i = 1; i < mem->nr_banks; i++)
		map[nr++] = (struct boot_e820_entry){mem->bank[i].gpa, mem->bank[i].size, E820_RAM};
	return nr;
}
