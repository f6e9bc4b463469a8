// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Interrupts of PCI functions: MSI-X (PCI 3.0 §6.8.2) and INTx (§2.2.6, §6.2.4).
 *
 * A vector that may fire is a route in KVM and an eventfd; so raising one is a write. A vector that
 * is masked, or whose function is, remembers by a pending bit that is delivered on unmask.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/log.h"
#include "kvm/util.h"
#include "pci-internal.h"

#define MSIX_TABLE_SIZE(msix) ((uint64_t)(msix)->nr_vectors * PCI_MSIX_ENTRY_SIZE)
#define MSIX_PBA_SIZE(msix)   (ALIGN_UP((uint64_t)(msix)->nr_vectors, 64) / 8)

int pci_add_msix(struct pci_function *fn, unsigned int nr_vectors, unsigned int bar,
		 uint32_t table_off, uint32_t pba_off)
{
	struct pci_msix *msix;
	uint8_t body[PCI_CAP_MSIX_SIZEOF - 2];
	int cap;

	if (!nr_vectors || nr_vectors > PCI_MSIX_FLAGS_QSIZE + 1)
		return -EINVAL;
	le_store(body + PCI_MSIX_FLAGS - 2, 2, nr_vectors - 1);
	le_store(body + PCI_MSIX_TABLE - 2, 4, table_off | bar);
	le_store(body + PCI_MSIX_PBA - 2, 4, pba_off | bar);
	cap = pci_add_capability(fn, PCI_CAP_ID_MSIX, body, PCI_CAP_MSIX_SIZEOF);
	if (cap < 0)
		return cap;
	pci_set_writable(fn, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);

	msix = calloc(1, sizeof(*msix));
	if (!msix)
		return -ENOMEM;
	*msix = (struct pci_msix){.nr_vectors = nr_vectors,
				  .cap = cap,
				  .bar = bar,
				  .table_off = table_off,
				  .pba_off = pba_off};
	pthread_mutex_init(&msix->lock, NULL);
	fn->msix = msix;
	msix->table = calloc(nr_vectors, PCI_MSIX_ENTRY_SIZE);
	msix->pending = calloc(1, MSIX_PBA_SIZE(msix));
	msix->source = calloc(nr_vectors, sizeof(msix->source[0]));
	msix->msi = calloc(nr_vectors, sizeof(msix->msi[0]));
	if (!msix->table || !msix->pending || !msix->source || !msix->msi) {
		free(msix->msi);
		msix->msi = NULL; /* pci_msix_fini() frees the rest */
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < nr_vectors; i++) {
		msix->table[i * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL] =
			PCI_MSIX_ENTRY_CTRL_MASKBIT;
		irq_msi_init(&msix->msi[i]);
		msix->source[i].fd = -1;
	}
	return 0;
}

void pci_msix_fini(struct pci_function *fn)
{
	struct pci_msix *msix = fn->msix;

	if (!msix)
		return;
	fn->msix = NULL;
	for (unsigned int i = 0; msix->msi && i < msix->nr_vectors; i++)
		irq_msi_fini(fn->pci->irq, &msix->msi[i]);
	free(msix->msi);
	free(msix->source);
	free(msix->pending);
	free(msix->table);
	pthread_mutex_destroy(&msix->lock);
	free(msix);
}

