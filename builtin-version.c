// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/builtin.h"
#include "kvm/log.h"

int builtin_version(int argc, char **argv)
{
	bool verbose = false;
	const struct option_spec options[] = {
		{OPTION_FLAG, 'v', "verbose", &verbose, NULL, "and what was built in", NULL},
		{OPTION_FLAG, 0, "build-options", &verbose, NULL, "the same", NULL},
		{.type = OPTION_END}};
	int first = options_parse(argc, argv, options, "usage: lkvm version [--verbose]\n", false);

	if (first == OPTIONS_HELP)
		return EXIT_OK;
	if (first >= 0 && first < argc)
		log_error("version: what is '%s'?", argv[first]);
	if (first != argc)
		return EXIT_USAGE;
	printf("lkvm %s\n", LKVM_VERSION);
	if (verbose)
		fputs(LKVM_BUILD_OPTIONS, stdout);
	return EXIT_OK;
}
