/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_UNIX_H
#define LKVM_UNIX_H

/*
 * Unix stream sockets that have a name. All of them are non-blocking and the caller's; errors are
 * negative errnos, -ENAMETOOLONG among them, and nothing is printed.
 */

/* A server at path, with the umask's mode. A socket there that nobody answers at is taken over. */
int unix_listen(const char *path);
/* -EAGAIN: its server's backlog is full. */
int unix_connect(const char *path);

/* An absolute path, malloc'ed, as a VM that detaches changes its working directory. NULL: errno. */
char *unix_absolute(const char *path);

#endif
