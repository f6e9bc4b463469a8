/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include "virtio.h"

/*
 * What the benchmarks' guests drive their device with. They run under any VMM that starts guests by
 * PVH, poll their rings, want no interrupts, and tell time by the processor's counter (TSC), which all
 * guests of a host have in common. A result is a line
 *
 *	cell NAME COUNT TICKS
 */
#define BENCH_QUEUE_MAX 256

struct bench_queue {
	struct vring_desc desc[BENCH_QUEUE_MAX] __attribute__((aligned(16)));
	struct {
		uint16_t flags, idx, ring[BENCH_QUEUE_MAX];
	} avail;
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[BENCH_QUEUE_MAX];
	} used __attribute__((aligned(4)));
	uint16_t size, nr;
	uint64_t notify_at;
	bool notify_32; /* the register's width */
};

/*
 * Resets the one device of this type (virtio 1.2 §5), over MMIO or, where it is not there, over PCI, and
 * starts it with these features and empty queues, whose size the caller has set. False when there is
 * none, or it refuses. ecam=N on the command line is the address of PCI's configuration space.
 */
bool bench_start(unsigned int type, uint64_t features, struct bench_queue *queues, unsigned int nr);
/* What was made available is for the device to see, which sleeps unless it said otherwise. */
void bench_notify(const struct bench_queue *queue);

static inline uint16_t bench_used(const struct bench_queue *queue)
{
	return __atomic_load_n(&queue->used.idx, __ATOMIC_ACQUIRE);
}

static inline uint64_t bench_ticks(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

#endif
