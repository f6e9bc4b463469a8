// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/frame.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int frame_read(struct frame_reader *reader, int fd)
{
	size_t want = sizeof(reader->head);
	ssize_t n;

	if (reader->len >= want)
		want += reader->head.len;
	n = recv(fd, (char *)&reader->head + reader->len, want - reader->len, MSG_DONTWAIT);
	if (n == 0)
		return -EPIPE;
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	reader->len += (size_t)n;
	if (reader->len < sizeof(reader->head))
		return 0;
	if (reader->head.len > GUEST_MAX_FRAME)
		return -EPROTO;
	if (reader->len < sizeof(reader->head) + reader->head.len)
		return 0;
	reader->len = 0;
	return 1;
}

unsigned int frame_number(const struct frame_reader *frame)
{
	unsigned int number = 0;

	if (frame->head.len == sizeof(number))
		memcpy(&number, frame->data, sizeof(number));
	return number;
}
