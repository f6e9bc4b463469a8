// SPDX-License-Identifier: GPL-2.0-or-later
/* Stolen time (Arm DEN0057A): pages in which KVM tells each vCPU how long it did not run. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "arm.h"
#include "kvm/log.h"
#include "kvm/vcpu.h"
#include "kvm/vm.h"
#include "layout.h"

#define PVTIME_SIZE 64 /* bytes a vCPU */

int pvtime_create(struct vm *vm)
{
	struct arch_vm *arch = vm->arch;
	void *pages;
	int ret;

	if (vm->cfg->arch->no_pvtime ||
	    ioctl(vm->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_STEAL_TIME) <= 0)
		return 0;
	pages = mmap(NULL, LAYOUT_PVTIME_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	if (pages == MAP_FAILED)
		return -errno;
	ret = memory_map_slot(&vm->mem, LAYOUT_PVTIME, LAYOUT_PVTIME_SIZE, pages, 0);
	if (ret < 0) {
		log_error("stolen time: %s", strerror(-ret));
		munmap(pages, LAYOUT_PVTIME_SIZE);
		return ret;
	}
	arch->pvtime = pages;
	arch->pvtime_slot = ret;
	return 0;
}

void pvtime_destroy(struct vm *vm)
{
	if (!vm->arch->pvtime)
		return;
	memory_unmap_slot(&vm->mem, vm->arch->pvtime_slot);
	munmap(vm->arch->pvtime, LAYOUT_PVTIME_SIZE);
}

int pvtime_start(struct vcpu *vcpu)
{
	uint64_t gpa = LAYOUT_PVTIME + (uint64_t)vcpu->id * PVTIME_SIZE;
	struct kvm_device_attr attr = {
		.group = KVM_ARM_VCPU_PVTIME_CTRL,
		.attr = KVM_ARM_VCPU_PVTIME_IPA,
		.addr = (uintptr_t)&gpa,
	};
	int ret;

	if (!vcpu->vm->arch->pvtime)
		return 0;
	if (ioctl(vcpu->fd, KVM_SET_DEVICE_ATTR, &attr) == 0)
		return 0;
	ret = -errno;
	log_error("stolen time: vCPU %u: %m", vcpu->id);
	return ret;
}
