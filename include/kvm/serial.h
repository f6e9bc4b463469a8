/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_SERIAL_H
#define LKVM_SERIAL_H

#include "kvm/bus.h"
#include "kvm/irq.h"

/*
 * A 16550A UART (National Semiconductor PC16550D data sheet): 8 byte-wide registers, 16-byte FIFOs.
 * Transmission takes no time unless the chardev is stalled. Input that finds the FIFO full, or no
 * guest that listens yet, waits in the chardev.
 */
struct serial;
struct chardev;

#define SERIAL_SIZE 8 /* bytes of address space */

/* chr may be NULL: nothing connected. NULL after one error line. */
struct serial *serial_create(const char *name, struct bus *bus, uint64_t base,
			     struct irq_chip *irq, unsigned int gsi, struct chardev *chr);
void serial_destroy(struct serial *serial);

/* A BREAK and then the byte: Magic SysRq on Linux. Lost when the FIFO is full. Any thread. */
void serial_sysrq(struct serial *serial, char key);

#endif
