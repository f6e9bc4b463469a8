// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/loop.h"

/* A request of worker_call(), on its caller's stack. */
struct worker_request {
	struct worker_request *next;
	void (*fn)(void *arg);
	void *arg;
	bool done;
};

struct worker {
	char name[16];
	pthread_t thread;
	struct loop *loop;
	struct loop_source *wake;
	int wake_fd;
	pthread_mutex_t lock; /* protects requests and their `done`; a leaf lock */
	pthread_cond_t done_cond;
	struct worker_request *requests, **last;
};

static struct worker_request *worker_next_request(struct worker *worker)
{
	struct worker_request *req;

	pthread_mutex_lock(&worker->lock);
	req = worker->requests;
	if (req) {
		worker->requests = req->next;
		if (!worker->requests)
			worker->last = &worker->requests;
	}
	pthread_mutex_unlock(&worker->lock);
	return req;
}

static void worker_serve(void *arg, uint32_t events)
{
	struct worker *worker = arg;
	struct worker_request *req;
	uint64_t count;

	(void)events;
	(void)!read(worker->wake_fd, &count, sizeof(count));
	while ((req = worker_next_request(worker))) {
		req->fn(req->arg);
		pthread_mutex_lock(&worker->lock);
		req->done = true;
		pthread_cond_broadcast(&worker->done_cond);
		pthread_mutex_unlock(&worker->lock);
	}
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	int ret;

	pthread_setname_np(pthread_self(), worker->name);
	ret = loop_run(worker->loop);
	if (ret)
		log_error("thread %s: epoll: error %d", worker->name, -ret);
	return NULL;
}

/* Signals are the main thread's business: the new thread inherits a mask that blocks them all. */
static int worker_start_thread(struct worker *worker)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&worker->thread, NULL, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

struct worker *worker_create(const char *name)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int err = ENOMEM;

	if (!worker)
		return NULL;
	for (size_t i = 0; i < sizeof(worker->name) - 1 && name[i]; i++)
		worker->name[i] = name[i];
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->done_cond, NULL);
	worker->last = &worker->requests;

	worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->wake_fd < 0) {
		err = errno;
		goto out_free;
	}
	worker->loop = loop_create();
	if (!worker->loop) {
		err = errno;
		goto out_wake_fd;
	}
	worker->wake = loop_add(worker->loop, worker->wake_fd, EPOLLIN, worker_serve, worker);
	if (!worker->wake) {
		err = errno;
		goto out_loop;
	}
	err = worker_start_thread(worker);
	if (err)
		goto out_loop;
	return worker;

out_loop:
	loop_destroy(worker->loop);
out_wake_fd:
	close(worker->wake_fd);
out_free:
	pthread_cond_destroy(&worker->done_cond);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
	errno = err;
	return NULL;
}

void worker_destroy(struct worker *worker)
{
	if (!worker)
		return;
	loop_quit(worker->loop);
	pthread_join(worker->thread, NULL);
	loop_destroy(worker->loop);
	close(worker->wake_fd);
	pthread_cond_destroy(&worker->done_cond);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}

struct loop *worker_loop(struct worker *worker)
{
	return worker->loop;
}

void worker_call(struct worker *worker, void (*fn)(void *arg), void *arg)
{
	struct worker_request req = {.fn = fn, .arg = arg};

	pthread_mutex_lock(&worker->lock);
	*worker->last = &req;
	worker->last = &req.next;
	(void)!write(worker->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
	while (!req.done)
		pthread_cond_wait(&worker->done_cond, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
}
