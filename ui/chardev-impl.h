/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_CHARDEV_IMPL_H
#define LKVM_CHARDEV_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "kvm/chardev.h"

/*
 * The inside of chardevs, shared by chardev.c (buffers), term.c (stdio) and pty.c.
 *
 * Output goes into one ring, which is also the backlog. Everybody outside is an "end" and reads
 * the ring at its own position. An end that holds back makes chardev_write() stop before its
 * position is overrun; the others are overrun and lose what they did not read in time.
 *
 * All reading and writing of files happens on the main loop, which chardev_write() and
 * chardev_accept_input() wake by kick_fd. Hence no vCPU ever touches a file that could block.
 */
#define CHARDEV_RING  (64 * 1024)
#define CHARDEV_INPUT (64 * 1024)
#define CHARDEV_CHUNK 4096 /* PIPE_BUF: a pipe that polls writable takes as much at once */

struct loop_source;
struct chardev_end;

/* How to use a file without blocking and without making it O_NONBLOCK for others who share it. */
enum chardev_fd_kind {
	CHARDEV_FD_OWN,	   /* our own description, O_NONBLOCK */
	CHARDEV_FD_SOCKET, /* MSG_DONTWAIT */
	CHARDEV_FD_SHARED, /* poll before each access */
};

struct chardev_fd {
	int fd; /* -1: none */
	enum chardev_fd_kind kind;
	bool tty;
	struct loop_source *src; /* NULL: a file that epoll refuses because it is always ready */
};

struct chardev_end_ops {
	/* Before a read; false, with the end paused, when it may not be now. May be NULL. */
	bool (*may_read)(struct chardev_end *end);
	/*
	 * Takes out of what was read what is not for the guest, and may put one byte in, for which
	 * there is room; returns the new length. May be NULL.
	 */
	size_t (*filter)(struct chardev_end *end, uint8_t *buf, size_t len);
	/* No more input: 0 at the end of file, else an errno. */
	void (*input_ended)(struct chardev_end *end, int err);
	/* Output failed for good. */
	void (*output_failed)(struct chardev_end *end, int err);
};

/* All of it belongs to the main loop, but for what chr->lock protects. */
struct chardev_end {
	struct chardev *chr;
	struct chardev_end *next; /* chr->lock protects */
	const struct chardev_end_ops *ops;
	void *ops_arg;
	struct chardev_fd in, out;
	bool in_paused;	 /* nothing is read */
	bool out_paused; /* nothing is written */
	bool greedy;	 /* read even when the front takes nothing, for the escape keys */
	bool in_ended;	 /* nothing more to read; only EPOLLHUP is of interest */
	bool out_waits;	 /* for EPOLLOUT */
	bool gone;	 /* to be freed once its input is delivered */

	bool holds_back; /* chr->lock protects */
	uint64_t sent;	 /* position in the ring; chr->lock protects */

	size_t in_start, in_len; /* what the front has not taken yet */
	uint8_t in_buf[CHARDEV_INPUT];
};

/* Lock order: the front's lock, then chr->lock, a leaf. The front is called with neither held. */
struct chardev {
	struct loop *loop;
	const struct chardev_front *front; /* main loop */
	void *front_arg;
	int kick_fd;
	struct loop_source *kick_src;
	atomic_bool in_refused; /* the front may be waiting to say chardev_accept_input() */
	char *path;
	void (*close)(void *impl); /* frees what term.c or pty.c added */
	void *impl;

	pthread_mutex_t lock; /* protects the rest, and in each end what says so */
	struct chardev_end *ends;
	bool kicked;
	bool front_waits; /* for room */
	uint64_t written; /* bytes since birth; the ring holds the last CHARDEV_RING of them */
	uint8_t ring[CHARDEV_RING];
};

struct chardev *chardev_create(struct loop *loop); /* NULL with errno */

/*
 * Adds an end that reads in_fd and writes out_fd, either of which may be -1. Both are taken over,
 * in case of failure too; they must be two descriptors. NULL with errno.
 */
struct chardev_end *chardev_end_add(struct chardev *chr, int in_fd, enum chardev_fd_kind in_kind,
				    int out_fd, enum chardev_fd_kind out_kind,
				    const struct chardev_end_ops *ops, void *ops_arg);

void chardev_end_hold_back(struct chardev_end *end, bool hold_back);
void chardev_end_pause(struct chardev_end *end, bool in_paused, bool out_paused);
void chardev_end_close_input(struct chardev_end *end);
void chardev_end_close_output(struct chardev_end *end);
void chardev_kick(struct chardev *chr);

/*
 * A new pty's master, non-blocking, with the slave raw and hung up; the slave's path goes to `path`.
 * A negative errno, nothing printed.
 */
int pty_open_master(char *path, size_t size);

#endif
