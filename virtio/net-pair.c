// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio-net's frames: a receive and a transmit queue, and a descriptor of the back end between which
 * and guest memory they go in one readv or writev, never through a buffer of ours but for the rare
 * received frame that the driver has no room for yet. Or the kernel moves them, by vhost-net.
 */
#include <errno.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/util.h"
#include "net-internal.h"

/* Frames in one go, before the other direction and the rest of the worker's events have theirs. */
#define NET_BUDGET 64

/* How long a received frame waits for the driver to add the buffers it still needs. */
#define NET_HOLD_NS 10000000ULL

static struct virtq *net_pair_virtq(const struct net_pair *pair, unsigned int dir)
{
	return virtio_queue(pair->net->vdev, net_pair_queue(pair, dir));
}

static void net_pair_notify(const struct net_pair *pair, unsigned int dir)
{
	virtio_device_kick(pair->net->vdev, net_pair_queue(pair, dir));
}

static void net_watch(struct net_pair *pair)
{
	uint32_t events = (pair->rx.wait ? 0 : EPOLLIN) | (pair->tx_wait ? EPOLLOUT : 0);

	if (pair->source && loop_modify(pair->source, pair->net->be->vhost ? 0 : events))
		net_gone(pair->net);
}

static void net_needs_reset(struct net_pair *pair, const char *why)
{
	pair->rx.wait = true;
	pair->tx_wait = false;
	net_watch(pair);
	virtio_needs_reset(pair->net->vdev, why);
}

/* readv or writev, past the header when the back end has none. */
static ssize_t net_transfer(struct net_pair *pair, struct iovec *iov, unsigned int nr,
			    ssize_t (*io)(int fd, const struct iovec *iov, int nr))
{
	size_t skip = pair->net->be->vnet_hdr ? 0 : pair->net->hdr_len;
	struct iovec first;
	ssize_t len;

	while (skip >= iov->iov_len) {
		skip -= iov->iov_len;
		iov++;
		nr--;
	}
	first = *iov;
	iov->iov_base = (uint8_t *)first.iov_base + skip;
	iov->iov_len = first.iov_len - skip;
	len = io(net_pair_fd(pair), iov, nr);
	*iov = first;
	return len;
}

/* --- receive --- */

static void net_rx_append(struct net_rx *rx, const struct virtq_chain *chain)
{
	/* Vectors beyond what a read takes stay unused. */
	unsigned int nr = MIN(chain->nr_in, NET_RX_IOVS - rx->nr_iov);
	const struct iovec *in = chain->iov + chain->nr_out;
	struct virtq_chain *to = &rx->chain[rx->nr_chains++];

	*to = (struct virtq_chain){.id = chain->id, .nr_descs = chain->nr_descs, .nr_in = nr};
	for (unsigned int i = 0; i < nr; i++) {
		rx->iov[rx->nr_iov++] = in[i];
		to->in_len += in[i].iov_len;
	}
	rx->room += to->in_len;
}

/*
 * Takes buffers until a frame of `want` bytes has room. 0 when the ring has no more, else 1;
 * -EPROTO when the driver broke the rules.
 */
static int net_rx_fill(struct net_pair *pair, struct virtq *vq, uint64_t want)
{
	struct net_rx *rx = &pair->rx;

	while (rx->room < want) {
		int ret = rx->nr_chains < NET_QUEUE_SIZE ? virtq_pop(vq, pair->chain) : 0;

		if (ret <= 0)
			return ret;
		/* §5.1.6.3.1: each buffer holds the header at least. */
		if (pair->chain->in_len < pair->net->hdr_len)
			return -EPROTO;
		if (rx->nr_iov && pair->chain->nr_in > NET_RX_IOVS - rx->nr_iov) {
			virtq_unpop(vq, pair->chain);
			return 1;
		}
		net_rx_append(rx, pair->chain);
	}
	return 1;
}

