// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tree is the C library's tsearch(3), a red-black tree. Two regions compare equal when they
 * overlap; since regions on a bus never do, that is an order, and a lookup is a search for the
 * region that overlaps one byte.
 */
#include "kvm/bus.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include "kvm/util.h"

static int bus_compare(const void *a, const void *b)
{
	const struct io_region *x = a, *y = b;

	if (ranges_overlap(x->base, x->size, y->base, y->size))
		return 0;
	return x->base < y->base ? -1 : 1;
}

int bus_init(struct bus *bus, const char *name)
{
	pthread_rwlockattr_t attr;
	int ret;

	*bus = (struct bus){.name = name};
	/* Many vCPUs reading without pause must not keep a BAR from moving. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	ret = pthread_rwlock_init(&bus->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	/* A zeroed cache must not look current. */
	atomic_init(&bus->generation, 1);
	return -ret;
}

static void bus_free_node(void *region)
{
	bus_put(region);
}

void bus_fini(struct bus *bus)
{
	tdestroy(bus->root, bus_free_node);
	bus->root = NULL;
	pthread_rwlock_destroy(&bus->lock);
}

struct io_region *bus_insert(struct bus *bus, const char *name, uint64_t base, uint64_t size,
			     const struct io_ops *ops, void *dev)
{
	struct io_region *region, **node;
	int error = 0;

	if (!size || base + size - 1 < base) {
		errno = EINVAL;
		return NULL;
	}
	region = malloc(sizeof(*region));
	if (!region)
		return NULL;
	*region = (struct io_region){
		.name = name, .base = base, .size = size, .ops = ops, .dev = dev, .refs = 1};

	pthread_rwlock_wrlock(&bus->lock);
	node = tsearch(region, &bus->root, bus_compare);
	if (!node)
		error = ENOMEM;
	else if (*node != region)
		error = EEXIST;
	else
		atomic_fetch_add(&bus->generation, 1);
	pthread_rwlock_unlock(&bus->lock);

	if (!error)
		return region;
	free(region);
	errno = error;
	return NULL;
}

void bus_remove(struct bus *bus, struct io_region *region)
{
	if (!region)
		return;
	pthread_rwlock_wrlock(&bus->lock);
	tdelete(region, &bus->root, bus_compare);
	atomic_fetch_add(&bus->generation, 1);
	pthread_rwlock_unlock(&bus->lock);
	bus_put(region);
}

/* Also says which generation of the bus the answer belongs to. */
static struct io_region *bus_lookup(struct bus *bus, uint64_t addr, uint_fast64_t *generation)
{
	const struct io_region key = {.base = addr, .size = 1};
	struct io_region **node, *region = NULL;

	pthread_rwlock_rdlock(&bus->lock);
	*generation = atomic_load(&bus->generation);
	node = tfind(&key, &bus->root, bus_compare);
	if (node) {
		region = *node;
		atomic_fetch_add_explicit(&region->refs, 1, memory_order_relaxed);
	}
	pthread_rwlock_unlock(&bus->lock);
	return region;
}

struct io_region *bus_get(struct bus *bus, uint64_t addr)
{
	uint_fast64_t generation;

	return bus_lookup(bus, addr, &generation);
}

void bus_put(struct io_region *region)
{
	/* Whoever frees has to see what the others did with the region before they let go. */
	if (region && atomic_fetch_sub_explicit(&region->refs, 1, memory_order_acq_rel) == 1)
		free(region);
}

void bus_cache_drop(struct bus_cache *cache)
{
	bus_put(cache->region);
	*cache = (struct bus_cache){0};
}

/* The region for addr with a reference that the cache holds. */
static struct io_region *bus_cached(struct bus *bus, struct bus_cache *cache, uint64_t addr)
{
	struct io_region *region = cache->region;

	if (region && cache->generation == atomic_load(&bus->generation) &&
	    range_contains(region->base, region->size, addr, 1))
		return region;
	bus_cache_drop(cache);
	cache->region = bus_lookup(bus, addr, &cache->generation);
	return cache->region;
}

static bool bus_answers(struct bus *bus, const struct io_region *region, uint64_t addr,
			unsigned int len)
{
	if (region && range_contains(region->base, region->size, addr, len))
		return true;
	atomic_fetch_add_explicit(&bus->holes, 1, memory_order_relaxed);
	return false;
}

bool bus_read(struct bus *bus, struct bus_cache *cache, uint64_t addr, unsigned int len,
	      uint64_t *val)
{
	struct io_region *region = cache ? bus_cached(bus, cache, addr) : bus_get(bus, addr);
	bool answered = bus_answers(bus, region, addr, len);

	*val = answered ? region->ops->read(region->dev, addr - region->base, len) : UINT64_MAX;
	if (!cache)
		bus_put(region);
	return answered;
}

bool bus_write(struct bus *bus, struct bus_cache *cache, uint64_t addr, unsigned int len,
	       uint64_t val)
{
	struct io_region *region = cache ? bus_cached(bus, cache, addr) : bus_get(bus, addr);
	bool answered = bus_answers(bus, region, addr, len);

	if (answered)
		region->ops->write(region->dev, addr - region->base, len, val);
	if (!cache)
		bus_put(region);
	return answered;
}

static uint64_t bus_window_read(void *dev, uint64_t off, unsigned int len)
{
	uint64_t val;

	bus_read(dev, NULL, off, len, &val);
	return val;
}

static void bus_window_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	bus_write(dev, NULL, off, len, val);
}

const struct io_ops bus_window_ops = {.read = bus_window_read, .write = bus_window_write};
