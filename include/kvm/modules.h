/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_MODULES_H
#define LKVM_MODULES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A kernel's modules: those that a guest needs, with all that they need in turn, in the order in
 * which they can be loaded, unpacked. `dir` is /lib/modules/VERSION or a folder in which a kernel
 * was built.
 */
#define MODULES_MAX 64

struct module {
	char *name; /* "virtio_net" */
	void *data;
	size_t len;
};

struct modules {
	char *dir;
	char *index, *builtin; /* files that list modules, one a line */
	unsigned int depth;    /* of modules_add() in itself */
	unsigned int nr;
	struct module module[MODULES_MAX];
};

/* -ENOENT when dir has no list of modules, or another negative errno; nothing printed. */
int modules_open(struct modules *mods, const char *dir);
void modules_close(struct modules *mods);

/* Whether there is a module of that name, or it is built in. */
bool modules_has(const struct modules *mods, const char *name);
/*
 * Adds a module and what it depends on; one that is built in needs nothing. -ENOENT with nothing
 * printed when there is none of that name; other errors are printed.
 */
int modules_add(struct modules *mods, const char *name);

/* The release that a module was built for ("6.1.0-9-amd64"), malloc'ed; NULL: it does not say. */
char *module_release(const struct module *module);

#endif
