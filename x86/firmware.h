/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_X86_FIRMWARE_H
#define LKVM_X86_FIRMWARE_H

#include <stdint.h>

struct boot_file;
struct memory;

/* A firmware image (-f) in the guest's address space: read-only, ending at 4 GiB. */
struct firmware {
	void *hva; /* NULL: none */
	uint64_t size;
	int slot;
};

/* Also copies its last 128 KiB to where real mode sees them. 0, or an error line and an errno. */
int firmware_load(struct firmware *fw, const struct boot_file *file, struct memory *mem);
void firmware_unload(struct firmware *fw, struct memory *mem);

#endif
