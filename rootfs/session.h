/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_SESSION_H
#define LKVM_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "kvm/frame.h"

/* What agent.c and session.c have in common. All of it on the main loop. */
struct agent;
struct loop;

/* Queues a frame for the guest. -EAGAIN: no room; agent_room() says how much there is. */
int agent_send(struct agent *agent, unsigned int type, unsigned int session, const void *data,
	       size_t len);
size_t agent_room(const struct agent *agent);

/* The commands that `lkvm exec` runs, each with a client at the other end of a socket. */
struct sessions;

struct sessions *sessions_create(struct agent *agent, struct loop *loop); /* NULL with errno */
void sessions_destroy(struct sessions *sessions);			  /* NULL is fine */
/* See agent_exec(). */
int sessions_add(struct sessions *sessions, const char *conf, size_t len, int fd, bool begin);
/* The guest can run commands now. */
void sessions_begin(struct sessions *sessions);
/* The guest has taken some of what was sent. */
void sessions_room(struct sessions *sessions);
void sessions_frame(struct sessions *sessions, const struct frame_reader *frame);

#endif
