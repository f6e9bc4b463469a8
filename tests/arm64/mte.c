// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory tagging (DDI 0487 D8): says which version the CPU has; with tags in memory, it turns on
 * the MMU, gives the first two granules of some pages a tag each, and reads them back. Only these,
 * as QEMU 7.2 forgets where in a page a granule lies.
 */
#include "kit.h"

#define PAGES	  64
#define PAGE_SIZE 4096
#define GRANULE	  16

#define MAIR_DEVICE 0x00UL
#define MAIR_TAGGED 0xf0UL /* normal, write-back, with tags */
#define TCR	    (25UL | 1UL << 8 | 1UL << 10 | 3UL << 12 | 1UL << 23 | 2UL << 32 | 1UL << 37) /* TBI0 */
#define SCTLR_M	    (1UL << 0)
#define SCTLR_C	    (1UL << 2)
#define SCTLR_I	    (1UL << 12)
#define SCTLR_ATA   (1UL << 43)

/* A block of 1 GiB: accessed, inner shareable, the attributes of that index. */
#define BLOCK(at, index) ((at) | 1UL << 10 | 3UL << 8 | (index) << 2 | 1)

static uint64_t table[512] __attribute__((aligned(4096)));
static uint8_t memory[PAGES * PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

static void mmu_on(void)
{
	uint64_t sctlr;

	table[0] = BLOCK(0UL, 0UL);
	table[2] = BLOCK(0x80000000UL, 1UL);
	__asm__ volatile("dsb sy; tlbi vmalle1; dsb sy\n"
			 "msr MAIR_EL1, %0; msr TCR_EL1, %1; msr TTBR0_EL1, %2; isb"
			 :
			 : "r"(MAIR_DEVICE | MAIR_TAGGED << 8), "r"(TCR), "r"(table)
			 : "memory");
	__asm__ volatile("mrs %0, SCTLR_EL1" : "=r"(sctlr));
	sctlr |= SCTLR_M | SCTLR_C | SCTLR_I | SCTLR_ATA;
	__asm__ volatile("msr SCTLR_EL1, %0; isb" : : "r"(sctlr) : "memory");
}

/* The address of the nth granule that gets a tag, with that tag in its upper bits. */
static uint64_t tagged(unsigned int n)
{
	uint64_t at = (uint64_t)memory + n / 2 * PAGE_SIZE + n % 2 * GRANULE;

	return at | (uint64_t)(n * 7 % 16) << 56;
}

static void store_tag(uint64_t at)
{
	__asm__ volatile(".arch armv8.5-a+memtag\n stg %0, [%0]" : : "r"(at) : "memory");
}

/* That address with the tag that is stored for it. */
static uint64_t load_tag(uint64_t at)
{
	at &= ~(UINT64_C(0xff) << 56);
	__asm__ volatile(".arch armv8.5-a+memtag\n ldg %0, [%0]" : "+r"(at) : : "memory");
	return at;
}

void kit_main(const uint8_t *dtb)
{
	uint64_t pfr1, version, good = 0;

	(void)dtb;
	__asm__("mrs %0, ID_AA64PFR1_EL1" : "=r"(pfr1));
	version = pfr1 >> 8 & 0xf;
	kit_line("MTE", version);
	if (version < 2)
		kit_off();
	mmu_on();
	for (unsigned int n = 0; n < PAGES * 2; n++)
		store_tag(tagged(n));
	for (unsigned int n = 0; n < PAGES * 2; n++)
		good += load_tag(tagged(n)) == tagged(n);
	kit_line("TAGS", good);
	kit_off();
}
