/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_BUS_H
#define LKVM_BUS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A bus: who answers at an address. MMIO, port I/O and PCI configuration space are each one.
 *
 * Regions never overlap on a bus and never change: a BAR that moves is one region removed and
 * another one inserted. A lookup takes a reference and drops the lock, so a handler runs with no
 * bus lock held and may itself insert and remove, even its own region. Removal unlinks at once:
 * no lookup that starts afterwards finds the region. The last reference frees it.
 *
 * Handlers get offsets into their region, never addresses, and lengths of 1, 2, 4 or 8 that lie
 * inside the region. They are called concurrently. `dev` must outlive every access: devices go
 * when no vCPU runs any more.
 */
struct io_ops {
	uint64_t (*read)(void *dev, uint64_t off, unsigned int len);
	void (*write)(void *dev, uint64_t off, unsigned int len, uint64_t val);
};

struct io_region {
	const char *name; /* lives as long as the device */
	uint64_t base, size;
	const struct io_ops *ops;
	void *dev;
	atomic_uint refs;
};

struct bus {
	const char *name;
	pthread_rwlock_t lock; /* protects root */
	void *root;	       /* red-black tree of io_region, ordered by address */
	atomic_uint_fast64_t generation; /* changes with every insert and remove */
	atomic_uint_fast64_t holes;	 /* accesses that nobody answered */
};

/*
 * A vCPU's memory of its last hit on one bus. It keeps its own reference, so a repeated access
 * costs one load of a generation that rarely changes, and vCPUs do not meet on a lock or a count.
 * Belongs to one thread; zeroed means empty.
 */
struct bus_cache {
	struct io_region *region;
	uint_fast64_t generation;
};

int bus_init(struct bus *bus, const char *name);
void bus_fini(struct bus *bus); /* drops all regions; no lookups may run */

/*
 * Inserts [base, base + size). The region stays the bus's: the pointer is a handle for
 * bus_remove(). NULL with errno: EEXIST when it would overlap, EINVAL when empty or wrapping,
 * ENOMEM. Any thread.
 */
struct io_region *bus_insert(struct bus *bus, const char *name, uint64_t base, uint64_t size,
			     const struct io_ops *ops, void *dev);
void bus_remove(struct bus *bus, struct io_region *region); /* NULL is fine. Any thread. */

/* The region that answers at addr, with a reference for the caller, or NULL. Any thread. */
struct io_region *bus_get(struct bus *bus, uint64_t addr);
void bus_put(struct io_region *region);

/*
 * One access. The cache may be NULL. A hole, or an access that leaves its region, reads all ones;
 * a write to it is dropped; both are counted and return false.
 */
bool bus_read(struct bus *bus, struct bus_cache *cache, uint64_t addr, unsigned int len,
	      uint64_t *val);
bool bus_write(struct bus *bus, struct bus_cache *cache, uint64_t addr, unsigned int len,
	       uint64_t val);
void bus_cache_drop(struct bus_cache *cache);

/* A region through which another bus is seen: `dev` is that bus, offsets are addresses on it. */
extern const struct io_ops bus_window_ops;

#endif
