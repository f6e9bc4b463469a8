// SPDX-License-Identifier: GPL-2.0-or-later
/* What a kernel is told about the machine: Linux' boot_params, PVH's hvm_start_info. */
#include <string.h>

#include "boot.h"
#include "kvm/memory.h"
#include "kvm/util.h"
#include "kvm/vesa.h"
#include "layout.h"

#define PARAMS_LOADER_UNKNOWN 0xff /* no assigned boot loader id (boot.rst, type_of_loader) */

static void params_write_linux(const struct boot *boot, const struct memory *mem, uint64_t rsdp)
{
	struct boot_params *bp = guest_ptr(mem, LAYOUT_BOOT_PARAMS, sizeof(*bp));

	memset(bp, 0, sizeof(*bp));
	bp->hdr = boot->kernel.hdr;
	bp->hdr.type_of_loader = PARAMS_LOADER_UNKNOWN;
	bp->hdr.vid_mode = 0xffff; /* "normal": no mode was set */
	bp->hdr.cmd_line_ptr = LAYOUT_CMDLINE;
	bp->hdr.ramdisk_image = boot->initrd;
	bp->hdr.ramdisk_size = boot->initrd_size;
	bp->ext_ramdisk_image = boot->initrd >> 32;
	bp->ext_ramdisk_size = boot->initrd_size >> 32;
	bp->acpi_rsdp_addr = rsdp;
	bp->e820_entries = layout_e820(mem, bp->e820_table);
}

/* Xen's public/arch-x86/hvm/start_info.h, version 1. */
#define PVH_MAGIC 0x336ec578

struct pvh_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

struct pvh_module {
	uint64_t base, size, cmdline, reserved;
};

struct pvh_memmap_entry {
	uint64_t base, size;
	uint32_t type, reserved; /* E820's types */
};

struct pvh_page {
	struct pvh_start_info info;
	struct pvh_module initrd;
	struct pvh_memmap_entry memmap[LAYOUT_E820_MAX];
};

static void params_write_pvh(const struct boot *boot, const struct memory *mem, uint64_t rsdp)
{
	struct pvh_page *page = guest_ptr(mem, LAYOUT_START_INFO, sizeof(*page));
	struct boot_e820_entry e820[LAYOUT_E820_MAX];
	unsigned int nr = layout_e820(mem, e820);

	*page = (struct pvh_page){
		.info = {.magic = PVH_MAGIC,
			 .version = 1,
			 .nr_modules = boot->initrd_size ? 1 : 0,
			 .modlist = LAYOUT_START_INFO + offsetof(struct pvh_page, initrd),
			 .cmdline = LAYOUT_CMDLINE,
			 .rsdp = rsdp,
			 .memmap = LAYOUT_START_INFO + offsetof(struct pvh_page, memmap),
			 .memmap_entries = nr},
		.initrd = {.base = boot->initrd, .size = boot->initrd_size},
	};
	for (unsigned int i = 0; i < nr; i++)
		page->memmap[i] = (struct pvh_memmap_entry){
			.base = e820[i].addr, .size = e820[i].size, .type = e820[i].type};
}

void params_write(const struct boot *boot, const struct memory *mem, uint64_t rsdp)
{
	switch (boot->kernel.protocol) {
	case KERNEL_FLAT:
		break;
	case KERNEL_LINUX:
		params_write_linux(boot, mem, rsdp);
		break;
	case KERNEL_PVH:
		params_write_pvh(boot, mem, rsdp);
		break;
	}
}

#define PARAMS_VIDEO_VLFB 0x23 /* VIDEO_TYPE_VLFB: a linear framebuffer, set up by VESA's rules */

/* Linux' screen_info (zero-page.rst), from which vesafb and simpledrm draw. */
void params_write_screen(const struct boot *boot, const struct memory *mem, uint64_t base,
			 const struct vesa_mode *mode)
{
	struct boot_params *bp = guest_ptr(mem, LAYOUT_BOOT_PARAMS, sizeof(*bp));
	struct screen_info *si = &bp->screen_info;
	bool deep = mode->depth > 16;

	if (boot->kernel.protocol != KERNEL_LINUX)
		return;
	*si = (struct screen_info){
		.orig_video_isVGA = PARAMS_VIDEO_VLFB,
		.lfb_base = base,
		.ext_lfb_base = base >> 32,
		.capabilities = base >> 32 ? VIDEO_CAPABILITY_64BIT_BASE : 0,
		.lfb_size = VESA_VRAM_SIZE >> 16,
		.lfb_width = mode->width,
		.lfb_height = mode->height,
		.lfb_depth = mode->depth,
		.lfb_linelength = mode->stride,
		.red_size = deep ? 8 : 5,
		.red_pos = deep ? 16 : 11,
		.green_size = deep ? 8 : 6,
		.green_pos = deep ? 8 : 5,
		.blue_size = deep ? 8 : 5,
		.rsvd_size = mode->depth == 32 ? 8 : 0,
		.rsvd_pos = mode->depth == 32 ? 24 : 0,
		.pages = 1,
	};
}
