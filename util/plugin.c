// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/plugin.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/util.h"

/* The plugin's path, to be freed; NULL when there is none. */
static char *plugin_find(const char *name)
{
	static const char *const places[] = {"", "/../lib/lkvm"};
	char exe[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *path, *slash;

	if (len < 0)
		return NULL;
	exe[len] = '\0';
	slash = strrchr(exe, '/');
	if (slash)
		*slash = '\0';
	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++) {
		path = xasprintf("%s%s/lkvm-%s.so", exe, places[i], name);
		if (path && access(path, R_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

bool plugin_exists(const char *name)
{
	char *path = plugin_find(name);
	bool found = path;

	free(path);
	return found;
}

const void *plugin_load(const char *name, const char *symbol, const char *what)
{
	char *path = plugin_find(name);
	void *handle, *found;

	if (!path) {
		log_error("%s: this lkvm was built without it (there is no lkvm-%s.so)", what,
			  name);
		return NULL;
	}
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	found = handle ? dlsym(handle, symbol) : NULL;
	if (!found)
		log_error("%s: %s", what, dlerror());
	free(path);
	return found;
}
