// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/rootfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "guest/protocol.h"
#include "kvm/config.h"
#include "kvm/guest-init.h"
#include "kvm/initramfs.h"
#include "kvm/kernel-find.h"
#include "kvm/log.h"
#include "kvm/modules.h"
#include "kvm/util.h"

#define ROOTFS_HOST_DIR "/host"
#define ROOTFS_HOST_TAG "lkvm-host"

/* What a kernel must be able to do, and for what option of the guest. */
static const struct rootfs_driver {
	const char *module, *option;
	enum { ROOTFS_ALWAYS, ROOTFS_IF_CHANGES_GO, ROOTFS_IF_THERE } when;
} rootfs_drivers[] = {
	{"virtio_pci", "CONFIG_VIRTIO_PCI", ROOTFS_ALWAYS},
	{"virtio_mmio", "CONFIG_VIRTIO_MMIO", ROOTFS_IF_THERE},
	{"virtio_console", "CONFIG_VIRTIO_CONSOLE", ROOTFS_ALWAYS},
	{"9pnet_virtio", "CONFIG_NET_9P_VIRTIO", ROOTFS_ALWAYS},
	{"9p", "CONFIG_9P_FS", ROOTFS_ALWAYS},
	{"overlay", "CONFIG_OVERLAY_FS", ROOTFS_IF_CHANGES_GO},
	{"virtio_net", "CONFIG_VIRTIO_NET", ROOTFS_IF_THERE},
	{"virtio_blk", "CONFIG_VIRTIO_BLK", ROOTFS_IF_THERE},
	{"virtio_rng", "CONFIG_HW_RANDOM_VIRTIO", ROOTFS_IF_THERE},
};

bool rootfs_is_wanted(const struct rootfs *rootfs)
{
	const struct rootfs_command *command = &rootfs->command;

	return rootfs->dir || rootfs->rw || rootfs->sandbox || rootfs->modules ||
	       rootfs->nr_shares || command->words || command->user || command->cwd;
}

char *rootfs_named_path(const char *name)
{
	const char *home = getenv("HOME");

	if (!home || home[0] != '/') {
		log_error("HOME is not set: nowhere to look for the folder of '%s'", name);
		return NULL;
	}
	return xasprintf("%s/.lkvm/%s", home, name);
}

static bool rootfs_is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *rootfs_find(const char *word)
{
	char *path;

	if (access(word, F_OK) == 0)
		return rootfs_is_folder(word) ? strdup(word) : NULL;
	if (strchr(word, '/') || !getenv("HOME"))
		return NULL;
	path = rootfs_named_path(word);
	if (path && rootfs_is_folder(path))
		return path;
	free(path);
	return NULL;
}

/* Whether its programs are links into /host, as `lkvm setup` makes them. */
static bool rootfs_needs_host(const struct rootfs *rootfs)
{
	char to[sizeof(ROOTFS_HOST_DIR)], *path;
	bool needs = false;

	if (!rootfs->dir)
		return false;
	path = xasprintf("%s/usr", rootfs->dir);
	if (path && readlink(path, to, sizeof(to)) == sizeof(to))
		needs = !memcmp(to, ROOTFS_HOST_DIR "/", sizeof(to));
	free(path);
	return needs;
}

/* --- modules --- */

static int rootfs_check_release(const struct modules *mods, const char *kernel, const char *release)
{
	char *built_for = mods->nr ? module_release(&mods->module[0]) : NULL;
	bool ok = !built_for || !strcmp(built_for, release);

	if (!ok)
		log_error("modules in %s are for %s, kernel %s is %s", mods->dir, built_for, kernel,
			  release);
	free(built_for);
	return ok ? 0 : -EINVAL;
}

static int rootfs_add_drivers(const struct rootfs *rootfs, struct modules *mods, const char *kernel,
			      const char *release)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(rootfs_drivers); i++) {
		const struct rootfs_driver *driver = &rootfs_drivers[i];
		int ret = modules_add(mods, driver->module);

		if (ret < 0 && ret != -ENOENT)
			return ret;
		if (ret == 0 || driver->when == ROOTFS_IF_THERE ||
		    (driver->when == ROOTFS_IF_CHANGES_GO && rootfs->rw))
			continue;
		if (rootfs_check_release(mods, kernel, release) < 0)
			return -EINVAL;
		log_error("kernel %s cannot have a folder for its root: it lacks %s, and %s has no "
			  "module '%s'",
			  kernel, driver->option, mods->dir, driver->module);
		return -ENOENT;
	}
	return 0;
}

static void rootfs_print_modules(const struct modules *mods)
{
	char names[64 * MODULES_MAX] = "";
	size_t len = 0;

	for (unsigned int i = 0; i < mods->nr && len < sizeof(names); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, " %s",
					mods->module[i].name);
	log_debug("modules of %s:%s", mods->dir, names);
}

/* --modules DIR: that folder, or a root or a folder of kernels' modules that holds it. */
static int rootfs_open_given_modules(struct modules *mods, const char *dir, const char *release)
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
		if (ret < 0)
			log_error("--modules %s: no modules for kernel %s there", dir, release);
		else
			mods->dir = dir;
	}
	return ret;
}

/* A kernel that comes without modules may have all it needs; its init will see. */
static int rootfs_open_modules(const struct rootfs *rootfs, struct modules *mods,
			       const char *kernel, const char *release)
{
	char *dir = NULL;
	int ret;

	if (rootfs->modules) {
		ret = rootfs_open_given_modules(mods, rootfs->modules, release);
	} else {
		dir = kernel_find_modules(kernel, release); /* lives as long as mods */
		if (!dir) {
			log_debug("kernel %s (%s): no modules found", kernel, release);
			return 0;
		}
		ret = modules_open(mods, dir);
		if (ret < 0)
			log_error("%s: %s", dir, strerror(-ret));
	}
	if (ret == 0)
		ret = rootfs_add_drivers(rootfs, mods, kernel, release);
	if (ret == 0)
		ret = rootfs_check_release(mods, kernel, release);
	if (ret == 0)
		rootfs_print_modules(mods);
	return ret;
}

