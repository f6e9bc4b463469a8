// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/vesa.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm/display.h"
#include "kvm/edid.h"
#include "kvm/log.h"
#include "kvm/memory.h"
#include "kvm/pci.h"
#include "kvm/util.h"

#define VESA_VRAM_BAR	0
#define VESA_REGS_BAR	2
#define VESA_REGS_SIZE	0x1000
#define VESA_DIRTY_SIZE (VESA_VRAM_SIZE / 4096 / 8) /* bytes of a bitmap of its pages, at most */

/* Registers in BAR 2 (QEMU, docs/specs/standard-vga) */
#define VESA_VGA_ATTRIBUTE 0x400 /* port 0x3c0 */
#define VESA_DISPI	   0x500 /* 16 bits each */

#define VESA_SCREEN_ON 0x20 /* of the attribute controller's index: the palette is not being set */

/* dispi registers (Bochs, iodev/display/vga.h) */
enum vesa_reg {
	VESA_ID,
	VESA_XRES,
	VESA_YRES,
	VESA_BPP,
	VESA_ENABLE,
	VESA_BANK,
	VESA_VIRT_WIDTH,
	VESA_VIRT_HEIGHT,
	VESA_X_OFFSET,
	VESA_Y_OFFSET,
	VESA_VIDEO_MEMORY, /* units of 64 KiB */
	VESA_NR_REGS
};

#define VESA_ID_VALUE 0xb0c5
#define VESA_ENABLED  0x01
#define VESA_LFB      0x40
#define VESA_NO_CLEAR 0x80

struct vesa {
	struct memory *mem;
	struct display *display;
	uint8_t *vram;
	uint8_t edid[EDID_SIZE];
	uint64_t page_size; /* the host's */
	bool added;	    /* to the PCI bus */

	/* Protects all below. Taken inside pci.lock and the display's lock. */
	pthread_mutex_t lock;
	uint16_t reg[VESA_NR_REGS];
	bool blank; /* the driver turned the screen off */
	bool all;   /* everything is to be drawn anew */
	int slot;   /* of guest memory; -1: the BAR does not decode */

	struct pci_function fn;
};

/* --- modes --- */

static bool vesa_mode_fits(const struct vesa_mode *m, uint64_t start)
{
	if (!m->width || !m->height || m->width > DISPLAY_MAX_WIDTH ||
	    m->height > DISPLAY_MAX_HEIGHT)
		return false;
	if (m->depth != 16 && m->depth != 24 && m->depth != 32)
		return false;
	return start + (uint64_t)m->stride * (m->height - 1) + m->width * (m->depth / 8) <=
	       VESA_VRAM_SIZE;
}

int vesa_check_mode(uint32_t width, uint32_t height, uint32_t depth, const char *word)
{
	struct vesa_mode mode = {width, height, depth, 0};

	if (width <= DISPLAY_MAX_WIDTH)
		mode.stride = width * (depth / 8);
	if (vesa_mode_fits(&mode, 0))
		return 0;
	log_error("%s: %ux%u with %u bits a pixel is no mode of this display: it has %d MiB, and "
		  "16, 24 or 32 bits",
		  word, width, height, depth, VESA_VRAM_SIZE >> 20);
	return -EINVAL;
}

/* What the registers say; returns where in video RAM the picture begins. */
static uint64_t vesa_mode_of(const uint16_t *reg, struct vesa_mode *m)
{
	uint32_t bytes = reg[VESA_BPP] / 8;

	*m = (struct vesa_mode){
		.width = reg[VESA_XRES],
		.height = reg[VESA_YRES],
		.depth = reg[VESA_BPP],
		.stride = reg[VESA_VIRT_WIDTH] * bytes,
	};
	return (uint64_t)reg[VESA_Y_OFFSET] * m->stride + reg[VESA_X_OFFSET] * bytes;
}

static bool vesa_regs_are_good(const uint16_t *reg)
{
	struct vesa_mode mode;
	uint64_t start = vesa_mode_of(reg, &mode);

	return !(reg[VESA_ENABLE] & VESA_ENABLED) || vesa_mode_fits(&mode, start);
}

