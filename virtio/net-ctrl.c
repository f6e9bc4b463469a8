// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio-net's control queue (virtio 1.2 §5.1.6.5). A command is judged whole before any of it takes
 * effect; what is not offered, not understood or too short is answered by VIRTIO_NET_ERR.
 */
#include <errno.h>
#include <string.h>

#include "kvm/util.h"
#include "net-internal.h"

/* The data of a command, taken from front to back. */
struct net_ctrl_data {
	const struct virtq_chain *chain;
	uint64_t off;
};

static int net_ctrl_take(struct net_ctrl_data *data, void *buf, uint64_t len)
{
	if (virtq_chain_read(data->chain, data->off, buf, len) != len)
		return -EINVAL;
	data->off += len;
	return 0;
}

/* --- what the driver wants to see --- */

static void net_filter_add(struct net_filter *filter, const uint8_t (*addr)[ETH_ALEN],
			   unsigned int nr)
{
	memcpy(filter->addr[filter->nr], addr, nr * ETH_ALEN);
	filter->nr += nr;
}

static int net_apply_wishes(struct net *net, const struct net_wishes *wishes)
{
	static const uint8_t broadcast[1][ETH_ALEN] = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
	struct net_filter filter = {
		.promisc = wishes->promisc || wishes->all_unicast,
		.allmulti = wishes->allmulti || wishes->all_multicast,
	};
	uint8_t mac[1][ETH_ALEN];
	int err;

	/* Who cannot tell us of a new address would be deaf with it. */
	if (!net->be->ops->set_filter || !virtio_has_feature(net->vdev, VIRTIO_NET_F_CTRL_RX) ||
	    !virtio_has_feature(net->vdev, VIRTIO_NET_F_CTRL_MAC_ADDR))
		return 0;
	net_load_mac(net, mac[0]);
	net_filter_add(&filter, mac, 1);
	net_filter_add(&filter, wishes->unicast, wishes->nr_unicast);
	net_filter_add(&filter, broadcast, 1);
	net_filter_add(&filter, wishes->multicast, wishes->nr_multicast);
	err = net->be->ops->set_filter(net->be, &filter);
	if (!err)
		net->wishes = *wishes;
	return err;
}

static int net_ctrl_rx(struct net *net, uint8_t cmd, struct net_ctrl_data *data)
{
	struct net_wishes wishes = net->wishes;
	uint8_t on;

	if (!virtio_has_feature(net->vdev, VIRTIO_NET_F_CTRL_RX) ||
	    net_ctrl_take(data, &on, sizeof(on)) || on > 1)
		return -EINVAL;
	if (cmd == VIRTIO_NET_CTRL_RX_PROMISC)
		wishes.promisc = on;
	else if (cmd == VIRTIO_NET_CTRL_RX_ALLMULTI)
		wishes.allmulti = on;
	else
		return -EINVAL;
	return net_apply_wishes(net, &wishes);
}

/* One table: a number, and so many addresses. `all` when they are more than we keep. */
static int net_take_table(struct net_ctrl_data *data, uint8_t (*addr)[ETH_ALEN], unsigned int max,
			  unsigned int *nr, bool *all)
{
	uint64_t len;
	uint32_t count;

	if (net_ctrl_take(data, &count, sizeof(count)))
		return -EINVAL;
	count = le32toh(count);
	len = (uint64_t)count * ETH_ALEN;
	if (len > data->chain->out_len - data->off)
		return -EINVAL;
	*all = count > max;
	*nr = *all ? 0 : count;
	virtq_chain_read(data->chain, data->off, addr, (uint64_t)*nr * ETH_ALEN);
	data->off += len;
	return 0;
}

static int net_set_table(struct net *net, struct net_ctrl_data *data)
{
	struct net_wishes wishes = net->wishes;

	if (!virtio_has_feature(net->vdev, VIRTIO_NET_F_CTRL_RX) ||
	    net_take_table(data, wishes.unicast, ARRAY_SIZE(wishes.unicast), &wishes.nr_unicast,
			   &wishes.all_unicast) ||
	    net_take_table(data, wishes.multicast, ARRAY_SIZE(wishes.multicast),
			   &wishes.nr_multicast, &wishes.all_multicast))
		return -EINVAL;
	return net_apply_wishes(net, &wishes);
}

static int net_set_mac(struct net *net, struct net_ctrl_data *data)
{
	uint8_t mac[ETH_ALEN];
	int err = 0;

	if (!virtio_has_feature(net->vdev, VIRTIO_NET_F_CTRL_MAC_ADDR) ||
	    net_ctrl_take(data, mac, sizeof(mac)) || mac[0] & 1)
		return -EINVAL;
	if (net->be->ops->set_mac)
		err = net->be->ops->set_mac(net->be, mac);
	if (err)
		return err;
	net_store_mac(net, mac);
	return net_apply_wishes(net, &net->wishes);
}

static int net_ctrl_mac(struct net *net, uint8_t cmd, struct net_ctrl_data *data)
{
	switch (cmd) {
	case VIRTIO_NET_CTRL_MAC_TABLE_SET:
		return net_set_table(net, data);
	case VIRTIO_NET_CTRL_MAC_ADDR_SET:
		return net_set_mac(net, data);
	default:
		return -EINVAL;
	}
}

/* --- queues and offloads --- */

static int net_ctrl_mq(struct net *net, uint8_t cmd, struct net_ctrl_data *data)
{
	uint16_t nr;

	if (!virtio_has_feature(net->vdev, VIRTIO_NET_F_MQ) ||
	    cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET || net_ctrl_take(data, &nr, sizeof(nr)))
		return -EINVAL;
	nr = le16toh(nr);
	if (nr < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || nr > net->be->nr_pairs)
		return -EINVAL;
	return net_want_pairs(net, nr);
}

static int net_ctrl_offloads(struct net *net, uint8_t cmd, struct net_ctrl_data *data)
{
	uint64_t features;

	if (!virtio_has_feature(net->vdev, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
	    cmd != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET ||
	    net_ctrl_take(data, &features, sizeof(features)))
		return -EINVAL;
	features = le64toh(features);
	/* §5.1.6.5.6.2: none that was not negotiated. */
	if (features & ~net->vdev->acked)
		return -EINVAL;
	return net_set_guest_offloads(net, features);
}

static int net_ctrl(struct net *net, const struct virtq_chain *chain)
{
	struct net_ctrl_data data = {.chain = chain};
	struct virtio_net_ctrl_hdr hdr;

	if (net_ctrl_take(&data, &hdr, sizeof(hdr)))
		return -EINVAL;
	switch (hdr.class) {
	case VIRTIO_NET_CTRL_RX:
		return net_ctrl_rx(net, hdr.cmd, &data);
	case VIRTIO_NET_CTRL_MAC:
		return net_ctrl_mac(net, hdr.cmd, &data);
	case VIRTIO_NET_CTRL_MQ:
		return net_ctrl_mq(net, hdr.cmd, &data);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return net_ctrl_offloads(net, hdr.cmd, &data);
	default:
		return -EINVAL;
	}
}

uint32_t net_ctrl_handle(void *dev, struct virtq_chain *chain)
{
	virtio_net_ctrl_ack ack = net_ctrl(dev, chain) ? VIRTIO_NET_ERR : VIRTIO_NET_OK;

	/* A driver that left no room for the answer gets none. */
	return virtq_chain_write(chain, 0, &ack, sizeof(ack));
}
