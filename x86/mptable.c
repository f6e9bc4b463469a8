// SPDX-License-Identifier: GPL-2.0-or-later
#include "mptable.h"

#include <stdbool.h>
#include <string.h>

#include "kvm/pci.h"
#include "kvm/util.h"
#include "layout.h"

#define MPTABLE_PACKED __attribute__((packed))

#define MPTABLE_APIC_VERSION   0x14
#define MPTABLE_IOAPIC_VERSION 0x11
#define MPTABLE_BUS_PCI	       0
#define MPTABLE_BUS_ISA	       1
#define MPTABLE_ALL_APICS      0xff

struct mptable_pointer { /* MP 1.4 §4.1 */
	char signature[4];
	uint32_t table;
	uint8_t length, revision, checksum, feature[5];
} MPTABLE_PACKED;

struct mptable_header { /* §4.2 */
	char signature[4];
	uint16_t length;
	uint8_t revision, checksum;
	char oem_id[8], product_id[12];
	uint32_t oem_table;
	uint16_t oem_size, nr_entries;
	uint32_t lapic;
	uint16_t extended_length;
	uint8_t extended_checksum, reserved;
} MPTABLE_PACKED;

struct mptable_cpu { /* §4.3.1, type 0 */
	uint8_t type, apic_id, version, flags;
	uint32_t signature, features, reserved[2];
} MPTABLE_PACKED;

#define MPTABLE_CPU_ENABLED 1
#define MPTABLE_CPU_BSP	    2

struct mptable_bus { /* §4.3.2, type 1 */
	uint8_t type, id;
	char name[6];
} MPTABLE_PACKED;

struct mptable_ioapic { /* §4.3.3, type 2 */
	uint8_t type, id, version, flags;
	uint32_t address;
} MPTABLE_PACKED;

struct mptable_interrupt { /* §4.3.4 and §4.3.5, types 3 (IOAPIC) and 4 (local) */
	uint8_t type, kind;
	uint16_t flags;
	uint8_t bus, bus_irq, apic, pin;
} MPTABLE_PACKED;

enum mptable_kind { MPTABLE_INT, MPTABLE_NMI, MPTABLE_SMI, MPTABLE_EXTINT };

#define MPTABLE_LEVEL_HIGH 0xd /* trigger and polarity; 0: as the bus has it */

struct mptable {
	uint8_t *buf;
	size_t len, cap;
	unsigned int nr_entries;
	bool full;
};

static void mptable_add(struct mptable *table, const void *entry, size_t len)
{
	if (table->full || len > table->cap - table->len) {
		table->full = true;
		return;
	}
	memcpy(table->buf + table->len, entry, len);
	table->len += len;
	table->nr_entries++;
}

static uint8_t mptable_checksum(const void *p, size_t len)
{
	const uint8_t *bytes = p;
	uint8_t sum = 0;

	while (len--)
		sum += *bytes++;
	return -sum;
}

static void mptable_add_cpus(struct mptable *table, unsigned int nr, uint32_t signature,
			     uint32_t features)
{
	for (unsigned int i = 0; i < MIN(nr, MPTABLE_MAX_CPUS); i++) {
		struct mptable_cpu cpu = {
			.apic_id = i,
			.version = MPTABLE_APIC_VERSION,
			.flags = MPTABLE_CPU_ENABLED | (i == 0 ? MPTABLE_CPU_BSP : 0),
			.signature = signature,
			.features = features,
		};

		mptable_add(table, &cpu, sizeof(cpu));
	}
}

static void mptable_add_chips(struct mptable *table)
{
	const struct mptable_bus pci = {1, MPTABLE_BUS_PCI, {'P', 'C', 'I', ' ', ' ', ' '}};
	const struct mptable_bus isa = {1, MPTABLE_BUS_ISA, {'I', 'S', 'A', ' ', ' ', ' '}};
	const struct mptable_ioapic ioapic = {2, LAYOUT_IOAPIC_ID, MPTABLE_IOAPIC_VERSION, 1,
					      LAYOUT_IOAPIC};

	mptable_add(table, &pci, sizeof(pci));
	mptable_add(table, &isa, sizeof(isa));
	mptable_add(table, &ioapic, sizeof(ioapic));
}

