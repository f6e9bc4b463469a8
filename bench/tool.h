/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_TOOL_H
#define BENCH_TOOL_H

/* What the programs beside the guests share; each is built from one file. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Seconds of CLOCK_MONOTONIC. */
static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

#endif
