/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_DISK_URING_H
#define LKVM_DISK_URING_H

/* io_uring, for disk/queue.c: the kernel does requests on a file while we do other things. */
#include <stdbool.h>

struct disk_request;
struct uring;

/* NULL: not built in, or the kernel does not allow it. */
struct uring *uring_create(unsigned int depth);
void uring_destroy(struct uring *ring); /* NULL is fine */
int uring_fd(const struct uring *ring); /* readable while completions wait */
/* False if it is full. */
bool uring_submit(struct uring *ring, int fd, struct disk_request *req);
void uring_start(struct uring *ring);
/* The result is the kernel's: bytes or a negative errno. */
struct disk_request *uring_complete(struct uring *ring);

#endif
