// SPDX-License-Identifier: GPL-2.0-or-later
/* links: util/options.c util/util.c util/log.c */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/options.h"
#include "kvm/util.h"

static struct {
	bool rng, dhcp, shared, no_shared;
	uint32_t cpus;
	const char *kernel;
	char calls[256]; /* "name:word;" of every callback */
} got;

static int got_call(const struct option_spec *opt, const char *word)
{
	size_t len = strlen(got.calls);

	if (word && !strcmp(word, "bad"))
		return -EINVAL;
	snprintf(got.calls + len, sizeof(got.calls) - len, "%s:%s;", opt->long_name,
		 word ? word : "-");
	return 0;
}

static const struct option_spec table[] = {
	{OPTION_GROUP, .help = "Basic options:"},
	{OPTION_U32, 'c', "cpus", &got.cpus, "n", "number of vCPUs\nthe host's by default", NULL},
	{OPTION_STRING, 'k', "kernel", &got.kernel, "file", "kernel image", NULL},
	{OPTION_CALL, 'd', "disk", NULL, "file[,ro]", "disk image", got_call},
	{OPTION_CALL_OPTIONAL, 0, "debug", NULL, "what", "debug messages", got_call},
	{OPTION_CALL_OPTIONAL, 0, "sdl", NULL, NULL, "a window", got_call},
	{OPTION_FLAG, 'r', "rng", &got.rng, NULL, "random numbers", NULL},
	{OPTION_NOFLAG, 0, "no-dhcp", &got.dhcp, NULL, "no DHCP", NULL},
	{OPTION_FLAG, 0, "shared", &got.shared, NULL, "", NULL},
	{OPTION_FLAG, 0, "no-shared", &got.no_shared, NULL, "", NULL},
	{.type = OPTION_END},
};

static char err[1024], out[4096];

static void slurp(int fd, char *buf, size_t size)
{
	ssize_t n = pread(fd, buf, size - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	close(fd);
}

/* Splits the words of `line`, parses them, and leaves what was printed in err and out. */
static int parse(const char *line, char **argv, bool stop_at_word)
{
	static char copy[512];
	int argc = 0, ret, err_fd = open("/tmp", O_TMPFILE | O_RDWR, 0600), out_fd;
	int old_err = dup(STDERR_FILENO), old_out = dup(STDOUT_FILENO);

	memset(&got, 0, sizeof(got));
	got.dhcp = true;
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok(copy, " "); w; w = strtok(NULL, " "))
		argv[argc++] = w;
	argv[argc] = NULL;

	fflush(stdout);
	out_fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	dup2(err_fd, STDERR_FILENO);
	dup2(out_fd, STDOUT_FILENO);
	ret = options_parse(argc, argv, table, "usage: lkvm run [kernel]\n", stop_at_word);
	fflush(stdout);
	dup2(old_err, STDERR_FILENO);
	dup2(old_out, STDOUT_FILENO);
	close(old_err);
	close(old_out);
	slurp(err_fd, err, sizeof(err));
	slurp(out_fd, out, sizeof(out));
	return ret;
}

static void test_values(void **state)
{
	char *argv[32];
	int i;

	(void)state;
	i = parse("run Image -c 4 --kernel=vmlinux --disk a.img,ro -db.img --rng --no-dhcp --debug "
		  "--debug=all --sdl -- -x",
		  argv, false);
	assert_string_equal(err, "");
	assert_int_equal(got.cpus, 4);
	assert_string_equal(got.kernel, "vmlinux");
	assert_true(got.rng);
	assert_false(got.dhcp);
	assert_string_equal(got.calls, "disk:a.img,ro;disk:b.img;debug:-;debug:all;sdl:-;");
	assert_string_equal(argv[i], "Image");
	assert_string_equal(argv[i + 1], "-x");
	assert_null(argv[i + 2]);
}

static void test_opposites(void **state)
{
	char *argv[32];

	(void)state;
	assert_true(parse("run --rng --no-rng --no-dhcp --dhcp", argv, false) > 0);
	assert_false(got.rng);
	assert_true(got.dhcp);
	/* A name of the table's own is not taken for an opposite. */
	assert_true(parse("run --shared --no-shared", argv, false) > 0);
	assert_true(got.shared);
	assert_true(got.no_shared);
}

