// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/builtin.h"
#include "kvm/log.h"

int builtin_sendkey(int argc, char **argv)
{
	static const char usage[] =
		"usage: lkvm sendkey NAME KEYS...\n\n"
		"Presses keys of a VM: each word is keys pressed together, like ctrl-alt-f2, a, ret.\n";
	struct selection sel = {0};
	const struct option_spec options[] = {RUN_DIR_OPTION, {.type = OPTION_END}};
	int first = options_parse(argc, argv, options, usage, false);
	enum exit_code status = first == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;

	if (first >= 0 && argc - first < 2) {
		log_error("sendkey: wants the name of a VM and keys");
	} else if (first >= 0) {
		status = selection_open(&sel, argv + first, 1);
		for (int i = first + 1; i < argc && status == EXIT_OK; i++)
			status = selection_call(&sel, "sendkey",
						json_pack("{s:s}", "keys", argv[i]), NULL);
	}
	selection_close(&sel);
	return status;
}
