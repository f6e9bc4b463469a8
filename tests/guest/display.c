// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The display: a test card in video RAM, modes by the dispi registers, and keys. "w=N h=N bpp=N"
 * sets a mode, "move=1" moves video RAM, "keys=1" waits for keys, whose codes it prints and paints,
 * until Escape; M sets the next mode, R resets the machine, and V moves video RAM while it paints.
 * "hold=1" waits for ever.
 */
#include "lib.h"
#include "pci.h"

#define DISPI_XRES   1
#define DISPI_YRES   2
#define DISPI_BPP    3
#define DISPI_ENABLE 4
#define DISPI_WIDTH  6
#define DISPI_MEMORY 10

#define KBD_DATA   0x60
#define KBD_STATUS 0x64
#define KBD_FULL   1
#define KBD_AUX	   0x20
#define SCAN_ESC   0x01
#define SCAN_R	   0x13
#define SCAN_V	   0x2f
#define SCAN_M	   0x32

static uint64_t vram, regs;
static uint32_t width, height, bytes;

static uint16_t dispi_get(unsigned int nr)
{
	return read16(regs + 0x500 + 2 * nr);
}

static void dispi_set(unsigned int nr, uint16_t val)
{
	write16(regs + 0x500 + 2 * nr, val);
}

static void set_mode(uint32_t w, uint32_t h, uint32_t bpp)
{
	dispi_set(DISPI_ENABLE, 0);
	dispi_set(DISPI_XRES, w);
	dispi_set(DISPI_YRES, h);
	dispi_set(DISPI_BPP, bpp);
	dispi_set(DISPI_ENABLE, 0x41);
}

static void get_mode(void)
{
	width = dispi_get(DISPI_XRES);
	height = dispi_get(DISPI_YRES);
	bytes = dispi_get(DISPI_BPP) / 8;
}

static uint32_t colour(uint32_t rgb)
{
	return bytes == 2 ? (rgb >> 8 & 0xf800) | (rgb >> 5 & 0x7e0) | (rgb >> 3 & 0x1f) : rgb;
}

static void fill(uint32_t x, uint32_t y, uint32_t w, uint32_t h, uint32_t rgb)
{
	for (uint32_t row = y; row < y + h; row++) {
		uint64_t at = vram + ((uint64_t)row * width + x) * bytes, n = w;
		uint32_t val = colour(rgb);

		if (bytes == 4)
			asm volatile("rep stosl" : "+D"(at), "+c"(n) : "a"(val) : "memory");
		else if (bytes == 2)
			asm volatile("rep stosw" : "+D"(at), "+c"(n) : "a"(val) : "memory");
		for (; bytes == 3 && n; n--, at += 3) {
			write16(at, val);
			write8(at + 2, val >> 16);
		}
	}
}

/* Eight bars above, 16 shades of grey below, and a white square in the corner that is last. */
static void paint_card(void)
{
	static const uint32_t bars[8] = {0xffffff, 0xffff00, 0x00ffff, 0x00ff00,
					 0xff00ff, 0xff0000, 0x0000ff, 0x000000};

	for (uint32_t i = 0; i < 8; i++)
		fill(i * width / 8, 0, width / 8, height * 3 / 4, bars[i]);
	for (uint32_t i = 0; i < 16; i++)
		fill(i * width / 16, height * 3 / 4, width / 16, height - height * 3 / 4,
		     i * 0x111111);
	fill(width - 8, height - 8, 8, 8, 0x123456);
}

static void test_device(int bdf)
{
	uint8_t sum = 0;

	ok(pci_read32(bdf, PCI_CLASS_REV) >> 8 == 0x030000, "it is a VGA controller");
	ok(pci_read16(bdf, PCI_COMMAND) & PCI_COMMAND_MEM, "its memory decodes from the start");
	ok((pci_read32(bdf, PCI_BAR(0)) & 0xf) == 8, "video RAM is 32-bit and prefetchable");
	ok(bar_size(bdf, 0) == (uint64_t)dispi_get(DISPI_MEMORY) << 16, "video RAM's size");
	for (unsigned int i = 0; i < 128; i++)
		sum += read8(regs + i);
	ok(sum == 0 && read32(regs) == 0xffffff00, "EDID");
	ok((read8(regs + 0x38) | (read8(regs + 0x3a) & 0xf0) << 4) == dispi_get(DISPI_XRES),
	   "EDID's preferred width is that of the first mode");
	ok((dispi_get(0) & 0xfff0) == 0xb0c0, "dispi's id");
	ok(dispi_get(DISPI_ENABLE) & 1, "a mode is set");
}

