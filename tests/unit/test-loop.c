// SPDX-License-Identifier: GPL-2.0-or-later
/* links: util/loop.c util/worker.c util/util.c util/log.c */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/loop.h"
#include "kvm/util.h"
#include "kvm/worker.h"

#define MS 1000000ULL

struct fixture {
	struct loop *loop;
	struct loop_source *src[4];
	int fd[4];
	unsigned int calls[4], total;
};

static void fixture_quit(void *arg, uint32_t events)
{
	(void)events;
	loop_quit(arg);
}

/* Runs the loop for `ms` milliseconds. */
static void run_for(struct loop *loop, unsigned int ms)
{
	struct loop_source *timer = loop_add_timer(loop, fixture_quit, loop);

	assert_non_null(timer);
	loop_arm_timer(timer, ms * MS);
	assert_int_equal(loop_run(loop), 0);
	loop_remove(timer);
}

/* Whoever is called first removes everybody, itself included. */
static void remove_all(void *arg, uint32_t events)
{
	struct fixture *f = arg;

	assert_int_equal(events, EPOLLIN);
	f->total++;
	for (int i = 0; i < 4; i++) {
		loop_remove(f->src[i]);
		f->src[i] = NULL;
	}
}

static void test_remove_in_batch(void **state)
{
	struct fixture f = {.loop = loop_create()};

	(void)state;
	for (int i = 0; i < 4; i++) {
		f.fd[i] = eventfd(1, EFD_CLOEXEC);
		f.src[i] = loop_add(f.loop, f.fd[i], EPOLLIN, remove_all, &f);
		assert_non_null(f.src[i]);
	}
	run_for(f.loop, 20);
	assert_int_equal(f.total, 1);
	for (int i = 0; i < 4; i++)
		close(f.fd[i]);
	loop_destroy(f.loop);
}

/* Whoever is called first closes all and puts new sources on the same fd numbers. */
static void count_and_quit(void *arg, uint32_t events)
{
	struct fixture *f = arg;

	(void)events;
	f->calls[3]++;
	loop_quit(f->loop);
}

static void replace_all(void *arg, uint32_t events)
{
	struct fixture *f = arg;

	(void)events;
	f->total++;
	for (int i = 0; i < 4; i++) {
		loop_remove(f->src[i]);
		close(f->fd[i]);
	}
	for (int i = 0; i < 4; i++) {
		f->fd[i] = eventfd(i == 3, EFD_CLOEXEC);
		f->src[i] = loop_add(f->loop, f->fd[i], EPOLLIN, count_and_quit, f);
	}
}

static void test_replace_in_batch(void **state)
{
	struct fixture f = {.loop = loop_create()};

	(void)state;
	for (int i = 0; i < 4; i++) {
		f.fd[i] = eventfd(1, EFD_CLOEXEC);
		f.src[i] = loop_add(f.loop, f.fd[i], EPOLLIN, replace_all, &f);
	}
	assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(f.total, 1);
	assert_int_equal(f.calls[3], 1);
	for (int i = 0; i < 4; i++)
		close(f.fd[i]);
	loop_destroy(f.loop); /* with its sources */
}

static void silence_others(void *arg, uint32_t events)
{
	struct fixture *f = arg;

	(void)events;
	f->total++;
	for (int i = 0; i < 4; i++)
		assert_int_equal(loop_modify(f->src[i], 0), 0);
}

static void test_silence(void **state)
{
	struct fixture f = {.loop = loop_create()};
	int pipefd[2];

	(void)state;
	/* A hung-up pipe: even that must not be reported to a silenced source. */
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	close(pipefd[1]);
	for (int i = 0; i < 4; i++) {
		f.fd[i] = dup(pipefd[0]);
		f.src[i] = loop_add(f.loop, f.fd[i], EPOLLIN, silence_others, &f);
	}
	run_for(f.loop, 20);
	assert_int_equal(f.total, 1);
	assert_int_equal(loop_modify(f.src[2], EPOLLIN), 0);
	run_for(f.loop, 20);
	assert_int_equal(f.total, 2);
	loop_destroy(f.loop);
	for (int i = 0; i < 4; i++)
		close(f.fd[i]);
	close(pipefd[0]);
}

