// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What lies in guest memory when the guest starts: the kernel at the start of RAM, and, from the
 * end of RAM downwards, the device tree and the initrd; or firmware, and the device tree after it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "arm.h"
#include "image.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/vm.h"
#include "layout.h"

/* --- places --- */

/* How far from the start of RAM a kernel finds what it is given. */
static uint64_t boot_limit(const struct vm *vm)
{
	uint64_t end = vm->arch->ram + vm->cfg->ram_size;

	if (vm->cfg->arch->aarch32)
		return MIN(end, vm->arch->ram + LAYOUT_BOOT_WINDOW32);
	return MIN(end, ALIGN_DOWN(vm->arch->ram, GIB) + LAYOUT_BOOT_WINDOW);
}

/* The highest multiple of `align` with `size` bytes below `limit`; 0: it would lie below `start`. */
static uint64_t boot_place(uint64_t start, uint64_t limit, uint64_t size, uint64_t align)
{
	uint64_t at;

	if (limit < size)
		return 0;
	at = ALIGN_DOWN(limit - size, align);
	return at >= start ? at : 0;
}

static int boot_place_dtb(struct boot *boot, uint64_t start, uint64_t limit)
{
	boot->dtb = boot_place(start, limit, LAYOUT_FDT_SIZE, LAYOUT_FDT_ALIGN);
	if (boot->dtb)
		return 0;
	log_error("--mem: no room for a device tree beside the kernel");
	return -ENOMEM;
}

static int boot_load_initrd(struct vm *vm, uint64_t start)
{
	struct boot *boot = &vm->arch->boot;
	const struct boot_file *file = &vm->initrd;
	int ret;

	boot->initrd_size = file->size;
	boot->initrd = boot_place(start, boot->dtb, boot->initrd_size, 0x1000);
	if (!boot->initrd) {
		ret = -ENOMEM;
		log_error("initrd %s: %" PRIu64
			  " MiB do not fit into the VM's RAM beside the kernel",
			  file->path, boot->initrd_size / MIB + 1);
	} else {
		ret = pread_full(file->fd, guest_ptr(&vm->mem, boot->initrd, boot->initrd_size),
				 boot->initrd_size, 0);
		if (ret < 0)
			log_error("initrd %s: %s", file->path, strerror(-ret));
	}
	return ret;
}

/* --- a kernel --- */

static bool boot_has_word(const char *cmdline, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = cmdline; (p = strstr(p, name)); p += len)
		if ((p == cmdline || p[-1] == ' ') && p[len] == '=')
			return true;
	return false;
}

static char *boot_cmdline(const struct vm_config *cfg)
{
	const char *params = cfg->params ? cfg->params : "";
	/* Messages before the console's driver is there; they say why a kernel stops early. */
	const char *console =
		cfg->console == CONSOLE_VIRTIO ? "console=hvc0" : "earlycon console=ttyS0";
	/* The console that is named last is the one that init talks to. */
	const char *screen = cfg->display.wanted ? "console=tty0 " : "";
	bool root = cfg->nr_disks && !cfg->initrd && !boot_has_word(params, "root");

	if (cfg->nodefaults || cfg->firmware)
		return strdup(params);
	return xasprintf("panic=-1 %s%s%s%s%s", screen, console, root ? " root=/dev/vda rw" : "",
			 *params ? " " : "", params);
}

/* Loads the kernel and says where it ends. */
static int boot_load_kernel(struct vm *vm, uint64_t *end)
{
	const struct boot_file *file = &vm->kernel;
	struct image image = {.path = file->path, .keep = vm->cfg->rootfs};
	void *map = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, file->fd, 0);
	int ret;

	if (map == MAP_FAILED) {
		ret = -errno;
		log_error("kernel %s: %m", image.path);
		return ret;
	}
	image.bytes = map;
	image.len = file->size;
	ret = image_probe(&image, vm->cfg->arch->aarch32);
	if (ret == 0)
		ret = image_load(&image, &vm->mem, vm->arch->ram + image.text_offset);
	munmap(map, file->size);
	vm->arch->boot.entry = vm->arch->ram + image.text_offset;
	*end = vm->arch->boot.entry + image.size;
	return ret;
}

/* --- firmware --- */

static int boot_load_firmware(struct vm *vm, uint64_t *end)
{
	const struct boot_file *file = &vm->firmware;
	uint64_t at = vm->cfg->arch->firmware_address, size = file->size;
	void *to;
	int ret;

	at = at ? at : vm->arch->ram;
	to = guest_ptr(&vm->mem, at, size);
	if (!to) {
		ret = -EINVAL;
		log_error("firmware %s: %" PRIu64 " KiB at 0x%" PRIx64 " are not within RAM",
			  file->path, size / KIB, at);
	} else {
		ret = pread_full(file->fd, to, size, 0);
		if (ret < 0)
			log_error("firmware %s: %s", file->path, strerror(-ret));
	}
	vm->arch->boot.entry = at;
	*end = at + size;
	return ret;
}

/* Right after the image, as kvmtool's firmware expects it, not at the end of RAM. */
static int boot_firmware(struct vm *vm)
{
	struct boot *boot = &vm->arch->boot;
	uint64_t end, ram_end = vm->arch->ram + vm->cfg->ram_size;
	int ret = boot_load_firmware(vm, &end);

	if (ret < 0)
		return ret;
	boot->dtb = ALIGN_UP(end, LAYOUT_FDT_ALIGN);
	if (boot->dtb + LAYOUT_FDT_SIZE > ram_end)
		ret = boot_place_dtb(boot, end, ram_end);
	return ret;
}

int boot_load(struct vm *vm)
{
	const struct vm_config *cfg = vm->cfg;
	uint64_t end = 0;
	int ret;

	vm->arch->cmdline = boot_cmdline(cfg);
	if (!vm->arch->cmdline)
		return -ENOMEM;
	if (cfg->firmware)
		return boot_firmware(vm);
	ret = boot_load_kernel(vm, &end);
	if (ret == 0)
		ret = boot_place_dtb(&vm->arch->boot, end, boot_limit(vm));
	if (ret == 0 && cfg->initrd)
		ret = boot_load_initrd(vm, end);
	return ret;
}
