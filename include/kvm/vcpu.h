/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_VCPU_H
#define LKVM_VCPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm/bus.h"

struct kvm_run;
struct vm;

/* A virtual CPU: one thread, one loop around KVM_RUN. */
struct vcpu {
	struct vm *vm;
	unsigned int id;
	int fd;
	struct kvm_run *run; /* shared with KVM, run_size bytes */
	size_t run_size;
	pthread_t thread;
	bool thread_started;
	struct bus_cache mmio_cache, ioport_cache; /* the vCPU thread's own */
};

/* The signal that interrupts KVM_RUN; blocked nowhere but handled by doing nothing. */
#define VCPU_KICK_SIGNAL SIGRTMIN

int vcpu_init(struct vcpu *vcpu, struct vm *vm, unsigned int id);
void vcpu_fini(struct vcpu *vcpu);

/* Starts the thread, which runs once the VM does; stop joins it (the VM must be stopping). */
int vcpu_start(struct vcpu *vcpu);
void vcpu_stop(struct vcpu *vcpu);

/*
 * Makes the vCPU leave the guest soon and look at the VM's state. No kick is lost: KVM looks at
 * immediate_exit on entry, and the signal interrupts a guest that runs. Any thread.
 */
void vcpu_kick(struct vcpu *vcpu);

#endif
