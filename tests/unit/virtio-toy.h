/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_TESTS_VIRTIO_TOY_H
#define LKVM_TESTS_VIRTIO_TOY_H

/*
 * What the tests of transports have in common: a device that does nothing but fill every buffer,
 * with two queues and a configuration that can be written, and stand-ins for KVM and irq.c that
 * remember. To be included in one .c file of a test.
 */
#include <errno.h>

#include "kvm/ioport.h"
#include "kvm/irq.h"
#include "kvm/mmio.h"
#include "kvm/util.h"
#include "virtio-driver.h"

#define TOY_FEATURE	5  /* a bit of its own, below 32 */
#define TOY_HIGH	50 /* and above */
#define TOY_CONFIG_SIZE 12
#define TOY_BYTE	0x5a

struct toy {
	struct virtio_device *vdev;
	struct virtq_chain *chain;
	uint8_t config[TOY_CONFIG_SIZE];
	atomic_uint starts, queue_stops;
	atomic_uint_fast64_t features; /* as negotiated, at the last start */
};

static uint64_t toy_features(void *dev)
{
	(void)dev;
	return DRV_BIT(TOY_FEATURE) | DRV_BIT(TOY_HIGH);
}

static void toy_config_read(void *dev, uint32_t off, void *buf, uint32_t len)
{
	memcpy(buf, ((struct toy *)dev)->config + off, len);
}

static void toy_config_write(void *dev, uint32_t off, const void *buf, uint32_t len)
{
	memcpy(((struct toy *)dev)->config + off, buf, len);
}

static int toy_start(void *dev, struct virtio_device *vdev)
{
	struct toy *toy = dev;

	toy->vdev = vdev;
	toy->features = vdev->acked;
	toy->starts++;
	return 0;
}

static void toy_stop(void *dev)
{
	(void)dev;
}

static uint32_t toy_handle(void *dev, struct virtq_chain *chain)
{
	(void)dev;
	for (unsigned int i = 0; i < chain->nr_in; i++)
		memset(virtq_chain_in(chain)[i].iov_base, TOY_BYTE,
		       virtq_chain_in(chain)[i].iov_len);
	return chain->in_len;
}

static void toy_kick(void *dev, unsigned int q)
{
	struct toy *toy = dev;

	virtio_process_queue(toy->vdev, q, toy->chain, toy_handle, toy);
}

static void toy_queue_stop(void *dev, unsigned int q)
{
	(void)q;
	((struct toy *)dev)->queue_stops++;
}

static void toy_destroy(void *dev)
{
	virtq_chain_destroy(((struct toy *)dev)->chain);
	free(dev);
}

static const struct virtio_model toy_model = {
	.name = "toy",
	.id = VIRTIO_ID_BLOCK, /* of a kind that has a legacy interface */
	.config_size = TOY_CONFIG_SIZE,
	.features = toy_features,
	.config_read = toy_config_read,
	.config_write = toy_config_write,
	.start = toy_start,
	.stop = toy_stop,
	.kick = toy_kick,
	.queue_stop = toy_queue_stop,
	.destroy = toy_destroy,
};

/* The same as a device that came with virtio 1.0. */
static const struct virtio_model toy_new_model = {
	.name = "toy",
	.id = VIRTIO_ID_INPUT,
	.features = toy_features,
	.start = toy_start,
	.stop = toy_stop,
	.kick = toy_kick,
	.destroy = toy_destroy,
};

#define TOY_QUEUE_SIZE 16

static struct virtio_device *toy_create(const struct virtio_model *model, struct memory *mem)
{
	static const uint16_t sizes[] = {TOY_QUEUE_SIZE, TOY_QUEUE_SIZE};
	struct toy *toy = calloc(1, sizeof(*toy));

	toy->chain = virtq_chain_create();
	for (unsigned int i = 0; i < TOY_CONFIG_SIZE; i++)
		toy->config[i] = 0x10 + i;
	return virtio_device_create(model, toy, "toy", mem, ARRAY_SIZE(sizes), sizes);
}

/* --- ioeventfds: where, and which value --- */

static struct {
	uint64_t at, match;
	unsigned int len;
	bool io, any;
	int fd; /* 0: the slot is free */
} toy_eventfd[16];

static int toy_ioeventfd(bool io, uint64_t at, unsigned int len, const uint64_t *match, int fd)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(toy_eventfd); i++) {
		if (toy_eventfd[i].fd)
			continue;
		toy_eventfd[i].at = at;
		toy_eventfd[i].len = len;
		toy_eventfd[i].io = io;
		toy_eventfd[i].any = !match;
		toy_eventfd[i].match = match ? *match : 0;
		toy_eventfd[i].fd = fd;
		return 0;
	}
	return -ENOSPC;
}

static void toy_ioeventfd_del(bool io, uint64_t at, const uint64_t *match, int fd)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(toy_eventfd); i++)
		if (toy_eventfd[i].fd == fd && toy_eventfd[i].at == at && toy_eventfd[i].io == io &&
		    toy_eventfd[i].any == !match && toy_eventfd[i].match == (match ? *match : 0))
			toy_eventfd[i].fd = 0;
}

static unsigned int toy_nr_eventfds(void)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(toy_eventfd); i++)
		nr += toy_eventfd[i].fd != 0;
	return nr;
}

int mmio_ioeventfd_add(int vm_fd, uint64_t gpa, unsigned int len, const uint64_t *match, int fd)
{
	(void)vm_fd;
	return toy_ioeventfd(false, gpa, len, match, fd);
}

void mmio_ioeventfd_del(int vm_fd, uint64_t gpa, unsigned int len, const uint64_t *match, int fd)
{
	(void)vm_fd, (void)len;
	toy_ioeventfd_del(false, gpa, match, fd);
}

/* --- the line of the device --- */

static atomic_bool toy_level;
static unsigned int toy_gsi;

void irq_line_init(struct irq_line *line, struct irq_chip *irq, unsigned int gsi)
{
	*line = (struct irq_line){.irq = irq, .gsi = gsi};
	toy_gsi = gsi;
}

void irq_line_set(struct irq_line *line, bool level)
{
	line->up = level;
	toy_level = level;
}

/* --- a queue as legacy drivers lay it out (§2.7.2): all in one, all of its size --- */

static inline void toy_queue_init(struct drv_queue *q, struct drv_ram *ram, unsigned int nr,
				  uint16_t size, uint32_t align)
{
	struct virtq_config cfg = {.size = size};

	drv_queue_init(q, ram, nr, &cfg);
	q->cfg.driver = q->cfg.desc + 16 * size;
	q->cfg.device = (q->cfg.driver + 6 + 2 * size + align - 1) / align * align;
}

#endif
