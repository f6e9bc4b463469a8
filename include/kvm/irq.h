/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_IRQ_H
#define LKVM_IRQ_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct kvm_irq_routing_entry;

/*
 * Interrupts: lines, MSI routes and irqfds. The only file that speaks KVM_IRQ*.
 *
 * A GSI ("global system interrupt") is KVM's number for an input of the interrupt controller. The
 * architecture says which GSIs are pins; the numbers above them are handed out for MSIs.
 */
#define IRQ_MAX_GSI 4096

struct irq_chip {
	int vm_fd;
	pthread_mutex_t lock; /* protects all below; a leaf lock */
	struct kvm_irq_routing_entry *route; /* the pins first, then MSIs */
	unsigned int nr_routes, nr_pin_routes;
	unsigned int first_msi;		  /* the lowest GSI that is no pin */
	uint64_t msi_used[IRQ_MAX_GSI / 64]; /* GSIs given to MSIs */
	uint16_t asserted[IRQ_MAX_GSI];	  /* how many sources hold a line up */
	/*
	 * x86: MSI addresses carry 15 bits of destination, 11:5 being bits 14:8 of it
	 * (KVM_FEATURE_MSI_EXT_DEST_ID). Set by the architecture before the first MSI.
	 */
	bool ext_dest_id;
	/* Arm: what KVM_IRQ_LINE calls GSI 0 (KVM API §4.25); set after irq_init(). */
	uint32_t line_base;
	/*
	 * Optional, set after irq_init(): turns the route of an MSI into what KVM understands;
	 * -EINVAL when there is no such MSI.
	 */
	int (*route_msi)(struct kvm_irq_routing_entry *route);
};

/*
 * pins: the routing of the interrupt controller's inputs, which the architecture knows (KVM API
 * §4.52); first_msi: the lowest GSI above them. 0 or a negative errno.
 */
int irq_init(struct irq_chip *irq, int vm_fd, const struct kvm_irq_routing_entry *pins,
	     unsigned int nr_pins, unsigned int first_msi);
void irq_fini(struct irq_chip *irq);

/*
 * One source of a line; zero `gsi` in a zeroed struct is the valid line 0, so set it up by
 * irq_line_init(). A level-triggered line may have many sources: it is up while any of them is.
 * raise and lower are idempotent. irq_line_pulse() is for edge-triggered lines. Any thread.
 */
struct irq_line {
	struct irq_chip *irq;
	unsigned int gsi;
	bool up;
};

void irq_line_init(struct irq_line *line, struct irq_chip *irq, unsigned int gsi);
void irq_line_raise(struct irq_line *line);
void irq_line_lower(struct irq_line *line);
void irq_line_set(struct irq_line *line, bool level);
void irq_line_pulse(struct irq_line *line);

/*
 * One MSI: an eventfd that, when written, delivers address and data to the guest. The GSI is
 * allocated by the first irq_msi_set() and kept until irq_msi_fini(), so re-programming a vector
 * costs no further route. devid is what an ITS tells functions apart by (0 elsewhere).
 * -ENOSPC when KVM has no route left. irq_msi_fd() is -1 until set. Callers serialise per MSI.
 */
struct irq_msi {
	int fd;
	int gsi; /* -1: none */
	uint64_t addr;
	uint32_t data;
};

void irq_msi_init(struct irq_msi *msi);
int irq_msi_set(struct irq_chip *irq, struct irq_msi *msi, uint64_t addr, uint32_t data,
		uint32_t devid);
void irq_msi_raise(struct irq_msi *msi);
/*
 * Ties one more eventfd, which stays the caller's, to an MSI that has been set: what is written to
 * it interrupts the guest with no thread of ours between. From Linux 5.11 on KVM takes what is
 * written before a poll sees it; older kernels leave it for the poll as well. 0 or a negative errno.
 */
int irq_msi_tie(struct irq_chip *irq, const struct irq_msi *msi, int fd);
void irq_msi_untie(struct irq_chip *irq, const struct irq_msi *msi, int fd);
void irq_msi_fini(struct irq_chip *irq, struct irq_msi *msi);

#endif
