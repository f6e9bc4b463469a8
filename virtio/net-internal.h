/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_VIRTIO_NET_INTERNAL_H
#define LKVM_VIRTIO_NET_INTERNAL_H

/* What net.c (the device), net-pair.c (frames) and net-ctrl.c (the control queue) share. */
#include <limits.h>
#include <linux/virtio_net.h>
#include <stdatomic.h>

#include "kvm/net.h"
#include "kvm/vhost.h"
#include "kvm/virtio.h"

#define NET_QUEUE_SIZE 256
#define NET_HDR_MAX    sizeof(struct virtio_net_hdr_v1)

/* Of a pair of queues (virtio 1.2 §5.1.2). */
#define NET_RX 0
#define NET_TX 1

/* The longest frame that segmentation offload makes, with a VLAN tag and our header. */
#define NET_MAX_FRAME (NET_HDR_MAX + ETH_HLEN + 4 + 65535)

/* The last vector of a read is `spill`, which tells a frame that fills the room from a longer one. */
#define NET_RX_IOVS (IOV_MAX - 1)

struct net;

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

/*
 * Two queues and one descriptor of the back end. Frames are moved by the worker, or by the kernel.
 * A pair that is not up (the driver uses fewer of them, or none) keeps its buffers.
 */
struct net_pair {
	struct net *net;
	unsigned int index;
	bool up;
	struct loop_source *source; /* the descriptor; NULL when not up, or the other end is gone */
	struct loop_source *timer;  /* NET_HOLD_NS */
	struct virtq_chain *chain;  /* the one just popped */
	struct net_rx rx;
	bool tx_wait; /* the back end is full: EPOLLOUT goes on */
	uint64_t tx_dropped;
	struct vhost vhost; /* if the kernel moves the frames */
};

/* Which frames the driver wants to see, by commands to the control queue (§5.1.6.5.1, .2). */
struct net_wishes {
	bool promisc, allmulti;
	/* A table that was too long for us is as good as none. */
	bool all_unicast, all_multicast;
	unsigned int nr_unicast, nr_multicast;
	uint8_t unicast[NET_FILTER_MAX / 2 - 1][ETH_ALEN];
	uint8_t multicast[NET_FILTER_MAX / 2 - 1][ETH_ALEN];
};

/* All but gone and mac is the worker's. */
struct net {
	struct net_backend *be; /* borrowed */
	struct virtio_device *vdev;
	unsigned int offloads; /* TUN_F_* that the back end can do */
	bool mergeable, guest_csum;
	size_t hdr_len; /* of the header that the driver has negotiated */
	uint8_t first_mac[ETH_ALEN];
	atomic_uint_fast64_t mac; /* the present one, its first byte lowest */
	atomic_bool gone;	  /* the back end's other end is: the link is down */
	atomic_bool cut;	  /* the link is down by net_set_link() */

	struct virtq_chain *chain; /* of the control queue */
	struct net_wishes wishes;
	unsigned int nr_wanted; /* pairs that the driver wants: 0, there is none */
	unsigned int nr_up;	/* those that are; none of them while the link is down */
	struct net_pair pair[]; /* be->nr_pairs */
};

/* --- net.c --- */

/* Lets the guest have the offloads that stand for these feature bits. 0 or a negative errno. */
int net_set_guest_offloads(struct net *net, uint64_t features);
/*
 * The driver wants so many pairs from now on, and has them while the link is up. 0 or a negative errno,
 * and it is as many as before.
 */
int net_want_pairs(struct net *net, unsigned int nr);
void net_store_mac(struct net *net, const uint8_t mac[ETH_ALEN]);
void net_load_mac(const struct net *net, uint8_t mac[ETH_ALEN]);
/* The tap was deleted or the stack ended: it will not come back in this VM's life. */
void net_gone(struct net *net);

static inline unsigned int net_pair_queue(const struct net_pair *pair, unsigned int dir)
{
	return pair->index * 2 + dir;
}

static inline int net_pair_fd(const struct net_pair *pair)
{
	return pair->net->be->fd[pair->index];
}

/* --- net-pair.c --- */

int net_pair_init(struct net_pair *pair, struct net *net, unsigned int index);
void net_pair_fini(struct net_pair *pair);
/* The back end's descriptor is in use. 0 or a negative errno, and the pair is down. */
int net_pair_up(struct net_pair *pair);
void net_pair_down(struct net_pair *pair); /* fine when it is */
void net_pair_kick(struct net_pair *pair, unsigned int dir);
/* The queue goes: what is in flight there is forgotten. */
void net_pair_queue_stop(struct net_pair *pair, unsigned int dir);

/* --- net-ctrl.c --- */

/* For virtio_process_queue(): one command. */
uint32_t net_ctrl_handle(void *dev, struct virtq_chain *chain);

#endif
