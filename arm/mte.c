// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory tagging (MTE) for guests. */
#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arm.h"
#include "kvm/memory.h"
#include "kvm/util.h"
#include "kvm/vm.h"
#include "layout.h"

static int mte_enable_on(int vm_fd)
{
	struct kvm_enable_cap args = {.cap = KVM_CAP_ARM_MTE};

	return ioctl(vm_fd, KVM_ENABLE_CAP, &args) < 0 ? -errno : 0;
}

/* Whether KVM takes RAM of the kind that memory.c makes for a machine with tags. */
static bool mte_takes_ram(struct memory *mem)
{
	int fd = memfd_create("guest-ram", MFD_CLOEXEC), slot = -1;
	const size_t size = LAYOUT_RAM_ALIGN; /* a multiple of any page */
	void *hva = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, size) == 0)
		hva = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (hva != MAP_FAILED) {
		slot = memory_map_slot(mem, LAYOUT_RAM, size, hva, 0);
		if (slot >= 0)
			memory_unmap_slot(mem, slot);
		munmap(hva, size);
	}
	if (fd >= 0)
		close(fd);
	return slot >= 0;
}

/*
 * Kernels differ in which memory may carry tags (before 6.2, none that is shared), and tagging
 * cannot be taken back once it is on: so a machine that is thrown away tries it out.
 */
static bool mte_works(int kvm_fd)
{
	int vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0UL);
	struct memory mem;
	bool works = false;

	if (vm_fd < 0)
		return false;
	if (memory_init(&mem, vm_fd) == 0) {
		works = mte_enable_on(vm_fd) == 0 && mte_takes_ram(&mem);
		memory_fini(&mem);
	}
	close(vm_fd);
	return works;
}

void mte_enable(struct vm *vm)
{
	/* 32-bit guests have no tags; files on hugetlbfs take none but on the newest kernels. */
	if (vm->cfg->arch->no_mte || vm->cfg->arch->aarch32 || vm->cfg->hugetlbfs ||
	    ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_MTE) <= 0)
		return;
	if (mte_works(vm->kvm_fd))
		mte_enable_on(vm->vm_fd);
}