/* --- putting it together --- */

static int rootfs_pack(const struct modules *mods, const char *conf, size_t conf_len)
{
	struct initramfs rd;
	char name[128];
	int ret;

	initramfs_init(&rd);
	initramfs_add_folder(&rd, "dev");
	initramfs_add_folder(&rd, "modules");
	initramfs_add_file(&rd, "init", 0755, guest_init, (size_t)(guest_init_end - guest_init));
	initramfs_add_file(&rd, GUEST_CONFIG, 0600, conf, conf_len);
	for (unsigned int i = 0; i < mods->nr; i++) {
		snprintf(name, sizeof(name), "modules/%s.ko", mods->module[i].name);
		initramfs_add_file(&rd, name, 0600, mods->module[i].data, mods->module[i].len);
	}
	ret = initramfs_finish(&rd);
	if (ret < 0)
		log_error("cannot make an initramfs: %s", strerror(-ret));
	return ret;
}

/* /lkvm.conf */
static int rootfs_write_conf(const struct rootfs *rootfs, const struct vm_config *cfg,
			     const struct modules *mods, char **text, size_t *len)
{
	FILE *conf;
	int ret;

	*text = NULL;
	conf = open_memstream(text, len);
	if (!conf)
		return -ENOMEM;
	conf_say_machine(conf, rootfs, cfg, mods);
	ret = conf_say_command(conf, rootfs, &rootfs->command);
	if (ret < 0)
		log_error("--user %s: there is no such user in %s/etc/passwd", rootfs->command.user,
			  rootfs->dir ? rootfs->dir : "");
	if (fclose(conf) && ret == 0)
		ret = -ENOMEM;
	return ret == -ENOENT ? -EINVAL : ret;
}

static int rootfs_make_initrd(const struct rootfs *rootfs, struct vm_config *cfg,
			      const struct modules *mods)
{
	size_t len = 0;
	char *conf;
	int ret = rootfs_write_conf(rootfs, cfg, mods, &conf, &len);

	if (ret == 0)
		ret = rootfs_pack(mods, conf, len);
	free(conf);
	if (ret < 0)
		return ret;
	cfg->initrd = xasprintf("/proc/self/fd/%d", ret); /* both live as long as the process */
	return cfg->initrd ? 0 : -ENOMEM;
}

static int rootfs_add_share(struct vm_config *cfg, const char *dir, const char *tag, bool rw)
{
	if (cfg->nr_shares == CONFIG_MAX_SHARES) {
		log_error("%s: more than %d shares", dir, CONFIG_MAX_SHARES);
		return -EINVAL;
	}
	cfg->share[cfg->nr_shares++] = (struct p9_params){
		.path = dir, .tag = tag, .readonly = !rw, .mapped = geteuid() != 0};
	return tag ? 0 : -ENOMEM;
}

static int rootfs_add_shares(struct rootfs *rootfs, struct vm_config *cfg)
{
	int ret =
		rootfs_add_share(cfg, rootfs->dir ? rootfs->dir : "/", GUEST_ROOT_TAG, rootfs->rw);

	for (unsigned int i = 0; i < rootfs->nr_shares && ret == 0; i++) {
		struct rootfs_share *share = &rootfs->share[i];

		share->tag = xasprintf("lkvm-%u", i); /* lives as long as the process */
		ret = rootfs_add_share(cfg, share->dir, share->tag, share->rw);
	}
	if (ret == 0 && rootfs_needs_host(rootfs)) {
		ret = rootfs_add_share(cfg, "/", ROOTFS_HOST_TAG, false);
		rootfs->share[rootfs->nr_shares++] =
			(struct rootfs_share){.dir = ROOTFS_HOST_DIR, .tag = ROOTFS_HOST_TAG};
	}
	return ret;
}

/* How the first command's streams reach the person who typed. */
static void rootfs_plan_streams(struct rootfs *rootfs, struct vm_config *cfg)
{
	struct rootfs_command *command = &rootfs->command;
	struct winsize size;

	command->term = getenv("TERM");
	command->lang = getenv("LANG");
	cfg->pipes = !cfg->detach && !(isatty(STDIN_FILENO) && isatty(STDOUT_FILENO));
	if (cfg->pipes)
		return;
	command->tty = cfg->console == CONSOLE_VIRTIO ? "/dev/hvc0" : "/dev/ttyS0";
	if (!cfg->detach && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) {
		command->rows = size.ws_row;
		command->cols = size.ws_col;
	}
}

int rootfs_prepare(struct rootfs *rootfs, struct vm_config *cfg)
{
	char *release = kernel_release(cfg->kernel);
	struct modules mods = {0};
	int ret;

	if (!release)
		return -ENOEXEC;
	cfg->rootfs = rootfs;
	cfg->no_reboot = true;
	rootfs_plan_streams(rootfs, cfg);
	cfg->params =
		xasprintf("quiet%s%s", cfg->params ? " " : "", cfg->params ? cfg->params : "");
	ret = cfg->params ? rootfs_open_modules(rootfs, &mods, cfg->kernel, release) : -ENOMEM;
	if (ret == 0)
		ret = rootfs_add_shares(rootfs, cfg);
	if (ret == 0)
		ret = rootfs_make_initrd(rootfs, cfg, &mods);
	modules_close(&mods);
	free(release);
	return ret;
}
