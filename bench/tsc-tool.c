// SPDX-License-Identifier: GPL-2.0-or-later
/* tsc-tool: how many ticks a second the processor's counter does. */
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "tool.h"

int main(void)
{
	double begin = now();
	uint64_t ticks = __builtin_ia32_rdtsc();

	usleep(500000);
	ticks = __builtin_ia32_rdtsc() - ticks;
	printf("%.0f\n", ticks / (now() - begin));
	return 0;
}
