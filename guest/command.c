// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The command that the machine was started for, and its streams. They are pipes (or a terminal), never the ports themselves: a port
 * can be opened once only, and /dev/stdout wants to be opened again.
 */
#include <asm/errno.h>
#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/signal.h>
#include <asm/termios.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/signalfd.h>
#include <linux/time_types.h>
#include <linux/wait.h>

#include "init.h"

#define COMMAND_GRACE 2 /* seconds between being told to end and having to */
#define COMMAND_CHUNK 65536

/* Bytes on their way from a pipe to a port, or the other way. */
struct relay {
	int from, to; /* -1: closed */
	size_t start, len;
	char buf[COMMAND_CHUNK];
};

struct command {
	struct init *init;
	int pid, signal_fd;
	int tty; /* -1: pipes */
	int child_fd[3];
	bool ended, told_to_end;
	unsigned int status;
	struct relay relay[3];
	/* The frame that is coming in. */
	size_t frame_len;
	struct {
		struct guest_frame head;
		char data[GUEST_MAX_FRAME];
	} frame;
};

static void command_close(int *fd)
{
	if (*fd >= 0)
		SYS(close, *fd, 0, 0, 0, 0);
	*fd = -1;
}

/* --- streams --- */

static void relay_close(struct relay *relay)
{
	command_close(&relay->from);
	command_close(&relay->to);
	relay->len = 0;
}

/* A chunk at most, so that no stream holds up the rest. False: nothing can be moved now. */
static bool relay_move(struct relay *relay)
{
	long n;

	if (relay->from < 0)
		return false;
	if (!relay->len) {
		n = SYS(read, relay->from, relay->buf, COMMAND_CHUNK, 0, 0);
		if (n == -EAGAIN || n == -EINTR)
			return false;
		if (n <= 0) {
			relay_close(relay);
			return false;
		}
		relay->start = 0;
		relay->len = (size_t)n;
	}
	n = SYS(write, relay->to, relay->buf + relay->start, relay->len, 0, 0);
	if (n == -EAGAIN || n == -EINTR)
		return false;
	if (n < 0) {
		relay_close(relay);
		return false;
	}
	relay->start += (size_t)n;
	relay->len -= (size_t)n;
	return true;
}

static void relay_poll(const struct relay *relay, struct pollfd p[2])
{
	p[0] = (struct pollfd){.fd = relay->len ? -1 : relay->from, .events = POLLIN};
	/* A port that lkvm has closed says POLLHUP, whatever is asked. */
	p[1] = (struct pollfd){.fd = relay->to, .events = relay->len ? POLLOUT : 0};
}

static void relay_ready(struct relay *relay, const struct pollfd p[2])
{
	if (p[1].revents & (POLLHUP | POLLERR))
		relay_close(relay);
	else if (p[0].revents || p[1].revents)
		relay_move(relay);
}

/* A pipe for stream i: the child's end, and ours. */
static void command_open_pipe(struct command *cmd, int i)
{
	struct init *init = cmd->init;
	struct relay *relay = &cmd->relay[i];
	int fds[2], ours = i == 0 ? 1 : 0, port = init_open_port(init, (enum guest_port)i);

	if (port < 0 || SYS(pipe2, fds, O_CLOEXEC, 0, 0, 0) < 0)
		init_fail(init, "cannot open the command's streams", "", "");
	spawn_give(&init->conf, fds[0]);
	SYS(fcntl, fds[ours], F_SETFL, O_NONBLOCK, 0, 0);
	cmd->child_fd[i] = fds[!ours];
	relay->from = i == 0 ? port : fds[0];
	relay->to = i == 0 ? fds[1] : port;
}

static void command_open_tty(struct command *cmd, const char *path)
{
	cmd->tty = (int)SYS(openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC | O_NOCTTY, 0, 0);
	if (cmd->tty < 0)
		init_fail(cmd->init, path, ": ", error_name(cmd->tty));
	spawn_give(&cmd->init->conf, cmd->tty);
	spawn_first_winsize(&cmd->init->conf, cmd->tty);
	for (int i = 0; i < 3; i++) {
		cmd->child_fd[i] = cmd->tty;
		cmd->relay[i].from = cmd->relay[i].to = -1;
	}
}

/* --- events --- */

static void command_signal_all(const struct command *cmd, int sig)
{
	SYS(kill, -cmd->pid, sig, 0, 0, 0);
	SYS(kill, -cmd->pid, SIGCONT, 0, 0, 0);
}

static void command_frame(struct command *cmd, const struct guest_frame *frame, const char *data)
{
	unsigned int number = 0;

	if (frame->len == sizeof(number))
		memcpy(&number, data, sizeof(number));
	if (frame->session) {
		sessions_frame(cmd->init, frame, data);
		return;
	}
	switch (frame->type) {
	case GUEST_SIGNAL:
		SYS(kill, -cmd->pid, number, 0, 0, 0);
		break;
	case GUEST_WINSIZE:
		if (cmd->tty >= 0)
			spawn_set_winsize(cmd->tty, number);
		break;
	case GUEST_POWEROFF:
		command_signal_all(cmd, SIGHUP);
		command_signal_all(cmd, SIGTERM);
		cmd->told_to_end = true;
		break;
	}
}

