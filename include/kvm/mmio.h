/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_MMIO_H
#define LKVM_MMIO_H

#include "kvm/bus.h"

struct kvm_run;

/* Decodes KVM_EXIT_MMIO (KVM API §5) over the bus. debug: name each hole on the log. */
void mmio_exit(struct bus *bus, struct bus_cache *cache, struct kvm_run *run, bool debug);

/*
 * KVM writes to fd whenever the guest writes to gpa: a notification without an exit to us.
 * len 1, 2, 4, 8, or 0 for any. datamatch NULL means any value. 0 or a negative errno.
 */
int mmio_ioeventfd_add(int vm_fd, uint64_t gpa, unsigned int len, const uint64_t *datamatch,
		       int fd);
void mmio_ioeventfd_del(int vm_fd, uint64_t gpa, unsigned int len, const uint64_t *datamatch,
			int fd);

#endif
