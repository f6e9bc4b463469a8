// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/cache.h"
#include "kvm/log.h"
#include "kvm/unpack.h"
#include "kvm/util.h"

#define MODULE_MAX_SIZE (256 * MIB)

/* A file's bytes and a NUL, malloc'ed. NULL with errno. */
static char *module_read_file(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret;
	char *data = NULL;
	struct stat st;

	if (fd < 0)
		return NULL;
	ret = fstat(fd, &st) ? -errno : 0;
	if (ret == 0 && (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > MODULE_MAX_SIZE))
		ret = -EINVAL;
	if (ret == 0) {
		data = malloc((size_t)st.st_size + 1);
		ret = data ? read_full(fd, data, (size_t)st.st_size) : -ENOMEM;
	}
	close(fd);
	if (ret < 0) {
		free(data);
		errno = -ret;
		return NULL;
	}
	data[st.st_size] = '\0';
	*len = (size_t)st.st_size;
	return data;
}

static char *module_read_list(const char *dir, const char *name)
{
	char *path = xasprintf("%s/%s", dir, name), *text = NULL;
	size_t len;

	if (path)
		text = module_read_file(path, &len);
	free(path);
	return text;
}

int modules_open(struct modules *mods, const char *dir)
{
	int ret;

	*mods = (struct modules){.dir = strdup(dir)};
	if (!mods->dir)
		return -ENOMEM;
	/* The second is what a kernel build leaves behind, the first what depmod makes of it. */
	mods->index = module_read_list(dir, "modules.dep");
	if (!mods->index)
		mods->index = module_read_list(dir, "modules.order");
	if (!mods->index) {
		ret = -errno;
		modules_close(mods);
		return ret;
	}
	mods->builtin = module_read_list(dir, "modules.builtin");
	return 0;
}

void modules_close(struct modules *mods)
{
	for (unsigned int i = 0; i < mods->nr; i++) {
		free(mods->module[i].name);
		free(mods->module[i].data);
	}
	free(mods->dir);
	free(mods->index);
	free(mods->builtin);
	*mods = (struct modules){0};
}

/* In names of modules, '-' and '_' are the same. */
static bool module_has_name(const char *file, size_t len, const char *name)
{
	size_t n = 0;

	for (; name[n]; n++)
		if (n == len ||
		    (file[n] == '-' ? '_' : file[n]) != (name[n] == '-' ? '_' : name[n]))
			return false;
	return n < len && file[n] == '.';
}

/* The path in the list's line for a module: up to a ':' or the line's end. NULL: no such line. */
static const char *module_find_line(const char *list, const char *name, size_t *len)
{
	for (const char *line = list, *next; line && *line; line = next) {
		size_t path = strcspn(line, ":\n"), base = path;

		next = strchr(line, '\n');
		next = next ? next + 1 : NULL;
		while (base && line[base - 1] != '/')
			base--;
		if (module_has_name(line + base, path - base, name)) {
			*len = path;
			return line;
		}
	}
	return NULL;
}

bool modules_has(const struct modules *mods, const char *name)
{
	size_t len;

	return module_find_line(mods->index, name, &len) ||
	       module_find_line(mods->builtin, name, &len);
}

/* Unpacks in place of what was read. 0 or a negative errno. */
static int module_unpack(struct module *module)
{
	enum unpack_format format = unpack_detect(module->data, module->len);
	uint64_t len;
	char *out;
	int fd, ret;

	if (format == UNPACK_STORED)
		return 0;
	fd = cache_unpack(format, module->data, module->len, 0, MODULE_MAX_SIZE, &len);
	if (fd < 0)
		return fd;
	out = malloc(len + 1);
	ret = out ? pread_full(fd, out, len, 0) : -ENOMEM;
	close(fd);
	if (ret < 0) {
		free(out);
		return ret;
	}
	free(module->data);
	module->data = out;
	module->len = len;
	return 0;
}

/*
 * The value of a string of the module's .modinfo; NULL: there is none. `key` is given with the NUL
 * that ends the string before it: "\0depends=".
 */
static const char *module_info(const struct module *module, const char *key, size_t len)
{
	const char *at = memmem(module->data, module->len, key, len);
	const char *end = (const char *)module->data + module->len;

	if (!at || !memchr(at + len, '\0', (size_t)(end - at) - len))
		return NULL;
	return at + len;
}
#define MODULE_INFO(module, key) module_info(module, "\0" key "=", sizeof("\0" key "=") - 1)

char *module_release(const struct module *module)
{
	const char *magic = MODULE_INFO(module, "vermagic");
	size_t n = 0;

	while (magic && magic[n] > ' ' && magic[n] <= '~')
		n++;
	return n ? strndup(magic, n) : NULL;
}

/* "a,b,c": all of them come first. */
static int modules_add_depends(struct modules *mods, const struct module *module)
{
	const char *depends = MODULE_INFO(module, "depends");
	int ret = 0;

	while (depends && *depends && ret == 0) {
		size_t len = strcspn(depends, ",");
		char *name = strndup(depends, len);

		ret = name ? modules_add(mods, name) : -ENOMEM;
		if (ret == -ENOENT) {
			log_error("%s: module %s needs %s, which is not there", mods->dir,
				  module->name, name);
			ret = -EINVAL;
		}
		free(name);
		depends += len + (depends[len] == ',');
	}
	return ret;
}

static int modules_load(struct modules *mods, struct module *module, const char *line, size_t len)
{
	/* A build's list names objects in new kernels, modules in older ones. */
	bool object = len > 2 && !memcmp(line + len - 2, ".o", 2);
	char *path = xasprintf("%s/%.*s%s", mods->dir, (int)(object ? len - 2 : len), line,
			       object ? ".ko" : "");
	int ret = -ENOMEM;

	if (path) {
		module->data = module_read_file(path, &module->len);
		ret = module->data ? module_unpack(module) : -errno;
		if (ret < 0)
			log_error("module %s: %s", path,
				  ret == -ENOTSUP
					  ? "packed in a way that this lkvm was built without"
					  : strerror(-ret));
	}
	free(path);
	return ret;
}

int modules_add(struct modules *mods, const char *name)
{
	struct module module = {0};
	const char *line;
	size_t len;
	int ret;

	for (unsigned int i = 0; i < mods->nr; i++)
		if (!strcmp(mods->module[i].name, name))
			return 0;
	if (module_find_line(mods->builtin, name, &len))
		return 0;
	line = module_find_line(mods->index, name, &len);
	if (!line)
		return -ENOENT;
	module.name = strdup(name);
	ret = module.name ? modules_load(mods, &module, line, len) : -ENOMEM;
	/* They cannot depend on each other in a circle, but damaged files can. */
	mods->depth++;
	if (ret == 0)
		ret = mods->depth > MODULES_MAX ? -ELOOP : modules_add_depends(mods, &module);
	mods->depth--;
	if (ret == 0 && mods->nr == MODULES_MAX) {
		log_error("%s: more than %d modules are needed", mods->dir, MODULES_MAX);
		ret = -E2BIG;
	}
	if (ret < 0) {
		free(module.name);
		free(module.data);
		return ret;
	}
	mods->module[mods->nr++] = module;
	return 0;
}