/* lkvm is believed, as it can do anything with us. */
static void command_read_control(struct command *cmd)
{
	for (;;) {
		size_t want = sizeof(cmd->frame.head);
		long n;

		if (cmd->frame_len >= want)
			want += cmd->frame.head.len;
		n = SYS(read, cmd->init->control, (char *)&cmd->frame + cmd->frame_len,
			want - cmd->frame_len, 0, 0);
		if (n <= 0)
			return;
		cmd->frame_len += (size_t)n;
		if (cmd->frame_len < sizeof(cmd->frame.head) ||
		    cmd->frame_len < sizeof(cmd->frame.head) + cmd->frame.head.len)
			continue;
		cmd->frame_len = 0;
		command_frame(cmd, &cmd->frame.head, cmd->frame.data);
	}
}

/* As PID 1 it also inherits, and buries, what others leave behind. */
static void command_reap(struct command *cmd)
{
	struct signalfd_siginfo info;
	int pid, status;

	SYS(read, cmd->signal_fd, &info, sizeof(info), 0, 0);
	while ((pid = (int)SYS(wait4, -1, &status, WNOHANG, NULL, 0)) > 0) {
		sessions_reaped(pid, exit_status(status));
		if (pid != cmd->pid)
			continue;
		cmd->ended = true;
		cmd->status = exit_status(status);
	}
}

static void command_wait(struct command *cmd)
{
	struct __kernel_timespec grace = {.tv_sec = COMMAND_GRACE};
	struct pollfd p[8 + SESSION_NR_FDS];

	p[0] = (struct pollfd){.fd = cmd->signal_fd, .events = POLLIN};
	p[1] = (struct pollfd){.fd = cmd->init->control, .events = POLLIN};
	for (int i = 0; i < 3; i++)
		relay_poll(&cmd->relay[i], p + 2 + 2 * i);
	sessions_poll(p + 8);
	if (SYS(ppoll, p, 8 + SESSION_NR_FDS, cmd->told_to_end ? &grace : NULL, NULL, 0) == 0)
		SYS(kill, -1, SIGKILL, 0, 0, 0);
	for (int i = 0; i < 3; i++)
		relay_ready(&cmd->relay[i], p + 2 + 2 * i);
	if (p[0].revents)
		command_reap(cmd);
	sessions_ready(cmd->init, p + 8);
	/* Last: a session that a frame begins must not take another's events for its own. */
	if (p[1].revents & POLLIN)
		command_read_control(cmd);
}

/* All that the command has written goes out, unless nobody takes it any more. */
static void relay_flush(struct relay *relay)
{
	struct pollfd p[2];

	for (;;) {
		while (relay_move(relay))
			;
		if (!relay->len)
			break;
		relay_poll(relay, p);
		SYS(ppoll, p, 2, NULL, NULL, 0);
		if (p[1].revents & (POLLHUP | POLLERR))
			break;
	}
	relay_close(relay);
}

/* What the command has left running in the background ends with it. */
static void command_flush(struct command *cmd)
{
	SYS(kill, -1, SIGKILL, 0, 0, 0);
	if (cmd->tty >= 0)
		SYS(ioctl, cmd->tty, TCSBRK, 1, 0, 0);
	relay_close(&cmd->relay[0]);
	relay_flush(&cmd->relay[1]);
	relay_flush(&cmd->relay[2]);
}

unsigned int command_run(struct init *init)
{
	static struct command state; /* too large for a stack */
	struct command *cmd = &state;
	const char *tty = conf_get(&init->conf, "tty", NULL);
	const unsigned long chld = 1UL << (SIGCHLD - 1);

	cmd->init = init;
	cmd->tty = -1;
	SYS(rt_sigprocmask, SIG_BLOCK, &chld, NULL, sizeof(chld), 0);
	cmd->signal_fd = (int)SYS(signalfd4, -1, &chld, sizeof(chld), O_CLOEXEC | O_NONBLOCK, 0);
	if (tty)
		command_open_tty(cmd, tty);
	for (int i = 0; i < 3 && !tty; i++)
		command_open_pipe(cmd, i);

	cmd->pid = spawn(&init->conf, cmd->child_fd, tty != NULL);
	if (cmd->pid < 0)
		init_fail(init, "cannot make a process: ", error_name(cmd->pid), "");
	for (int i = 0; i < 3 && !tty; i++)
		command_close(&cmd->child_fd[i]);
	init_send(init, GUEST_STARTED, 0, "", 0);
	while (!cmd->ended)
		command_wait(cmd);
	command_flush(cmd);
	return cmd->status;
}
