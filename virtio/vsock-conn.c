// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The connections of the socket device. Each is a socket of the host's, a bounded buffer for what
 * the guest sent and the host has not taken yet, and a set of packets that are due to the guest:
 * states rather than a queue, so that a guest that takes no packets costs nothing. What the host
 * sends stays in its socket until the guest has a buffer for it.
 */
#include "virtio/vsock-conn.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/loop.h"
#include "kvm/vsock.h"

#define CONN_BUF	(128 * KIB)	    /* what a connection holds of the guest's at most */
#define CONN_MAX_DATA	(64 * KIB)	    /* of a packet to the guest */
#define CONN_FIRST_PORT (UINT32_C(1) << 30) /* of connections that the host begins */
#define CONN_NR_PORTS	(UINT32_C(1) << 30)

#define CONN_SHUTDOWN_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

/* --- the table of connections --- */

static unsigned int conn_bucket(uint32_t guest_port, uint32_t host_port)
{
	return (guest_port * 31 + host_port) % VSOCK_BUCKETS;
}

struct vsock_conn *vsock_conn_find(struct vsock *vs, uint32_t guest_port, uint32_t host_port)
{
	struct vsock_conn *conn;

	LIST_FOREACH(conn, &vs->bucket[conn_bucket(guest_port, host_port)], bucket)
		if (conn->guest_port == guest_port && conn->host_port == host_port)
			return conn;
	return NULL;
}

static void conn_hash(struct vsock_conn *conn, uint32_t guest_port, uint32_t host_port)
{
	conn->guest_port = guest_port;
	conn->host_port = host_port;
	conn->is_hashed = true;
	LIST_INSERT_HEAD(&conn->vs->bucket[conn_bucket(guest_port, host_port)], conn, bucket);
}

static void conn_unhash(struct vsock_conn *conn)
{
	if (conn->is_hashed)
		LIST_REMOVE(conn, bucket);
	conn->is_hashed = false;
}

/* There is something to tell the guest; vsock_rx() does it. */
static void conn_set_ready(struct vsock_conn *conn)
{
	if (!conn->is_ready)
		TAILQ_INSERT_TAIL(&conn->vs->ready, conn, ready);
	conn->is_ready = true;
}

static void conn_set_due(struct vsock_conn *conn, unsigned int op)
{
	conn->due |= 1u << op;
	conn_set_ready(conn);
}

static void conn_close_fd(struct vsock_conn *conn)
{
	loop_remove(conn->src);
	conn->src = NULL;
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
}

static void conn_destroy(struct vsock_conn *conn)
{
	struct vsock *vs = conn->vs;

	conn_unhash(conn);
	if (conn->is_ready)
		TAILQ_REMOVE(&vs->ready, conn, ready);
	LIST_REMOVE(conn, all);
	vs->nr_conns--;
	conn_close_fd(conn);
	free(conn->buf);
	free(conn);
}

static void conn_event(void *arg, uint32_t events);

/* Takes over fd. NULL: no memory for it, or too many. */
static struct vsock_conn *conn_create(struct vsock *vs, int fd, enum conn_state state)
{
	struct vsock_conn *conn = NULL;

	if (vs->nr_conns < VSOCK_MAX_CONNS)
		conn = calloc(1, sizeof(*conn));
	if (!conn) {
		close(fd);
		return NULL;
	}
	conn->vs = vs;
	conn->fd = fd;
	conn->state = state;
	LIST_INSERT_HEAD(&vs->conns, conn, all);
	vs->nr_conns++;
	conn->src = loop_add(virtio_loop(vs->vdev), fd, 0, conn_event, conn);
	if (conn->src)
		return conn;
	conn_destroy(conn);
	return NULL;
}

static void conn_add_reset(struct vsock *vs, uint32_t guest_port, uint32_t host_port)
{
	vsock_add_reset(vs, (struct vsock_reset){VMADDR_CID_HOST, guest_port, host_port,
						 VIRTIO_VSOCK_TYPE_STREAM});
}

