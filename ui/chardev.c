// SPDX-License-Identifier: GPL-2.0-or-later
#include "chardev-impl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/util.h"

#define CHARDEV_FLUSH_MS 1000 /* how long destroy waits for a stalled reader */

static bool chardev_fd_ready(const struct chardev_fd *f, short events)
{
	struct pollfd p = {.fd = f->fd, .events = events};

	return poll(&p, 1, 0) > 0;
}

/* Bytes read, 0 at the end of file, or a negative errno. */
static ssize_t chardev_fd_read(const struct chardev_fd *f, void *buf, size_t len)
{
	ssize_t n;

	if (f->kind == CHARDEV_FD_SHARED && !chardev_fd_ready(f, POLLIN))
		return -EAGAIN;
	if (f->kind == CHARDEV_FD_SOCKET)
		n = recv(f->fd, buf, len, MSG_DONTWAIT);
	else
		n = read(f->fd, buf, len);
	return n < 0 ? -errno : n;
}

static ssize_t chardev_fd_write(const struct chardev_fd *f, const void *buf, size_t len)
{
	ssize_t n;

	if (f->kind == CHARDEV_FD_SHARED) {
		if (!chardev_fd_ready(f, POLLOUT))
			return -EAGAIN;
		/* A terminal that polls writable has room for one byte, and blocks for more. */
		if (f->tty)
			len = 1;
	}
	if (f->kind == CHARDEV_FD_SOCKET)
		n = send(f->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		n = write(f->fd, buf, len);
	return n < 0 ? -errno : n;
}

static void chardev_fd_close(struct chardev_fd *f)
{
	loop_remove(f->src);
	f->src = NULL;
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

static bool chardev_is_transient(ssize_t err)
{
	return err == -EAGAIN || err == -EINTR;
}

/* Wakes the main loop for chardev_pump(). */
static void chardev_kick_locked(struct chardev *chr)
{
	if (chr->kicked)
		return;
	chr->kicked = true;
	(void)!write(chr->kick_fd, &(uint64_t){1}, sizeof(uint64_t));
}

void chardev_kick(struct chardev *chr)
{
	pthread_mutex_lock(&chr->lock);
	chardev_kick_locked(chr);
	pthread_mutex_unlock(&chr->lock);
}

/* --- from the front --- */

void chardev_set_front(struct chardev *chr, const struct chardev_front *front, void *arg)
{
	chr->front = front;
	chr->front_arg = arg;
	chardev_kick(chr);
}

size_t chardev_write(struct chardev *chr, const void *buf, size_t len)
{
	size_t room = CHARDEV_RING, at, first;

	pthread_mutex_lock(&chr->lock);
	for (struct chardev_end *end = chr->ends; end; end = end->next)
		if (end->holds_back)
			room = MIN(room, CHARDEV_RING - (size_t)(chr->written - end->sent));
	if (len > room) {
		len = room;
		chr->front_waits = true;
	}
	if (len) {
		at = chr->written % CHARDEV_RING;
		first = MIN(len, CHARDEV_RING - at);
		memcpy(chr->ring + at, buf, first);
		memcpy(chr->ring, (const uint8_t *)buf + first, len - first);
		chr->written += len;
		chardev_kick_locked(chr);
	}
	pthread_mutex_unlock(&chr->lock);
	return len;
}

size_t chardev_backlog(struct chardev *chr, void *buf, size_t len)
{
	size_t at, first;

	pthread_mutex_lock(&chr->lock);
	len = MIN(len, MIN(chr->written, (uint64_t)CHARDEV_RING));
	at = (chr->written - len) % CHARDEV_RING;
	first = MIN(len, CHARDEV_RING - at);
	memcpy(buf, chr->ring + at, first);
	memcpy((uint8_t *)buf + first, chr->ring, len - first);
	pthread_mutex_unlock(&chr->lock);
	return len;
}

void chardev_accept_input(struct chardev *chr)
{
	if (atomic_exchange(&chr->in_refused, false))
		chardev_kick(chr);
}

/* --- output --- */

/* Copies what the end has to send next, as its place in the ring may be overrun any time. */
static size_t chardev_end_peek(struct chardev_end *end, uint8_t *chunk)
{
	struct chardev *chr = end->chr;
	size_t len, at, first;

	pthread_mutex_lock(&chr->lock);
	if (chr->written - end->sent > CHARDEV_RING)
		end->sent = chr->written - CHARDEV_RING;
	len = MIN(chr->written - end->sent, (size_t)CHARDEV_CHUNK);
	at = end->sent % CHARDEV_RING;
	first = MIN(len, CHARDEV_RING - at);
	memcpy(chunk, chr->ring + at, first);
	memcpy(chunk + first, chr->ring, len - first);
	pthread_mutex_unlock(&chr->lock);
	return len;
}

static void chardev_end_sent(struct chardev_end *end, size_t len)
{
	pthread_mutex_lock(&end->chr->lock);
	end->sent += len;
	pthread_mutex_unlock(&end->chr->lock);
}

/* Writes at most a ring's worth, so that a busy guest does not keep the loop from other work. */
static void chardev_end_output(struct chardev_end *end)
{
	uint8_t chunk[CHARDEV_CHUNK];
	size_t len;
	ssize_t n;

	if (end->out.fd < 0 || end->out_waits || end->out_paused)
		return;
	for (size_t done = 0; done < CHARDEV_RING; done += (size_t)n) {
		len = chardev_end_peek(end, chunk);
		if (!len)
			return;
		n = chardev_fd_write(&end->out, chunk, len);
		if (n == -EINTR) {
			n = 0;
			continue;
		}
		if ((n == -EAGAIN || n == 0) && end->out.src) {
			end->out_waits = true;
			loop_modify(end->out.src, EPOLLOUT);
			return;
		}
		if (n <= 0) {
			end->ops->output_failed(end, (int)-n);
			return;
		}
		chardev_end_sent(end, (size_t)n);
	}
	chardev_kick(end->chr);
}

/* Tells a front that found no room as soon as there is some. */
static void chardev_tell_room(struct chardev *chr)
{
	bool tell = chr->front && chr->front->room;

	pthread_mutex_lock(&chr->lock);
	tell = tell && chr->front_waits;
	for (struct chardev_end *end = chr->ends; end; end = end->next)
		if (end->holds_back && chr->written - end->sent == CHARDEV_RING)
			tell = false;
	if (tell)
		chr->front_waits = false;
	pthread_mutex_unlock(&chr->lock);
	if (tell)
		chr->front->room(chr->front_arg);
}

/* --- input --- */

static bool chardev_end_wants_input(const struct chardev_end *end)
{
	return end->in.fd >= 0 && !end->in_ended && !end->in_paused &&
	       (!end->in_len || end->greedy);
}

static void chardev_end_watch_input(struct chardev_end *end)
{
	if (!end->in.src)
		return;
	if (end->in_ended)
		loop_modify(end->in.src, end->gone ? 0 : EPOLLHUP);
	else
		loop_modify(end->in.src, chardev_end_wants_input(end) ? EPOLLIN : 0);
}

static void chardev_end_deliver(struct chardev_end *end)
{
	struct chardev *chr = end->chr;
	size_t n;

	if (!end->in_len || !chr->front)
		return;
	/* First, or the front might make room and say so before we know that it refused. */
	atomic_store(&chr->in_refused, true);
	n = chr->front->input(chr->front_arg, end->in_buf + end->in_start, end->in_len);
	end->in_start += n;
	end->in_len -= n;
}

/* One read. What does not fit is lost, which is only possible for a greedy end. */
static void chardev_end_read(struct chardev_end *end)
{
	uint8_t chunk[CHARDEV_CHUNK];
	size_t len;
	ssize_t n;

	if (!chardev_end_wants_input(end) || (end->ops->may_read && !end->ops->may_read(end)))
		return;
	n = chardev_fd_read(&end->in, chunk, sizeof(chunk) - 1); /* see filter */
	if (chardev_is_transient(n))
		return;
	if (n <= 0) {
		/* The callback may undo this where input can come again. */
		end->in_ended = true;
		end->ops->input_ended(end, (int)-n);
		return;
	}
	len = end->ops->filter ? end->ops->filter(end, chunk, (size_t)n) : (size_t)n;
	memmove(end->in_buf, end->in_buf + end->in_start, end->in_len);
	end->in_start = 0;
	len = MIN(len, sizeof(end->in_buf) - end->in_len);
	memcpy(end->in_buf + end->in_len, chunk, len);
	end->in_len += len;
}

static void chardev_end_input(struct chardev_end *end, bool readable)
{
	chardev_end_deliver(end);
	if (readable) {
		chardev_end_read(end);
		chardev_end_deliver(end);
	}
	chardev_end_watch_input(end);
	/* There is no event for a file that is always ready. */
	if (!end->in.src && chardev_end_wants_input(end))
		chardev_kick(end->chr);
}

/* --- the main loop's callbacks --- */

static void chardev_reap(struct chardev *chr)
{
	struct chardev_end **link = &chr->ends, *end;

	pthread_mutex_lock(&chr->lock);
	while ((end = *link)) {
		if (end->gone) {
			chardev_fd_close(&end->in);
			chardev_fd_close(&end->out);
		}
		if (end->gone && !end->in_len) {
			*link = end->next;
			free(end);
		} else {
			link = &end->next;
		}
	}
	pthread_mutex_unlock(&chr->lock);
}

static void chardev_pump(void *arg, uint32_t events)
{
	struct chardev *chr = arg;
	uint64_t count;

	(void)events;
	(void)!read(chr->kick_fd, &count, sizeof(count));
	pthread_mutex_lock(&chr->lock);
	chr->kicked = false;
	pthread_mutex_unlock(&chr->lock);

	for (struct chardev_end *end = chr->ends; end; end = end->next) {
		chardev_end_output(end);
		chardev_end_input(end, !end->in.src);
	}
	chardev_tell_room(chr);
	chardev_reap(chr);
}

static void chardev_in_event(void *arg, uint32_t events)
{
	struct chardev_end *end = arg;
	struct chardev *chr = end->chr;

	(void)events;
	if (end->in_ended) /* then this is the hang-up */
		end->gone = true;
	chardev_end_input(end, true);
	chardev_reap(chr);
}

static void chardev_out_event(void *arg, uint32_t events)
{
	struct chardev_end *end = arg;
	struct chardev *chr = end->chr;

	end->out_waits = false;
	loop_modify(end->out.src, 0);
	if (events & EPOLLHUP)
		end->ops->output_failed(end, EPIPE);
	else
		chardev_end_output(end);
	chardev_tell_room(chr);
	chardev_reap(chr);
}

/* --- ends --- */

static void chardev_end_free(struct chardev_end *end)
{
	chardev_fd_close(&end->in);
	chardev_fd_close(&end->out);
	free(end);
}

static int chardev_fd_init(struct chardev_end *end, struct chardev_fd *f, uint32_t events,
			   loop_fn fn)
{
	if (f->fd < 0)
		return 0;
	f->tty = isatty(f->fd);
	f->src = loop_add(end->chr->loop, f->fd, events, fn, end);
	return f->src || errno == EPERM ? 0 : -errno;
}

struct chardev_end *chardev_end_add(struct chardev *chr, int in_fd, enum chardev_fd_kind in_kind,
				    int out_fd, enum chardev_fd_kind out_kind,
				    const struct chardev_end_ops *ops, void *ops_arg)
{
	struct chardev_end *end = calloc(1, sizeof(*end));
	int ret;

	if (!end) {
		close(in_fd);
		close(out_fd);
		errno = ENOMEM;
		return NULL;
	}
	end->chr = chr;
	end->ops = ops;
	end->ops_arg = ops_arg;
	end->in = (struct chardev_fd){.fd = in_fd, .kind = in_kind};
	end->out = (struct chardev_fd){.fd = out_fd, .kind = out_kind};
	ret = chardev_fd_init(end, &end->in, EPOLLIN, chardev_in_event);
	if (!ret)
		ret = chardev_fd_init(end, &end->out, 0, chardev_out_event);
	if (ret) {
		chardev_end_free(end);
		errno = -ret;
		return NULL;
	}

	pthread_mutex_lock(&chr->lock);
	end->sent = chr->written - MIN(chr->written, (uint64_t)CHARDEV_RING);
	end->next = chr->ends;
	chr->ends = end;
	chardev_kick_locked(chr);
	pthread_mutex_unlock(&chr->lock);
	return end;
}

void chardev_end_hold_back(struct chardev_end *end, bool hold_back)
{
	struct chardev *chr = end->chr;

	pthread_mutex_lock(&chr->lock);
	/* It may have been overrun so far; a negative room would follow. */
	if (chr->written - end->sent > CHARDEV_RING)
		end->sent = chr->written - CHARDEV_RING;
	end->holds_back = hold_back;
	chardev_kick_locked(chr);
	pthread_mutex_unlock(&chr->lock);
}

void chardev_end_pause(struct chardev_end *end, bool in_paused, bool out_paused)
{
	end->in_paused = in_paused;
	end->out_paused = out_paused;
	chardev_end_watch_input(end);
	if (end->out.src)
		loop_modify(end->out.src, 0);
	end->out_waits = false;
	chardev_kick(end->chr);
}

void chardev_end_close_input(struct chardev_end *end)
{
	end->in_ended = true;
	chardev_fd_close(&end->in);
}

void chardev_end_close_output(struct chardev_end *end)
{
	chardev_end_hold_back(end, false);
	end->out_waits = false;
	chardev_fd_close(&end->out);
}

/* A client may close its sending direction and go on to listen; EPOLLHUP tells when it is gone. */
static void chardev_client_input_ended(struct chardev_end *end, int err)
{
	if (err)
		end->gone = true;
}

static void chardev_client_output_failed(struct chardev_end *end, int err)
{
	(void)err;
	chardev_end_close_output(end);
	end->gone = true;
}

static const struct chardev_end_ops chardev_client_ops = {
	.input_ended = chardev_client_input_ended,
	.output_failed = chardev_client_output_failed,
};

int chardev_attach(struct chardev *chr, int fd)
{
	int out_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int err = errno;

	if (out_fd < 0) {
		close(fd);
		return -err;
	}
	if (!chardev_end_add(chr, fd, CHARDEV_FD_SOCKET, out_fd, CHARDEV_FD_SOCKET,
			     &chardev_client_ops, NULL))
		return -errno;
	return 0;
}

/* A full disk is no reason to end a guest. */
static void chardev_log_failed(struct chardev_end *end, int err)
{
	log_error("--log: %s", strerror(err));
	chardev_end_close_output(end);
	end->gone = true;
}

static const struct chardev_end_ops chardev_log_ops = {.output_failed = chardev_log_failed};

int chardev_log(struct chardev *chr, int fd)
{
	struct chardev_end *end = chardev_end_add(chr, -1, CHARDEV_FD_OWN, fd, CHARDEV_FD_OWN,
						  &chardev_log_ops, NULL);

	if (!end)
		return -errno;
	/* All of it: the guest waits for the disk if need be. */
	chardev_end_hold_back(end, true);
	return 0;
}

/* --- life --- */

struct chardev *chardev_create(struct loop *loop)
{
	struct chardev *chr = calloc(1, sizeof(*chr));
	int saved_errno;

	if (!chr)
		return NULL;
	chr->loop = loop;
	chr->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (chr->kick_fd < 0)
		goto out_free;
	chr->kick_src = loop_add(loop, chr->kick_fd, EPOLLIN, chardev_pump, chr);
	if (!chr->kick_src)
		goto out_kick_fd;
	pthread_mutex_init(&chr->lock, NULL);
	return chr;

out_kick_fd:
	saved_errno = errno;
	close(chr->kick_fd);
	errno = saved_errno;
out_free:
	free(chr);
	return NULL;
}

struct chardev *chardev_detached_create(struct loop *loop)
{
	struct chardev *chr = chardev_create(loop);

	if (!chr)
		log_error("console: %m");
	return chr;
}

const char *chardev_path(const struct chardev *chr)
{
	return chr->path;
}

bool chardev_winsize(struct chardev *chr, uint16_t *cols, uint16_t *rows)
{
	struct winsize ws;

	for (struct chardev_end *end = chr->ends; end; end = end->next) {
		const struct chardev_fd *f = end->out.tty ? &end->out : &end->in;

		if (f->fd >= 0 && f->tty && !ioctl(f->fd, TIOCGWINSZ, &ws) && ws.ws_col &&
		    ws.ws_row) {
			*cols = ws.ws_col;
			*rows = ws.ws_row;
			return true;
		}
	}
	return false;
}

void chardev_resized(struct chardev *chr)
{
	if (chr->front && chr->front->resized)
		chr->front->resized(chr->front_arg);
}

/* The guest's last words, unless the reader takes nothing for a while. */
static void chardev_end_flush(struct chardev_end *end)
{
	uint8_t chunk[CHARDEV_CHUNK];
	size_t len;

	while (end->out.fd >= 0 && (len = chardev_end_peek(end, chunk))) {
		ssize_t n = chardev_fd_write(&end->out, chunk, len);
		struct pollfd p = {.fd = end->out.fd, .events = POLLOUT};

		if (n > 0)
			chardev_end_sent(end, (size_t)n);
		else if (n != -EINTR && (n != -EAGAIN || poll(&p, 1, CHARDEV_FLUSH_MS) <= 0))
			return;
	}
}

void chardev_destroy(struct chardev *chr)
{
	struct chardev_end *end;

	if (!chr)
		return;
	while ((end = chr->ends)) {
		if (!end->out_paused)
			chardev_end_flush(end);
		chr->ends = end->next;
		chardev_end_free(end);
	}
	if (chr->close)
		chr->close(chr->impl);
	loop_remove(chr->kick_src);
	close(chr->kick_fd);
	pthread_mutex_destroy(&chr->lock);
	free(chr->path);
	free(chr);
}
