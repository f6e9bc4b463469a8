// SPDX-License-Identifier: GPL-2.0-or-later
#include "chardev-impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/loop.h"

#define PTY_LOOK_NS 250000000ULL

/*
 * While nobody has the slave side open, the master reports a hang-up all the time. Nothing but
 * looking tells when somebody comes. Until then output is kept in the ring as for a detached
 * chardev and the guest is not held back.
 */
struct pty {
	struct chardev_end *end;
	struct loop_source *timer;
};

static void pty_disconnected(struct pty *pty)
{
	chardev_end_hold_back(pty->end, false);
	chardev_end_pause(pty->end, true, true);
	loop_arm_timer(pty->timer, PTY_LOOK_NS);
}

static void pty_look(void *arg, uint32_t events)
{
	struct pty *pty = arg;
	struct pollfd p = {.fd = pty->end->in.fd};

	(void)events;
	if (poll(&p, 1, 0) > 0 && p.revents & POLLHUP) {
		loop_arm_timer(pty->timer, PTY_LOOK_NS);
		return;
	}
	chardev_end_hold_back(pty->end, true);
	chardev_end_pause(pty->end, false, false);
}

/* EIO: the last one closed the slave. */
static void pty_input_ended(struct chardev_end *end, int err)
{
	(void)err;
	end->in_ended = false;
	pty_disconnected(end->ops_arg);
}

static void pty_output_failed(struct chardev_end *end, int err)
{
	(void)err;
	pty_disconnected(end->ops_arg);
}

static const struct chardev_end_ops pty_ops = {
	.input_ended = pty_input_ended,
	.output_failed = pty_output_failed,
};

int pty_open_master(char *path, size_t size)
{
	int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), slave;
	struct termios tio;

	if (fd < 0)
		return -errno;
	if (grantpt(fd) || unlockpt(fd) || ptsname_r(fd, path, size))
		goto fail;
	slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		goto fail;
	/* Raw, or what the guest prints would be echoed as its input. */
	if (!tcgetattr(slave, &tio)) {
		cfmakeraw(&tio);
		tcsetattr(slave, TCSANOW, &tio);
	}
	close(slave);
	return fd;

fail:
	slave = -errno;
	close(fd);
	return slave;
}

static void pty_close(void *impl)
{
	struct pty *pty = impl;

	loop_remove(pty->timer);
	free(pty);
}

struct chardev *chardev_pty_create(struct loop *loop)
{
	struct pty *pty = calloc(1, sizeof(*pty));
	struct chardev *chr = chardev_create(loop);
	char path[PATH_MAX];
	int fd, dup_fd;

	if (!pty || !chr)
		goto fail;
	fd = pty_open_master(path, sizeof(path));
	if (fd < 0) {
		errno = -fd;
		goto fail;
	}
	dup_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (dup_fd < 0) {
		close(fd);
		goto fail;
	}
	pty->end = chardev_end_add(chr, fd, CHARDEV_FD_OWN, dup_fd, CHARDEV_FD_OWN, &pty_ops, pty);
	chr->path = strdup(path);
	pty->timer = loop_add_timer(loop, pty_look, pty);
	if (!pty->end || !chr->path || !pty->timer)
		goto fail_timer;
	pty_disconnected(pty);
	chr->close = pty_close;
	chr->impl = pty;
	return chr;

fail_timer:
	loop_remove(pty->timer);
fail:
	log_error("pty: %m");
	chardev_destroy(chr);
	free(pty);
	return NULL;
}
