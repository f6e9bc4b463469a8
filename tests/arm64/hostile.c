// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two CPUs at once read and write registers at random, of all sizes, of every device that the
 * machine has and of the holes between; more often than by chance, what makes sense in many devices.
 * The number on the command line is where the random numbers begin.
 */
#include "kit.h"

#define ACCESSES 20000
#define STACK	 0x10000

/* Half of all accesses go to a window's first KiB, where the registers are. */
static const struct window {
	uint64_t base;
	uint32_t size;
} window[] = {
	{0, 0x10000},		{0x1000000, 0x4000},	{0x1010000, 0x1000},
	{0x1020000, 0x10000},	{0x1030000, 0x1000},	{0x2000000, 0x200000},
	{0x3000000, 0x800},	{0x3000000, 0x4000},	{0x3000000, 0x800},
	{0x3ff00000, 0x100000}, {0x3ffcf000, 0x1000},	{0x40000000, 0x8000},
	{0x40000000, 0x100000}, {0x50000000, 0x100000}, {0x60000000, 0x10000000},
};

static volatile uint32_t finished;
static uint64_t seed;
KIT_SECOND;

static uint64_t next(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

static uint64_t value(uint64_t *random)
{
	uint64_t n = next(random);

	switch (n % 8) {
	case 0:
		return 0;
	case 1:
		return ~0UL;
	case 2:
		return 1UL << (n >> 8) % 64;
	case 3: /* a little */
		return (n >> 8) % 16;
	case 4: /* RAM that nobody needs */
		return 0x82000000 + (n >> 8) % 0x1000000;
	case 5: /* a page of it */
		return 0x82000 + (n >> 8) % 0x1000;
	case 6: /* flash commands */
		return ((n >> 8) & 0xff) * 0x00010001;
	default:
		return n >> 8;
	}
}

static void poke(uint64_t *random)
{
	uint64_t n = next(random);
	const struct window *w = &window[n % (sizeof(window) / sizeof(window[0]))];
	uint64_t off = (n >> 8 & 1 ? (n >> 16) % 0x400 : n >> 16) % w->size;
	unsigned int shift = (n >> 9) % 4;
	uint64_t at = w->base + (off & ~0UL << shift), val = value(random);

	/* The console stays usable. */
	if (at >= KIT_UART && at < KIT_UART + 8)
		return;
	if (n >> 11 & 1)
		switch (shift) {
		case 0:
			__asm__ volatile("ldrb %w0, [%1]" : "=r"(val) : "r"(at) : "memory");
			break;
		case 1:
			__asm__ volatile("ldrh %w0, [%1]" : "=r"(val) : "r"(at) : "memory");
			break;
		case 2:
			__asm__ volatile("ldr %w0, [%1]" : "=r"(val) : "r"(at) : "memory");
			break;
		default:
			__asm__ volatile("ldr %0, [%1]" : "=r"(val) : "r"(at) : "memory");
		}
	else
		switch (shift) {
		case 0:
			__asm__ volatile("strb %w0, [%1]" : : "r"(val), "r"(at) : "memory");
			break;
		case 1:
			__asm__ volatile("strh %w0, [%1]" : : "r"(val), "r"(at) : "memory");
			break;
		case 2:
			__asm__ volatile("str %w0, [%1]" : : "r"(val), "r"(at) : "memory");
			break;
		default:
			__asm__ volatile("str %0, [%1]" : : "r"(val), "r"(at) : "memory");
		}
}

void kit_second(void)
{
	uint64_t random = seed * 7919 + 1;

	for (unsigned int i = 0; i < ACCESSES; i++)
		poke(&random);
	finished = 1;
	for (;;)
		kit_call(KIT_PSCI_CPU_OFF, 0, 0, 0);
}

void kit_main(const uint8_t *dtb)
{
	static uint8_t stack[STACK] __attribute__((aligned(16)));
	const char *args = (const char *)kit_property(dtb, "chosen", "bootargs", NULL, NULL);
	uint64_t random;

	while (args && *args >= '0' && *args <= '9')
		seed = seed * 10 + *args++ - '0';
	random = seed * 104729 + 1;
	kit_line("SEED", seed);
	kit_check(!kit_psci(KIT_PSCI_CPU_ON, 1, (uint64_t)kit_second_start,
			    (uint64_t)(stack + STACK)),
		  "no second CPU");
	for (unsigned int i = 0; i < ACCESSES; i++)
		poke(&random);
	kit_text("\r\nFIRST done\r\n");
	while (!finished)
		;
	kit_text("\r\nHOSTILE ok\r\n");
	kit_off();
}
