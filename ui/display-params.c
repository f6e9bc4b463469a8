// SPDX-License-Identifier: GPL-2.0-or-later
/* What people type behind --vidmode and --vnc. */
#include <errno.h>
#include <string.h>

#include "kvm/display.h"
#include "kvm/log.h"
#include "kvm/options.h"
#include "kvm/util.h"

#define DISPLAY_VNC_PORT 5900

/* VESA's numbers (VBE 3.0, appendix 1, and what cards made of them). 24 bits take up 32 here. */
static const struct {
	uint16_t number, width, height, depth;
} display_vesa_modes[] = {
	{0x111, 640, 480, 16},	 {0x112, 640, 480, 32},	  {0x114, 800, 600, 16},
	{0x115, 800, 600, 32},	 {0x117, 1024, 768, 16},  {0x118, 1024, 768, 32},
	{0x11a, 1280, 1024, 16}, {0x11b, 1280, 1024, 32}, {0x11e, 1600, 1200, 16},
	{0x11f, 1600, 1200, 32},
};
#define DISPLAY_VESA_LINUX 0x200 /* what Linux' vga= adds to them */

static bool display_parse_vesa(struct display_params *params, const char *word)
{
	uint32_t number;

	if (parse_u32(word, &number) < 0)
		return false;
	for (unsigned int i = 0; i < ARRAY_SIZE(display_vesa_modes); i++) {
		if (display_vesa_modes[i].number != (number & ~DISPLAY_VESA_LINUX))
			continue;
		params->width = display_vesa_modes[i].width;
		params->height = display_vesa_modes[i].height;
		params->depth = display_vesa_modes[i].depth;
		return true;
	}
	return false;
}

/* The numbers of WxH or WxHxD; false when it is not written like that. */
static bool display_parse_sizes(const char *word, uint32_t size[3])
{
	char text[32], *rest = text, *part;
	unsigned int nr = 0;

	if (strlen(word) >= sizeof(text))
		return false;
	strcpy(text, word);
	while ((part = strsep(&rest, "x")))
		if (nr == 3 || parse_u32(part, &size[nr++]) < 0)
			return false;
	return nr >= 2 && size[0] && size[1];
}

int display_params_parse_mode(struct display_params *params, const char *word)
{
	uint32_t size[3] = {0, 0, DISPLAY_DEFAULT_DEPTH};

	params->wanted = true;
	if (display_parse_vesa(params, word))
		return 0;
	if (!display_parse_sizes(word, size)) {
		log_error("--vidmode %s: should be WIDTHxHEIGHT[xDEPTH], or a VESA mode like 0x112",
			  word);
		return -EINVAL;
	}
	params->width = size[0];
	params->height = size[1];
	params->depth = size[2];
	return 0;
}

/* [HOST]:NUMBER; an IPv6 HOST stands in brackets. */
static int display_parse_address(struct display_params *params, char *address)
{
	char *colon = strrchr(address, ':'), *host = address;
	size_t len;

	if (!colon || parse_u32(colon + 1, &params->vnc_number) < 0 ||
	    params->vnc_number > UINT16_MAX - DISPLAY_VNC_PORT) {
		log_error("--vnc %s: should be [HOST]:DISPLAY, DISPLAY being the port less %d",
			  address, DISPLAY_VNC_PORT);
		return -EINVAL;
	}
	*colon = '\0';
	len = strlen(host);
	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		host++;
	}
	params->vnc_host = *host ? host : NULL;
	return 0;
}

int display_params_parse_vnc(struct display_params *params, char *words)
{
	char *key, *value;
	bool first = true;

	for (; options_next_pair(&words, &key, &value); first = false) {
		if (first && !value) {
			if (*key && display_parse_address(params, key) < 0)
				return -EINVAL;
		} else if (!strcmp(key, "password-file") && value && *value) {
			params->vnc_password_file = value;
		} else if (!strcmp(key, "unix") && value && *value) {
			params->vnc_unix = value;
		} else {
			log_error("--vnc: unknown key '%s' (password-file=FILE, unix=PATH)", key);
			return -EINVAL;
		}
	}
	if (params->vnc_unix && (params->vnc_host || params->vnc_number)) {
		log_error("--vnc: unix=%s and an address exclude each other", params->vnc_unix);
		return -EINVAL;
	}
	return 0;
}
