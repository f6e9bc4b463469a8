// SPDX-License-Identifier: GPL-2.0-or-later
/* Pictures to files, by libpng. */
#include <errno.h>
#include <png.h>
#include <string.h>

#include "kvm/log.h"
#include "kvm/png.h"

static int png_plugin_save(const char *path, uint32_t width, uint32_t height, const uint8_t *rgb)
{
	png_image image = {.version = PNG_IMAGE_VERSION,
			   .width = width,
			   .height = height,
			   .format = PNG_FORMAT_RGB};

	errno = 0;
	if (png_image_write_to_file(&image, path, 0, rgb, 0, NULL))
		return 0;
	log_error("%s: %s", path, errno ? strerror(errno) : image.message);
	return -EIO;
}

const struct png_plugin png_plugin = {.save = png_plugin_save};
