/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_TEST_FAKE_IRQ_H
#define LKVM_TEST_FAKE_IRQ_H

/*
 * Stands in for irq.c in tests of devices: remembers each line's level and how often it rose.
 * Include it in one .c file of the test only. Single-threaded use, or under the device's lock.
 */
#include "kvm/irq.h"

#define FAKE_IRQ_LINES 64

static struct {
	bool level;
	unsigned int edges;
} fake_irq[FAKE_IRQ_LINES];

void irq_line_init(struct irq_line *line, struct irq_chip *irq, unsigned int gsi)
{
	*line = (struct irq_line){.irq = irq, .gsi = gsi};
}

void irq_line_set(struct irq_line *line, bool level)
{
	if (level && !line->up)
		fake_irq[line->gsi].edges++;
	line->up = level;
	fake_irq[line->gsi].level = level;
}

void irq_line_raise(struct irq_line *line)
{
	irq_line_set(line, true);
}

void irq_line_lower(struct irq_line *line)
{
	irq_line_set(line, false);
}

void irq_line_pulse(struct irq_line *line)
{
	irq_line_set(line, true);
	irq_line_set(line, false);
}

#endif