/* --- drawing; on whatever thread the display refreshes, one at a time --- */

static uint32_t vesa_pixel(const uint8_t *p, uint32_t depth)
{
	uint32_t val;

	switch (depth) {
	case 16: /* 5, 6, 5 bits; their upper bits fill the lower ones, so that white is white */
		val = le_load(p, 2);
		return (val & 0xf800) << 8 | (val & 0xe000) << 3 | (val & 0x07e0) << 5 |
		       (val & 0x0600) >> 1 | (val & 0x001f) << 3 | (val & 0x001c) >> 2;
	case 24:
		return p[0] | p[1] << 8 | p[2] << 16;
	default:
		memcpy(&val, p, 4);
		return le_load(&val, 4) & 0xffffff;
	}
}

static void vesa_draw_line(struct display *display, struct display_surface *surface,
			   const struct vesa_mode *mode, const uint8_t *from, uint32_t line)
{
	uint32_t *to = surface->pixels + (size_t)line * mode->width;
	uint32_t first = mode->width, last = 0, bytes = mode->depth / 8;

	for (uint32_t x = 0; x < mode->width; x++, from += bytes) {
		uint32_t pixel = vesa_pixel(from, mode->depth);

		if (pixel == to[x])
			continue;
		to[x] = pixel;
		first = MIN(first, x);
		last = x;
	}
	if (first <= last)
		display_changed(display, line, first, last + 1);
}

static bool vesa_dirty(const struct vesa *vesa, const uint8_t *dirty, uint64_t off, uint64_t len)
{
	uint64_t last = (off + len - 1) / vesa->page_size;

	for (uint64_t page = off / vesa->page_size; page <= last; page++)
		if (dirty[page / 8] & 1u << page % 8)
			return true;
	return false;
}

static void vesa_draw(struct vesa *vesa, struct display *display, const struct vesa_mode *mode,
		      uint64_t start, const uint8_t *dirty)
{
	struct display_surface *surface = display_resize(display, mode->width, mode->height);
	uint64_t len = mode->width * (mode->depth / 8);

	for (uint32_t line = 0; surface && line < mode->height; line++) {
		uint64_t off = start + (uint64_t)line * mode->stride;

		if (vesa_dirty(vesa, dirty, off, len))
			vesa_draw_line(display, surface, mode, vesa->vram + off, line);
	}
}

/* Which pages of video RAM have been written since the last time. vesa.lock is held. */
static bool vesa_get_dirty(struct vesa *vesa, uint8_t *dirty)
{
	bool all = vesa->all;

	vesa->all = false;
	memset(dirty, 0, VESA_DIRTY_SIZE);
	if (vesa->slot >= 0 && memory_get_dirty(vesa->mem, vesa->slot, dirty) < 0)
		all = true;
	if (all)
		memset(dirty, 0xff, VESA_DIRTY_SIZE);
	for (unsigned int i = 0; i < VESA_DIRTY_SIZE; i++)
		if (dirty[i])
			return true;
	return false;
}

static void vesa_refresh(void *dev, struct display *display, bool all)
{
	struct vesa *vesa = dev;
	uint8_t dirty[VESA_DIRTY_SIZE];
	struct vesa_mode mode;
	bool off, any;
	uint64_t start;

	pthread_mutex_lock(&vesa->lock);
	vesa->all = vesa->all || all;
	start = vesa_mode_of(vesa->reg, &mode);
	off = vesa->blank || !(vesa->reg[VESA_ENABLE] & VESA_ENABLED);
	all = vesa->all;
	any = vesa_get_dirty(vesa, dirty);
	pthread_mutex_unlock(&vesa->lock);
	if (any && !off)
		vesa_draw(vesa, display, &mode, start, dirty);
	else if (all && off) /* turning it on will draw everything */
		display_blank(display);
}

static const struct display_source vesa_source = {.refresh = vesa_refresh};

/* --- registers --- */

