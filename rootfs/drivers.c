// SPDX-License-Identifier: GPL-2.0-or-later
/* What the guest's kernel has to be able to do, and where the modules are that make it able to. */
#include "drivers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/config.h"
#include "kvm/fs.h"
#include "kvm/kernel-find.h"
#include "kvm/log.h"
#include "kvm/modules.h"
#include "kvm/rootfs.h"
#include "kvm/util.h"

enum driver_need { DRIVER_NO, DRIVER_IF_THERE, DRIVER_MUST };

struct driver {
	const char *module, *option; /* of the kernel's configuration */
	enum driver_need (*need)(const struct rootfs *rootfs, const struct vm_config *cfg);
};

static enum driver_need driver_always(const struct rootfs *rootfs, const struct vm_config *cfg)
{
	(void)rootfs;
	(void)cfg;
	return DRIVER_MUST;
}

static enum driver_need driver_if_there(const struct rootfs *rootfs, const struct vm_config *cfg)
{
	(void)rootfs;
	(void)cfg;
	return DRIVER_IF_THERE;
}

/* For shares that the user mounts, too. */
static enum driver_need driver_9p(const struct rootfs *rootfs, const struct vm_config *cfg)
{
	return rootfs->files == ROOTFS_FILES_9P ? DRIVER_MUST
	       : cfg->nr_shares			? DRIVER_IF_THERE
						: DRIVER_NO;
}

static enum driver_need driver_virtiofs(const struct rootfs *rootfs, const struct vm_config *cfg)
{
	return rootfs->files == ROOTFS_FILES_VIRTIOFS ? DRIVER_MUST
	       : cfg->nr_fs			      ? DRIVER_IF_THERE
						      : DRIVER_NO;
}

static enum driver_need driver_overlay(const struct rootfs *rootfs, const struct vm_config *cfg)
{
	(void)cfg;
	return rootfs->rw ? DRIVER_IF_THERE : DRIVER_MUST;
}

static const struct driver drivers[] = {
	{"virtio_pci", "CONFIG_VIRTIO_PCI", driver_always},
	{"virtio_mmio", "CONFIG_VIRTIO_MMIO", driver_if_there},
	{"virtio_console", "CONFIG_VIRTIO_CONSOLE", driver_always},
	{"9pnet_virtio", "CONFIG_NET_9P_VIRTIO", driver_9p},
	{"9p", "CONFIG_9P_FS", driver_9p},
	{"virtiofs", "CONFIG_VIRTIO_FS", driver_virtiofs},
	{"overlay", "CONFIG_OVERLAY_FS", driver_overlay},
	{"virtio_net", "CONFIG_VIRTIO_NET", driver_if_there},
	{"virtio_blk", "CONFIG_VIRTIO_BLK", driver_if_there},
	{"virtio_rng", "CONFIG_HW_RANDOM_VIRTIO", driver_if_there},
};

/* --- how the guest is given files --- */

/*
 * virtio-fs, which is faster, where both sides have it. But to an ordinary user's virtiofsd
 * (fs/child.h) all other users are one, and in a container root may not be allowed to start one.
 * There 9P comes first, if the kernel has it.
 */
static enum rootfs_files drivers_choose_files(const struct modules *mods)
{
	return modules_has(mods, "virtiofs") && virtiofsd_is_there() &&
			       (virtiofsd_may_all() || !modules_has(mods, "9p"))
		       ? ROOTFS_FILES_VIRTIOFS
		       : ROOTFS_FILES_9P;
}

/* --- which modules, and from where --- */

static int drivers_check_release(const struct modules *mods, const char *kernel,
				 const char *release)
{
	char *built_for = mods->nr ? module_release(&mods->module[0]) : NULL;
	bool ok = !built_for || !strcmp(built_for, release);

	if (!ok)
		log_error("modules in %s are for %s, kernel %s is %s", mods->dir, built_for, kernel,
			  release);
	free(built_for);
	return ok ? 0 : -EINVAL;
}

static int drivers_add(const struct rootfs *rootfs, const struct vm_config *cfg,
		       const char *release, struct modules *mods)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(drivers); i++) {
		const struct driver *driver = &drivers[i];
		enum driver_need need = driver->need(rootfs, cfg);
		int ret = need == DRIVER_NO ? 0 : modules_add(mods, driver->module);

		if (ret < 0 && ret != -ENOENT)
			return ret;
		if (ret == 0 || need != DRIVER_MUST)
			continue;
		if (drivers_check_release(mods, cfg->kernel, release) < 0)
			return -EINVAL;
		log_error("kernel %s cannot have a folder for its root: it lacks %s, and %s has no "
			  "module '%s'%s",
			  cfg->kernel, driver->option, mods->dir, driver->module,
			  driver->need != driver_9p || !modules_has(mods, "virtiofs") ? ""
			  : virtiofsd_is_there()
				  ? " (it has virtiofs: --files virtiofs)"
				  : " (it has virtiofs, but there is no virtiofsd on this host)");
		return -ENOENT;
	}
	return drivers_check_release(mods, cfg->kernel, release);
}

static void drivers_print(const struct modules *mods)
{
	char names[64 * MODULES_MAX] = "";
	size_t len = 0;

	for (unsigned int i = 0; i < mods->nr && len < sizeof(names); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, " %s",
					mods->module[i].name);
	log_debug("modules of %s:%s", mods->dir, names);
}

/* --modules DIR: that folder, or a root or a folder of kernels' modules that holds it. */
static int drivers_open_given(struct modules *mods, const char *dir, const char *release)
{
	char *below = xasprintf("%s/%s", dir, release);
	char *root = xasprintf("%s/lib/modules/%s", dir, release);
	int ret = -ENOMEM;

	if (below && root) {
		ret = modules_open(mods, dir);
		if (ret < 0)
			ret = modules_open(mods, below);
		if (ret < 0)
			ret = modules_open(mods, root);
	}
	if (ret < 0) {
		log_error("--modules %s: no modules for kernel %s there", dir, release);
		ret = -EINVAL;
	}
	free(below);
	free(root);
	return ret;
}

/* A kernel that comes without modules may have all it needs; its init will see. */
static int drivers_open(const struct rootfs *rootfs, const char *kernel, const char *release,
			struct modules *mods)
{
	char *dir;
	int ret;

	if (rootfs->modules)
		return drivers_open_given(mods, rootfs->modules, release);
	dir = kernel_find_modules(kernel, release);
	if (!dir) {
		log_debug("kernel %s (%s): no modules found", kernel, release);
		return 0;
	}
	ret = modules_open(mods, dir);
	if (ret < 0)
		log_error("%s: %s", dir, strerror(-ret));
	free(dir);
	return ret;
}

int drivers_collect(struct rootfs *rootfs, const struct vm_config *cfg, const char *release,
		    struct modules *mods)
{
	int ret = drivers_open(rootfs, cfg->kernel, release, mods);

	if (ret == 0 && rootfs->files == ROOTFS_FILES_ANY)
		rootfs->files = drivers_choose_files(mods);
	rootfs->one_user = rootfs->files == ROOTFS_FILES_VIRTIOFS && !virtiofsd_may_all();
	if (ret < 0 || !mods->dir)
		return ret;
	ret = drivers_add(rootfs, cfg, release, mods);
	if (ret == 0)
		drivers_print(mods);
	return ret;
}
