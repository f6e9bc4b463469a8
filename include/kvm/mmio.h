/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_MMIO_H
#define LKVM_MMIO_H

#include "kvm/bus.h"

struct kvm_run;

/* Decodes KVM_EXIT_MMIO (KVM API §5) over the bus. debug: name each hole on the log. */
void mmio_exit(struct bus *bus, struct bus_cache *cache, struct kvm_run *run, bool debug);

#endif
