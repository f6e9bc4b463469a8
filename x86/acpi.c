// SPDX-License-Identifier: GPL-2.0-or-later
/* ACPI tables (ACPI 6.4 §5.2): the fixed hardware, interrupts, ECAM; devices are in dsdt.c. */
#include "acpi.h"

#include <stdbool.h>
#include <string.h>

#include "kvm/acpi-pm.h"
#include "kvm/util.h"
#include "layout.h"
#include "x86.h"

#define ACPI_PACKED __attribute__((packed))

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} ACPI_PACKED;

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} ACPI_PACKED;

/* Generic address structure (§5.2.3.2). */
struct acpi_gas {
	uint8_t space, bits, offset, access;
	uint64_t address;
} ACPI_PACKED;

#define ACPI_GAS_IO 1

struct acpi_fadt {
	struct acpi_header header;
	uint32_t facs, dsdt;
	uint8_t reserved0, pm_profile;
	uint16_t sci_int;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	uint32_t pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base;
	uint8_t cst_cnt;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct acpi_gas reset;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_facs, x_dsdt;
	struct acpi_gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr;
	struct acpi_gas x_gpe0, x_gpe1, sleep_control, sleep_status;
	uint64_t hypervisor;
} ACPI_PACKED;

_Static_assert(sizeof(struct acpi_fadt) == 276, "FADT of ACPI 6");

/* IAPC_BOOT_ARCH (§5.2.9.3) and feature flags (§5.2.9, table 5.10). */
#define ACPI_BOOT_LEGACY_DEVICES (1u << 0)
#define ACPI_BOOT_8042		 (1u << 1)
#define ACPI_BOOT_NO_VGA	 (1u << 2)
#define ACPI_FADT_WBINVD	 (1u << 0)
#define ACPI_FADT_PROC_C1	 (1u << 2)
#define ACPI_FADT_NO_SLEEP_BTN	 (1u << 5)
#define ACPI_FADT_NO_FIXED_RTC	 (1u << 6)
#define ACPI_FADT_TMR_32	 (1u << 8)
#define ACPI_FADT_RESET		 (1u << 10)

#define ACPI_RTC_CENTURY 0x32 /* CMOS byte (hw/rtc.c) */

struct acpi_facs {
	char signature[4];
	uint32_t length, hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version, reserved0[3];
	uint32_t ospm_flags;
	uint8_t reserved1[24];
} ACPI_PACKED;

struct acpi_madt {
	struct acpi_header header;
	uint32_t lapic, flags;
} ACPI_PACKED;

#define ACPI_MADT_PCAT_COMPAT (1u << 0) /* there are PICs, too */
#define ACPI_MADT_ENABLED     (1u << 0)
#define ACPI_MADT_ALL_CPUS    0xff
#define ACPI_MADT_LEVEL_HIGH  0xd /* MPS INTI flags: active high, level triggered */

struct acpi_madt_lapic { /* type 0 */
	uint8_t type, length, uid, apic_id;
	uint32_t flags;
} ACPI_PACKED;

struct acpi_madt_x2apic { /* type 9 */
	uint8_t type, length;
	uint16_t reserved;
	uint32_t x2apic_id, flags, uid;
} ACPI_PACKED;

struct acpi_madt_ioapic { /* type 1 */
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} ACPI_PACKED;

struct acpi_madt_override { /* type 2 */
	uint8_t type, length, bus, source;
	uint32_t gsi;
	uint16_t flags;
} ACPI_PACKED;

struct acpi_madt_nmi { /* type 4 */
	uint8_t type, length, uid;
	uint16_t flags;
	uint8_t lint;
} ACPI_PACKED;

struct acpi_madt_x2apic_nmi { /* type 10 */
	uint8_t type, length;
	uint16_t flags;
	uint32_t uid;
	uint8_t lint, reserved[3];
} ACPI_PACKED;

struct acpi_mcfg {
	struct acpi_header header;
	uint64_t reserved0;
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved1;
} ACPI_PACKED;

struct acpi_xsdt {
	struct acpi_header header;
	uint64_t table[3];
} ACPI_PACKED;

/* --- where tables are put, one after another --- */

struct acpi_space {
	uint8_t *buf;
	size_t len, cap;
	uint64_t gpa;
	bool full;
};

/* Zeroed room, aligned to 64 bytes as the FACS needs it; NULL when there is none. */
static void *acpi_alloc(struct acpi_space *space, size_t size, uint64_t *gpa)
{
	size_t at = ALIGN_UP(space->len, 64);

	if (space->full || at > space->cap || size > space->cap - at) {
		space->full = true;
		return NULL;
	}
	space->len = at + size;
	*gpa = space->gpa + at;
	return memset(space->buf + at, 0, size);
}