static void test_stop_at_word(void **state)
{
	char *argv[32];
	int i;

	(void)state;
	i = parse("sandbox --rng ls --color", argv, true);
	assert_string_equal(argv[i], "ls");
	assert_string_equal(argv[i + 1], "--color");
	assert_true(got.rng);
}

static void test_errors(void **state)
{
	static const struct {
		const char *line, *message;
	} cases[] = {
		{"run --foo", "Error: unknown option --foo\n"},
		{"run --foo=7", "Error: unknown option --foo\n"},
		{"run Image --foo bar", "Error: unknown option --foo\n"},
		{"run -x", "Error: unknown option -x\n"},
		{"run -rx", "Error: unknown option -x\n"},
		{"run -\u00e9", "Error: unknown option -\u00e9\n"},
		{"run -r\u00e9x Image", "Error: unknown option -r\u00e9x\n"},
		{"run --cpus 4x", "Error: option --cpus wants a number, not '4x'\n"},
		{"run -c 4x", "Error: option -c wants a number, not '4x'\n"},
		{"run -c 99999999999", "Error: option -c: '99999999999' is too large\n"},
		{"run --cpus", "Error: option --cpus wants a value\n"},
		{"run -c", "Error: option -c wants a value\n"},
		{"run --rng=yes", "Error: option --rng takes no value, but got 'yes'\n"},
		{"run --sdl=x", "Error: option --sdl takes no value, but got 'x'\n"},
		{"run --help=x", "Error: option --help takes no value, but got 'x'\n"},
		{"run --kern x", "Error: unknown option --kern (--kernel?)\n"},
		{"run --kern=x", "Error: unknown option --kern (--kernel?)\n"},
		{"run --rn", "Error: unknown option --rn (--rng?)\n"},
		{"run --d", "Error: unknown option --d\n"},
		{"run -d bad", ""},
	};
	char *argv[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(parse(cases[i].line, argv, false), -EINVAL);
		assert_string_equal(err, cases[i].message);
		assert_string_equal(out, "");
	}
}

static void test_help(void **state)
{
	char *argv[32];

	(void)state;
	assert_int_equal(parse("run --help", argv, false), OPTIONS_HELP);
	assert_string_equal(err, "");
	assert_non_null(strstr(out, "usage: lkvm run [kernel]\n\nBasic options:\n"));
	assert_non_null(strstr(out, "\n    -c, --cpus <n>            number of vCPUs\n"
				    "                              the host's by default\n"));
	assert_non_null(strstr(out, "\n    --debug[=<what>]          debug messages\n"));
	assert_non_null(strstr(out, "\n    --sdl                     a window\n"));
	assert_non_null(strstr(out, "\n    -r, --rng                 random numbers\n"));
	assert_int_equal(parse("run -h", argv, false), OPTIONS_HELP);
}

static void test_pairs(void **state)
{
	char line[] = "mode=tap,script=a\\,b,ro,x=1=2,", *rest = line, *key, *value;

	(void)state;
	assert_true(options_next_pair(&rest, &key, &value));
	assert_string_equal(key, "mode");
	assert_string_equal(value, "tap");
	assert_true(options_next_pair(&rest, &key, &value));
	assert_string_equal(key, "script");
	assert_string_equal(value, "a,b");
	assert_true(options_next_pair(&rest, &key, &value));
	assert_string_equal(key, "ro");
	assert_null(value);
	assert_true(options_next_pair(&rest, &key, &value));
	assert_string_equal(key, "x");
	assert_string_equal(value, "1=2");
	/* What follows a last comma is a pair too, so that it can be complained about. */
	assert_true(options_next_pair(&rest, &key, &value));
	assert_string_equal(key, "");
	assert_null(value);
	assert_false(options_next_pair(&rest, &key, &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),	     cmocka_unit_test(test_opposites),
		cmocka_unit_test(test_stop_at_word), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_help),	     cmocka_unit_test(test_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
