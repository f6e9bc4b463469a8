// SPDX-License-Identifier: GPL-2.0-or-later
#include "uring.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kvm/disk.h"

struct uring {
	struct io_uring ring;
};

/* A ring is a way around what a thread may ask of the kernel (confine.h): this one does disks' work. */
static int uring_restrict(struct io_uring *ring)
{
	struct io_uring_restriction may[] = {
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC},
	};

	/* Not by liburing: 2.3 declares what it does not export. */
	if (syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_RESTRICTIONS, may,
		    sizeof(may) / sizeof(may[0])) < 0 ||
	    syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) <
		    0)
		return -errno;
	return 0;
}

struct uring *uring_create(unsigned int depth)
{
	struct uring *ring = calloc(1, sizeof(*ring));

	if (!ring)
		return NULL;
	if (io_uring_queue_init(depth, &ring->ring, IORING_SETUP_R_DISABLED) == 0) {
		if (uring_restrict(&ring->ring) == 0)
			return ring;
		io_uring_queue_exit(&ring->ring);
	}
	free(ring);
	return NULL;
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
