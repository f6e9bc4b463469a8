// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A folder that can be a guest's root: what belongs to it is its own, programs and libraries are
 * links into /host, where the guest sees this host, read-only.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/builtin.h"
#include "kvm/instance.h"
#include "kvm/log.h"
#include "kvm/rootfs.h"
#include "kvm/util.h"

#define SETUP_DEFAULT_NAME "default"

static const struct setup_folder {
	const char *name;
	mode_t mode;
} setup_folders[] = {
	{"dev", 0755},	     {"proc", 0755},	{"sys", 0755},	   {"run", 0755},
	{"host", 0755},	     {"etc", 0755},	{"home", 0755},	   {"root", 0700},
	{"mnt", 0755},	     {"tmp", 01777},	{"var", 0755},	   {"srv", 0755},
	{"var/cache", 0755}, {"var/lib", 0755}, {"var/log", 0755}, {"var/tmp", 01777},
};

/* Made as links into /host, as far as the host has them. */
static const char *const setup_links[] = {
	"bin",
	"sbin",
	"lib",
	"lib32",
	"lib64",
	"libx32",
	"usr",
	"etc/alternatives",
	"etc/ssl",
	"etc/ld.so.cache",
	"etc/ld.so.conf",
	"etc/ld.so.conf.d",
	"etc/protocols",
	"etc/services",
	"etc/terminfo",
};

static const struct setup_file {
	const char *name, *text;
} setup_files[] = {
	{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"},
	{"etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"},
	{"etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"},
	{"etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"},
	{"etc/resolv.conf", "nameserver 192.168.33.3\n"},
};

static int setup_file(int dir, const struct setup_file *file)
{
	int fd = openat(dir, file->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	int ret = fd < 0 ? -errno : write_full(fd, file->text, strlen(file->text));

	if (fd >= 0 && close(fd) && ret == 0)
		ret = -errno;
	return ret;
}

static int setup_link(int dir, const char *name)
{
	char *from = xasprintf("/%s", name), *to = xasprintf("/host/%s", name);
	int ret = from && to ? 0 : -ENOMEM;

	if (ret == 0 && access(from, F_OK) == 0 && symlinkat(to, dir, name))
		ret = -errno;
	free(from);
	free(to);
	return ret;
}

/* Prints nothing, but says in *name what it was about. */
static int setup_fill(int dir, const char **name)
{
	int ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(setup_folders) && ret == 0; i++) {
		*name = setup_folders[i].name;
		/* chmod: the umask has no say in what a guest's root looks like. */
		if (mkdirat(dir, *name, 0700) || fchmodat(dir, *name, setup_folders[i].mode, 0))
			ret = -errno;
	}
	for (size_t i = 0; i < ARRAY_SIZE(setup_links) && ret == 0; i++)
		ret = setup_link(dir, *name = setup_links[i]);
	for (size_t i = 0; i < ARRAY_SIZE(setup_files) && ret == 0; i++) {
		*name = setup_files[i].name;
		ret = setup_file(dir, &setup_files[i]);
	}
	return ret;
}

/* What is there already is left alone: it may be somebody's work. */
static enum exit_code setup_make(const char *path)
{
	char *slash = strrchr(path, '/'), *parent = strndup(path, (size_t)(slash - path));
	const char *name = "";
	int dir = -1, ret = parent ? 0 : -ENOMEM;

	if (ret == 0 && mkdir(parent, 0700) && errno != EEXIST)
		ret = -errno;
	if (ret == 0 && mkdir(path, 0755))
		ret = -errno;
	if (ret == 0)
		dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ret == 0)
		ret = dir < 0 ? -errno : setup_fill(dir, &name);
	if (ret < 0)
		log_error("%s%s%s: %s", path, *name ? "/" : "", name, strerror(-ret));
	if (dir >= 0)
		close(dir);
	free(parent);
	return ret < 0 ? EXIT_HOST_ERROR : EXIT_OK;
}

int builtin_setup(int argc, char **argv)
{
	static const char usage[] =
		"usage: lkvm setup [NAME]\n\n"
		"Makes a folder, $HOME/.lkvm/NAME, that can be a guest's root: `lkvm run -d NAME`. What\n"
		"the guest writes there stays; programs are this host's.\n";
	const struct option_spec options[] = {{.type = OPTION_END}};
	int first = options_parse(argc, argv, options, usage, false);
	enum exit_code status;
	const char *name;
	char *path;

	if (first == OPTIONS_HELP)
		return EXIT_OK;
	if (first < 0 || argc - first > 1) {
		if (first >= 0)
			log_error("setup: one name is enough");
		return EXIT_USAGE;
	}
	name = first < argc ? argv[first] : SETUP_DEFAULT_NAME;
	if (instance_check_name(name) < 0)
		return EXIT_USAGE;
	path = rootfs_named_path(name);
	if (!path)
		return EXIT_HOST_ERROR;
	status = setup_make(path);
	if (status == EXIT_OK)
		printf("%s\n", path);
	free(path);
	return status;
}
