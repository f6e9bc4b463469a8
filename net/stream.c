// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Frames over a stream socket, each behind its length (32 bits, big-endian): what passt speaks, and
 * QEMU's "-netdev stream". A worker copies them between the peer and the socket pair that the NIC
 * has; neither side is read while the other has no room, so nothing piles up and nothing is lost.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/confine.h"
#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/net.h"
#include "kvm/passt.h"
#include "kvm/unix.h"
#include "kvm/util.h"
#include "kvm/worker.h"

#define STREAM_HEADER 4
#define STREAM_FRAME  65536
#define STREAM_SNDBUF (512 * 1024)
#define STREAM_BUDGET 64 /* frames of one side before the other has its turn */

/* Between net_stream_open() and close everything but `be` is the worker's. */
struct net_stream {
	struct net_backend be;
	pid_t passt; /* a child of ours; 0: the peer is somebody else's */
	struct worker *worker;
	int fd, peer;				     /* of the pair, and of the stream */
	struct loop_source *fd_source, *peer_source; /* NULL also when the peer is gone */
	bool started;

	uint8_t out[STREAM_HEADER + STREAM_FRAME]; /* a frame on its way to the peer */
	size_t out_len, out_done;
	uint8_t in[4 * STREAM_FRAME]; /* what came from the peer, from in_done on */
	size_t in_len, in_done;
	bool full; /* the NIC takes no frames now */
};

/* The NIC finds the end of its socket, and takes the link down. */
static void stream_gone(struct net_stream *stream, const char *why)
{
	log_warning("--network passt: %s", why);
	loop_remove(stream->fd_source);
	loop_remove(stream->peer_source);
	stream->fd_source = stream->peer_source = NULL;
	shutdown(stream->fd, SHUT_RDWR);
}

/* Each side is read if what comes of it can be put somewhere. */
static void stream_watch(struct net_stream *stream)
{
	bool pending = stream->out_done < stream->out_len;

	if (!stream->fd_source)
		return;
	if (loop_modify(stream->fd_source,
			(pending ? 0 : EPOLLIN) | (stream->full ? EPOLLOUT : 0)) ||
	    loop_modify(stream->peer_source,
			(stream->full ? 0 : EPOLLIN) | (pending ? EPOLLOUT : 0)))
		stream_gone(stream, strerror(errno));
}

/* --- from the NIC to the peer --- */

