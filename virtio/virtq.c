// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtqueues: split rings (virtio 1.2 §2.7) and packed rings (§2.8). See virtq.h for the contract.
 *
 * Everything in guest memory may change under us at any time. Ring fields are read once each with
 * a sized atomic load, descriptors are copied whole, and only the copies are looked at.
 */
#include "kvm/virtq.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/log.h"
#include "kvm/memory.h"
#include "kvm/util.h"

#define VIRTQ_MAX_BYTES (4 * GIB)

/* Split: offsets into the driver area (§2.7.6) and the device area (§2.7.8). */
#define AVAIL_FLAGS   0
#define AVAIL_IDX     2
#define AVAIL_RING(i) (4 + 2 * (size_t)(i))
#define USED_FLAGS    0
#define USED_IDX      2
#define USED_RING(i)  (4 + 8 * (size_t)(i))
/* Packed: offsets into an event suppression structure (§2.8.14), 4 bytes. */
#define EVENT_OFF_WRAP 0
#define EVENT_FLAGS    2

#define DESC_SIZE	  16
#define PACKED_FLAGS	  14 /* offset of flags in a packed descriptor */
#define PACKED_AVAIL	  (1u << VRING_PACKED_DESC_F_AVAIL)
#define PACKED_USED	  (1u << VRING_PACKED_DESC_F_USED)
#define PACKED_EVENT_WRAP (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

struct virtq {
	const struct memory *mem;
	const char *name;
	uint16_t size;
	bool packed, event_idx, indirect, broken;
	uint8_t *desc, *driver, *device;

	/*
	 * Where we stand. Split: free-running counters, avail_idx is the driver's as last read.
	 * Packed: positions in the ring, with wrap counters that start as 1 (§2.8.1).
	 */
	uint16_t next_avail, next_used, avail_idx;
	bool avail_wrap, used_wrap;

	unsigned int in_flight;			 /* ring slots popped and not yet pushed */
	unsigned int unsignalled;		 /* ring slots pushed since virtq_needs_signal() */
	uint64_t head_busy[VIRTQ_MAX_SIZE / 64]; /* split: heads in flight */
};

/* A descriptor of either format, copied out of guest memory. */
struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next; /* split: the next index; packed: the buffer id */
};

static uint16_t virtq_load16(const uint8_t *p)
{
	return le16toh(__atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE));
}

static void virtq_store16(uint8_t *p, uint16_t val)
{
	__atomic_store_n((uint16_t *)p, htole16(val), __ATOMIC_RELEASE);
}

static int virtq_fail(struct virtq *vq, const char *why)
{
	vq->broken = true;
	log_guest("%s: the driver broke a virtqueue: %s", vq->name ?: "virtio", why);
	return -EPROTO;
}

/* --- chains --- */

struct virtq_chain *virtq_chain_create(void)
{
	struct virtq_chain *chain;

	chain = malloc(sizeof(*chain) + VIRTQ_MAX_SIZE * sizeof(struct iovec));
	if (!chain)
		return NULL;
	*chain = (struct virtq_chain){.iov = (struct iovec *)(chain + 1)};
	return chain;
}

void virtq_chain_destroy(struct virtq_chain *chain)
{
	free(chain);
}

uint64_t virtq_chain_read(const struct virtq_chain *chain, uint64_t off, void *buf, uint64_t len)
{
	uint64_t done = 0;

	for (unsigned int i = 0; i < chain->nr_out && done < len; i++) {
		const struct iovec *iov = &chain->iov[i];
		uint64_t n;

		if (off >= iov->iov_len) {
			off -= iov->iov_len;
			continue;
		}
		n = MIN(iov->iov_len - off, len - done);
		memcpy((uint8_t *)buf + done, (uint8_t *)iov->iov_base + off, n);
		done += n;
		off = 0;
	}
	return done;
}

uint64_t virtq_chain_write(const struct virtq_chain *chain, uint64_t off, const void *buf,
			   uint64_t len)
{
	uint64_t done = 0;

	for (unsigned int i = 0; i < chain->nr_in && done < len; i++) {
		const struct iovec *iov = &chain->iov[chain->nr_out + i];
		uint64_t n;

		if (off >= iov->iov_len) {
			off -= iov->iov_len;
			continue;
		}
		n = MIN(iov->iov_len - off, len - done);
		memcpy((uint8_t *)iov->iov_base + off, (const uint8_t *)buf + done, n);
		done += n;
		off = 0;
	}
	return done;
}

