// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The power button: PM1 status and SCI (ACPI 6.4 §4.8.2.2). "late=N" enables it after N ms;
 * "ignore=1" sees it and goes on.
 */
#include "lib.h"

#define VECTOR	   0x49
#define GSI_SCI	   9
#define PM1_SCI_EN 1

static volatile uint32_t nr_presses;

static void handler(void)
{
	if (inw(PORT_PM_STATUS) & PM_POWER_BUTTON) {
		outw(PORT_PM_STATUS, PM_POWER_BUTTON); /* write one to clear */
		nr_presses++;
	}
}

void test(void)
{
	bool ignore = option("ignore", 0);

	lapic_enable();
	irq_handler[VECTOR] = handler;
	ioapic_route(GSI_SCI, IOAPIC_LEVEL | VECTOR);
	ok(inw(PORT_PM_CNT) & PM1_SCI_EN, "ACPI mode is on");
	ok(!(inw(PORT_PM_STATUS) & PM_POWER_BUTTON), "nobody has pressed it yet");
	print("up\n");
	delay_us(option("late", 0) * 1000);
	outw(PORT_PM_ENABLE, PM_POWER_BUTTON);
	ok(inw(PORT_PM_ENABLE) == PM_POWER_BUTTON, "the button is enabled");
	print("ready\n");
	while (!nr_presses || ignore)
		asm volatile("sti; hlt; cli");
	print("button\n");
	ok(!(inw(PORT_PM_STATUS) & PM_POWER_BUTTON), "its status is cleared");
}