/* False: not all of it went, or there is nobody any more. */
static bool stream_flush(struct net_stream *stream)
{
	while (stream->out_done < stream->out_len) {
		ssize_t len = send(stream->peer, stream->out + stream->out_done,
				   stream->out_len - stream->out_done, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (len < 0 && errno != EAGAIN && errno != EINTR)
			stream_gone(stream, strerror(errno));
		if (len < 0)
			return false;
		stream->out_done += len;
	}
	return true;
}

static void stream_send(struct net_stream *stream)
{
	for (unsigned int budget = STREAM_BUDGET; budget && stream_flush(stream); budget--) {
		ssize_t len =
			recv(stream->fd, stream->out + STREAM_HEADER, STREAM_FRAME, MSG_DONTWAIT);
		uint32_t header = htobe32(len);

		if (len <= 0)
			return;
		memcpy(stream->out, &header, STREAM_HEADER);
		stream->out_done = 0;
		stream->out_len = STREAM_HEADER + len;
	}
}

/* --- from the peer to the NIC --- */

/* The frames that are there whole. False: the NIC is full, or the peer makes no sense. */
static bool stream_deliver(struct net_stream *stream)
{
	while (stream->in_len - stream->in_done >= STREAM_HEADER) {
		const uint8_t *at = stream->in + stream->in_done;
		uint32_t len;

		memcpy(&len, at, STREAM_HEADER);
		len = be32toh(len);
		if (!len || len > STREAM_FRAME) {
			stream_gone(stream, "the peer sends no frames: is it passt?");
			return false;
		}
		if (stream->in_len - stream->in_done < STREAM_HEADER + len)
			break;
		if (send(stream->fd, at + STREAM_HEADER, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
			stream->full = errno == EAGAIN;
			return false;
		}
		stream->in_done += STREAM_HEADER + len;
	}
	stream->in_len -= stream->in_done;
	memmove(stream->in, stream->in + stream->in_done, stream->in_len);
	stream->in_done = 0;
	return true;
}

static void stream_receive(struct net_stream *stream)
{
	stream->full = false;
	for (unsigned int budget = STREAM_BUDGET; budget && stream_deliver(stream); budget--) {
		ssize_t len = recv(stream->peer, stream->in + stream->in_len,
				   sizeof(stream->in) - stream->in_len, MSG_DONTWAIT);

		if (!len)
			stream_gone(stream, "the peer has hung up");
		else if (len < 0 && errno != EAGAIN && errno != EINTR)
			stream_gone(stream, strerror(errno));
		if (len <= 0)
			return;
		stream->in_len += len;
	}
}

static void stream_event(void *arg, uint32_t events)
{
	struct net_stream *stream = arg;

	(void)events;
	stream_receive(stream);
	if (stream->fd_source)
		stream_send(stream);
	stream_watch(stream);
}

/* --- life --- */

static void stream_do_start(void *arg)
{
	struct net_stream *stream = arg;
	struct loop *loop = worker_loop(stream->worker);

	stream->fd_source = loop_add(loop, stream->fd, EPOLLIN, stream_event, stream);
	if (stream->fd_source)
		stream->peer_source = loop_add(loop, stream->peer, EPOLLIN, stream_event, stream);
	/* What comes next is what the guest sent. */
	stream->started = stream->peer_source && confine(0) == 0;
}

static void stream_do_stop(void *arg)
{
	struct net_stream *stream = arg;

	loop_remove(stream->fd_source);
	loop_remove(stream->peer_source);
}

static void stream_close(struct net_backend *be)
{
	struct net_stream *stream = container_of(be, struct net_stream, be);

	if (stream->worker)
		worker_call(stream->worker, stream_do_stop, stream);
	worker_destroy(stream->worker);
	close(stream->be.fd[0]);
	close(stream->fd);
	close(stream->peer);
	if (stream->passt)
		passt_stop(stream->passt);
	free(stream);
}

static const struct net_backend_ops stream_ops = {.close = stream_close};

/* A connected socket, or a negative errno after one error line. */
static int stream_open_peer(struct net_stream *stream, const struct nic_params *nic)
{
	int peer;

	if (!nic->socket)
		return passt_start(nic, &stream->passt);
	peer = unix_connect(nic->socket);
	if (peer < 0)
		log_error("--network socket=%s: %s", nic->socket, strerror(-peer));
	return peer;
}

struct net_backend *net_stream_open(const struct nic_params *nic)
{
	struct net_stream *stream = calloc(1, sizeof(*stream));
	int sndbuf = STREAM_SNDBUF, pair[2] = {-1, -1};

	if (!stream) {
		log_error("--network passt: out of memory");
		return NULL;
	}
	stream->peer = stream_open_peer(stream, nic);
	if (stream->peer < 0) {
		free(stream);
		return NULL;
	}
	stream->be.ops = &stream_ops;
	stream->be.nr_pairs = 1;
	if (!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		stream->worker = worker_create("net-stream");
	stream->be.fd[0] = pair[0];
	stream->fd = pair[1];
	/* As much as the host allows. */
	for (unsigned int i = 0; i < 2; i++)
		setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	if (stream->worker)
		worker_call(stream->worker, stream_do_start, stream);
	if (!stream->started) {
		log_error("--network passt: %s", strerror(errno));
		stream_close(&stream->be);
		return NULL;
	}
	return &stream->be;
}
