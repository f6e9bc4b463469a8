/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_UNIX_H
#define LKVM_UNIX_H

#include <sys/types.h>

/*
 * Unix stream sockets that have a name. All of them are non-blocking and the caller's; errors are
 * negative errnos, -ENAMETOOLONG among them, and nothing is printed.
 */

/*
 * A server at path; what is there is taken over first. The umask takes from the mode. Who may race
 * with others for the same path holds a lock of his own.
 */
int unix_listen(const char *path, mode_t mode);
/*
 * Frees the path of what a server that was killed has left there: 0, also when nothing was.
 * -EADDRINUSE: somebody lives there; -ENOTSOCK: it is something else.
 */
int unix_take_over(const char *path);
/* -EAGAIN: its server's backlog is full. */
int unix_connect(const char *path);

/* An absolute path, malloc'ed, as a VM that detaches changes its working directory. NULL: errno. */
char *unix_absolute(const char *path);

#endif