static uint16_t vesa_dispi_read(const struct vesa *vesa, unsigned int nr)
{
	uint32_t stride = vesa->reg[VESA_VIRT_WIDTH] * (vesa->reg[VESA_BPP] / 8);

	switch (nr) {
	case VESA_VIRT_HEIGHT:
		return stride ? MIN(VESA_VRAM_SIZE / stride, UINT16_MAX) : 0;
	case VESA_VIDEO_MEMORY:
		return VESA_VRAM_SIZE >> 16;
	default:
		return vesa->reg[nr];
	}
}

/*
 * A value that makes no mode of the registers, or one beyond video RAM, is not taken: the register
 * keeps what it had, and a driver can read that.
 */
static void vesa_dispi_write(struct vesa *vesa, unsigned int nr, uint16_t val)
{
	uint16_t reg[VESA_NR_REGS];
	/* Only that begins a mode: of a driver that writes it once more the picture stays as it is. */
	bool begins =
		nr == VESA_ENABLE && val & VESA_ENABLED && !(vesa->reg[VESA_ENABLE] & VESA_ENABLED);

	if (nr == VESA_BANK || nr == VESA_VIRT_HEIGHT || nr == VESA_VIDEO_MEMORY)
		return;
	memcpy(reg, vesa->reg, sizeof(reg));
	reg[nr] = val;
	if (begins) {
		reg[VESA_VIRT_WIDTH] = reg[VESA_XRES];
		reg[VESA_X_OFFSET] = reg[VESA_Y_OFFSET] = 0;
	}
	if (reg[VESA_VIRT_WIDTH] < reg[VESA_XRES])
		reg[VESA_VIRT_WIDTH] = reg[VESA_XRES];
	if (!vesa_regs_are_good(reg)) {
		log_guest("display: %u is refused as register %u: no such mode", val, nr);
		return;
	}
	memcpy(vesa->reg, reg, sizeof(reg));
	if (begins && !(val & VESA_NO_CLEAR))
		memset(vesa->vram, 0,
		       (size_t)reg[VESA_VIRT_WIDTH] * (reg[VESA_BPP] / 8) * reg[VESA_YRES]);
	vesa->all = true;
}

static uint64_t vesa_read(void *dev, uint64_t off, unsigned int len)
{
	struct vesa *vesa = dev;
	uint64_t val = 0;

	if (range_contains(0, EDID_SIZE, off, len))
		return le_load(vesa->edid + off, len);
	if (len == 2 && off % 2 == 0 && range_contains(VESA_DISPI, 2 * VESA_NR_REGS, off, len)) {
		pthread_mutex_lock(&vesa->lock);
		val = vesa_dispi_read(vesa, (off - VESA_DISPI) / 2);
		pthread_mutex_unlock(&vesa->lock);
	}
	return val;
}

static void vesa_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct vesa *vesa = dev;
	bool dispi =
		len == 2 && off % 2 == 0 && range_contains(VESA_DISPI, 2 * VESA_NR_REGS, off, len);

	if (!dispi && off != VESA_VGA_ATTRIBUTE)
		return;
	pthread_mutex_lock(&vesa->lock);
	if (dispi) {
		vesa_dispi_write(vesa, (off - VESA_DISPI) / 2, val);
	} else {
		vesa->blank = !(val & VESA_SCREEN_ON);
		vesa->all = true;
	}
	pthread_mutex_unlock(&vesa->lock);
	display_wake(vesa->display);
}

static const struct io_ops vesa_ops = {.read = vesa_read, .write = vesa_write};

/* --- the PCI function --- */

static void vesa_moved(void *dev, unsigned int bar, uint64_t base)
{
	struct vesa *vesa = dev;

	(void)bar;
	pthread_mutex_lock(&vesa->lock);
	if (vesa->slot >= 0)
		memory_unmap_slot(vesa->mem, vesa->slot);
	vesa->slot = -1;
	if (base != PCI_BAR_NOT_DECODED)
		vesa->slot = memory_map_slot(vesa->mem, base, VESA_VRAM_SIZE, vesa->vram,
					     KVM_MEM_LOG_DIRTY_PAGES);
	if (base != PCI_BAR_NOT_DECODED && vesa->slot < 0)
		log_guest("display: video RAM cannot be at 0x%" PRIx64 ": %s", base,
			  strerror(-vesa->slot));
	vesa->all = true; /* what the old slot's log knew is gone */
	pthread_mutex_unlock(&vesa->lock);
}

