/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_IOEVENTFD_H
#define LKVM_IOEVENTFD_H

#include <stdbool.h>
#include <stdint.h>

/*
 * KVM writes to an eventfd whenever the guest writes somewhere: a notification without an exit to
 * us (KVM API §4.59).
 */
struct ioeventfd {
	uint64_t at, match;
	unsigned int len; /* of the write, in bytes: 1, 2, 4, 8, or 0 for any */
	bool io;	  /* `at` is a port, else a guest-physical address */
	bool any;	  /* any value counts, else `match` only */
	int fd;		  /* stays the caller's; must be open until ioeventfd_del() */
};

/* 0 or a negative errno: -EEXIST where such a one is, -ENOSPC. Any thread. */
int ioeventfd_add(int vm_fd, const struct ioeventfd *ev);
/* Takes the same words as ioeventfd_add(). */
void ioeventfd_del(int vm_fd, const struct ioeventfd *ev);

#endif
