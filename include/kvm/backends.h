/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_BACKENDS_H
#define LKVM_BACKENDS_H

struct vm;

/*
 * The host's side of every device that vm->cfg asks for: files, taps, sockets, terminals, and
 * processes that serve them. Opened once, they stay over the guest's reboots; devices_create() puts
 * devices on them each time. 0 or a negative errno with the reason printed; then, too, all that was
 * opened waits for backends_close(), which leaves vm->control and the loop usable.
 */
int backends_open(struct vm *vm);
/* The devices are gone. Flushed and closed when it returns. */
void backends_close(struct vm *vm);

#endif
