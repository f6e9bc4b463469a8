/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_WORKER_H
#define LKVM_WORKER_H

struct loop;

/*
 * A thread that runs a loop. Each virtio device has one and everything that happens to its queues
 * happens there, so queue state needs no lock: other threads ask for a change by worker_call().
 */
struct worker;

struct worker *worker_create(const char *name); /* <= 15 characters; NULL with errno */
void worker_destroy(struct worker *worker);	 /* stops the loop, joins the thread */

struct loop *worker_loop(struct worker *worker);

/*
 * Runs fn(arg) on the worker and returns when it is done. Must not be called on the worker itself
 * nor with a lock held that the worker could want.
 */
void worker_call(struct worker *worker, void (*fn)(void *arg), void *arg);

#endif
