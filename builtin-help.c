// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/builtin.h"
#include "kvm/log.h"

static int help_on_command(const char *name)
{
	const struct command *command = command_find(name);
	char *argv[] = {(char *)name, (char *)"--help", NULL};

	if (command)
		return command->fn(2, argv);
	log_error("there is no command '%s'; `lkvm help` lists them", name);
	return EXIT_USAGE;
}

int builtin_help(int argc, char **argv)
{
	const struct option_spec options[] = {{.type = OPTION_END}};
	int first = options_parse(argc, argv, options, "usage: lkvm help [COMMAND]\n", false);

	if (first == OPTIONS_HELP)
		return EXIT_OK;
	if (first < 0)
		return EXIT_USAGE;
	if (argc - first > 1) {
		log_error("help: what is '%s'?", argv[first + 1]);
		return EXIT_USAGE;
	}
	if (first < argc)
		return help_on_command(argv[first]);
	printf("usage: lkvm COMMAND [OPTIONS]\n\n"
	       "The most commonly used lkvm commands are:\n");
	command_print_all(stdout);
	printf("\n`lkvm help COMMAND` or `lkvm COMMAND --help` says more.\n");
	return EXIT_OK;
}
