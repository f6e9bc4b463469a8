// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "kvm/base64.h"
#include "kvm/builtin.h"
#include "kvm/log.h"
#include "kvm/plugin.h"
#include "kvm/png.h"
#include "kvm/util.h"

struct screenshot {
	struct selection sel;
	const struct png_plugin *png;
	const char *path;
	bool saved;
};

static void screenshot_save(const struct selection *sel, const char *name, json_t *result)
{
	struct screenshot *shot = container_of(sel, struct screenshot, sel);
	uint8_t *rgb = NULL;
	const char *text;
	int width, height;
	size_t len;

	if (!json_unpack(result, "{s:i, s:i, s:s}", "width", &width, "height", &height, "rgb",
			 &text))
		rgb = base64_decode(text, &len);
	if (!rgb || width <= 0 || height <= 0 || len != (size_t)width * height * 3)
		log_error("%s: the VM sent no picture", name);
	else
		shot->saved = !shot->png->save(shot->path, width, height, rgb);
	free(rgb);
}

static enum exit_code screenshot_take(struct screenshot *shot, char **name)
{
	enum exit_code status = selection_open(&shot->sel, name, 1);

	if (status != EXIT_OK)
		return status;
	shot->png = plugin_load("png", PNG_PLUGIN_SYMBOL, "screenshot");
	if (!shot->png)
		return EXIT_HOST_ERROR;
	status = selection_call(&shot->sel, "screenshot", NULL, screenshot_save);
	return status == EXIT_OK && !shot->saved ? EXIT_HOST_ERROR : status;
}

int builtin_screenshot(int argc, char **argv)
{
	static const char usage[] = "usage: lkvm screenshot NAME FILE.png\n\n"
				    "Saves what is on a VM's display.\n";
	struct screenshot shot = {0};
	const struct option_spec options[] = {RUN_DIR_OPTION, {.type = OPTION_END}};
	int first = options_parse(argc, argv, options, usage, false);
	enum exit_code status = first == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;

	if (first >= 0 && argc - first != 2) {
		log_error("screenshot: wants the name of a VM and that of a file");
	} else if (first >= 0) {
		shot.path = argv[first + 1];
		status = screenshot_take(&shot, argv + first);
	}
	selection_close(&shot.sel);
	return status;
}
