// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The command and its streams. They are pipes (or a terminal), never the ports themselves: a port
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
	size_t message_len;
	struct guest_message message;
	struct relay relay[3];
};

static void command_close(int *fd)
{
	if (*fd >= 0)
		SYS(close, *fd, 0, 0, 0, 0);
	*fd = -1;
}

/* --- the child --- */

static void __attribute__((noreturn)) child_fail(const char *what, long err, unsigned int status)
{
	init_say(what, ": ", error_name(err));
	for (;;)
		SYS(exit_group, status, 0, 0, 0, 0);
}

static const char *child_env(struct init *init, const char *name)
{
	for (char **env = init->envs; *env; env++) {
		const char *value = str_after(*env, name);

		if (value && *value == '=')
			return value + 1;
	}
	return "";
}

/* Returns only the errno of the most telling failure. */
static long child_search_path(struct init *init)
{
	const char *path = child_env(init, "PATH");
	long ret, worst = -ENOENT;
	char file[4096], dir[4096];

	while (*path) {
		size_t n = 0;

		while (path[n] && path[n] != ':' && n + 1 < sizeof(dir)) {
			dir[n] = path[n];
			n++;
		}
		dir[n] = '\0';
		STR_JOIN(file, dir, "/", init->args[0]);
		ret = SYS(execve, file, init->args, init->envs, 0, 0);
		if (ret != -ENOENT && ret != -ENOTDIR)
			worst = ret;
		path += n + (path[n] == ':');
	}
	return worst;
}

static bool child_has_slash(const char *name)
{
	while (*name && *name != '/')
		name++;
	return *name;
}

static void child_become_user(struct init *init)
{
	const char *ids = init_get(init, "ids", NULL);
	unsigned int uid, gid;

	if (!ids)
		return;
	uid = str_number(ids, &ids);
	gid = str_number(ids + 1, &ids);
	SYS(setgroups, 0, NULL, 0, 0, 0);
	if (SYS(setgid, gid, 0, 0, 0, 0) < 0 || SYS(setuid, uid, 0, 0, 0, 0) < 0)
		child_fail("--user", -EPERM, GUEST_STATUS_NOT_EXECUTABLE);
}

static void __attribute__((noreturn)) child_main(struct command *cmd)
{
	struct init *init = cmd->init;
	const char *cwd = init_get(init, "cwd", NULL);
	const unsigned long none = 0;
	long ret;

	SYS(setsid, 0, 0, 0, 0, 0);
	for (int i = 0; i < 3; i++)
		SYS(dup3, cmd->child_fd[i], i, 0, 0, 0);
	if (cmd->tty >= 0)
		SYS(ioctl, 0, TIOCSCTTY, 0, 0, 0);
	child_become_user(init);
	ret = cwd ? SYS(chdir, cwd, 0, 0, 0, 0) : 0;
	if (ret < 0 && init_get(init, "must", NULL))
		child_fail(cwd, ret, GUEST_STATUS_NOT_EXECUTABLE);
	SYS(rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none), 0);

	if (!init->args[0]) {
		init->args[0] = "bash";
		child_search_path(init);
		init->args[0] = "sh";
	}
	ret = child_has_slash(init->args[0])
		      ? SYS(execve, init->args[0], init->args, init->envs, 0, 0)
		      : child_search_path(init);
	child_fail(init->args[0], ret,
		   ret == -ENOENT ? GUEST_STATUS_NOT_FOUND : GUEST_STATUS_NOT_EXECUTABLE);
}

static void command_collect_words(struct init *init, const char *key, char **words)
{
	const char *word = NULL;

	for (unsigned int n = 0; (word = init_get(init, key, word)); n++) {
		if (n == INIT_MAX_WORDS)
			init_fail(init, "too many words", "", "");
		words[n] = (char *)word;
	}
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
	const char *ids = init_get(init, "ids", NULL);
	int fds[2], ours = i == 0 ? 1 : 0, port = init_open_port(init, (enum guest_port)i);
	unsigned int uid, gid;

	if (port < 0 || SYS(pipe2, fds, O_CLOEXEC, 0, 0, 0) < 0)
		init_fail(init, "cannot open the command's streams", "", "");
	if (ids) {
		uid = str_number(ids, &ids);
		gid = str_number(ids + 1, &ids);
		SYS(fchown, fds[0], uid, gid, 0, 0);
	}
	SYS(fcntl, fds[ours], F_SETFL, O_NONBLOCK, 0, 0);
	cmd->child_fd[i] = fds[!ours];
	relay->from = i == 0 ? port : fds[0];
	relay->to = i == 0 ? fds[1] : port;
}

