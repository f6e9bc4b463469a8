// SPDX-License-Identifier: GPL-2.0-or-later
/* links: ui/port.c ui/pty.c ui/chardev.c util/unix.c util/options.c util/loop.c util/util.c util/log.c */
/* The words of --port, and what it opens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/port.h"
#include "kvm/unix.h"
#include "kvm/util.h"

static int saved_err;

static void hush(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	saved_err = dup(2);
	dup2(null, 2);
	close(null);
}

static void speak(void)
{
	dup2(saved_err, 2);
	close(saved_err);
}

static int parse(const char *word, struct port_option *option)
{
	static char words[256];

	strcpy(words, word);
	return port_option_parse(option, words);
}

static void test_words(void **state)
{
	static const char *const bad[] = {
		"",
		"a",
		"a,pty=1",
		"a,file",
		"a,file=",
		"a,pty,file=x",
		"a,what",
		"a,console",
		"a=b,pty",
		"x/y,pty",
		"a,pty,console=1",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,pty",
	};
	struct port_option option;

	(void)state;
	assert_int_equal(parse("org.qemu.guest_agent.0,unix=/tmp/s", &option), 0);
	assert_string_equal(option.name, "org.qemu.guest_agent.0");
	assert_int_equal(option.to, PORT_TO_UNIX);
	assert_string_equal(option.path, "/tmp/s");
	assert_false(option.console);
	assert_int_equal(parse("a,console,pty", &option), 0);
	assert_int_equal(option.to, PORT_TO_PTY);
	assert_true(option.console);
	hush();
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		if (parse(bad[i], &option) != -EINVAL)
			fail_msg("%s", bad[i]);
	speak();
}

static void test_files(void **state)
{
	char dir[] = "/tmp/lkvm-port-XXXXXX", path[64];
	struct port_option option = {.name = "a", .to = PORT_TO_FILE, .path = path};
	struct port_host *port;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/x", dir);
	port = port_open(&option);
	assert_non_null(port);
	assert_int_equal(port_in_fd(port), -1);
	assert_int_equal(write(port_out_fd(port), "one", 3), 3);
	port_close(port);
	port = port_open(&option); /* goes on at the end */
	assert_int_equal(write(port_out_fd(port), "two", 3), 3);
	assert_int_equal(lseek(port_out_fd(port), 0, SEEK_CUR), 6);
	port_close(port);
	/* A file is neither a terminal nor a socket. */
	hush();
	option.to = PORT_TO_TTY;
	assert_null(port_open(&option));
	option.to = PORT_TO_UNIX;
	assert_null(port_open(&option));
	speak();
	unlink(path);
	port = port_open(&option);
	fd = unix_connect(path);
	assert_true(fd >= 0);
	close(fd);
	port_close(port);
	assert_int_equal(access(path, F_OK), -1);
	rmdir(dir);
}

/* A terminal is raw while it is the port's. */
static void test_tty(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	struct port_option option = {.name = "a", .to = PORT_TO_TTY};
	struct termios tio;
	struct port_host *port;

	(void)state;
	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	option.path = ptsname(master);
	slave = open(option.path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	port = port_open(&option);
	assert_non_null(port);
	tcgetattr(slave, &tio);
	assert_false(tio.c_lflag & ICANON);
	port_close(port);
	tcgetattr(slave, &tio);
	assert_true(tio.c_lflag & ICANON);
	close(slave);
	close(master);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_tty),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
