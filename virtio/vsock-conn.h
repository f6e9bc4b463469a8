/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_VIRTIO_VSOCK_CONN_H
#define LKVM_VIRTIO_VSOCK_CONN_H

/*
 * What the two halves of the socket device share: virtio/vsock.c has the queues, and knows which
 * packet is whose; virtio/vsock-conn.c has the connections. All of it is on the device's worker.
 */
#include <linux/virtio_vsock.h>
#include <linux/vm_sockets.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "kvm/util.h"
#include "kvm/virtio.h"

#define VSOCK_HDR	sizeof(struct virtio_vsock_hdr)
#define VSOCK_MAX_CONNS 512
#define VSOCK_BUCKETS	256
#define VSOCK_LINE	32 /* "CONNECT 4294967295\n" and some blanks */
/*
 * Resets for what is no connection (any more). From VSOCK_RESETS_FULL on neither packets of the
 * guest nor new connections are taken, so that what follows is at most one for each that there is.
 */
#define VSOCK_RESETS_FULL 64
#define VSOCK_MAX_RESETS  (VSOCK_RESETS_FULL + VSOCK_MAX_CONNS)

struct vsock_uds;

/*
 *   accepted -> GREETING -> ASKED -> UP -> DRAINING -> gone      (the host connects)
 *                                  ^
 *          a REQUEST of the guest's                              (the guest connects)
 */
enum conn_state {
	CONN_GREETING, /* waits for the host's "CONNECT PORT\n" */
	CONN_ASKED,    /* waits for the guest's answer to our REQUEST */
	CONN_UP,
	CONN_DRAINING, /* unknown to the guest by now; its last bytes are still going out */
};

struct vsock_conn {
	struct vsock *vs;
	LIST_ENTRY(vsock_conn) all, bucket;
	TAILQ_ENTRY(vsock_conn) ready;
	bool is_ready;	/* in vs->ready: a packet to the guest may be due */
	bool is_hashed; /* ASKED and UP */
	enum conn_state state;
	uint32_t guest_port, host_port;
	int fd; /* -1: the host's end is gone, and the guest has been told */
	struct loop_source *src;
	char line[VSOCK_LINE]; /* GREETING: so much of it is there */
	unsigned int line_len;

	/* SHUTDOWN flags: what either side has said that it does no more. */
	uint32_t guest_shut, host_shut;
	uint32_t due;  /* packets for the guest: bits 1 << VIRTIO_VSOCK_OP_x */
	bool readable; /* fd may have data */

	/* To the guest (§5.10.6.3): what it has room for, and has read; what it was sent. */
	uint32_t peer_alloc, peer_fwd, sent;
	bool credit_asked;

	/* From the guest: a ring of VSOCK_BUF bytes, made when the host's socket is first full. */
	uint8_t *buf;
	uint32_t buf_start, buf_len;
	uint32_t fwd, fwd_told; /* bytes handed on, ever, and what the guest knows of it */
};

struct vsock_reset {
	uint64_t host_cid; /* whom the guest takes it to come from */
	uint32_t guest_port, host_port;
	uint16_t type;
};

struct vsock {
	uint64_t cid;
	const struct vsock_uds *uds;
	struct virtio_device *vdev;
	struct virtq_chain *rx, *tx;
	struct loop_source *listener, *retry;
	LIST_HEAD(, vsock_conn) conns; /* all of them */
	LIST_HEAD(, vsock_conn) bucket[VSOCK_BUCKETS];
	TAILQ_HEAD(, vsock_conn) ready;
	unsigned int nr_conns;
	uint32_t next_port;
	struct vsock_reset reset[VSOCK_MAX_RESETS]; /* a ring */
	unsigned int first_reset, nr_resets;
	bool tx_stalled; /* until some resets are delivered */
};

/* --- virtio/vsock.c --- */

/* Something may be due to the guest: sends it, as far as there are buffers. */
void vsock_rx(struct vsock *vs);
void vsock_add_reset(struct vsock *vs, struct vsock_reset reset);

/* --- virtio/vsock-conn.c --- */

struct vsock_conn *vsock_conn_find(struct vsock *vs, uint32_t guest_port, uint32_t host_port);
/* The host wants in: takes over its socket, also when it fails, which is silent. */
void vsock_conn_accept(struct vsock *vs, int fd);
/* The guest's REQUEST for a connection that there is not; refused by a reset. */
void vsock_conn_request(struct vsock *vs, const struct virtio_vsock_hdr *hdr);
/* Any packet for this connection, in vs->tx, its length judged. Adds at most one reset. */
void vsock_conn_packet(struct vsock_conn *conn, const struct virtio_vsock_hdr *hdr);
/* Gives the connection up, on both sides. */
void vsock_conn_abort(struct vsock_conn *conn);
/*
 * Fills vs->rx with the packet that is due first, of a connection just taken from vs->ready, to
 * which it goes back if there are more. The bytes written; 0: nothing is due after all.
 */
uint32_t vsock_conn_put_next(struct vsock_conn *conn);
/* The host is given what it takes at once, and then nothing more. */
void vsock_conn_destroy(struct vsock_conn *conn);

#endif
