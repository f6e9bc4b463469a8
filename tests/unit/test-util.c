// SPDX-License-Identifier: GPL-2.0-or-later
/* links: util/util.c util/log.c */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/log.h"
#include "kvm/util.h"

static void test_le(void **state)
{
	uint8_t b[9] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99};

	(void)state;
	assert_int_equal(le_load(b, 1), 0x11);
	assert_int_equal(le_load(b, 2), 0x2211);
	assert_int_equal(le_load(b + 1, 4), 0x55443322);
	assert_true(le_load(b, 8) == 0x8877665544332211ULL);
	le_store(b, 2, 0xaabbccdd);
	assert_int_equal(b[0], 0xdd);
	assert_int_equal(b[1], 0xcc);
	assert_int_equal(b[2], 0x33);
	le_store(b, 8, 0x0102030405060708ULL);
	assert_int_equal(b[0], 8);
	assert_int_equal(b[7], 1);
	assert_int_equal(b[8], 0x99);
}

static void test_ranges(void **state)
{
	(void)state;
	assert_true(range_contains(0x1000, 0x1000, 0x1000, 0x1000));
	assert_false(range_contains(0x1000, 0x1000, 0x1001, 0x1000));
	assert_false(range_contains(0x1000, 0x1000, 0x1800, UINT64_MAX));
	assert_true(ranges_overlap(0, 10, 9, 1));
	assert_false(ranges_overlap(0, 10, 10, 1));
	assert_true(ranges_overlap(9, 1, 0, 10));
}

static void test_numbers(void **state)
{
	static const char *const bad[] = {"", "x", "4x", " 4", "+4", "-1", "0x", "4 ", "08"};
	uint64_t v = 7;
	uint32_t u = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse_u64(bad[i], &v), -EINVAL);
		assert_int_equal(parse_u32(bad[i], &u), -EINVAL);
	}
	assert_int_equal(v, 7); /* untouched on error */
	assert_int_equal(u, 7);
	assert_int_equal(parse_u64("18446744073709551616", &v), -ERANGE);
	assert_int_equal(parse_u32("4294967296", &u), -ERANGE);
	assert_int_equal(parse_u64("18446744073709551615", &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(parse_u64("0x10", &v), 0);
	assert_int_equal(v, 16);
	assert_int_equal(parse_u64("010", &v), 0);
	assert_int_equal(v, 8);
	assert_int_equal(parse_u32("4294967295", &u), 0);
	assert_int_equal(u, UINT32_MAX);
}

static void test_sizes(void **state)
{
	static const char *const bad[] = {"", "M", "512MB", "1.5G", "-1M", "12x", "5 M"};
	uint64_t v;

	(void)state;
	assert_int_equal(parse_size("512", MIB, &v), 0);
	assert_true(v == 512 * MIB);
	assert_int_equal(parse_size("2G", MIB, &v), 0);
	assert_true(v == 2 * GIB);
	assert_int_equal(parse_size("3k", MIB, &v), 0);
	assert_int_equal(v, 3 * 1024);
	assert_int_equal(parse_size("77B", MIB, &v), 0);
	assert_int_equal(v, 77);
	assert_int_equal(parse_size("1T", 1, &v), 0);
	assert_true(v == 1024 * GIB);
	assert_int_equal(parse_size("1P", 1, &v), 0);
	assert_true(v == 1024 * 1024 * GIB);
	assert_int_equal(parse_size("16384P", 1, &v), -ERANGE);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_size(bad[i], MIB, &v), -EINVAL);
}

static void test_bools(void **state)
{
	bool b = false;

	(void)state;
	assert_true(parse_bool("on", &b) && b);
	assert_true(parse_bool("No", &b) && !b);
	assert_true(parse_bool("1", &b) && b);
	assert_true(parse_bool("false", &b) && !b);
	assert_false(parse_bool("maybe", &b));
	assert_false(parse_bool("", &b));
}

static void test_full_io(void **state)
{
	char path[] = "/tmp/lkvm-test-util-XXXXXX", buf[8] = "";
	int fd = mkstemp(path), pipefd[2];

	(void)state;
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write_full(fd, "abcdef", 6), 0);
	assert_int_equal(pwrite_full(fd, "XY", 2, 2), 0);
	assert_int_equal(pread_full(fd, buf, 6, 0), 0);
	assert_memory_equal(buf, "abXYef", 6);
	assert_int_equal(pread_full(fd, buf, 6, 1), -EIO);
	assert_int_equal(pread_full(fd, buf, 0, 100), 0);
	close(fd);
	assert_int_equal(read_full(fd, buf, 1), -EBADF);

	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	assert_int_equal(write_full(pipefd[1], "abc", 3), 0);
	close(pipefd[1]);
	assert_int_equal(read_full(pipefd[0], buf, 3), 0);
	assert_int_equal(read_full(pipefd[0], buf, 1), -EIO);
	close(pipefd[0]);
}

/* Runs fn with stderr going to a buffer. */
static void captured(char *buf, size_t size, void (*fn)(void))
{
	int pipefd[2], old = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe2(pipefd, O_CLOEXEC | O_NONBLOCK), 0);
	dup2(pipefd[1], STDERR_FILENO);
	fn();
	dup2(old, STDERR_FILENO);
	close(old);
	close(pipefd[1]);
	n = read(pipefd[0], buf, size - 1);
	buf[n > 0 ? n : 0] = '\0';
	close(pipefd[0]);
}

static void log_three(void)
{
	log_fatal("no %s", "kernel");
	errno = ENOENT;
	log_warning("file: %m");
	log_debug("never seen");
}

static void log_long(void)
{
	static char big[10000];

	memset(big, 'x', sizeof(big) - 1);
	log_error("%s", big);
}

static void log_flood(void)
{
	for (int i = 0; i < 30; i++)
		log_guest("bad");
}

static void test_log(void **state)
{
	char buf[8192];
	enum log_level level;
	unsigned int lines = 0;

	(void)state;
	captured(buf, sizeof(buf), log_three);
	assert_string_equal(buf, "Fatal: no kernel\nWarning: file: No such file or directory\n");

	captured(buf, sizeof(buf), log_long);
	assert_memory_equal(buf, "Error: xxx", 10);
	assert_true(strlen(buf) <= 4096);
	assert_int_equal(buf[strlen(buf) - 1], '\n');

	/* Thirty lines may fall into two seconds, which allows twenty and a note. */
	captured(buf, sizeof(buf), log_flood);
	for (const char *p = buf; (p = strchr(p, '\n')); p++)
		lines++;
	assert_in_range(lines, 10, 21);

	log_set_level(LOG_LEVEL_ERROR);
	captured(buf, sizeof(buf), log_three);
	assert_string_equal(buf, "Fatal: no kernel\n");
	log_set_level(LOG_LEVEL_INFO);

	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("loud", &level), -EINVAL);
}

static void test_misc(void **state)
{
	char *s = xasprintf("%d-%s", 5, "x");
	uint64_t a = now_ns(), b = now_ns();

	(void)state;
	assert_string_equal(s, "5-x");
	free(s);
	assert_true(a && b >= a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_le),	cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_bools),	cmocka_unit_test(test_full_io),
		cmocka_unit_test(test_log),	cmocka_unit_test(test_misc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
