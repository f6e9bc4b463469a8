// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/edid.h"

#include <string.h>

#include "kvm/util.h"

#define EDID_VENDOR   (('L' - '@') << 10 | ('K' - '@') << 5 | ('V' - '@'))
#define EDID_MAX_SIZE 4095
#define EDID_DPI      96
#define EDID_REFRESH  60
#define EDID_NAME     0xfc /* descriptor tags (§3.10.3) */
#define EDID_DUMMY    0x10

/* Blanking of no monitor in particular; nothing here waits for a beam. */
#define EDID_HBLANK 160
#define EDID_VBLANK 40

/* §3.10.2: the first descriptor is the preferred timing. */
static void edid_put_timing(uint8_t *d, uint32_t w, uint32_t h)
{
	uint64_t clock = (uint64_t)(w + EDID_HBLANK) * (h + EDID_VBLANK) * EDID_REFRESH / 10000;
	uint32_t mm_w = w * 254 / (EDID_DPI * 10), mm_h = h * 254 / (EDID_DPI * 10);

	le_store(d, 2, MIN(clock, (uint64_t)UINT16_MAX));
	d[2] = w;
	d[3] = EDID_HBLANK;
	d[4] = (w >> 8) << 4;
	d[5] = h;
	d[6] = EDID_VBLANK;
	d[7] = (h >> 8) << 4;
	d[8] = 48; /* front porch and sync pulse, pixels */
	d[9] = 32;
	d[10] = 3 << 4 | 6; /* the same, lines */
	d[12] = mm_w;
	d[13] = mm_h;
	d[14] = (mm_w >> 8) << 4 | mm_h >> 8;
	d[17] = 0x1e; /* digital separate sync, both positive */
}

static void edid_put_text(uint8_t *d, uint8_t tag, const char *text)
{
	size_t len = strlen(text);

	d[3] = tag;
	memset(d + 5, ' ', 13);
	memcpy(d + 5, text, len);
	d[5 + len] = '\n';
}

/* §3.9: other sizes that it shows; width / 8 - 31, and the ratio of the sides in bits 7 and 6. */
static void edid_put_standard_timings(uint8_t *edid)
{
	static const uint8_t timing[8][2] = {
		{1920 / 8 - 31, 0xc0}, {1680 / 8 - 31, 0x00}, {1600 / 8 - 31, 0xc0},
		{1440 / 8 - 31, 0x00}, {1280 / 8 - 31, 0x80}, {1280 / 8 - 31, 0xc0},
		{1152 / 8 - 31, 0x40}, {1024 / 8 - 31, 0x40},
	};

	memcpy(edid + 38, timing, sizeof(timing));
}

void edid_fill(uint8_t edid[EDID_SIZE], uint32_t width, uint32_t height)
{
	static const uint8_t magic[8] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};
	/* sRGB's corners (§3.7), so that nobody corrects colours. */
	static const uint8_t chromaticity[10] = {0xee, 0x91, 0xa3, 0x54, 0x4c,
						 0x99, 0x26, 0x0f, 0x50, 0x54};
	uint32_t w = MIN(width, EDID_MAX_SIZE), h = MIN(height, EDID_MAX_SIZE);
	uint8_t sum = 0;

	memset(edid, 0, EDID_SIZE);
	memcpy(edid, magic, sizeof(magic));
	edid[8] = EDID_VENDOR >> 8; /* big-endian, alone among all */
	edid[9] = EDID_VENDOR & 0xff;
	edid[16] = 1;		/* week */
	edid[17] = 2026 - 1990; /* year */
	edid[18] = 1;		/* version 1.4 */
	edid[19] = 4;
	edid[20] = 0xa0;		       /* digital, 8 bits a colour */
	edid[21] = w * 254 / (EDID_DPI * 100); /* cm */
	edid[22] = h * 254 / (EDID_DPI * 100);
	edid[23] = 120;	 /* gamma 2.2 */
	edid[24] = 0x06; /* sRGB; the first timing is the preferred one */
	memcpy(edid + 25, chromaticity, sizeof(chromaticity));
	edid[35] = 0x21; /* established: 640x480, 800x600 */
	edid[36] = 0x08; /* 1024x768 */
	edid_put_standard_timings(edid);
	edid_put_timing(edid + 54, w, h);
	edid_put_text(edid + 72, EDID_NAME, "lkvm");
	edid[90 + 3] = EDID_DUMMY;
	edid[108 + 3] = EDID_DUMMY;
	for (unsigned int i = 0; i < EDID_SIZE - 1; i++)
		sum += edid[i];
	edid[EDID_SIZE - 1] = -sum;
}
