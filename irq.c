// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/irq.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/util.h"

/* KVM takes the whole table at once (KVM API §4.52). */
static int irq_commit_routes(struct irq_chip *irq)
{
	size_t bytes = irq->nr_routes * sizeof(irq->route[0]);
	struct kvm_irq_routing *table = calloc(1, sizeof(*table) + bytes);
	int ret;

	if (!table)
		return -ENOMEM;
	table->nr = irq->nr_routes;
	memcpy(table->entries, irq->route, bytes);
	ret = ioctl(irq->vm_fd, KVM_SET_GSI_ROUTING, table) < 0 ? -errno : 0;
	free(table);
	return ret;
}

int irq_init(struct irq_chip *irq, int vm_fd, const struct kvm_irq_routing_entry *pins,
	     unsigned int nr_pins, unsigned int first_msi)
{
	int ret;

	*irq = (struct irq_chip){.vm_fd = vm_fd, .nr_pin_routes = nr_pins, .first_msi = first_msi};
	irq->route = calloc(nr_pins + IRQ_MAX_GSI, sizeof(irq->route[0]));
	if (!irq->route)
		return -ENOMEM;
	memcpy(irq->route, pins, nr_pins * sizeof(pins[0]));
	irq->nr_routes = nr_pins;
	pthread_mutex_init(&irq->lock, NULL);

	ret = irq_commit_routes(irq);
	if (ret < 0) {
		log_error("interrupt routing: %s", strerror(-ret));
		irq_fini(irq);
	}
	return ret;
}

void irq_fini(struct irq_chip *irq)
{
	if (!irq->route)
		return;
	free(irq->route);
	irq->route = NULL;
	pthread_mutex_destroy(&irq->lock);
}

void irq_line_init(struct irq_line *line, struct irq_chip *irq, unsigned int gsi)
{
	*line = (struct irq_line){.irq = irq, .gsi = gsi};
}

static void irq_drive(struct irq_chip *irq, unsigned int gsi, bool level)
{
	struct kvm_irq_level args = {.irq = irq->line_base + gsi, .level = level};

	if (ioctl(irq->vm_fd, KVM_IRQ_LINE, &args) < 0)
		log_guest("interrupt line %u: %m", gsi);
}

/*
 * The count and the ioctl belong together under the lock, or a raise and a lower on two threads
 * could reach KVM in the wrong order.
 */
void irq_line_set(struct irq_line *line, bool level)
{
	struct irq_chip *irq = line->irq;

	pthread_mutex_lock(&irq->lock);
	if (level && !line->up) {
		if (irq->asserted[line->gsi]++ == 0)
			irq_drive(irq, line->gsi, true);
	} else if (!level && line->up) {
		if (--irq->asserted[line->gsi] == 0)
			irq_drive(irq, line->gsi, false);
	}
	line->up = level;
	pthread_mutex_unlock(&irq->lock);
}

void irq_line_raise(struct irq_line *line)
{
	irq_line_set(line, true);
}

void irq_line_lower(struct irq_line *line)
{
	irq_line_set(line, false);
}

void irq_line_pulse(struct irq_line *line)
{
	irq_line_set(line, true);
	irq_line_set(line, false);
}

void irq_msi_init(struct irq_msi *msi)
{
	*msi = (struct irq_msi){.fd = -1, .gsi = -1};
}

static int irq_set_irqfd(struct irq_chip *irq, int fd, int gsi, uint32_t flags)
{
	struct kvm_irqfd args = {.fd = fd, .gsi = gsi, .flags = flags};

	return ioctl(irq->vm_fd, KVM_IRQFD, &args) < 0 ? -errno : 0;
}

static int irq_alloc_gsi(struct irq_chip *irq)
{
	for (unsigned int gsi = irq->first_msi; gsi < IRQ_MAX_GSI; gsi++) {
		if (irq->msi_used[gsi / 64] & UINT64_C(1) << gsi % 64)
			continue;
		irq->msi_used[gsi / 64] |= UINT64_C(1) << gsi % 64;
		return gsi;
	}
	return -ENOSPC;
}

