/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_FS_CHILD_H
#define LKVM_FS_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/* A program that serves files, and what it may do to them. */
struct fs_child {
	const char *program; /* a path */
	char *const *argv;
	int log_fd;    /* its stdout and stderr */
	int listen_fd; /* its descriptor FS_CHILD_FD; -1: none */
	/* It sees a host on which nothing can be written to, nor devices opened. */
	bool readonly;
	/*
	 * It is root in a user namespace that has lkvm's user and no other, for an lkvm that is not
	 * root: it may lock itself in, and can do to files what lkvm's user can.
	 */
	bool own_user;
};

#define FS_CHILD_FD 3

/*
 * Starts it, with the signals of a fresh process in a session of its own. 0, or a negative errno;
 * *what is then what could not be had, for the error line.
 */
int fs_child_start(const struct fs_child *child, pid_t *pid, const char **what);

#endif