static bool pci_msix_vector_masked(const struct pci_msix *msix, unsigned int vector)
{
	return msix->masked || msix->table[vector * PCI_MSIX_ENTRY_SIZE +
					   PCI_MSIX_ENTRY_VECTOR_CTRL] & PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

/* Ties a source to its vector, or unties it, as the vector is `live` or not. */
static int pci_msix_sync_source(struct pci_function *fn, struct pci_msix_source *source, bool live)
{
	struct irq_msi *msi = &fn->msix->msi[source->vector];
	int ret = 0;

	if (live && !source->tied)
		ret = irq_msi_tie(fn->pci->irq, msi, source->fd);
	else if (!live && source->tied)
		irq_msi_untie(fn->pci->irq, msi, source->fd);
	source->tied = live && ret == 0;
	return ret;
}

static void pci_msix_sync_sources(struct pci_function *fn, unsigned int vector, bool live)
{
	struct pci_msix *msix = fn->msix;

	for (unsigned int i = 0; i < msix->nr_vectors; i++)
		if (msix->source[i].fd >= 0 && msix->source[i].vector == vector)
			pci_msix_sync_source(fn, &msix->source[i], live);
}

/* Whether a vector may fire: enabled and unmasked, and KVM has its route. */
static bool pci_msix_vector_live(struct pci_function *fn, unsigned int vector)
{
	struct pci_msix *msix = fn->msix;
	const uint8_t *entry;
	int ret;

	if (vector >= msix->nr_vectors || !msix->enabled || pci_msix_vector_masked(msix, vector))
		return false;
	entry = msix->table + vector * PCI_MSIX_ENTRY_SIZE;
	ret = irq_msi_set(fn->pci->irq, &msix->msi[vector],
			  le_load(entry + PCI_MSIX_ENTRY_LOWER_ADDR, 8),
			  le_load(entry + PCI_MSIX_ENTRY_DATA, 4), fn->bdf);
	if (ret < 0)
		log_guest("%s: MSI-X vector %u: %s", fn->name, vector, strerror(-ret));
	return ret == 0;
}

/* A vector that is enabled and unmasked gets its route, and what was pending is delivered. */
static void pci_msix_sync_vector(struct pci_function *fn, unsigned int vector)
{
	struct pci_msix *msix = fn->msix;
	uint64_t bit = UINT64_C(1) << vector % 64;
	bool live = pci_msix_vector_live(fn, vector);

	pci_msix_sync_sources(fn, vector, live);
	if (live && msix->pending[vector / 64] & bit) {
		msix->pending[vector / 64] &= ~bit;
		irq_msi_raise(&msix->msi[vector]);
	}
}

void pci_msix_sync(struct pci_function *fn)
{
	struct pci_msix *msix = fn->msix;
	uint16_t flags = le_load(fn->bytes + msix->cap + PCI_MSIX_FLAGS, 2);

	pthread_mutex_lock(&msix->lock);
	msix->enabled = flags & PCI_MSIX_FLAGS_ENABLE;
	msix->masked = flags & PCI_MSIX_FLAGS_MASKALL;
	for (unsigned int i = 0; i < msix->nr_vectors; i++)
		pci_msix_sync_vector(fn, i);
	pthread_mutex_unlock(&msix->lock);
	/* MSI-X and INTx exclude each other (§6.8.2.3). */
	pci_intx_sync(fn);
}

bool pci_msix_enabled(struct pci_function *fn)
{
	bool enabled;

	if (!fn->msix)
		return false;
	pthread_mutex_lock(&fn->msix->lock);
	enabled = fn->msix->enabled;
	pthread_mutex_unlock(&fn->msix->lock);
	return enabled;
}

void pci_msix_raise(struct pci_function *fn, unsigned int vector)
{
	struct pci_msix *msix = fn->msix;

	if (!msix || vector >= msix->nr_vectors)
		return;
	pthread_mutex_lock(&msix->lock);
	if (msix->enabled && pci_msix_vector_masked(msix, vector))
		msix->pending[vector / 64] |= UINT64_C(1) << vector % 64;
	else if (msix->enabled)
		irq_msi_raise(&msix->msi[vector]);
	pthread_mutex_unlock(&msix->lock);
}

static struct pci_msix_source *pci_msix_find_source(struct pci_msix *msix, int fd)
{
	for (unsigned int i = 0; i < msix->nr_vectors; i++)
		if (msix->source[i].fd == fd)
			return &msix->source[i];
	return NULL;
}

int pci_msix_tie(struct pci_function *fn, int fd, unsigned int vector)
{
	struct pci_msix *msix = fn->msix;
	struct pci_msix_source *source;
	int ret = 0;

	pthread_mutex_lock(&msix->lock);
	source = pci_msix_find_source(msix, fd);
	if (source)
		pci_msix_sync_source(fn, source, false);
	else
		source = pci_msix_find_source(msix, -1);
	if (source) {
		source->fd = fd;
		source->vector = vector;
		ret = pci_msix_sync_source(fn, source, pci_msix_vector_live(fn, vector));
	}
	pthread_mutex_unlock(&msix->lock);
	return source ? ret : -ENOSPC;
}

void pci_msix_untie(struct pci_function *fn, int fd)
{
	struct pci_msix *msix = fn->msix;
	struct pci_msix_source *source;

	pthread_mutex_lock(&msix->lock);
	source = pci_msix_find_source(msix, fd);
	if (source) {
		pci_msix_sync_source(fn, source, false);
		source->fd = -1;
	}
	pthread_mutex_unlock(&msix->lock);
}

bool pci_msix_contains(struct pci_function *fn, unsigned int bar, uint64_t off)
{
	struct pci_msix *msix = fn->msix;

	return msix && msix->bar == bar &&
	       (range_contains(msix->table_off, MSIX_TABLE_SIZE(msix), off, 1) ||
		range_contains(msix->pba_off, MSIX_PBA_SIZE(msix), off, 1));
}

uint64_t pci_msix_read(struct pci_function *fn, uint64_t off, unsigned int len)
{
	struct pci_msix *msix = fn->msix;
	uint64_t val = 0;

	pthread_mutex_lock(&msix->lock);
	if (range_contains(msix->table_off, MSIX_TABLE_SIZE(msix), off, len))
		val = le_load(msix->table + (off - msix->table_off), len);
	else if (range_contains(msix->pba_off, MSIX_PBA_SIZE(msix), off, len))
		val = le_load((uint8_t *)msix->pending + (off - msix->pba_off), len);
	pthread_mutex_unlock(&msix->lock);
	return val;
}

/* Only whole dwords and qwords are defined (§6.8.2); they never cross an entry. PBA: read-only. */
void pci_msix_write(struct pci_function *fn, uint64_t off, unsigned int len, uint64_t val)
{
	struct pci_msix *msix = fn->msix;

	if (len < 4 || off % len)
		return;
	pthread_mutex_lock(&msix->lock);
	if (range_contains(msix->table_off, MSIX_TABLE_SIZE(msix), off, len)) {
		uint64_t at = off - msix->table_off;
		unsigned int vector = at / PCI_MSIX_ENTRY_SIZE;
		uint8_t *ctrl = msix->table + vector * PCI_MSIX_ENTRY_SIZE +
				PCI_MSIX_ENTRY_VECTOR_CTRL;

		le_store(msix->table + at, len, val);
		le_store(ctrl, 4, *ctrl & PCI_MSIX_ENTRY_CTRL_MASKBIT);
		pci_msix_sync_vector(fn, vector);
	}
	pthread_mutex_unlock(&msix->lock);
}

void pci_intx_sync(struct pci_function *fn)
{
	uint16_t command = le_load(fn->bytes + PCI_COMMAND, 2);

	if (!fn->intx.irq)
		return;
	if (fn->intx_asserted)
		fn->bytes[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
	else
		fn->bytes[PCI_STATUS] &= ~PCI_STATUS_INTERRUPT;
	irq_line_set(&fn->intx, fn->intx_asserted && !(command & PCI_COMMAND_INTX_DISABLE) &&
					!pci_msix_enabled(fn));
}

void pci_intx_set(struct pci_function *fn, bool level)
{
	pthread_mutex_lock(&fn->pci->lock);
	fn->intx_asserted = level;
	pci_intx_sync(fn);
	pthread_mutex_unlock(&fn->pci->lock);
}
