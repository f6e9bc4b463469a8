// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Firmware that keeps a log in its flash, as UEFI keeps its variables: a record is programmed, then
 * marked as good, and only then announced. Each start checks what is there and goes on behind it. It
 * ends at a number of records that the command line says; the flash's second block is for a test of
 * all that the chips can do.
 */
#include "kit.h"

#define BLOCK	0x10000
#define RECORDS (BLOCK / 8)

/* To both chips at once. */
static void command(volatile uint32_t *at, uint32_t c)
{
	kit_store32(at, c << 16 | c);
}

static void program(volatile uint32_t *at, uint32_t val)
{
	command(at, 0x40);
	kit_store32(at, val);
	while (kit_load32(at) != 0x00800080)
		;
	command(at, 0xff);
}

static void test_block(volatile uint32_t *flash)
{
	volatile uint32_t *block = flash + BLOCK / 4;

	command(flash, 0x98);
	kit_check((kit_load32(flash + 0x10) & 0xff) == 'Q' && (kit_load32(flash + 0x11) & 0xff) == 'R' &&
			  (kit_load32(flash + 0x12) & 0xff) == 'Y',
		  "flash: no QRY");
	command(flash, 0xff);
	command(block, 0x60); /* unlock */
	command(block, 0xd0);
	command(block, 0x20); /* erase */
	command(block, 0xd0);
	kit_check((kit_load32(block) & 0x00ff00ff) == 0x00800080, "flash: erase");
	command(block, 0xff);
	for (unsigned int i = 0; i < BLOCK / 4; i++)
		kit_check(kit_load32(block + i) == 0xffffffff, "flash: not erased");
	command(block, 0xe8); /* a buffer of 8 words a chip */
	command(block, 7);
	for (unsigned int i = 0; i < 8; i++)
		kit_store32(block + i, 0x01010101 * i);
	command(block, 0xd0);
	command(block, 0xff);
	for (unsigned int i = 0; i < 8; i++)
		kit_check(kit_load32(block + i) == 0x01010101 * i, "flash: buffer");
	program(block, 0); /* bits can only be cleared */
	program(block + 1, 0xffffff00);
	kit_check(!kit_load32(block) && kit_load32(block + 1) == 0x01010100, "flash: program");
}

void kit_main(const uint8_t *dtb)
{
	const uint8_t *args = kit_property(dtb, "chosen", "bootargs", NULL, NULL);
	const uint8_t *reg = kit_property(dtb, "flash@", "reg", NULL, NULL);
	const uint8_t *label = kit_property(dtb, "flash@", "label", NULL, NULL);
	volatile uint32_t *flash;
	uint32_t n, torn = 0, until = 0;

	kit_line("FIRMWARE at", (uint64_t)kit_main >> 20);
	kit_check(reg && label && args, "no flash with a label in the device tree");
	kit_check(kit_begins("System-firmware", (const char *)label), "not EDK2's label");
	for (const char *p = (const char *)args; *p >= '0' && *p <= '9'; p++)
		until = until * 10 + *p - '0';
	flash = (volatile uint32_t *)kit_be64(reg);
	test_block(flash);

	/* The log ends at the first record that is not marked. */
	for (n = 0; n < RECORDS && kit_load32(&flash[2 * n + 1]) == 0x0000600d; n++)
		kit_check(kit_load32(&flash[2 * n]) == n * 2654435761u, "a good record is damaged");
	kit_line("FOUND", n);
	/* A power cut can have left one that was not announced: it is programmed again, the same. */
	if (n < RECORDS)
		torn = kit_load32(&flash[2 * n]) != 0xffffffff ||
		       kit_load32(&flash[2 * n + 1]) != 0xffffffff;
	kit_line("TORN", torn);
	for (; n < until && n < RECORDS; n++) {
		program(&flash[2 * n], n * 2654435761u);
		program(&flash[2 * n + 1], 0x0000600d);
		kit_line("WRITTEN", n + 1);
	}
	kit_text("FIRMWARE ok\r\n");
	kit_off();
}
