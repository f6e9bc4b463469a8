// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Flat binaries: real-mode code that is put to 1000:0000 and started there, for tests and tiny
 * guests. Files that are known to be something else are refused, as running them could only fail.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "kernel.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "layout.h"

static const struct flat_foreign {
	size_t off;
	const char *magic, *what;
} flat_foreigners[] = {
	{0x38, "ARM\x64", "an arm64 kernel image"},
	{0x30, "RISCV", "a RISC-V kernel image"},
	{0, "\x1f\x8b", "compressed by gzip"},
	{0,
	 "\xfd"
	 "7zXZ",
	 "compressed by xz"},
	{0, "BZh", "compressed by bzip2"},
	{0, "\x28\xb5\x2f\xfd", "compressed by zstd"},
	{0, "MZ", "an EFI program, not a bzImage"},
};

static const char *flat_judge(const struct kernel_file *file)
{
	for (size_t i = 0; i < ARRAY_SIZE(flat_foreigners); i++) {
		const struct flat_foreign *f = &flat_foreigners[i];
		size_t len = strlen(f->magic);

		if (range_contains(0, file->head_size, f->off, len) &&
		    memcmp(file->head + f->off, f->magic, len) == 0)
			return f->what;
	}
	return NULL;
}

int flat_load(const struct kernel_file *file, const struct memory *mem, struct kernel *kernel)
{
	const char *foreign = flat_judge(file);
	uint64_t room = LAYOUT_LOW_RAM_END - LAYOUT_FLAT;

	if (foreign) {
		log_error("kernel %s: this is %s", file->path, foreign);
		return -ENOEXEC;
	}
	if (file->size > room) {
		log_error("kernel %s: neither bzImage nor ELF, and %" PRIu64
			  " bytes are too many for a flat binary (%" PRIu64 ")",
			  file->path, file->size, room);
		return -ENOEXEC;
	}
	kernel->protocol = KERNEL_FLAT;
	kernel->entry = (struct entry){.mode = ENTRY_REAL, .rip = LAYOUT_FLAT};
	kernel->end = LAYOUT_FLAT + file->size;
	return kernel_read(file, mem, LAYOUT_FLAT, file->size, 0);
}
