// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * start-tool ROUNDS: how long commands take from exec to their end. It reads them, one a line, a name and
 * words between tabs; runs all of them in turn, ROUNDS times; and says for each
 *
 *	NAME best median		in microseconds
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool.h"

#define MAX_COMMANDS 32
#define MAX_WORDS    64

static struct command {
	char *name, *words[MAX_WORDS];
	uint32_t *us;
} commands[MAX_COMMANDS];

static uint32_t run(struct command *c, posix_spawn_file_actions_t *files)
{
	double start = now();
	int status, err;
	pid_t pid;

	err = posix_spawnp(&pid, c->words[0], files, NULL, c->words, environ);
	if (err || waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "%s: %s: %s\n", c->name, c->words[0],
			err ? strerror(err) : "has not ended well");
		exit(1);
	}
	return (now() - start) * 1e6;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	unsigned int rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 20, nr = 0;
	posix_spawn_file_actions_t files;
	char *line = NULL, *word, *rest;
	size_t size = 0;

	for (; nr < MAX_COMMANDS && getline(&line, &size, stdin) > 0; nr++, line = NULL, size = 0) {
		rest = line;
		line[strcspn(line, "\n")] = '\0';
		commands[nr].name = strsep(&rest, "\t");
		for (unsigned int i = 0; i < MAX_WORDS - 1 && (word = strsep(&rest, "\t")); i++)
			commands[nr].words[i] = word;
		commands[nr].us = calloc(rounds, sizeof(*commands[nr].us));
	}
	posix_spawn_file_actions_init(&files);
	for (int fd = 0; fd < 3; fd++)
		posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
	for (unsigned int round = 0; round < rounds; round++)
		for (unsigned int i = 0; i < nr; i++)
			commands[i].us[round] = run(&commands[i], &files);
	for (unsigned int i = 0; i < nr; i++) {
		qsort(commands[i].us, rounds, sizeof(*commands[i].us), compare);
		printf("%s\t%u\t%u\n", commands[i].name, commands[i].us[0],
		       commands[i].us[rounds / 2]);
	}
	return 0;
}
