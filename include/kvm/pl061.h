/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_PL061_H
#define LKVM_PL061_H

#include "kvm/bus.h"
#include "kvm/irq.h"

/* A GPIO controller, ARM PrimeCell PL061 (DDI 0190B): eight pins, of which buttons are inputs. */
struct pl061;
struct loop;

#define PL061_SIZE    0x1000 /* bytes of address space */
#define PL061_NR_PINS 8

/* NULL after one error line. */
struct pl061 *pl061_create(struct loop *loop, struct bus *bus, uint64_t base, struct irq_chip *irq,
			   unsigned int gsi);
void pl061_destroy(struct pl061 *gpio);

/*
 * Presses a button on a pin and lets it go a moment later. -EAGAIN when the guest has not asked for
 * interrupts from that pin: nobody would notice. The loop's thread.
 */
int pl061_press(struct pl061 *gpio, unsigned int pin);

#endif
