// SPDX-License-Identifier: GPL-2.0-or-later
/* links: util/cache.c util/unpack.c util/util.c util/log.c */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/cache.h"
#include "kvm/util.h"

static char home[] = "/tmp/test-cache.XXXXXX", folder[64];

static int setup(void **state)
{
	(void)state;
	strcpy(strrchr(home, '.') + 1, "XXXXXX");
	if (!mkdtemp(home))
		return -1;
	setenv("XDG_CACHE_HOME", home, 1);
	snprintf(folder, sizeof(folder), "%s/lkvm/unpacked", home);
	return 0;
}

static int teardown(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", home);
	return system(command);
}

static struct cache_key key_of(const char *text)
{
	struct cache_key key;

	cache_key(&key, "test", text, strlen(text));
	return key;
}

static bool has(const char *text, const char *want)
{
	struct cache_key key = key_of(text);
	uint64_t len;
	char buf[100];
	int fd = cache_find(&key, &len);

	if (fd < 0)
		return false;
	assert_int_equal(len, strlen(want));
	assert_int_equal(pread_full(fd, buf, len, 0), 0);
	assert_memory_equal(buf, want, len);
	close(fd);
	return true;
}

static int add(const char *text, const char *result)
{
	struct cache_key key = key_of(text);

	return cache_add(&key, result, strlen(result));
}

/* Files in the folder; path is that of the last one. */
static unsigned int count(char path[400])
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	unsigned int nr = 0;

	while (dir && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(path, 400, "%s/%s", folder, entry->d_name);
		nr++;
	}
	if (dir)
		closedir(dir);
	return nr;
}

static void by_content(void **state)
{
	(void)state;
	assert_false(has("a", ""));
	assert_int_equal(add("a", "result of a"), 0);
	assert_int_equal(add("b", "result of b"), 0);
	assert_int_equal(add("empty", ""), 0);
	assert_true(has("a", "result of a"));
	assert_true(has("b", "result of b"));
	assert_true(has("empty", ""));
	assert_false(has("c", ""));
}

static void a_damaged_file_is_thrown_away(void **state)
{
	char path[400];

	(void)state;
	for (off_t len = 0; len < 27; len++) {
		assert_int_equal(add("a", "result of a"), 0);
		assert_int_equal(count(path), 1);
		assert_int_equal(truncate(path, len), 0);
		assert_false(has("a", ""));
		assert_int_equal(count(path), 0);
	}
}

static void somebody_elses_file_is_not_believed(void **state)
{
	char path[400];

	(void)state;
	if (geteuid())
		skip();
	assert_int_equal(add("a", "result of a"), 0);
	assert_int_equal(count(path), 1);
	assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
	assert_false(has("a", ""));
	assert_int_equal(add("a", "result of a"), 0);
	assert_true(has("a", "result of a"));
}

/* As a full disk does; what was begun is not left behind. */
static void a_file_that_cannot_grow(void **state)
{
	const struct rlimit none = {10, RLIM_INFINITY}, any = {RLIM_INFINITY, RLIM_INFINITY};
	char path[400];

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(add("a", "a result of some length"), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &any), 0);
	assert_int_equal(count(path), 0);
	assert_false(has("a", ""));
}

static void nowhere_to_keep_it(void **state)
{
	uint64_t len;
	char buf[8];
	int fd;

	(void)state;
	unsetenv("XDG_CACHE_HOME");
	unsetenv("HOME");
	assert_true(add("a", "b") < 0);
	setenv("HOME", "/proc/self/status", 1);
	assert_true(add("a", "b") < 0);
	assert_false(has("a", "b"));
	setenv("XDG_CACHE_HOME", "relative", 1);
	assert_true(add("a", "b") < 0);
	fd = cache_unpack(UNPACK_STORED, "stored", 6, 0, 100, &len);
	assert_true(fd >= 0);
	assert_int_equal(len, 6);
	assert_int_equal(pread_full(fd, buf, 6, 0), 0);
	assert_memory_equal(buf, "stored", 6);
	close(fd);
	assert_int_equal(cache_unpack(UNPACK_STORED, "stored", 6, 0, 5, &len), -EFBIG);
	assert_true(cache_unpack(UNPACK_XZ, "stored", 6, 0, 5, &len) < 0);
}

/* Everybody finds all of it or nothing, and one file is left. */
static void many_at_once(void **state)
{
	char text[100000], path[400];
	pid_t child[8];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < ARRAY_SIZE(child); i++) {
		child[i] = fork();
		if (child[i])
			continue;
		for (int j = 0; j < 20; j++) {
			uint64_t len;
			int fd = cache_unpack(UNPACK_STORED, text, sizeof(text), 0, 1 << 20, &len);

			if (fd < 0 || len != sizeof(text) || lseek(fd, 0, SEEK_END) < (off_t)len)
				_exit(1);
			close(fd);
			if (count(path) && j % 3 == 0)
				unlink(path);
		}
		_exit(0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(child); i++) {
		int status;

		assert_int_equal(waitpid(child[i], &status, 0), child[i]);
		assert_int_equal(status, 0);
	}
}

static void the_old_go(void **state)
{
	const struct timespec old[2] = {{.tv_sec = time(NULL) - 31 * 24 * 3600},
					{.tv_sec = time(NULL) - 31 * 24 * 3600}};
	char path[400];

	(void)state;
	assert_int_equal(add("a", "a"), 0);
	assert_int_equal(count(path), 1);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	/* To be of use keeps it. */
	assert_true(has("a", "a"));
	assert_int_equal(add("b", "b"), 0);
	assert_int_equal(count(path), 2);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_int_equal(add("c", "c"), 0);
	assert_int_equal(count(path), 2);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(by_content),
		TEST(a_damaged_file_is_thrown_away),
		TEST(somebody_elses_file_is_not_believed),
		TEST(a_file_that_cannot_grow),
		TEST(nowhere_to_keep_it),
		TEST(many_at_once),
		TEST(the_old_go),
	};

#ifndef HAVE_XXHASH
	puts("built without libxxhash: nothing is kept");
	return 77;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
