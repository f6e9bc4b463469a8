/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_VIRTIO_MMIO_H
#define LKVM_VIRTIO_MMIO_H

#include <stdbool.h>
#include <stdint.h>

struct bus;
struct irq_chip;
struct virtio_device;
struct virtio_mmio;

#define VIRTIO_MMIO_SIZE 0x200 /* bytes of address space a device */

/* Where a device is; no bus finds it, so the guest is told (ACPI, device tree, command line). */
struct virtio_mmio_place {
	uint64_t base;
	unsigned int gsi; /* a level-triggered line, active high; others may be on it */
};

/*
 * Gives a virtio device registers in memory (virtio 1.2 §4.2). NULL after one error line. legacy:
 * as version 1 of them (§4.2.4), if devices of its kind ever had it.
 */
struct virtio_mmio *virtio_mmio_create(struct bus *mmio, struct irq_chip *irq, int vm_fd,
				       const struct virtio_mmio_place *place,
				       struct virtio_device *vdev, bool legacy);
/* Resets the device and takes its registers away; it stays the caller's. No vCPU runs. */
void virtio_mmio_destroy(struct virtio_mmio *mio);

#endif
