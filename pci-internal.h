/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_PCI_INTERNAL_H
#define LKVM_PCI_INTERNAL_H

#include "kvm/pci.h"

/* Shared by pci.c and pci-msix.c. */

/* An eventfd that raises a vector (pci_msix_tie). */
struct pci_msix_source {
	int fd; /* -1: the entry is free */
	unsigned int vector;
	bool tied; /* KVM knows of it */
};

/* MSI-X (PCI 3.0 §6.8.2): the table and pending bits live here, in a BAR that the device names. */
struct pci_msix {
	pthread_mutex_t lock; /* protects all below; taken after pci.lock */
	unsigned int nr_vectors, cap, bar;
	uint32_t table_off, pba_off;
	uint8_t *table;	   /* nr_vectors entries of PCI_MSIX_ENTRY_SIZE bytes */
	uint64_t *pending; /* one bit a vector */
	struct irq_msi *msi;
	struct pci_msix_source *source; /* nr_vectors entries */
	bool enabled, masked;
};

/* The Message Control word was written: enable, mask, and what was pending meanwhile. */
void pci_msix_sync(struct pci_function *fn);
void pci_msix_fini(struct pci_function *fn);

/* Makes the INTx line and the Interrupt Status bit agree with the device and COMMAND. pci.lock. */
void pci_intx_sync(struct pci_function *fn);

#endif
