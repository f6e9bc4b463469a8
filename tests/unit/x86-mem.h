/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For the tests of x86 loaders: guest RAM without KVM, files made up in memory, error lines. */
#ifndef TESTS_X86_MEM_H
#define TESTS_X86_MEM_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../x86/kernel.h"
#include "../../x86/layout.h"
#include "kvm/memory.h"
#include "kvm/util.h"

static inline void mem_init(struct memory *mem, uint64_t ram)
{
	uint64_t low = layout_low_ram(ram);

	*mem = (struct memory){.vm_fd = -1, .nr_banks = ram > low ? 2 : 1};
	mem->bank[0] = (struct memory_bank){.gpa = 0, .size = low};
	mem->bank[1] = (struct memory_bank){.gpa = LAYOUT_4G, .size = ram - low};
	for (unsigned int i = 0; i < mem->nr_banks; i++) {
		mem->bank[i].hva = mmap(NULL, mem->bank[i].size, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (mem->bank[i].hva == MAP_FAILED)
			abort();
	}
}

static inline void mem_fini(struct memory *mem)
{
	for (unsigned int i = 0; i < mem->nr_banks; i++)
		munmap(mem->bank[i].hva, mem->bank[i].size);
}

/* A file of `size` bytes that begins with `data`. */
static inline void file_init(struct kernel_file *file, const void *data, size_t len, uint64_t size)
{
	*file = (struct kernel_file){.path = "some-kernel", .size = size};
	file->fd = memfd_create("kernel", MFD_CLOEXEC);
	if (file->fd < 0 || pwrite(file->fd, data, MIN(len, size), 0) < 0 ||
	    ftruncate(file->fd, size) < 0)
		abort();
	file->head_size = MIN(sizeof(file->head), size);
	if (pread(file->fd, file->head, file->head_size, 0) != (ssize_t)file->head_size)
		abort();
}

static inline void file_fini(struct kernel_file *file)
{
	close(file->fd);
}

/*
 * What is written to stderr between begin and end. Nothing in between may fail a test: its message
 * would be lost.
 */
struct capture {
	int saved, fd;
	char text[4096];
};

static inline void capture_begin(struct capture *c)
{
	fflush(stderr);
	c->saved = dup(STDERR_FILENO);
	c->fd = memfd_create("stderr", MFD_CLOEXEC);
	dup2(c->fd, STDERR_FILENO);
}

static inline void capture_end(struct capture *c)
{
	ssize_t n;

	fflush(stderr);
	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	n = pread(c->fd, c->text, sizeof(c->text) - 1, 0);
	c->text[MAX(n, 0)] = '\0';
	close(c->fd);
}

#endif
