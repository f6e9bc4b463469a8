/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_DISK_H
#define LKVM_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "kvm/transport.h"

/*
 * An image that a guest sees as a disk. Offsets and sizes are bytes; offset and length lie within
 * `size`, which the caller checks. All calls return 0 or a negative errno and transfer everything
 * or fail. The iovecs may be modified. Calls may come from several threads at once, but for resize
 * and close, which come alone.
 */
struct disk;
struct disk_request;

struct disk_ops {
	int (*preadv)(struct disk *disk, struct iovec *iov, int nr, uint64_t off);
	int (*pwritev)(struct disk *disk, struct iovec *iov, int nr, uint64_t off);
	/* All writes that had returned before are durable when it returns. */
	int (*flush)(struct disk *disk);
	/* A hint: the contents are no longer needed and may read as anything. */
	int (*discard)(struct disk *disk, uint64_t off, uint64_t len);
	int (*write_zeroes)(struct disk *disk, uint64_t off, uint64_t len); /* keeps the space */
	void (*close)(struct disk *disk);				    /* flushes, frees */
	/* A file grows to `size`, a block device is looked at anew. May be NULL. Prints nothing. */
	int (*resize)(struct disk *disk, uint64_t size);
	/*
	 * The file on which the kernel can do this read, write or flush exactly as it stands, past
	 * us; -1: only the calls above can. May be NULL.
	 */
	int (*request_fd)(struct disk *disk, const struct disk_request *req);
};

struct disk {
	const struct disk_ops *ops;
	const char *path; /* as typed */
	uint64_t size;	  /* a multiple of block_size */
	/*
	 * The logical block size that a guest is to see: the device's own, 512 for files. It does
	 * not depend on how the image was opened, as partition tables are counted in it. Any
	 * multiple of 512 is fine as offset or length all the same.
	 */
	uint32_t block_size;
	/* What is best to write at once, powers of two: at least, and (0: unknown) ideally. */
	uint32_t physical_block_size, optimal_io_size;
	bool readonly;
};

/* Unspecified: qcow2 if the name ends in ".qcow2", else raw. The content never decides. */
enum disk_format { DISK_FORMAT_BY_NAME, DISK_FORMAT_RAW, DISK_FORMAT_QCOW2 };

#define DISK_SERIAL_MAX 20
#define DISK_MAX_QUEUES 16

/* What --disk says. Zeroes are the defaults. */
struct disk_params {
	const char *path; /* of the image, or of a back end's socket */
	bool vhost_user;  /* a back end serves it: only transport and nr_queues are ours to say */
	enum disk_format format;
	bool readonly, direct;
	bool backing; /* the image may name other files of the host to read from */

	/* How the guest sees it. */
	enum transport transport;
	bool no_discard;
	const char *serial; /* NULL: the image's name, as much as fits */
	uint32_t block_size, nr_queues;
	uint64_t iops, bps; /* requests and bytes a second; 0: no limit */
};

/*
 * FILE[,key=value..] or vhost-user=SOCKET[,key=value..] (docs/disks.md), written into; params point
 * into it. Prints on error.
 */
int disk_params_parse(struct disk_params *params, char *word);

/*
 * Opens an image and locks it: many may read it, or one writes. NULL after one error line that
 * names it, errno set. The path must live as long as the disk.
 */
struct disk *disk_open(const struct disk_params *params);
void disk_close(struct disk *disk); /* NULL is fine */

/*
 * disk/raw.c: files and block devices. A file whose size is no multiple of 512 reads as if it were
 * padded with zeros; writing to the padding makes it that long. Takes over fd, also on error.
 */
struct disk *disk_raw_open(const struct disk_params *params, int fd);

/*
 * disk/qcow2.c: an image inside `file`, which it takes over, also on error. `depth` is how many
 * images are above it, of which it is (a part of) the backing.
 */
struct disk *disk_qcow2_open(const struct disk_params *params, struct disk *file,
			     unsigned int depth);
/* disk/disk.c, for backing files: read-only, the format is not left to the name. */
struct disk *disk_open_backing(const struct disk_params *params, unsigned int depth);

/* --- many requests at once: disk/queue.c --- */

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_WRITE_ZEROES };

/* Belongs to the queue from submit to complete. */
struct disk_request {
	enum disk_op op;
	struct iovec *iov; /* of reads and writes; may be modified */
	int nr;
	uint64_t off, len;	   /* len is what the iovecs add up to */
	int result;		   /* 0 or a negative errno */
	struct disk_request *next; /* the queue's */
};

/*
 * Requests in flight to one disk, done by io_uring where the kernel and the image allow, else by a
 * few threads. They are done in any order: a flush covers the writes that were complete when it
 * was submitted. All calls come from the loop's thread.
 */
struct disk_queue;
struct loop;

#define DISK_QUEUE_DEPTH 256 /* requests in flight, at most */

/* NULL with errno. done(arg) is called from the loop when requests may be complete. */
struct disk_queue *disk_queue_create(struct disk *disk, struct loop *loop, void (*done)(void *arg),
				     void *arg);
void disk_queue_destroy(struct disk_queue *queue); /* nothing may be in flight; NULL is fine */
void disk_queue_submit(struct disk_queue *queue, struct disk_request *req);
/* What was submitted may wait until this. What the kernel has in its cache is complete after it. */
void disk_queue_start(struct disk_queue *queue);
/* A complete request, or NULL. done() comes until all have been taken. */
struct disk_request *disk_queue_complete(struct disk_queue *queue);
void disk_queue_wait(struct disk_queue *queue); /* sleeps until there may be one */

/* --- limits: disk/limit.c --- */

/*
 * A rate, as a bucket that fills with time. What is done is paid for afterwards, so that a request
 * larger than the bucket passes too: the level goes below zero, and nothing passes until it is up
 * again. Holds a tenth of a second's worth.
 */
struct disk_limit {
	uint64_t rate; /* a second; 0: no limit */
	int64_t level; /* in thousandths */
	uint64_t last_ns;
};

void disk_limit_init(struct disk_limit *limit, uint64_t rate, uint64_t now);
/* Nanoseconds to wait before the next request may be done; 0: now. */
uint64_t disk_limit_wait(struct disk_limit *limit, uint64_t now);
void disk_limit_pay(struct disk_limit *limit, uint64_t units);

#endif
