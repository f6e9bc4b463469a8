/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_FRAME_H
#define LKVM_FRAME_H

#include <stddef.h>

#include "guest/protocol.h"

/*
 * The frames of guest/protocol.h as they come in over a socket: from the guest's init, or over a
 * control connection after `exec`, where they are the same (docs/control.md).
 */
struct frame_reader {
	size_t len; /* bytes of the one that is incomplete; 0 when it is done */
	struct guest_frame head;
	char data[GUEST_MAX_FRAME];
};

/*
 * Reads once, without waiting. 1: a frame is there, until the next call; 0: not yet; -EPIPE at the
 * end, -EPROTO after nonsense, or another negative errno.
 */
int frame_read(struct frame_reader *reader, int fd);
/* The content of a frame that is a number; 0 when it is none. */
unsigned int frame_number(const struct frame_reader *frame);

#endif
