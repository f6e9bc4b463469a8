// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blk-guest: a tiny guest that keeps a virtio disk busy. A cell is
 *
 *	cell read-4k-32 20000 4800000	operation, bytes, how many are in flight; requests; ticks
 *
 * A request costs the guest some dozens of instructions and, where the device sleeps, a notification;
 * the rest is the VMM's.
 *
 * requests=N: in the cell with the fewest.
 */
#include "driver.h"

#define BLK_TYPE  2
#define SIZE	  128 /* of the queue */
#define MAX_DEPTH 32
#define MAX_BYTES 131072
#define SECTORS	  65536u /* of the disk that are used */

static struct bench_queue ring = {.size = SIZE};

/* Request i has descriptors 4 * i to 4 * i + 2. */
static struct {
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header;
	volatile uint8_t status;
} request[MAX_DEPTH];
static uint8_t data[MAX_DEPTH][MAX_BYTES] __attribute__((aligned(4096)));

static const struct cell {
	const char *name;
	uint32_t type, bytes, depth, times;
} cells[] = {
	{"read-4k-1", BLK_IN, 4096, 1, 4},     {"read-4k-32", BLK_IN, 4096, 32, 16},
	{"write-4k-1", BLK_OUT, 4096, 1, 4},   {"write-4k-32", BLK_OUT, 4096, 32, 16},
	{"read-128k-4", BLK_IN, 131072, 4, 1}, {"write-128k-4", BLK_OUT, 131072, 4, 1},
};

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
	begin = bench_ticks();
	for (unsigned int i = 0; i < cell->depth; i++)
		submit(cell, i);
	bench_notify(&ring);
	while (ended < nr) {
		uint16_t idx = bench_used(&ring);
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
			bench_notify(&ring);
	}
	print("cell %s %u %lu\n", cell->name, nr, bench_ticks() - begin);
	return true;
}

void test(void)
{
	unsigned int nr = option("requests", 1000);

	if (!ok(bench_start(BLK_TYPE, 1UL << 9, &ring, 1), "a disk")) /* VIRTIO_BLK_F_FLUSH */
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(cells); i++)
		if (!run(&cells[i], nr * cells[i].times))
			return;
}
