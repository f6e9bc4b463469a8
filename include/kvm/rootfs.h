/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_ROOTFS_H
#define LKVM_ROOTFS_H

#include <stdbool.h>
#include <stddef.h>

struct option_spec;
struct vm_config;

/*
 * A folder of the host as the guest's root: what was asked for, and how it becomes shares and an
 * initramfs with the embedded init and the kernel's modules.
 */
#define ROOTFS_MAX_SHARES 13

struct rootfs_share {
	const char *dir; /* the same in the guest */
	const char *tag; /* set by rootfs_prepare() */
	bool rw;
};

/* What the guest's init runs. Strings that are NULL are left to the guest. */
struct rootfs_command {
	char *const *words;	 /* NULL-terminated; NULL: a shell */
	const char *user, *cwd;	 /* NULL: root; here, or the user's home */
	const char *tty;	 /* the terminal's name, or of an `lkvm exec` ""; NULL: pipes */
	unsigned int rows, cols; /* of the terminal; 0: unknown */
	const char *term, *lang; /* TERM and LANG */
};

/* How the guest is given files; ANY: rootfs_prepare() decides. */
enum rootfs_files { ROOTFS_FILES_ANY, ROOTFS_FILES_9P, ROOTFS_FILES_VIRTIOFS };

struct rootfs {
	const char *dir; /* NULL: the host's own root */
	bool rw, sandbox;
	enum rootfs_files files;
	bool one_user; /* set by rootfs_prepare(): virtiofsd is only lkvm's user on the host */
	const char *modules;
	unsigned int nr_shares;
	struct rootfs_share share[ROOTFS_MAX_SHARES];
	struct rootfs_command command;
};

/* Whether something was asked for that only such a guest can do. */
bool rootfs_is_wanted(const struct rootfs *rootfs);

/*
 * The folder that `-d WORD` means, if it is one: a folder, or what `lkvm setup WORD` has made.
 * malloc'ed; NULL: a disk image.
 */
char *rootfs_find(const char *word);
/* -d DIR[,ro]: takes the folder for the guest's root. False: it is none, or there is one. */
bool rootfs_parse_folder(struct rootfs *rootfs, const char *word);
/* The options of `lkvm run` about it; valid until the next call. */
const struct option_spec *rootfs_options(struct rootfs *rootfs);
/* Where `lkvm setup NAME` puts it, malloc'ed; NULL after an error line. */
char *rootfs_named_path(const char *name);

/*
 * Sets the configuration's shares, initrd, parameters and streams. 0; -ENOEXEC with nothing
 * printed when the kernel is no Linux; or another negative errno after one error line.
 */
int rootfs_prepare(struct rootfs *rootfs, struct vm_config *cfg);

/*
 * One more command for a guest that runs, as agent_exec() wants it, malloc'ed. -ENOENT: the guest
 * has no such user; -E2BIG: too many words. Nothing is printed.
 */
int rootfs_exec_conf(const struct rootfs *rootfs, const struct rootfs_command *command, char **text,
		     size_t *len);

#endif
