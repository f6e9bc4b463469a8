// SPDX-License-Identifier: GPL-2.0-or-later
/* links: rootfs/conf.c util/util.c util/log.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the above */
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/rootfs.h"
#include "kvm/util.h"

/* A guest's root, with a list of users. */
static char root[] = "/tmp/test-conf.XXXXXX";

static void put(const char *name, const char *text)
{
	char path[100];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int setup(void **state)
{
	char path[100];

	(void)state;
	strcpy(strrchr(root, '.') + 1, "XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(path, sizeof(path), "%s/etc", root);
	if (mkdir(path, 0755))
		return -1;
	put("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1001:Ann:/home/ann:/bin/sh\n");
	return 0;
}

static int teardown(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

/* The value of a line of what the guest's init is told for a user; NULL: no such line. */
static const char *line_of(const char *user, const char *key, int want)
{
	const struct rootfs rootfs = {.dir = root};
	const struct rootfs_command command = {.user = user};
	static char value[300];
	const char *found = NULL;
	size_t len = 0;
	char *text;

	assert_int_equal(rootfs_exec_conf(&rootfs, &command, &text, &len), want);
	for (const char *at = text; at && at < text + len; at += strlen(at) + 1)
		if (!strncmp(at, key, strlen(key)) && at[strlen(key)] == '=') {
			snprintf(value, sizeof(value), "%s", at + strlen(key) + 1);
			found = value;
		}
	free(text);
	return found;
}

static void users_by_name_and_number(void **state)
{
	(void)state;
	assert_string_equal(line_of("ann", "ids", 0), "1000/1001");
	assert_string_equal(line_of("ann", "cwd", 0), "/home/ann");
	assert_string_equal(line_of("1000", "cwd", 0), "/home/ann");
	assert_string_equal(line_of("7:8", "ids", 0), "7/8");
	assert_null(line_of("root", "ids", 0));
	assert_null(line_of(NULL, "ids", 0));
}

/* 2^32 is not root, and 2^32 - 1 would leave root as it is. */
static void no_such_users(void **state)
{
	static const char *const words[] = {"bob",
					    "4294967296",
					    "4294967295",
					    "1:4294967296",
					    "1:4294967295",
					    "1:",
					    "1:x",
					    "1x",
					    "",
					    ":",
					    "-1",
					    "+1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		assert_null(line_of(words[i], "ids", -ENOENT));
}

/* A list that is a link is looked up in the guest's root; a pipe is not waited for. */
static void lists_that_are_no_files(void **state)
{
	char path[100];

	(void)state;
	snprintf(path, sizeof(path), "%s/etc/passwd", root);
	put("users", "eve:x:66:66::/eve:/bin/sh\n");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/users", path), 0);
	assert_string_equal(line_of("eve", "cwd", 0), "/eve");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/../../../../../../etc/passwd", path), 0);
	line_of("root", "cwd", -ENOENT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	line_of("eve", "cwd", -ENOENT);
	assert_string_equal(line_of("0", "cwd", 0), "/");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(users_by_name_and_number),
		TEST(no_such_users),
		TEST(lists_that_are_no_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
