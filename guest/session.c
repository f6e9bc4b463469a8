// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What `lkvm exec` runs: commands beside the first one, whose streams are frames on the control
 * port. One with a terminal has a pty, whose output is its stdout.
 */
#include <asm/errno.h>
#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/signal.h>
#include <linux/fcntl.h>
#include <linux/poll.h>

#include "init.h"

enum { SESSION_IN, SESSION_OUT, SESSION_ERR };

struct session {
	unsigned int id; /* 0: free */
	int pid;
	bool tty, ended, in_ended;
	unsigned int status;
	/* Our ends of its streams; -1: closed. With a terminal, in and out are two of one file. */
	int fd[3];
	unsigned int credit[3]; /* for SESSION_OUT and _ERR: bytes that lkvm takes */
	/* What is on its way to the command. */
	unsigned int start, len;
	char buf[GUEST_WINDOW];
};

/* As many as there can be; they are all that this file knows. */
static struct session sessions[GUEST_MAX_SESSIONS];

static struct session *session_find(unsigned int id)
{
	for (int i = 0; i < GUEST_MAX_SESSIONS; i++)
		if (sessions[i].id == id)
			return &sessions[i];
	return NULL;
}

static void session_close(int *fd)
{
	if (*fd >= 0)
		SYS(close, *fd, 0, 0, 0, 0);
	*fd = -1;
}

static void session_end(const struct init *init, struct session *session)
{
	for (int i = 0; i < 3; i++)
		session_close(&session->fd[i]);
	init_send_number(init, GUEST_EXITED, session->id, session->status);
	session->id = 0;
}

/* --- starting --- */

static int session_open_pipes(struct session *session, const struct conf *conf, int child[3])
{
	for (int i = 0; i < 3; i++) {
		int fds[2], ours = i == SESSION_IN ? 1 : 0;

		if (SYS(pipe2, fds, O_CLOEXEC, 0, 0, 0) < 0)
			return -EMFILE;
		spawn_give(conf, fds[0]);
		SYS(fcntl, fds[ours], F_SETFL, O_NONBLOCK, 0, 0);
		session->fd[i] = fds[ours];
		child[i] = fds[!ours];
	}
	return 0;
}

static int session_open_pty(struct session *session, const struct conf *conf, int child[3])
{
	int master = (int)SYS(openat, AT_FDCWD, "/dev/pts/ptmx",
			      O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0, 0);
	int unlocked = 0, slave;

	if (master < 0)
		return master;
	session->fd[SESSION_OUT] = master;
	SYS(ioctl, master, TIOCSPTLCK, &unlocked, 0, 0);
	slave = (int)SYS(ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC, 0, 0);
	if (slave < 0)
		return slave;
	spawn_give(conf, slave);
	spawn_first_winsize(conf, slave);
	session->fd[SESSION_IN] = (int)SYS(fcntl, master, F_DUPFD_CLOEXEC, 3, 0, 0);
	for (int i = 0; i < 3; i++)
		child[i] = slave;
	return 0;
}

static void session_start(const struct init *init, struct session *session, const struct conf *conf)
{
	int child[3] = {-1, -1, -1}, ret;

	session->tty = conf_get(conf, "tty", NULL);
	ret = session->tty ? session_open_pty(session, conf, child)
			   : session_open_pipes(session, conf, child);
	if (ret >= 0)
		ret = spawn(conf, child, session->tty);
	for (int i = 0; i < (session->tty ? 1 : 3); i++)
		session_close(&child[i]);
	if (ret < 0) {
		session->status = GUEST_STATUS_FAILED;
		session_end(init, session);
		return;
	}
	session->pid = ret;
	init_send(init, GUEST_STARTED, session->id, "", 0);
}

/* --- streams --- */

/* What came from lkvm goes on; a command that does not read it any more gets rid of it so, too. */
static void session_write(const struct init *init, struct session *session)
{
	unsigned int done = 0;

	while (session->len) {
		long n = session->len;

		if (session->fd[SESSION_IN] >= 0)
			n = SYS(write, session->fd[SESSION_IN], session->buf + session->start,
				session->len, 0, 0);
		if (n == -EAGAIN || n == -EINTR)
			break;
		if (n <= 0) {
			session_close(&session->fd[SESSION_IN]);
			continue;
		}
		session->start += (unsigned int)n;
		session->len -= (unsigned int)n;
		done += (unsigned int)n;
	}
	if (done)
		init_send_number(init, GUEST_CREDIT_STDIN, session->id, done);
	if (session->len || !session->in_ended || session->fd[SESSION_IN] < 0)
		return;
	/* What a terminal has for the end of a file. */
	if (session->tty)
		SYS(write, session->fd[SESSION_IN], "\4", 1, 0, 0);
	session_close(&session->fd[SESSION_IN]);
}

static void session_input(struct session *session, const char *data, unsigned int len)
{
	if (len > GUEST_WINDOW - session->len)
		return; /* more than there was credit for */
	if (session->start + session->len + len > GUEST_WINDOW) {
		memcpy(session->buf, session->buf + session->start, session->len);
		session->start = 0;
	}
	memcpy(session->buf + session->start + session->len, data, len);
	session->len += len;
}

