// SPDX-License-Identifier: GPL-2.0-or-later
/* links: ui/chardev.c ui/term.c ui/pty.c util/loop.c util/util.c util/log.c */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/chardev.h"
#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/util.h"

#define MS	  1000000ULL
#define RING	  (64 * 1024)
#define PIPE_ROOM (64 * 1024)

/* A guest's console: takes at most `take` bytes at a time, and none while `full`. */
struct guest {
	struct chardev *chr;
	struct loop *loop;
	uint8_t in[512 * 1024];
	size_t in_len, take;
	bool full;
	unsigned int rooms, quits;
	int old[2];
};

static size_t guest_input(void *arg, const uint8_t *buf, size_t len)
{
	struct guest *g = arg;

	if (g->full)
		return 0;
	len = MIN(len, g->take);
	memcpy(g->in + g->in_len, buf, len);
	g->in_len += len;
	if (g->take < sizeof(g->in))
		g->full = true; /* until somebody reads */
	return len;
}

static void guest_room(void *arg)
{
	((struct guest *)arg)->rooms++;
}

static const struct chardev_front guest_front = {.input = guest_input, .room = guest_room};

static void guest_quit(void *arg)
{
	((struct guest *)arg)->quits++;
}

static int setup(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));

	g->loop = loop_create();
	g->take = sizeof(g->in);
	fflush(stdout);
	for (int i = 0; i < 2; i++)
		g->old[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
	*state = g;
	return 0;
}

static void restore_stdio(struct guest *g)
{
	for (int i = 0; i < 2; i++)
		dup2(g->old[i], i);
}

static int teardown(void **state)
{
	struct guest *g = *state;

	chardev_destroy(g->chr);
	restore_stdio(g);
	close(g->old[0]);
	close(g->old[1]);
	loop_destroy(g->loop);
	free(g);
	return 0;
}

/* A guest whose console is in_fd and out_fd, which are closed here but stay stdin and stdout. */
static void start_stdio(struct guest *g, int in_fd, int out_fd)
{
	dup2(in_fd, STDIN_FILENO);
	dup2(out_fd, STDOUT_FILENO);
	close(in_fd);
	if (out_fd != in_fd)
		close(out_fd);
	g->chr = chardev_stdio_create(g->loop, guest_quit, g);
	assert_non_null(g->chr);
	chardev_set_front(g->chr, &guest_front, g);
}

static void quit_loop(void *arg, uint32_t events)
{
	(void)events;
	loop_quit(arg);
}