/* --- the walker --- */

/*
 * Copies a descriptor. Indirect tables need not be aligned, hence memcpy; the compiler barrier
 * keeps it from being replaced by later, second reads of guest memory.
 */
static struct virtq_desc virtq_fetch(const struct virtq *vq, const uint8_t *table, unsigned int i)
{
	struct virtq_desc d;

	if (vq->packed) {
		struct vring_packed_desc raw;

		memcpy(&raw, table + (size_t)i * DESC_SIZE, sizeof(raw));
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		d.addr = le64toh(raw.addr);
		d.len = le32toh(raw.len);
		d.flags = le16toh(raw.flags);
		d.next = le16toh(raw.id);
	} else {
		struct vring_desc raw;

		memcpy(&raw, table + (size_t)i * DESC_SIZE, sizeof(raw));
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		d.addr = le64toh(raw.addr);
		d.len = le32toh(raw.len);
		d.flags = le16toh(raw.flags);
		d.next = le16toh(raw.next);
	}
	return d;
}

/* Judges one buffer and appends it to the chain. */
static int virtq_add_buffer(struct virtq *vq, struct virtq_chain *chain, const struct virtq_desc *d)
{
	unsigned int nr = chain->nr_out + chain->nr_in;
	bool writable = d->flags & VRING_DESC_F_WRITE;
	void *hva;

	if (!writable && chain->nr_in)
		return virtq_fail(vq, "a readable buffer follows a writable one");
	if (!d->len)
		return 0;
	if (nr == VIRTQ_MAX_SIZE)
		return virtq_fail(vq, "a chain has too many buffers");
	if (chain->out_len + chain->in_len + d->len > VIRTQ_MAX_BYTES)
		return virtq_fail(vq, "a chain is longer than 4 GiB");
	hva = guest_ptr(vq->mem, d->addr, d->len);
	if (!hva)
		return virtq_fail(vq, "a buffer is not in RAM");

	chain->iov[nr] = (struct iovec){.iov_base = hva, .iov_len = d->len};
	if (writable) {
		chain->nr_in++;
		chain->in_len += d->len;
	} else {
		chain->nr_out++;
		chain->out_len += d->len;
	}
	return 0;
}

/* The table that an indirect descriptor points to (§2.7.5.3, §2.8.7), and its entries. */
static const uint8_t *virtq_indirect_table(struct virtq *vq, const struct virtq_desc *d,
					   unsigned int *nr)
{
	const uint8_t *table = NULL;

	if (!vq->indirect)
		virtq_fail(vq, "an indirect descriptor was not negotiated");
	else if (d->flags & VRING_DESC_F_NEXT)
		virtq_fail(vq, "an indirect descriptor has a next one");
	else if (!d->len || d->len % DESC_SIZE)
		virtq_fail(vq, "an indirect table has an odd length");
	else if (!(table = guest_ptr(vq->mem, d->addr, d->len)))
		virtq_fail(vq, "an indirect table is not in RAM");
	*nr = d->len / DESC_SIZE;
	return table;
}

/* Follows `next` through a table of nr split descriptors: the ring's own or an indirect one. */
static int virtq_walk_split(struct virtq *vq, struct virtq_chain *chain, const uint8_t *table,
			    unsigned int nr, unsigned int at, bool nested)
{
	/* A chain that visits more descriptors than there are is a loop. */
	for (unsigned int left = MIN(nr, VIRTQ_MAX_SIZE); left; left--) {
		struct virtq_desc d;
		int err;

		if (at >= nr)
			return virtq_fail(vq, "a descriptor index is out of range");
		d = virtq_fetch(vq, table, at);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (nested)
				return virtq_fail(vq, "an indirect table is nested");
			table = virtq_indirect_table(vq, &d, &nr);
			return table ? virtq_walk_split(vq, chain, table, nr, 0, true) : -EPROTO;
		}
		err = virtq_add_buffer(vq, chain, &d);
		if (err)
			return err;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		at = d.next;
	}
	return virtq_fail(vq, "a chain loops or is too long");
}

