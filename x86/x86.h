/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_X86_X86_H
#define LKVM_X86_X86_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "boot.h"
#include "firmware.h"
#include "kvm/pci.h"
#include "kvm/serial.h"

struct acpi_pm;
struct i8042;
struct kvm_cpuid2;
struct vcpu;
struct vm;

/* A machine of more CPUs needs x2APIC: they have no APIC ids of eight bits (FFh is all). */
#define X86_XAPIC_MAX_CPUS 255

/* What the guest's clocks read when it was paused (clock.c). */
struct clock_state {
	bool held;
	uint64_t kvmclock_ns, host_tsc;
	uint64_t *tsc_offset; /* of each vCPU; NULL when KVM cannot tell */
	struct kvm_pit_state2 pit;
};

/* The machine's own state, from arch_vm_init() to arch_vm_fini(). */
struct arch_vm {
	struct kvm_cpuid2 *cpuid; /* what KVM supports */
	bool tsc_deadline, has_pit;
	struct pci_window mem64; /* above RAM; empty when nothing is left there */
	struct serial *serial[4];
	struct i8042 *kbc;
	struct acpi_pm *pm; /* NULL with --no-acpi */
	struct firmware firmware;
	char *cmdline;
	struct boot boot;
	struct clock_state clock;
};

/* clock.c: all vCPUs stand still. */
void clock_hold(struct vm *vm);
void clock_release(struct vm *vm);

/* ports.c: the odd ports of a PC that belong to no chip. */
int ports_create(struct vm *vm);
/* Port 61h, where no PIT answers it. */
int ports_create_port_b(struct vm *vm);

/* dump.c */
void dump_vcpu(struct vcpu *vcpu, FILE *out);
void dump_step(struct vcpu *vcpu, FILE *out);

#endif
