// SPDX-License-Identifier: GPL-2.0-or-later
/* In place of uring.c where liburing is missing: nothing is ever created. */
#include <stddef.h>

#include "uring.h"

struct uring *uring_create(unsigned int depth)
{
	(void)depth;
	return NULL;
}

void uring_destroy(struct uring *ring)
{
	(void)ring;
}

int uring_fd(const struct uring *ring)
{
	(void)ring;
	return -1;
}

bool uring_submit(struct uring *ring, int fd, struct disk_request *req)
{
	(void)ring;
	(void)fd;
	(void)req;
	return false;
}

void uring_start(struct uring *ring)
{
	(void)ring;
}

struct disk_request *uring_complete(struct uring *ring)
{
	(void)ring;
	return NULL;
}
