// SPDX-License-Identifier: GPL-2.0-or-later
/* How far the guest's physical addresses go, and what lies at their upper end. */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "arm.h"
#include "kvm/config.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "layout.h"

#define SPACE_MIN_RAM  (4 * MIB) /* a device tree in a block of its own beside the kernel */
#define SPACE_MIN_BITS 32
#define SPACE_OLD_BITS 40 /* which type 0 stands for */
#define SPACE_4G       (UINT64_C(1) << 32)

uint64_t space_ram(const struct vm_config *cfg)
{
	return cfg->ram_base ? cfg->ram_base : LAYOUT_RAM;
}

int space_check(const struct vm_config *cfg)
{
	uint64_t ram = space_ram(cfg);

	if (ram < LAYOUT_RAM || ram % LAYOUT_RAM_ALIGN) {
		log_error("--mem: RAM at 0x%" PRIx64 "; must be at 0x%llx or higher, in steps of "
			  "2 MiB",
			  ram, LAYOUT_RAM);
		return -EINVAL;
	}
	if (cfg->ram_size < SPACE_MIN_RAM) {
		log_error("--mem: %" PRIu64 " KiB of RAM are less than 4 MiB", cfg->ram_size / KIB);
		return -EINVAL;
	}
	if (cfg->arch->aarch32 && (ram >= SPACE_4G || cfg->ram_size > SPACE_4G - ram)) {
		log_error("--mem: RAM of a 32-bit guest must end below 4 GiB, and begins at "
			  "0x%" PRIx64,
			  ram);
		return -EINVAL;
	}
	return 0;
}

/* To tell addresses below `end` apart. */
static unsigned int space_bits(uint64_t end)
{
	return end <= 1 ? 0 : 64 - __builtin_clzll(end - 1);
}

/* 0: an old KVM, which does not tell and takes no wish. */
static unsigned int space_told_bits(int kvm_fd)
{
	int bits = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

	return MAX(bits, 0);
}

static unsigned int space_max_bits(int kvm_fd)
{
	unsigned int bits = space_told_bits(kvm_fd);

	return bits ? bits : SPACE_OLD_BITS;
}

struct pci_window space_mem64(int kvm_fd, const struct vm_config *cfg)
{
	uint64_t base = ALIGN_UP(space_ram(cfg) + cfg->ram_size, LAYOUT_PCI_MEM64_ALIGN);
	uint64_t end = UINT64_C(1) << space_max_bits(kvm_fd);

	base = MAX(base, SPACE_4G);
	if (cfg->arch->aarch32 || base >= end)
		return (struct pci_window){0};
	return (struct pci_window){.base = base, .size = MIN(LAYOUT_PCI_MEM64_SIZE, end - base)};
}

/* KVM API §4.1 */
int space_vm_type(int kvm_fd, const struct vm_config *cfg, unsigned long *type)
{
	unsigned int max_bits = space_max_bits(kvm_fd), bits;
	uint64_t end = space_ram(cfg) + cfg->ram_size;
	struct pci_window mem64;

	if (end < cfg->ram_size || space_bits(end) > max_bits) {
		log_error("--mem: %" PRIu64 " MiB of RAM at 0x%" PRIx64 " do not fit: this host's "
			  "guests have %u address bits",
			  cfg->ram_size / MIB, space_ram(cfg), max_bits);
		return -EINVAL;
	}
	mem64 = space_mem64(kvm_fd, cfg);
	bits = MAX(space_bits(mem64.size ? mem64.base + mem64.size : end), SPACE_MIN_BITS);
	*type = bits == SPACE_OLD_BITS || !space_told_bits(kvm_fd) ? 0
								   : KVM_VM_TYPE_ARM_IPA_SIZE(bits);
	return 0;
}
