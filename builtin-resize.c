// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>

#include "kvm/builtin.h"
#include "kvm/log.h"
#include "kvm/util.h"

struct resize_wants {
	struct selection sel;
	const char *disk;
	uint64_t size; /* bytes; 0: not given */
};

static int resize_set_size(const struct option_spec *opt, const char *word)
{
	struct resize_wants *wants = opt->value;

	if (parse_size(word, MIB, &wants->size) || !wants->size || wants->size > INT64_MAX) {
		log_error("option --%s wants a size in MiB, not '%s'", opt->long_name, word);
		return -EINVAL;
	}
	return 0;
}

int builtin_resize(int argc, char **argv)
{
	static const char usage[] =
		"usage: lkvm resize --disk DISK --size SIZE  NAME\n\n"
		"Makes a disk of a virtual machine, and its image, larger; the guest is told.\n"
		"For a block device SIZE is what it has become.\n";
	struct resize_wants wants = {0};
	const struct option_spec options[] = {
		{OPTION_STRING, 'd', "disk", &wants.disk, "DISK",
		 "its file as --disk named it, or its number (0 is the first)", 0},
		{OPTION_CALL, 's', "size", &wants, "SIZE", "in MiB, or with K, M, G, T",
		 resize_set_size},
		SELECTION_OPTIONS(&wants.sel),
		{.type = OPTION_END}};
	int first = options_parse(argc, argv, options, usage, false);
	enum exit_code status = first == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;

	if (first >= 0 && (!wants.disk || !wants.size)) {
		log_error("resize: wants --disk and --size");
	} else if (first >= 0) {
		status = selection_ask(
			&wants.sel, argv + first, argc - first, "resize",
			json_pack("{s:s, s:I}", "disk", wants.disk, "size", (json_int_t)wants.size),
			NULL);
	}
	selection_close(&wants.sel);
	return status;
}
