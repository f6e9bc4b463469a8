// SPDX-License-Identifier: GPL-2.0-or-later
/* The options of `lkvm run` that are about a folder as the guest's root. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/log.h"
#include "kvm/options.h"
#include "kvm/rootfs.h"
#include "kvm/util.h"

bool rootfs_parse_folder(struct rootfs *rootfs, const char *word)
{
	size_t len = strlen(word);
	bool ro = len > 3 && !strcmp(word + len - 3, ",ro");
	char *name;

	if (rootfs->dir)
		return false;
	name = strndup(word, ro ? len - 3 : len);
	rootfs->dir = name ? rootfs_find(name) : NULL;
	free(name);
	if (rootfs->dir && !rootfs->sandbox)
		rootfs->rw = !ro;
	return rootfs->dir;
}

static int rootfs_parse_share(const struct option_spec *opt, const char *word)
{
	struct rootfs *rootfs = opt->value;
	char *path = realpath(word, NULL); /* lives as long as the process */

	if (!path) {
		log_error("--%s %s: %m", opt->long_name, word);
		return -EINVAL;
	}
	if (!strcmp(path, "/")) {
		log_error("--%s %s: that is the root itself, which --rw makes writable",
			  opt->long_name, word);
		free(path);
		return -EINVAL;
	}
	if (rootfs->nr_shares == ROOTFS_MAX_SHARES - 1) {
		log_error("--%s %s: more than %d folders", opt->long_name, word,
			  ROOTFS_MAX_SHARES - 1);
		return -EINVAL;
	}
	rootfs->share[rootfs->nr_shares++] =
		(struct rootfs_share){.dir = path, .rw = !strcmp(opt->long_name, "rwdir")};
	return 0;
}

static int rootfs_parse_files(const struct option_spec *opt, const char *word)
{
	struct rootfs *rootfs = opt->value;

	if (!strcmp(word, "9p")) {
		rootfs->files = ROOTFS_FILES_9P;
	} else if (!strcmp(word, "virtiofs")) {
		rootfs->files = ROOTFS_FILES_VIRTIOFS;
	} else {
		log_error("--files %s: should be 9p or virtiofs", word);
		return -EINVAL;
	}
	return 0;
}

const struct option_spec *rootfs_options(struct rootfs *rootfs)
{
	static struct option_spec options[9];
	const struct option_spec table[] = {
		{OPTION_GROUP, .help = "A folder as the guest's root (docs/rootfs.md):"},
		{OPTION_FLAG, 0, "rw", &rootfs->rw, 0, "writes go to the host, not into a copy", 0},
		{OPTION_CALL, 0, "rodir", rootfs, "DIR", "this folder of the host, too, read-only",
		 rootfs_parse_share},
		{OPTION_CALL, 0, "rwdir", rootfs, "DIR", "this folder of the host, too, writable",
		 rootfs_parse_share},
		{OPTION_STRING, 0, "user", &rootfs->command.user, "USER",
		 "who runs the command (root)", 0},
		{OPTION_STRING, 0, "cwd", &rootfs->command.cwd, "DIR", "and in what folder", 0},
		{OPTION_CALL, 0, "files", rootfs, "KIND",
		 "how it sees them: 9p or virtiofs (docs/rootfs.md)", rootfs_parse_files},
		{OPTION_STRING, 0, "modules", &rootfs->modules, "DIR",
		 "the kernel's modules (/lib/modules/VERSION)", 0},
		{0},
	};

	_Static_assert(ARRAY_SIZE(options) >= ARRAY_SIZE(table), "room for all of them");
	memcpy(options, table, sizeof(table));
	return options;
}
