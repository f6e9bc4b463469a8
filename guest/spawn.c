// SPDX-License-Identifier: GPL-2.0-or-later
#include <asm/errno.h>
#include <asm/ioctls.h>
#include <asm/signal.h>
#include <asm/termios.h>
#include <linux/fcntl.h>

#include "init.h"

#define SPAWN_MAX_WORDS 4096 /* of a command, and of its environment */

/* What execve() wants; too large for a stack. */
struct spawn {
	const struct conf *conf;
	char *args[SPAWN_MAX_WORDS + 1];
	char *envs[SPAWN_MAX_WORDS + 1];
};

static void __attribute__((noreturn)) spawn_fail(const char *what, long err, unsigned int status)
{
	init_say(what, ": ", error_name(err));
	for (;;)
		SYS(exit_group, status, 0, 0, 0, 0);
}

static const char *spawn_env(const struct spawn *spawn, const char *name)
{
	for (char *const *env = spawn->envs; *env; env++) {
		const char *value = str_after(*env, name);

		if (value && *value == '=')
			return value + 1;
	}
	return "";
}

/* Returns only the errno of the most telling failure. */
static long spawn_search_path(const struct spawn *spawn)
{
	const char *path = spawn_env(spawn, "PATH");
	long ret, worst = -ENOENT;
	char file[4096], dir[4096];

	while (*path) {
		size_t n = 0;

		while (path[n] && path[n] != ':' && n + 1 < sizeof(dir)) {
			dir[n] = path[n];
			n++;
		}
		dir[n] = '\0';
		STR_JOIN(file, dir, "/", spawn->args[0]);
		ret = SYS(execve, file, spawn->args, spawn->envs, 0, 0);
		if (ret != -ENOENT && ret != -ENOTDIR)
			worst = ret;
		path += n + (path[n] == ':');
	}
	return worst;
}

static bool spawn_has_slash(const char *name)
{
	while (*name && *name != '/')
		name++;
	return *name;
}

/* False: root. */
static bool spawn_ids(const struct conf *conf, unsigned int *uid, unsigned int *gid)
{
	const char *ids = conf_get(conf, "ids", NULL);

	if (!ids)
		return false;
	*uid = str_number(ids, &ids);
	*gid = str_number(ids + 1, &ids);
	return true;
}

void spawn_give(const struct conf *conf, int fd)
{
	unsigned int uid, gid;

	if (spawn_ids(conf, &uid, &gid))
		SYS(fchown, fd, uid, gid, 0, 0);
}

void spawn_set_winsize(int tty, unsigned int size)
{
	const struct winsize ws = {.ws_row = (unsigned short)(size >> 16),
				   .ws_col = (unsigned short)size};

	SYS(ioctl, tty, TIOCSWINSZ, &ws, 0, 0);
}

void spawn_first_winsize(const struct conf *conf, int tty)
{
	const char *words = conf_get(conf, "size", NULL);
	unsigned int rows;

	if (!words)
		return;
	rows = str_number(words, &words);
	spawn_set_winsize(tty, rows << 16 | (str_number(words + 1, &words) & 0xffff));
}

static void spawn_collect(const struct spawn *spawn, const char *key, char **words)
{
	const char *word = NULL;
	unsigned int n = 0;

	while ((word = conf_get(spawn->conf, key, word))) {
		if (n == SPAWN_MAX_WORDS)
			spawn_fail("the command", -E2BIG, GUEST_STATUS_NOT_EXECUTABLE);
		words[n++] = (char *)word;
	}
	words[n] = NULL;
}

static void spawn_exec(struct spawn *spawn)
{
	long ret;

	if (!spawn->args[0]) {
		spawn->args[0] = "bash";
		spawn->args[1] = NULL;
		spawn_search_path(spawn);
		spawn->args[0] = "sh";
	}
	ret = spawn_has_slash(spawn->args[0])
		      ? SYS(execve, spawn->args[0], spawn->args, spawn->envs, 0, 0)
		      : spawn_search_path(spawn);
	spawn_fail(spawn->args[0], ret,
		   ret == -ENOENT ? GUEST_STATUS_NOT_FOUND : GUEST_STATUS_NOT_EXECUTABLE);
}

static void __attribute__((noreturn)) spawn_child(struct spawn *spawn, const int fds[3], bool tty)
{
	const char *cwd = conf_get(spawn->conf, "cwd", NULL);
	const unsigned long none = 0;
	unsigned int uid, gid;
	long ret;

	SYS(setsid, 0, 0, 0, 0, 0);
	for (int i = 0; i < 3; i++)
		SYS(dup3, fds[i], i, 0, 0, 0);
	if (tty)
		SYS(ioctl, 0, TIOCSCTTY, 0, 0, 0);
	spawn_collect(spawn, "arg", spawn->args);
	spawn_collect(spawn, "env", spawn->envs);
	if (spawn_ids(spawn->conf, &uid, &gid)) {
		SYS(setgroups, 0, NULL, 0, 0, 0);
		if (SYS(setgid, gid, 0, 0, 0, 0) < 0 || SYS(setuid, uid, 0, 0, 0, 0) < 0)
			spawn_fail("--user", -EPERM, GUEST_STATUS_NOT_EXECUTABLE);
	}
	ret = cwd ? SYS(chdir, cwd, 0, 0, 0, 0) : 0;
	if (ret < 0 && conf_get(spawn->conf, "must", NULL))
		spawn_fail(cwd, ret, GUEST_STATUS_NOT_EXECUTABLE);
	SYS(rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none), 0);
	for (;;)
		spawn_exec(spawn);
}

int spawn_fork(void)
{
	return (int)SYS(clone, SIGCHLD, 0, 0, 0, 0);
}

/* dup3() wants two descriptors that differ: init keeps 0 to 2 for itself. */
int spawn(const struct conf *conf, const int fds[3], bool tty)
{
	static struct spawn state;
	int pid;

	state.conf = conf;
	pid = spawn_fork();
	if (pid == 0)
		spawn_child(&state, fds, tty);
	return pid;
}