static void command_open_tty(struct command *cmd, const char *path)
{
	const char *words = init_get(cmd->init, "size", NULL);
	struct winsize size = {0};

	cmd->tty = (int)SYS(openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC | O_NOCTTY, 0, 0);
	if (cmd->tty < 0)
		init_fail(cmd->init, path, ": ", error_name(cmd->tty));
	if (words) {
		size.ws_row = (unsigned short)str_number(words, &words);
		size.ws_col = (unsigned short)str_number(words + 1, &words);
		SYS(ioctl, cmd->tty, TIOCSWINSZ, &size, 0, 0);
	}
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

static void command_message(struct command *cmd, const struct guest_message *msg)
{
	struct winsize size = {.ws_row = (unsigned short)(msg->value >> 16),
			       .ws_col = (unsigned short)msg->value};

	switch (msg->type) {
	case GUEST_SIGNAL:
		SYS(kill, -cmd->pid, msg->value, 0, 0, 0);
		break;
	case GUEST_WINSIZE:
		if (cmd->tty >= 0)
			SYS(ioctl, cmd->tty, TIOCSWINSZ, &size, 0, 0);
		break;
	case GUEST_POWEROFF:
		command_signal_all(cmd, SIGHUP);
		command_signal_all(cmd, SIGTERM);
		cmd->told_to_end = true;
		break;
	}
}

static void command_read_control(struct command *cmd)
{
	for (;;) {
		long n = SYS(read, cmd->init->control, (char *)&cmd->message + cmd->message_len,
			     sizeof(cmd->message) - cmd->message_len, 0, 0);

		if (n <= 0)
			return;
		cmd->message_len += (size_t)n;
		if (cmd->message_len < sizeof(cmd->message))
			continue;
		cmd->message_len = 0;
		command_message(cmd, &cmd->message);
	}
}

/* As PID 1 it also inherits, and buries, what others leave behind. */
static void command_reap(struct command *cmd)
{
	struct signalfd_siginfo info;
	int pid, status;

	SYS(read, cmd->signal_fd, &info, sizeof(info), 0, 0);
	while ((pid = (int)SYS(wait4, -1, &status, WNOHANG, NULL, 0)) > 0) {
		if (pid != cmd->pid)
			continue;
		cmd->ended = true;
		cmd->status =
			status & 0x7f ? 128u + (status & 0x7f) : (unsigned int)status >> 8 & 0xff;
	}
}

static void command_wait(struct command *cmd)
{
	struct __kernel_timespec grace = {.tv_sec = COMMAND_GRACE};
	struct pollfd p[8];

	p[0] = (struct pollfd){.fd = cmd->signal_fd, .events = POLLIN};
	p[1] = (struct pollfd){.fd = cmd->init->control, .events = POLLIN};
	for (int i = 0; i < 3; i++)
		relay_poll(&cmd->relay[i], p + 2 + 2 * i);
	if (SYS(ppoll, p, 8, cmd->told_to_end ? &grace : NULL, NULL, 0) == 0)
		SYS(kill, -1, SIGKILL, 0, 0, 0);
	for (int i = 0; i < 3; i++)
		relay_ready(&cmd->relay[i], p + 2 + 2 * i);
	if (p[1].revents & POLLIN)
		command_read_control(cmd);
	if (p[0].revents)
		command_reap(cmd);
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
	const char *tty = init_get(init, "tty", NULL);
	const unsigned long chld = 1UL << (SIGCHLD - 1);

	cmd->init = init;
	cmd->tty = -1;
	command_collect_words(init, "arg", init->args);
	command_collect_words(init, "env", init->envs);
	SYS(rt_sigprocmask, SIG_BLOCK, &chld, NULL, sizeof(chld), 0);
	cmd->signal_fd = (int)SYS(signalfd4, -1, &chld, sizeof(chld), O_CLOEXEC | O_NONBLOCK, 0);
	if (tty)
		command_open_tty(cmd, tty);
	for (int i = 0; i < 3 && !tty; i++)
		command_open_pipe(cmd, i);

	cmd->pid = (int)SYS(clone, SIGCHLD, 0, 0, 0, 0);
	if (cmd->pid == 0)
		child_main(cmd);
	if (cmd->pid < 0)
		init_fail(init, "cannot make a process: ", error_name(cmd->pid), "");
	for (int i = 0; i < 3 && !tty; i++)
		command_close(&cmd->child_fd[i]);
	init_send(init, GUEST_STARTED, 0);
	while (!cmd->ended)
		command_wait(cmd);
	command_flush(cmd);
	return cmd->status;
}
