// SPDX-License-Identifier: GPL-2.0-or-later
/* The client's end of a command in a running VM: its streams are ours, as frames. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "kvm/builtin.h"
#include "kvm/chardev.h"
#include "kvm/frame.h"
#include "kvm/log.h"
#include "kvm/util.h"

struct exec {
	int fd; /* the VM */
	bool tty, stdin_open, started, exited;
	unsigned int status;
	unsigned int credit; /* bytes of stdin that the guest takes */
	struct frame_reader in;
};

/* What the handler of signals tells the loop. */
static volatile sig_atomic_t exec_signo, exec_resized;
static int exec_pipe[2];

/* The first signal is the command's; the second one ends us, whatever we wait for. */
static void exec_signal(int signo)
{
	int saved_errno = errno;

	if (signo == SIGWINCH) {
		exec_resized = 1;
	} else if (exec_signo) {
		term_restore();
		signal(signo, SIG_DFL);
		raise(signo);
	} else {
		exec_signo = signo;
	}
	(void)!write(exec_pipe[1], "", 1);
	errno = saved_errno;
}

/* 0, or a negative errno when the VM has gone. */
static int exec_send(struct exec *exec, unsigned int type, const void *data, size_t len)
{
	struct {
		struct guest_frame head;
		char data[GUEST_CHUNK];
	} frame = {.head = {.type = (unsigned short)type, .len = (unsigned int)len}};
	size_t sent = 0, all = sizeof(frame.head) + len;

	memcpy(frame.data, data, len);
	while (sent < all) {
		ssize_t n = send(exec->fd, (char *)&frame + sent, all - sent, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			sent += (size_t)n;
	}
	return 0;
}

static int exec_send_number(struct exec *exec, unsigned int type, unsigned int number)
{
	return exec_send(exec, type, &number, sizeof(number));
}

static int exec_send_winsize(struct exec *exec)
{
	struct winsize size;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) || !size.ws_col || !size.ws_row)
		return 0;
	return exec_send_number(exec, GUEST_WINSIZE, (unsigned int)size.ws_row << 16 | size.ws_col);
}

static int exec_read_stdin(struct exec *exec)
{
	char data[GUEST_CHUNK];
	ssize_t n = read(STDIN_FILENO, data, MIN(sizeof(data), (size_t)exec->credit));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0) {
		exec->stdin_open = false;
		return exec_send(exec, GUEST_STDIN, "", 0);
	}
	exec->credit -= (unsigned int)n;
	return exec_send(exec, GUEST_STDIN, data, (size_t)n);
}

static int exec_output(struct exec *exec, int fd, unsigned int credit_type)
{
	int ret = write_full(fd, exec->in.data, exec->in.head.len);

	if (ret) {
		log_error("exec: %s: %s", fd == STDOUT_FILENO ? "stdout" : "stderr",
			  strerror(-ret));
		return ret;
	}
	return exec_send_number(exec, credit_type, exec->in.head.len);
}

/* The VM may close its end as soon as the command has ended, so not to reach it is no error yet. */
static int exec_frame(struct exec *exec)
{
	int ret = 0;

	switch (exec->in.head.type) {
	case GUEST_STARTED:
		exec->started = true;
		break;
	case GUEST_EXITED:
		exec->exited = true;
		exec->status = frame_number(&exec->in) & 0xff;
		break;
	case GUEST_STDOUT:
		ret = exec_output(exec, STDOUT_FILENO, GUEST_CREDIT_STDOUT);
		break;
	case GUEST_STDERR:
		ret = exec_output(exec, STDERR_FILENO, GUEST_CREDIT_STDERR);
		break;
	case GUEST_CREDIT_STDIN:
		exec->credit += frame_number(&exec->in);
		break;
	}
	return ret == -EPIPE || ret == -ECONNRESET ? 0 : ret;
}

static int exec_signals(struct exec *exec)
{
	static int sent;
	char drop[16];
	int ret = 0;

	(void)!read(exec_pipe[0], drop, sizeof(drop));
	if (exec_resized) {
		exec_resized = 0;
		ret = exec_send_winsize(exec);
	}
	if (exec_signo && !sent && ret == 0) {
		sent = exec_signo;
		ret = exec_send_number(exec, GUEST_SIGNAL, (unsigned int)sent);
	}
	return ret;
}

