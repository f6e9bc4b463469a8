// SPDX-License-Identifier: GPL-2.0-or-later
/* links: arm/image.c util/cache.c util/unpack.c util/util.c util/log.c */
/* libs: zlib libzstd liblzma */
/*
 * arm64 and arm kernel images under a fuzzer: the formats that arm/image.c tells apart, packed or
 * not. What it accepts is unpacked into RAM and must not leave it.
 */
#include <stdlib.h>
#include <string.h>

#include "arm/image.h"
#include "arm/layout.h"
#include "kvm/log.h"
#include "kvm/memory.h"
#include "kvm/util.h"

#define FUZZ_RAM (1 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *ram;

/* memory.c's, which wants KVM. */
void *guest_ptr(const struct memory *mem, uint64_t gpa, uint64_t len)
{
	(void)mem;
	return range_contains(LAYOUT_RAM, FUZZ_RAM, gpa, len) ? ram + (gpa - LAYOUT_RAM) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of its own, for the address sanitizer to see what leaves it. */
	uint8_t *bytes = malloc(size ?: 1);
	struct image image = {.path = "some-kernel", .bytes = bytes};
	struct memory mem = {0};

	if (!size) {
		free(bytes);
		return 0;
	}
	log_set_level(-1);
	ram = malloc(FUZZ_RAM);
	memcpy(bytes, data + 1, size - 1);
	image.len = size - 1;
	if (image_probe(&image, data[0] & 1) == 0)
		image_load(&image, &mem, LAYOUT_RAM + image.text_offset % FUZZ_RAM);
	free(ram);
	free(bytes);
	return 0;
}