static void net_rx_write_header(struct net_pair *pair, unsigned int nr_buffers)
{
	struct virtio_net_hdr_v1 hdr = {.num_buffers = htole16(nr_buffers)};
	struct virtq_chain *first = &pair->rx.chain[0];
	size_t off = 0;

	/*
	 * The back end wrote all but num_buffers, which a short header does not have; §5.1.6.4.1
	 * on what else may be set when.
	 */
	if (pair->net->be->vnet_hdr)
		off = offsetof(struct virtio_net_hdr_v1, num_buffers);
	first->iov = pair->rx.iov;
	virtq_chain_write(first, off, (uint8_t *)&hdr + off, pair->net->hdr_len - off);
	if (!pair->net->guest_csum)
		virtq_chain_write(first, offsetof(struct virtio_net_hdr_v1, flags), &hdr.flags, 1);
}

/* Hands a frame of len bytes, header included, that lies in the first buffers, to the driver. */
static void net_rx_deliver(struct net_pair *pair, struct virtq *vq, size_t len)
{
	const struct virtq_chain *used[NET_QUEUE_SIZE];
	uint32_t written[NET_QUEUE_SIZE];
	struct net_rx *rx = &pair->rx;
	unsigned int nr = 0, nr_iov = 0;

	while (len) {
		used[nr] = &rx->chain[nr];
		written[nr] = MIN(len, used[nr]->in_len);
		len -= written[nr];
		rx->room -= used[nr]->in_len;
		nr_iov += used[nr]->nr_in;
		nr++;
	}
	net_rx_write_header(pair, nr);
	virtq_push_batch(vq, used, written, nr);

	rx->nr_chains -= nr;
	rx->nr_iov -= nr_iov;
	memmove(rx->chain, rx->chain + nr, rx->nr_chains * sizeof(*rx->chain));
	memmove(rx->iov, rx->iov + nr_iov, rx->nr_iov * sizeof(*rx->iov));
}

/* Room has come for the frame that was held: its rest goes behind what was read in place. */
static void net_rx_deliver_held(struct net_pair *pair, struct virtq *vq)
{
	struct net_rx *rx = &pair->rx;
	struct virtq_chain all = {.nr_in = rx->nr_iov, .iov = rx->iov};
	size_t len = rx->held;

	virtq_chain_write(&all, rx->held_room, rx->spill, len - rx->held_room);
	rx->held = 0;
	loop_arm_timer(pair->timer, 0);
	net_rx_deliver(pair, vq, len);
}

/* Reads one frame. False when there is none. */
static bool net_rx_read(struct net_pair *pair, struct virtq *vq)
{
	struct net_rx *rx = &pair->rx;
	ssize_t len;

	rx->iov[rx->nr_iov] = (struct iovec){rx->spill, sizeof(rx->spill)};
	len = net_transfer(pair, rx->iov, rx->nr_iov + 1, readv);
	if (len < 0 && errno == EAGAIN)
		return false;
	if (!len || (len < 0 && (errno == EBADFD || errno == EIO))) {
		net_gone(pair->net);
		return false;
	}
	if (len > 0 && !pair->net->be->vnet_hdr)
		len += pair->net->hdr_len;
	if (len < (ssize_t)pair->net->hdr_len) {
		rx->dropped++;
	} else if ((size_t)len <= rx->room) {
		net_rx_deliver(pair, vq, len);
	} else if (pair->net->mergeable) {
		rx->held = len;
		rx->held_room = rx->room;
		loop_arm_timer(pair->timer, NET_HOLD_NS);
	} else {
		rx->dropped++;
	}
	return true;
}

/* One frame. 1: look for another; 0: an event will tell; -EPROTO: the driver broke the rules. */
static int net_rx_frame(struct net_pair *pair, struct virtq *vq)
{
	struct net_rx *rx = &pair->rx;
	/* Without mergeable buffers a frame has one chain, whatever its size (§5.1.6.3.1). */
	int ret = net_rx_fill(pair, vq, pair->net->mergeable ? NET_MAX_FRAME : 1);

	if (ret < 0)
		return ret;
	if (ret == 0 && rx->room < MAX(rx->held, 1)) {
		if (virtq_enable_kicks(vq)) {
			virtq_disable_kicks(vq);
			return 1;
		}
		rx->wait = true;
		return 0;
	}
	if (!rx->held)
		return net_rx_read(pair, vq);
	if (rx->room >= rx->held) {
		net_rx_deliver_held(pair, vq);
	} else {
		/* So many tiny buffers that no list holds enough of them. */
		rx->held = 0;
		rx->dropped++;
	}
	return 1;
}

