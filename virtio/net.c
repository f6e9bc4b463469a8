// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio-net (virtio 1.2 §5.1): pairs of a receive and a transmit queue in front of a back end
 * (net-pair.c), and a control queue (net-ctrl.c) behind the pairs that the driver could use.
 */
#include <errno.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "kvm/worker.h"
#include "net-internal.h"

#define NET_BIT(n)	(1ULL << (n))
#define NET_CONFIG_SIZE (offsetof(struct virtio_net_config, mtu) + sizeof(__virtio16))

/* As in net.h. */
#ifndef VIRTIO_NET_F_HOST_USO
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO	56
#endif

static const struct {
	unsigned int tun, guest, host;
} net_offloads[] = {
	{TUN_F_CSUM, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_CSUM},
	{TUN_F_TSO4, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_HOST_TSO4},
	{TUN_F_TSO6, VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_HOST_TSO6},
	{TUN_F_TSO_ECN, VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_HOST_ECN},
	{TUN_F_UFO, VIRTIO_NET_F_GUEST_UFO, VIRTIO_NET_F_HOST_UFO},
	{TUN_F_USO4, VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_HOST_USO},
	{TUN_F_USO6, VIRTIO_NET_F_GUEST_USO6, VIRTIO_NET_F_HOST_USO},
};

/* --- the back end --- */

static unsigned int net_probe_offloads(struct net_backend *be)
{
	const unsigned int tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	const unsigned int sets[] = {
		tso | TUN_F_UFO | TUN_F_USO4 | TUN_F_USO6,
		tso | TUN_F_UFO,
		tso,
		TUN_F_CSUM,
	};

	for (unsigned int i = 0; be->vnet_hdr && be->ops->set_offload && i < ARRAY_SIZE(sets); i++)
		if (!be->ops->set_offload(be, sets[i]) && !be->ops->set_offload(be, 0))
			return sets[i];
	return 0;
}

