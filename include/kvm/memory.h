/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_MEMORY_H
#define LKVM_MEMORY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Guest memory. RAM is a few banks that are fixed from power-on to power-off, so reading the
 * table needs no lock. Memory that devices show through a BAR (framebuffer, flash, passthrough)
 * are slots: the guest's CPUs see them, guest_ptr() does not, hence no device can be talked into
 * DMA to another device.
 */
#define MEMORY_MAX_BANKS 4

struct memory_bank {
	uint64_t gpa, size; /* bytes */
	void *hva;
	int fd; /* shared with vhost-user back ends; hva maps it at fd_offset */
	uint64_t fd_offset;
};

struct memory {
	int vm_fd;
	unsigned int nr_banks;
	struct memory_bank bank[MEMORY_MAX_BANKS];
	pthread_mutex_t slot_lock; /* protects slot_used */
	uint8_t *slot_used;
	unsigned int nr_slots;
	bool retired;
};

/* vm_fd is KVM's; it stays the caller's. 0 or a negative errno. */
int memory_init(struct memory *mem, int vm_fd);
void memory_fini(struct memory *mem);

/*
 * Adds RAM at gpa: a memfd, of which nothing is reserved or touched, or a file on `hugetlbfs`, with
 * all its pages reserved, when that is not NULL; transparent huge pages are asked for. Prints on error.
 */
int memory_add_ram(struct memory *mem, uint64_t gpa, uint64_t size, const char *hugetlbfs);

/*
 * The only way from a guest address to a pointer: NULL unless all of [gpa, gpa + len) is in one
 * bank of RAM. len 0 is judged like len 1. Any thread.
 */
void *guest_ptr(const struct memory *mem, uint64_t gpa, uint64_t len);

/*
 * Shows host memory to the guest at gpa (page aligned). Returns the slot, or a negative errno.
 * flags: KVM_MEM_READONLY, KVM_MEM_LOG_DIRTY_PAGES. Any thread.
 */
int memory_map_slot(struct memory *mem, uint64_t gpa, uint64_t size, void *hva, uint32_t flags);
void memory_unmap_slot(struct memory *mem, int slot);
/*
 * No vCPU runs any more, and KVM forgets the slots with the VM: from here on it is not asked to take each
 * of them away, for which it would wait each time until nobody in the kernel looks at the old ones.
 */
void memory_retire(struct memory *mem);
/*
 * Which pages of a slot with KVM_MEM_LOG_DIRTY_PAGES the guest has written since the last call: a bit
 * for each 4 KiB page (the host's page size), in 64-bit units. Any thread.
 */
int memory_get_dirty(struct memory *mem, int slot, void *bitmap);

#endif