static void net_rx(struct net_pair *pair)
{
	struct virtq *vq = net_pair_virtq(pair, NET_RX);
	int ret = 1;

	if (!vq || !pair->source)
		return;
	for (unsigned int budget = NET_BUDGET; ret > 0 && budget; budget--)
		ret = net_rx_frame(pair, vq);
	virtio_signal_queue(pair->net->vdev, net_pair_queue(pair, NET_RX));
	if (ret < 0)
		net_needs_reset(pair, "a receive buffer is not what the specification allows");
}

/* The driver has buffers again, or the frame that waited for them waited too long. */
static void net_rx_resume(struct net_pair *pair)
{
	struct virtq *vq = net_pair_virtq(pair, NET_RX);

	if (!vq || !pair->up || !pair->rx.wait)
		return;
	pair->rx.wait = false;
	virtq_disable_kicks(vq);
	net_rx(pair);
	net_watch(pair);
}

static void net_rx_timeout(void *arg, uint32_t events)
{
	struct net_pair *pair = arg;

	(void)events;
	if (pair->rx.held) {
		pair->rx.held = 0;
		pair->rx.dropped++;
	}
	net_rx_resume(pair);
}

static void net_rx_forget(struct net_rx *rx)
{
	rx->nr_chains = rx->nr_iov = 0;
	rx->room = rx->held = 0;
	rx->wait = true;
}

/* --- transmit --- */

/*
 * False when the back end is full. What it refuses is dropped, as on a wire: a header that makes
 * no sense (the kernel checks it), an interface that is down.
 */
static bool net_tx_send(struct net_pair *pair, struct virtq_chain *chain)
{
	if (pair->source && chain->out_len >= pair->net->hdr_len + ETH_HLEN) {
		if (net_transfer(pair, chain->iov, chain->nr_out, writev) >= 0)
			return true;
		if (errno == EAGAIN)
			return false;
	}
	pair->tx_dropped++;
	return true;
}

/* Sends what is available. 1: the budget is used up; 0: all done, or waiting; -EPROTO as above. */
static int net_tx_run(struct net_pair *pair, struct virtq *vq)
{
	unsigned int budget = NET_BUDGET;
	int ret;

	do {
		virtq_disable_kicks(vq);
		while ((ret = virtq_pop(vq, pair->chain)) > 0) {
			if (!net_tx_send(pair, pair->chain)) {
				virtq_unpop(vq, pair->chain);
				pair->tx_wait = true;
				return 0;
			}
			virtq_push(vq, pair->chain, 0);
			if (!--budget)
				return 1;
		}
		if (ret < 0)
			return ret;
	} while (virtq_enable_kicks(vq));
	return 0;
}

static void net_tx(struct net_pair *pair)
{
	struct virtq *vq = net_pair_virtq(pair, NET_TX);
	int ret;

	if (!vq || pair->tx_wait)
		return;
	ret = net_tx_run(pair, vq);
	virtio_signal_queue(pair->net->vdev, net_pair_queue(pair, NET_TX));
	if (ret > 0)
		net_pair_notify(pair, NET_TX); /* ourselves, after the other events */
	if (ret < 0)
		net_needs_reset(pair, "a transmit buffer is not what the specification allows");
}

/* --- the kernel moves them --- */

/* -1 takes the queue's end in the back end away: the kernel is done with it then. */
static int net_vhost_set_backend(struct net_pair *pair, unsigned int dir, int fd)
{
	struct vhost_vring_file file = {.index = dir, .fd = fd};

	return ioctl(pair->vhost.fd, VHOST_NET_SET_BACKEND, &file) ? -errno : 0;
}

static int net_vhost_start_queue(struct net_pair *pair, unsigned int dir)
{
	int err = vhost_start_queue(&pair->vhost, net_pair_queue(pair, dir));

	if (!err)
		err = net_vhost_set_backend(pair, dir, net_pair_fd(pair));
	if (!err)
		net_pair_notify(pair, dir); /* the kernel may have had no use for the first */
	return err;
}

static void net_vhost_stop_queue(struct net_pair *pair, unsigned int dir)
{
	if (!vhost_queue_running(&pair->vhost, net_pair_queue(pair, dir)))
		return;
	net_vhost_set_backend(pair, dir, -1);
	vhost_stop_queue(&pair->vhost, net_pair_queue(pair, dir));
}

