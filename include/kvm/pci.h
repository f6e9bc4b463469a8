/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_PCI_H
#define LKVM_PCI_H

#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm/bus.h"
#include "kvm/ioeventfd.h"
#include "kvm/irq.h"

/*
 * One PCI Express segment with one bus, its configuration space, BARs, capabilities and MSI-X.
 * The core knows no device by name.
 *
 * Configuration space is bytes plus a write mask per byte: a write stores
 * (old & ~mask) | (val & mask) and whatever follows from it is worked out from the bytes
 * afterwards (pci_sync). Lock order: pci.lock, then pci_msix.lock, then irq_chip.lock.
 */
#define PCI_CFG_SIZE	    4096 /* PCIe extended configuration space, bytes a function */
#define PCI_MAX_SLOTS	    32
#define PCI_MAX_FUNCTIONS   8
#define PCI_NR_BARS	    6
#define PCI_BAR_NOT_DECODED UINT64_MAX
#define PCI_BDF(slot, fn)   ((uint8_t)((slot) << 3 | (fn)))

struct pci_function;

/* An address window that BARs are placed in; empty when size is 0. */
struct pci_window {
	uint64_t base, size;
};

struct pci_claim;
struct pci_ioeventfd;
struct pci_msix;

/*
 * What a device says of a BAR: its layout is data. Zero size means there is none; a 64-bit BAR
 * takes two. Sizes must be powers of two (>= 16 for memory, >= 4 for I/O).
 * type: PCI_BASE_ADDRESS_SPACE_IO, or PCI_BASE_ADDRESS_MEM_TYPE_64 | .._MEM_PREFETCH.
 */
struct pci_bar_layout {
	uint8_t type;
	uint64_t size;
	const struct io_ops *ops; /* NULL: nothing trapped, moved() maps something itself */
	/*
	 * The BAR now decodes at base, or no longer (PCI_BAR_NOT_DECODED); a move is both. Called
	 * with pci.lock held, on the vCPU that wrote the register. May be NULL.
	 */
	void (*moved)(void *dev, unsigned int bar, uint64_t base);
};

struct pci_bar {
	struct pci_bar_layout layout;
	struct io_region *region;
	uint64_t base; /* where it decodes now, or PCI_BAR_NOT_DECODED */
};

struct pci_function {
	struct pci *pci;
	const char *name;
	void *dev;
	uint8_t bdf;
	bool added;
	uint8_t bytes[PCI_CFG_SIZE];
	uint8_t mask[PCI_CFG_SIZE]; /* bits that the guest may write */
	struct pci_bar bar[PCI_NR_BARS];
	struct pci_ioeventfd *ioeventfds;
	unsigned int cap_end, last_cap; /* where the next capability goes; the last one's place */
	struct pci_msix *msix;
	struct irq_line intx;
	bool intx_asserted; /* what the device wants, before Interrupt Disable */
	struct io_region *config_region;
	/*
	 * Optional hooks for capabilities with behaviour (VIRTIO_PCI_CAP_PCI_CFG, passthrough).
	 * Called without pci.lock, before a read is served and after a write was stored.
	 */
	void (*config_read)(void *dev, unsigned int reg, unsigned int len);
	void (*config_written)(void *dev, unsigned int reg, unsigned int len);
};

struct pci {
	struct bus config; /* addresses are bdf << 12 | register */
	struct bus *mmio, *ioport;
	struct irq_chip *irq;
	int vm_fd;
	pthread_mutex_t lock; /* protects fn, config bytes, BARs, intx_asserted */
	struct pci_function *fn[PCI_MAX_SLOTS * PCI_MAX_FUNCTIONS];
	struct pci_window io, mem32, mem64;
	bool assigned; /* BARs have addresses; none decodes before */
	/* GSI of INTA# of slot 0 and so on, swizzled by slot and pin; and what goes into the
	 * Interrupt Line register for each. */
	unsigned int intx_gsi[4];
	uint8_t intx_line[4];
	/*
	 * There will be more functions than slots: each slot is filled before the next one, so that
	 * software, which looks at all functions of a slot first, finds them in the order of creation.
	 */
	bool crowded;
	atomic_uint cf8;
	struct pci_function host_bridge; /* 00:00.0 */
	struct pci_claim *claims;	 /* scratch of pci_sync_bars(), under lock */
};

