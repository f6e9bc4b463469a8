// SPDX-License-Identifier: GPL-2.0-or-later
#include "uring.h"

#include <liburing.h>
#include <stdlib.h>

#include "kvm/disk.h"

struct uring {
	struct io_uring ring;
};

struct uring *uring_create(unsigned int depth)
{
	struct uring *ring = calloc(1, sizeof(*ring));

	if (ring && io_uring_queue_init(depth, &ring->ring, 0) < 0) {
		free(ring);
		return NULL;
	}
	return ring;
}

void uring_destroy(struct uring *ring)
{
	if (!ring)
		return;
	io_uring_queue_exit(&ring->ring);
	free(ring);
}

int uring_fd(const struct uring *ring)
{
	return ring->ring.ring_fd;
}

bool uring_submit(struct uring *ring, int fd, struct disk_request *req)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->ring);

	if (!sqe)
		return false;
	if (req->op == DISK_READ)
		io_uring_prep_readv(sqe, fd, req->iov, req->nr, req->off);
	else if (req->op == DISK_WRITE)
		io_uring_prep_writev(sqe, fd, req->iov, req->nr, req->off);
	else
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data(sqe, req);
	return true;
}

void uring_start(struct uring *ring)
{
	/* What could not be submitted now (memory is short) is by the next call. */
	while (io_uring_sq_ready(&ring->ring) && io_uring_submit(&ring->ring) == -EINTR)
		;
}

struct disk_request *uring_complete(struct uring *ring)
{
	struct disk_request *req;
	struct io_uring_cqe *cqe;

	if (io_uring_peek_cqe(&ring->ring, &cqe))
		return NULL;
	req = io_uring_cqe_get_data(cqe);
	req->result = cqe->res;
	io_uring_cqe_seen(&ring->ring, cqe);
	return req;
}
