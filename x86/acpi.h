/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_X86_ACPI_H
#define LKVM_X86_ACPI_H

#include <stddef.h>
#include <stdint.h>

#include "kvm/pci.h"
#include "kvm/virtio-mmio.h"

/* What the tables say beyond layout.h. */
struct acpi_config {
	unsigned int nr_cpus;
	struct pci_window io, mem32, mem64; /* mem64.size may be 0 */
	unsigned int intx_gsi[4];
	uint8_t intx_pic[4]; /* the same lines at the PIC */
	unsigned int nr_virtio_mmio;
	const struct virtio_mmio_place *virtio_mmio;
};

/*
 * Writes all tables to buf, which is what the guest sees at gpa. Returns the RSDP's address, or 0
 * when they do not fit.
 */
uint64_t acpi_build(const struct acpi_config *cfg, void *buf, size_t size, uint64_t gpa);

/* The DSDT's AML. Returns its length without the table's header, 0 when it does not fit. */
size_t dsdt_build(const struct acpi_config *cfg, void *buf, size_t size);

#endif
