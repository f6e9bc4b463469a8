/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_BUILTIN_H
#define LKVM_BUILTIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "kvm/control.h"
#include "kvm/exit-code.h"
#include "kvm/options.h"

/* A subcommand: argv[0] is its name. The return value is lkvm's exit status (kvm/exit-code.h). */
struct command {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *help; /* one line */
};

/* main.c */
const struct command *command_find(const char *name); /* NULL: unknown */
void command_print_all(FILE *out);

int builtin_run(int argc, char **argv);
int builtin_sandbox(int argc, char **argv);
int builtin_setup(int argc, char **argv);
int builtin_list(int argc, char **argv);
int builtin_stop(int argc, char **argv);
int builtin_pause(int argc, char **argv);
int builtin_resume(int argc, char **argv);
int builtin_balloon(int argc, char **argv);
int builtin_resize(int argc, char **argv);
int builtin_link(int argc, char **argv);
int builtin_stat(int argc, char **argv);
int builtin_debug(int argc, char **argv);
int builtin_console(int argc, char **argv);
int builtin_exec(int argc, char **argv);
int builtin_wait(int argc, char **argv);
int builtin_screenshot(int argc, char **argv);
int builtin_sendkey(int argc, char **argv);
int builtin_version(int argc, char **argv);
int builtin_help(int argc, char **argv);

/* --- builtin-run.c: the whole of run and of sandbox --- */
int run_main(int argc, char **argv, bool sandbox);

/* --- builtin-select.c: what the commands that talk to running VMs share --- */

/* How long a VM that is well may take to answer. */
#define SELECTION_TIMEOUT_NS (10ULL * 1000000000)

/* --run-dir, for the table of any command that knows VMs by name. */
int selection_set_run_dir(const struct option_spec *opt, const char *word);
#define RUN_DIR_OPTION                                                                        \
	{                                                                                     \
		OPTION_CALL, 0, "run-dir", NULL, "DIR",                                       \
			"where the VMs' sockets are (or LKVM_RUN_DIR)", selection_set_run_dir \
	}

/* The VMs that a command is about: `NAME...`, `-n NAME` or `--all`. Starts as all zeroes. */
struct selection {
	bool all;
	unsigned int nr_names;
	const char **name;
	unsigned int nr_peers;
	struct control_peer *peer; /* those that could be connected to; fd -1: given up */
	/* Whether a VM that is not there is no error. NULL: it always is. */
	bool (*missing)(const char *name, void *arg);
	void *missing_arg;
};

int selection_add_name(const struct option_spec *opt, const char *word);
#define SELECTION_OPTIONS(sel)                                                          \
	{OPTION_FLAG, 'a', "all", &(sel)->all, NULL, "all VMs", NULL},                  \
		{OPTION_CALL, 'n', "name", sel, "NAME", "this VM", selection_add_name}, \
		RUN_DIR_OPTION

/*
 * Connects to the VMs of the options and of words[0..nr_words). Prints a line for each that cannot
 * be had and goes on with the others; the status is that of the first failure. Call
 * selection_close() whatever it is; EXIT_USAGE: no request should be made.
 */
enum exit_code selection_open(struct selection *sel, char **words, int nr_words);
void selection_close(struct selection *sel);

/*
 * Sends the same request to all at once, then gathers the replies, so that a VM that hangs holds
 * up no other. Takes over arguments (may be NULL). A VM that fails is printed and given up. done
 * (may be NULL) gets each result.
 */
enum exit_code selection_call(struct selection *sel, const char *command, json_t *arguments,
			      void (*done)(const struct selection *sel, const char *name,
					   json_t *result));
/* Opens and calls, unless it is EXIT_USAGE; takes over arguments whatever comes of it. */
enum exit_code selection_ask(struct selection *sel, char **words, int nr_words, const char *command,
			     json_t *arguments,
			     void (*done)(const struct selection *sel, const char *name,
					  json_t *result));

/* Prints why there is no talking to the VM; error is its own text, if it gave one. */
enum exit_code selection_failed(const char *name, int err, const json_t *error);

/* The whole of a command that is one request without arguments: its name is argv[0]. */
int selection_main(int argc, char **argv, const char *usage);

static inline enum exit_code exit_code_first(enum exit_code first, enum exit_code second)
{
	return first ? first : second;
}

#endif