/* The lines of pins that PCI uses are not the ISA bus's; 2 is the cascade of the PICs. */
static void mptable_add_isa_interrupts(struct mptable *table)
{
	static const uint8_t levels[] = LAYOUT_VIRTIO_MMIO_GSIS;

	for (unsigned int irq = 0; irq < 16; irq++) {
		struct mptable_interrupt entry = {3,   MPTABLE_INT,	 0,  MPTABLE_BUS_ISA,
						  irq, LAYOUT_IOAPIC_ID, irq};

		if (irq == 0)
			entry.pin = LAYOUT_TIMER_PIN;
		if (irq == LAYOUT_GSI_SCI || memchr(levels, irq, sizeof(levels)))
			entry.flags = MPTABLE_LEVEL_HIGH;
		if (irq != 2)
			mptable_add(table, &entry, sizeof(entry));
	}
}

/*
 * INTx is active low on a PCI bus, but what arrives at KVM's IOAPIC is a level that is high while
 * the interrupt is asserted, so that is what stands here.
 */
static void mptable_add_pci_interrupts(struct mptable *table, const unsigned int intx_gsi[4])
{
	for (unsigned int slot = 0; slot < PCI_MAX_SLOTS; slot++) {
		for (unsigned int pin = 0; pin < 4; pin++) {
			struct mptable_interrupt entry = {
				.type = 3,
				.kind = MPTABLE_INT,
				.flags = MPTABLE_LEVEL_HIGH,
				.bus = MPTABLE_BUS_PCI,
				.bus_irq = slot << 2 | pin, /* appendix D.3 */
				.apic = LAYOUT_IOAPIC_ID,
				.pin = intx_gsi[(slot + pin) % 4],
			};

			mptable_add(table, &entry, sizeof(entry));
		}
	}
}

static void mptable_add_local_interrupts(struct mptable *table)
{
	const struct mptable_interrupt lint0 = {4, MPTABLE_EXTINT,    0, MPTABLE_BUS_ISA,
						0, MPTABLE_ALL_APICS, 0};
	const struct mptable_interrupt lint1 = {4, MPTABLE_NMI,	      0, MPTABLE_BUS_ISA,
						0, MPTABLE_ALL_APICS, 1};

	mptable_add(table, &lint0, sizeof(lint0));
	mptable_add(table, &lint1, sizeof(lint1));
}

size_t mptable_build(unsigned int nr_cpus, uint32_t cpu_signature, uint32_t cpu_features,
		     const unsigned int intx_gsi[4], void *buf, size_t size, uint64_t gpa)
{
	struct mptable_pointer *pointer = buf;
	struct mptable_header *header = (void *)(pointer + 1);
	struct mptable table = {.buf = buf, .cap = size, .len = sizeof(*pointer) + sizeof(*header)};

	if (size < table.len)
		return 0;
	mptable_add_cpus(&table, nr_cpus, cpu_signature, cpu_features);
	mptable_add_chips(&table);
	mptable_add_isa_interrupts(&table);
	mptable_add_pci_interrupts(&table, intx_gsi);
	mptable_add_local_interrupts(&table);
	if (table.full)
		return 0;

	*header = (struct mptable_header){
		.length = table.len - sizeof(*pointer),
		.revision = 4, /* MP 1.4 */
		.nr_entries = table.nr_entries,
		.lapic = LAYOUT_LAPIC,
	};
	memcpy(header->signature, "PCMP", 4);
	memcpy(header->oem_id, "LKVM    ", 8);
	memcpy(header->product_id, "LKVM        ", 12);
	header->checksum = mptable_checksum(header, header->length);

	*pointer = (struct mptable_pointer){
		.table = gpa + sizeof(*pointer), .length = 1, .revision = 4};
	memcpy(pointer->signature, "_MP_", 4);
	pointer->checksum = mptable_checksum(pointer, sizeof(*pointer));
	return table.len;
}
