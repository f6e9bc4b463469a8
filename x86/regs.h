/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_X86_REGS_H
#define LKVM_X86_REGS_H

#include <stdbool.h>
#include <stdint.h>

struct entry;
struct kvm_regs;
struct kvm_sregs;
struct memory;

/* Writes the GDT and the page tables that an entry in 32-bit or 64-bit mode stands on. */
void regs_write_tables(const struct entry *entry, const struct memory *mem);

/* The registers for an entry, on top of those that a CPU has after reset. */
void regs_set_entry(const struct entry *entry, struct kvm_regs *regs, struct kvm_sregs *sregs);

/* Brings a vCPU to the entry; 0 or a negative errno with nothing printed. */
int regs_enter(int vcpu_fd, const struct entry *entry);

/*
 * What firmware leaves in every CPU before a kernel runs: MSRs, x2APIC mode where some CPU's APIC id
 * needs it, and on the first one the LAPIC's inputs for the PIC and NMI. 0 or a negative errno with
 * nothing printed.
 */
int regs_init_firmware(int vcpu_fd, bool first, bool x2apic);

#endif
