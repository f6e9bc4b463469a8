// SPDX-License-Identifier: GPL-2.0-or-later
#include <asm/errno.h>
#include <asm/fcntl.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/mount.h>

#include "init.h"

/* Nobody else changes what is read-only to us; what is not, the host may change any time. */
#define MOUNTS_9P    "trans=virtio,version=9p2000.L,msize=512000,cache="
#define MOUNTS_9P_RO MOUNTS_9P "loose"
#define MOUNTS_9P_RW MOUNTS_9P "mmap"

static long mounts_one(const char *what, const char *where, const char *type, unsigned long flags,
		       const char *options)
{
	SYS(mkdirat, AT_FDCWD, where, 0755, 0, 0);
	return SYS(mount, what, where, type, flags, options);
}

/* What a kernel was built without that does not know a type of file system. */
static const char *mounts_option(const char *type)
{
	static const char *const options[][2] = {
		{"9p", "CONFIG_9P_FS"},		  {"devtmpfs", "CONFIG_DEVTMPFS"},
		{"overlay", "CONFIG_OVERLAY_FS"}, {"proc", "CONFIG_PROC_FS"},
		{"tmpfs", "CONFIG_TMPFS"},	  {"virtiofs", "CONFIG_VIRTIO_FS"},
	};

	for (unsigned int i = 0; i < sizeof(options) / sizeof(*options); i++)
		if (str_equal(type, options[i][0]))
			return options[i][1];
	return type;
}

static void mounts_must(struct init *init, const char *what, const char *where, const char *type,
			unsigned long flags, const char *options)
{
	long ret = mounts_one(what, where, type, flags, options);
	char line[256];

	if (ret >= 0)
		return;
	if (ret == -ENODEV)
		STR_JOIN(line, "the kernel lacks ", mounts_option(type),
			 ", or its modules have to be given with --modules");
	else
		STR_JOIN(line, "cannot mount ", type, " at ", where, ": ", error_name(ret));
	init_fail(init, line, "", "");
}

void mounts_early(struct init *init)
{
	int fd;

	mounts_must(init, "dev", "/dev", "devtmpfs", 0, "mode=755");
	/* A kernel without a console gives us no 0 to 2; no other file may get these numbers. */
	do
		fd = (int)SYS(openat, AT_FDCWD, "/dev/null", O_RDWR, 0, 0);
	while (fd >= 0 && fd <= 2);
	SYS(close, fd, 0, 0, 0, 0);
}

/* A share; virtiofsd has been told what may be cached. */
static void mounts_share(struct init *init, const char *tag, const char *where, bool rw)
{
	const char *type = conf_get(&init->conf, "files", NULL);
	const char *options = rw ? MOUNTS_9P_RW : MOUNTS_9P_RO;

	mounts_must(init, tag, where, type, rw ? 0 : MS_RDONLY,
		    str_equal(type, "9p") ? options : NULL);
}

/*
 * An overlay opens files below it with O_NOATIME where it may, as their owner or with CAP_FOWNER. A
 * virtiofsd that is one user on the host has no such power over the files of others, and fails. So
 * that one gets an overlay in between, which changes nothing and was mounted without CAP_FOWNER.
 */
static const char *mounts_calm(struct init *init)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct all[_LINUX_CAPABILITY_U32S_3], less[_LINUX_CAPABILITY_U32S_3];

	if (!conf_get(&init->conf, "calm", NULL))
		return "/host";
	SYS(capget, &head, all, 0, 0, 0);
	memcpy(less, all, sizeof(less));
	less[CAP_TO_INDEX(CAP_FOWNER)].effective &= ~CAP_TO_MASK(CAP_FOWNER);
	SYS(capset, &head, less, 0, 0, 0);
	/* One folder alone makes no overlay; there is nothing in the other. */
	SYS(mkdirat, AT_FDCWD, "/rw/none", 0755, 0, 0);
	mounts_must(init, "calm", "/calm", "overlay", MS_RDONLY, "lowerdir=/host:/rw/none");
	SYS(capset, &head, all, 0, 0, 0);
	return "/calm";
}

static void mounts_open_root(struct init *init)
{
	const char *mode = conf_get(&init->conf, "root", NULL);
	char layers[128];

	if (mode && str_equal(mode, "rw")) {
		mounts_share(init, GUEST_ROOT_TAG, "/new", true);
		return;
	}
	mounts_share(init, GUEST_ROOT_TAG, "/host", false);
	mounts_must(init, "changes", "/rw", "tmpfs", 0, "size=75%");
	SYS(mkdirat, AT_FDCWD, "/rw/upper", 0755, 0, 0);
	SYS(mkdirat, AT_FDCWD, "/rw/work", 0755, 0, 0);
	STR_JOIN(layers, "lowerdir=", mounts_calm(init), ",upperdir=/rw/upper,workdir=/rw/work");
	mounts_must(init, "root", "/new", "overlay", 0, layers);
}

static void mounts_make_path(const char *path)
{
	char part[4096];

	for (size_t n = 1; path[n] && n < sizeof(part); n++) {
		if (path[n] != '/')
			continue;
		memcpy(part, path, n);
		part[n] = '\0';
		SYS(mkdirat, AT_FDCWD, part, 0755, 0, 0);
	}
	SYS(mkdirat, AT_FDCWD, path, 0755, 0, 0);
}

/* share=TAG:ro|rw:DIR */
static void mounts_shares(struct init *init)
{
	const char *share = NULL, *dir;
	char tag[64];

	while ((share = conf_get(&init->conf, "share", share))) {
		size_t n = 0;
		bool rw;

		while (share[n] && share[n] != ':' && n + 1 < sizeof(tag)) {
			tag[n] = share[n];
			n++;
		}
		tag[n] = '\0';
		rw = str_after(share + n, ":rw:") != NULL;
		dir = share + n + 4;
		mounts_make_path(dir);
		mounts_share(init, tag, dir, rw);
	}
}

static void mounts_link(const char *to, const char *path)
{
	SYS(symlinkat, to, AT_FDCWD, path, 0, 0);
}

/* What lkvm's user may not look into is of no use as a home: the guest's root gets an empty one. */
static void mounts_home(void)
{
	if (SYS(faccessat, AT_FDCWD, "/root/.profile", 0, 0, 0) == -EACCES)
		mounts_one("tmpfs", "/root", "tmpfs", MS_NOSUID | MS_NODEV, "mode=700");
}

void mounts_root(struct init *init)
{
	const char *mode = conf_get(&init->conf, "root", NULL);

	mounts_open_root(init);
	SYS(mkdirat, AT_FDCWD, "/new/dev", 0755, 0, 0);
	SYS(mount, "/dev", "/new/dev", NULL, MS_MOVE, NULL);
	SYS(chdir, "/new", 0, 0, 0, 0);
	SYS(mount, "/new", "/", NULL, MS_MOVE, NULL);
	SYS(chroot, ".", 0, 0, 0, 0);
	SYS(chdir, "/", 0, 0, 0, 0);

	mounts_must(init, "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mounts_one("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mounts_one("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
		   "ptmxmode=666,mode=620,gid=5");
	mounts_one("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	mounts_one("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
	/* Over a copy of the host's root, what is in /tmp may be what the command is about. */
	if (mode && str_equal(mode, "rw"))
		mounts_one("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	mounts_home();
	mounts_link("/proc/self/fd", "/dev/fd");
	mounts_link("/proc/self/fd/0", "/dev/stdin");
	mounts_link("/proc/self/fd/1", "/dev/stdout");
	mounts_link("/proc/self/fd/2", "/dev/stderr");
	mounts_shares(init);
}