/* Until the command ends: 0; a negative errno when something here does, or the VM has gone. */
static int exec_loop(struct exec *exec)
{
	int got = 0;

	while (!exec->exited && got >= 0) {
		struct pollfd p[3] = {{.fd = exec->fd, .events = POLLIN},
				      {.fd = -1, .events = POLLIN},
				      {.fd = exec_pipe[0], .events = POLLIN}};

		if (exec->stdin_open && exec->started && exec->credit)
			p[1].fd = STDIN_FILENO;
		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return -errno;
		if (p[2].revents)
			exec_signals(exec);
		if (p[1].revents)
			exec_read_stdin(exec);
		/* What the VM said last is still to be read when it has gone. */
		if (p[0].revents)
			got = frame_read(&exec->in, exec->fd);
		if (got > 0)
			got = exec_frame(exec);
	}
	return exec->exited ? 0 : got;
}

static int exec_take_signals(const struct exec *exec)
{
	static const int all[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	const struct sigaction action = {.sa_handler = exec_signal};

	if (pipe2(exec_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		sigaction(all[i], &action, NULL);
	if (!exec->tty)
		return 0;
	sigaction(SIGWINCH, &action, NULL);
	return term_raw(STDIN_FILENO);
}

static int exec_run(struct control_peer *peer, bool tty)
{
	static struct exec exec; /* larger than a stack frame should be */
	int ret;

	exec = (struct exec){
		.fd = peer->fd, .tty = tty, .stdin_open = true, .credit = GUEST_WINDOW};
	ret = exec_take_signals(&exec);
	if (ret < 0) {
		log_error("exec: cannot have the terminal: %s",
			  ret == -EPERM ? "started in the background" : strerror(-ret));
		return EXIT_HOST_ERROR;
	}
	ret = exec_loop(&exec);
	term_restore();
	if (exec.exited && !exec.started)
		log_error("exec: VM %s cannot start the command", peer->name);
	else if (ret == -EPIPE || ret == -ECONNRESET)
		log_error("exec: VM %s has ended", peer->name);
	if (ret == 0)
		return (int)exec.status;
	return ret == -EPIPE || ret == -ECONNRESET ? EXIT_NO_STATUS : EXIT_HOST_ERROR;
}

/* NULL: no words, a shell. */
static json_t *exec_pack_words(char **words)
{
	json_t *array = json_array();

	for (; array && *words; words++) {
		if (json_array_append_new(array, json_string(*words))) {
			log_error("exec: '%s' is not UTF-8", *words);
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

struct exec_options {
	const char *user, *cwd;
	bool tty, no_tty;
};

static json_t *exec_pack(const struct exec_options *opts, char **words)
{
	json_t *array = exec_pack_words(words);
	struct winsize size = {0};

	if (!array)
		return NULL;
	if (opts->tty)
		ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
	return json_pack("{s:o, s:b, s:i, s:i, s:s*, s:s*, s:s*, s:s*}", "command", array, "tty",
			 opts->tty, "rows", size.ws_row, "cols", size.ws_col, "user", opts->user,
			 "cwd", opts->cwd, "term", getenv("TERM"), "lang", getenv("LANG"));
}

int builtin_exec(int argc, char **argv)
{
	static const char usage[] =
		"usage: lkvm exec [OPTIONS] NAME [-- COMMAND [ARGS...]]\n\n"
		"Runs one more command, or a shell, in a VM that was started with a folder as its\n"
		"root (docs/rootfs.md). Its streams are this command's, and so is its exit status.\n";
	struct exec_options opts = {0};
	const struct option_spec options[] = {
		{OPTION_STRING, 'u', "user", &opts.user, "USER", "who runs it (root)", NULL},
		{OPTION_STRING, 0, "cwd", &opts.cwd, "DIR", "and in what folder", NULL},
		{OPTION_FLAG, 'T', "no-tty", &opts.no_tty, NULL, "pipes, even on a terminal", NULL},
		RUN_DIR_OPTION,
		{.type = OPTION_END}};
	int first = options_parse(argc, argv, options, usage, true), status;
	struct selection sel = {0};
	json_t *arguments;
	char **words;

	if (first < 0)
		return first == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;
	if (first == argc) {
		log_error("exec: in which VM?");
		return EXIT_USAGE;
	}
	words = argv + first + 1;
	if (*words && !strcmp(*words, "--"))
		words++;
	opts.tty = !opts.no_tty && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	arguments = exec_pack(&opts, words);
	if (!arguments)
		return EXIT_USAGE;
	status = selection_ask(&sel, argv + first, 1, "exec", arguments, NULL);
	if (!status)
		status = exec_run(&sel.peer[0], opts.tty);
	selection_close(&sel);
	return status;
}
