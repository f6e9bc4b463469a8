// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/util.h"

/* Enough for RAM banks and the BARs of all functions that map memory. */
#define MEMORY_MAX_SLOTS 256

int memory_init(struct memory *mem, int vm_fd)
{
	*mem = (struct memory){.vm_fd = vm_fd, .nr_slots = MEMORY_MAX_SLOTS};
	mem->slot_used = calloc(MEMORY_MAX_SLOTS, 1);
	if (!mem->slot_used)
		return -ENOMEM;
	return -pthread_mutex_init(&mem->slot_lock, NULL);
}

void memory_fini(struct memory *mem)
{
	for (unsigned int i = 0; i < mem->nr_banks; i++) {
		munmap(mem->bank[i].hva, mem->bank[i].size);
		close(mem->bank[i].fd);
	}
	mem->nr_banks = 0;
	free(mem->slot_used);
	mem->slot_used = NULL;
	pthread_mutex_destroy(&mem->slot_lock);
}

/* A nameless file on the mount, and the size of its pages. */
static int memory_open_hugetlbfs(const char *path, uint64_t size)
{
	struct statfs fs;
	int fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), ret;

	if (fd < 0 || fstatfs(fd, &fs) < 0) {
		ret = -errno;
		log_error("hugetlbfs %s: %m", path);
		goto err;
	}
	if (fs.f_type != HUGETLBFS_MAGIC) {
		ret = -EINVAL;
		log_error("hugetlbfs %s: no such file system is mounted there", path);
		goto err;
	}
	if (size % fs.f_bsize) {
		ret = -EINVAL;
		log_error("hugetlbfs %s: RAM of %" PRIu64
			  " MiB is no multiple of its %ld KiB pages",
			  path, size / MIB, (long)fs.f_bsize / 1024);
		goto err;
	}
	return fd;
err:
	if (fd >= 0)
		close(fd);
	return ret;
}

static int memory_open(const char *hugetlbfs, uint64_t size)
{
	int fd, ret;

	fd = hugetlbfs ? memory_open_hugetlbfs(hugetlbfs, size)
		       : memfd_create("guest-ram", MFD_CLOEXEC);
	if (fd < 0) {
		ret = hugetlbfs ? fd : -errno;
		if (!hugetlbfs)
			log_error("guest RAM: memfd: %m");
		return ret;
	}
	if (ftruncate(fd, size) < 0) {
		ret = -errno;
		log_error("guest RAM of %" PRIu64 " MiB: %m", size / MIB);
		close(fd);
		return ret;
	}
	return fd;
}

int memory_add_ram(struct memory *mem, uint64_t gpa, uint64_t size, const char *hugetlbfs)
{
	struct memory_bank bank = {.gpa = gpa, .size = size};
	int ret;

	if (mem->nr_banks == MEMORY_MAX_BANKS)
		return -ENOSPC;
	bank.fd = memory_open(hugetlbfs, size);
	if (bank.fd < 0)
		return bank.fd;
	/* Huge pages are reserved: too few are an error here, and not a SIGBUS later. */
	bank.hva = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_SHARED | (hugetlbfs ? 0 : MAP_NORESERVE), bank.fd, 0);
	if (bank.hva == MAP_FAILED) {
		ret = -errno;
		log_error("guest RAM of %" PRIu64 " MiB: mmap: %m", size / MIB);
		goto err_close;
	}
	if (!hugetlbfs)
		madvise(bank.hva, size, MADV_HUGEPAGE); /* an advice; not every host heeds it */
	madvise(bank.hva, size, MADV_DONTDUMP);
	ret = memory_map_slot(mem, gpa, size, bank.hva, 0);
	if (ret < 0) {
		log_error("guest RAM of %" PRIu64 " MiB at 0x%" PRIx64 ": KVM: %s", size / MIB, gpa,
			  strerror(-ret));
		goto err_unmap;
	}
	mem->bank[mem->nr_banks++] = bank;
	return 0;

err_unmap:
	munmap(bank.hva, size);
err_close:
	close(bank.fd);
	return ret;
}

void *guest_ptr(const struct memory *mem, uint64_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < mem->nr_banks; i++) {
		const struct memory_bank *bank = &mem->bank[i];

		if (range_contains(bank->gpa, bank->size, gpa, MAX(len, 1)))
			return (uint8_t *)bank->hva + (gpa - bank->gpa);
	}
	return NULL;
}

static int memory_set_slot(struct memory *mem, int slot, uint64_t gpa, uint64_t size, void *hva,
			   uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return ioctl(mem->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

int memory_map_slot(struct memory *mem, uint64_t gpa, uint64_t size, void *hva, uint32_t flags)
{
	uint8_t *free_slot;
	int slot, ret;

	pthread_mutex_lock(&mem->slot_lock);
	free_slot = memchr(mem->slot_used, 0, mem->nr_slots);
	if (free_slot)
		*free_slot = 1;
	pthread_mutex_unlock(&mem->slot_lock);
	if (!free_slot)
		return -ENOSPC;

	slot = free_slot - mem->slot_used;
	ret = memory_set_slot(mem, slot, gpa, size, hva, flags);
	if (ret < 0) {
		pthread_mutex_lock(&mem->slot_lock);
		*free_slot = 0;
		pthread_mutex_unlock(&mem->slot_lock);
		return ret;
	}
	return slot;
}

void memory_unmap_slot(struct memory *mem, int slot)
{
	if (!mem->retired)
		memory_set_slot(mem, slot, 0, 0, NULL, 0);
	pthread_mutex_lock(&mem->slot_lock);
	mem->slot_used[slot] = 0;
	pthread_mutex_unlock(&mem->slot_lock);
}

void memory_retire(struct memory *mem)
{
	mem->retired = true;
}

int memory_get_dirty(struct memory *mem, int slot, void *bitmap)
{
	struct kvm_dirty_log log = {.slot = slot, .dirty_bitmap = bitmap};

	return ioctl(mem->vm_fd, KVM_GET_DIRTY_LOG, &log) < 0 ? -errno : 0;
}
