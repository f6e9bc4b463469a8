/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_PNG_H
#define LKVM_PNG_H

#include <stdint.h>

/* What lkvm-png.so exports (plugin.h), under the name of PNG_PLUGIN_SYMBOL. */
#define PNG_PLUGIN_SYMBOL "png_plugin"

struct png_plugin {
	/* rgb: 3 bytes a pixel, without gaps. Prints on error. */
	int (*save)(const char *path, uint32_t width, uint32_t height, const uint8_t *rgb);
};

extern const struct png_plugin png_plugin;

#endif
