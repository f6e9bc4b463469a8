/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_VIRTIO_PCI_INTERNAL_H
#define LKVM_VIRTIO_PCI_INTERNAL_H

/* What the two interfaces of a virtio PCI function share: virtio/pci.c and virtio/pci-legacy.c. */
#include <pthread.h>
#include <stdatomic.h>

#include "kvm/pci.h"
#include "kvm/virtio.h"

struct virtio_pci {
	struct pci_function fn;
	struct virtio_device *vdev;
	unsigned int nr_vectors;
	unsigned int window; /* where VIRTIO_PCI_CAP_PCI_CFG is in configuration space */

	atomic_uint device_feature_select, driver_feature_select, queue_select;
	atomic_ushort config_vector, queue_vector[VIRTIO_MAX_QUEUES];

	pthread_mutex_t call_lock; /* protects call_fd, and that its vector is queue_vector */
	int call_fd[VIRTIO_MAX_QUEUES]; /* -1: the worker raises it */

	pthread_mutex_t isr_lock; /* protects isr and the line's agreement with it */
	uint8_t isr;
};

/* Reading acknowledges (§4.1.4.5). */
uint8_t virtio_pci_read_isr(struct virtio_pci *vp);
/* Also resets the transport's own registers, when it resets the device. */
void virtio_pci_set_status(struct virtio_pci *vp, uint8_t status);
/* A vector that does not exist becomes NO_VECTOR, and a queue that does not exist has none. */
void virtio_pci_set_config_vector(struct virtio_pci *vp, uint16_t vector);
void virtio_pci_set_queue_vector(struct virtio_pci *vp, unsigned int q, uint16_t vector);
uint16_t virtio_pci_queue_vector(struct virtio_pci *vp, unsigned int q);

/* pci-legacy.c: adds BAR 0 and its notifications. 0 or a negative errno after one error line. */
int virtio_pci_add_legacy(struct virtio_pci *vp);

#endif
