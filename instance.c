// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/unix.h"
#include "kvm/util.h"

#define INSTANCE_SUFFIX	 ".sock"
#define INSTANCE_ALLOWED "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

static bool instance_name_ok(const char *name)
{
	return *name && *name != '.' && *name != '-' && !name[strspn(name, INSTANCE_ALLOWED)];
}

void instance_set_run_dir(const char *dir)
{
	setenv("LKVM_RUN_DIR", dir, 1);
}

char *instance_run_dir(void)
{
	const char *dir = getenv("LKVM_RUN_DIR");
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	const char *home = getenv("HOME");
	char *path;

	if (dir && *dir) {
		path = unix_absolute(dir);
	} else if (xdg && *xdg == '/') { /* the XDG specification: ignore it unless absolute */
		path = xasprintf("%s/lkvm", xdg);
	} else if (home && *home) {
		path = xasprintf("%s/.lkvm", home);
	} else {
		log_error("no run folder: neither --run-dir, LKVM_RUN_DIR, XDG_RUNTIME_DIR nor "
			  "HOME is set");
		return NULL;
	}
	if (!path)
		log_error("run folder: %s", strerror(errno));
	return path;
}

/* 0 or -ENAMETOOLONG, nothing printed. */
static int instance_address(struct sockaddr_un *addr, const char *dir, const char *name)
{
	int len;

	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	len = snprintf(addr->sun_path, sizeof(addr->sun_path), "%s/%s" INSTANCE_SUFFIX, dir, name);
	return len < (int)sizeof(addr->sun_path) ? 0 : -ENAMETOOLONG;
}

int instance_check_name(const char *name)
{
	struct sockaddr_un addr;
	char *dir;
	int ret;

	if (!instance_name_ok(name)) {
		log_error("VM name '%s': wants letters, digits, '.', '_' and '-', and neither '.' "
			  "nor '-' first",
			  name);
		return -EINVAL;
	}
	dir = instance_run_dir();
	if (!dir)
		return -EINVAL;
	ret = instance_address(&addr, dir, name);
	if (ret)
		log_error("VM name '%s': the socket's path %s/%s" INSTANCE_SUFFIX
			  " is longer than %zu bytes",
			  name, dir, name, sizeof(addr.sun_path) - 1);
	free(dir);
	return ret;
}

/*
 * The folder's own lock serialises starters, and those who remove stale sockets with them: who
 * holds it sees no socket that is bound but does not listen yet. Closing the fd unlocks.
 */
static int instance_lock(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	do
		ret = flock(fd, LOCK_EX);
	while (ret && errno == EINTR);
	if (ret) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

/*
 * Who can write to the folder can put his own socket in a VM's place, so it must be ours alone.
 * Reading it is harmless: the sockets themselves are 0600, and the VM looks at its peers.
 */
static int instance_judge_dir(const char *dir, int dir_fd)
{
	struct stat st;

	if (fstat(dir_fd, &st)) {
		int ret = -errno;

		log_error("run folder %s: %s", dir, strerror(-ret));
		return ret;
	}
	if (st.st_uid != geteuid()) {
		log_error("run folder %s belongs to another user (uid %u)", dir, st.st_uid);
		return -EPERM;
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		log_error(
			"run folder %s can be written by others: chmod go-w it, or choose another",
			dir);
		return -EPERM;
	}
	return 0;
}

/* Makes the folder if need be and locks it. Prints. */
static int instance_enter(const char *dir)
{
	int dir_fd, ret;

	if (mkdir(dir, 0700) && errno != EEXIST) {
		ret = -errno;
		log_error("cannot make the run folder %s: %s (--run-dir names another)", dir,
			  strerror(-ret));
		return ret;
	}
	dir_fd = instance_lock(dir);
	if (dir_fd < 0) {
		log_error("run folder %s: %s", dir, strerror(-dir_fd));
		return dir_fd;
	}
	ret = instance_judge_dir(dir, dir_fd);
	if (ret) {
		close(dir_fd);
		return ret;
	}
	return dir_fd;
}

/*
 * The send time-out bounds connect(), which would wait for as long as the backlog of a VM that
 * hangs is full (unix(7)), and all that is sent later.
 */
static int instance_dial(const struct sockaddr_un *addr)
{
	const struct timeval second = {.tv_sec = 1};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second));
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr))) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

