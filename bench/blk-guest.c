// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blk-guest: a tiny guest that keeps a virtio disk busy, over PCI or, where there is none, over MMIO.
 * It runs under any VMM that starts guests by PVH, and says how long it took by the processor's
 * counter (TSC), which guests of one host have in common:
 *
 *	cell read-4k-32 20000 4800000	operation, bytes, how many are in flight; requests; ticks
 *
 * The rings are polled, and interrupts are not wanted: a request costs the guest some dozens of
 * instructions and, where the device sleeps, a notification; the rest is the VMM's.
 *
 * ecam=N: the address of PCI's configuration space. requests=N: in the cell with the fewest.
 */
#include "virtio.h"

#define MMIO_FIRST 0xfeb00000UL
#define MMIO_STEP  0x200
#define MMIO_NR	   32
#define SIZE	   128 /* of the queue */
#define MAX_DEPTH  32
#define MAX_BYTES  131072
#define SECTORS	   65536u /* of the disk that are used */

static struct {
	struct vring_desc desc[SIZE] __attribute__((aligned(16)));
	struct {
		uint16_t flags, idx, ring[SIZE], used_event;
	} avail;
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[SIZE];
		uint16_t avail_event;
	} used __attribute__((aligned(4)));
} ring;

/* Request i has descriptors 4 * i to 4 * i + 2. */
static struct {
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header;
	volatile uint8_t status;
} request[MAX_DEPTH];
static uint8_t data[MAX_DEPTH][MAX_BYTES] __attribute__((aligned(4096)));

static uint64_t notify_at;
static bool notify_32; /* the register's width */

static const struct cell {
	const char *name;
	uint32_t type, bytes, depth, times;
} cells[] = {
	{"read-4k-1", BLK_IN, 4096, 1, 4},     {"read-4k-32", BLK_IN, 4096, 32, 16},
	{"write-4k-1", BLK_OUT, 4096, 1, 4},   {"write-4k-32", BLK_OUT, 4096, 32, 16},
	{"read-128k-4", BLK_IN, 131072, 4, 1}, {"write-128k-4", BLK_OUT, 131072, 4, 1},
};

/* --- one device, two ways --- */

static bool start_pci(void)
{
	static struct virtio v;
	uint64_t common;

	pci_ecam = option("ecam", ECAM_BASE);
	if (!virtio_find(&v, VIRTIO_BLK, 0) || !virtio_negotiate(&v, VIRTIO_F_VERSION_1 | 1UL << 9))
		return false;
	common = virtio_reg(&v, &v.common, 0);
	write16(common + 0x16, 0);
	v.vq.notify_off = read16(common + 0x1e);
	write16(common + 0x18, SIZE);
	write64(common + 0x20, (uint64_t)ring.desc);
	write64(common + 0x28, (uint64_t)&ring.avail);
	write64(common + 0x30, (uint64_t)&ring.used);
	write16(common + 0x1c, 1);
	virtio_set_status(&v, virtio_status(&v) | VIRTIO_DRIVER_OK);
	notify_at = virtio_notify_addr(&v);
	return true;
}

static void mmio_area(uint64_t base, uint32_t reg, const void *at)
{
	write32(base + reg, (uint64_t)at);
	write32(base + reg + 4, (uint64_t)at >> 32);
}

static bool start_mmio(void)
{
	uint64_t base = MMIO_FIRST;

	while (read32(base) != 0x74726976 || read32(base + 4) != 2 || read32(base + 8) != 2) {
		base += MMIO_STEP;
		if (base == MMIO_FIRST + MMIO_NR * MMIO_STEP)
			return false;
	}
	write32(base + 0x70, 0);
	write32(base + 0x70, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	write32(base + 0x24, 0);
	write32(base + 0x20, 1 << 9);
	write32(base + 0x24, 1);
	write32(base + 0x20, 1);
	write32(base + 0x70, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
	write32(base + 0x30, 0);
	write32(base + 0x38, SIZE);
	mmio_area(base, 0x80, ring.desc);
	mmio_area(base, 0x90, &ring.avail);
	mmio_area(base, 0xa0, &ring.used);
	write32(base + 0x44, 1);
	write32(base + 0x70,
		VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
	notify_at = base + 0x50;
	notify_32 = true;
	return read32(base + 0x70) & VIRTIO_DRIVER_OK;
}

/* --- the load --- */

static uint64_t ticks(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static void notify(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (*(volatile uint16_t *)&ring.used.flags)
		return;
	if (notify_32)
		write32(notify_at, 0);
	else
		write16(notify_at, 0);
}

static void prepare(const struct cell *cell)
{
	for (unsigned int i = 0; i < cell->depth; i++) {
		struct vring_desc *d = &ring.desc[4 * i];
		uint16_t in = cell->type == BLK_IN ? VRING_WRITE : 0;

		request[i].header.type = cell->type;
		d[0] = (struct vring_desc){(uint64_t)&request[i].header, 16, VRING_NEXT, 4 * i + 1};
		d[1] = (struct vring_desc){(uint64_t)data[i], cell->bytes, VRING_NEXT | in,
					   4 * i + 2};
		d[2] = (struct vring_desc){(uint64_t)&request[i].status, 1, VRING_WRITE, 0};
	}
}

/* Few instructions, as each takes long where KVM has no hardware; places go around the disk. */
static inline void submit(const struct cell *cell, unsigned int i)
{
	request[i].header.sector =
		(request[i].header.sector + 1031 * 8) % SECTORS & -(uint64_t)(cell->bytes / 512);
	ring.avail.ring[ring.avail.idx % SIZE] = 4 * i;
	__atomic_store_n(&ring.avail.idx, ring.avail.idx + 1, __ATOMIC_RELEASE);
}

static bool run(const struct cell *cell, unsigned int nr)
{
	uint16_t seen = ring.used.idx;
	unsigned int begun = cell->depth, ended = 0;

	uint64_t begin;

	prepare(cell);
	begin = ticks();
	for (unsigned int i = 0; i < cell->depth; i++)
		submit(cell, i);
	notify();
	while (ended < nr) {
		uint16_t idx = __atomic_load_n(&ring.used.idx, __ATOMIC_ACQUIRE);
		bool more = false;

		for (; seen != idx; seen++) {
			unsigned int i = ring.used.ring[seen % SIZE].id / 4;

			if (request[i].status)
				return false;
			ended++;
			if (begun < nr) {
				submit(cell, i);
				begun++;
				more = true;
			}
		}
		if (more)
			notify();
	}
	print("cell %s %u %lu\n", cell->name, nr, ticks() - begin);
	return true;
}

void test(void)
{
	unsigned int nr = option("requests", 1000);

	if (!ok(start_mmio() || start_pci(), "a disk"))
		return;
	ring.avail.flags = 1; /* no interrupts */
	for (unsigned int i = 0; i < ARRAY_SIZE(cells); i++)
		if (!run(&cells[i], nr * cells[i].times))
			return;
}
