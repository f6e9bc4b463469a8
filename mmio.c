// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/mmio.h"

#include <inttypes.h>
#include <linux/kvm.h>

#include "kvm/log.h"
#include "kvm/util.h"

void mmio_exit(struct bus *bus, struct bus_cache *cache, struct kvm_run *run, bool debug)
{
	uint64_t addr = run->mmio.phys_addr, val;
	unsigned int len = MIN(run->mmio.len, sizeof(run->mmio.data));
	bool answered;

	if (run->mmio.is_write) {
		val = le_load(run->mmio.data, len);
		answered = bus_write(bus, cache, addr, len, val);
	} else {
		answered = bus_read(bus, cache, addr, len, &val);
		le_store(run->mmio.data, len, val);
	}
	if (!answered && debug)
		log_info("mmio: nobody at 0x%" PRIx64 " (%s of %u bytes)", addr,
			 run->mmio.is_write ? "write" : "read", len);
}
