// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/rootfs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

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
#define ROOTFS_PATH	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

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
	return rootfs->dir || rootfs->rw || rootfs->sandbox || rootfs->user || rootfs->cwd ||
	       rootfs->modules || rootfs->nr_shares || rootfs->command;
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
	return ret;
}

/* --- /lkvm.conf --- */

__attribute__((format(printf, 3, 4))) static void rootfs_say(FILE *conf, const char *key,
							     const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(conf, "%s=", key);
	vfprintf(conf, fmt, ap);
	fputc('\0', conf);
	va_end(ap);
}

struct rootfs_user {
	unsigned int uid, gid;
	const char *name, *home;
};

/* UID or UID:GID, which need no list of users. */
static bool rootfs_parse_ids(const char *word, struct rootfs_user *user)
{
	char *end;

	if (*word < '0' || *word > '9')
		return false;
	user->uid = user->gid = (unsigned int)strtoul(word, &end, 10);
	if (*end == ':' && end[1])
		user->gid = (unsigned int)strtoul(end + 1, &end, 10);
	return !*end;
}

/* By the guest's own list of users. */
static int rootfs_find_user(const struct rootfs *rootfs, struct rootfs_user *user)
{
	char *path = xasprintf("%s/etc/passwd", rootfs->dir ? rootfs->dir : "");
	const char *word = rootfs->user ? rootfs->user : "0";
	bool is_number = rootfs_parse_ids(word, user), found = false;
	FILE *list = path ? fopen(path, "re") : NULL;
	struct passwd *entry;

	while (list && !found && (entry = fgetpwent(list))) {
		found = is_number ? entry->pw_uid == user->uid : !strcmp(entry->pw_name, word);
		if (!found)
			continue;
		user->name = strdup(entry->pw_name); /* lives as long as the process */
		user->home = strdup(entry->pw_dir);
		user->uid = entry->pw_uid;
		if (!is_number)
			user->gid = entry->pw_gid;
	}
	if (list)
		fclose(list);
	if (!found && is_number)
		user->name = user->home = "/";
	else if (!found)
		log_error("--user %s: there is no such user in %s", word, path);
	free(path);
	return found || is_number ? 0 : -EINVAL;
}

static int rootfs_say_user(const struct rootfs *rootfs, FILE *conf)
{
	const char *term = getenv("TERM"), *lang = getenv("LANG");
	struct rootfs_user user = {0};
	char *cwd = NULL;
	int ret = rootfs_find_user(rootfs, &user);

	if (ret < 0)
		return ret;
	if (user.uid || user.gid)
		rootfs_say(conf, "ids", "%u/%u", user.uid, user.gid);
	rootfs_say(conf, "env", "PATH=%s", ROOTFS_PATH);
	rootfs_say(conf, "env", "HOME=%s", user.home);
	rootfs_say(conf, "env", "USER=%s", user.name);
	rootfs_say(conf, "env", "LOGNAME=%s", user.name);
	rootfs_say(conf, "env", "TERM=%s", term ? term : "linux");
	if (lang)
		rootfs_say(conf, "env", "LANG=%s", lang);
	/* In the host's own root, where we are ourselves. */
	if (!rootfs->cwd && !rootfs->dir)
		cwd = getcwd(NULL, 0);
	rootfs_say(conf, "cwd", "%s", rootfs->cwd ? rootfs->cwd : cwd ? cwd : user.home);
	if (rootfs->cwd)
		rootfs_say(conf, "must", "cwd");
	free(cwd);
	return 0;
}

