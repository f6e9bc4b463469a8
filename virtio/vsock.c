// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio socket device (virtio 1.2 §5.10) whose other end are unix sockets (kvm/vsock.h): the
 * queues and the way of packets to their connections, which are in virtio/vsock-conn.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/virtio-models.h"
#include "kvm/vsock.h"
#include "virtio/vsock-conn.h"

enum { VSOCK_RX, VSOCK_TX, VSOCK_EVENT, VSOCK_NR_QUEUES };

#define VSOCK_QUEUE_SIZE 256
#define VSOCK_BATCH	 64 /* packets before other sources get a turn */
#define VSOCK_RETRY_NS	 UINT64_C(100000000)
#define VSOCK_F_STREAM	 0 /* §5.10.3; newer than the header */

/* --- the host comes in --- */

static void vsock_accept(void *arg, uint32_t events)
{
	struct vsock *vs = arg;
	int fd = -EAGAIN;

	(void)events;
	while (vs->nr_conns < VSOCK_MAX_CONNS && vs->nr_resets < VSOCK_RESETS_FULL &&
	       (fd = vsock_uds_accept(vs->uds)) >= 0)
		vsock_conn_accept(vs, fd);
	/* They wait in the socket's backlog; so does who comes when files are short. */
	if (fd != -EAGAIN || vs->nr_conns == VSOCK_MAX_CONNS ||
	    vs->nr_resets >= VSOCK_RESETS_FULL) {
		loop_modify(vs->listener, 0);
		loop_arm_timer(vs->retry, VSOCK_RETRY_NS);
	}
}

static void vsock_retry(void *arg, uint32_t events)
{
	struct vsock *vs = arg;

	(void)events;
	loop_modify(vs->listener, EPOLLIN);
}

/* --- packets to the guest --- */

static uint32_t vsock_put_reset(struct vsock *vs)
{
	const struct vsock_reset *reset = &vs->reset[vs->first_reset];
	const struct virtio_vsock_hdr hdr = {
		.src_cid = htole64(reset->host_cid),
		.dst_cid = htole64(vs->cid),
		.src_port = htole32(reset->host_port),
		.dst_port = htole32(reset->guest_port),
		.type = htole16(reset->type),
		.op = htole16(VIRTIO_VSOCK_OP_RST),
	};

	vs->first_reset = (vs->first_reset + 1) % VSOCK_MAX_RESETS;
	vs->nr_resets--;
	return virtq_chain_write(vs->rx, 0, &hdr, sizeof(hdr));
}

static uint32_t vsock_put_next(struct vsock *vs)
{
	struct vsock_conn *conn = TAILQ_FIRST(&vs->ready);

	if (vs->nr_resets)
		return vsock_put_reset(vs);
	TAILQ_REMOVE(&vs->ready, conn, ready);
	conn->is_ready = false;
	return vsock_conn_put_next(conn);
}

static bool vsock_has_rx(const struct vsock *vs)
{
	return vs->nr_resets || !TAILQ_EMPTY(&vs->ready);
}

/* As far as there are buffers; the queue is watched only while there are none. */
void vsock_rx(struct vsock *vs)
{
	struct virtq *vq = virtio_queue(vs->vdev, VSOCK_RX);
	unsigned int left = VSOCK_BATCH;
	uint32_t len;
	int got = 1;

	if (!vq)
		return;
	do {
		virtq_disable_kicks(vq);
		while (left && vsock_has_rx(vs) && (got = virtq_pop(vq, vs->rx)) > 0) {
			if (vs->rx->in_len <= VSOCK_HDR) {
				got = -EPROTO;
				break;
			}
			left--;
			len = vsock_put_next(vs);
			if (len)
				virtq_push(vq, vs->rx, len);
			else
				virtq_unpop(vq, vs->rx);
		}
		if (got < 0) {
			virtio_needs_reset(vs->vdev, "its receive queue is broken");
			return;
		}
	} while (!got && virtq_enable_kicks(vq));
	virtio_signal_queue(vs->vdev, VSOCK_RX);
	if (!left)
		virtio_device_kick(vs->vdev, VSOCK_RX);
	if (vs->tx_stalled && vs->nr_resets < VSOCK_RESETS_FULL) {
		vs->tx_stalled = false;
		virtio_device_kick(vs->vdev, VSOCK_TX);
	}
}

/* --- packets of the guest --- */

void vsock_add_reset(struct vsock *vs, struct vsock_reset reset)
{
	if (vs->nr_resets < VSOCK_MAX_RESETS)
		vs->reset[(vs->first_reset + vs->nr_resets++) % VSOCK_MAX_RESETS] = reset;
}

