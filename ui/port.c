// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/port.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "chardev-impl.h"
#include "kvm/log.h"
#include "kvm/options.h"
#include "kvm/unix.h"
#include "kvm/util.h"

struct port_host {
	const struct port_option *option;
	int fd;
	char *path;	      /* PORT_TO_UNIX: absolute */
	struct termios saved; /* PORT_TO_TTY */
};

static const char *const port_keys[] = {
	[PORT_TO_PTY] = "pty",
	[PORT_TO_FILE] = "file",
	[PORT_TO_UNIX] = "unix",
	[PORT_TO_TTY] = "tty",
};

/* Whether the pair is one of port_keys. */
static bool port_set_to(struct port_option *option, const char *key, const char *val)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(port_keys); i++) {
		if (strcmp(key, port_keys[i]) || !val != (i == PORT_TO_PTY) || (val && !*val))
			continue;
		option->to = i;
		option->path = val;
		return true;
	}
	return false;
}

int port_option_parse(struct port_option *option, char *words)
{
	unsigned int nr_to = 0;
	char *key, *val;

	*option = (struct port_option){0};
	if (!options_next_pair(&words, &key, &val) || val || !*key || strlen(key) > PORT_MAX_NAME ||
	    strchr(key, '/')) {
		log_error("--port %s: should start with a name for it", key ? key : "");
		return -EINVAL;
	}
	option->name = key;
	while (options_next_pair(&words, &key, &val)) {
		if (port_set_to(option, key, val)) {
			nr_to++;
		} else if (!val && !strcmp(key, "console")) {
			option->console = true;
		} else {
			log_error(
				"--port %s: cannot make sense of '%s%s%s' (pty, file=, unix=, tty=, "
				"console)",
				option->name, key, val ? "=" : "", val ? val : "");
			return -EINVAL;
		}
	}
	if (nr_to == 1)
		return 0;
	log_error("--port %s: should lead to one of pty, file=PATH, unix=PATH and tty=PATH",
		  option->name);
	return -EINVAL;
}

static int port_open_pty(const struct port_host *port)
{
	char path[PATH_MAX];
	int fd = pty_open_master(path, sizeof(path));

	if (fd >= 0)
		log_info("port %s is %s", port->option->name, path);
	return fd;
}

static int port_open_file(const struct port_host *port)
{
	int fd = open(port->option->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY,
		      0600);

	return fd < 0 ? -errno : fd;
}

static int port_open_unix(struct port_host *port)
{
	port->path = unix_absolute(port->option->path);
	return port->path ? unix_listen(port->path, 0666) : -errno;
}

static int port_open_tty(struct port_host *port)
{
	int fd = open(port->option->path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	struct termios raw;
	int ret;

	if (fd < 0)
		return -errno;
	if (!tcgetattr(fd, &port->saved)) {
		raw = port->saved;
		cfmakeraw(&raw);
		if (!tcsetattr(fd, TCSANOW, &raw))
			return fd;
	}
	ret = -errno;
	close(fd);
	return ret;
}

static int port_open_fd(struct port_host *port)
{
	switch (port->option->to) {
	case PORT_TO_PTY:
		return port_open_pty(port);
	case PORT_TO_FILE:
		return port_open_file(port);
	case PORT_TO_UNIX:
		return port_open_unix(port);
	case PORT_TO_TTY:
		return port_open_tty(port);
	}
	return -EINVAL;
}

struct port_host *port_open(const struct port_option *option)
{
	struct port_host *port = calloc(1, sizeof(*port));

	if (!port) {
		log_error("--port %s: out of memory", option->name);
		return NULL;
	}
	port->option = option;
	port->fd = port_open_fd(port);
	if (port->fd >= 0)
		return port;
	log_error("--port %s: %s: %s", option->name, option->path ? option->path : "pty",
		  strerror(-port->fd));
	free(port->path);
	free(port);
	return NULL;
}

void port_close(struct port_host *port)
{
	if (!port)
		return;
	if (port->option->to == PORT_TO_TTY)
		tcsetattr(port->fd, TCSANOW, &port->saved);
	if (port->option->to == PORT_TO_UNIX)
		unlink(port->path);
	close(port->fd);
	free(port->path);
	free(port);
}

int port_in_fd(const struct port_host *port)
{
	return port->option->to == PORT_TO_FILE ? -1 : port->fd;
}

int port_out_fd(const struct port_host *port)
{
	return port->fd;
}
