// SPDX-License-Identifier: GPL-2.0-or-later
/* All CPUs come up by INIT and SIPI, each with its own APIC id, as CPUID and ACPI's MADT say. */
#include "lib.h"

static volatile uint32_t seen[MAX_CPUS]; /* by APIC id */
static volatile uint32_t nr_odd;

static void check_cpu(unsigned int cpu)
{
	uint32_t reg[4];
	unsigned int id = apic_id();

	(void)cpu;
	cpuid(1, 0, reg);
	if (id >= MAX_CPUS || reg[1] >> 24 != id || !(reg[2] >> 31))
		atomic_add(&nr_odd, 1);
	else
		atomic_add(&seen[id], 1);
}

static const uint8_t *find_rsdp(void)
{
	for (uint64_t at = 0xe0000; at < 0x100000; at += 16)
		if (!memcmp((const void *)at, "RSD PTR ", 8))
			return (const uint8_t *)at;
	return NULL;
}

static uint32_t le32(const uint8_t *p)
{
	return *(const uint32_t *)p;
}

static const uint8_t *find_table(const char *signature)
{
	const uint8_t *rsdp = find_rsdp(), *xsdt;

	if (!rsdp)
		return NULL;
	xsdt = (const uint8_t *)*(const uint64_t *)(rsdp + 24);
	for (uint32_t off = 36; off < le32(xsdt + 4); off += 8) {
		const uint8_t *table = (const uint8_t *)*(const uint64_t *)(xsdt + off);

		if (!memcmp(table, signature, 4))
			return table;
	}
	return NULL;
}

/* Local APICs that are enabled (ACPI 6.4 §5.2.12.2), as a set of their ids. */
static uint32_t madt_ids(void)
{
	const uint8_t *madt = find_table("APIC");
	uint32_t ids = 0;

	for (uint32_t off = 44; madt && off < le32(madt + 4) && madt[off + 1]; off += madt[off + 1])
		if (madt[off] == 0 && madt[off + 4] & 1 && madt[off + 3] < MAX_CPUS)
			ids |= 1u << madt[off + 3];
	return ids;
}

void test(void)
{
	uint32_t cpus = option("cpus", 1), wrong = 0;

	ok(smp_start(cpus, check_cpu), "%u CPUs come up", cpus);
	check_cpu(0);
	delay_us(50000);
	ok(smp_running() == cpus, "and no more");
	for (unsigned int id = 0; id < MAX_CPUS; id++)
		wrong += seen[id] != (id < cpus);
	ok(!wrong && !nr_odd, "their APIC ids are 0 to %u, each once", cpus - 1);
	ok(madt_ids() == (1u << cpus) - 1, "the MADT lists them");
}