static void net_vhost_stop(struct net_pair *pair)
{
	net_vhost_stop_queue(pair, NET_RX);
	net_vhost_stop_queue(pair, NET_TX);
	vhost_stop(&pair->vhost);
}

static int net_vhost_start(struct net_pair *pair)
{
	/* A tap without headers: the kernel's vhost adds and takes them. */
	uint64_t extra = pair->net->be->vnet_hdr ? 0 : 1ULL << VHOST_NET_F_VIRTIO_NET_HDR;
	int err = vhost_start(&pair->vhost, pair->net->vdev, extra);

	if (err)
		return err;
	for (unsigned int dir = NET_RX; dir <= NET_TX && !err; dir++)
		if (net_pair_virtq(pair, dir))
			err = net_vhost_start_queue(pair, dir);
	if (err)
		net_vhost_stop(pair);
	return err;
}

/* --- up and down --- */

static void net_event(void *arg, uint32_t events)
{
	struct net_pair *pair = arg;

	if (events & (EPOLLHUP | EPOLLERR)) {
		net_gone(pair->net);
		return;
	}
	if (events & EPOLLOUT) {
		pair->tx_wait = false;
		net_tx(pair);
	}
	if (events & EPOLLIN)
		net_rx(pair);
	net_watch(pair);
}

/*
 * Frames that came while no driver was there are not for the one that comes now, and may be
 * segments that it cannot take. Bounded: a flood must not keep us here.
 */
static void net_drain(struct net_pair *pair)
{
	for (unsigned int i = 0; i < 4096; i++)
		if (read(net_pair_fd(pair), pair->rx.spill, sizeof(pair->rx.spill)) <= 0)
			break;
}

int net_pair_up(struct net_pair *pair)
{
	struct loop *loop = virtio_loop(pair->net->vdev);
	struct virtq *vq = net_pair_virtq(pair, NET_RX);
	int err = 0;

	net_drain(pair);
	pair->up = true;
	pair->rx.wait = !vq;
	pair->timer = loop_add_timer(loop, net_rx_timeout, pair);
	if (pair->timer)
		pair->source = loop_add(loop, net_pair_fd(pair), 0, net_event, pair);
	if (!pair->source)
		err = -errno;
	else if (pair->net->be->vhost)
		err = net_vhost_start(pair);
	if (err) {
		net_pair_down(pair);
		return err;
	}
	if (pair->net->be->vhost)
		return 0;
	if (vq)
		virtq_disable_kicks(vq);
	net_watch(pair);
	net_pair_notify(pair, NET_TX);
	return 0;
}

void net_pair_down(struct net_pair *pair)
{
	if (!pair->up)
		return;
	if (pair->net->be->vhost)
		net_vhost_stop(pair);
	loop_remove(pair->source);
	loop_remove(pair->timer);
	pair->source = pair->timer = NULL;
	pair->rx.held = 0;
	pair->tx_wait = false;
	pair->up = false;
}

void net_pair_kick(struct net_pair *pair, unsigned int dir)
{
	if (pair->up && pair->net->be->vhost) {
		/* The queue is back after its reset. */
		if (net_vhost_start_queue(pair, dir))
			virtio_needs_reset(pair->net->vdev, "vhost cannot go on with a queue");
	} else if (dir == NET_RX) {
		net_rx_resume(pair);
	} else {
		net_tx(pair); /* what nobody takes is dropped, so that no chain is stuck */
		net_watch(pair);
	}
}

void net_pair_queue_stop(struct net_pair *pair, unsigned int dir)
{
	if (pair->net->be->vhost)
		net_vhost_stop_queue(pair, dir);
	if (dir == NET_RX)
		net_rx_forget(&pair->rx);
	else
		pair->tx_wait = false;
	net_watch(pair);
}

int net_pair_init(struct net_pair *pair, struct net *net, unsigned int index)
{
	pair->net = net;
	pair->index = index;
	pair->chain = virtq_chain_create();
	net_rx_forget(&pair->rx);
	if (!pair->chain)
		return -ENOMEM;
	if (!net->be->vhost)
		return 0;
	return vhost_init(&pair->vhost, net->be->vhost_fd[index], index * 2, 2);
}

void net_pair_fini(struct net_pair *pair)
{
	vhost_fini(&pair->vhost);
	virtq_chain_destroy(pair->chain);
}
