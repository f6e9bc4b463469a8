// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What `lkvm exec` runs, seen from lkvm: frames between the guest's init and a client's socket.
 * Credit (guest/protocol.h) bounds what a client that does not read can make us keep; what the
 * guest does not take stays in the client's socket.
 */
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/util.h"

/* Both streams' credit in frames of one byte, and the few others that there can be. */
#define SESSION_OUT_MAX (2 * GUEST_WINDOW * (sizeof(struct guest_frame) + 1) + 4096)
/* One frame of a client's fits, and there is room left for what is ours to say. */
#define SESSION_IN_ROOM (2 * GUEST_MAX_FRAME)

struct session {
	struct sessions *all;
	unsigned int id; /* 0: free */
	char *conf;	 /* until the guest has been told; else NULL */
	size_t conf_len;
	int fd; /* -1: the client has gone, and the guest has been told */
	struct loop_source *source;
	bool exited; /* to be closed when all is sent */
	size_t out_start, out_len, out_size;
	char *out;
	struct frame_reader in;
};

struct sessions {
	struct agent *agent;
	struct loop *loop;
	unsigned int last_id;
	struct session *session[GUEST_MAX_SESSIONS];
};

static void session_free(struct session *session)
{
	for (int i = 0; i < GUEST_MAX_SESSIONS; i++)
		if (session->all->session[i] == session)
			session->all->session[i] = NULL;
	loop_remove(session->source);
	if (session->fd >= 0)
		close(session->fd);
	free(session->conf);
	free(session->out);
	free(session);
}

/* The client is not there any more; the number is free only when the guest says so. */
static void session_drop(struct session *session)
{
	if (session->conf || session->exited) {
		session_free(session);
		return;
	}
	loop_remove(session->source);
	session->source = NULL;
	close(session->fd);
	session->fd = -1;
	session->out_len = 0;
	agent_send(session->all->agent, GUEST_HANGUP, session->id, "", 0);
}

static void session_watch(struct session *session)
{
	bool room = agent_room(session->all->agent) >= SESSION_IN_ROOM;

	loop_modify(session->source, EPOLLHUP | (room && !session->conf ? EPOLLIN : 0u) |
					     (session->out_len ? EPOLLOUT : 0u));
}

/* False: the session is no more. */
static bool session_flush(struct session *session)
{
	while (session->out_len) {
		ssize_t n = send(session->fd, session->out + session->out_start, session->out_len,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			session_drop(session);
			return false;
		}
		session->out_start += (size_t)n;
		session->out_len -= (size_t)n;
	}
	if (session->exited && !session->out_len) {
		session_free(session);
		return false;
	}
	session_watch(session);
	return true;
}

/* Room for len more bytes; false when the guest sent more than it had credit for. */
static bool session_grow(struct session *session, size_t len)
{
	char *grown;

	memmove(session->out, session->out + session->out_start, session->out_len);
	session->out_start = 0;
	if (session->out_len + len <= session->out_size)
		return true;
	if (session->out_len + len > SESSION_OUT_MAX)
		return false;
	grown = realloc(session->out, session->out_len + len);
	if (!grown)
		return false;
	session->out = grown;
	session->out_size = session->out_len + len;
	return true;
}

/* What a client may say. */
static bool session_may_send(unsigned int type)
{
	return type == GUEST_STDIN || type == GUEST_SIGNAL || type == GUEST_WINSIZE ||
	       type == GUEST_CREDIT_STDOUT || type == GUEST_CREDIT_STDERR;
}

static void session_ready(void *arg, uint32_t events)
{
	struct session *session = arg;
	int got = 0;

	if (events & EPOLLOUT && !session_flush(session))
		return;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		got = frame_read(&session->in, session->fd);
	if (got > 0 && session_may_send(session->in.head.type))
		agent_send(session->all->agent, session->in.head.type, session->id,
			   session->in.data, session->in.head.len);
	if (got < 0)
		session_drop(session);
	else
		session_watch(session);
}

static void session_begin(struct session *session)
{
	struct agent *agent = session->all->agent;

	if (agent_send(agent, GUEST_EXEC, session->id, session->conf, session->conf_len) < 0)
		return; /* sessions_room() tries again */
	free(session->conf);
	session->conf = NULL;
	session_watch(session);
}

static unsigned int sessions_new_id(struct sessions *sessions)
{
	bool taken;

	do {
		sessions->last_id = sessions->last_id % UINT16_MAX + 1;
		taken = false;
		for (int i = 0; i < GUEST_MAX_SESSIONS; i++)
			taken |= sessions->session[i] &&
				 sessions->session[i]->id == sessions->last_id;
	} while (taken);
	return sessions->last_id;
}

int sessions_add(struct sessions *sessions, const char *conf, size_t len, int fd, bool begin)
{
	struct session *session = calloc(1, sizeof(*session));
	int slot = 0, ret = session ? 0 : -ENOMEM;

	while (slot < GUEST_MAX_SESSIONS && sessions->session[slot])
		slot++;
	if (ret == 0 && slot == GUEST_MAX_SESSIONS)
		ret = -EBUSY;
	if (ret < 0) {
		free(session);
		close(fd);
		return ret;
	}
	session->all = sessions;
	session->fd = fd;
	session->id = sessions_new_id(sessions);
	session->conf = malloc(len);
	session->conf_len = len;
	session->source = loop_add(sessions->loop, fd, EPOLLHUP, session_ready, session);
	sessions->session[slot] = session;
	if (!session->conf || !session->source) {
		session_free(session);
		return -ENOMEM;
	}
	memcpy(session->conf, conf, len);
	if (begin)
		session_begin(session);
	return 0;
}

void sessions_begin(struct sessions *sessions)
{
	for (int i = 0; i < GUEST_MAX_SESSIONS; i++)
		if (sessions->session[i] && sessions->session[i]->conf)
			session_begin(sessions->session[i]);
}

void sessions_room(struct sessions *sessions)
{
	for (int i = 0; i < GUEST_MAX_SESSIONS; i++) {
		struct session *session = sessions->session[i];

		if (session && session->conf)
			session_begin(session);
		else if (session && session->source)
			session_watch(session);
	}
}

void sessions_frame(struct sessions *sessions, const struct frame_reader *frame)
{
	size_t len = sizeof(frame->head) + frame->head.len;
	struct session *session = NULL;

	for (int i = 0; i < GUEST_MAX_SESSIONS; i++)
		if (sessions->session[i] && sessions->session[i]->id == frame->head.session)
			session = sessions->session[i];
	if (!session || session->conf)
		return;
	session->exited = frame->head.type == GUEST_EXITED;
	if (session->fd < 0) {
		if (session->exited)
			session_free(session);
		return;
	}
	if (!session_grow(session, len)) {
		log_guest("the guest's init sends more than it may: a session ends");
		session_drop(session);
		return;
	}
	memcpy(session->out + session->out_len, &frame->head, len);
	session->out_len += len;
	session_flush(session);
}

struct sessions *sessions_create(struct agent *agent, struct loop *loop)
{
	struct sessions *sessions = calloc(1, sizeof(*sessions));

	if (sessions)
		*sessions = (struct sessions){.agent = agent, .loop = loop};
	return sessions;
}

void sessions_destroy(struct sessions *sessions)
{
	if (!sessions)
		return;
	for (int i = 0; i < GUEST_MAX_SESSIONS; i++)
		if (sessions->session[i])
			session_free(sessions->session[i]);
	free(sessions);
}