/* A packed indirect table is used from first to last; only WRITE counts in it (§2.8.7). */
static int virtq_walk_packed_table(struct virtq *vq, struct virtq_chain *chain,
				   const struct virtq_desc *indirect)
{
	unsigned int nr;
	const uint8_t *table = virtq_indirect_table(vq, indirect, &nr);

	if (!table)
		return -EPROTO;
	if (nr > VIRTQ_MAX_SIZE)
		return virtq_fail(vq, "a chain is too long");
	for (unsigned int i = 0; i < nr; i++) {
		struct virtq_desc d = virtq_fetch(vq, table, i);
		int err = virtq_add_buffer(vq, chain, &d);

		if (err)
			return err;
	}
	return 0;
}

/* --- rings --- */

static int virtq_check_areas(struct virtq *vq, const struct virtq_config *cfg)
{
	size_t driver_len = vq->packed ? 4 : AVAIL_RING(vq->size) + 2;
	size_t device_len = vq->packed ? 4 : USED_RING(vq->size) + 2;
	unsigned int driver_align = vq->packed ? 4 : VRING_AVAIL_ALIGN_SIZE;

	if (!cfg->size || cfg->size > VIRTQ_MAX_SIZE)
		return -EINVAL;
	/* §2.7: a power of two, for split rings only. */
	if (!cfg->packed && !is_power_of_two(cfg->size))
		return -EINVAL;
	if (cfg->desc % VRING_DESC_ALIGN_SIZE || cfg->driver % driver_align ||
	    cfg->device % VRING_USED_ALIGN_SIZE)
		return -EINVAL;

	vq->desc = guest_ptr(vq->mem, cfg->desc, (uint64_t)vq->size * DESC_SIZE);
	vq->driver = guest_ptr(vq->mem, cfg->driver, driver_len);
	vq->device = guest_ptr(vq->mem, cfg->device, device_len);
	return vq->desc && vq->driver && vq->device ? 0 : -EINVAL;
}

struct virtq *virtq_create(const struct memory *mem, const struct virtq_config *cfg)
{
	struct virtq *vq = calloc(1, sizeof(*vq));
	int err;

	if (!vq)
		return NULL;
	vq->mem = mem;
	vq->name = cfg->name;
	vq->size = cfg->size;
	vq->packed = cfg->packed;
	vq->event_idx = cfg->event_idx;
	vq->indirect = cfg->indirect;
	vq->avail_wrap = vq->used_wrap = true;
	err = virtq_check_areas(vq, cfg);
	if (err) {
		free(vq);
		errno = -err;
		return NULL;
	}
	return vq;
}

void virtq_destroy(struct virtq *vq)
{
	free(vq);
}

/* Moves a position of a packed ring; the wrap counter flips at the ring's end (§2.8.1). */
static void virtq_advance(const struct virtq *vq, uint16_t *pos, bool *wrap, unsigned int by)
{
	unsigned int to = *pos + by;

	if (to >= vq->size) {
		to -= vq->size;
		*wrap = !*wrap;
	}
	*pos = to;
}

static bool virtq_packed_available(const struct virtq *vq)
{
	size_t at = (size_t)vq->next_avail * DESC_SIZE + PACKED_FLAGS;
	uint16_t flags = virtq_load16(vq->desc + at);
	bool avail = flags & PACKED_AVAIL, used = flags & PACKED_USED;

	return avail == vq->avail_wrap && used != vq->avail_wrap;
}

static int virtq_pop_packed(struct virtq *vq, struct virtq_chain *chain)
{
	unsigned int pos = vq->next_avail, nr = 0;
	struct virtq_desc d;
	int err;

	if (!virtq_packed_available(vq))
		return 0;
	do {
		/* All slots together, popped and not yet pushed, are at most the ring. */
		if (vq->in_flight + ++nr > vq->size)
			return virtq_fail(vq, "more descriptors are available than there are");
		d = virtq_fetch(vq, vq->desc, pos);
		if (d.flags & VRING_DESC_F_INDIRECT)
			err = virtq_walk_packed_table(vq, chain, &d);
		else
			err = virtq_add_buffer(vq, chain, &d);
		if (err)
			return err;
		if (++pos == vq->size)
			pos = 0;
	} while (d.flags & VRING_DESC_F_NEXT);

	/* The id is that of the chain's last descriptor (§2.8.6). */
	chain->id = d.next;
	chain->nr_descs = nr;
	virtq_advance(vq, &vq->next_avail, &vq->avail_wrap, nr);
	vq->in_flight += nr;
	return 1;
}

static uint64_t virtq_head_bit(unsigned int head)
{
	return 1ULL << head % 64;
}

