// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* An open regular file and its size, or a negative errno with nothing printed. */
static int boot_open(const char *path, uint64_t *size)
{
	struct stat st;
	int fd, ret = 0;

	/* NONBLOCK: a FIFO must not hang us before it can be refused. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		ret = -errno;
	else if (S_ISDIR(st.st_mode))
		ret = -EISDIR;
	else if (!S_ISREG(st.st_mode))
		ret = -ESPIPE;
	else if (st.st_size == 0)
		ret = -ENODATA;
	if (ret < 0) {
		close(fd);
		return ret;
	}
	*size = st.st_size;
	return fd;
}

static const char *boot_strerror(int err)
{
	switch (err) {
	case ESPIPE:
		return "Not a regular file";
	case ENODATA:
		return "File is empty";
	default:
		return strerror(err);
	}
}

/* A guest that lives for one command had rather be up soon than at a random address. */
static int boot_load_kernel(const struct vm_config *cfg, const struct memory *mem,
			    struct kernel *kernel)
{
	const char *path = cfg->kernel;
	struct kernel_file file = {.path = path, .unpack = cfg->rootfs};
	int ret;

	ret = boot_open(path, &file.size);
	if (ret < 0) {
		log_fatal("Unable to open kernel %s: %s", path, boot_strerror(-ret));
		return ret;
	}
	file.fd = ret;
	file.head_size = MIN(sizeof(file.head), file.size);
	ret = pread_full(file.fd, file.head, file.head_size, 0);
	if (ret < 0)
		log_error("kernel %s: %s", path, strerror(-ret));
	else if (bzimage_probe(&file))
		ret = bzimage_load(&file, mem, kernel);
	else if (elf_probe(&file))
		ret = elf_load(&file, mem, kernel);
	else
		ret = flat_load(&file, mem, kernel);
	close(file.fd);
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

static int boot_load_initrd(struct boot *boot, const char *path, const struct memory *mem)
{
	uint64_t size;
	int fd, ret;

	fd = boot_open(path, &size);
	if (fd < 0) {
		log_error("initrd %s: %s", path, boot_strerror(-fd));
		return fd;
	}
	boot->initrd = boot_place_initrd(mem, &boot->kernel, size);
	boot->initrd_size = size;
	if (!boot->initrd) {
		log_error("initrd %s: %" PRIu64
			  " MiB do not fit into the VM's RAM beside the kernel",
			  path, size / MIB + 1);
		ret = -ENOMEM;
	} else {
		ret = pread_full(fd, guest_ptr(mem, boot->initrd, size), size, 0);
		if (ret < 0)
			log_error("initrd %s: %s", path, strerror(-ret));
	}
	close(fd);
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

int boot_load(struct boot *boot, const struct vm_config *cfg, const char *cmdline,
	      const struct memory *mem)
{
	int ret;

	*boot = (struct boot){.cmdline = cmdline};
	ret = boot_load_kernel(cfg, mem, &boot->kernel);
	if (ret < 0)
		return ret;
	if (boot->kernel.protocol == KERNEL_FLAT) {
		if (cfg->initrd || cfg->params)
			log_warning("kernel %s: a flat binary gets no initrd and no parameters",
				    cfg->kernel);
		return 0;
	}
	ret = boot_load_cmdline(boot, mem);
	if (ret == 0 && cfg->initrd)
		ret = boot_load_initrd(boot, cfg->initrd, mem);
	return ret;
}