static void test_regular_file(void **state)
{
	struct loop *loop = loop_create();
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);

	(void)state;
	errno = 0;
	assert_null(loop_add(loop, fd, EPOLLIN, fixture_quit, loop));
	assert_int_equal(errno, EPERM);
	assert_null(loop_add(loop, fd, 0, fixture_quit, loop));
	assert_int_equal(errno, EPERM);
	close(fd);
	loop_destroy(loop);
}

static void count_timer(void *arg, uint32_t events)
{
	(void)events;
	++*(unsigned int *)arg;
}

static void test_timers(void **state)
{
	struct loop *loop = loop_create();
	unsigned int once = 0, never = 0, later = 0;
	struct loop_source *a = loop_add_timer(loop, count_timer, &once);
	struct loop_source *b = loop_add_timer(loop, count_timer, &never);
	struct loop_source *c = loop_add_timer(loop, count_timer, &later);
	uint64_t start = now_ns();

	(void)state;
	loop_arm_timer(a, 1 * MS);
	loop_arm_timer(b, 1 * MS);
	loop_arm_timer(b, 0);
	loop_arm_timer(c, 1 * MS);
	loop_arm_timer(c, 3600 * 1000 * MS);
	run_for(loop, 30);
	assert_true(now_ns() - start >= 30 * MS);
	assert_int_equal(once, 1);
	assert_int_equal(never, 0);
	assert_int_equal(later, 0);
	loop_destroy(loop);
}

static void test_quit_before_run(void **state)
{
	struct loop *loop = loop_create();

	(void)state;
	loop_quit(loop);
	assert_int_equal(loop_run(loop), 0); /* or it would hang here */
	run_for(loop, 5);
	loop_destroy(loop);
}

struct on_worker {
	pthread_t thread;
	char name[16];
	sigset_t mask;
	unsigned int runs; /* touched by the worker only: TSan would tell */
};

static void on_worker(void *arg)
{
	struct on_worker *w = arg;

	w->thread = pthread_self();
	pthread_getname_np(w->thread, w->name, sizeof(w->name));
	pthread_sigmask(SIG_SETMASK, NULL, &w->mask);
	w->runs++;
}

struct caller {
	struct worker *worker;
	struct on_worker *w;
};

static void *call_often(void *arg)
{
	struct caller *c = arg;

	for (int i = 0; i < 1000; i++)
		worker_call(c->worker, on_worker, c->w);
	return NULL;
}

static void test_worker(void **state)
{
	struct worker *worker = worker_create("a-name-that-is-too-long");
	struct on_worker w = {0};
	struct caller c = {worker, &w};
	pthread_t thread[3];
	sigset_t mask;

	(void)state;
	assert_non_null(worker);
	worker_call(worker, on_worker, &w);
	assert_false(pthread_equal(w.thread, pthread_self()));
	assert_string_equal(w.name, "a-name-that-is-");
	assert_true(sigismember(&w.mask, SIGTERM) && sigismember(&w.mask, SIGINT));
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_false(sigismember(&mask, SIGTERM)); /* ours is as it was */

	for (int i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, call_often, &c);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	worker_destroy(worker);
	assert_int_equal(w.runs, 3001);

	for (int i = 0; i < 100; i++) /* destroyed before the thread got anywhere */
		worker_destroy(worker_create("short"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_remove_in_batch), cmocka_unit_test(test_replace_in_batch),
		cmocka_unit_test(test_silence),		cmocka_unit_test(test_regular_file),
		cmocka_unit_test(test_timers),		cmocka_unit_test(test_quit_before_run),
		cmocka_unit_test(test_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
