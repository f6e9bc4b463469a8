// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A driver that breaks the rules of rings. The device says NEEDS_RESET and stands still; the VM,
 * its other devices and, after a reset, the device itself work.
 */
#include "virtio.h"

#define F_INDIRECT   (1UL << 28)
#define COMMON_QSIZE 0x18

static struct virtio rng, disk;
static uint8_t bytes[512];
static struct vring_desc table[4] __attribute__((aligned(16)));

/* Where things are when a rule gets broken: a ring of 8, descriptor 0 is good, nothing available. */
static void make_available(struct virtio *v, uint16_t head)
{
	v->vq.avail.ring[v->vq.avail.idx % v->vq.size] = head;
	__atomic_store_n(&v->vq.avail.idx, v->vq.avail.idx + 1, __ATOMIC_RELEASE);
}

static void head_too_high(struct virtio *v)
{
	make_available(v, 8);
}

static void head_far_too_high(struct virtio *v)
{
	make_available(v, 0xffff);
}

static void index_jumps(struct virtio *v)
{
	v->vq.avail.idx += 1000;
}

static void index_runs_back(struct virtio *v)
{
	v->vq.avail.idx--;
}

static void next_too_high(struct virtio *v)
{
	v->vq.desc[0].flags |= VRING_NEXT;
	v->vq.desc[0].next = 9;
	make_available(v, 0);
}

static void loop(struct virtio *v)
{
	v->vq.desc[0].flags |= VRING_NEXT;
	v->vq.desc[0].next = 0;
	make_available(v, 0);
}

static void long_loop(struct virtio *v)
{
	for (unsigned int i = 0; i < 8; i++) {
		v->vq.desc[i] = v->vq.desc[0];
		v->vq.desc[i].flags = VRING_WRITE | VRING_NEXT;
		v->vq.desc[i].next = (i + 1) % 8;
	}
	make_available(v, 3);
}

static void buffer_outside(struct virtio *v)
{
	v->vq.desc[0].addr = 0x40000000;
	make_available(v, 0);
}

static void buffer_on_device(struct virtio *v)
{
	v->vq.desc[0].addr = ECAM_BASE;
	make_available(v, 0);
}

static void buffer_across_the_end(struct virtio *v)
{
	v->vq.desc[0].addr = (option("mem", 32) << 20) - 16;
	make_available(v, 0);
}

static void buffer_wraps(struct virtio *v)
{
	v->vq.desc[0].addr = ~0UL - 15;
	v->vq.desc[0].len = 0x1000;
	make_available(v, 0);
}

static void buffer_of_4g(struct virtio *v)
{
	v->vq.desc[0].len = ~0u;
	make_available(v, 0);
}

static void out_behind_in(struct virtio *v)
{
	v->vq.desc[0].flags = VRING_WRITE | VRING_NEXT;
	v->vq.desc[0].next = 1;
	v->vq.desc[1] = v->vq.desc[0];
	v->vq.desc[1].flags = 0;
	make_available(v, 0);
}

/* --- indirect tables; without the feature even a good one is wrong --- */

static void indirect(struct virtio *v, uint32_t len, uint16_t flags)
{
	v->vq.desc[0] = (struct vring_desc){(uint64_t)table, len, VRING_INDIRECT | flags, 1};
	make_available(v, 0);
}

static void indirect_good(struct virtio *v)
{
	table[0] = (struct vring_desc){(uint64_t)bytes, 16, VRING_WRITE, 0};
	indirect(v, 16, 0);
}

static void indirect_with_next(struct virtio *v)
{
	table[0] = (struct vring_desc){(uint64_t)bytes, 16, VRING_WRITE, 0};
	indirect(v, 16, VRING_NEXT);
}

static void indirect_nested(struct virtio *v)
{
	table[0] = (struct vring_desc){(uint64_t)&table[1], 16, VRING_INDIRECT, 0};
	table[1] = (struct vring_desc){(uint64_t)bytes, 16, VRING_WRITE, 0};
	indirect(v, 32, 0);
}

static void indirect_next_outside(struct virtio *v)
{
	table[0] = (struct vring_desc){(uint64_t)bytes, 16, VRING_WRITE | VRING_NEXT, 2};
	indirect(v, 32, 0);
}

