// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How lookups on different vCPUs scale: one thread on one region, then as many as there are CPUs,
 * each on its own, with and without a cache. Ideal is N x one; a lock that all take gives 1 x.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kvm/bus.h"
#include "kvm/util.h"

#define ACCESSES 5000000

struct bench {
	struct bus *bus;
	uint64_t addr;
	bool cached;
	pthread_barrier_t *start;
};

static uint64_t bench_read(void *dev, uint64_t off, unsigned int len)
{
	(void)dev, (void)len;
	return off;
}

static void *bench_thread(void *arg)
{
	struct bench *b = arg;
	struct bus_cache cache = {0};
	uint64_t val;

	pthread_barrier_wait(b->start);
	for (unsigned int i = 0; i < ACCESSES; i++)
		bus_read(b->bus, b->cached ? &cache : NULL, b->addr, 4, &val);
	bus_cache_drop(&cache);
	return NULL;
}

/* Accesses a second of all threads together. */
static double bench_run(struct bus *bus, unsigned int nr, bool cached)
{
	pthread_t *thread = calloc(nr, sizeof(*thread));
	struct bench *bench = calloc(nr, sizeof(*bench));
	pthread_barrier_t start;
	uint64_t t0;

	pthread_barrier_init(&start, NULL, nr + 1);
	for (unsigned int i = 0; i < nr; i++) {
		bench[i] = (struct bench){bus, 0x1000 * (i + 1), cached, &start};
		pthread_create(&thread[i], NULL, bench_thread, &bench[i]);
	}
	pthread_barrier_wait(&start);
	t0 = now_ns();
	for (unsigned int i = 0; i < nr; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&start);
	t0 = now_ns() - t0;
	free(thread);
	free(bench);
	return 1e9 * nr * ACCESSES / t0;
}

int main(void)
{
	static const struct io_ops ops = {.read = bench_read};
	unsigned int nr = sysconf(_SC_NPROCESSORS_ONLN);
	struct bus bus;

	if (bus_init(&bus, "bench") < 0)
		return 1;
	for (unsigned int i = 0; i < 64; i++)
		bus_insert(&bus, "bench", 0x1000 * i, 0x100, &ops, NULL);
	for (unsigned int cached = 0; cached < 2; cached++) {
		double one = bench_run(&bus, 1, cached), all = bench_run(&bus, nr, cached);

		printf("%-8s 1 thread %6.1f M/s, %u threads %6.1f M/s: %.2f x\n",
		       cached ? "cached" : "uncached", one / 1e6, nr, all / 1e6, all / one);
	}
	bus_fini(&bus);
	return 0;
}