static int virtq_pop_split(struct virtq *vq, struct virtq_chain *chain)
{
	uint16_t head;
	int err;

	if (vq->next_avail == vq->avail_idx) {
		vq->avail_idx = virtq_load16(vq->driver + AVAIL_IDX);
		if ((uint16_t)(vq->avail_idx - vq->next_avail) > vq->size)
			return virtq_fail(vq, "the available index jumped");
		if (vq->next_avail == vq->avail_idx)
			return 0;
	}
	head = virtq_load16(vq->driver + AVAIL_RING(vq->next_avail % vq->size));
	if (head >= vq->size)
		return virtq_fail(vq, "a head index is out of range");
	if (vq->head_busy[head / 64] & virtq_head_bit(head))
		return virtq_fail(vq, "a chain was made available twice");
	err = virtq_walk_split(vq, chain, vq->desc, vq->size, head, false);
	if (err)
		return err;

	chain->id = head;
	chain->nr_descs = 1;
	vq->head_busy[head / 64] |= virtq_head_bit(head);
	vq->next_avail++;
	vq->in_flight++;
	return 1;
}

int virtq_pop(struct virtq *vq, struct virtq_chain *chain)
{
	if (vq->broken)
		return -EPROTO;
	chain->nr_out = chain->nr_in = 0;
	chain->out_len = chain->in_len = 0;
	return vq->packed ? virtq_pop_packed(vq, chain) : virtq_pop_split(vq, chain);
}

void virtq_unpop(struct virtq *vq, const struct virtq_chain *chain)
{
	vq->in_flight -= chain->nr_descs;
	if (!vq->packed) {
		vq->head_busy[chain->id / 64] &= ~virtq_head_bit(chain->id);
		vq->next_avail--;
		return;
	}
	if (vq->next_avail < chain->nr_descs) {
		vq->next_avail += vq->size;
		vq->avail_wrap = !vq->avail_wrap;
	}
	vq->next_avail -= chain->nr_descs;
}

/* Writes one used descriptor but for its flags, which it returns (§2.8.3, §2.8.4). */
static uint16_t virtq_write_used_packed(struct virtq *vq, const struct virtq_chain *chain,
					uint32_t written)
{
	uint8_t *d = vq->desc + (size_t)vq->next_used * DESC_SIZE;
	uint32_t len = htole32(written);
	uint16_t id = htole16(chain->id);

	memcpy(d + offsetof(struct vring_packed_desc, len), &len, sizeof(len));
	memcpy(d + offsetof(struct vring_packed_desc, id), &id, sizeof(id));
	return (vq->used_wrap ? PACKED_AVAIL | PACKED_USED : 0) |
	       (written ? VRING_DESC_F_WRITE : 0);
}

static void virtq_push_packed(struct virtq *vq, const struct virtq_chain *const *chains,
			      const uint32_t *written, unsigned int nr)
{
	uint8_t *first = vq->desc + (size_t)vq->next_used * DESC_SIZE + PACKED_FLAGS;
	uint16_t first_flags = 0;

	/* The driver reads in ring order: it sees none before the first one's flags are there. */
	for (unsigned int i = 0; i < nr; i++) {
		uint8_t *at = vq->desc + (size_t)vq->next_used * DESC_SIZE + PACKED_FLAGS;
		uint16_t flags = virtq_write_used_packed(vq, chains[i], written[i]);

		if (i)
			virtq_store16(at, flags);
		else
			first_flags = flags;
		virtq_advance(vq, &vq->next_used, &vq->used_wrap, chains[i]->nr_descs);
	}
	virtq_store16(first, first_flags);
}

static void virtq_push_split(struct virtq *vq, const struct virtq_chain *const *chains,
			     const uint32_t *written, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		uint32_t elem[2] = {htole32(chains[i]->id), htole32(written[i])};

		memcpy(vq->device + USED_RING(vq->next_used % vq->size), elem, sizeof(elem));
		vq->head_busy[chains[i]->id / 64] &= ~virtq_head_bit(chains[i]->id);
		vq->next_used++;
	}
	virtq_store16(vq->device + USED_IDX, vq->next_used);
}

