// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "kvm/boot-file.h"
#include "kvm/config.h"
#include "kvm/log.h"
#include "kvm/memory.h"
#include "kvm/util.h"
#include "layout.h"

int kernel_read(const struct kernel_file *file, const struct memory *mem, uint64_t gpa,
		uint64_t len, uint64_t off)
{
	void *to = guest_ptr(mem, gpa, len);
	int ret;

	if (!range_contains(0, file->size, off, len)) {
		log_error("kernel %s: truncated", file->path);
		return -EINVAL;
	}
	if (!to) {
		log_error("kernel %s: no RAM at 0x%" PRIx64, file->path, gpa);
		return -ENOMEM;
	}
	ret = pread_full(file->fd, to, len, off);
	if (ret < 0)
		log_error("kernel %s: %s", file->path, strerror(-ret));
	return ret;
}

/* A guest that lives for one command had rather be up soon than at a random address. */
static int boot_load_kernel(const struct boot_file *image, bool unpack, const struct memory *mem,
			    struct kernel *kernel)
{
	struct kernel_file file = {
		.path = image->path, .fd = image->fd, .size = image->size, .unpack = unpack};
	int ret;

	file.head_size = MIN(sizeof(file.head), file.size);
	ret = pread_full(file.fd, file.head, file.head_size, 0);
	if (ret < 0)
		log_error("kernel %s: %s", file.path, strerror(-ret));
	else if (bzimage_probe(&file))
		ret = bzimage_load(&file, mem, kernel);
	else if (elf_probe(&file))
		ret = elf_load(&file, mem, kernel);
	else
		ret = flat_load(&file, mem, kernel);
	return ret;
}

uint64_t boot_place_initrd(const struct memory *mem, const struct kernel *kernel, uint64_t size)
{
	for (unsigned int i = mem->nr_banks; i-- > 0;) {
		const struct memory_bank *bank = &mem->bank[i];
		uint64_t start = MAX(bank->gpa, kernel->end);
		uint64_t end = MIN(bank->gpa + bank->size, kernel->initrd_end);

		if (end >= size && ALIGN_DOWN(end - size, 0x1000) >= start)
			return ALIGN_DOWN(end - size, 0x1000);
	}
	return 0;
}

static int boot_load_initrd(struct boot *boot, const struct boot_file *file,
			    const struct memory *mem)
{
	uint64_t size = file->size;
	int ret;

	boot->initrd = boot_place_initrd(mem, &boot->kernel, size);
	boot->initrd_size = size;
	if (!boot->initrd) {
		log_error("initrd %s: %" PRIu64
			  " MiB do not fit into the VM's RAM beside the kernel",
			  file->path, size / MIB + 1);
		ret = -ENOMEM;
	} else {
		ret = pread_full(file->fd, guest_ptr(mem, boot->initrd, size), size, 0);
		if (ret < 0)
			log_error("initrd %s: %s", file->path, strerror(-ret));
	}
	return ret;
}

static int boot_load_cmdline(struct boot *boot, const struct memory *mem)
{
	size_t len = strlen(boot->cmdline);
	size_t max = MIN(boot->kernel.cmdline_max, LAYOUT_CMDLINE_SIZE - 1);

	if (len > max) {
		log_error("the kernel's command line has %zu characters, this kernel takes %zu: %s",
			  len, max, boot->cmdline);
		return -E2BIG;
	}
	memcpy(guest_ptr(mem, LAYOUT_CMDLINE, len + 1), boot->cmdline, len + 1);
	return 0;
}

int boot_load(struct boot *boot, const struct vm_config *cfg, const struct boot_file *image,
	      const struct boot_file *initrd, const char *cmdline, const struct memory *mem)
{
	int ret;

	*boot = (struct boot){.cmdline = cmdline};
	ret = boot_load_kernel(image, cfg->rootfs, mem, &boot->kernel);
	if (ret < 0)
		return ret;
	if (boot->kernel.protocol == KERNEL_FLAT) {
		if (initrd->path || cfg->params)
			log_warning("kernel %s: a flat binary gets no initrd and no parameters",
				    image->path);
		return 0;
	}
	ret = boot_load_cmdline(boot, mem);
	if (ret == 0 && initrd->path)
		ret = boot_load_initrd(boot, initrd, mem);
	return ret;
}
