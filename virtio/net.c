// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio-net (virtio 1.2 §5.1): one receive and one transmit queue in front of a back end that is
 * a file descriptor. Frames go between it and guest memory in one readv or writev, never through
 * a buffer of ours but for the rare received frame that the driver has no room for yet.
 *
 * There is no control queue: nothing is filtered, so receive modes and addresses have no effect,
 * and it takes multiqueue to need one.
 */
#include <errno.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/net.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "kvm/virtio.h"

#define NET_RX		0
#define NET_TX		1
#define NET_QUEUE_SIZE	256
#define NET_HDR_MAX	sizeof(struct virtio_net_hdr_v1)
#define NET_CONFIG_SIZE offsetof(struct virtio_net_config, max_virtqueue_pairs)

/* The longest frame that segmentation offload makes, with a VLAN tag and our header. */
#define NET_MAX_FRAME (NET_HDR_MAX + ETH_HLEN + 4 + 65535)

/* Frames in one go, before the other direction and the rest of the worker's events have theirs. */
#define NET_BUDGET 64

/* How long a received frame waits for the driver to add the buffers it still needs. */
#define NET_HOLD_NS 10000000ULL

/* The last vector of a read is `spill`, which tells a frame that fills the room from a longer one. */
#define NET_RX_IOVS (IOV_MAX - 1)

/*
 * Receive buffers taken from the ring and not used yet, as one list of vectors. A frame's length
 * is known only after it was read, so enough for the longest one is kept here, frame after frame.
 */
struct net_rx {
	struct virtq_chain chain[NET_QUEUE_SIZE]; /* their iov is part of the list below */
	struct iovec iov[NET_RX_IOVS + 1];
	unsigned int nr_chains, nr_iov;
	uint64_t room; /* bytes in iov */

	/* A frame that was longer than the room: its rest waits in spill. 0: there is none. */
	size_t held, held_room;
	uint8_t spill[NET_MAX_FRAME];

	bool wait; /* no buffers: the next kick goes on */
	uint64_t dropped;
};

/* All but link_up is the worker's. */
struct net {
	struct net_backend *be; /* borrowed */
	struct virtio_device *vdev;
	struct loop_source *source; /* be->fd; NULL when the back end is gone */
	struct loop_source *timer;  /* NET_HOLD_NS */
	struct virtq_chain *chain;  /* the one just popped */
	uint8_t mac[ETH_ALEN];
	unsigned int offloads; /* TUN_F_* that the back end can do */
	bool mergeable, guest_csum;
	size_t hdr_len; /* of the header that the driver has negotiated */
	atomic_bool link_up;

	struct net_rx rx;
	bool tx_wait; /* the back end is full: EPOLLOUT goes on */
	uint64_t tx_dropped;
};

static const struct {
	unsigned int tun, guest, host;
} net_offloads[] = {
	{TUN_F_CSUM, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_CSUM},
	{TUN_F_TSO4, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_HOST_TSO4},
	{TUN_F_TSO6, VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_HOST_TSO6},
	{TUN_F_TSO_ECN, VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_HOST_ECN},
	{TUN_F_UFO, VIRTIO_NET_F_GUEST_UFO, VIRTIO_NET_F_HOST_UFO},
};

/* --- the back end --- */

static int net_set_offload(struct net *net, unsigned int tun_flags)
{
	return net->offloads ? net->be->ops->set_offload(net->be, tun_flags) : 0;
}

/*
 * §5.1.6.1: a legacy driver's header lacks num_buffers unless it merges buffers. The back end makes
 * headers of that length, so that frames still go straight to and from guest memory.
 */
static int net_set_hdr_len(struct net *net)
{
	bool full = net->mergeable || virtio_has_feature(net->vdev, VIRTIO_F_VERSION_1);

	net->hdr_len = full ? NET_HDR_MAX : sizeof(struct virtio_net_hdr);
	if (net->be->vnet_hdr && net->be->ops->set_hdr_len)
		return net->be->ops->set_hdr_len(net->be, net->hdr_len);
	return net->be->vnet_hdr && !full ? -ENOTSUP : 0;
}

static unsigned int net_probe_offloads(struct net_backend *be)
{
	const unsigned int tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	const unsigned int sets[] = {tso | TUN_F_UFO, tso, TUN_F_CSUM};

	for (unsigned int i = 0; be->vnet_hdr && be->ops->set_offload && i < ARRAY_SIZE(sets); i++)
		if (!be->ops->set_offload(be, sets[i]) && !be->ops->set_offload(be, 0))
			return sets[i];
	return 0;
}

