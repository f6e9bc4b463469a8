/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_OPTIONS_H
#define LKVM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * Command-line options as one table per command: the parser, `--help` and the manual page are
 * all made from it. Parsing is getopt_long's, so words may be mixed with options and `--` ends
 * them; every error names the word that is wrong.
 */
enum option_type {
	OPTION_END,
	OPTION_GROUP,  /* a heading in the help text */
	OPTION_FLAG,   /* bool: set to true */
	OPTION_NOFLAG, /* bool: set to false */
	OPTION_STRING, /* const char *: the word as typed, which lives as long as argv */
	OPTION_U32,    /* uint32_t */
	OPTION_CALL,   /* call(opt, word): 0, or -EINVAL after it printed why */
	/* The same; `--name` alone gives word == NULL, `--name=word` the word, unless arg is NULL. */
	OPTION_CALL_OPTIONAL,
};

struct option_spec {
	enum option_type type;
	char short_name; /* 0 for none */
	const char *long_name;
	void *value; /* bool *, const char **, uint32_t *, or what `call` wants */
	const char *arg; /* what the word is called in the help text */
	const char *help;
	int (*call)(const struct option_spec *opt, const char *word);
};

/*
 * Parses argv[1..argc). Options end at `--` or, with stop_at_word, at the first word that is not an
 * option. On success returns the index in argv of the first remaining word (words are moved behind
 * the options). Returns -EINVAL after one error line, or OPTIONS_HELP after --help printed `usage`
 * and the table to stdout.
 */
#define OPTIONS_HELP (-1000)
int options_parse(int argc, char **argv, const struct option_spec *table, const char *usage,
		  bool stop_at_word);

/* One table of both, to be freed; NULL: out of memory. */
struct option_spec *options_join(const struct option_spec *first, const struct option_spec *second);

void options_print(FILE *out, const struct option_spec *table);

/*
 * The key=value,key=value words of --disk and --network. Cuts the next pair off *rest (which it
 * writes into); "\," is a literal comma. A key without '=' gives value == NULL. Returns false at
 * the end.
 */
bool options_next_pair(char **rest, char **key, char **value);

#endif
