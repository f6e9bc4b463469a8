// SPDX-License-Identifier: GPL-2.0-or-later
#include "chardev-impl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/loop.h"

#define TERM_ESCAPE	   0x01 /* Ctrl-a */
#define TERM_BACKGROUND_NS 500000000ULL

/*
 * What term_restore() puts back. It is process-wide because a signal handler and exit paths that
 * know of no VM must be able to restore the user's terminal.
 */
static struct {
	struct termios saved;
	int fd;
	volatile sig_atomic_t is_raw;
} term;

/* What is not our controlling terminal has no job control, and so no background. */
static bool term_in_background(int fd)
{
	pid_t pgrp = tcgetpgrp(fd);

	return pgrp >= 0 && pgrp != getpgrp();
}

/* tcsetattr() that cannot stop the process, should it get into the background just now. */
static int term_set(int fd, const struct termios *tio)
{
	sigset_t ttou, old;
	int ret;

	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &ttou, &old);
	ret = tcsetattr(fd, TCSANOW, tio) ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

int term_raw(int fd)
{
	struct termios tio;

	if (tcgetattr(fd, &tio))
		return -ENOTTY;
	if (term_in_background(fd))
		return -EPERM;
	if (!term.is_raw) {
		term.saved = tio;
		term.fd = fd;
		term.is_raw = 1;
	}
	cfmakeraw(&tio);
	return term_set(fd, &tio);
}

/* In the background the terminal is another program's, and its modes are no longer those we set. */
void term_restore(void)
{
	int saved_errno = errno;

	if (term.is_raw && !term_in_background(term.fd))
		term_set(term.fd, &term.saved);
	term.is_raw = 0;
	errno = saved_errno;
}

struct term_stdio {
	void (*quit)(void *arg);
	void *quit_arg;
	struct chardev_end *end;
	struct loop_source *foreground_timer; /* runs while we are in the background */
	bool escaped;			      /* the last key was Ctrl-a */
};

/*
 * Ctrl-a x and Ctrl-a Ctrl-a are ours. Ctrl-a and any other key are both the guest's, so that a
 * Ctrl-a is delayed but not lost.
 */
static size_t term_filter(struct chardev_end *end, uint8_t *buf, size_t len)
{
	struct term_stdio *st = end->ops_arg;
	uint8_t out[CHARDEV_CHUNK];
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (!st->escaped && buf[i] == TERM_ESCAPE) {
			st->escaped = true;
			continue;
		}
		if (st->escaped && buf[i] == 'x') {
			st->quit(st->quit_arg);
		} else {
			if (st->escaped && buf[i] != TERM_ESCAPE)
				out[n++] = TERM_ESCAPE;
			out[n++] = buf[i];
		}
		st->escaped = false;
	}
	memcpy(buf, out, n);
	return n;
}

/*
 * Reading a terminal from the background stops the process (SIGTTIN), so input pauses until the
 * shell has brought us to the foreground, of which nothing but looking tells.
 */
static bool term_may_read(struct chardev_end *end)
{
	struct term_stdio *st = end->ops_arg;

	if (term_raw(STDIN_FILENO) != -EPERM)
		return true;
	chardev_end_pause(end, true, false);
	loop_arm_timer(st->foreground_timer, TERM_BACKGROUND_NS);
	return false;
}

static void term_foreground_check(void *arg, uint32_t events)
{
	struct term_stdio *st = arg;

	(void)events;
	if (term_may_read(st->end))
		chardev_end_pause(st->end, false, false);
}

static void term_input_ended(struct chardev_end *end, int err)
{
	if (err)
		log_warning("stdin: %s; no more input for the guest", strerror(err));
	chardev_end_close_input(end);
}

static void term_output_failed(struct chardev_end *end, int err)
{
	log_warning("stdout: %s; the guest's output is dropped from now on", strerror(err));
	chardev_end_close_output(end);
}

static const struct chardev_end_ops term_tty_ops = {
	.may_read = term_may_read,
	.filter = term_filter,
	.input_ended = term_input_ended,
	.output_failed = term_output_failed,
};

static const struct chardev_end_ops term_file_ops = {
	.input_ended = term_input_ended,
	.output_failed = term_output_failed,
};

/*
 * A descriptor of our own for stdin or stdout. O_NONBLOCK belongs to the description, which is
 * shared with the shell and other programs; opening a pipe or a terminal again through /proc makes
 * a new one. Other files must keep their shared offset, and never block for long.
 */
static int term_open(int fd, int access, enum chardev_fd_kind *kind)
{
	char path[32];
	struct stat st;
	int own;

	if (fstat(fd, &st))
		return -1;
	if (S_ISFIFO(st.st_mode) || isatty(fd)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		own = open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (own >= 0) {
			*kind = CHARDEV_FD_OWN;
			return own;
		}
	}
	*kind = S_ISSOCK(st.st_mode) ? CHARDEV_FD_SOCKET : CHARDEV_FD_SHARED;
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static void term_stdio_close(void *impl)
{
	struct term_stdio *st = impl;

	loop_remove(st->foreground_timer);
	term_restore();
	free(st);
}

struct chardev *chardev_stdio_create(struct loop *loop, void (*quit)(void *arg), void *arg)
{
	struct term_stdio *st = calloc(1, sizeof(*st));
	struct chardev *chr = chardev_create(loop);
	enum chardev_fd_kind in_kind = CHARDEV_FD_OWN, out_kind = CHARDEV_FD_OWN;
	int in_fd, out_fd;
	bool tty;

	if (!st || !chr)
		goto fail;
	/* A closed stdin or stdout is like /dev/null. */
	in_fd = term_open(STDIN_FILENO, O_RDONLY, &in_kind);
	out_fd = term_open(STDOUT_FILENO, O_WRONLY, &out_kind);
	tty = isatty(in_fd);
	st->quit = quit;
	st->quit_arg = arg;
	st->end = chardev_end_add(chr, in_fd, in_kind, out_fd, out_kind,
				  tty ? &term_tty_ops : &term_file_ops, st);
	if (!st->end)
		goto fail;
	st->foreground_timer = loop_add_timer(loop, term_foreground_check, st);
	if (!st->foreground_timer)
		goto fail;
	st->end->greedy = tty;
	chardev_end_hold_back(st->end, out_fd >= 0);
	if (tty)
		term_foreground_check(st, 0);
	chr->close = term_stdio_close;
	chr->impl = st;
	return chr;

fail:
	log_error("stdin and stdout: %m");
	chardev_destroy(chr);
	free(st);
	return NULL;
}
