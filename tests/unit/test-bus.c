// SPDX-License-Identifier: GPL-2.0-or-later
/* links: bus.c */
/*
 * The bus against a naive model (a table of who answers at each address), and against itself on
 * many threads. BUS_SECONDS=60 is the long mode.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm/bus.h"
#include "kvm/util.h"

#define SPACE 256

struct probe {
	uint64_t id, last_off, last_val;
	unsigned int last_len;
};

static uint64_t probe_read(void *dev, uint64_t off, unsigned int len)
{
	struct probe *probe = dev;

	probe->last_off = off;
	probe->last_len = len;
	return probe->id << 16 | off;
}

static void probe_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct probe *probe = dev;

	probe->last_off = off;
	probe->last_len = len;
	probe->last_val = val;
}

static const struct io_ops probe_ops = {.read = probe_read, .write = probe_write};

static void test_window(void **state)
{
	struct probe probe = {.id = 3};
	struct bus outer, inner;
	uint64_t val;

	(void)state;
	assert_int_equal(bus_init(&outer, "outer"), 0);
	assert_int_equal(bus_init(&inner, "inner"), 0);
	assert_non_null(bus_insert(&inner, "probe", 0x20, 0x10, &probe_ops, &probe));
	assert_non_null(bus_insert(&outer, "window", 0x1000, 0x100, &bus_window_ops, &inner));
	assert_true(bus_read(&outer, NULL, 0x1024, 4, &val));
	assert_int_equal(val, 3 << 16 | 4);
	assert_true(bus_write(&outer, NULL, 0x1028, 2, 0xabcd));
	assert_int_equal(probe.last_off, 8);
	assert_int_equal(probe.last_val, 0xabcd);
	/* A hole behind the window is one. */
	bus_read(&outer, NULL, 0x1000, 8, &val);
	assert_int_equal(val, UINT64_MAX);
	bus_fini(&outer);
	bus_fini(&inner);
}

static void test_offsets_and_holes(void **state)
{
	struct probe probe = {.id = 7};
	struct io_region *region;
	struct bus bus;
	uint64_t val;

	(void)state;
	assert_int_equal(bus_init(&bus, "test"), 0);
	region = bus_insert(&bus, "probe", 0x1000, 0x10, &probe_ops, &probe);
	assert_non_null(region);
	assert_true(bus_read(&bus, NULL, 0x1004, 4, &val));
	assert_int_equal(val, 7 << 16 | 4);
	assert_true(bus_write(&bus, NULL, 0x100f, 1, 0xab));
	assert_int_equal(probe.last_off, 0xf);
	assert_int_equal(probe.last_val, 0xab);

	/* Holes, and accesses that leave the region, read all ones and reach nobody. */
	probe.last_off = 99;
	assert_false(bus_read(&bus, NULL, 0xfff, 1, &val));
	assert_true(val == UINT64_MAX);
	assert_false(bus_read(&bus, NULL, 0x1010, 1, &val));
	assert_false(bus_read(&bus, NULL, 0x100e, 4, &val));
	assert_false(bus_write(&bus, NULL, 0x100d, 4, 1));
	assert_false(bus_read(&bus, NULL, UINT64_MAX, 8, &val));
	assert_int_equal(probe.last_off, 99);
	assert_int_equal(atomic_load(&bus.holes), 5);
	bus_fini(&bus);
}

static void test_insert_errors(void **state)
{
	struct probe probe = {0};
	struct bus bus;

	(void)state;
	assert_int_equal(bus_init(&bus, "test"), 0);
	assert_null(bus_insert(&bus, "empty", 0, 0, &probe_ops, &probe));
	assert_int_equal(errno, EINVAL);
	assert_null(bus_insert(&bus, "wraps", UINT64_MAX - 3, 8, &probe_ops, &probe));
	assert_int_equal(errno, EINVAL);
	assert_non_null(bus_insert(&bus, "top", UINT64_MAX - 3, 4, &probe_ops, &probe));
	assert_null(bus_insert(&bus, "over", UINT64_MAX - 7, 8, &probe_ops, &probe));
	assert_int_equal(errno, EEXIST);
	bus_remove(&bus, NULL);
	bus_fini(&bus);
}

static void test_cache_sees_removal_and_move(void **state)
{
	struct probe a = {.id = 1}, b = {.id = 2};
	struct bus_cache cache = {0};
	struct io_region *region;
	struct bus bus;
	uint64_t val;

	(void)state;
	assert_int_equal(bus_init(&bus, "test"), 0);
	assert_false(bus_read(&bus, &cache, 0x10, 1, &val));
	region = bus_insert(&bus, "a", 0x10, 0x10, &probe_ops, &a);
	assert_true(bus_read(&bus, &cache, 0x10, 1, &val));
	assert_int_equal(val >> 16, 1);
	assert_ptr_equal(cache.region, region);
	bus_remove(&bus, region);
	assert_false(bus_read(&bus, &cache, 0x10, 1, &val));
	assert_non_null(bus_insert(&bus, "b", 0x18, 0x10, &probe_ops, &b));
	assert_true(bus_read(&bus, &cache, 0x18, 1, &val));
	assert_int_equal(val, 2 << 16);
	bus_cache_drop(&cache);
	bus_fini(&bus);
}

/* A handler may take its own region away while it runs. */
struct suicide {
	struct bus *bus;
	struct io_region *region;
};

static uint64_t suicide_read(void *dev, uint64_t off, unsigned int len)
{
	struct suicide *s = dev;
	uint64_t val;

	(void)off;
	(void)len;
	bus_remove(s->bus, s->region);
	assert_false(bus_read(s->bus, NULL, 0x40, 1, &val));
	return 42;
}

