// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Ends badly: "how=1" by a triple fault, "how=2" by an instruction that KVM's emulator does not
 * know, "how=3" by both on another CPU, "how=4" by telling that it panicked.
 */
#include "lib.h"

#define PORT_PVPANIC 0x60d

static void triple_fault(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = {0, 0};

	asm volatile("lidt %0; ud2" : : "m"(none));
}

static void unknown_instruction(void)
{
	static uint8_t where[16] __attribute__((aligned(16)));

	asm volatile("cmpxchg16b %0" : "+m"(where) : "a"(0), "b"(0), "c"(0), "d"(0));
}

static void on_other_cpu(unsigned int cpu)
{
	(void)cpu;
	triple_fault();
}

void test(void)
{
	uint64_t how = option("how", 1);

	print("how %lu\n", how);
	if (how == 1)
		triple_fault();
	else if (how == 2)
		unknown_instruction();
	else if (how == 3)
		smp_start(2, on_other_cpu);
	else
		outb(PORT_PVPANIC, 1);
	delay_us(5000000);
	print("survived\n");
}
