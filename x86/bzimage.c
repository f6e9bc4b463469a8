// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bzImage: Linux' own boot protocol (Documentation/x86/boot.rst in the kernel's sources). Its
 * real-mode part is for BIOSes and is not run: lkvm fills in boot_params and enters the rest.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel.h"
#include "kvm/cache.h"
#include "kvm/log.h"
#include "kvm/memory.h"
#include "kvm/util.h"
#include "layout.h"

#define BZIMAGE_HEADER	    0x1f1 /* struct setup_header in the file */
#define BZIMAGE_BOOT_FLAG   0xaa55
#define BZIMAGE_MAGIC	    0x53726448	/* "HdrS" */
#define BZIMAGE_MIN_VERSION 0x0206	/* the first with cmdline_size */
#define BZIMAGE_ENTRY_64    0x200	/* after the 32-bit entry */
#define BZIMAGE_MAX_SIZE    (512 * MIB) /* unpacked */

bool bzimage_probe(const struct kernel_file *file)
{
	struct setup_header hdr;

	if (file->head_size < BZIMAGE_HEADER + offsetof(struct setup_header, realmode_swtch))
		return false;
	memcpy(&hdr, file->head + BZIMAGE_HEADER, offsetof(struct setup_header, realmode_swtch));
	return hdr.boot_flag == BZIMAGE_BOOT_FLAG && hdr.header == BZIMAGE_MAGIC;
}

/* The header's length is a byte of the header: old kernels have a shorter one (boot.rst, jump). */
static int bzimage_read_header(const struct kernel_file *file, struct setup_header *hdr)
{
	size_t end = 0x202 + file->head[0x201], len = MIN(end - BZIMAGE_HEADER, sizeof(*hdr));

	if (BZIMAGE_HEADER + len > file->head_size) {
		log_error("kernel %s: truncated", file->path);
		return -EINVAL;
	}
	memset(hdr, 0, sizeof(*hdr));
	memcpy(hdr, file->head + BZIMAGE_HEADER, len);
	if (hdr->version < BZIMAGE_MIN_VERSION || !(hdr->loadflags & LOADED_HIGH)) {
		log_error("kernel %s: boot protocol %u.%02u%s, need a bzImage with 2.06 or later",
			  file->path, hdr->version >> 8, hdr->version & 0xff,
			  hdr->loadflags & LOADED_HIGH ? "" : " (zImage)");
		return -ENOEXEC;
	}
	return 0;
}

/*
 * Where the kernel goes, and what it will have written to when it has unpacked itself: a kernel
 * that cannot be relocated is loaded at 1 MiB and unpacks to pref_address.
 */
static uint64_t bzimage_place(const struct setup_header *hdr, uint64_t size, uint64_t *end)
{
	uint64_t load = LAYOUT_HIGH_RAM, run = load;

	if (hdr->version >= 0x020a && hdr->pref_address >= LAYOUT_HIGH_RAM) {
		run = hdr->pref_address;
		if (hdr->relocatable_kernel)
			load = run;
	}
	*end = MAX(load + size, run + hdr->init_size);
	return load;
}

/*
 * The kernel inside, unpacked here: faster than in the guest, and done once only (util/cache.c).
 * The last four bytes of the payload are its size then (boot.rst, payload_length). A negative errno
 * with nothing printed: the kernel can still unpack itself.
 */
static int bzimage_unpack(const struct kernel_file *file, uint64_t off, uint32_t len,
			  struct kernel_file *vmlinux)
{
	enum unpack_format format;
	uint8_t *image;
	int ret;

	if (len < 16 || !range_contains(0, file->size, off, len))
		return -EINVAL;
	image = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, file->fd, 0);
	if (image == MAP_FAILED)
		return -errno;
	format = unpack_detect(image + off, len);
	ret = -ENOTSUP;
	if (format != UNPACK_STORED)
		ret = cache_unpack(format, image + off, len, le_load(image + off + len - 4, 4),
				   BZIMAGE_MAX_SIZE, &vmlinux->size);
	munmap(image, file->size);
	if (ret < 0)
		return ret;
	vmlinux->path = file->path;
	vmlinux->fd = ret;
	vmlinux->head_size = MIN(sizeof(vmlinux->head), vmlinux->size);
	ret = pread_full(vmlinux->fd, vmlinux->head, vmlinux->head_size, 0);
	if (ret == 0 && (!elf_probe(vmlinux) || vmlinux->head[EI_CLASS] != ELFCLASS64))
		ret = -ENOEXEC;
	if (ret < 0)
		close(vmlinux->fd);
	return ret;
}

/* What the code that unpacks would do and hand over; 1 when that is to be left to it. */
static int bzimage_load_unpacked(const struct kernel_file *file, const struct memory *mem,
				 uint64_t payload, struct kernel *kernel)
{
	struct setup_header *hdr = &kernel->hdr;
	struct kernel_file vmlinux;
	uint64_t end;
	int ret;

	if (hdr->version < 0x020c || !(hdr->xloadflags & XLF_KERNEL_64) ||
	    bzimage_unpack(file, payload + hdr->payload_offset, hdr->payload_length, &vmlinux) < 0)
		return 1;
	ret = elf_load_vmlinux(&vmlinux, mem, &end, &kernel->entry.rip);
	close(vmlinux.fd);
	kernel->end = MAX(kernel->end, end);
	return ret;
}

int bzimage_load(const struct kernel_file *file, const struct memory *mem, struct kernel *kernel)
{
	struct setup_header *hdr = &kernel->hdr;
	uint64_t load, size, off;
	int ret;

	ret = bzimage_read_header(file, hdr);
	if (ret < 0)
		return ret;
	off = ((hdr->setup_sects ? hdr->setup_sects : 4) + 1) * 512;
	size = hdr->syssize * UINT64_C(16);
	load = bzimage_place(hdr, size, &kernel->end);
	if (kernel->end > mem->bank[0].size || kernel->end < load) {
		log_error("kernel %s: needs %" PRIu64 " MiB of RAM to start, the VM has %" PRIu64,
			  file->path, kernel->end / MIB + 1, mem->bank[0].size / MIB);
		return -ENOMEM;
	}

	hdr->code32_start = load;
	kernel->protocol = KERNEL_LINUX;
	kernel->entry =
		(struct entry){.mode = ENTRY_PROTECTED, .rip = load, .rsi = LAYOUT_BOOT_PARAMS};
	kernel->initrd_end = (uint64_t)hdr->initrd_addr_max + 1;
	kernel->cmdline_max = hdr->cmdline_size;
	if (hdr->version >= 0x020c && hdr->xloadflags & XLF_KERNEL_64) {
		kernel->entry.mode = ENTRY_LONG;
		kernel->entry.rip += BZIMAGE_ENTRY_64;
		if (hdr->xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G)
			kernel->initrd_end = UINT64_MAX;
	}
	ret = file->unpack ? bzimage_load_unpacked(file, mem, off, kernel) : 1;
	return ret == 1 ? kernel_read(file, mem, load, size, off) : ret;
}