void vsock_conn_abort(struct vsock_conn *conn)
{
	conn_add_reset(conn->vs, conn->guest_port, conn->host_port);
	conn_destroy(conn);
}

/* --- credit (§5.10.6.3) --- */

/* Bytes that the guest has room for. What it says may be any nonsense: then there are none. */
static uint32_t conn_credit(const struct vsock_conn *conn)
{
	uint32_t in_flight = conn->sent - conn->peer_fwd;

	return in_flight < conn->peer_alloc ? conn->peer_alloc - in_flight : 0;
}

static bool conn_may_read(const struct vsock_conn *conn)
{
	return conn->state == CONN_UP && conn->fd >= 0 &&
	       !(conn->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
	       !(conn->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV);
}

/* Half of the buffer is taken, as the guest sees it, and some of that is not true any more. */
static void conn_update_credit(struct vsock_conn *conn)
{
	if (conn->state == CONN_UP && conn->fwd != conn->fwd_told &&
	    conn->fwd + conn->buf_len - conn->fwd_told >= CONN_BUF / 2)
		conn_set_due(conn, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
}

/* --- the host's socket --- */

/* Watches for what could now happen next. */
static void conn_watch(struct vsock_conn *conn)
{
	uint32_t events = conn->buf_len ? EPOLLOUT : 0;

	if (!conn->src)
		return;
	if (conn->state == CONN_GREETING)
		events |= EPOLLIN;
	else if (conn->state == CONN_ASKED)
		events |= EPOLLERR; /* and EPOLLHUP */
	else if (conn_may_read(conn) && !conn->readable && conn_credit(conn))
		events |= EPOLLIN;
	else if (conn->host_shut == VIRTIO_VSOCK_SHUTDOWN_SEND)
		events |= EPOLLERR; /* its EPOLLHUP says that it does not read either */
	loop_modify(conn->src, events);
}

static void conn_shut(struct vsock_conn *conn, uint32_t flags)
{
	if (!(flags & ~conn->host_shut))
		return;
	conn->host_shut |= flags;
	conn_set_due(conn, VIRTIO_VSOCK_OP_SHUTDOWN);
}

/* Nobody reads what the guest sends any more. */
static void conn_discard(struct vsock_conn *conn)
{
	conn->fwd += conn->buf_len;
	conn->buf_len = 0;
	conn_shut(conn, VIRTIO_VSOCK_SHUTDOWN_RCV);
	if (conn->host_shut == CONN_SHUTDOWN_BOTH)
		conn_close_fd(conn);
}

/* Bytes written, or 0; an error means that nobody reads. */
static uint32_t conn_write(struct vsock_conn *conn, struct iovec *iov, unsigned int nr)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = MIN(nr, (unsigned int)IOV_MAX)};
	ssize_t n = conn->fd < 0 ? 0 : sendmsg(conn->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0) {
		conn->fwd += n;
		return n;
	}
	if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
		conn_discard(conn);
	return 0;
}

static void conn_flush(struct vsock_conn *conn)
{
	while (conn->buf_len) {
		uint32_t first = MIN(conn->buf_len, CONN_BUF - conn->buf_start);
		struct iovec iov[] = {
			{conn->buf + conn->buf_start, first},
			{conn->buf, conn->buf_len - first},
		};
		uint32_t n = conn_write(conn, iov, 2);

		if (!n)
			break;
		conn->buf_start = (conn->buf_start + n) % CONN_BUF;
		conn->buf_len -= n;
	}
	if (!conn->buf_len && conn->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND && conn->fd >= 0)
		shutdown(conn->fd, SHUT_WR);
	conn_update_credit(conn);
}

/* The guest is done with it; what it sent still has to reach the host. */
static void conn_drain(struct vsock_conn *conn)
{
	conn_unhash(conn);
	conn->state = CONN_DRAINING;
	conn->guest_shut = CONN_SHUTDOWN_BOTH;
	conn->due = 0;
	conn_flush(conn);
	if (conn->buf_len)
		conn_watch(conn);
	else
		conn_destroy(conn);
}