static uint8_t acpi_checksum(const void *p, size_t len)
{
	const uint8_t *bytes = p;
	uint8_t sum = 0;

	while (len--)
		sum += *bytes++;
	return -sum;
}

/* The last step of every table: its header. */
static void acpi_finish(struct acpi_header *header, const char *signature, uint8_t revision,
			size_t length)
{
	header->length = length;
	header->revision = revision;
	header->oem_revision = 1;
	header->creator_revision = 1;
	memcpy(header->signature, signature, 4);
	memcpy(header->oem_id, "LKVM  ", 6);
	memcpy(header->oem_table_id, "LKVM    ", 8);
	memcpy(header->creator_id, "LKVM", 4);
	header->checksum = 0;
	header->checksum = acpi_checksum(header, length);
}

/* --- the tables --- */

static uint64_t acpi_add_dsdt(struct acpi_space *space, const struct acpi_config *cfg)
{
	struct acpi_header *header;
	uint64_t gpa = 0;
	size_t len;

	header = acpi_alloc(space, sizeof(*header), &gpa);
	if (!header)
		return 0;
	len = dsdt_build(cfg, header + 1, space->cap - space->len);
	if (!len)
		space->full = true;
	space->len += len;
	acpi_finish(header, "DSDT", 2, sizeof(*header) + len);
	return gpa;
}

static uint64_t acpi_add_facs(struct acpi_space *space)
{
	uint64_t gpa = 0;
	struct acpi_facs *facs = acpi_alloc(space, sizeof(*facs), &gpa);

	if (!facs)
		return 0;
	memcpy(facs->signature, "FACS", 4);
	facs->length = sizeof(*facs);
	facs->version = 2;
	return gpa;
}

static struct acpi_gas acpi_port(uint64_t port, uint8_t bytes)
{
	return (struct acpi_gas){
		.space = ACPI_GAS_IO,
		.bits = 8 * bytes,
		.access = bytes == 4 ? 3 : bytes, /* 1 byte, 2 word, 3 dword */
		.address = port,
	};
}

/* Both generations of each field, as systems differ in which they read. */
static void acpi_fill_pm(struct acpi_fadt *fadt)
{
	fadt->sci_int = LAYOUT_GSI_SCI;
	fadt->pm1a_evt = LAYOUT_ACPI_PM + ACPI_PM_EVT;
	fadt->pm1_evt_len = 4;
	fadt->pm1a_cnt = LAYOUT_ACPI_PM + ACPI_PM_CNT;
	fadt->pm1_cnt_len = 2;
	fadt->pm_tmr = LAYOUT_ACPI_PM + ACPI_PM_TMR;
	fadt->pm_tmr_len = 4;
	fadt->x_pm1a_evt = acpi_port(fadt->pm1a_evt, 4);
	fadt->x_pm1a_evt.access = 2; /* two registers of a word */
	fadt->x_pm1a_cnt = acpi_port(fadt->pm1a_cnt, 2);
	fadt->x_pm_tmr = acpi_port(fadt->pm_tmr, 4);
	fadt->reset = acpi_port(LAYOUT_ACPI_PM + ACPI_PM_RESET, 1);
	fadt->reset_value = ACPI_PM_RESET_VALUE;
}

static uint64_t acpi_add_fadt(struct acpi_space *space, uint64_t facs, uint64_t dsdt)
{
	uint64_t gpa = 0;
	struct acpi_fadt *fadt = acpi_alloc(space, sizeof(*fadt), &gpa);

	if (!fadt)
		return 0;
	fadt->facs = facs;
	fadt->dsdt = dsdt;
	fadt->x_dsdt = dsdt; /* X_FIRMWARE_CTRL stays 0: only one of the two may be set */
	acpi_fill_pm(fadt);
	/* smi_cmd 0: ACPI is always on. Latencies that say: no C2, no C3. */
	fadt->c2_latency = 0xfff;
	fadt->c3_latency = 0xfff;
	fadt->boot_arch = ACPI_BOOT_LEGACY_DEVICES | ACPI_BOOT_8042 | ACPI_BOOT_NO_VGA;
	fadt->flags = ACPI_FADT_WBINVD | ACPI_FADT_PROC_C1 | ACPI_FADT_NO_SLEEP_BTN |
		      ACPI_FADT_NO_FIXED_RTC | ACPI_FADT_TMR_32 | ACPI_FADT_RESET;
	fadt->century = ACPI_RTC_CENTURY;
	fadt->minor_version = 4;
	acpi_finish(&fadt->header, "FACP", 6, sizeof(*fadt));
	return gpa;
}

/* Copies one MADT structure; they follow each other without gaps. */
static void acpi_madt_add(struct acpi_space *space, const void *entry, size_t len)
{
	if (space->full || len > space->cap - space->len) {
		space->full = true;
		return;
	}
	memcpy(space->buf + space->len, entry, len);
	space->len += len;
}

