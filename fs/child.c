// SPDX-License-Identifier: GPL-2.0-or-later
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm/util.h"

enum child_step { CHILD_PROGRAM, CHILD_FILES, CHILD_USER, CHILD_MOUNTS, CHILD_READONLY };

static const char *const child_steps[] = {
	[CHILD_PROGRAM] = "cannot be run",
	[CHILD_FILES] = "cannot have its files",
	[CHILD_USER] = "cannot have a user namespace",
	[CHILD_MOUNTS] = "cannot have a mount namespace",
	[CHILD_READONLY] = "cannot be kept from writing",
};

/* What the child needs and must not work out itself: between fork and exec it may hardly do a thing. */
struct child_plan {
	const struct fs_child *child;
	char uid_map[32], gid_map[32];
};

/* What went wrong in the child, by way of a pipe that exec closes. */
struct child_report {
	enum child_step step;
	int err;
};

static int child_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = fd < 0 ? -errno : write_full(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return ret;
}

static int child_enter_user(const struct child_plan *plan)
{
	struct rlimit files;
	int ret = unshare(CLONE_NEWUSER) ? -errno : 0;

	if (ret == 0)
		ret = child_write("/proc/self/setgroups", "deny");
	if (ret == 0)
		ret = child_write("/proc/self/uid_map", plan->uid_map);
	if (ret == 0)
		ret = child_write("/proc/self/gid_map", plan->gid_map);
	/* As root it would take what it needs. */
	if (ret == 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	return ret;
}

/* Of all mounts that there are; writing through a file that is open elsewhere does not matter. */
static int child_make_readonly(void)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV};

	return syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attr, sizeof(attr)) ? -errno
											    : 0;
}

static int child_enclose(const struct child_plan *plan, enum child_step *step)
{
	int ret = 0;

	*step = CHILD_USER;
	if (plan->child->own_user)
		ret = child_enter_user(plan);
	if (ret < 0 || !plan->child->readonly)
		return ret;
	*step = CHILD_MOUNTS;
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	*step = CHILD_READONLY;
	return child_make_readonly();
}

/* The same file, out of the way of those that the child is to have; -1. */
static int child_aside(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, FS_CHILD_FD + 1);
}

/* Moves report_fd, which may be any number. */
static int child_set_files(const struct fs_child *child, int *report_fd)
{
	int null_fd = child_aside(open("/dev/null", O_RDONLY | O_CLOEXEC));
	int log_fd = child_aside(child->log_fd), listen_fd = child_aside(child->listen_fd);

	*report_fd = child_aside(*report_fd);
	if (null_fd < 0 || log_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
	    dup2(log_fd, STDOUT_FILENO) < 0 || dup2(log_fd, STDERR_FILENO) < 0)
		return -errno;
	if (child->listen_fd >= 0 && (listen_fd < 0 || dup2(listen_fd, FS_CHILD_FD) < 0))
		return -errno;
	return 0;
}

static void child_reset_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void __attribute__((noreturn)) child_main(const struct child_plan *plan, int report_fd)
{
	struct child_report report = {.step = CHILD_FILES};

	/* A session of its own: what is typed at lkvm's terminal is not for it. */
	setsid();
	report.err = child_set_files(plan->child, &report_fd);
	if (report.err == 0)
		report.err = child_enclose(plan, &report.step);
	if (report.err == 0) {
		child_reset_signals();
		execv(plan->child->program, plan->child->argv);
		report = (struct child_report){CHILD_PROGRAM, -errno};
	}
	write_full(report_fd, &report, sizeof(report));
	_exit(127);
}

int fs_child_start(const struct fs_child *child, pid_t *pid, const char **what)
{
	struct child_report report = {.step = CHILD_FILES};
	struct child_plan plan = {.child = child};
	sigset_t all, old;
	int fds[2], ret;

	*what = child_steps[CHILD_FILES];
	snprintf(plan.uid_map, sizeof(plan.uid_map), "0 %u 1", (unsigned int)geteuid());
	snprintf(plan.gid_map, sizeof(plan.gid_map), "0 %u 1", (unsigned int)getegid());
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	/* lkvm's handlers are not for the child. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	*pid = fork();
	if (*pid == 0)
		child_main(&plan, fds[1]);
	ret = *pid < 0 ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	close(fds[1]);
	if (ret == 0 && read_full(fds[0], &report, sizeof(report)) == 0) {
		waitpid(*pid, NULL, 0);
		*what = child_steps[report.step];
		ret = report.err;
	}
	close(fds[0]);
	return ret;
}