int net_set_guest_offloads(struct net *net, uint64_t features)
{
	unsigned int tun_flags = 0;
	int err;

	for (unsigned int i = 0; i < ARRAY_SIZE(net_offloads); i++)
		if (features & NET_BIT(net_offloads[i].guest))
			tun_flags |= net_offloads[i].tun;
	/* Refuses combinations that the driver must not accept, such as TSO without checksums. */
	err = net->offloads ? net->be->ops->set_offload(net->be, tun_flags) : 0;
	if (!err)
		net->guest_csum = features & NET_BIT(VIRTIO_NET_F_GUEST_CSUM);
	return err;
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

void net_gone(struct net *net)
{
	if (atomic_exchange(&net->gone, true))
		return;
	for (unsigned int i = 0; i < net->be->nr_pairs; i++) {
		struct net_pair *pair = &net->pair[i];

		loop_remove(pair->source);
		pair->source = NULL;
		if (pair->tx_wait) {
			pair->tx_wait = false;
			/* What waits to be sent is dropped. */
			virtio_device_kick(net->vdev, net_pair_queue(pair, NET_TX));
		}
	}
	log_warning("%s: the other end is gone, the link is down", net->vdev->name);
	virtio_config_changed(net->vdev);
}

static int net_set_pairs(struct net *net, unsigned int nr)
{
	const struct net_backend_ops *ops = net->be->ops;
	unsigned int before = net->nr_up;
	int err = 0;

	while (net->nr_up > nr)
		net_pair_down(&net->pair[--net->nr_up]);
	if (ops->set_pairs)
		err = ops->set_pairs(net->be, MAX(nr, 1u));
	while (!err && net->nr_up < nr) {
		err = net_pair_up(&net->pair[net->nr_up]);
		if (!err)
			net->nr_up++;
	}
	if (err) {
		while (net->nr_up > before)
			net_pair_down(&net->pair[--net->nr_up]);
		if (ops->set_pairs)
			ops->set_pairs(net->be, MAX(before, 1u));
		while (net->nr_up < before && !net_pair_up(&net->pair[net->nr_up]))
			net->nr_up++;
	}
	return err;
}

static bool net_link_up(const struct net *net)
{
	return !atomic_load(&net->gone) && !atomic_load(&net->cut);
}

int net_want_pairs(struct net *net, unsigned int nr)
{
	int err = nr && !net_link_up(net) ? 0 : net_set_pairs(net, nr);

	if (!err)
		net->nr_wanted = nr;
	return err;
}

void net_store_mac(struct net *net, const uint8_t mac[ETH_ALEN])
{
	atomic_store(&net->mac, le_load(mac, 4) | le_load(mac + 4, 2) << 32);
}

void net_load_mac(const struct net *net, uint8_t mac[ETH_ALEN])
{
	uint64_t val = atomic_load(&net->mac);

	le_store(mac, 4, val);
	le_store(mac + 4, 2, val >> 32);
}

/* --- queues: pairs, then the control queue (§5.1.2) --- */

/* The pairs that this driver could use. */
static unsigned int net_nr_pairs(const struct net *net)
{
	return virtio_has_feature(net->vdev, VIRTIO_NET_F_MQ) ? net->be->nr_pairs : 1;
}

static bool net_is_ctrl(const struct net *net, unsigned int q)
{
	return virtio_has_feature(net->vdev, VIRTIO_NET_F_CTRL_VQ) && q == net_nr_pairs(net) * 2;
}

/* NULL: it is none of a pair. */
static struct net_pair *net_pair_of(struct net *net, unsigned int q)
{
	return q / 2 < net_nr_pairs(net) ? &net->pair[q / 2] : NULL;
}

/* --- the model --- */

static uint64_t net_features(void *dev)
{
	const struct net *net = dev;
	uint64_t features = NET_BIT(VIRTIO_NET_F_MAC) | NET_BIT(VIRTIO_NET_F_STATUS) |
			    NET_BIT(VIRTIO_NET_F_MRG_RXBUF) | NET_BIT(VIRTIO_NET_F_CTRL_VQ) |
			    NET_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR);

	for (unsigned int i = 0; i < ARRAY_SIZE(net_offloads); i++)
		if (net->offloads & net_offloads[i].tun)
			features |= NET_BIT(net_offloads[i].guest) | NET_BIT(net_offloads[i].host);
	if (net->offloads)
		features |= NET_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	if (net->be->ops->set_filter)
		features |= NET_BIT(VIRTIO_NET_F_CTRL_RX);
	if (net->be->nr_pairs > 1)
		features |= NET_BIT(VIRTIO_NET_F_MQ);
	if (net->be->mtu)
		features |= NET_BIT(VIRTIO_NET_F_MTU);
	return features;
}

static uint64_t net_ring_features(void *dev)
{
	const struct net *net = dev;

	return net->be->vhost ? vhost_ring_features(&net->pair[0].vhost) : UINT64_MAX;
}

static void net_config_read(void *dev, uint32_t off, void *buf, uint32_t len)
{
	struct net *net = dev;
	struct virtio_net_config config = {
		.status = htole16(net_link_up(net) ? VIRTIO_NET_S_LINK_UP : 0),
		.max_virtqueue_pairs = htole16(net->be->nr_pairs),
		.mtu = htole16(net->be->mtu),
	};

	net_load_mac(net, config.mac);
	memcpy(buf, (uint8_t *)&config + off, len);
}

/* The address that the device has after a reset, which no driver has asked to change. */
static void net_restore_mac(struct net *net)
{
	uint8_t mac[ETH_ALEN];

	net_load_mac(net, mac);
	if (!memcmp(mac, net->first_mac, ETH_ALEN))
		return;
	net_store_mac(net, net->first_mac);
	if (net->be->ops->set_mac && net->be->ops->set_mac(net->be, net->first_mac))
		log_warning("%s: the back end keeps the address that its guest chose",
			    net->vdev->name);
}

