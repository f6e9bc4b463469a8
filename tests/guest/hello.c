// SPDX-License-Identifier: GPL-2.0-or-later
/* The shortest guest: says what it was told and goes. */
#include "lib/lib.h"

void test(void)
{
	print("hello by %s\n", pvh_start_info ? "PVH" : "boot_params");
	print("command line: %s\n", command_line);
}