/* One packet, in vs->tx. At most one reset comes of it. */
static void vsock_packet(struct vsock *vs)
{
	uint32_t guest_port, host_port;
	struct virtio_vsock_hdr hdr;
	struct vsock_conn *conn;
	bool sane;

	if (virtq_chain_read(vs->tx, 0, &hdr, sizeof(hdr)) < sizeof(hdr) ||
	    le64toh(hdr.src_cid) != vs->cid) {
		log_guest("%s: a packet without a proper header is dropped", vs->vdev->name);
		return;
	}
	guest_port = le32toh(hdr.src_port);
	host_port = le32toh(hdr.dst_port);
	sane = le64toh(hdr.dst_cid) == VMADDR_CID_HOST &&
	       le16toh(hdr.type) == VIRTIO_VSOCK_TYPE_STREAM;
	conn = sane ? vsock_conn_find(vs, guest_port, host_port) : NULL;
	if (conn && le32toh(hdr.len) > vs->tx->out_len - VSOCK_HDR)
		vsock_conn_abort(conn);
	else if (conn)
		vsock_conn_packet(conn, &hdr);
	else if (sane && le16toh(hdr.op) == VIRTIO_VSOCK_OP_REQUEST)
		vsock_conn_request(vs, &hdr);
	else if (le16toh(hdr.op) != VIRTIO_VSOCK_OP_RST)
		vsock_add_reset(vs, (struct vsock_reset){le64toh(hdr.dst_cid), guest_port,
							 host_port, le16toh(hdr.type)});
}

static void vsock_tx(struct vsock *vs)
{
	struct virtq *vq = virtio_queue(vs->vdev, VSOCK_TX);
	unsigned int left = VSOCK_BATCH;
	int got = 0;

	if (!vq)
		return;
	do {
		virtq_disable_kicks(vq);
		while (left && vs->nr_resets < VSOCK_RESETS_FULL &&
		       (got = virtq_pop(vq, vs->tx)) > 0) {
			vsock_packet(vs);
			virtq_push(vq, vs->tx, 0);
			left--;
		}
		if (got < 0) {
			virtio_needs_reset(vs->vdev, "its transmit queue is broken");
			return;
		}
		vs->tx_stalled = vs->nr_resets >= VSOCK_RESETS_FULL;
	} while (left && !vs->tx_stalled && virtq_enable_kicks(vq));
	virtio_signal_queue(vs->vdev, VSOCK_TX);
	if (!left)
		virtio_device_kick(vs->vdev, VSOCK_TX);
	vsock_rx(vs);
}

/* --- the model --- */

static void vsock_kick(void *dev, unsigned int q)
{
	if (q == VSOCK_RX)
		vsock_rx(dev);
	else if (q == VSOCK_TX)
		vsock_tx(dev);
}

static void vsock_stop(void *dev)
{
	struct vsock *vs = dev;
	struct vsock_conn *conn;

	loop_remove(vs->listener);
	loop_remove(vs->retry);
	vs->listener = vs->retry = NULL;
	while ((conn = LIST_FIRST(&vs->conns)))
		vsock_conn_destroy(conn);
	vs->first_reset = vs->nr_resets = 0;
	vs->tx_stalled = false;
}

static int vsock_start(void *dev, struct virtio_device *vdev)
{
	struct vsock *vs = dev;
	struct loop *loop = virtio_loop(vdev);
	int ret;

	vs->vdev = vdev;
	vs->retry = loop_add_timer(loop, vsock_retry, vs);
	if (vs->retry)
		vs->listener = loop_add(loop, vsock_uds_fd(vs->uds), EPOLLIN, vsock_accept, vs);
	if (vs->listener)
		return 0;
	ret = -errno;
	vsock_stop(vs);
	return ret;
}

static uint64_t vsock_features(void *dev)
{
	(void)dev;
	return 1ULL << VSOCK_F_STREAM;
}

static void vsock_config_read(void *dev, uint32_t off, void *buf, uint32_t len)
{
	const struct vsock *vs = dev;
	const struct virtio_vsock_config cfg = {.guest_cid = htole64(vs->cid)};

	memcpy(buf, (const uint8_t *)&cfg + off, len);
}

static void vsock_destroy(void *dev)
{
	struct vsock *vs = dev;

	virtq_chain_destroy(vs->rx);
	virtq_chain_destroy(vs->tx);
	free(vs);
}

static const struct virtio_model vsock_model = {
	.name = "virtio-vsock",
	.id = VIRTIO_ID_VSOCK,
	.in_order = true,
	.config_size = sizeof(struct virtio_vsock_config),
	.features = vsock_features,
	.config_read = vsock_config_read,
	.start = vsock_start,
	.stop = vsock_stop,
	.kick = vsock_kick,
	.destroy = vsock_destroy,
};

struct virtio_device *vsock_create(const struct memory *mem, const char *name, uint32_t cid,
				   const struct vsock_uds *uds)
{
	static const uint16_t sizes[VSOCK_NR_QUEUES] = {VSOCK_QUEUE_SIZE, VSOCK_QUEUE_SIZE,
							VSOCK_QUEUE_SIZE};
	struct vsock *vs = calloc(1, sizeof(*vs));

	if (vs) {
		vs->rx = virtq_chain_create();
		vs->tx = virtq_chain_create();
	}
	if (!vs || !vs->rx || !vs->tx) {
		log_error("%s: out of memory", name);
		if (vs)
			vsock_destroy(vs);
		return NULL;
	}
	vs->cid = cid;
	vs->uds = uds;
	TAILQ_INIT(&vs->ready);
	return virtio_device_create(&vsock_model, vs, name, mem, VSOCK_NR_QUEUES, sizes);
}
