// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/builtin.h"

int builtin_pause(int argc, char **argv)
{
	return selection_main(argc, argv,
			      "usage: lkvm pause NAME... | --all\n\n"
			      "Returns when all virtual CPUs of the VMs stand still.\n");
}
