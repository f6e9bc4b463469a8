// SPDX-License-Identifier: GPL-2.0-or-later
/* The folders that the guest is given, as devices. */
#include "shares.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/protocol.h"
#include "kvm/config.h"
#include "kvm/log.h"
#include "kvm/rootfs.h"
#include "kvm/util.h"

#define SHARES_HOST_DIR "/host"
#define SHARES_HOST_TAG "lkvm-host"

/* Whether its programs are links into /host, as `lkvm setup` makes them. */
static bool shares_need_host(const struct rootfs *rootfs)
{
	char to[sizeof(SHARES_HOST_DIR)], *path;
	bool needs = false;

	if (!rootfs->dir)
		return false;
	path = xasprintf("%s/usr", rootfs->dir);
	if (path && readlink(path, to, sizeof(to)) == sizeof(to))
		needs = !memcmp(to, SHARES_HOST_DIR "/", sizeof(to));
	free(path);
	return needs;
}

/* As with 9P: what is read-only may be kept by the guest; what it shares with the host is looked at. */
static int shares_add_fs(struct vm_config *cfg, const char *dir, const char *tag, bool rw)
{
	char *name = xasprintf("folder %s", dir); /* lives as long as the process */

	cfg->fs[cfg->nr_fs++] = (struct fs_params){
		.name = name,
		.tag = tag,
		.dir = dir,
		.readonly = !rw,
		.cache = rw ? "auto" : "always",
		.sandbox = "namespace",
		.transport = cfg->transport,
	};
	return name ? 0 : -ENOMEM;
}

static int shares_add_one(struct vm_config *cfg, enum rootfs_files files, const char *dir,
			  const char *tag, bool rw)
{
	bool by_9p = files == ROOTFS_FILES_9P;

	if ((by_9p ? cfg->nr_shares : cfg->nr_fs) == CONFIG_MAX_SHARES) {
		log_error("%s: more than %d shares", dir, CONFIG_MAX_SHARES);
		return -EINVAL;
	}
	if (!tag)
		return -ENOMEM;
	if (!by_9p)
		return shares_add_fs(cfg, dir, tag, rw);
	cfg->share[cfg->nr_shares++] = (struct p9_params){
		.path = dir, .tag = tag, .readonly = !rw, .mapped = geteuid() != 0};
	return 0;
}

int shares_add(struct rootfs *rootfs, struct vm_config *cfg)
{
	int ret = shares_add_one(cfg, rootfs->files, rootfs->dir ? rootfs->dir : "/",
				 GUEST_ROOT_TAG, rootfs->rw);

	for (unsigned int i = 0; i < rootfs->nr_shares && ret == 0; i++) {
		struct rootfs_share *share = &rootfs->share[i];

		share->tag = xasprintf("lkvm-%u", i); /* lives as long as the process */
		ret = shares_add_one(cfg, rootfs->files, share->dir, share->tag, share->rw);
	}
	if (ret == 0 && shares_need_host(rootfs)) {
		ret = shares_add_one(cfg, rootfs->files, "/", SHARES_HOST_TAG, false);
		rootfs->share[rootfs->nr_shares++] =
			(struct rootfs_share){.dir = SHARES_HOST_DIR, .tag = SHARES_HOST_TAG};
	}
	return ret;
}
