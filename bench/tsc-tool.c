// SPDX-License-Identifier: GPL-2.0-or-later
/* tsc-tool: how many ticks a second the processor's counter does. */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(void)
{
	double begin = now();
	uint64_t ticks = __builtin_ia32_rdtsc();

	usleep(500000);
	ticks = __builtin_ia32_rdtsc() - ticks;
	printf("%.0f\n", ticks / (now() - begin));
	return 0;
}
