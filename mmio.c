// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/mmio.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

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

/* Memory and ports differ by a flag (KVM API §4.59). */
static int mmio_ioeventfd(int vm_fd, uint64_t addr, unsigned int len, const uint64_t *datamatch,
			  int fd, uint32_t flags)
{
	struct kvm_ioeventfd args = {
		.addr = addr,
		.len = len,
		.fd = fd,
		.datamatch = datamatch ? *datamatch : 0,
		.flags = flags | (datamatch ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0),
	};

	return ioctl(vm_fd, KVM_IOEVENTFD, &args) < 0 ? -errno : 0;
}

int mmio_ioeventfd_add(int vm_fd, uint64_t gpa, unsigned int len, const uint64_t *datamatch,
		       int fd)
{
	return mmio_ioeventfd(vm_fd, gpa, len, datamatch, fd, 0);
}

void mmio_ioeventfd_del(int vm_fd, uint64_t gpa, unsigned int len, const uint64_t *datamatch,
			int fd)
{
	mmio_ioeventfd(vm_fd, gpa, len, datamatch, fd, KVM_IOEVENTFD_FLAG_DEASSIGN);
}
