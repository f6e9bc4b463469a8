/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_STREAM_H
#define LKVM_STREAM_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

/*
 * A file that is read or written without ever blocking, and without making it O_NONBLOCK for
 * others (the shell, a pipe's other users) who share the description.
 */
enum stream_kind {
	STREAM_NONE,   /* closed */
	STREAM_OWN,    /* our own description, O_NONBLOCK */
	STREAM_SOCKET, /* MSG_DONTWAIT */
	STREAM_SHARED, /* polled before each access */
};

struct stream {
	int fd;
	enum stream_kind kind;
	bool tty;
};

/*
 * For fd, which the caller keeps, opened for reading (O_RDONLY) or writing (O_WRONLY). 0, or a
 * negative errno.
 */
int stream_open(struct stream *stream, int fd, int access);
void stream_close(struct stream *stream); /* also of one that is closed */
/* Bytes, 0 at the end of file, or a negative errno; -EAGAIN: not now. */
ssize_t stream_readv(const struct stream *stream, const struct iovec *iov, int nr);
ssize_t stream_writev(const struct stream *stream, const struct iovec *iov, int nr);

#endif
