/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_VIRTIO_PCI_H
#define LKVM_VIRTIO_PCI_H

#include <stdbool.h>

struct pci;
struct virtio_device;
struct virtio_pci;

/*
 * Puts a virtio device on the PCI bus (virtio 1.2 §4.1). NULL after one error line. transitional:
 * with the legacy interface beside the modern one, if devices of its kind ever had it.
 */
struct virtio_pci *virtio_pci_create(struct pci *pci, struct virtio_device *vdev,
				     bool transitional);
/* Resets the device and takes it off the bus; it stays the caller's. No vCPU runs. */
void virtio_pci_destroy(struct virtio_pci *vp);

#endif