/* What docs/networking.md says of user mode's addresses. */
static void rootfs_say_network(const struct vm_config *cfg, FILE *conf)
{
	const struct nic_params *nic = &cfg->nic[0];
	struct in_addr guest = nic->guest_ip, host = nic->host_ip, dns;
	char text[3][INET_ADDRSTRLEN];

	if (!cfg->nr_nics || nic->mode != NIC_USER || !guest.s_addr != !host.s_addr)
		return;
	if (!guest.s_addr) {
		inet_pton(AF_INET, NIC_DEFAULT_GUEST_IP, &guest);
		inet_pton(AF_INET, NIC_DEFAULT_HOST_IP, &host);
	}
	dns.s_addr = htonl((ntohl(host.s_addr) & 0xffffff00) | 3);
	inet_ntop(AF_INET, &guest, text[0], sizeof(text[0]));
	inet_ntop(AF_INET, &host, text[1], sizeof(text[1]));
	inet_ntop(AF_INET, &dns, text[2], sizeof(text[2]));
	rootfs_say(conf, "net", "%s/%s/%s", text[0], text[1], text[2]);
}

static void rootfs_say_terminal(const struct vm_config *cfg, FILE *conf)
{
	struct winsize size;

	if (cfg->pipes)
		return;
	rootfs_say(conf, "tty", "%s", cfg->console == CONSOLE_VIRTIO ? "/dev/hvc0" : "/dev/ttyS0");
	if (!cfg->detach && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		rootfs_say(conf, "size", "%u/%u", size.ws_row, size.ws_col);
}

static int rootfs_say_all(const struct rootfs *rootfs, const struct vm_config *cfg,
			  const struct modules *mods, FILE *conf)
{
	for (unsigned int i = 0; i < mods->nr; i++)
		rootfs_say(conf, "module", "/modules/%s.ko", mods->module[i].name);
	rootfs_say(conf, "root", "%s", rootfs->rw ? "rw" : "ro");
	if (rootfs_needs_host(rootfs))
		rootfs_say(conf, "share", "%s:ro:%s", ROOTFS_HOST_TAG, ROOTFS_HOST_DIR);
	for (unsigned int i = 0; i < rootfs->nr_shares; i++)
		rootfs_say(conf, "share", "lkvm-%u:%s:%s", i, rootfs->share[i].rw ? "rw" : "ro",
			   rootfs->share[i].dir);
	rootfs_say(conf, "hostname", "%s", cfg->name);
	rootfs_say_network(cfg, conf);
	rootfs_say_terminal(cfg, conf);
	for (char **word = rootfs->command; word && *word; word++)
		rootfs_say(conf, "arg", "%s", *word);
	return rootfs_say_user(rootfs, conf);
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

static int rootfs_make_initrd(const struct rootfs *rootfs, struct vm_config *cfg,
			      const struct modules *mods)
{
	char *text = NULL;
	size_t len = 0;
	FILE *conf = open_memstream(&text, &len);
	int ret = conf ? rootfs_say_all(rootfs, cfg, mods, conf) : -ENOMEM;

	if (conf && fclose(conf) && ret == 0)
		ret = -ENOMEM;
	if (ret == 0)
		ret = rootfs_pack(mods, text, len);
	free(text);
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

static int rootfs_add_shares(const struct rootfs *rootfs, struct vm_config *cfg)
{
	int ret =
		rootfs_add_share(cfg, rootfs->dir ? rootfs->dir : "/", GUEST_ROOT_TAG, rootfs->rw);

	if (ret == 0 && rootfs_needs_host(rootfs))
		ret = rootfs_add_share(cfg, "/", ROOTFS_HOST_TAG, false);
	for (unsigned int i = 0; i < rootfs->nr_shares && ret == 0; i++)
		ret = rootfs_add_share(cfg, rootfs->share[i].dir, xasprintf("lkvm-%u", i),
				       rootfs->share[i].rw);
	return ret;
}

int rootfs_prepare(const struct rootfs *rootfs, struct vm_config *cfg)
{
	char *release = kernel_release(cfg->kernel);
	struct modules mods = {0};
	int ret;

	if (!release)
		return -ENOEXEC;
	cfg->rootfs = true;
	cfg->no_reboot = true;
	cfg->pipes = !cfg->detach && !(isatty(STDIN_FILENO) && isatty(STDOUT_FILENO));
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
