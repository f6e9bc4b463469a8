/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_VESA_H
#define LKVM_VESA_H

#include <stdint.h>

struct display;
struct memory;
struct pci;

/*
 * The display device: a PCI VGA-class function that is a linear framebuffer from the first
 * instruction and has the "dispi" registers of Bochs and QEMU (1234:1111), by which Linux' bochs
 * driver and firmware set modes.
 *
 *	BAR 0	video RAM, 32-bit prefetchable: a memory slot of the guest's that logs writes
 *	BAR 2	registers: EDID at 0, VGA ports 0x3c0.. at 0x400, dispi at 0x500
 */
#define VESA_VRAM_SIZE (16 << 20) /* bytes */

struct vesa;

/* A mode: the device's registers in other words. */
struct vesa_mode {
	uint32_t width, height, depth; /* bits a pixel: 16, 24 or 32 */
	uint32_t stride;	       /* bytes from line to line */
};

/* Whether such a picture fits; prints on error, naming `word`. */
int vesa_check_mode(uint32_t width, uint32_t height, uint32_t depth, const char *word);

/* NULL after one error line. The mode fits. */
struct vesa *vesa_create(struct memory *mem, struct pci *pci, struct display *display,
			 uint32_t width, uint32_t height, uint32_t depth);
void vesa_destroy(struct vesa *vesa); /* no vCPU runs */

/* Where and how the picture lies in guest memory now, for boot protocols that tell. */
uint64_t vesa_framebuffer(struct vesa *vesa, struct vesa_mode *mode);

#endif
