/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_CFI_FLASH_H
#define LKVM_CFI_FLASH_H

#include <stdbool.h>
#include <stdint.h>

#include "kvm/bus.h"
#include "kvm/memory.h"

/*
 * Parallel NOR flash with the Intel command set (JEDEC CFI, JESD68; Intel StrataFlash J3 data
 * sheet): two 16-bit chips side by side on a 32-bit bus, blocks of CFI_FLASH_BLOCK bytes. Its
 * content is a file. While the chips are in array mode the guest reads it as memory, without an
 * exit.
 *
 * What the guest has programmed is on the host's disk once it goes back to array mode, which drivers
 * do at the end of each of their steps. A host that loses power in between leaves some of the bytes
 * of the step as they were and some as they became, as the chips themselves would.
 */
#define CFI_FLASH_BLOCK 0x10000 /* of both chips together, as EDK2 expects */

struct cfi_flash;

/* The file, which outlives the chips when the guest starts again. */
struct cfi_file {
	const char *path; /* as typed; the caller's. NULL: there is none */
	int fd;
	uint64_t size; /* bytes */
	bool readonly;
};

/*
 * The size must be a power of two, at least one block and at most max_size; the file is opened
 * read-only, and the guest finds its blocks locked, when it cannot be written. 0, or a negative
 * errno after one error line.
 */
int cfi_file_open(struct cfi_file *file, const char *path, uint64_t max_size);
/* Whatever cfi_file_open() said, or zeroes. */
void cfi_file_close(struct cfi_file *file);

/* The file stays the caller's. NULL after one error line. */
struct cfi_flash *cfi_flash_create(struct bus *bus, struct memory *mem, uint64_t base,
				   const struct cfi_file *file);
void cfi_flash_destroy(struct cfi_flash *flash);

uint64_t cfi_flash_size(const struct cfi_flash *flash); /* bytes */

#endif