static int vesa_add_function(struct vesa *vesa, struct pci *pci)
{
	static const struct pci_id id = {
		/* QEMU's standard VGA, revision 0: what came later is not needed. */
		.vendor = 0x1234,    .device = 0x1111,	     .subsystem_vendor = 0x1af4,
		.subsystem = 0x1100, .class_code = 0x030000,
	};
	static const struct pci_bar_layout vram = {
		.type = PCI_BASE_ADDRESS_MEM_PREFETCH,
		.size = VESA_VRAM_SIZE,
		.moved = vesa_moved,
	};
	static const struct pci_bar_layout regs = {.size = VESA_REGS_SIZE, .ops = &vesa_ops};
	int ret;

	pci_function_init(&vesa->fn, pci, "display", vesa, &id);
	vesa->added = true;
	/* The picture is there before any driver is. */
	pci_config_set(&vesa->fn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	ret = pci_add_bar(&vesa->fn, VESA_VRAM_BAR, &vram);
	if (ret == 0)
		ret = pci_add_bar(&vesa->fn, VESA_REGS_BAR, &regs);
	if (ret == 0)
		ret = pci_function_add(&vesa->fn, -1);
	return ret;
}

struct vesa *vesa_create(struct memory *mem, struct pci *pci, struct display *display,
			 uint32_t width, uint32_t height, uint32_t depth)
{
	struct vesa *vesa = calloc(1, sizeof(*vesa));

	if (!vesa) {
		log_error("display: out of memory");
		return NULL;
	}
	*vesa = (struct vesa){.mem = mem,
			      .display = display,
			      .page_size = sysconf(_SC_PAGESIZE),
			      .slot = -1,
			      .all = true};
	pthread_mutex_init(&vesa->lock, NULL);
	vesa->reg[VESA_ID] = VESA_ID_VALUE;
	vesa->reg[VESA_XRES] = vesa->reg[VESA_VIRT_WIDTH] = width;
	vesa->reg[VESA_YRES] = height;
	vesa->reg[VESA_BPP] = depth;
	vesa->reg[VESA_ENABLE] = VESA_ENABLED | VESA_LFB;
	edid_fill(vesa->edid, width, height);
	vesa->vram = mmap(NULL, VESA_VRAM_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (vesa->vram == MAP_FAILED) {
		log_error("display: %d MiB of video RAM: %m", VESA_VRAM_SIZE >> 20);
		vesa->vram = NULL;
	} else {
		madvise(vesa->vram, VESA_VRAM_SIZE, MADV_DONTDUMP);
	}
	if (!vesa->vram || vesa_add_function(vesa, pci) < 0) {
		vesa_destroy(vesa);
		return NULL;
	}
	display_attach(display, &vesa_source, vesa);
	return vesa;
}

void vesa_destroy(struct vesa *vesa)
{
	if (!vesa)
		return;
	display_attach(vesa->display, NULL, NULL);
	if (vesa->added)
		pci_function_remove(&vesa->fn);
	if (vesa->vram)
		munmap(vesa->vram, VESA_VRAM_SIZE);
	pthread_mutex_destroy(&vesa->lock);
	free(vesa);
}

uint64_t vesa_framebuffer(struct vesa *vesa, struct vesa_mode *mode)
{
	uint64_t base = pci_config_get(&vesa->fn, PCI_BASE_ADDRESS_0 + 4 * VESA_VRAM_BAR, 4);

	pthread_mutex_lock(&vesa->lock);
	base += vesa_mode_of(vesa->reg, mode);
	pthread_mutex_unlock(&vesa->lock);
	return base & ~(uint64_t)0xf;
}
