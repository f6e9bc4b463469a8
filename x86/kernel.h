/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_X86_KERNEL_H
#define LKVM_X86_KERNEL_H

#include <asm/bootparam.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memory;

/* In which state the first CPU starts, and where; set up by regs.c. */
enum entry_mode {
	ENTRY_RESET,	 /* as after power-on: f000:fff0 at the end of the firmware */
	ENTRY_REAL,	 /* 16-bit, cs = ds = es = ss = rip >> 4, a stack at sp 0x8000 */
	ENTRY_PROTECTED, /* 32-bit, flat segments, no paging */
	ENTRY_LONG,	 /* 64-bit, the first 4 GiB mapped one to one */
};

struct entry {
	enum entry_mode mode;
	uint64_t rip;
	uint64_t rbx, rsi; /* where protocols put the address of their parameters */
};

/* How a kernel wants to be told about the machine. */
enum kernel_protocol {
	KERNEL_FLAT,  /* not at all */
	KERNEL_LINUX, /* boot_params (Documentation/x86/boot.rst) */
	KERNEL_PVH,   /* hvm_start_info (Xen's PVH) */
};

/* A file that is to be a kernel. */
struct kernel_file {
	const char *path; /* as typed */
	int fd;
	uint64_t size;
	bool unpack; /* a packed kernel may be unpacked here: sooner up, but without KASLR */
	size_t head_size;   /* bytes of head that the file has */
	uint8_t head[4096]; /* headers of all formats lie in here */
};

/* What a loader says of the kernel that it has put into guest memory. */
struct kernel {
	enum kernel_protocol protocol;
	struct entry entry;
	uint64_t end;		 /* the kernel needs everything from 1 MiB (or lower) up to here */
	uint64_t initrd_end;	 /* an initrd must lie below */
	uint32_t cmdline_max;	 /* characters, without the NUL; 0: takes none */
	struct setup_header hdr; /* KERNEL_LINUX: goes into boot_params */
};

/*
 * The loaders: each recognises its format by the head, and reads straight into guest memory.
 * They print what is wrong with the file, by name, and return a negative errno.
 */
bool bzimage_probe(const struct kernel_file *file);
int bzimage_load(const struct kernel_file *file, const struct memory *mem, struct kernel *kernel);
bool elf_probe(const struct kernel_file *file);
int elf_load(const struct kernel_file *file, const struct memory *mem, struct kernel *kernel);
/* The kernel inside a bzImage: its segments, and where its 64-bit code begins. */
int elf_load_vmlinux(const struct kernel_file *file, const struct memory *mem, uint64_t *end,
		     uint64_t *entry);
int flat_load(const struct kernel_file *file, const struct memory *mem, struct kernel *kernel);

/*
 * Copies len bytes of the file at off to gpa, or says what is in the way: the file is too short, or
 * RAM is. What is loaded stays above 1 MiB or wherever the caller has checked.
 */
int kernel_read(const struct kernel_file *file, const struct memory *mem, uint64_t gpa,
		uint64_t len, uint64_t off);

#endif
