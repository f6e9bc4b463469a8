// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The embedded init: PID 1 of a guest that lkvm gives a folder of the host for its root. It loads
 * modules, mounts, and runs one command, whose end is the machine's. No libc.
 */
#include "init.h"

#include <asm/errno.h>
#include <asm/fcntl.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/reboot.h>
#include <linux/time_types.h>

#define INIT_PORT_TRIES 500
#define INIT_PORT_WAIT	10000000 /* ns between them */

void init_main(void) __attribute__((noreturn));

const char *init_get(const struct init *init, const char *key, const char *prev)
{
	const char *end = init->config + init->config_len;
	const char *at = prev ? prev + strlen(prev) + 1 : init->config;

	for (; at < end; at += strlen(at) + 1) {
		const char *value = str_after(at, key);

		if (value && *value == '=')
			return value + 1;
	}
	return NULL;
}

void init_say(const char *a, const char *b, const char *c)
{
	char line[512];

	STR_JOIN(line, "lkvm: ", a, b, c, "\n");
	SYS(write, 2, line, strlen(line), 0, 0);
}

void init_send(const struct init *init, unsigned int type, unsigned int value)
{
	const struct guest_message msg = {type, value};
	struct pollfd p = {.fd = init->control, .events = POLLOUT};

	if (init->control < 0)
		return;
	while (SYS(write, init->control, &msg, sizeof(msg), 0, 0) == -EAGAIN)
		SYS(ppoll, &p, 1, NULL, NULL, 0);
}

/*
 * lkvm ends the machine once it has delivered all output, however long that takes; when it is not
 * there to do so, a restart is what every machine can do.
 */
static void __attribute__((noreturn)) init_end(const struct init *init, unsigned int status)
{
	struct pollfd p = {.fd = init->control};

	init_send(init, GUEST_EXITED, status);
	if (init->control >= 0)
		do
			SYS(ppoll, &p, 1, NULL, NULL, 0);
		while (!(p.revents & POLLHUP));
	SYS(sync, 0, 0, 0, 0, 0);
	for (;;)
		SYS(reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART, 0,
		    0);
}

void init_fail(struct init *init, const char *a, const char *b, const char *c)
{
	init_say(a, b, c);
	init_end(init, GUEST_STATUS_FAILED);
}

int init_open_port(const struct init *init, enum guest_port port)
{
	char path[64], dev[12], nr[12];

	number_str(dev, init->device);
	number_str(nr, port);
	STR_JOIN(path, "/dev/vport", dev, "p", nr);
	return (int)SYS(openat, AT_FDCWD, path, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0, 0);
}

/* A plain virtio console is a device with ports as well, but has port 0 only. */
static int init_find_control(struct init *init)
{
	int fd = -ENOENT;

	for (unsigned int dev = 0; fd < 0 && dev < INIT_MAX_DEVICES; dev++) {
		init->device = dev;
		fd = init_open_port(init, GUEST_PORT_CONTROL);
	}
	return fd;
}

/* Ports appear one by one after their driver; one that lkvm has not opened yet polls as hung up. */
static void init_open_control(struct init *init)
{
	const struct __kernel_timespec no_time = {0}, pause = {.tv_nsec = INIT_PORT_WAIT};
	struct pollfd p = {.fd = -ENOENT};

	for (int tries = 0; tries < INIT_PORT_TRIES; tries++) {
		if (p.fd < 0)
			p.fd = init_find_control(init);
		p.revents = 0;
		if (p.fd >= 0 && SYS(ppoll, &p, 1, &no_time, NULL, 0) == 0) {
			init->control = p.fd;
			return;
		}
		SYS(nanosleep, &pause, NULL, 0, 0, 0);
	}
	init_fail(init, "no way to reach lkvm: is CONFIG_VIRTIO_CONSOLE in this kernel?", "", "");
}

static void init_read_config(struct init *init)
{
	int fd = (int)SYS(openat, AT_FDCWD, "/" GUEST_CONFIG, O_RDONLY | O_CLOEXEC, 0, 0);
	long n = 0;

	do
		init->config_len += (size_t)n;
	while ((n = SYS(read, fd, init->config + init->config_len,
			INIT_MAX_CONFIG - init->config_len, 0, 0)) > 0);
	SYS(close, fd, 0, 0, 0, 0);
	if (!init->config_len || init->config[init->config_len - 1])
		init_fail(init, "/" GUEST_CONFIG " is damaged", "", "");
}

static void init_load_modules(const struct init *init)
{
	const char *path = NULL;

	while ((path = init_get(init, "module", path))) {
		int fd = (int)SYS(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0, 0);
		long ret = fd < 0 ? fd : SYS(finit_module, fd, "", 0, 0, 0);

		if (ret < 0 && ret != -EEXIST)
			init_say(path, ": ", error_name(ret));
		SYS(close, fd, 0, 0, 0, 0);
	}
}

void init_main(void)
{
	static struct init state; /* too large for a stack */
	struct init *init = &state;
	const char *name;
	unsigned int status;

	init->control = -1;
	init_read_config(init);
	mounts_early(init);
	init_load_modules(init);
	init_open_control(init);
	mounts_root(init);
	name = init_get(init, "hostname", NULL);
	if (name)
		SYS(sethostname, name, strlen(name), 0, 0, 0);
	net_setup(init);
	status = command_run(init);
	SYS(sync, 0, 0, 0, 0, 0);
	init_end(init, status);
}
