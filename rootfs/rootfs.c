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
#include "drivers.h"
#include "guest/protocol.h"
#include "kvm/config.h"
#include "kvm/guest-init.h"
#include "kvm/initramfs.h"
#include "kvm/kernel-find.h"
#include "kvm/log.h"
#include "kvm/modules.h"
#include "kvm/util.h"
#include "shares.h"

bool rootfs_is_wanted(const struct rootfs *rootfs)
{
	const struct rootfs_command *command = &rootfs->command;

	return rootfs->dir || rootfs->files || rootfs->rw || rootfs->sandbox || rootfs->modules ||
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
	ret = cfg->params ? drivers_collect(rootfs, cfg, release, &mods) : -ENOMEM;
	if (ret == 0)
		ret = shares_add(rootfs, cfg);
	if (ret == 0)
		ret = rootfs_make_initrd(rootfs, cfg, &mods);
	modules_close(&mods);
	free(release);
	return ret;
}
