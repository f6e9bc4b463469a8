/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_IOPORT_H
#define LKVM_IOPORT_H

#include "kvm/bus.h"

struct kvm_run;

/* Decodes KVM_EXIT_IO (size, count, string instructions) over the bus. debug: name each hole. */
void ioport_exit(struct bus *bus, struct bus_cache *cache, struct kvm_run *run, bool debug);

#endif
