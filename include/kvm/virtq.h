/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_VIRTQ_H
#define LKVM_VIRTQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct memory;

/*
 * The device's side of a virtqueue (virtio 1.2 §2.6 to §2.8): split and packed rings, indirect
 * descriptors, event suppression. The only code that reads rings.
 *
 * The guest is hostile. A descriptor is copied once and judged afterwards; what is handed to a
 * device model is a list of buffers that are known to lie in RAM. Anything else breaks the queue:
 * virtq_pop() returns -EPROTO, then and ever after, and the device goes to DEVICE_NEEDS_RESET.
 *
 * A virtqueue belongs to one thread (its device's worker).
 */
#define VIRTQ_MAX_SIZE 1024

struct virtq;

struct virtq_config {
	const char *name;		/* for messages, outlives the virtq; may be NULL */
	uint16_t size;			/* set by the driver, 1..VIRTQ_MAX_SIZE */
	uint64_t desc, driver, device;	/* guest addresses of the three areas (§2.6, §2.8.10) */
	bool packed, event_idx, indirect;
};

/*
 * A descriptor chain: first the buffers the device reads, then those it writes. Belongs to the
 * caller, who allocates it for the largest chain and may keep many in flight. The iovecs may be
 * modified. Buffers of no length are left out; all of a chain is at most 4 GiB (§2.7.5).
 */
struct virtq_chain {
	uint16_t id;	      /* head index (split) or buffer id (packed) */
	uint16_t nr_descs;    /* ring slots it occupies (packed) */
	unsigned int nr_out, nr_in;
	uint64_t out_len, in_len; /* bytes */
	struct iovec *iov;	  /* nr_out to read from, then nr_in to write to */
};

struct virtq_chain *virtq_chain_create(void); /* room for VIRTQ_MAX_SIZE buffers; NULL: ENOMEM */
void virtq_chain_destroy(struct virtq_chain *chain);

static inline struct iovec *virtq_chain_in(struct virtq_chain *chain)
{
	return chain->iov + chain->nr_out;
}

/* Copies out of what the device reads, and into what it writes, at a byte offset. Return bytes. */
uint64_t virtq_chain_read(const struct virtq_chain *chain, uint64_t off, void *buf, uint64_t len);
uint64_t virtq_chain_write(const struct virtq_chain *chain, uint64_t off, const void *buf,
			   uint64_t len);

/* -EINVAL when size or the areas are not what the specification allows or not in RAM. */
struct virtq *virtq_create(const struct memory *mem, const struct virtq_config *cfg);
void virtq_destroy(struct virtq *vq);

/*
 * The next available chain: 1, or 0 when there is none, or -EPROTO when the driver broke the
 * rules (a reason is logged). Every chain popped is owed a virtq_push().
 */
int virtq_pop(struct virtq *vq, struct virtq_chain *chain);
/*
 * Puts the chain that was popped last back, as if not seen (net receive of a packet that does not
 * fit). Several go back in the reverse order of their pops.
 */
void virtq_unpop(struct virtq *vq, const struct virtq_chain *chain);

/* Returns the chain to the driver, `written` bytes of its in-buffers filled (§2.7.8.2). */
void virtq_push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written);
/* Several at once, seen by the driver together (mergeable receive buffers, §5.1.6.4). */
void virtq_push_batch(struct virtq *vq, const struct virtq_chain *const *chains,
		      const uint32_t *written, unsigned int nr);

/*
 * Whether the driver wants an interrupt for what was pushed since this was asked last (§2.7.7,
 * §2.7.10, §2.8.10).
 */
bool virtq_needs_signal(struct virtq *vq);

/*
 * Asks the driver for (not to send) notifications. enable returns true when chains became
 * available meanwhile, so the caller must look again: the usual loop is
 *	do { disable; while (pop) ...; } while (enable);
 */
void virtq_disable_kicks(struct virtq *vq);
bool virtq_enable_kicks(struct virtq *vq);

/* From now on virtq_pop() returns -EPROTO (without a log line); chains may still be pushed. */
void virtq_break(struct virtq *vq);
bool virtq_broken(const struct virtq *vq);

/* For vhost: the ring as it was judged when it came up. Each area lies whole in one bank of RAM. */
struct virtq_areas {
	uint16_t size;
	void *desc, *driver, *device;
};
struct virtq_areas virtq_areas(const struct virtq *vq);

/* For vhost: where the ring stands (VHOST_SET_VRING_BASE); packed: bit 15 is the wrap counter. */
uint16_t virtq_last_avail(const struct virtq *vq);
/* Goes on from there: all before it has been returned to the driver by somebody else. */
void virtq_set_last_avail(struct virtq *vq, uint16_t base);

#endif
