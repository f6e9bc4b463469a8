// SPDX-License-Identifier: GPL-2.0-or-later
/* `--network user` of a build without libslirp. */
#include <stddef.h>

#include "kvm/log.h"
#include "kvm/net.h"

struct net_backend *net_user_open(const struct nic_params *nic)
{
	(void)nic;
	log_error("--network user: lkvm was built without libslirp");
	return NULL;
}
