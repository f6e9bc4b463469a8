// SPDX-License-Identifier: GPL-2.0-or-later
/* CPUs that never leave the guest by themselves: "cpus=" of them, the others are never started. */
#include "lib.h"

static void spin(unsigned int cpu)
{
	(void)cpu;
	for (;;)
		barrier();
}

void test(void)
{
	if (option("cpus", 1) > 1)
		ok(smp_start(option("cpus", 1), spin), "%lu CPUs come up", option("cpus", 1));
	print("spinning\n");
	spin(0);
}
