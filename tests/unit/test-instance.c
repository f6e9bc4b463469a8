// SPDX-License-Identifier: GPL-2.0-or-later
/* links: instance.c util/unix.c util/util.c util/log.c */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/instance.h"

static char base[] = "/tmp/lkvm-test-instance-XXXXXX";

static char *in_base(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", base, name);
	return path;
}

/* Every test has a fresh folder to live in, and a run folder in it that does not exist yet. */
static int setup(void **state)
{
	(void)state;
	memcpy(strrchr(base, '-') + 1, "XXXXXX", 6);
	if (!mkdtemp(base))
		return -1;
	unsetenv("XDG_RUNTIME_DIR");
	setenv("HOME", base, 1);
	setenv("LKVM_RUN_DIR", in_base("run"), 1);
	return 0;
}

static int teardown(void **state)
{
	char cmd[300];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", base);
	return system(cmd);
}

/* A VM that died without saying goodbye: its socket is there and nobody listens. */
static void leave_stale(const char *name)
{
	char *path;
	int fd = instance_listen(name, &path);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(access(path, F_OK), 0);
	free(path);
}

static void test_names(void **state)
{
	static const char *const bad[] = {"",	  ".",	  "..",	  ".a", "-a",	 "a/b",
					  "../x", "a b",  "a\n",  "ä",	"a\x01", "a:b",
					  "/",	  "a/..", "a\"b", "{}", "a,b",	 "~"};
	char name[120];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(instance_check_name(bad[i]), -EINVAL);
	assert_int_equal(instance_check_name("a"), 0);
	assert_int_equal(instance_check_name("A-b_c.9"), 0);
	assert_int_equal(instance_check_name("guest-12345"), 0);

	/* sun_path holds 107 bytes and the terminating 0 */
	setenv("LKVM_RUN_DIR", "/r", 1);
	memset(name, 'n', sizeof(name));
	name[107 - strlen("/r/") - strlen(".sock")] = '\0';
	assert_int_equal(instance_check_name(name), 0);
	strcat(name, "n");
	assert_int_equal(instance_check_name(name), -ENAMETOOLONG);
}

static void assert_run_dir(const char *expected)
{
	char *dir = instance_run_dir();

	if (expected)
		assert_string_equal(dir, expected);
	else
		assert_null(dir);
	free(dir);
}

static void test_where(void **state)
{
	char *path;

	(void)state;
	setenv("XDG_RUNTIME_DIR", "/xdg", 1);
	assert_run_dir(in_base("run"));
	setenv("LKVM_RUN_DIR", "", 1);
	assert_run_dir("/xdg/lkvm");
	setenv("XDG_RUNTIME_DIR", "not/absolute", 1);
	assert_run_dir(in_base(".lkvm"));
	unsetenv("XDG_RUNTIME_DIR");
	assert_run_dir(in_base(".lkvm"));
	unsetenv("HOME");
	assert_run_dir(NULL);
	assert_int_equal(instance_listen("a", &path), -EINVAL);
	assert_int_equal(instance_connect("a"), -EINVAL);
	assert_null(instance_names());

	assert_int_equal(chdir(base), 0);
	instance_set_run_dir("relative");
	assert_run_dir(in_base("relative"));
	assert_int_equal(chdir("/"), 0);
}