/* What Linux draws on without a driver (struct screen_info, at 0 of its boot_params). */
static void test_screen_info(void)
{
	uint64_t at = (uint64_t)boot_params;

	if (!boot_params)
		return;
	ok(read8(at + 0x0f) == 0x23, "the kernel is told of a linear framebuffer");
	ok(read32(at + 0x18) == vram, "which is video RAM");
	ok(read16(at + 0x12) == width && read16(at + 0x14) == height &&
		   read16(at + 0x16) == 8 * bytes,
	   "in the mode that is set");
	ok(read16(at + 0x24) == width * bytes, "with lines of that length");
	ok(read8(at + 0x26) == (bytes == 2 ? 5 : 8) && read8(at + 0x27) == (bytes == 2 ? 11 : 16),
	   "and red above");
}

static void test_refusals(void)
{
	uint32_t w = width, h = height, bpp = bytes * 8;

	set_mode(8000, 8000, 32);
	ok(!(dispi_get(DISPI_ENABLE) & 1), "a mode beyond video RAM is refused");
	set_mode(640, 480, 7);
	ok(!(dispi_get(DISPI_ENABLE) & 1), "a depth that there is not is refused");
	set_mode(0, 480, 32);
	ok(!(dispi_get(DISPI_ENABLE) & 1), "no width is refused");
	set_mode(w, h, bpp);
	ok(dispi_get(DISPI_ENABLE) & 1, "and then the mode is taken");
	dispi_set(9, 0xffff);
	ok(dispi_get(9) == 0, "an offset beyond it is refused");
	dispi_set(DISPI_WIDTH, 1);
	ok(dispi_get(DISPI_WIDTH) == w, "lines are not shorter than the screen");
}

/* Over registers, memory and nothing, and home again. */
static void test_move(int bdf)
{
	uint64_t home = vram;

	bar_set(bdf, 0, 0xd0000000);
	vram = 0xd0000000;
	fill(0, 0, 1, 1, 0xabcdef);
	ok((read32(vram) & 0xffffff) == 0xabcdef, "video RAM has moved");
	bar_set(bdf, 0, 0);
	ok(true, "video RAM over RAM does no harm");
	bar_set(bdf, 0, home);
	vram = home;
	ok((read32(vram) & 0xffffff) == 0xabcdef, "what was in it came along");
	for (unsigned int i = 0; i < 200; i++) {
		pci_command(bdf, PCI_COMMAND_MEM, 0);
		pci_command(bdf, 0, PCI_COMMAND_MEM);
	}
	ok((read32(vram) & 0xffffff) == 0xabcdef, "and is there after many switches");
}

static void next_mode(void)
{
	static const uint32_t modes[][2] = {{640, 480}, {1024, 768}, {1920, 1080}};
	static unsigned int nr;

	set_mode(modes[nr % 3][0], modes[nr % 3][1], 32);
	nr++;
	get_mode();
	paint_card();
	print("shown %ux%u\n", width, height);
}

/* The same picture in the end, each of its parts painted where video RAM lay at that moment. */
static void paint_on_the_move(int bdf)
{
	uint64_t home = vram;

	fill(0, 0, width, height, 0);
	for (unsigned int i = 0; i < 100; i++) {
		vram = i & 1 ? home : 0xd0000000 + i % 16 * 0x1000000;
		bar_set(bdf, 0, vram);
		fill(0, i * height / 100, width, (i + 1) * height / 100 - i * height / 100,
		     i * 0x020100);
	}
	print("moved\n");
}

static void echo_keys(int bdf)
{
	unsigned int nr = 0;
	uint8_t status, code;

	outb(KBD_STATUS, 0xa8); /* the mouse, too */
	outb(KBD_STATUS, 0xd4);
	outb(KBD_DATA, 0xf4);
	print("ready\n");
	do {
		while (!((status = inb(KBD_STATUS)) & KBD_FULL))
			pause_cpu();
		code = inb(KBD_DATA);
		print("%s %02x\n", status & KBD_AUX ? "mouse" : "key", code);
		fill(nr++ % 16 * 16 + 16, 16, 12, 12, code * 0x010203);
		if (!(status & KBD_AUX) && code == SCAN_M)
			next_mode();
		if (!(status & KBD_AUX) && code == SCAN_V)
			paint_on_the_move(bdf);
		if (!(status & KBD_AUX) && code == SCAN_R)
			outb(KBD_STATUS, 0xfe);
	} while (status & KBD_AUX || code != SCAN_ESC);
}

void test(void)
{
	int bdf = pci_find(0x1234, 0x1111, 0);

	if (!ok(bdf >= 0, "there is a display"))
		return;
	vram = bar_get(bdf, 0);
	regs = bar_get(bdf, 2);
	test_device(bdf);
	get_mode();
	print("mode %ux%ux%u\n", width, height, bytes * 8);
	test_screen_info();
	test_refusals();
	if (option("w", 0))
		set_mode(option("w", 0), option("h", 0), option("bpp", 32));
	get_mode();
	if (option("move", 0))
		test_move(bdf);
	paint_card();
	print("painted\n");
	if (option("keys", 0))
		echo_keys(bdf);
	while (option("hold", 0))
		asm volatile("hlt");
}
