// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * modes-tool: the guest's end of the display test, a static program in its initramfs.
 *
 *	modes-tool WxH...	sets each of these modes by the kernel's driver, paints its left half in
 *				NUMBER x 0x102030, the first's being 1, and the rest white; says "MODE
 *				WxH" and waits for a line
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

/* The kernel's own headers, which Debian has here or, for another machine, there. */
#if __has_include(<libdrm/drm.h>)
#include <libdrm/drm.h>
#include <libdrm/drm_mode.h>
#else
#include <drm/drm.h>
#include <drm/drm_mode.h>
#endif

#define MAX_MODES 64

static int card;

static void call(unsigned long request, void *arg, const char *what)
{
	if (ioctl(card, request, arg) == 0)
		return;
	perror(what);
	exit(1);
}

/* The one monitor, and what it shows. */
static uint32_t crtc, connector;
static struct drm_mode_modeinfo modes[MAX_MODES];
static uint32_t nr_modes;

static void find_monitor(void)
{
	struct drm_mode_card_res res = {
		.crtc_id_ptr = (uintptr_t)&crtc,
		.count_crtcs = 1,
		.connector_id_ptr = (uintptr_t)&connector,
		.count_connectors = 1,
	};
	struct drm_mode_get_connector con = {
		.modes_ptr = (uintptr_t)modes,
		.count_modes = MAX_MODES,
	};

	call(DRM_IOCTL_MODE_GETRESOURCES, &res, "resources");
	con.connector_id = connector;
	call(DRM_IOCTL_MODE_GETCONNECTOR, &con, "connector");
	nr_modes = con.count_modes < MAX_MODES ? con.count_modes : MAX_MODES;
}

static struct drm_mode_modeinfo *find_mode(const char *name)
{
	for (uint32_t i = 0; i < nr_modes; i++)
		if (!strcmp(modes[i].name, name))
			return &modes[i];
	fprintf(stderr, "%s is not among the %u modes\n", name, nr_modes);
	exit(1);
}

/* Shows a new buffer in that mode. Returns its pixels; the lines follow each other without a gap. */
static uint32_t *set_mode(const struct drm_mode_modeinfo *mode)
{
	struct drm_mode_create_dumb dumb = {
		.width = mode->hdisplay, .height = mode->vdisplay, .bpp = 32};
	struct drm_mode_fb_cmd fb = {
		.width = mode->hdisplay, .height = mode->vdisplay, .bpp = 32, .depth = 24};
	struct drm_mode_map_dumb map = {0};
	struct drm_mode_crtc set = {
		.crtc_id = crtc,
		.set_connectors_ptr = (uintptr_t)&connector,
		.count_connectors = 1,
		.mode_valid = 1,
		.mode = *mode,
	};
	void *pixels;

	call(DRM_IOCTL_MODE_CREATE_DUMB, &dumb, "buffer");
	fb.pitch = dumb.pitch;
	fb.handle = map.handle = dumb.handle;
	call(DRM_IOCTL_MODE_ADDFB, &fb, "frame buffer");
	set.fb_id = fb.fb_id;
	call(DRM_IOCTL_MODE_SETCRTC, &set, "mode");
	call(DRM_IOCTL_MODE_MAP_DUMB, &map, "map");
	pixels = mmap(NULL, dumb.size, PROT_READ | PROT_WRITE, MAP_SHARED, card, map.offset);
	if (pixels == MAP_FAILED || dumb.pitch != mode->hdisplay * 4u) {
		perror("mmap");
		exit(1);
	}
	return pixels;
}

int main(int argc, char **argv)
{
	char line[16];

	card = open("/dev/dri/card0", O_RDWR);
	if (card < 0) {
		perror("/dev/dri/card0");
		return 1;
	}
	find_monitor();
	for (int i = 1; i < argc; i++) {
		const struct drm_mode_modeinfo *mode = find_mode(argv[i]);
		uint32_t *pixels = set_mode(mode);

		/* Now, as the device clears its memory when it gets a mode. */
		for (uint32_t y = 0; y < mode->vdisplay; y++)
			for (uint32_t x = 0; x < mode->hdisplay; x++)
				*pixels++ = x < mode->hdisplay / 2u ? i * 0x102030u : 0xffffff;
		printf("MODE %s\n", argv[i]);
		fflush(stdout);
		if (!fgets(line, sizeof(line), stdin))
			return 1;
	}
	return 0;
}