struct pci_id {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class_code; /* 24 bits: base, sub, programming interface */
	uint8_t revision;
};

/*
 * Makes a bus with nothing but its host bridge. The architecture fills in the windows, intx_gsi and
 * intx_line before it adds the first function; `crowded` may be set then, too.
 */
int pci_init(struct pci *pci, struct bus *mmio, struct bus *ioport, struct irq_chip *irq,
	     int vm_fd);
void pci_fini(struct pci *pci);

/* The two doors into configuration space: an ECAM window, and CF8/CFC (PCI 3.0 §3.2.2.3). */
int pci_add_ecam(struct pci *pci, uint64_t gpa);
int pci_add_cf8(struct pci *pci);

/*
 * A function's life: pci_function_init() with its identity, then BARs, capabilities, MSI-X and
 * ioeventfds, then pci_function_add(), which gives it a place (bdf, or -1 for the next free slot) and
 * an INTx line. When all functions are there, pci_assign_bars() gives them addresses. All print on
 * error and return a negative errno; pci_function_remove() undoes any prefix of them.
 */
void pci_function_init(struct pci_function *fn, struct pci *pci, const char *name, void *dev,
		       const struct pci_id *id);
int pci_add_bar(struct pci_function *fn, unsigned int bar, const struct pci_bar_layout *layout);
/*
 * Appends a capability of len bytes (2-byte header included), all read-only; body may be NULL.
 * Returns its offset or a negative errno.
 */
int pci_add_capability(struct pci_function *fn, uint8_t id, const void *body, unsigned int len);
/* Lets the guest write `mask` of the len bytes (1, 2 or 4) at reg. */
void pci_set_writable(struct pci_function *fn, unsigned int reg, unsigned int len, uint32_t mask);
int pci_add_msix(struct pci_function *fn, unsigned int nr_vectors, unsigned int bar,
		 uint32_t table_off, uint32_t pba_off);
/* ev->at is an offset into the BAR, which is there already and says whether it is a port. */
int pci_add_ioeventfd(struct pci_function *fn, unsigned int bar, const struct ioeventfd *ev);
int pci_function_add(struct pci_function *fn, int bdf);
void pci_function_remove(struct pci_function *fn);
/*
 * The first addresses of all BARs, before the guest runs: in each window the largest first, the same
 * size in the order of functions. That leaves no gaps; and where Linux does not take addresses as it
 * finds them (arm64), it gives out new ones in this order, so that they are the old ones.
 */
int pci_assign_bars(struct pci *pci);

/* Reads and writes on the VMM's own behalf: no mask, no hook, no consequences. */
uint32_t pci_config_get(struct pci_function *fn, unsigned int reg, unsigned int len);
void pci_config_set(struct pci_function *fn, unsigned int reg, unsigned int len, uint32_t val);

/* Interrupts, from any thread. A masked vector sets its pending bit and fires when unmasked. */
void pci_msix_raise(struct pci_function *fn, unsigned int vector);
bool pci_msix_enabled(struct pci_function *fn);
/*
 * Lets an eventfd, which stays the caller's, raise a vector without us: for back ends in the kernel
 * or in another process. Tying it again moves it to another vector. While the vector may not fire
 * (it is masked, MSI-X is off, there is no such vector) nobody takes what is written to the eventfd:
 * the caller watches it, and then does what it does without all this, pci_msix_raise() among it.
 * At most as many eventfds as there are vectors: -ENOSPC. The other errors are KVM's.
 */
int pci_msix_tie(struct pci_function *fn, int fd, unsigned int vector);
void pci_msix_untie(struct pci_function *fn, int fd);
void pci_intx_set(struct pci_function *fn, bool level);

/* The MSI-X table and pending bits, for the BAR handler of a device; off is BAR relative. */
bool pci_msix_contains(struct pci_function *fn, unsigned int bar, uint64_t off);
uint64_t pci_msix_read(struct pci_function *fn, uint64_t off, unsigned int len);
void pci_msix_write(struct pci_function *fn, uint64_t off, unsigned int len, uint64_t val);

#endif