/* "CONNECT PORT", cut off at its end. */
static bool conn_parse_line(char *line, uint32_t *port)
{
	static const char word[] = "CONNECT ";
	size_t len;

	if (strncasecmp(line, word, strlen(word)))
		return false;
	line += strlen(word);
	line += strspn(line, " ");
	len = strcspn(line, " \r");
	if (line[len + strspn(line + len, " \r")])
		return false;
	line[len] = 0;
	return line[0] >= '0' && line[0] <= '9' && !parse_u32(line, port);
}

static uint32_t conn_new_port(struct vsock *vs, uint32_t guest_port)
{
	uint32_t port;

	/* Ends: there are far fewer connections than ports. */
	do
		port = CONN_FIRST_PORT + vs->next_port++ % CONN_NR_PORTS;
	while (vsock_conn_find(vs, guest_port, port));
	return port;
}

/* Byte by byte, as what follows the line is not for us. False: it is gone. */
static bool conn_greet(struct vsock_conn *conn)
{
	char *at = conn->line + conn->line_len;
	ssize_t n = 0;
	uint32_t port;

	while (conn->line_len < VSOCK_LINE && (n = recv(conn->fd, at, 1, 0)) == 1 && *at != '\n') {
		conn->line_len++;
		at++;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (conn->line_len < VSOCK_LINE && n == 1) {
		*at = 0;
		if (conn_parse_line(conn->line, &port)) {
			conn_hash(conn, port, conn_new_port(conn->vs, port));
			conn->state = CONN_ASKED;
			conn_set_due(conn, VIRTIO_VSOCK_OP_REQUEST);
			return true;
		}
	}
	conn_destroy(conn);
	return false;
}

static void conn_event(void *arg, uint32_t events)
{
	struct vsock_conn *conn = arg;
	struct vsock *vs = conn->vs;

	if (conn->state == CONN_GREETING) {
		if (conn_greet(conn))
			conn_watch(conn);
	} else if (conn->state == CONN_ASKED) {
		vsock_conn_abort(conn);
	} else if (conn->state == CONN_DRAINING) {
		conn_drain(conn);
	} else {
		if (conn->buf_len)
			conn_flush(conn);
		if (conn_may_read(conn)) {
			conn->readable = true;
			conn_set_ready(conn);
		} else if (events & (EPOLLHUP | EPOLLERR)) {
			conn_discard(conn);
		}
		conn_watch(conn);
	}
	vsock_rx(vs);
}

void vsock_conn_accept(struct vsock *vs, int fd)
{
	struct vsock_conn *conn = conn_create(vs, fd, CONN_GREETING);

	if (conn)
		conn_watch(conn);
}

void vsock_conn_destroy(struct vsock_conn *conn)
{
	conn_flush(conn);
	conn_destroy(conn);
}

/* --- packets to the guest --- */

static uint32_t conn_put(struct vsock_conn *conn, unsigned int op, uint32_t len)
{
	const struct virtio_vsock_hdr hdr = {
		.src_cid = htole64(VMADDR_CID_HOST),
		.dst_cid = htole64(conn->vs->cid),
		.src_port = htole32(conn->host_port),
		.dst_port = htole32(conn->guest_port),
		.len = htole32(len),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(op),
		.flags = htole32(op == VIRTIO_VSOCK_OP_SHUTDOWN ? conn->host_shut : 0),
		.buf_alloc = htole32(CONN_BUF),
		.fwd_cnt = htole32(conn->fwd),
	};

	conn->fwd_told = conn->fwd;
	conn->due &= ~(1u << op | 1u << VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	return virtq_chain_write(conn->vs->rx, 0, &hdr, sizeof(hdr)) + len;
}

/* Makes *iov the part [off, off + len) of the nr buffers, which begins in one of them. How many. */
static unsigned int conn_cut(struct iovec **iov, unsigned int nr, uint64_t off, uint64_t len)
{
	unsigned int n = 0;

	for (; off >= (*iov)->iov_len; nr--)
		off -= (*iov)++->iov_len;
	(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + off;
	(*iov)->iov_len -= off;
	for (; n < nr && len; n++) {
		(*iov)[n].iov_len = MIN((*iov)[n].iov_len, len);
		len -= (*iov)[n].iov_len;
	}
	return n;
}

/* The end of what the host sends: the whole connection's, if it has closed it. */
static void conn_end_of_file(struct vsock_conn *conn)
{
	struct pollfd p = {.fd = conn->fd};

	conn->readable = false;
	conn_shut(conn, VIRTIO_VSOCK_SHUTDOWN_SEND);
	if (poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR))
		conn_discard(conn);
}

/*
 * Reads straight into the popped chain, behind the place of the header. The bytes of the packet; 0:
 * none; a negative errno: the connection is broken.
 */
static int conn_put_data(struct vsock_conn *conn)
{
	struct virtq_chain *chain = conn->vs->rx;
	uint32_t max = MIN(MIN(conn_credit(conn), chain->in_len - VSOCK_HDR), CONN_MAX_DATA);
	struct iovec own[VIRTQ_MAX_SIZE], *iov = own;
	unsigned int nr;
	ssize_t n;

	if (!max) {
		if (!conn->credit_asked)
			conn->due |= 1u << VIRTIO_VSOCK_OP_CREDIT_REQUEST;
		conn->credit_asked = true;
		conn->readable = false;
		return 0;
	}
	memcpy(own, virtq_chain_in(chain), chain->nr_in * sizeof(*own));
	nr = conn_cut(&iov, chain->nr_in, VSOCK_HDR, max);
	n = readv(conn->fd, iov, nr);
	if (n > 0) {
		conn->sent += n;
		return conn_put(conn, VIRTIO_VSOCK_OP_RW, n);
	}
	if (n == 0) {
		conn_end_of_file(conn);
		return 0;
	}
	if (errno != EAGAIN && errno != EINTR)
		return -errno;
	conn->readable = false;
	return 0;
}

/* Fills the popped chain with what is due first. The bytes written; 0: nothing is due after all. */
uint32_t vsock_conn_put_next(struct vsock_conn *conn)
{
	static const unsigned int order[] = {
		VIRTIO_VSOCK_OP_REQUEST,       VIRTIO_VSOCK_OP_RESPONSE,
		VIRTIO_VSOCK_OP_SHUTDOWN,      VIRTIO_VSOCK_OP_CREDIT_REQUEST,
		VIRTIO_VSOCK_OP_CREDIT_UPDATE,
	};
	int len = 0;

	if (!conn->due && conn->readable && conn_may_read(conn))
		len = conn_put_data(conn);
	if (len < 0) {
		vsock_conn_abort(conn);
		return 0;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(order) && !len; i++)
		if (conn->due & 1u << order[i])
			len = conn_put(conn, order[i], 0);
	if (conn->due || (conn->readable && conn_may_read(conn)))
		conn_set_ready(conn);
	conn_watch(conn);
	return len;
}

/* --- packets of the guest --- */

void vsock_conn_request(struct vsock *vs, const struct virtio_vsock_hdr *hdr)
{
	uint32_t guest_port = le32toh(hdr->src_port), host_port = le32toh(hdr->dst_port);
	int fd = vs->nr_conns < VSOCK_MAX_CONNS ? vsock_uds_dial(vs->uds, host_port) : -EMFILE;
	struct vsock_conn *conn = fd >= 0 ? conn_create(vs, fd, CONN_UP) : NULL;

	if (!conn) {
		conn_add_reset(vs, guest_port, host_port);
		return;
	}
	conn_hash(conn, guest_port, host_port);
	conn->peer_alloc = le32toh(hdr->buf_alloc);
	conn->peer_fwd = le32toh(hdr->fwd_cnt);
	conn_set_due(conn, VIRTIO_VSOCK_OP_RESPONSE);
	conn_watch(conn);
}

/* The guest accepts: from here on the host's bytes are the guest's. */
static void conn_response(struct vsock_conn *conn)
{
	char line[VSOCK_LINE];
	int len = snprintf(line, sizeof(line), "OK %u\n", conn->host_port);

	if (send(conn->fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL) != len) {
		vsock_conn_abort(conn);
		return;
	}
	conn->state = CONN_UP;
	conn_watch(conn);
}

/* Puts [from, from + len) of the payload behind what waits already. There is room. */
static void conn_keep(struct vsock_conn *conn, const struct virtq_chain *chain, uint32_t from,
		      uint32_t len)
{
	while (len) {
		uint32_t at = (conn->buf_start + conn->buf_len) % CONN_BUF;
		uint32_t n = MIN(len, CONN_BUF - at);

		virtq_chain_read(chain, VSOCK_HDR + from, conn->buf + at, n);
		conn->buf_len += n;
		from += n;
		len -= n;
	}
}

/* The payload: what the host's socket does not take at once waits. False: it may not come. */
static bool conn_take(struct vsock_conn *conn, const struct virtq_chain *chain, uint32_t len)
{
	struct iovec own[VIRTQ_MAX_SIZE], *iov = own;
	uint32_t n = 0;
	unsigned int nr;

	if (len > CONN_BUF - conn->buf_len || conn->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND)
		return false;
	if (len && !conn->buf_len && !(conn->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)) {
		memcpy(own, chain->iov, chain->nr_out * sizeof(*own));
		nr = conn_cut(&iov, chain->nr_out, VSOCK_HDR, len);
		n = conn_write(conn, iov, nr);
	}
	/* Told before, or just found out: nobody reads. */
	if (conn->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV) {
		conn->fwd += len;
	} else if (n < len) {
		if (!conn->buf)
			conn->buf = malloc(CONN_BUF);
		if (!conn->buf)
			return false;
		conn_keep(conn, chain, n, len - n);
	}
	conn_update_credit(conn);
	return true;
}

static void conn_shutdown(struct vsock_conn *conn, uint32_t flags)
{
	conn->guest_shut |= flags & CONN_SHUTDOWN_BOTH;
	if (conn->guest_shut == CONN_SHUTDOWN_BOTH) {
		conn_add_reset(conn->vs, conn->guest_port, conn->host_port);
		conn_drain(conn);
		return;
	}
	if (flags & VIRTIO_VSOCK_SHUTDOWN_RCV && conn->fd >= 0)
		shutdown(conn->fd, SHUT_RD);
	conn_flush(conn);
	conn_watch(conn);
}

static void conn_packet_up(struct vsock_conn *conn, unsigned int op, uint32_t flags, uint32_t len)
{
	switch (op) {
	case VIRTIO_VSOCK_OP_RST:
		conn_drain(conn);
		return;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		conn_shutdown(conn, flags);
		return;
	case VIRTIO_VSOCK_OP_RW:
		if (!conn_take(conn, conn->vs->tx, len))
			break;
		conn_watch(conn);
		return;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		conn_set_due(conn, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
		/* fall through */
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		conn_watch(conn);
		return;
	}
	vsock_conn_abort(conn);
}

void vsock_conn_packet(struct vsock_conn *conn, const struct virtio_vsock_hdr *hdr)
{
	unsigned int op = le16toh(hdr->op);

	conn->peer_alloc = le32toh(hdr->buf_alloc);
	conn->peer_fwd = le32toh(hdr->fwd_cnt);
	if (conn_credit(conn))
		conn->credit_asked = false;
	if (conn->state == CONN_UP)
		conn_packet_up(conn, op, le32toh(hdr->flags), le32toh(hdr->len));
	else if (op == VIRTIO_VSOCK_OP_RESPONSE)
		conn_response(conn);
	else if (op == VIRTIO_VSOCK_OP_RST)
		conn_destroy(conn);
	else
		vsock_conn_abort(conn);
}