/* Looking does not make the folder; listening does, and keeps it to ourselves. */
static void test_folder(void **state)
{
	struct stat st;
	char **names, *path;
	int fd;

	(void)state;
	names = instance_names();
	assert_non_null(names);
	assert_null(names[0]);
	instance_free_names(names);
	assert_int_equal(instance_connect("a"), -ENOENT);
	assert_int_equal(instance_check_name("a"), 0);
	assert_int_not_equal(access(in_base("run"), F_OK), 0);

	fd = instance_listen("a", &path);
	assert_true(fd >= 0);
	assert_int_equal(stat(in_base("run"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777 & ~0600, 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	close(fd);
	free(path);
}

static void test_bad_folder(void **state)
{
	char *path;
	int fd;

	(void)state;
	instance_set_run_dir(in_base("no/parent"));
	assert_int_equal(instance_listen("a", &path), -ENOENT);

	instance_set_run_dir(in_base("file"));
	fd = open(in_base("file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(instance_listen("a", &path), -ENOTDIR);

	instance_set_run_dir("/proc/lkvm"); /* not even root can make this one */
	assert_int_equal(instance_listen("a", &path), -ENOENT);
	instance_set_run_dir("/proc/self");
	assert_true(instance_listen("a", &path) < 0);

	instance_set_run_dir(in_base("open"));
	assert_int_equal(mkdir(in_base("open"), 0700), 0);
	assert_int_equal(chmod(in_base("open"), 0770), 0);
	assert_int_equal(instance_listen("a", &path), -EPERM);
	assert_int_equal(chmod(in_base("open"), 01777), 0);
	assert_int_equal(instance_listen("a", &path), -EPERM);
	assert_int_equal(chmod(in_base("open"), 0755), 0);
	fd = instance_listen("a", &path);
	assert_true(fd >= 0);
	close(fd);
	free(path);

	if (geteuid() == 0) {
		assert_int_equal(chown(in_base("open"), 12345, 12345), 0);
		assert_int_equal(instance_listen("b", &path), -EPERM);
	}
}

static void test_duplicate_and_stale(void **state)
{
	char *path, *path2;
	int fd, client;

	(void)state;
	fd = instance_listen("vm", &path);
	assert_true(fd >= 0);
	assert_int_equal(instance_listen("vm", &path2), -EEXIST);
	client = instance_connect("vm");
	assert_true(client >= 0);
	close(client);
	close(fd);

	/* Dead now: taken over, and then alive again. */
	fd = instance_listen("vm", &path2);
	assert_true(fd >= 0);
	assert_string_equal(path, path2);
	client = instance_connect("vm");
	assert_true(client >= 0);
	close(client);
	close(fd);
	free(path);
	free(path2);
}

/* Whoever looks for a dead VM cleans up after it. */
static void test_connect_removes_stale(void **state)
{
	(void)state;
	leave_stale("dead");
	assert_int_equal(instance_connect("dead"), -ENOENT);
	assert_int_not_equal(access(in_base("run/dead.sock"), F_OK), 0);
}

static void test_foreign_files(void **state)
{
	char *path, **names;
	int fd;

	(void)state;
	leave_stale("b");
	leave_stale("a");
	assert_int_equal(mkdir(in_base("run/rootfs"), 0755), 0);
	assert_int_equal(mkdir(in_base("run/.sock"), 0755), 0);
	fd = open(in_base("run/x.sock"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	fd = open(in_base("run/sp ace.sock"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);

	/* A file which is no socket is neither a VM nor ours to remove. */
	assert_int_equal(instance_listen("x", &path), -ENOTSOCK);
	assert_int_equal(instance_connect("x"), -ENOTSOCK);
	assert_int_equal(access(in_base("run/x.sock"), F_OK), 0);

	names = instance_names();
	assert_non_null(names);
	assert_string_equal(names[0], "a");
	assert_string_equal(names[1], "b");
	assert_string_equal(names[2], "x");
	assert_null(names[3]);
	instance_free_names(names);
}

/* A VM that hangs with a full backlog is alive, and costs its clients a second at most. */
static void test_full_backlog(void **state)
{
	char *path, *path2;
	int fd = instance_listen("hung", &path), client[200], nr = 0;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(listen(fd, 2), 0);
	while (nr < 200 && (client[nr] = instance_connect("hung")) >= 0)
		nr++;
	assert_in_range(nr, 1, 10);
	assert_int_equal(client[nr], -EAGAIN);
	assert_int_equal(instance_listen("hung", &path2), -EEXIST);
	while (nr)
		close(client[--nr]);
	close(fd);
	free(path);
}

/* Of many starters and cleaners at once, over a stale socket, exactly one starter wins. */
static void test_race(void **state)
{
	enum { STARTERS = 8, CLEANERS = 4, ROUNDS = 10 };

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		int go[2], hold[2], winners = 0;
		pid_t pid[STARTERS + CLEANERS];
		char c;

		leave_stale("race");
		assert_int_equal(pipe(go), 0);
		assert_int_equal(pipe(hold), 0);
		for (int i = 0; i < STARTERS + CLEANERS; i++) {
			pid[i] = fork();
			assert_true(pid[i] >= 0);
			if (pid[i])
				continue;
			close(go[1]);
			close(hold[1]);
			close(STDERR_FILENO);
			(void)!read(go[0], &c, 1); /* the end of file starts all of them */
			if (i < STARTERS) {
				char *path;
				int fd = instance_listen("race", &path);

				if (fd < 0)
					_exit(fd == -EEXIST ? 0 : 2);
				(void)!read(hold[0], &c, 1); /* lives until the others are done */
				_exit(1);
			}
			for (int j = 0; j < 20; j++) {
				int fd = instance_connect("race");

				if (fd >= 0)
					close(fd);
			}
			_exit(0);
		}
		close(go[0]);
		close(hold[0]);
		close(go[1]);
		for (int left = STARTERS + CLEANERS, status; left; left--) {
			if (left == 1)
				close(hold[1]); /* whoever is left is the winner */
			assert_true(wait(&status) > 0);
			assert_true(WIFEXITED(status));
			assert_in_range(WEXITSTATUS(status), 0, 1);
			winners += WEXITSTATUS(status);
		}
		assert_int_equal(winners, 1);
	}
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_where),
		TEST(test_folder),
		TEST(test_bad_folder),
		TEST(test_duplicate_and_stale),
		TEST(test_connect_removes_stale),
		TEST(test_foreign_files),
		TEST(test_full_backlog),
		TEST(test_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
