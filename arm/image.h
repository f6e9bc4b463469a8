/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_ARM_IMAGE_H
#define LKVM_ARM_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvm/unpack.h"

struct memory;

#define IMAGE_HEAD_SIZE 4096 /* bytes of a kernel that its headers lie in */

/* A file that is to be a kernel: the bytes that hold it, and how they are packed. */
struct image {
	const char *path; /* as typed */
	const uint8_t *bytes;
	size_t len;
	enum unpack_format format;
	bool keep; /* what it unpacks to is kept for the next time (kvm/cache.h) */

	uint64_t text_offset; /* where it goes, from a multiple of 2 MiB */
	uint64_t size;	      /* of the RAM that it needs from there, its .bss included */
	uint64_t file_size;   /* bytes that it has when whole; 0: it does not say */
};

/*
 * Recognises what is in the file: the kernel's Image (Linux: arch/arm64/booting.rst), the same
 * compressed by gzip and such, or within an EFI zboot application; with `is_32`, a zImage. What is
 * none of these and no kernel for another machine is a flat binary. Fills in the rest of image.
 * -ENOEXEC and such after one error line.
 */
int image_probe(struct image *image, bool is_32);

/* Unpacks it to gpa, where image->size bytes are RAM. Prints on error. */
int image_load(struct image *image, const struct memory *mem, uint64_t gpa);

#endif