void virtq_push_batch(struct virtq *vq, const struct virtq_chain *const *chains,
		      const uint32_t *written, unsigned int nr)
{
	if (!nr)
		return;
	for (unsigned int i = 0; i < nr; i++) {
		vq->in_flight -= chains[i]->nr_descs;
		vq->unsignalled += chains[i]->nr_descs;
	}
	if (vq->packed)
		virtq_push_packed(vq, chains, written, nr);
	else
		virtq_push_split(vq, chains, written, nr);
}

void virtq_push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written)
{
	virtq_push_batch(vq, &chain, &written, 1);
}

/* --- notifications --- */

bool virtq_needs_signal(struct virtq *vq)
{
	unsigned int pushed = vq->unsignalled;
	uint16_t event, flags;

	vq->unsignalled = 0;
	if (!pushed)
		return false;
	/* What we pushed must be visible before we look whether the driver went to sleep. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vq->packed) {
		if (!vq->event_idx)
			return !(virtq_load16(vq->driver + AVAIL_FLAGS) &
				 VRING_AVAIL_F_NO_INTERRUPT);
		event = virtq_load16(vq->driver + AVAIL_RING(vq->size)); /* used_event */
	} else {
		flags = virtq_load16(vq->driver + EVENT_FLAGS);
		if (flags == VRING_PACKED_EVENT_FLAG_DISABLE)
			return false;
		if (flags != VRING_PACKED_EVENT_FLAG_DESC || !vq->event_idx)
			return true;
		event = virtq_load16(vq->driver + EVENT_OFF_WRAP);
		/* As if the ring were endless: a position of the last lap lies before this lap. */
		flags = event & PACKED_EVENT_WRAP;
		event &= ~PACKED_EVENT_WRAP;
		if (!flags == vq->used_wrap)
			event -= vq->size;
	}
	/* Did the pushes step over the event? (§2.7.10) */
	return (uint16_t)(vq->next_used - event - 1) < pushed;
}

void virtq_disable_kicks(struct virtq *vq)
{
	if (vq->packed)
		virtq_store16(vq->device + EVENT_FLAGS, VRING_PACKED_EVENT_FLAG_DISABLE);
	else if (!vq->event_idx)
		virtq_store16(vq->device + USED_FLAGS, VRING_USED_F_NO_NOTIFY);
	/* Split with event index: an avail_event that stays behind is a notification disabled. */
}

bool virtq_enable_kicks(struct virtq *vq)
{
	if (vq->packed && vq->event_idx) {
		virtq_store16(vq->device + EVENT_OFF_WRAP,
			      vq->next_avail | (vq->avail_wrap ? PACKED_EVENT_WRAP : 0));
		virtq_store16(vq->device + EVENT_FLAGS, VRING_PACKED_EVENT_FLAG_DESC);
	} else if (vq->packed) {
		virtq_store16(vq->device + EVENT_FLAGS, VRING_PACKED_EVENT_FLAG_ENABLE);
	} else if (vq->event_idx) {
		virtq_store16(vq->device + USED_RING(vq->size), vq->next_avail); /* avail_event */
	} else {
		virtq_store16(vq->device + USED_FLAGS, 0);
	}
	if (vq->broken)
		return false;
	/* The driver must see the above before we look for what it made available meanwhile. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (vq->packed)
		return virtq_packed_available(vq);
	return virtq_load16(vq->driver + AVAIL_IDX) != vq->next_avail;
}

void virtq_break(struct virtq *vq)
{
	vq->broken = true;
}

bool virtq_broken(const struct virtq *vq)
{
	return vq->broken;
}

struct virtq_areas virtq_areas(const struct virtq *vq)
{
	return (struct virtq_areas){vq->size, vq->desc, vq->driver, vq->device};
}

uint16_t virtq_last_avail(const struct virtq *vq)
{
	return vq->next_avail | (vq->packed && vq->avail_wrap ? PACKED_EVENT_WRAP : 0);
}

void virtq_set_last_avail(struct virtq *vq, uint16_t base)
{
	if (vq->packed) {
		/* The wrap counters and positions meet again when nothing is in flight. */
		vq->next_avail = vq->next_used = MIN(base & ~PACKED_EVENT_WRAP, vq->size - 1u);
		vq->avail_wrap = vq->used_wrap = base & PACKED_EVENT_WRAP;
	} else {
		vq->next_avail = vq->avail_idx = base;
		vq->next_used = virtq_load16(vq->device + USED_IDX);
		memset(vq->head_busy, 0, sizeof(vq->head_busy));
	}
	vq->in_flight = vq->unsignalled = 0;
}
