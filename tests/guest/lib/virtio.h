/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef GUEST_VIRTIO_H
#define GUEST_VIRTIO_H

#include "pci.h"

/* A driver for modern virtio over PCI (virtio 1.2 §4.1), split rings (§2.7), as small as it gets. */
#define VIRTIO_VENDOR	   0x1af4
#define VIRTIO_BLK	   0x1042
#define VIRTIO_RNG	   0x1044
#define VIRTIO_F_VERSION_1 (1UL << 32)

#define VIRTIO_ACKNOWLEDGE 1
#define VIRTIO_DRIVER	   2
#define VIRTIO_DRIVER_OK   4
#define VIRTIO_FEATURES_OK 8
#define VIRTIO_NEEDS_RESET 0x40
#define VIRTIO_NO_VECTOR   0xffff

#define VQ_MAX_SIZE 64

struct vring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

#define VRING_NEXT     1
#define VRING_WRITE    2
#define VRING_INDIRECT 4

struct vring_avail {
	uint16_t flags, idx, ring[VQ_MAX_SIZE], used_event;
};

struct vring_used {
	uint16_t flags, idx;
	struct {
		uint32_t id, len;
	} ring[VQ_MAX_SIZE];
	uint16_t avail_event;
};

struct vq {
	struct vring_desc desc[VQ_MAX_SIZE] __attribute__((aligned(16)));
	struct vring_avail avail;
	struct vring_used used __attribute__((aligned(4)));
	uint16_t size, notify_off;
	uint16_t next_desc; /* free-running: descriptors are taken round and round */
	uint16_t seen;	    /* of used */
};

/* A group of registers; where it is follows its BAR. */
struct virtio_regs {
	uint8_t bar;
	uint32_t off;
};

struct virtio {
	uint8_t bdf;
	struct virtio_regs common, isr, device, notify;
	uint32_t notify_multiplier;
	struct vq vq;
};

/* The nth device of this kind; memory decode and bus mastering are switched on. */
bool virtio_find(struct virtio *v, uint16_t device, unsigned int nth);
uint64_t virtio_reg(const struct virtio *v, const struct virtio_regs *regs, uint32_t off);

uint8_t virtio_status(const struct virtio *v);
void virtio_set_status(const struct virtio *v, uint8_t status);
void virtio_reset(const struct virtio *v);
uint64_t virtio_features(const struct virtio *v);
/* From reset to FEATURES_OK; false when the device refuses. */
bool virtio_negotiate(const struct virtio *v, uint64_t features);
/* Sets up queue 0; vector may be VIRTIO_NO_VECTOR. */
void virtio_setup_queue(struct virtio *v, uint16_t size, uint16_t vector);
/* All of the above, and DRIVER_OK. */
bool virtio_start(struct virtio *v, uint16_t vector);

/* --- the queue: out buffers first, then in buffers; returns the chain's head --- */
struct buffer {
	const void *at;
	uint32_t len;
};

uint16_t vq_add(struct vq *vq, const struct buffer *buf, unsigned int nr_out, unsigned int nr_in);
void virtio_notify(const struct virtio *v);
uint64_t virtio_notify_addr(const struct virtio *v);
/* How many used elements wait to be taken; vq_wait() until there are n. */
uint16_t vq_used(const struct vq *vq);
bool vq_wait(struct vq *vq, unsigned int n, uint32_t us);
/* Takes one used element: its length, and its head if asked for. */
uint32_t vq_take(struct vq *vq, uint32_t *head);

/* --- blk --- */
#define BLK_IN	  0
#define BLK_OUT	  1
#define BLK_FLUSH 4

/* One request, done when this returns: its status, or 0xff when nothing came back in time. */
uint8_t blk_request(struct virtio *v, uint32_t type, uint64_t sector, void *data, uint32_t len);
uint64_t blk_capacity(const struct virtio *v);

/* --- rng: fills buf, returns how many bytes came, 0 after a second of nothing --- */
uint32_t rng_read(struct virtio *v, void *buf, uint32_t len);

#endif
