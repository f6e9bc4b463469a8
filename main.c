// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "kvm/builtin.h"
#include "kvm/log.h"
#include "kvm/util.h"

static const struct command commands[] = {
	{"run", builtin_run, "start a virtual machine"},
	{"sandbox", builtin_sandbox, "run a command in a throw-away copy of this host"},
	{"setup", builtin_setup, "make a folder that can be a guest's root"},
	{"list", builtin_list, "list the running virtual machines"},
	{"stop", builtin_stop, "shut virtual machines down"},
	{"pause", builtin_pause, "make virtual machines stand still"},
	{"resume", builtin_resume, "let paused virtual machines go on"},
	{"console", builtin_console, "connect to a virtual machine's console"},
	{"exec", builtin_exec, "run a command in a virtual machine that lkvm's init runs"},
	{"wait", builtin_wait, "wait for the end of virtual machines"},
	{"balloon", builtin_balloon, "take memory from virtual machines, or give it back"},
	{"resize", builtin_resize, "make a disk of a virtual machine larger"},
	{"link", builtin_link, "take the links of virtual machines' NICs down, or up"},
	{"stat", builtin_stat, "print the memory statistics of virtual machines"},
	{"debug", builtin_debug, "dump registers, send an NMI or a SysRq key"},
	{"screenshot", builtin_screenshot, "take a picture of a virtual machine's display"},
	{"sendkey", builtin_sendkey, "press keys of a virtual machine"},
	{"version", builtin_version, "print the version"},
	{"help", builtin_help, "help on lkvm or on one of its commands"},
};

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

void command_print_all(FILE *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "   %-9s %s\n", commands[i].name, commands[i].help);
}

/* `lkvm`, `lkvm --help` and `lkvm --version` are commands by another name. */
static const char *command_name(const char *word)
{
	if (!word || !strcmp(word, "--help") || !strcmp(word, "-h"))
		return "help";
	return strcmp(word, "--version") ? word : "version";
}

int main(int argc, char **argv)
{
	const char *name = command_name(argc > 1 ? argv[1] : NULL);
	const struct command *command = command_find(name);
	char *alone[] = {(char *)name, NULL};
	int status;

	if (!command) {
		log_error("there is no command '%s'; `lkvm help` lists them", name);
		return EXIT_USAGE;
	}
	status = argc > 1 ? command->fn(argc - 1, argv + 1) : command->fn(1, alone);
	if (fflush(stdout) || ferror(stdout)) {
		log_error("stdout: %s", strerror(errno));
		return status ? status : EXIT_HOST_ERROR;
	}
	return status;
}