/* The tap was deleted or the stack ended: it will not come back in this VM's life. */
static void net_gone(struct net *net)
{
	loop_remove(net->source);
	net->source = NULL;
	atomic_store(&net->link_up, false);
	if (net->tx_wait) {
		net->tx_wait = false;
		virtio_device_kick(net->vdev, NET_TX); /* what waits to be sent is dropped */
	}
	log_warning("%s: the other end is gone, the link is down", net->vdev->name);
	virtio_config_changed(net->vdev);
}

static void net_watch(struct net *net)
{
	uint32_t events = (net->rx.wait ? 0 : EPOLLIN) | (net->tx_wait ? EPOLLOUT : 0);

	if (net->source && loop_modify(net->source, events))
		net_gone(net);
}

static void net_needs_reset(struct net *net, const char *why)
{
	net->rx.wait = true;
	net->tx_wait = false;
	net_watch(net);
	virtio_needs_reset(net->vdev, why);
}

/* readv or writev, past the header when the back end has none. */
static ssize_t net_transfer(struct net *net, struct iovec *iov, unsigned int nr,
			    ssize_t (*io)(int fd, const struct iovec *iov, int nr))
{
	size_t skip = net->be->vnet_hdr ? 0 : net->hdr_len;
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
	len = io(net->be->fd, iov, nr);
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
static int net_rx_fill(struct net *net, struct virtq *vq, uint64_t want)
{
	struct net_rx *rx = &net->rx;

	while (rx->room < want) {
		int ret = rx->nr_chains < NET_QUEUE_SIZE ? virtq_pop(vq, net->chain) : 0;

		if (ret <= 0)
			return ret;
		/* §5.1.6.3.1: each buffer holds the header at least. */
		if (net->chain->in_len < net->hdr_len)
			return -EPROTO;
		if (rx->nr_iov && net->chain->nr_in > NET_RX_IOVS - rx->nr_iov) {
			virtq_unpop(vq, net->chain);
			return 1;
		}
		net_rx_append(rx, net->chain);
	}
	return 1;
}

static void net_rx_write_header(struct net *net, unsigned int nr_buffers)
{
	struct virtio_net_hdr_v1 hdr = {.num_buffers = htole16(nr_buffers)};
	struct virtq_chain *first = &net->rx.chain[0];
	size_t off = 0;

	/*
	 * The back end wrote all but num_buffers, which a short header does not have; §5.1.6.4.1
	 * on what else may be set when.
	 */
	if (net->be->vnet_hdr)
		off = offsetof(struct virtio_net_hdr_v1, num_buffers);
	first->iov = net->rx.iov;
	virtq_chain_write(first, off, (uint8_t *)&hdr + off, net->hdr_len - off);
	if (!net->guest_csum)
		virtq_chain_write(first, offsetof(struct virtio_net_hdr_v1, flags), &hdr.flags, 1);
}

/* Hands a frame of len bytes, header included, that lies in the first buffers, to the driver. */
static void net_rx_deliver(struct net *net, struct virtq *vq, size_t len)
{
	const struct virtq_chain *used[NET_QUEUE_SIZE];
	uint32_t written[NET_QUEUE_SIZE];
	struct net_rx *rx = &net->rx;
	unsigned int nr = 0, nr_iov = 0;

	while (len) {
		used[nr] = &rx->chain[nr];
		written[nr] = MIN(len, used[nr]->in_len);
		len -= written[nr];
		rx->room -= used[nr]->in_len;
		nr_iov += used[nr]->nr_in;
		nr++;
	}
	net_rx_write_header(net, nr);
	virtq_push_batch(vq, used, written, nr);

	rx->nr_chains -= nr;
	rx->nr_iov -= nr_iov;
	memmove(rx->chain, rx->chain + nr, rx->nr_chains * sizeof(*rx->chain));
	memmove(rx->iov, rx->iov + nr_iov, rx->nr_iov * sizeof(*rx->iov));
}

/* Room has come for the frame that was held: its rest goes behind what was read in place. */
static void net_rx_deliver_held(struct net *net, struct virtq *vq)
{
	struct net_rx *rx = &net->rx;
	struct virtq_chain all = {.nr_in = rx->nr_iov, .iov = rx->iov};
	size_t len = rx->held;

	virtq_chain_write(&all, rx->held_room, rx->spill, len - rx->held_room);
	rx->held = 0;
	loop_arm_timer(net->timer, 0);
	net_rx_deliver(net, vq, len);
}

/* Reads one frame. False when there is none. */
static bool net_rx_read(struct net *net, struct virtq *vq)
{
	struct net_rx *rx = &net->rx;
	ssize_t len;

	rx->iov[rx->nr_iov] = (struct iovec){rx->spill, sizeof(rx->spill)};
	len = net_transfer(net, rx->iov, rx->nr_iov + 1, readv);
	if (len < 0 && errno == EAGAIN)
		return false;
	if (!len || (len < 0 && (errno == EBADFD || errno == EIO))) {
		net_gone(net);
		return false;
	}
	if (len > 0 && !net->be->vnet_hdr)
		len += net->hdr_len;
	if (len < (ssize_t)net->hdr_len) {
		rx->dropped++;
	} else if ((size_t)len <= rx->room) {
		net_rx_deliver(net, vq, len);
	} else if (net->mergeable) {
		rx->held = len;
		rx->held_room = rx->room;
		loop_arm_timer(net->timer, NET_HOLD_NS);
	} else {
		rx->dropped++;
	}
	return true;
}

/* One frame. 1: look for another; 0: an event will tell; -EPROTO: the driver broke the rules. */
static int net_rx_frame(struct net *net, struct virtq *vq)
{
	struct net_rx *rx = &net->rx;
	/* Without mergeable buffers a frame has one chain, whatever its size (§5.1.6.3.1). */
	int ret = net_rx_fill(net, vq, net->mergeable ? NET_MAX_FRAME : 1);

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
		return net_rx_read(net, vq);
	if (rx->room >= rx->held) {
		net_rx_deliver_held(net, vq);
	} else {
		/* So many tiny buffers that no list holds enough of them. */
		rx->held = 0;
		rx->dropped++;
	}
	return 1;
}

static void net_rx(struct net *net)
{
	struct virtq *vq = virtio_queue(net->vdev, NET_RX);
	int ret = 1;

	if (!vq || !net->source)
		return;
	for (unsigned int budget = NET_BUDGET; ret > 0 && budget; budget--)
		ret = net_rx_frame(net, vq);
	virtio_signal_queue(net->vdev, NET_RX);
	if (ret < 0)
		net_needs_reset(net, "a receive buffer is not what the specification allows");
}

/* The driver has buffers again, or the frame that waited for them waited too long. */
static void net_rx_resume(struct net *net)
{
	struct virtq *vq = virtio_queue(net->vdev, NET_RX);

	if (!vq || !net->rx.wait)
		return;
	net->rx.wait = false;
	virtq_disable_kicks(vq);
	net_rx(net);
	net_watch(net);
}

static void net_rx_timeout(void *arg, uint32_t events)
{
	struct net *net = arg;

	(void)events;
	if (net->rx.held) {
		net->rx.held = 0;
		net->rx.dropped++;
	}
	net_rx_resume(net);
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
static bool net_tx_send(struct net *net, struct virtq_chain *chain)
{
	if (net->source && chain->out_len >= net->hdr_len + ETH_HLEN) {
		if (net_transfer(net, chain->iov, chain->nr_out, writev) >= 0)
			return true;
		if (errno == EAGAIN)
			return false;
	}
	net->tx_dropped++;
	return true;
}

/* Sends what is available. 1: the budget is used up; 0: all done, or waiting; -EPROTO as above. */
static int net_tx_run(struct net *net, struct virtq *vq)
{
	unsigned int budget = NET_BUDGET;
	int ret;

	do {
		virtq_disable_kicks(vq);
		while ((ret = virtq_pop(vq, net->chain)) > 0) {
			if (!net_tx_send(net, net->chain)) {
				virtq_unpop(vq, net->chain);
				net->tx_wait = true;
				return 0;
			}
			virtq_push(vq, net->chain, 0);
			if (!--budget)
				return 1;
		}
		if (ret < 0)
			return ret;
	} while (virtq_enable_kicks(vq));
	return 0;
}

static void net_tx(struct net *net)
{
	struct virtq *vq = virtio_queue(net->vdev, NET_TX);
	int ret;

	if (!vq || net->tx_wait)
		return;
	ret = net_tx_run(net, vq);
	virtio_signal_queue(net->vdev, NET_TX);
	if (ret > 0)
		virtio_device_kick(net->vdev, NET_TX); /* ourselves, after the other events */
	if (ret < 0)
		net_needs_reset(net, "a transmit buffer is not what the specification allows");
}

/* --- the model --- */

static void net_event(void *arg, uint32_t events)
{
	struct net *net = arg;

	if (events & (EPOLLHUP | EPOLLERR)) {
		net_gone(net);
		return;
	}
	if (events & EPOLLOUT) {
		net->tx_wait = false;
		net_tx(net);
	}
	if (events & EPOLLIN)
		net_rx(net);
	net_watch(net);
}

static uint64_t net_features(void *dev)
{
	const struct net *net = dev;
	uint64_t features = 1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_STATUS |
			    1ULL << VIRTIO_NET_F_MRG_RXBUF;

	for (unsigned int i = 0; i < ARRAY_SIZE(net_offloads); i++)
		if (net->offloads & net_offloads[i].tun)
			features |= 1ULL << net_offloads[i].guest | 1ULL << net_offloads[i].host;
	return features;
}

static void net_config_read(void *dev, uint32_t off, void *buf, uint32_t len)
{
	struct net *net = dev;
	struct virtio_net_config config = {0};

	memcpy(config.mac, net->mac, ETH_ALEN);
	config.status = htole16(atomic_load(&net->link_up) ? VIRTIO_NET_S_LINK_UP : 0);
	memcpy(buf, (uint8_t *)&config + off, len);
}

/*
 * Frames that came while no driver was there are not for the one that comes now, and may be
 * segments that it cannot take. Bounded: a flood must not keep us here.
 */
static void net_drain(struct net *net)
{
	for (unsigned int i = 0; i < 4096; i++)
		if (read(net->be->fd, net->rx.spill, sizeof(net->rx.spill)) <= 0)
			break;
}

static void net_stop(void *dev)
{
	struct net *net = dev;

	loop_remove(net->source);
	loop_remove(net->timer);
	net->source = net->timer = NULL;
	net_rx_forget(&net->rx);
	net->tx_wait = false;
	net_set_offload(net, 0);
	log_debug("%s: dropped %llu received and %llu sent frames", net->vdev->name,
		  (unsigned long long)net->rx.dropped, (unsigned long long)net->tx_dropped);
}

static int net_start(void *dev, struct virtio_device *vdev)
{
	struct net *net = dev;
	struct virtq *vq = virtio_queue(vdev, NET_RX);
	unsigned int tun_flags = 0;
	int ret;

	net->vdev = vdev;
	net->mergeable = virtio_has_feature(vdev, VIRTIO_NET_F_MRG_RXBUF);
	net->guest_csum = virtio_has_feature(vdev, VIRTIO_NET_F_GUEST_CSUM);
	for (unsigned int i = 0; i < ARRAY_SIZE(net_offloads); i++)
		if (virtio_has_feature(vdev, net_offloads[i].guest))
			tun_flags |= net_offloads[i].tun;
	if (!atomic_load(&net->link_up))
		return 0;
	/* Refuses combinations that the driver must not accept, such as TSO without checksums. */
	ret = net_set_offload(net, tun_flags);
	if (!ret)
		ret = net_set_hdr_len(net);
	if (ret)
		return ret;
	net_drain(net);

	net->timer = loop_add_timer(virtio_loop(vdev), net_rx_timeout, net);
	if (net->timer)
		net->source = loop_add(virtio_loop(vdev), net->be->fd, EPOLLIN, net_event, net);
	if (!net->source) {
		ret = -errno;
		net_stop(net);
		return ret;
	}
	net->rx.wait = !vq;
	if (vq)
		virtq_disable_kicks(vq);
	net_watch(net);
	return 0;
}

static void net_kick(void *dev, unsigned int q)
{
	struct net *net = dev;

	if (q == NET_RX) {
		net_rx_resume(net);
	} else {
		net_tx(net);
		net_watch(net);
	}
}

static void net_queue_stop(void *dev, unsigned int q)
{
	struct net *net = dev;

	if (q == NET_RX)
		net_rx_forget(&net->rx);
	else
		net->tx_wait = false;
	net_watch(net);
}

static void net_destroy(void *dev)
{
	struct net *net = dev;

	virtq_chain_destroy(net->chain);
	free(net);
}

static const struct virtio_model net_model = {
	.name = "net",
	.id = VIRTIO_ID_NET,
	.config_size = NET_CONFIG_SIZE,
	.features = net_features,
	.config_read = net_config_read,
	.start = net_start,
	.stop = net_stop,
	.kick = net_kick,
	.queue_stop = net_queue_stop,
	.destroy = net_destroy,
};

struct virtio_device *net_create(const struct memory *mem, const char *name, struct net_backend *be,
				 const unsigned char mac[6])
{
	static const uint16_t sizes[] = {NET_QUEUE_SIZE, NET_QUEUE_SIZE};
	struct net *net = calloc(1, sizeof(*net));

	if (!net || !(net->chain = virtq_chain_create())) {
		free(net);
		log_error("%s: out of memory", name);
		return NULL;
	}
	net->be = be;
	net->offloads = net_probe_offloads(be);
	memcpy(net->mac, mac, ETH_ALEN);
	atomic_init(&net->link_up, true);
	net_rx_forget(&net->rx);
	return virtio_device_create(&net_model, net, name, mem, ARRAY_SIZE(sizes), sizes);
}