static void net_stop(void *dev)
{
	struct net *net = dev;
	uint64_t received = 0, sent = 0;

	net_want_pairs(net, 0);
	for (unsigned int i = 0; i < net->be->nr_pairs; i++) {
		net_pair_queue_stop(&net->pair[i], NET_RX);
		net_pair_queue_stop(&net->pair[i], NET_TX);
		received += net->pair[i].rx.dropped;
		sent += net->pair[i].tx_dropped;
	}
	net_set_guest_offloads(net, 0);
	if (net->be->ops->set_filter)
		net->be->ops->set_filter(net->be, NULL);
	net->wishes = (struct net_wishes){0};
	net_restore_mac(net);
	log_debug("%s: dropped %llu received and %llu sent frames", net->vdev->name,
		  (unsigned long long)received, (unsigned long long)sent);
}

static int net_start(void *dev, struct virtio_device *vdev)
{
	struct net *net = dev;
	int err;

	net->vdev = vdev;
	net->mergeable = virtio_has_feature(vdev, VIRTIO_NET_F_MRG_RXBUF);
	if (atomic_load(&net->gone))
		return 0;
	err = net_set_guest_offloads(net, vdev->acked);
	if (!err)
		err = net_set_hdr_len(net);
	/* §5.1.6.5.5: one pair, until the driver asks for more. */
	if (!err)
		err = net_want_pairs(net, 1);
	if (err)
		net_stop(net);
	return err;
}

static void net_kick(void *dev, unsigned int q)
{
	struct net *net = dev;
	struct net_pair *pair = net_pair_of(net, q);

	if (pair)
		net_pair_kick(pair, q % 2);
	else if (net_is_ctrl(net, q))
		virtio_process_queue(net->vdev, q, net->chain, net_ctrl_handle, net);
}

static void net_queue_stop(void *dev, unsigned int q)
{
	struct net_pair *pair = net_pair_of(dev, q);

	if (pair)
		net_pair_queue_stop(pair, q % 2);
}

static void net_destroy(void *dev)
{
	struct net *net = dev;

	for (unsigned int i = 0; i < net->be->nr_pairs; i++)
		net_pair_fini(&net->pair[i]);
	virtq_chain_destroy(net->chain);
	free(net);
}

static const struct virtio_model net_model = {
	.name = "net",
	.id = VIRTIO_ID_NET,
	.in_order = true,
	.config_size = NET_CONFIG_SIZE,
	.features = net_features,
	.ring_features = net_ring_features,
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
	struct net *net = calloc(1, sizeof(*net) + be->nr_pairs * sizeof(net->pair[0]));
	uint16_t sizes[NET_MAX_PAIRS * 2 + 1];
	int err = net ? 0 : -ENOMEM;

	if (net) {
		net->be = be;
		net->chain = virtq_chain_create();
		err = net->chain ? 0 : -ENOMEM;
		for (unsigned int i = 0; i < be->nr_pairs && !err; i++)
			err = net_pair_init(&net->pair[i], net, i);
	}
	if (err) {
		log_error("%s: %s", name, strerror(-err));
		if (net)
			net_destroy(net);
		return NULL;
	}
	net->offloads = net_probe_offloads(be);
	memcpy(net->first_mac, mac, ETH_ALEN);
	net_store_mac(net, mac);
	for (unsigned int q = 0; q < ARRAY_SIZE(sizes); q++)
		sizes[q] = NET_QUEUE_SIZE;
	return virtio_device_create(&net_model, net, name, mem, be->nr_pairs * 2 + 1, sizes);
}

struct net_link {
	struct net *net;
	bool up;
};

/* What was sent to the guest meanwhile is dropped by net_pair_up(), what it sends by net_tx(). */
static void net_do_set_link(void *arg)
{
	struct net_link *link = arg;
	struct net *net = link->net;

	atomic_store(&net->cut, !link->up);
	if (net->nr_wanted && net_set_pairs(net, net_link_up(net) ? net->nr_wanted : 0))
		virtio_needs_reset(net->vdev, "its link does not come up again");
}

void net_set_link(struct virtio_device *vdev, bool up)
{
	struct net_link link = {.net = vdev->dev, .up = up};

	if (atomic_load(&link.net->cut) == !up)
		return;
	worker_call(vdev->worker, net_do_set_link, &link);
	virtio_config_changed(vdev);
}