/* APIC ids from 255 on do not fit into the old structure (§5.2.12.12). */
static void acpi_madt_add_cpus(struct acpi_space *space, unsigned int nr_cpus)
{
	for (unsigned int i = 0; i < nr_cpus; i++) {
		struct acpi_madt_lapic lapic = {0, sizeof(lapic), i, i, ACPI_MADT_ENABLED};
		struct acpi_madt_x2apic x2apic = {.type = 9,
						  .length = sizeof(x2apic),
						  .x2apic_id = i,
						  .flags = ACPI_MADT_ENABLED,
						  .uid = i};

		if (i < 255)
			acpi_madt_add(space, &lapic, sizeof(lapic));
		else
			acpi_madt_add(space, &x2apic, sizeof(x2apic));
	}
}

static uint64_t acpi_add_madt(struct acpi_space *space, const struct acpi_config *cfg)
{
	const struct acpi_madt_ioapic ioapic = {1, sizeof(ioapic), LAYOUT_IOAPIC_ID,
						0, LAYOUT_IOAPIC,  0};
	const struct acpi_madt_override timer = {2, sizeof(timer), 0, 0, LAYOUT_TIMER_PIN, 0};
	const struct acpi_madt_override sci = {
		2, sizeof(sci), 0, LAYOUT_GSI_SCI, LAYOUT_GSI_SCI, ACPI_MADT_LEVEL_HIGH};
	const struct acpi_madt_nmi nmi = {4, sizeof(nmi), ACPI_MADT_ALL_CPUS, 0, 1};
	const struct acpi_madt_x2apic_nmi x2nmi = {
		.type = 10, .length = sizeof(x2nmi), .uid = UINT32_MAX, .lint = 1};
	uint64_t gpa = 0;
	struct acpi_madt *madt = acpi_alloc(space, sizeof(*madt), &gpa);

	if (!madt)
		return 0;
	madt->lapic = LAYOUT_LAPIC;
	madt->flags = ACPI_MADT_PCAT_COMPAT;
	acpi_madt_add_cpus(space, cfg->nr_cpus);
	acpi_madt_add(space, &ioapic, sizeof(ioapic));
	acpi_madt_add(space, &timer, sizeof(timer));
	acpi_madt_add(space, &sci, sizeof(sci));
	acpi_madt_add(space, &nmi, sizeof(nmi));
	if (cfg->nr_cpus > X86_XAPIC_MAX_CPUS)
		acpi_madt_add(space, &x2nmi, sizeof(x2nmi));
	acpi_finish(&madt->header, "APIC", 5, space->gpa + space->len - gpa);
	return gpa;
}

static uint64_t acpi_add_mcfg(struct acpi_space *space)
{
	uint64_t gpa = 0;
	struct acpi_mcfg *mcfg = acpi_alloc(space, sizeof(*mcfg), &gpa);

	if (!mcfg)
		return 0;
	mcfg->base = LAYOUT_ECAM;
	acpi_finish(&mcfg->header, "MCFG", 1, sizeof(*mcfg));
	return gpa;
}

uint64_t acpi_build(const struct acpi_config *cfg, void *buf, size_t size, uint64_t gpa)
{
	struct acpi_space space = {.buf = buf, .cap = size, .gpa = gpa};
	uint64_t rsdp_gpa = 0, xsdt_gpa = 0, dsdt, facs;
	struct acpi_rsdp *rsdp = acpi_alloc(&space, sizeof(*rsdp), &rsdp_gpa);
	struct acpi_xsdt *xsdt = acpi_alloc(&space, sizeof(*xsdt), &xsdt_gpa);

	if (!rsdp || !xsdt)
		return 0;
	dsdt = acpi_add_dsdt(&space, cfg);
	facs = acpi_add_facs(&space);
	xsdt->table[0] = acpi_add_fadt(&space, facs, dsdt);
	xsdt->table[1] = acpi_add_madt(&space, cfg);
	xsdt->table[2] = acpi_add_mcfg(&space);
	if (space.full)
		return 0;
	acpi_finish(&xsdt->header, "XSDT", 1, sizeof(*xsdt));

	memcpy(rsdp->signature, "RSD PTR ", 8);
	memcpy(rsdp->oem_id, "LKVM  ", 6);
	rsdp->revision = 2;
	rsdp->length = sizeof(*rsdp);
	rsdp->xsdt = xsdt_gpa;
	rsdp->checksum = acpi_checksum(rsdp, 20); /* ACPI 1.0's part */
	rsdp->extended_checksum = acpi_checksum(rsdp, sizeof(*rsdp));
	return rsdp_gpa;
}
