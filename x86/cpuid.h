/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_X86_CPUID_H
#define LKVM_X86_CPUID_H

#include <stdbool.h>
#include <stdint.h>

struct kvm_cpuid2;
struct kvm_cpuid_entry2;

/* How many entries cpuid_for_vcpu() may add to what KVM supports. */
#define CPUID_EXTRA 8

/*
 * What KVM can give a guest on this host, as many entries as there are, with room for CPUID_EXTRA
 * more. NULL after one error line. The caller frees it.
 */
struct kvm_cpuid2 *cpuid_supported(int kvm_fd);

/*
 * Makes what KVM supports into one CPU of the machine: nr_cpus cores in one socket, one thread
 * each, CPU `id` with that APIC id. `to` has room for from->nent + CPUID_EXTRA entries.
 * tsc_deadline: KVM has that timer (KVM does not say so in CPUID).
 */
void cpuid_for_vcpu(struct kvm_cpuid2 *to, const struct kvm_cpuid2 *from, unsigned int id,
		    unsigned int nr_cpus, bool tsc_deadline);

/* The entry of a leaf, of its sub-leaf when it has any; NULL when there is none. */
const struct kvm_cpuid_entry2 *cpuid_find(const struct kvm_cpuid2 *cpuid, uint32_t leaf,
					  uint32_t subleaf);

/* Bits of guest physical addresses. */
unsigned int cpuid_phys_bits(const struct kvm_cpuid2 *cpuid);

/*
 * Whether Linux has all its clocks without a PIT: TSC frequency from kvmclock, and a LAPIC timer
 * that needs no calibration and never stops.
 */
bool cpuid_can_do_without_pit(const struct kvm_cpuid2 *cpuid, bool tsc_deadline);

#endif
