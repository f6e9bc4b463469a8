// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PSCI (DEN0022D) as a guest sees it, with arguments that make sense and others: two CPUs, of which
 * the second is turned on and off many times; then how the machine ends, as the command line says.
 */
#include "kit.h"

#define NOT_SUPPORTED	(-1)
#define INVALID		(-2)
#define ALREADY_ON	(-4)
#define INVALID_ADDRESS (-9)

#define ROUNDS 50
#define STACK  0x10000

static volatile uint32_t alive;
KIT_SECOND;

void kit_second(void)
{
	alive++;
	kit_call(KIT_PSCI_CPU_OFF, 0, 0, 0);
	kit_check(false, "CPU_OFF came back");
}

static int64_t cpu_on(uint64_t cpu, uint64_t entry)
{
	static uint8_t stack[STACK] __attribute__((aligned(16)));

	return kit_psci(KIT_PSCI_CPU_ON, cpu, entry, (uint64_t)(stack + STACK));
}

static void test_features(void)
{
	static const uint32_t there[] = {KIT_PSCI_CPU_OFF,	 KIT_PSCI_CPU_ON,
					 KIT_PSCI_AFFINITY_INFO, KIT_PSCI_SYSTEM_OFF,
					 KIT_PSCI_SYSTEM_RESET,	 KIT_PSCI_SYSTEM_SUSPEND,
					 KIT_PSCI_SYSTEM_RESET2};

	kit_check(kit_psci(KIT_PSCI_VERSION, 0, 0, 0) >= 0x10001, "older than PSCI 1.1");
	for (unsigned int i = 0; i < sizeof(there) / sizeof(there[0]); i++)
		kit_check(kit_psci(KIT_PSCI_FEATURES, there[i], 0, 0) >= 0,
			  "a function is missing");
	kit_check(kit_psci(KIT_PSCI_FEATURES, 0x8400ffff, 0, 0) == NOT_SUPPORTED, "has anything");
	kit_check(kit_psci(0x840000ff, 1, 2, 3) == NOT_SUPPORTED, "a function that is none");
	kit_check(kit_psci(0xdeadbeef, 1, 2, 3) == NOT_SUPPORTED, "a call that is none");
}

static void test_arguments(void)
{
	kit_check(kit_psci(KIT_PSCI_AFFINITY_INFO, 0, 0, 0) == 0, "CPU 0 is not on");
	kit_check(kit_psci(KIT_PSCI_AFFINITY_INFO, 1, 0, 0) == 1, "CPU 1 is not off");
	kit_check(kit_psci(KIT_PSCI_AFFINITY_INFO, 2, 0, 0) == INVALID, "there is a CPU 2");
	kit_check(kit_psci(KIT_PSCI_AFFINITY_INFO, 0, 99, 0) == INVALID, "affinity level 99");
	kit_check(cpu_on(0, 0x80000000) == ALREADY_ON, "CPU 0 turned on");
	kit_check(cpu_on(2, 0x80000000) == INVALID, "CPU 2 turned on");
	kit_check(cpu_on(0xff00ffffff, 0x80000000) == INVALID, "the last CPU turned on");
	kit_check(cpu_on(~0UL, ~0UL) == INVALID, "no CPU turned on");
	kit_check(kit_psci(KIT_PSCI_SYSTEM_RESET2, 0x12345, 0, 0) == INVALID,
		  "a type of reset that is none");
}

static void test_on_off(void)
{
	for (uint32_t n = 1; n <= ROUNDS; n++) {
		int64_t ret = cpu_on(1, (uint64_t)kit_second_start);

		kit_check(ret == 0, "CPU 1 does not turn on");
		while (alive != n)
			;
		while (kit_psci(KIT_PSCI_AFFINITY_INFO, 1, 0, 0) != 1)
			;
	}
	kit_line("ROUNDS", alive);
}

void kit_main(const uint8_t *dtb)
{
	const char *args = (const char *)kit_property(dtb, "chosen", "bootargs", NULL, NULL);

	test_features();
	test_arguments();
	test_on_off();
	kit_text("PSCI ok\r\n");
	if (args && kit_begins("reset2", args))
		kit_psci(KIT_PSCI_SYSTEM_RESET2, 0, 0, 0);
	else if (args && kit_begins("reset", args))
		kit_psci(KIT_PSCI_SYSTEM_RESET, 0, 0, 0);
	/* A CPU that begins where nothing is hurts nobody; nor does the machine's end then. */
	kit_check(cpu_on(1, 0x70000000) == 0, "CPU 1 does not turn on");
	kit_off();
}
