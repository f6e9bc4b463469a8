// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/builtin.h"

int builtin_sandbox(int argc, char **argv)
{
	return run_main(argc, argv, true);
}
