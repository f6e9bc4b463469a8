/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_X86_BOOT_H
#define LKVM_X86_BOOT_H

#include "kernel.h"

struct boot_file;
struct memory;
struct vesa_mode;
struct virtio_mmio_place;
struct vm_config;

/* What lies in guest memory when it is loaded. */
struct boot {
	struct kernel kernel;
	uint64_t initrd, initrd_size; /* size 0: none */
	const char *cmdline;	      /* the caller's; also at LAYOUT_CMDLINE */
};

/*
 * Puts the kernel and the initrd, if there is one, into guest memory, and the command line, which
 * must outlive `boot`. 0 or a negative errno after one error line.
 */
int boot_load(struct boot *boot, const struct vm_config *cfg, const struct boot_file *image,
	      const struct boot_file *initrd, const char *cmdline, const struct memory *mem);

/*
 * The initrd's place: as high as the kernel allows, above all that the kernel needs, and page
 * aligned. 0: there is none.
 */
uint64_t boot_place_initrd(const struct memory *mem, const struct kernel *kernel, uint64_t size);

/* Tells the kernel about the machine in the words of its protocol. rsdp 0: there is no ACPI. */
void params_write(const struct boot *boot, const struct memory *mem, uint64_t rsdp);

/* And about the screen, which works before any driver does. */
void params_write_screen(const struct boot *boot, const struct memory *mem, uint64_t base,
			 const struct vesa_mode *mode);

/*
 * The command line for Linux: what a Debian kernel needs in this machine, unless the configuration
 * says nodefaults, and then the user's. NULL: out of memory. The caller frees it.
 */
char *cmdline_build(const struct vm_config *cfg);
/*
 * The same with virtio-mmio devices, for a kernel that learns of them in no other way; unless the
 * configuration says nodefaults. Takes over the line. NULL as above.
 */
char *cmdline_add_virtio_mmio(char *cmdline, const struct vm_config *cfg,
			      const struct virtio_mmio_place *place, unsigned int nr);
/* Whether a word stands on it that is `name` or begins with `name=`. */
bool cmdline_has(const char *cmdline, const char *name);

#endif
