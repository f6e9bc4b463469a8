// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/ioport.h"

#include <linux/kvm.h>

#include "kvm/log.h"
#include "kvm/util.h"

/* A string instruction (rep outsb) is one exit with `count` items behind each other. */
void ioport_exit(struct bus *bus, struct bus_cache *cache, struct kvm_run *run, bool debug)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	uint16_t port = run->io.port;
	unsigned int len = run->io.size;
	bool out = run->io.direction == KVM_EXIT_IO_OUT, answered = true;
	uint64_t val;

	for (uint32_t i = 0; i < run->io.count; i++, data += len) {
		if (out) {
			answered &= bus_write(bus, cache, port, len, le_load(data, len));
		} else {
			answered &= bus_read(bus, cache, port, len, &val);
			le_store(data, len, val);
		}
	}
	if (!answered && debug)
		log_info("ioport: nobody at 0x%x (%s of %u bytes)", port, out ? "out" : "in", len);
}