static void test_handler_removes_itself(void **state)
{
	static const struct io_ops ops = {.read = suicide_read};
	struct bus_cache cache = {0};
	struct suicide s;
	struct bus bus;
	uint64_t val;

	(void)state;
	assert_int_equal(bus_init(&bus, "test"), 0);
	for (int cached = 0; cached < 2; cached++) {
		s.bus = &bus;
		s.region = bus_insert(&bus, "s", 0x40, 1, &ops, &s);
		assert_true(bus_read(&bus, cached ? &cache : NULL, 0x40, 1, &val));
		assert_int_equal(val, 42);
	}
	bus_cache_drop(&cache);
	bus_fini(&bus);
}

/* Random inserts, removes and lookups; the model is who owns each address. */
static void test_against_model(void **state)
{
	struct probe probe[64], *owner[SPACE] = {0};
	struct io_region *region[64] = {0};
	struct bus_cache cache = {0};
	unsigned int seed = 1;
	struct bus bus;

	(void)state;
	assert_int_equal(bus_init(&bus, "test"), 0);
	for (unsigned int step = 0; step < 200000; step++) {
		unsigned int i = rand_r(&seed) % ARRAY_SIZE(probe), base = rand_r(&seed) % SPACE;
		unsigned int size = 1 + rand_r(&seed) % 16;
		bool taken = base + size > SPACE;
		uint64_t val;

		if (region[i]) {
			for (unsigned int a = 0; a < SPACE; a++)
				if (owner[a] == &probe[i])
					owner[a] = NULL;
			bus_remove(&bus, region[i]);
			region[i] = NULL;
		} else if (!taken) {
			for (unsigned int a = base; a < base + size; a++)
				taken |= owner[a] != NULL;
			probe[i].id = base;
			region[i] = bus_insert(&bus, "p", base, size, &probe_ops, &probe[i]);
			assert_int_equal(region[i] == NULL, taken);
			for (unsigned int a = base; !taken && a < base + size; a++)
				owner[a] = &probe[i];
		}
		base = rand_r(&seed) % SPACE;
		assert_int_equal(bus_read(&bus, step & 1 ? &cache : NULL, base, 1, &val),
				 owner[base] != NULL);
		if (owner[base])
			assert_int_equal(val, owner[base]->id << 16 | (base - owner[base]->id));
	}
	bus_cache_drop(&cache);
	bus_fini(&bus);
}

/*
 * Movers take their region from place to place, readers go over all places. Nobody may ever be
 * told another region's value or an offset outside; valgrind and TSan watch for the rest.
 */
#define MOVERS 4
#define STRIDE 0x100

struct crowd {
	struct bus bus;
	atomic_bool stop;
	atomic_uint hits;
};

struct mover {
	struct crowd *crowd;
	unsigned int id;
};

static uint64_t mover_read(void *dev, uint64_t off, unsigned int len)
{
	struct mover *mover = dev;

	(void)len;
	return (uint64_t)mover->id << 32 | off;
}

static const struct io_ops mover_ops = {.read = mover_read};

static void *mover_thread(void *arg)
{
	struct mover *mover = arg;
	struct crowd *crowd = mover->crowd;
	unsigned int seed = mover->id;

	while (!atomic_load(&crowd->stop)) {
		uint64_t place = rand_r(&seed) % (2 * MOVERS) * STRIDE;
		struct io_region *region =
			bus_insert(&crowd->bus, "mover", place, STRIDE, &mover_ops, mover);

		if (region && rand_r(&seed) % 4 == 0)
			usleep(10);
		bus_remove(&crowd->bus, region);
	}
	return NULL;
}

static void *reader_thread(void *arg)
{
	struct crowd *crowd = arg;
	struct bus_cache cache = {0};
	unsigned int seed = (uintptr_t)&cache;
	uint64_t val;

	while (!atomic_load(&crowd->stop)) {
		uint64_t addr = rand_r(&seed) % (2 * MOVERS * STRIDE);

		if (!bus_read(&crowd->bus, rand_r(&seed) % 8 ? &cache : NULL, addr, 1, &val))
			continue;
		atomic_fetch_add(&crowd->hits, 1);
		assert_true(val >> 32 >= 1 && val >> 32 <= MOVERS);
		assert_int_equal((uint32_t)val, addr % STRIDE);
	}
	bus_cache_drop(&cache);
	return NULL;
}

static void test_movers_and_readers(void **state)
{
	const char *seconds = getenv("BUS_SECONDS");
	struct crowd crowd = {0};
	struct mover mover[MOVERS];
	pthread_t thread[2 * MOVERS];

	(void)state;
	assert_int_equal(bus_init(&crowd.bus, "test"), 0);
	for (unsigned int i = 0; i < MOVERS; i++) {
		mover[i] = (struct mover){&crowd, i + 1};
		assert_int_equal(pthread_create(&thread[i], NULL, mover_thread, &mover[i]), 0);
		assert_int_equal(pthread_create(&thread[MOVERS + i], NULL, reader_thread, &crowd),
				 0);
	}
	sleep(seconds ? atoi(seconds) : 1);
	atomic_store(&crowd.stop, true);
	for (unsigned int i = 0; i < 2 * MOVERS; i++)
		pthread_join(thread[i], NULL);
	assert_true(atomic_load(&crowd.hits) > 0);
	bus_fini(&crowd.bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_offsets_and_holes),
		cmocka_unit_test(test_insert_errors),
		cmocka_unit_test(test_cache_sees_removal_and_move),
		cmocka_unit_test(test_handler_removes_itself),
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_movers_and_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
