/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_X86_MPTABLE_H
#define LKVM_X86_MPTABLE_H

#include <stddef.h>
#include <stdint.h>

/* The most CPUs the table can name: APIC ids have 8 bits and 255 means all. */
#define MPTABLE_MAX_CPUS 255

/*
 * Writes the MultiProcessor table (Intel MP 1.4) for kernels without ACPI: CPUs, as many as it can
 * name, ISA interrupts, PCI interrupts by slot and pin. buf is what the guest sees at gpa, 16-byte
 * aligned. Returns the bytes used, 0 when it does not fit.
 */
size_t mptable_build(unsigned int nr_cpus, uint32_t cpu_signature, uint32_t cpu_features,
		     const unsigned int intx_gsi[4], void *buf, size_t size, uint64_t gpa);

#endif
