/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_I8042_H
#define LKVM_I8042_H

#include "kvm/bus.h"
#include "kvm/irq.h"

/*
 * The PC's keyboard controller at ports 0x60 and 0x64 with a PS/2 keyboard (scan code set 2,
 * translated to set 1 by the controller as usual) and a PS/2 mouse with a wheel (IntelliMouse).
 * Command 0xfe pulses the reset line: request_reset(arg), called on a vCPU.
 * i8042_create() returns NULL after one error line.
 */
struct i8042;

struct i8042 *i8042_create(struct bus *ioport, struct irq_chip *irq, unsigned int kbd_gsi,
			   unsigned int mouse_gsi, void (*request_reset)(void *arg), void *arg);
void i8042_destroy(struct i8042 *kbc);

/*
 * Input from a display or `lkvm sendkey`. code: Linux KEY_*. dx: to the right, dy: down, dz: the
 * wheel away from the user; buttons: 1 left, 2 right, 4 middle. Any thread; lost when no one reads.
 */
void i8042_key(struct i8042 *kbc, unsigned int code, bool down);
void i8042_mouse(struct i8042 *kbc, int dx, int dy, int dz, unsigned int buttons);

#endif
