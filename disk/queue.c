// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests in flight to a disk. What the kernel can do by itself goes to io_uring; the rest (and
 * all, where there is no io_uring) to a few threads, which are started when they are first needed.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/disk.h"
#include "kvm/loop.h"
#include "kvm/util.h"
#include "uring.h"

#define QUEUE_THREADS 4

struct queue_list {
	struct disk_request *first, **last;
};

struct disk_queue {
	struct disk *disk;
	void (*complete)(void *arg);
	void *arg;
	struct uring *ring; /* may be NULL */
	int event_fd;	    /* from the threads */
	struct loop_source *ring_source, *event_source;

	pthread_mutex_t lock; /* protects the rest; a leaf lock */
	pthread_cond_t todo_cond;
	struct queue_list todo, done;
	unsigned int nr_todo, nr_idle;
	unsigned int nr_threads; /* written by the loop's thread only */
	bool quit;
	pthread_t thread[QUEUE_THREADS];
};

static void queue_list_init(struct queue_list *list)
{
	list->first = NULL;
	list->last = &list->first;
}

static void queue_list_add(struct queue_list *list, struct disk_request *req)
{
	req->next = NULL;
	*list->last = req;
	list->last = &req->next;
}

static struct disk_request *queue_list_take(struct queue_list *list)
{
	struct disk_request *req = list->first;

	if (!req)
		return NULL;
	list->first = req->next;
	if (!list->first)
		list->last = &list->first;
	return req;
}

/* --- threads --- */

static int queue_do(struct disk *disk, const struct disk_request *req)
{
	switch (req->op) {
	case DISK_READ:
		return disk->ops->preadv(disk, req->iov, req->nr, req->off);
	case DISK_WRITE:
		return disk->ops->pwritev(disk, req->iov, req->nr, req->off);
	case DISK_FLUSH:
		return disk->ops->flush(disk);
	case DISK_DISCARD:
		return disk->ops->discard(disk, req->off, req->len);
	case DISK_WRITE_ZEROES:
		return disk->ops->write_zeroes(disk, req->off, req->len);
	}
	return -EINVAL;
}

/* The next thing to do; NULL: it is time to end. Lock held. */
static struct disk_request *queue_next(struct disk_queue *queue)
{
	struct disk_request *req;

	while (!(req = queue_list_take(&queue->todo)) && !queue->quit) {
		queue->nr_idle++;
		pthread_cond_wait(&queue->todo_cond, &queue->lock);
		queue->nr_idle--;
	}
	if (req)
		queue->nr_todo--;
	return req;
}

/* Lock held. */
static void queue_done(struct disk_queue *queue, struct disk_request *req)
{
	queue_list_add(&queue->done, req);
	(void)!write(queue->event_fd, &(uint64_t){1}, sizeof(uint64_t));
}

