// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/builtin.h"
#include "kvm/chardev.h"
#include "kvm/log.h"
#include "kvm/util.h"

#define CONSOLE_ESCAPE 0x01 /* Ctrl-a */
#define CONSOLE_CHUNK  1024 /* read from stdin at a time */

/*
 * Between the terminal and the VM. Output is written as it comes; input waits in `buf` for the VM
 * to take it. A terminal is read even when buf is full, and what it sends is lost then: somebody
 * must be able to leave a guest that takes nothing. A pipe waits.
 */
struct console {
	int fd;		/* the VM */
	bool stdin_tty; /* raw, and with escape keys */
	bool stdin_open;
	bool escaped; /* the last key was Ctrl-a */
	bool detach;
	size_t len;
	char buf[16384];
};

/* Leaves the terminal as it was, and dies of the signal as if there were no handler. */
static void console_signal(int sig)
{
	term_restore();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void console_put(struct console *con, char c)
{
	if (con->len < sizeof(con->buf))
		con->buf[con->len++] = c;
}

/* As in `lkvm run`: Ctrl-a twice sends one, and before any other key it is the guest's. */
static void console_key(struct console *con, char c)
{
	if (!con->stdin_tty) {
		console_put(con, c);
		return;
	}
	if (!con->escaped && c == CONSOLE_ESCAPE) {
		con->escaped = true;
		return;
	}
	if (con->escaped && (c == 'x' || c == 'd')) {
		con->detach = true;
		return;
	}
	if (con->escaped && c != CONSOLE_ESCAPE)
		console_put(con, CONSOLE_ESCAPE);
	console_put(con, c);
	con->escaped = false;
}

static void console_read_stdin(struct console *con)
{
	char chunk[CONSOLE_CHUNK];
	ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		con->stdin_open = false;
	for (ssize_t i = 0; i < n && !con->detach; i++)
		console_key(con, chunk[i]);
}

/* 0, or a negative errno when the VM has gone. */
static int console_send(struct console *con)
{
	ssize_t n = send(con->fd, con->buf, con->len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	con->len -= (size_t)n;
	memmove(con->buf, con->buf + n, con->len);
	return 0;
}

/* 1 at the end of file, or a negative errno when the output cannot be written. */
static int console_receive(struct console *con)
{
	char chunk[4096];
	ssize_t n = recv(con->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : 1;
	return n ? write_full(STDOUT_FILENO, chunk, (size_t)n) : 1;
}

/* Until the VM goes (1), the user does (0), or stdout fails (a negative errno). */
static int console_loop(struct console *con)
{
	bool room, vm_listens = true;
	int ret = 0;

	while (!ret && !con->detach) {
		struct pollfd pfd[2] = {{.fd = -1, .events = POLLIN}, {.fd = con->fd}};

		/* One chunk of a pipe must fit as a whole. */
		room = con->stdin_tty || con->len <= sizeof(con->buf) - CONSOLE_CHUNK;
		if (con->stdin_open && room)
			pfd[0].fd = STDIN_FILENO;
		pfd[1].events = con->len && vm_listens ? POLLIN | POLLOUT : POLLIN;
		if (poll(pfd, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (pfd[0].revents)
			console_read_stdin(con);
		/* What it said last is still to be read when it has gone. */
		if (pfd[1].revents & POLLOUT)
			vm_listens = console_send(con) == 0;
		if (pfd[1].revents & (POLLIN | POLLHUP | POLLERR))
			ret = console_receive(con);
	}
	return ret;
}

static int console_take_terminal(struct console *con)
{
	static const int fatal[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	const struct sigaction restore = {.sa_handler = console_signal};
	int ret;

	signal(SIGPIPE, SIG_IGN);
	con->stdin_open = true;
	con->stdin_tty = isatty(STDIN_FILENO);
	if (!con->stdin_tty)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
		sigaction(fatal[i], &restore, NULL);
	ret = term_raw(STDIN_FILENO);
	if (ret)
		log_error("console: cannot have the terminal: %s",
			  ret == -EPERM ? "started in the background" : strerror(-ret));
	return ret;
}

static enum exit_code console_run(struct control_peer *peer)
{
	struct console con = {.fd = peer->fd};
	int ret = console_take_terminal(&con);

	if (ret)
		return EXIT_HOST_ERROR;
	if (con.stdin_tty)
		log_info("console of VM %s; Ctrl-a d leaves it", peer->name);
	ret = console_loop(&con);
	term_restore();
	if (ret < 0) {
		log_error("console: stdout: %s", strerror(-ret));
		return EXIT_HOST_ERROR;
	}
	if (con.stdin_tty)
		log_info(ret ? "VM %s is gone" : "left VM %s, which runs on", peer->name);
	return EXIT_OK;
}

int builtin_console(int argc, char **argv)
{
	static const char usage[] =
		"usage: lkvm console NAME\n\n"
		"Connects to a VM's console. On a terminal, Ctrl-a d (or Ctrl-a x) leaves the\n"
		"console and the VM running, Ctrl-a twice sends one Ctrl-a. Input may also come\n"
		"from a pipe; when it has ended, output goes on until the VM ends.\n";
	struct selection sel = {0};
	const struct option_spec options[] = {
		{OPTION_CALL, 'n', "name", &sel, "NAME", "this VM", selection_add_name},
		RUN_DIR_OPTION,
		{.type = OPTION_END}};
	int first = options_parse(argc, argv, options, usage, false);
	enum exit_code status = first == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;

	if (first >= 0 && (int)sel.nr_names + argc - first != 1) {
		log_error("console: wants the name of one VM");
	} else if (first >= 0) {
		status = selection_ask(&sel, argv + first, argc - first, "console", NULL, NULL);
		if (!status)
			status = console_run(&sel.peer[0]);
	}
	selection_close(&sel);
	return status;
}