static struct kvm_irq_routing_entry *irq_find_msi_route(struct irq_chip *irq, int gsi)
{
	for (unsigned int i = irq->nr_pin_routes; i < irq->nr_routes; i++)
		if (irq->route[i].gsi == (uint32_t)gsi)
			return &irq->route[i];
	return NULL;
}

static void irq_drop_msi(struct irq_chip *irq, struct irq_msi *msi)
{
	struct kvm_irq_routing_entry *route = irq_find_msi_route(irq, msi->gsi);

	if (route)
		*route = irq->route[--irq->nr_routes];
	irq->msi_used[msi->gsi / 64] &= ~(UINT64_C(1) << msi->gsi % 64);
	msi->gsi = -1;
}

/* Where KVM wants the upper bits of a destination that an MSI's address carries in its lower. */
static uint64_t irq_kvm_msi_addr(const struct irq_chip *irq, uint64_t addr)
{
	uint64_t ext = irq->ext_dest_id ? addr & 0xfe0 : 0;

	return (addr & ~ext) | ext << 35;
}

static int irq_set_route(struct irq_chip *irq, struct irq_msi *msi, uint64_t addr, uint32_t data,
			 uint32_t devid)
{
	struct kvm_irq_routing_entry *route = irq_find_msi_route(irq, msi->gsi);
	struct kvm_irq_routing_entry wanted = {
		.gsi = msi->gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.flags = devid ? KVM_MSI_VALID_DEVID : 0,
		.u.msi = {.address_lo = irq_kvm_msi_addr(irq, addr),
			  .address_hi = irq_kvm_msi_addr(irq, addr) >> 32,
			  .data = data,
			  .devid = devid},
	};
	int ret = irq->route_msi ? irq->route_msi(&wanted) : 0;

	if (ret < 0)
		return ret;
	if (!route)
		route = &irq->route[irq->nr_routes++];
	*route = wanted;
	msi->addr = addr;
	msi->data = data;
	return irq_commit_routes(irq);
}

/* The first programming of a vector: a GSI, its route, and an eventfd tied to it. */
static int irq_new_msi(struct irq_chip *irq, struct irq_msi *msi, uint64_t addr, uint32_t data,
		       uint32_t devid)
{
	int ret;

	msi->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (msi->fd < 0)
		return -errno;
	ret = irq_alloc_gsi(irq);
	if (ret < 0)
		goto err_close;
	msi->gsi = ret;
	ret = irq_set_route(irq, msi, addr, data, devid);
	if (ret == 0)
		ret = irq_set_irqfd(irq, msi->fd, msi->gsi, 0);
	if (ret == 0)
		return 0;
	irq_drop_msi(irq, msi);
err_close:
	close(msi->fd);
	msi->fd = -1;
	return ret;
}

int irq_msi_set(struct irq_chip *irq, struct irq_msi *msi, uint64_t addr, uint32_t data,
		uint32_t devid)
{
	int ret = 0;

	pthread_mutex_lock(&irq->lock);
	if (msi->gsi < 0)
		ret = irq_new_msi(irq, msi, addr, data, devid);
	else if (msi->addr != addr || msi->data != data)
		ret = irq_set_route(irq, msi, addr, data, devid);
	pthread_mutex_unlock(&irq->lock);
	return ret;
}

void irq_msi_raise(struct irq_msi *msi)
{
	if (msi->fd >= 0)
		eventfd_write(msi->fd, 1);
}

int irq_msi_tie(struct irq_chip *irq, const struct irq_msi *msi, int fd)
{
	return irq_set_irqfd(irq, fd, msi->gsi, 0);
}

void irq_msi_untie(struct irq_chip *irq, const struct irq_msi *msi, int fd)
{
	irq_set_irqfd(irq, fd, msi->gsi, KVM_IRQFD_FLAG_DEASSIGN);
}

void irq_msi_fini(struct irq_chip *irq, struct irq_msi *msi)
{
	if (msi->gsi < 0)
		return;
	pthread_mutex_lock(&irq->lock);
	irq_set_irqfd(irq, msi->fd, msi->gsi, KVM_IRQFD_FLAG_DEASSIGN);
	irq_drop_msi(irq, msi);
	irq_commit_routes(irq);
	pthread_mutex_unlock(&irq->lock);
	close(msi->fd);
	msi->fd = -1;
}