/* One read into one frame. False: there is nothing (more) now. */
static bool session_read(const struct init *init, struct session *session, int stream)
{
	char data[GUEST_CHUNK];
	unsigned int max =
		session->credit[stream] < sizeof(data) ? session->credit[stream] : sizeof(data);
	long n;

	if (session->fd[stream] < 0 || !max)
		return false;
	n = SYS(read, session->fd[stream], data, max, 0, 0);
	if (n == -EAGAIN || n == -EINTR)
		return false;
	if (n <= 0) {
		session_close(&session->fd[stream]);
		return false;
	}
	session->credit[stream] -= (unsigned int)n;
	init_send(init, stream == SESSION_OUT ? GUEST_STDOUT : GUEST_STDERR, session->id, data,
		  (unsigned int)n);
	return true;
}

/* The command is done, and lkvm has all that it wrote; what it left behind may go on, unheard. */
static void session_check_end(const struct init *init, struct session *session)
{
	for (int i = SESSION_OUT; i <= SESSION_ERR; i++) {
		while (session_read(init, session, i))
			;
		if (session->fd[i] >= 0 && !session->credit[i])
			return;
	}
	session_end(init, session);
}

/* --- frames --- */

static unsigned int frame_number(const struct guest_frame *frame, const char *data)
{
	unsigned int number = 0;

	if (frame->len == sizeof(number))
		memcpy(&number, data, sizeof(number));
	return number;
}

/* SIGHUP is also what a terminal says when somebody hangs up. */
static void session_hang_up(struct session *session)
{
	session_close(&session->fd[SESSION_IN]);
	SYS(kill, -session->pid, SIGHUP, 0, 0, 0);
	SYS(kill, -session->pid, SIGCONT, 0, 0, 0);
	for (int i = SESSION_OUT; i <= SESSION_ERR; i++)
		session_close(&session->fd[i]);
}

static void session_frame(const struct init *init, struct session *session,
			  const struct guest_frame *frame, const char *data)
{
	unsigned int number = frame_number(frame, data);

	switch (frame->type) {
	case GUEST_STDIN:
		if (frame->len)
			session_input(session, data, frame->len);
		else
			session->in_ended = true;
		session_write(init, session);
		break;
	case GUEST_CREDIT_STDOUT:
		session->credit[SESSION_OUT] += number;
		break;
	case GUEST_CREDIT_STDERR:
		session->credit[SESSION_ERR] += number;
		break;
	case GUEST_SIGNAL:
		SYS(kill, -session->pid, number, 0, 0, 0);
		break;
	case GUEST_WINSIZE:
		if (session->tty && session->fd[SESSION_OUT] >= 0)
			spawn_set_winsize(session->fd[SESSION_OUT], number);
		break;
	case GUEST_HANGUP:
		session_hang_up(session);
		break;
	}
	if (session->ended)
		session_check_end(init, session);
}

static void session_begin(const struct init *init, const struct guest_frame *frame,
			  const char *data)
{
	struct session *session = session_find(0);

	if (!session || !frame->len || frame->len > GUEST_WINDOW || data[frame->len - 1]) {
		init_send_number(init, GUEST_EXITED, frame->session, GUEST_STATUS_FAILED);
		return;
	}
	session->id = frame->session;
	session->ended = session->in_ended = false;
	session->start = session->len = 0;
	for (int i = 0; i < 3; i++) {
		session->fd[i] = -1;
		session->credit[i] = GUEST_WINDOW;
	}
	session_start(init, session, &(struct conf){data, frame->len});
}

void sessions_frame(const struct init *init, const struct guest_frame *frame, const char *data)
{
	struct session *session = session_find(frame->session);

	if (session)
		session_frame(init, session, frame, data);
	else if (frame->type == GUEST_EXEC)
		session_begin(init, frame, data);
}

/* --- events --- */

void sessions_poll(struct pollfd *p)
{
	for (int i = 0; i < GUEST_MAX_SESSIONS; i++, p += 3) {
		const struct session *session = &sessions[i];

		for (int j = 0; j < 3; j++)
			p[j] = (struct pollfd){.fd = -1, .events = POLLIN};
		if (!session->id)
			continue;
		if (session->len)
			p[0] = (struct pollfd){.fd = session->fd[SESSION_IN], .events = POLLOUT};
		for (int j = SESSION_OUT; j <= SESSION_ERR; j++)
			if (session->credit[j])
				p[j].fd = session->fd[j];
	}
}

void sessions_ready(const struct init *init, const struct pollfd *p)
{
	for (int i = 0; i < GUEST_MAX_SESSIONS; i++, p += 3) {
		struct session *session = &sessions[i];

		/* Those that have just begun, or ended, have nothing here. */
		if (!session->id)
			continue;
		if (p[0].revents)
			session_write(init, session);
		for (int j = SESSION_OUT; j <= SESSION_ERR; j++)
			if (p[j].revents)
				session_read(init, session, j);
		if (session->ended)
			session_check_end(init, session);
	}
}

void sessions_reaped(int pid, unsigned int status)
{
	for (int i = 0; i < GUEST_MAX_SESSIONS; i++) {
		if (!sessions[i].id || sessions[i].pid != pid)
			continue;
		sessions[i].ended = true;
		sessions[i].status = status;
	}
}