static void indirect_loop(struct virtio *v)
{
	table[0] = (struct vring_desc){(uint64_t)bytes, 16, VRING_WRITE | VRING_NEXT, 1};
	table[1] = (struct vring_desc){(uint64_t)bytes, 16, VRING_WRITE | VRING_NEXT, 0};
	indirect(v, 32, 0);
}

static void indirect_empty(struct virtio *v)
{
	indirect(v, 0, 0);
}

static void indirect_odd(struct virtio *v)
{
	indirect(v, 17, 0);
}

static void indirect_outside(struct virtio *v)
{
	indirect(v, 16, 0);
	v->vq.desc[0].addr = 0x40000000;
}

static const struct {
	const char *what;
	void (*break_it)(struct virtio *v);
	uint64_t features;
} offences[] = {
	{"a head behind the ring", head_too_high, 0},
	{"a head of 65535", head_far_too_high, 0},
	{"an index that jumps", index_jumps, 0},
	{"an index that runs back", index_runs_back, 0},
	{"a next behind the ring", next_too_high, 0},
	{"a descriptor that is its own next", loop, 0},
	{"a loop through the ring", long_loop, 0},
	{"a buffer where there is no RAM", buffer_outside, 0},
	{"a buffer on a device", buffer_on_device, 0},
	{"a buffer across the end of RAM", buffer_across_the_end, 0},
	{"a buffer that wraps around", buffer_wraps, 0},
	{"a buffer of 4 GiB", buffer_of_4g, 0},
	{"an out buffer behind an in buffer", out_behind_in, 0},
	{"an indirect table that was not agreed on", indirect_good, 0},
	{"an indirect table with a next", indirect_with_next, F_INDIRECT},
	{"an indirect table in another", indirect_nested, F_INDIRECT},
	{"an indirect next behind its table", indirect_next_outside, F_INDIRECT},
	{"a loop in an indirect table", indirect_loop, F_INDIRECT},
	{"an empty indirect table", indirect_empty, F_INDIRECT},
	{"an indirect table of 17 bytes", indirect_odd, F_INDIRECT},
	{"an indirect table where there is no RAM", indirect_outside, F_INDIRECT},
};

static bool start(struct virtio *v, uint64_t features, uint16_t size)
{
	if (!virtio_negotiate(v, VIRTIO_F_VERSION_1 | features))
		return false;
	virtio_setup_queue(v, size, VIRTIO_NO_VECTOR);
	virtio_set_status(v, virtio_status(v) | VIRTIO_DRIVER_OK);
	return true;
}

static bool needs_reset(void *v)
{
	return virtio_status(v) & VIRTIO_NEEDS_RESET;
}

static bool disk_works(void)
{
	return blk_request(&disk, BLK_IN, 0, bytes, 512) == 0;
}

static bool rng_works(void)
{
	return start(&rng, 0, 8) && rng_read(&rng, bytes, 64) == 64 && !needs_reset(&rng);
}

static void test_offence(unsigned int i)
{
	bool good = start(&rng, offences[i].features, 8);

	rng.vq.desc[0] = (struct vring_desc){(uint64_t)bytes, 64, VRING_WRITE, 0};
	offences[i].break_it(&rng);
	virtio_notify(&rng);
	good = good && wait_until(needs_reset, &rng, 1000000);
	ok(good && !vq_used(&rng.vq), "%s: NEEDS_RESET", offences[i].what);
	virtio_notify(&rng);
	ok(disk_works() && needs_reset(&rng), "others work, it stands still");
	ok(rng_works(), "after a reset it works again");
}

