// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/util.h"

int stream_open(struct stream *stream, int fd, int access)
{
	char path[32];
	struct stat st;

	*stream = (struct stream){.fd = -1};
	if (fstat(fd, &st))
		return -errno;
	stream->tty = isatty(fd);
	/* Through /proc, pipes and terminals get a new description; files would lose their place. */
	if (S_ISFIFO(st.st_mode) || stream->tty) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		stream->fd = open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		stream->kind = STREAM_OWN;
	}
	if (stream->fd < 0) {
		stream->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		stream->kind = S_ISSOCK(st.st_mode) ? STREAM_SOCKET : STREAM_SHARED;
	}
	if (stream->fd >= 0)
		return 0;
	stream->kind = STREAM_NONE;
	return -errno;
}

void stream_close(struct stream *stream)
{
	if (stream->kind != STREAM_NONE)
		close(stream->fd);
	stream->kind = STREAM_NONE;
	stream->fd = -1;
}

static bool stream_ready(const struct stream *stream, short events)
{
	struct pollfd p = {.fd = stream->fd, .events = events};

	return stream->kind != STREAM_SHARED || poll(&p, 1, 0) > 0;
}

ssize_t stream_readv(const struct stream *stream, const struct iovec *iov, int nr)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = MIN(nr, IOV_MAX)};
	ssize_t n;

	if (!stream_ready(stream, POLLIN))
		return -EAGAIN;
	if (stream->kind == STREAM_SOCKET)
		n = recvmsg(stream->fd, &msg, MSG_DONTWAIT);
	else
		n = readv(stream->fd, iov, MIN(nr, IOV_MAX));
	return n < 0 ? errno == EINTR ? -EAGAIN : -errno : n;
}

ssize_t stream_writev(const struct stream *stream, const struct iovec *iov, int nr)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = MIN(nr, IOV_MAX)};
	struct iovec first = {.iov_base = iov->iov_base, .iov_len = 1};
	ssize_t n;

	if (!stream_ready(stream, POLLOUT))
		return -EAGAIN;
	if (stream->kind == STREAM_SOCKET)
		n = sendmsg(stream->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (stream->kind == STREAM_SHARED && stream->tty)
		/* A terminal that polls writable has room for one byte, and blocks for more. */
		n = writev(stream->fd, &first, 1);
	else
		n = writev(stream->fd, iov, MIN(nr, IOV_MAX));
	return n < 0 ? errno == EINTR ? -EAGAIN : -errno : n;
}
