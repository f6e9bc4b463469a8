// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A flat binary as kvm-unit-tests makes them for kvmtool: no header, so it is loaded 512 KiB into
 * RAM; says what it was given, and ends as those tests do.
 */
#include "kit.h"

extern char _start[] __attribute__((visibility("hidden")));

void kit_main(const uint8_t *dtb)
{
	uint32_t len = 0;
	unsigned int cpus = 0;
	const uint8_t *args = kit_property(dtb, "chosen", "bootargs", &len, NULL);
	const uint8_t *initrd = kit_property(dtb, "chosen", "linux,initrd-start", NULL, NULL);
	const uint8_t *end = kit_property(dtb, "chosen", "linux,initrd-end", NULL, NULL);
	const uint8_t *memory = kit_property(dtb, "memory@", "reg", NULL, NULL);
	uint64_t el;

	kit_property(dtb, "cpu@", "reg", NULL, &cpus);
	kit_check((uint64_t)_start == 0x80080000, "not loaded at 0x80080000");
	kit_check(args && memory, "no bootargs or no memory");
	__asm__("mrs %0, CurrentEL" : "=r"(el));
	kit_line("EL", el >> 2);
	kit_line("CPUS", cpus);
	kit_line("MIB", kit_be64(memory + 8) >> 20);
	kit_text("ARGS ");
	kit_text((const char *)args);
	kit_text("\r\n");
	if (initrd)
		for (const char *p = (const char *)kit_be64(initrd); p < (const char *)kit_be64(end); p++)
			kit_char(*p);
	kit_text("\r\nEXIT: STATUS=1\r\n");
	kit_off();
}