/* Queues that are wrong from the start. */
static void test_setup(void)
{
	static const struct {
		const char *what;
		uint32_t reg, val;
	} wrong[] = {
		{"descriptors where there is no RAM", 0x20, 0x40000000},
		{"an available ring where there is no RAM", 0x28, 0x40000000},
		{"a used ring where there is no RAM", 0x30, 0x40000000},
		{"descriptors at an odd address", 0x20, 0x200001},
		{"a used ring at an odd address", 0x30, 0x200002},
		{"descriptors above all RAM", 0x24, 0xffffffff},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(wrong); i++) {
		virtio_negotiate(&rng, VIRTIO_F_VERSION_1);
		write16(virtio_reg(&rng, &rng.common, 0x16), 0);
		memset(&rng.vq, 0, sizeof(rng.vq));
		write16(virtio_reg(&rng, &rng.common, COMMON_QSIZE), 8);
		for (uint32_t reg = 0x20; reg < 0x38; reg += 8) {
			write32(virtio_reg(&rng, &rng.common, reg), 0x200000 + reg * 0x100);
			write32(virtio_reg(&rng, &rng.common, reg + 4), 0);
		}
		write32(virtio_reg(&rng, &rng.common, wrong[i].reg), wrong[i].val);
		write16(virtio_reg(&rng, &rng.common, 0x1c), 1);
		virtio_set_status(&rng, 15);
		virtio_notify(&rng);
		ok(wait_until(needs_reset, &rng, 1000000), "%s: NEEDS_RESET", wrong[i].what);
		ok(disk_works() && rng_works(), "others work, and so does it after a reset");
	}
}

/* What is odd but breaks no ring is answered. */
static void test_requests(void)
{
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header = {.type = BLK_IN};
	volatile uint8_t status = 0xff;
	struct buffer buf[2] = {{&header, sizeof(header)}, {(void *)&status, 1}};

	ok(blk_request(&disk, BLK_IN, blk_capacity(&disk), bytes, 512) == 1, "read behind the end");
	ok(blk_request(&disk, BLK_OUT, ~0UL, bytes, 512) == 1, "write to the last sector of all");
	ok(blk_request(&disk, BLK_IN, 0, bytes, 100) == 1, "read of 100 bytes");
	ok(blk_request(&disk, 99, 0, bytes, 512) == 2, "request of an unknown type");
	vq_add(&disk.vq, buf, 1, 0);
	virtio_notify(&disk);
	ok(vq_wait(&disk.vq, 1, 1000000) && vq_take(&disk.vq, NULL) == 0,
	   "a request without a place for its status comes back");
	buf[0].len = 7;
	vq_add(&disk.vq, buf, 1, 1);
	virtio_notify(&disk);
	ok(vq_wait(&disk.vq, 1, 1000000) && status == 1, "a header of 7 bytes is an error");
	vq_take(&disk.vq, NULL);
	ok(disk_works() && virtio_status(&disk) == 15, "and the disk works");
}

static void test_registers(void)
{
	uint64_t common = virtio_reg(&rng, &rng.common, 0);

	for (uint32_t q = 0; q < 0x400; q++)
		write16(virtio_reg(&rng, &rng.notify, q * 4), q);
	ok(rng_works(), "notifications of queues that are not there");
	write16(common + 0x16, 0xffff);
	ok(read16(common + 0x18) == 0, "a queue that is not there has size 0");
	write16(common + 0x18, 8);
	write16(common + 0x1c, 1);
	ok(read16(common + 0x1c) == 0, "and cannot be enabled");
	write32(common, 77);
	ok(read32(common + 4) == 0, "feature word 77 is empty");
	ok(!virtio_negotiate(&rng, VIRTIO_F_VERSION_1 | 1UL << 63),
	   "a feature not offered is refused");
	ok(!virtio_negotiate(&rng, 0), "so is a driver without VERSION_1");
	ok(rng_works(), "and a good one is taken");
	virtio_negotiate(&rng, VIRTIO_F_VERSION_1);
	virtio_set_status(&rng, 15);
	virtio_notify(&rng);
	ok(!needs_reset(&rng) && rng_works(), "a driver that sets up no queue");
}

void test(void)
{
	if (!ok(virtio_find(&rng, VIRTIO_RNG, 0) && virtio_find(&disk, VIRTIO_BLK, 0) &&
			virtio_start(&disk, VIRTIO_NO_VECTOR),
		"two devices are there"))
		return;
	ok(rng_works() && disk_works(), "and work");
	for (unsigned int i = 0; i < ARRAY_SIZE(offences); i++)
		test_offence(i);
	test_setup();
	test_requests();
	test_registers();
}