/* Runs the loop for ms; returns the CPU milliseconds that it took. */
static unsigned int run(struct guest *g, unsigned int ms)
{
	struct loop_source *timer = loop_add_timer(g->loop, quit_loop, g->loop);
	struct timespec a, b;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	loop_arm_timer(timer, ms * MS);
	assert_int_equal(loop_run(g->loop), 0);
	loop_remove(timer);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	return (unsigned int)((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000);
}

static void assert_idle(struct guest *g)
{
	assert_true(run(g, 100) < 40);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

static void *feed(void *arg)
{
	static uint8_t buf[200000];
	int fd = *(int *)arg;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = pattern(i);
	write_full(fd, buf, sizeof(buf));
	close(fd);
	return NULL;
}

static void test_pipe_input(void **state)
{
	struct guest *g = *state;
	int in[2];
	pthread_t thread;

	pipe2(in, O_CLOEXEC);
	pthread_create(&thread, NULL, feed, &in[1]);
	g->take = 1000;
	start_stdio(g, in[0], open("/dev/null", O_WRONLY));
	for (int i = 0; i < 400 && g->in_len < 200000; i++) {
		g->full = false;
		chardev_accept_input(g->chr);
		run(g, 1);
	}
	pthread_join(thread, NULL);
	assert_int_equal(g->in_len, 200000);
	for (size_t i = 0; i < g->in_len; i++)
		assert_int_equal(g->in[i], pattern(i));
	assert_idle(g); /* at the end of file */
	assert_int_equal(g->quits, 0);
	assert_int_equal(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK, 0);
}

/* While the front refuses, a readable pipe must not keep the loop busy; nor a closed one. */
static void test_refused_input(void **state)
{
	struct guest *g = *state;
	int in[2];

	pipe2(in, O_CLOEXEC);
	g->full = true;
	start_stdio(g, in[0], open("/dev/null", O_WRONLY));
	write_full(in[1], "hello\1x", 7);
	assert_idle(g);
	close(in[1]);
	assert_idle(g);
	assert_int_equal(g->in_len, 0);
	g->full = false;
	chardev_accept_input(g->chr);
	run(g, 5);
	assert_int_equal(g->in_len, 7); /* a pipe has no escape keys */
	assert_memory_equal(g->in, "hello\1x", 7);
}

static void test_regular_files(void **state)
{
	struct guest *g = *state;
	int in = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	int out = open("/tmp", O_TMPFILE | O_RDWR, 0600), check = dup(out);
	char *data = malloc(100000), buf[16];

	memset(data, 'd', 100000);
	write_full(in, data, 100000);
	lseek(in, 0, SEEK_SET);
	write_full(out, "before ", 7);
	start_stdio(g, in, out);
	assert_int_equal(chardev_write(g->chr, "after", 5), 5);
	run(g, 50);
	assert_int_equal(g->in_len, 100000);
	assert_memory_equal(g->in, data, 100000);
	assert_int_equal(pread(check, buf, sizeof(buf), 0), 12);
	assert_memory_equal(buf, "before after", 12);
	assert_idle(g);
	close(check);
	free(data);
}

static void test_dev_null(void **state)
{
	struct guest *g = *state;

	start_stdio(g, open("/dev/null", O_RDONLY), open("/dev/null", O_WRONLY));
	for (int i = 0; i < 10; i++) {
		static const char buf[60000];

		assert_int_equal(chardev_write(g->chr, buf, sizeof(buf)), sizeof(buf));
		run(g, 5);
	}
	assert_idle(g);
}

static size_t drain(int fd, uint8_t *buf, size_t size)
{
	ssize_t n = recv(fd, buf, size, MSG_DONTWAIT);

	if (n < 0 && errno == ENOTSOCK) {
		int flags = fcntl(fd, F_GETFL);

		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
		n = read(fd, buf, size);
		fcntl(fd, F_SETFL, flags);
	}
	return n > 0 ? (size_t)n : 0;
}

static void check_stalled_output(struct guest *g, int reader)
{
	static uint8_t sent[1024 * 1024], got[sizeof(sent)];
	size_t nr_sent = 0, nr_got = 0, n;

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = pattern(i);
	do {
		n = chardev_write(g->chr, sent + nr_sent, sizeof(sent) - nr_sent);
		nr_sent += n;
		run(g, 20);
	} while (n);
	assert_in_range(nr_sent, RING, sizeof(sent) - 1);
	assert_idle(g);
	g->rooms = 0;
	while (nr_got < sizeof(sent)) {
		n = drain(reader, got + nr_got, sizeof(got) - nr_got);
		run(g, 2);
		nr_got += n;
		if (g->rooms && nr_sent < sizeof(sent)) {
			g->rooms = 0;
			n = chardev_write(g->chr, sent + nr_sent, sizeof(sent) - nr_sent);
			assert_true(n > 0);
			nr_sent += n;
		}
	}
	assert_memory_equal(sent, got, sizeof(sent));
	assert_idle(g);
}

static void test_stalled_pipe(void **state)
{
	struct guest *g = *state;
	int out[2];

	pipe2(out, O_CLOEXEC);
	start_stdio(g, open("/dev/null", O_RDONLY), out[1]);
	assert_int_equal(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
	check_stalled_output(g, out[0]);
	close(out[0]);
}

static void test_socket_stdio(void **state)
{
	struct guest *g = *state;
	int s[2];

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s);
	start_stdio(g, s[1], s[1]);
	assert_int_equal(write(s[0], "abc", 3), 3);
	run(g, 5);
	assert_int_equal(g->in_len, 3);
	check_stalled_output(g, s[0]);
	assert_int_equal(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
	close(s[0]);
}

/* `lkvm run | head`: the reader goes away, the guest goes on. */
static void test_broken_pipe(void **state)
{
	struct guest *g = *state;
	static const char buf[60000];
	int out[2];

	log_set_level(LOG_LEVEL_ERROR);
	pipe2(out, O_CLOEXEC);
	start_stdio(g, open("/dev/null", O_RDONLY), out[1]);
	close(out[0]);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(chardev_write(g->chr, buf, sizeof(buf)), sizeof(buf));
		run(g, 5);
	}
	assert_idle(g);
	log_set_level(LOG_LEVEL_INFO);
}

/* What the guest said last comes out although the loop runs no more. */
static void test_last_words(void **state)
{
	struct guest *g = *state;
	char buf[16];
	int out[2];

	pipe2(out, O_CLOEXEC);
	start_stdio(g, open("/dev/null", O_RDONLY), out[1]);
	chardev_write(g->chr, "Power down", 10);
	chardev_destroy(g->chr);
	g->chr = NULL;
	assert_int_equal(read(out[0], buf, sizeof(buf)), 10);
	close(out[0]);
}

static int open_pty(int *slave)
{
	int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	char path[64];

	assert_true(fd >= 0 && !grantpt(fd) && !unlockpt(fd));
	assert_int_equal(ptsname_r(fd, path, sizeof(path)), 0);
	*slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(*slave >= 0);
	return fd;
}

static void test_terminal(void **state)
{
	struct guest *g = *state;
	struct winsize ws = {.ws_col = 133, .ws_row = 44};
	int slave, master = open_pty(&slave), check = dup(slave);
	struct termios before, during, after;
	uint16_t cols = 0, rows = 0;
	uint8_t buf[64];

	tcgetattr(check, &before);
	assert_true(before.c_lflag & ICANON);
	ioctl(master, TIOCSWINSZ, &ws);
	start_stdio(g, slave, slave);
	tcgetattr(check, &during);
	assert_int_equal(during.c_lflag & (ICANON | ECHO | ISIG), 0);
	assert_int_equal(during.c_oflag & OPOST, 0);
	assert_int_equal(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK, 0);
	assert_true(chardev_winsize(g->chr, &cols, &rows));
	assert_int_equal(cols, 133);
	assert_int_equal(rows, 44);

	write_full(master, "ab\1\1c\1", 6);
	run(g, 20);
	write_full(master, "d\3", 2);
	run(g, 20);
	assert_int_equal(g->in_len, 7);
	assert_memory_equal(g->in, "ab\1c\1d\3", 7);
	assert_int_equal(g->quits, 0);

	chardev_write(g->chr, "x\r\ny\n", 5);
	run(g, 20);
	assert_int_equal(drain(master, buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "x\r\ny\n", 5);

	/* Leaving works although the guest reads nothing. */
	g->full = true;
	for (int i = 0; i < 100; i++) {
		memset(buf, 'z', sizeof(buf));
		write_full(master, buf, sizeof(buf));
		run(g, 1);
	}
	write_full(master, "\1x", 2);
	run(g, 20);
	assert_int_equal(g->quits, 1);

	chardev_destroy(g->chr);
	g->chr = NULL;
	tcgetattr(check, &after);
	assert_int_equal(after.c_lflag, before.c_lflag);
	assert_int_equal(after.c_oflag, before.c_oflag);
	close(check);
	close(master);
}

/* The child's part of the next test; its process group is in the background at first. */
static void background_child(struct guest *g, int report)
{
	start_stdio(g, dup(STDIN_FILENO), dup(STDIN_FILENO));
	chardev_write(g->chr, "hello", 5);
	assert_idle(g);
	write_full(report, "B", 1);
	for (int i = 0; i < 40 && !g->in_len; i++)
		run(g, 50);
	write_full(report, g->in_len == 4 && !memcmp(g->in, "key!", 4) ? "K" : "?", 1);
	chardev_destroy(g->chr);
	_exit(0);
}

/* A session whose terminal is `slave`, with the guest in a background process group. */
static void background_session(struct guest *g, int slave, int report)
{
	struct termios tio;
	int status, child_report[2];
	pid_t child;
	char c;

	setsid();
	ioctl(slave, TIOCSCTTY, 0);
	dup2(slave, STDIN_FILENO);
	pipe2(child_report, O_CLOEXEC);
	child = fork();
	if (!child) {
		setpgid(0, 0);
		background_child(g, child_report[1]);
	}
	setpgid(child, child);
	read_full(child_report[0], &c, 1);
	tcgetattr(slave, &tio);
	if (c != 'B' || !(tio.c_lflag & ICANON))
		_exit(1);
	if (waitpid(child, &status, WNOHANG | WUNTRACED) != 0)
		_exit(2);
	signal(SIGTTOU, SIG_IGN);
	tcsetpgrp(slave, child);
	for (int i = 0; i < 300 && tio.c_lflag & ICANON; i++) {
		usleep(10000);
		tcgetattr(slave, &tio);
	}
	write_full(report, tio.c_lflag & ICANON ? "?" : "R", 1);
	read_full(child_report[0], &c, 1);
	waitpid(child, &status, 0);
	tcgetattr(slave, &tio);
	_exit(c == 'K' && WIFEXITED(status) && tio.c_lflag & ICANON ? 0 : 3);
}

static void test_background(void **state)
{
	struct guest *g = *state;
	int slave, master = open_pty(&slave), report[2], status;
	pid_t pid;
	char c;

	pipe2(report, O_CLOEXEC);
	pid = fork();
	if (!pid)
		background_session(g, slave, report[1]);
	close(report[1]);
	assert_int_equal(read_full(report[0], &c, 1), 0);
	assert_int_equal(c, 'R');
	write_full(master, "key!", 4);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(report[0]);
	close(master);
	close(slave);
}

static void test_pty(void **state)
{
	struct guest *g = *state;
	uint8_t buf[256];
	static uint8_t big[3 * RING];
	int fd;

	g->chr = chardev_pty_create(g->loop);
	assert_non_null(g->chr);
	chardev_set_front(g->chr, &guest_front, g);
	/* Nobody there: no stall, no spin, the backlog is kept. */
	for (int i = 0; i < 3; i++)
		assert_int_equal(chardev_write(g->chr, big, RING), RING);
	assert_int_equal(chardev_write(g->chr, "boot log\r\n", 10), 10);
	assert_idle(g);
	for (int round = 0; round < 2; round++) {
		size_t n = 0, want = round ? 5 : RING;

		fd = open(chardev_path(g->chr), O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
		assert_true(fd >= 0);
		for (int i = 0; i < 200 && n < want; i++) {
			run(g, 20);
			for (size_t k; (k = drain(fd, big + n, sizeof(big) - n));)
				n += k;
		}
		assert_int_equal(n, want);
		assert_memory_equal(big + n - 5, round ? "again" : "log\r\n", 5);
		write_full(fd, "in\n\1x", 5);
		run(g, 20);
		assert_int_equal(g->in_len, 5);
		assert_memory_equal(g->in, "in\n\1x", 5);
		assert_int_equal(drain(fd, buf, sizeof(buf)), 0); /* no echo */
		g->in_len = 0;
		close(fd);
		run(g, 5);
		assert_idle(g);
		chardev_write(g->chr, "again", 5);
	}
}

static void attach_pair(struct guest *g, int *client)
{
	int s[2];

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s);
	assert_int_equal(chardev_attach(g->chr, s[1]), 0);
	*client = s[0];
}

static void test_attach(void **state)
{
	struct guest *g = *state;
	static uint8_t big[4 * RING];
	uint8_t buf[64];
	int a, b, slow;

	g->chr = chardev_detached_create(g->loop);
	chardev_set_front(g->chr, &guest_front, g);
	chardev_write(g->chr, "early ", 6);
	attach_pair(g, &a);
	attach_pair(g, &slow);
	run(g, 5);
	chardev_write(g->chr, "late", 4);
	attach_pair(g, &b);
	run(g, 5);
	assert_int_equal(drain(a, buf, sizeof(buf)), 10);
	assert_memory_equal(buf, "early late", 10);
	assert_int_equal(drain(b, buf, sizeof(buf)), 10);

	write_full(a, "A", 1);
	run(g, 5);
	write_full(b, "B", 1);
	run(g, 5);
	assert_int_equal(g->in_len, 2);
	assert_memory_equal(g->in, "AB", 2);

	/* A slow client holds nobody back, and the loop does not spin on it. */
	for (int i = 0; i < 100; i++) {
		assert_int_equal(chardev_write(g->chr, big, 30000), 30000);
		run(g, 1);
		for (size_t n; (n = drain(a, big, sizeof(big)));)
			;
		for (size_t n; (n = drain(b, big, sizeof(big)));)
			;
	}
	assert_idle(g);

	/* One that only listens from now on gets on with it. */
	shutdown(a, SHUT_WR);
	run(g, 5);
	assert_idle(g);
	drain(a, big, sizeof(big));
	chardev_write(g->chr, "still", 5);
	run(g, 5);
	assert_int_equal(drain(a, buf, sizeof(buf)), 5);

	/* One that is gone is forgotten, but not what it sent. */
	g->full = true;
	write_full(b, "last words", 10);
	close(b);
	close(slow);
	close(a);
	run(g, 5);
	assert_idle(g);
	g->full = false;
	chardev_accept_input(g->chr);
	run(g, 5);
	assert_int_equal(g->in_len, 12);
	assert_memory_equal(g->in + 2, "last words", 10);
	chardev_write(g->chr, "to nobody", 9);
	assert_idle(g);
}

#define WRITER_LINES 20000

static void *writer(void *arg)
{
	struct guest *g = arg;

	for (int i = 0; i < WRITER_LINES; i++) {
		while (!chardev_write(g->chr, "x", 1))
			usleep(100);
		chardev_accept_input(g->chr);
	}
	return NULL;
}

static void *count_all(void *arg)
{
	static uint8_t buf[65536];
	int fd = *(int *)arg;
	uintptr_t total = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		total += (uintptr_t)n;
	return (void *)total;
}

static void test_threads(void **state)
{
	struct guest *g = *state;
	pthread_t w[2], reader;
	void *total;
	int out[2];

	pipe2(out, O_CLOEXEC);
	start_stdio(g, open("/dev/null", O_RDONLY), out[1]);
	pthread_create(&reader, NULL, count_all, &out[0]);
	for (int i = 0; i < 2; i++)
		pthread_create(&w[i], NULL, writer, g);
	run(g, 300);
	for (int i = 0; i < 2; i++)
		pthread_join(w[i], NULL);
	chardev_destroy(g->chr);
	g->chr = NULL;
	restore_stdio(g); /* the last writer of the pipe */
	pthread_join(reader, &total);
	assert_int_equal((uintptr_t)total, 2 * WRITER_LINES);
	close(out[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pipe_input),	TEST(test_refused_input), TEST(test_regular_files),
		TEST(test_dev_null),	TEST(test_stalled_pipe),  TEST(test_socket_stdio),
		TEST(test_broken_pipe), TEST(test_last_words),	  TEST(test_terminal),
		TEST(test_background),	TEST(test_pty),		  TEST(test_attach),
		TEST(test_threads),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
