/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_ACPI_PM_H
#define LKVM_ACPI_PM_H

#include "kvm/bus.h"
#include "kvm/irq.h"

/*
 * ACPI fixed hardware (ACPI 6.4 §4.8): PM1 event and control blocks, the PM timer, the power
 * button, soft-off (S5), and the reset register. Offsets within the block of ACPI_PM_SIZE ports:
 */
#define ACPI_PM_EVT   0x0 /* PM1a_EVT_BLK, 4 bytes */
#define ACPI_PM_CNT   0x4 /* PM1a_CNT_BLK, 2 bytes */
#define ACPI_PM_TMR   0x8 /* PM_TMR_BLK, 4 bytes */
#define ACPI_PM_RESET 0xc /* RESET_REG, 1 byte: write ACPI_PM_RESET_VALUE */
#define ACPI_PM_PANIC 0xd /* pvpanic (QEMU0001), 1 byte: 1 panicked, 2 crash loaded */
#define ACPI_PM_SIZE  0x10

#define ACPI_PM_RESET_VALUE 0x06
#define ACPI_PM_SLP_TYP_S5  5

/* Called on the vCPU that asked. */
struct acpi_pm_events {
	void (*soft_off)(void *arg);
	void (*reset)(void *arg);
	void (*panic)(void *arg);
};

struct acpi_pm;

struct acpi_pm *acpi_pm_create(struct bus *ioport, uint64_t base, struct irq_chip *irq,
			       unsigned int sci_gsi, const struct acpi_pm_events *events,
			       void *arg);
void acpi_pm_destroy(struct acpi_pm *pm);

/* Presses the power button. -EAGAIN when the guest has not enabled its event. Any thread. */
int acpi_pm_power_button(struct acpi_pm *pm);

#endif
