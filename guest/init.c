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

const char *conf_get(const struct conf *conf, const char *key, const char *prev)
{
	const char *end = conf->text + conf->len;
	const char *at = prev ? prev + strlen(prev) + 1 : conf->text;

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

/* The port takes up to 32 KiB in one write, as a whole or not at all. */
void init_send(const struct init *init, enum guest_frame_type type, unsigned int session,
	       const void *data, unsigned int len)
{
	static struct {
		struct guest_frame head;
		char data[GUEST_CHUNK];
	} frame;
	struct pollfd p = {.fd = init->control, .events = POLLOUT};

	if (init->control < 0)
		return;
	frame.head = (struct guest_frame){(unsigned short)type, (unsigned short)session, len};
	memcpy(frame.data, data, len);
	while (SYS(write, init->control, &frame, sizeof(frame.head) + len, 0, 0) == -EAGAIN)
		SYS(ppoll, &p, 1, NULL, NULL, 0);
}

void init_send_number(const struct init *init, enum guest_frame_type type, unsigned int session,
		      unsigned int number)
{
	init_send(init, type, session, &number, sizeof(number));
}

/*
 * lkvm ends the machine once it has delivered all output, however long that takes; when it is not
 * there to do so, a restart is what every machine can do.
 */
static void __attribute__((noreturn)) init_end(const struct init *init, unsigned int status)
{
	struct pollfd p = {.fd = init->control};

	init_send_number(init, GUEST_EXITED, 0, status);
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
		init->conf.len += (size_t)n;
	while ((n = SYS(read, fd, init->config + init->conf.len, INIT_MAX_CONFIG - init->conf.len,
			0, 0)) > 0);
	SYS(close, fd, 0, 0, 0, 0);
	init->conf.text = init->config;
	if (!init->conf.len || init->config[init->conf.len - 1])
		init_fail(init, "/" GUEST_CONFIG " is damaged", "", "");
}

static void init_load_modules(const struct init *init)
{
	const char *path = NULL;

	while ((path = conf_get(&init->conf, "module", path))) {
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
	name = conf_get(&init->conf, "hostname", NULL);
	if (name)
		SYS(sethostname, name, strlen(name), 0, 0, 0);
	net_setup(init);
	status = command_run(init);
	SYS(sync, 0, 0, 0, 0, 0);
	init_end(init, status);
}
