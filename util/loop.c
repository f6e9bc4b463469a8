// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define LOOP_BATCH 16 /* events taken from epoll at a time */

struct loop_source {
	struct loop *loop;
	struct loop_source *next; /* in loop->sources */
	loop_fn fn;
	void *arg;
	int fd;
	uint32_t events; /* 0: not in the epoll set */
	bool timer;	 /* fd is ours */
	bool removed;
};

/*
 * epoll hands out events in batches, so a source that is removed may still be named by an event
 * further down the batch. Removal therefore only marks it while a batch is under way; loop_reap()
 * frees between batches.
 */
struct loop {
	int epoll_fd, quit_fd;
	atomic_bool quit;
	struct loop_source *sources; /* removed ones included */
	bool in_batch, to_reap;
};

static void loop_reap(struct loop *loop)
{
	struct loop_source **link = &loop->sources, *src;

	if (!loop->to_reap)
		return;
	loop->to_reap = false;
	while ((src = *link)) {
		if (src->removed) {
			*link = src->next;
			free(src);
		} else {
			link = &src->next;
		}
	}
}

struct loop *loop_create(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	struct epoll_event ev = {.events = EPOLLIN};
	int saved_errno;

	if (!loop)
		return NULL;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		goto out_free;
	loop->quit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->quit_fd < 0)
		goto out_epoll;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->quit_fd, &ev))
		goto out_quit;
	return loop;

out_quit:
	saved_errno = errno;
	close(loop->quit_fd);
	errno = saved_errno;
out_epoll:
	saved_errno = errno;
	close(loop->epoll_fd);
	errno = saved_errno;
out_free:
	free(loop);
	return NULL;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	while (loop->sources)
		loop_remove(loop->sources);
	close(loop->quit_fd);
	close(loop->epoll_fd);
	free(loop);
}

static void loop_dispatch(struct loop_source *src, uint32_t events)
{
	uint64_t expired;

	/* An earlier callback of this batch may have removed or silenced it. */
	events &= src->events | EPOLLHUP | EPOLLERR;
	if (src->removed || !src->events || !events)
		return;
	/* A timer may have been armed anew or disarmed since it expired. */
	if (src->timer && read(src->fd, &expired, sizeof(expired)) != sizeof(expired))
		return;
	src->fn(src->arg, events);
}

int loop_run(struct loop *loop)
{
	struct epoll_event ev[LOOP_BATCH];
	uint64_t count;
	int n, ret = 0;

	while (!atomic_load(&loop->quit)) {
		n = epoll_wait(loop->epoll_fd, ev, LOOP_BATCH, -1);
		if (n < 0 && errno != EINTR) {
			ret = -errno;
			break;
		}
		loop->in_batch = true;
		for (int i = 0; i < n && !atomic_load(&loop->quit); i++) {
			if (ev[i].data.ptr)
				loop_dispatch(ev[i].data.ptr, ev[i].events);
			else
				(void)!read(loop->quit_fd, &count, sizeof(count));
		}
		loop->in_batch = false;
		loop_reap(loop);
	}
	atomic_store(&loop->quit, false);
	return ret;
}

void loop_quit(struct loop *loop)
{
	atomic_store(&loop->quit, true);
	(void)!write(loop->quit_fd, &(uint64_t){1}, sizeof(uint64_t));
}

/*
 * A source without events is taken out of the set: epoll would report EPOLLHUP and EPOLLERR even
 * to an empty mask, over and over.
 */
int loop_modify(struct loop_source *src, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = src};
	int op;

	if (events == src->events)
		return 0;
	if (!events)
		op = EPOLL_CTL_DEL;
	else
		op = src->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (epoll_ctl(src->loop->epoll_fd, op, src->fd, &ev))
		return -errno;
	src->events = events;
	return 0;
}

struct loop_source *loop_add(struct loop *loop, int fd, uint32_t events, loop_fn fn, void *arg)
{
	/* Registered even when `events` is 0, so that an fd epoll refuses fails here, not later. */
	struct epoll_event ev = {.events = events};
	struct loop_source *src = calloc(1, sizeof(*src));
	int ret = 0;

	if (!src)
		return NULL;
	*src = (struct loop_source){.loop = loop, .fn = fn, .arg = arg, .fd = fd, .events = events};
	ev.data.ptr = src;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
		ret = errno;
	else if (!events && epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, &ev))
		ret = errno;
	if (ret) {
		free(src);
		errno = ret;
		return NULL;
	}
	src->next = loop->sources;
	loop->sources = src;
	return src;
}

void loop_remove(struct loop_source *src)
{
	struct loop *loop;

	if (!src)
		return;
	loop = src->loop;
	(void)loop_modify(src, 0);
	if (src->timer)
		close(src->fd);
	src->removed = true;
	loop->to_reap = true;
	if (!loop->in_batch)
		loop_reap(loop);
}

struct loop_source *loop_add_timer(struct loop *loop, loop_fn fn, void *arg)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	struct loop_source *src;
	int saved_errno;

	if (fd < 0)
		return NULL;
	src = loop_add(loop, fd, EPOLLIN, fn, arg);
	if (!src) {
		saved_errno = errno;
		close(fd);
		errno = saved_errno;
		return NULL;
	}
	src->timer = true;
	return src;
}

void loop_arm_timer(struct loop_source *timer, uint64_t ns)
{
	struct itimerspec its = {.it_value = {.tv_sec = (time_t)(ns / 1000000000),
					      .tv_nsec = (long)(ns % 1000000000)}};

	/* Fails only for a time out of range, which tv_nsec is not. */
	(void)timerfd_settime(timer->fd, 0, &its, NULL);
}