/* With the folder locked. Prints. */
static int instance_claim(const struct sockaddr_un *addr, const char *name)
{
	int fd = unix_listen(addr->sun_path, 0600);

	if (fd == -EADDRINUSE)
		log_error("a VM named %s is running already", name);
	else if (fd < 0)
		log_error("socket %s: %s", addr->sun_path, strerror(-fd));
	return fd == -EADDRINUSE ? -EEXIST : fd;
}

int instance_listen(const char *name, char **path)
{
	struct sockaddr_un addr;
	char *dir;
	int dir_fd, fd;
	int ret = instance_check_name(name);

	if (ret)
		return ret;
	dir = instance_run_dir();
	if (!dir)
		return -EINVAL;
	instance_address(&addr, dir, name); /* fits: instance_check_name() */
	dir_fd = instance_enter(dir);
	free(dir);
	if (dir_fd < 0)
		return dir_fd;
	fd = instance_claim(&addr, name);
	close(dir_fd);
	if (fd < 0)
		return fd;
	*path = strdup(addr.sun_path);
	if (!*path) {
		log_error("out of memory");
		unlink(addr.sun_path);
		close(fd);
		return -ENOMEM;
	}
	return fd;
}

int instance_connect(const char *name)
{
	struct sockaddr_un addr;
	char *dir = instance_run_dir();
	int ret = dir ? instance_address(&addr, dir, name) : -EINVAL;

	if (!ret)
		ret = instance_dial(&addr);
	if (ret == -ECONNREFUSED) {
		int dir_fd = instance_lock(dir);

		if (dir_fd >= 0) {
			ret = unix_take_over(addr.sun_path);
			close(dir_fd);
			if (ret == -EADDRINUSE) /* meanwhile somebody came */
				ret = instance_dial(&addr);
			else if (ret == 0)
				ret = -ENOENT;
		}
	}
	free(dir);
	return ret;
}

/* NAME.status, malloc'ed; NULL: no folder, no memory. */
static char *instance_status_path(const char *name)
{
	char *dir = instance_run_dir();
	char *path = dir ? xasprintf("%s/%s.status", dir, name) : NULL;

	free(dir);
	return path;
}

void instance_leave_status(const char *name, int status)
{
	char *path = instance_status_path(name);
	int fd;

	if (!path)
		return;
	unlink(path);
	fd = status < 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0) {
		dprintf(fd, "%d\n", status);
		close(fd);
	}
	free(path);
}

int instance_take_status(const char *name)
{
	char *path = instance_status_path(name);
	FILE *file = path ? fopen(path, "re") : NULL;
	int status = -ENOENT;

	if (file) {
		if (fscanf(file, "%d", &status) != 1 || status < 0)
			status = -ENOENT;
		fclose(file);
		unlink(path);
	}
	free(path);
	return status;
}

/* Cuts the suffix off: false when it is no socket's name. */
static bool instance_cut_suffix(char *file)
{
	size_t len = strlen(file), suffix = strlen(INSTANCE_SUFFIX);

	if (len <= suffix || strcmp(file + len - suffix, INSTANCE_SUFFIX))
		return false;
	file[len - suffix] = '\0';
	return instance_name_ok(file);
}

static int instance_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All names of the folder, sorted. NULL when memory is out. */
static char **instance_scan(DIR *d)
{
	size_t nr = 0;
	char **names = calloc(1, sizeof(*names)), **grown;
	struct dirent *entry;

	while (names && (entry = readdir(d))) {
		if (!instance_cut_suffix(entry->d_name))
			continue;
		grown = reallocarray(names, nr + 2, sizeof(*names));
		if (grown) {
			names = grown;
			names[nr + 1] = NULL;
			names[nr] = strdup(entry->d_name);
		}
		if (!grown || !names[nr++]) {
			instance_free_names(names);
			return NULL;
		}
	}
	if (names)
		qsort(names, nr, sizeof(*names), instance_compare);
	return names;
}

char **instance_names(void)
{
	char *dir = instance_run_dir();
	char **names = NULL;
	DIR *d;

	if (!dir)
		return NULL;
	d = opendir(dir);
	if (d) {
		names = instance_scan(d);
		closedir(d);
		if (!names)
			log_error("out of memory");
	} else if (errno == ENOENT) {
		names = calloc(1, sizeof(*names));
	} else {
		log_error("run folder %s: %s", dir, strerror(errno));
	}
	free(dir);
	return names;
}

void instance_free_names(char **names)
{
	char **name;

	for (name = names; name && *name; name++)
		free(*name);
	free(names);
}
