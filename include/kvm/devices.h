/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_DEVICES_H
#define LKVM_DEVICES_H

struct vm;

/* Creates every configured device in the order of devices.c's table. Prints on error. */
int devices_create(struct vm *vm);

#endif