static void *queue_thread(void *arg)
{
	struct disk_queue *queue = arg;
	struct disk_request *req;

	pthread_setname_np(pthread_self(), "disk");
	pthread_mutex_lock(&queue->lock);
	while ((req = queue_next(queue))) {
		pthread_mutex_unlock(&queue->lock);
		req->result = queue_do(queue->disk, req);
		pthread_mutex_lock(&queue->lock);
		queue_done(queue, req);
	}
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

/* Signals are the main thread's business. Lock held. */
static void queue_add_thread(struct disk_queue *queue)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (!pthread_create(&queue->thread[queue->nr_threads], NULL, queue_thread, queue))
		queue->nr_threads++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void queue_to_threads(struct disk_queue *queue, struct disk_request *req)
{
	pthread_mutex_lock(&queue->lock);
	if (queue->nr_todo >= queue->nr_idle && queue->nr_threads < QUEUE_THREADS)
		queue_add_thread(queue);
	if (queue->nr_threads) {
		queue_list_add(&queue->todo, req);
		queue->nr_todo++;
		pthread_cond_signal(&queue->todo_cond);
	} else {
		/* No thread can be had: slow is better than not at all. */
		req->result = queue_do(queue->disk, req);
		queue_done(queue, req);
	}
	pthread_mutex_unlock(&queue->lock);
}

/* --- the kernel --- */

static bool queue_to_kernel(struct disk_queue *queue, struct disk_request *req)
{
	int fd = -1;

	if (queue->ring && req->op <= DISK_FLUSH && queue->disk->ops->request_fd)
		fd = queue->disk->ops->request_fd(queue->disk, req);
	return fd >= 0 && uring_submit(queue->ring, fd, req);
}

/* Whether the kernel has done all of it, or has said for good why it cannot. */
static bool queue_kernel_did(struct disk_request *req)
{
	uint64_t want = req->op == DISK_FLUSH ? 0 : req->len;

	if (req->result < 0)
		return req->result != -EAGAIN && req->result != -EINTR && req->result != -EINVAL;
	if ((uint64_t)req->result != want)
		return false;
	req->result = 0;
	return true;
}

/* --- the interface --- */

void disk_queue_submit(struct disk_queue *queue, struct disk_request *req)
{
	if (!queue_to_kernel(queue, req))
		queue_to_threads(queue, req);
}

void disk_queue_start(struct disk_queue *queue)
{
	if (queue->ring)
		uring_start(queue->ring);
}

static struct disk_request *queue_take_done(struct disk_queue *queue)
{
	struct disk_request *req;

	pthread_mutex_lock(&queue->lock);
	req = queue_list_take(&queue->done);
	pthread_mutex_unlock(&queue->lock);
	return req;
}

struct disk_request *disk_queue_complete(struct disk_queue *queue)
{
	struct disk_request *req;

	while (queue->ring && (req = uring_complete(queue->ring))) {
		if (queue_kernel_did(req))
			return req;
		/* The end of the file, or something odd: ours can do it, from the start. */
		queue_to_threads(queue, req);
	}
	return queue->nr_threads ? queue_take_done(queue) : NULL;
}

static void queue_woken_by_ring(void *arg, uint32_t events)
{
	struct disk_queue *queue = arg;

	(void)events;
	queue->complete(queue->arg);
}

static void queue_woken_by_thread(void *arg, uint32_t events)
{
	struct disk_queue *queue = arg;

	(void)events;
	/* Before anybody looks: what completes from now on makes it readable again. */
	eventfd_take(queue->event_fd);
	queue->complete(queue->arg);
}

void disk_queue_wait(struct disk_queue *queue)
{
	struct pollfd pfd[] = {{.fd = queue->event_fd, .events = POLLIN},
			       {.fd = queue->ring ? uring_fd(queue->ring) : -1, .events = POLLIN}};

	disk_queue_start(queue);
	/* Not for ever: the kernel may not have taken all of it now, and we start it again. */
	(void)poll(pfd, ARRAY_SIZE(pfd), 100);
	eventfd_take(queue->event_fd);
}

/* 0 or a negative errno. */
static int queue_watch(struct disk_queue *queue, struct loop *loop)
{
	queue->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->event_fd < 0)
		return -errno;
	queue->event_source =
		loop_add(loop, queue->event_fd, EPOLLIN, queue_woken_by_thread, queue);
	if (!queue->event_source)
		return -errno;
	if (!queue->ring)
		return 0;
	queue->ring_source =
		loop_add(loop, uring_fd(queue->ring), EPOLLIN, queue_woken_by_ring, queue);
	return queue->ring_source ? 0 : -errno;
}

struct disk_queue *disk_queue_create(struct disk *disk, struct loop *loop, void (*done)(void *arg),
				     void *arg)
{
	struct disk_queue *queue = calloc(1, sizeof(*queue));
	int err;

	if (!queue)
		return NULL;
	*queue = (struct disk_queue){.disk = disk, .complete = done, .arg = arg, .event_fd = -1};
	queue_list_init(&queue->todo);
	queue_list_init(&queue->done);
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->todo_cond, NULL);
	if (disk->ops->request_fd)
		queue->ring = uring_create(DISK_QUEUE_DEPTH);
	err = queue_watch(queue, loop);
	if (err) {
		disk_queue_destroy(queue);
		errno = -err;
		return NULL;
	}
	return queue;
}

void disk_queue_destroy(struct disk_queue *queue)
{
	if (!queue)
		return;
	pthread_mutex_lock(&queue->lock);
	queue->quit = true;
	pthread_cond_broadcast(&queue->todo_cond);
	pthread_mutex_unlock(&queue->lock);
	for (unsigned int i = 0; i < queue->nr_threads; i++)
		pthread_join(queue->thread[i], NULL);
	loop_remove(queue->ring_source);
	loop_remove(queue->event_source);
	uring_destroy(queue->ring);
	pthread_cond_destroy(&queue->todo_cond);
	pthread_mutex_destroy(&queue->lock);
	if (queue->event_fd >= 0)
		close(queue->event_fd);
	free(queue);
}
