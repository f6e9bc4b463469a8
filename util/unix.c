// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/unix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "kvm/util.h"

#define UNIX_BACKLOG 128

static int unix_socket(const char *path, struct sockaddr_un *addr)
{
	int fd;

	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	strcpy(addr->sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd < 0 ? -errno : fd;
}

int unix_connect(const char *path)
{
	struct sockaddr_un addr;
	int fd = unix_socket(path, &addr), ret;

	if (fd < 0 || !connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

int unix_take_over(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	fd = unix_connect(path);
	if (fd >= 0)
		close(fd);
	if (fd >= 0 || fd == -EAGAIN)
		return -EADDRINUSE;
	if (fd != -ECONNREFUSED)
		return fd;
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

int unix_listen(const char *path, mode_t mode)
{
	struct sockaddr_un addr;
	int fd = unix_socket(path, &addr), ret;

	if (fd < 0)
		return fd;
	ret = unix_take_over(path);
	/* The mode of an unbound socket is that of the file which bind() makes. */
	if (!ret && (fchmod(fd, mode) || bind(fd, (struct sockaddr *)&addr, sizeof(addr))))
		ret = -errno;
	if (!ret && listen(fd, UNIX_BACKLOG)) {
		ret = -errno;
		unlink(path);
	}
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

char *unix_absolute(const char *path)
{
	char *cwd, *absolute;

	if (*path == '/')
		return strdup(path);
	cwd = getcwd(NULL, 0);
	absolute = cwd ? xasprintf("%s/%s", cwd, path) : NULL;
	free(cwd);
	return absolute;
}
