/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_LOOP_H
#define LKVM_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * An event loop over epoll. One thread runs it; the callbacks run on that thread and are never
 * concurrent with each other. A callback may add and remove any source, itself included.
 *
 * The VM's main thread has one (signals, control socket, terminal); each device worker has one.
 */
struct loop;
struct loop_source;

/* `events` are EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as epoll reported them. */
typedef void (*loop_fn)(void *arg, uint32_t events);

struct loop *loop_create(void); /* NULL with errno */
void loop_destroy(struct loop *loop);

/* Runs until loop_quit(). 0, or a negative errno when epoll itself fails. */
int loop_run(struct loop *loop);
/* Any thread: the loop returns after the callback it is in. Stays in force until the next run. */
void loop_quit(struct loop *loop);

/*
 * Watches fd, which the caller keeps owning and must outlive the source. Add, modify and remove:
 * only the loop's own thread, or any thread while the loop is not running.
 * loop_add returns NULL with errno; files that epoll refuses (regular files) give EPERM.
 */
struct loop_source *loop_add(struct loop *loop, int fd, uint32_t events, loop_fn fn, void *arg);
int loop_modify(struct loop_source *src, uint32_t events); /* 0 silences it */
void loop_remove(struct loop_source *src); /* NULL is fine */

/*
 * One-shot timer: fn runs once, `ns` from now; arming again replaces; 0 disarms. Adding and
 * removing follow the rules above; any thread may arm.
 */
struct loop_source *loop_add_timer(struct loop *loop, loop_fn fn, void *arg);
void loop_arm_timer(struct loop_source *timer, uint64_t ns);

#endif
