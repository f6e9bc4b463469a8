// SPDX-License-Identifier: GPL-2.0-or-later
/* Device nodes that a feature needs and not every host has. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "kvm/log.h"
#include "kvm/util.h"

int open_device(const char *path, const char *what)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		log_error("%s: %s: %s%s", what, path, strerror(errno),
			  errno == ENOENT || errno == ENODEV || errno == ENXIO
				  ? " (is it in this host's kernel, and its module loaded?)"
			  : errno == EACCES ? " (are you in its group?)"
					    : "");
	return fd;
}
