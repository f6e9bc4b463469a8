// SPDX-License-Identifier: GPL-2.0-or-later
/* Where nobody answers, reads are all ones and writes go nowhere; and the VM lives on. */
#include "lib.h"

static void test_ports(void)
{
	static const uint16_t holes[] = {0x100, 0x278, 0x3c0, 0x510, 0x700, 0x1234, 0xbffc, 0xfffc};
	unsigned int answered = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(holes); i++) {
		outb(holes[i], 0);
		outw(holes[i], 0);
		outl(holes[i], 0);
		answered += inb(holes[i]) != 0xff;
		answered += inw(holes[i]) != 0xffff;
		answered += inl(holes[i]) != ~0u;
	}
	ok(!answered, "ports that nobody has read all ones");
	ok(inl(PORT_COM1 + 6) == ~0u, "so does a dword that begins in a chip and ends outside");
}

static void test_string_io(void)
{
	uint8_t in[24] = {0}, *to = in;
	const char *from = "ok string output\n";
	uint64_t count = sizeof(in);
	unsigned int answered = 0;

	asm volatile("rep insb" : "+D"(to), "+c"(count) : "d"(0x1234) : "memory");
	for (unsigned int i = 0; i < sizeof(in); i++)
		answered += in[i] != 0xff;
	ok(!answered, "string input of a hole reads all ones");
	count = strlen(from);
	asm volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(PORT_COM1) : "memory");
}

static void test_memory(void)
{
	static const uint64_t holes[] = {
		0x40000000,			     /* above RAM */
		0xdffffff0,			     /* the end of the 32-bit window */
		ECAM_BASE + 0x100000,		     /* bus 1, which there is not */
		0xf0000000,	      0x3fffffff0UL, /* high above */
	};
	unsigned int answered = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(holes); i++) {
		write8(holes[i], 0);
		write16(holes[i], 0);
		write32(holes[i], 0);
		write64(holes[i], 0);
		answered += read8(holes[i]) != 0xff;
		answered += read16(holes[i]) != 0xffff;
		answered += read32(holes[i]) != ~0u;
		answered += read64(holes[i]) != ~0UL;
	}
	ok(!answered, "memory that nobody has reads all ones");
	ok(read64(ECAM_BASE + 0x1000000 - 4) == ~0UL, "so does a qword across two holes' pages");
}

void test(void)
{
	test_ports();
	test_string_io();
	test_memory();
}
