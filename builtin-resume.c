// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/builtin.h"

int builtin_resume(int argc, char **argv)
{
	return selection_main(argc, argv,
			      "usage: lkvm resume NAME... | --all\n\n"
			      "Lets VMs go on that were stopped by `lkvm pause`.\n");
}
