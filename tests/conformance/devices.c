// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio 1.2 §5: what each type of device must do with requests. */
#include <errno.h>
#include <linux/input.h>
#include <linux/virtio_9p.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_console.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_input.h>
#include <linux/virtio_net.h>
#include <linux/virtio_scsi.h>
#include <linux/virtio_vsock.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "kvm/seat.h"
#include "kvm/virtio-models.h"
#include "rig.h"

/* --- blk (§5.2) --- */

#define HEADER BUF(0)
#define DATA   BUF(1)
#define STATUS BUF(8)

static uint8_t blk_request(struct rig *rig, uint32_t type, uint64_t sector, uint32_t len)
{
	const struct virtio_blk_outhdr header = {.type = type, .sector = sector};
	const struct drv_buf bufs[] = {{HEADER, sizeof(header)}, {DATA, len}, {STATUS, 1}};
	bool out = type != VIRTIO_BLK_T_IN && type != VIRTIO_BLK_T_GET_ID;
	uint8_t *status = rig_ptr(rig, STATUS);

	memcpy(rig_ptr(rig, HEADER), &header, sizeof(header));
	*status = 0xee;
	CHECK_EQ(rig_send(rig, 0, bufs, out ? 2 : 1, out ? 1 : 2), out ? 1 : 1 + len);
	return *status;
}

static uint8_t blk_range(struct rig *rig, uint32_t type, uint64_t sector, uint32_t nr,
			 uint32_t flags)
{
	const struct virtio_blk_discard_write_zeroes range = {
		.sector = sector, .num_sectors = nr, .flags = flags};

	memcpy(rig_ptr(rig, DATA), &range, sizeof(range));
	return blk_request(rig, type, 0, sizeof(range));
}

static void blk_config(struct rig *rig)
{
	uint64_t offered = rig_offered(rig);

	CHECK_EQ(rig->way->config_read(rig, 0, 8), RIG_DISK_SECTORS);
	CHECK(offered & DRV_BIT(VIRTIO_BLK_F_FLUSH));
	CHECK_EQ(!!(offered & DRV_BIT(VIRTIO_BLK_F_RO)), rig->kind == &kinds[BLK_RO]);
	CHECK_EQ(rig->way->config_read(rig, offsetof(struct virtio_blk_config, unused), 1), 0);
}

static void blk_reads_and_writes(struct rig *rig)
{
	rig_start(rig, 0);
	memset(rig_ptr(rig, DATA), 0x42, 1024);
	CHECK_EQ(blk_request(rig, VIRTIO_BLK_T_OUT, 5, 1024), VIRTIO_BLK_S_OK);
	CHECK_EQ(rig_disk(rig)->data[5 * 512 - 1], 0xd1);
	CHECK_EQ(rig_disk(rig)->data[5 * 512], 0x42);
	CHECK_EQ(rig_disk(rig)->data[7 * 512 - 1], 0x42);
	CHECK_EQ(rig_disk(rig)->data[7 * 512], 0xd1);
	CHECK_EQ(blk_request(rig, VIRTIO_BLK_T_IN, 4, 1024), VIRTIO_BLK_S_OK);
	CHECK_EQ(*(uint8_t *)rig_ptr(rig, DATA), 0xd1);
	CHECK_EQ(*(uint8_t *)rig_ptr(rig, DATA + 512), 0x42);
}

static void blk_read_only(struct rig *rig)
{
	rig_start(rig, rig_offered(rig) & ~DRV_BIT(VIRTIO_F_RING_PACKED));
	memset(rig_ptr(rig, DATA), 0x42, 512);
	CHECK_EQ(blk_request(rig, VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(rig_disk(rig)->writes, 0);
	CHECK_EQ(rig_disk(rig)->data[0], 0xd1);
	CHECK(blk_range(rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0) != VIRTIO_BLK_S_OK);
	CHECK(blk_range(rig, VIRTIO_BLK_T_DISCARD, 0, 1, 0) != VIRTIO_BLK_S_OK);
	CHECK_EQ(blk_request(rig, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
}

static void blk_beyond_capacity(struct rig *rig)
{
	static const uint64_t sectors[] = {RIG_DISK_SECTORS, RIG_DISK_SECTORS - 1, 1ull << 55,
					   UINT64_MAX, UINT64_MAX - 1};

	rig_start(rig, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(sectors); i++) {
		CHECK_EQ(blk_request(rig, VIRTIO_BLK_T_IN, sectors[i], 1024), VIRTIO_BLK_S_IOERR);
		CHECK_EQ(blk_request(rig, VIRTIO_BLK_T_OUT, sectors[i], 1024), VIRTIO_BLK_S_IOERR);
	}
	CHECK_EQ(rig_disk(rig)->writes, 0);
}

static void blk_unknown(struct rig *rig)
{
	static const uint32_t types[] = {2, 3, 5, 9, 12, 14, 15, 26, 0x1000, UINT32_MAX};

	rig_start(rig, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++)
		CHECK_EQ(blk_request(rig, types[i], 0, 16), VIRTIO_BLK_S_UNSUPP);
}

static void blk_range_flags(struct rig *rig)
{
	rig_start(rig, rig_offered(rig) & ~DRV_BIT(VIRTIO_F_RING_PACKED));
	CHECK_EQ(blk_range(rig, VIRTIO_BLK_T_DISCARD, 0, 1, 1), VIRTIO_BLK_S_UNSUPP);
	for (unsigned int bit = 1; bit < 32; bit++) {
		CHECK_EQ(blk_range(rig, VIRTIO_BLK_T_DISCARD, 0, 1, 1u << bit),
			 VIRTIO_BLK_S_UNSUPP);
		CHECK_EQ(blk_range(rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 1u << bit),
			 VIRTIO_BLK_S_UNSUPP);
	}
	CHECK_EQ(rig_disk(rig)->data[0], 0xd1);
}

static void blk_write_zeroes(struct rig *rig)
{
	rig_start(rig, rig_offered(rig) & ~DRV_BIT(VIRTIO_F_RING_PACKED));
	for (uint32_t unmap = 0; unmap < 2; unmap++) {
		memset(rig_disk(rig)->data, 0xd1, 4 * 512);
		CHECK_EQ(blk_range(rig, VIRTIO_BLK_T_WRITE_ZEROES, 1, 2, unmap), VIRTIO_BLK_S_OK);
		CHECK_EQ(rig_disk(rig)->data[511], 0xd1);
		CHECK_EQ(rig_disk(rig)->data[512], 0);
		CHECK_EQ(rig_disk(rig)->data[3 * 512 - 1], 0);
		CHECK_EQ(rig_disk(rig)->data[3 * 512], 0xd1);
	}
	CHECK_EQ(blk_range(rig, VIRTIO_BLK_T_WRITE_ZEROES, RIG_DISK_SECTORS, 1, 0),
		 VIRTIO_BLK_S_IOERR);
	CHECK_EQ(blk_range(rig, VIRTIO_BLK_T_DISCARD, 0, 1, 0), VIRTIO_BLK_S_OK);
}

/* Without FLUSH the driver knows of no cache: what is written is safe when the request is used. */
static void blk_writes_through(struct rig *rig)
{
	unsigned int flushes;

	rig_start(rig, 0);
	CHECK_EQ(blk_request(rig, VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_OK);
	CHECK(rig_disk(rig)->flushes > 0);
	rig_start(rig, DRV_BIT(VIRTIO_BLK_F_FLUSH));
	flushes = rig_disk(rig)->flushes;
	CHECK_EQ(blk_request(rig, VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_OK);
	CHECK_EQ(rig_disk(rig)->flushes, flushes);
	CHECK_EQ(blk_request(rig, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
	CHECK_EQ(rig_disk(rig)->flushes, flushes + 1);
}

static void blk_id(struct rig *rig)
{
	rig_start(rig, 0);
	memset(rig_ptr(rig, DATA), 0xff, 32);
	CHECK_EQ(blk_request(rig, VIRTIO_BLK_T_GET_ID, 0, 20), VIRTIO_BLK_S_OK);
	CHECK(!memcmp(rig_ptr(rig, DATA), "a-disk\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff", 21));
}

static void blk_grows(struct rig *rig)
{
	uint32_t before;

	rig_start(rig, 0);
	rig->way->config_read(rig, 0, 8);
	before = rig->way->generation(rig);
	CHECK_EQ(blk_resize(rig->vdev, 32 * 512), 0);
	CHECK_EQ(rig_take_interrupt(rig), 2);
	CHECK_EQ(rig->way->config_read(rig, 0, 8), 32);
	CHECK(rig->way->generation(rig) != before);
	CHECK_EQ(blk_request(rig, VIRTIO_BLK_T_IN, 32, 512), VIRTIO_BLK_S_IOERR);
}

/* --- net (§5.1) --- */

#define RX	0
#define TX	1
#define NET_HDR sizeof(struct virtio_net_hdr_v1)
/* §5.1.6.1: without num_buffers, for a legacy driver that does not merge buffers. */
static uint32_t net_hdr(struct rig *rig, uint64_t features)
{
	return rig->way->legacy && !(features & DRV_BIT(VIRTIO_NET_F_MRG_RXBUF))
		       ? sizeof(struct virtio_net_hdr)
		       : NET_HDR;
}

#define FRAME 600

static void net_config(struct rig *rig)
{
	uint64_t offered = rig_offered(rig);

	CHECK(offered & DRV_BIT(VIRTIO_NET_F_MAC));
	CHECK_EQ(rig->way->config_read(rig, 0, 4), 0x03020102);
	CHECK_EQ(rig->way->config_read(rig, 4, 2), 0x0504);
	if (offered & DRV_BIT(VIRTIO_NET_F_STATUS))
		CHECK_EQ(rig->way->config_read(rig, 6, 2), VIRTIO_NET_S_LINK_UP);
}

static void net_receive(struct rig *rig, uint64_t features)
{
	struct drv_buf bufs[8];
	uint8_t frame[FRAME], got[FRAME + NET_HDR];
	uint32_t hdr = net_hdr(rig, features), each = features ? 100 + hdr : 2048, done = 0;
	struct virtio_net_hdr_v1 *header = (void *)got;
	unsigned int nr = 0;

	rig_start(rig, features);
	memset(rig_ptr(rig, BUF(0)), 0xff, 0x8000);
	for (unsigned int i = 0; i < ARRAY_SIZE(bufs); i++) {
		bufs[i] = (struct drv_buf){BUF(i), each};
		CHECK(drv_add(&rig->q[RX], &bufs[i], 0, 1, 0) >= 0);
	}
	rig->way->notify(rig, RX);
	for (unsigned int i = 0; i < FRAME; i++)
		frame[i] = i;
	CHECK_EQ(write(rig_wire(rig, 0), frame, FRAME), FRAME);
	while (done < FRAME + hdr) {
		uint32_t len = rig_wait(rig, RX);

		CHECK(done + len <= sizeof(got) && len <= each);
		memcpy(got + done, rig_ptr(rig, BUF(nr)), len);
		done += len;
		nr++;
		/* All but the last one are full. */
		CHECK(len == each || done == FRAME + hdr);
	}
	CHECK(!memcmp(got + hdr, frame, FRAME));
	CHECK_EQ(header->flags, 0);
	CHECK_EQ(header->gso_type, VIRTIO_NET_HDR_GSO_NONE);
	if (hdr == NET_HDR)
		CHECK_EQ(header->num_buffers, nr);
	CHECK(features || nr == 1);
}

static void net_receives(struct rig *rig)
{
	net_receive(rig, 0);
}

static void net_receives_merged(struct rig *rig)
{
	net_receive(rig, DRV_BIT(VIRTIO_NET_F_MRG_RXBUF));
}

/* All buffers of a frame become used together. */
static void net_uses_buffers_together(struct rig *rig)
{
	uint8_t frame[FRAME] = {0};
	uint32_t len;
	int id;

	rig_start(rig, DRV_BIT(VIRTIO_NET_F_MRG_RXBUF));
	for (unsigned int i = 0; i < 8; i++) {
		const struct drv_buf buf = {BUF(i), 112};

		CHECK(drv_add(&rig->q[RX], &buf, 0, 1, 0) >= 0);
	}
	rig->way->notify(rig, RX);
	CHECK_EQ(write(rig_wire(rig, 0), frame, FRAME), FRAME);
	rig_wait(rig, RX);
	for (unsigned int i = 1; i < (FRAME + NET_HDR + 111) / 112; i++)
		CHECK(drv_get_used(&rig->q[RX], &id, &len));
}

static void net_transmits(struct rig *rig)
{
	uint32_t hdr = net_hdr(rig, 0);
	const struct drv_buf whole = {BUF(0), hdr + FRAME};
	const struct drv_buf parts[] = {
		{BUF(0), 3}, {BUF(0) + 3, hdr + 40}, {BUF(0) + hdr + 43, FRAME - 43}};
	uint8_t *data = rig_ptr(rig, BUF(0)), got[FRAME + 1];

	rig_start(rig, 0);
	memset(data, 0, hdr);
	for (unsigned int i = 0; i < FRAME; i++)
		data[hdr + i] = i * 3;
	CHECK_EQ(rig_send(rig, TX, &whole, 1, 0), 0);
	CHECK_EQ(read(rig_wire(rig, 0), got, sizeof(got)), FRAME);
	CHECK(!memcmp(got, data + hdr, FRAME));
	CHECK_EQ(rig_send(rig, TX, parts, 3, 0), 0);
	CHECK_EQ(read(rig_wire(rig, 0), got, sizeof(got)), FRAME);
	CHECK(!memcmp(got, data + hdr, FRAME));
}

static void net_pairs_config(struct rig *rig)
{
	uint64_t offered = rig_offered(rig);
	uint32_t mtu = rig->way->config_read(rig, offsetof(struct virtio_net_config, mtu), 2);
	uint32_t pairs = rig->way->config_read(
		rig, offsetof(struct virtio_net_config, max_virtqueue_pairs), 2);

	CHECK(offered & DRV_BIT(VIRTIO_NET_F_MTU) && offered & DRV_BIT(VIRTIO_NET_F_MQ));
	CHECK_EQ(mtu, RIG_MTU);
	CHECK_EQ(pairs, RIG_PAIRS);
	CHECK(mtu >= 68 && pairs >= 1 && pairs <= 0x8000);
	for (unsigned int q = 0; q <= 2 * RIG_PAIRS; q++)
		CHECK(rig->way->queue_size(rig, q) > 0);
	CHECK_EQ(rig->way->queue_size(rig, 2 * RIG_PAIRS + 1), 0);
}

#define NET_CTRL                                                         \
	(DRV_BIT(VIRTIO_NET_F_CTRL_VQ) | DRV_BIT(VIRTIO_NET_F_CTRL_RX) | \
	 DRV_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | DRV_BIT(VIRTIO_NET_F_MQ))

/* The answer to a command of `len` bytes of data. */
static uint8_t net_command(struct rig *rig, uint8_t class, uint8_t cmd, const void *data,
			   uint32_t len)
{
	const struct drv_buf bufs[] = {{BUF(0), 2}, {BUF(1), len}, {BUF(2), 1}};
	uint8_t *head = rig_ptr(rig, BUF(0)), *ack = rig_ptr(rig, BUF(2));

	head[0] = class;
	head[1] = cmd;
	memcpy(rig_ptr(rig, BUF(1)), data, len);
	*ack = 0xee;
	CHECK_EQ(rig_send(rig, 2 * RIG_PAIRS, bufs, 2, 1), 1);
	return *ack;
}

static void net_answers_commands(struct rig *rig)
{
	static const uint8_t mac[6] = {2, 9, 8, 7, 6, 5}, group[6] = {1, 9, 8, 7, 6, 5};
	const uint8_t on = 1, table[8] = {0};

	rig_start(rig, NET_CTRL);
	CHECK_EQ(net_command(rig, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 1),
		 VIRTIO_NET_OK);
	CHECK_EQ(net_command(rig, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, 8),
		 VIRTIO_NET_OK);
	CHECK_EQ(net_command(rig, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6),
		 VIRTIO_NET_OK);
	for (unsigned int i = 0; i < 6; i++)
		CHECK_EQ(rig->way->config_read(rig, i, 1), mac[i]);
	CHECK_EQ(net_command(rig, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, group, 6),
		 VIRTIO_NET_ERR);
	/* Too short, and what there is not. */
	CHECK_EQ(net_command(rig, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 5),
		 VIRTIO_NET_ERR);
	for (unsigned int class = 0; class < 256; class += 3)
		CHECK_EQ(net_command(rig, class, 200, mac, 6), VIRTIO_NET_ERR);
	CHECK_EQ(rig->way->config_read(rig, 2, 1), mac[2]);
}

/* A frame on each wire: whether it came to that pair's receive queue. */
static bool net_pair_hears(struct rig *rig, unsigned int pair)
{
	const uint8_t frame[FRAME] = {0};
	const struct drv_buf buf = {BUF(8 + pair), 2048};
	uint32_t len;
	int id;

	if (drv_add(&rig->q[2 * pair], &buf, 0, 1, 0) >= 0)
		rig->way->notify(rig, 2 * pair);
	CHECK_EQ(write(rig_wire(rig, pair), frame, FRAME), FRAME);
	rig_settle(rig);
	return drv_get_used(&rig->q[2 * pair], &id, &len);
}

static void net_uses_the_pairs_asked_for(struct rig *rig)
{
	uint16_t pairs;

	rig_start(rig, NET_CTRL);
	CHECK(net_pair_hears(rig, 0) && !net_pair_hears(rig, 1));
	for (pairs = 0; pairs < 5; pairs++)
		CHECK_EQ(net_command(rig, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				     &pairs, 2),
			 pairs >= 1 && pairs <= RIG_PAIRS ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
	CHECK(net_pair_hears(rig, 0) && net_pair_hears(rig, 1));
	/* Forgotten at a reset. */
	rig_start(rig, NET_CTRL);
	CHECK(net_pair_hears(rig, 0) && !net_pair_hears(rig, 1));
}

/* --- console (§5.3) --- */

static void console_size(struct rig *rig)
{
	CHECK(rig_offered(rig) & DRV_BIT(VIRTIO_CONSOLE_F_SIZE));
	CHECK_EQ(rig->way->config_read(rig, 0, 2), 132);
	CHECK_EQ(rig->way->config_read(rig, 2, 2), 43);
}

static void console_receives(struct rig *rig)
{
	const struct drv_buf buf = {BUF(0), 64};

	rig_start(rig, 0);
	CHECK(drv_add(&rig->q[0], &buf, 0, 1, 0) >= 0);
	rig->way->notify(rig, 0);
	rig_type(rig, "hello");
	CHECK_EQ(rig_wait(rig, 0), 5);
	CHECK(!memcmp(rig_ptr(rig, BUF(0)), "hello", 5));
	/* What was typed before there was a buffer is not lost. */
	rig_type(rig, "again");
	CHECK(drv_add(&rig->q[0], &buf, 0, 1, 0) >= 0);
	rig->way->notify(rig, 0);
	CHECK_EQ(rig_wait(rig, 0), 5);
}

static void console_transmits(struct rig *rig)
{
	const struct drv_buf bufs[] = {{BUF(0), 64}, {BUF(1), 1}};

	rig_start(rig, 0);
	for (unsigned int i = 0; i < 40; i++)
		CHECK_EQ(rig_send(rig, 1, bufs, 2, 0), 0);
}

/* --- rng (§5.4) --- */

static void rng_fills(struct rig *rig)
{
	const uint8_t zeroes[64] = {0};

	rig_start(rig, 0);
	for (uint32_t len = 1; len <= 0x10000; len *= 4) {
		const struct drv_buf buf = {BUF(0), len};
		uint32_t got;

		memset(rig_ptr(rig, BUF(0)), 0, 64);
		got = rig_send(rig, 0, &buf, 0, 1);
		CHECK(got >= 1 && got <= len);
		CHECK(got < 64 || memcmp(rig_ptr(rig, BUF(0)), zeroes, 64));
	}
}

/* --- balloon (§5.5) --- */

enum { INFLATE, DEFLATE, STATS };

static void balloon_config(struct rig *rig)
{
	CHECK_EQ(rig->way->config_read(rig, 0, 4), 3);
	CHECK_EQ(rig->way->config_read(rig, 4, 4), 0);
	rig_start(rig, 0);
	balloon_set_target(rig->vdev, 5 * 4096);
	CHECK_EQ(rig_take_interrupt(rig), 2);
	CHECK_EQ(rig->way->config_read(rig, 0, 4), 5);
	/* num_pages is the device's, actual the driver's. */
	rig->way->config_write(rig, 0, 4, 77);
	rig->way->config_write(rig, 4, 4, 2);
	CHECK_EQ(rig->way->config_read(rig, 0, 4), 5);
	CHECK_EQ(rig->way->config_read(rig, 4, 4), 2);
	CHECK_EQ(balloon_get_stats(rig->vdev).actual, 2 * 4096);
}

static void balloon_inflates(struct rig *rig)
{
	const struct drv_buf list = {BUF(0), 8};
	const uint32_t pfns[] = {BUF(4) >> 12, BUF(5) >> 12};

	rig_start(rig, 0);
	memset(rig_ptr(rig, BUF(3)), 0x33, 0x4000);
	memcpy(rig_ptr(rig, BUF(0)), pfns, sizeof(pfns));
	CHECK_EQ(rig_send(rig, INFLATE, &list, 1, 0), 0);
	/* Its neighbours are not touched. */
	CHECK_EQ(*(uint8_t *)rig_ptr(rig, BUF(4) - 1), 0x33);
	CHECK_EQ(*(uint8_t *)rig_ptr(rig, BUF(6)), 0x33);
	CHECK_EQ(rig_send(rig, DEFLATE, &list, 1, 0), 0);
}

static void balloon_stat(struct rig *rig, unsigned int i, uint16_t tag, uint64_t val)
{
	uint8_t *at = rig_ptr(rig, BUF(0) + 10 * i);

	memcpy(at, &tag, 2);
	memcpy(at + 2, &val, 8);
}

static void balloon_send_stats(struct rig *rig, unsigned int nr)
{
	const struct drv_buf buf = {BUF(0), 10 * nr};

	CHECK(drv_add(&rig->q[STATS], &buf, 1, 0, 0) >= 0);
	rig->way->notify(rig, STATS);
	rig_settle(rig);
}

/* The buffer is the device's until somebody asks; then it comes back, and the driver fills it. */
static void balloon_ask(struct rig *rig)
{
	CHECK_EQ(balloon_request_stats(rig->vdev, -1), 0);
	rig_wait(rig, STATS);
}

static void balloon_reads_stats(struct rig *rig)
{
	struct balloon_stats stats;
	uint32_t len;
	int id;

	rig_start(rig, DRV_BIT(VIRTIO_BALLOON_F_STATS_VQ));
	balloon_stat(rig, 0, VIRTIO_BALLOON_S_MEMTOT, 1);
	balloon_send_stats(rig, 1);
	CHECK(!drv_get_used(&rig->q[STATS], &id, &len));
	balloon_ask(rig);
	/* In any order, with tags among them that nobody knows. */
	balloon_stat(rig, 0, 0x7fff, 1);
	balloon_stat(rig, 1, VIRTIO_BALLOON_S_MEMTOT, 0x123456789);
	balloon_stat(rig, 2, 100, 2);
	balloon_stat(rig, 3, VIRTIO_BALLOON_S_SWAP_IN, 42);
	balloon_send_stats(rig, 4);
	stats = balloon_get_stats(rig->vdev);
	CHECK(stats.known[VIRTIO_BALLOON_S_MEMTOT] && stats.known[VIRTIO_BALLOON_S_SWAP_IN]);
	CHECK(!stats.known[VIRTIO_BALLOON_S_MEMFREE]);
	CHECK_EQ(stats.value[VIRTIO_BALLOON_S_MEMTOT], 0x123456789);
	CHECK_EQ(stats.value[VIRTIO_BALLOON_S_SWAP_IN], 42);
}

/* §5.5.6.3.3: a legacy driver's first buffer was never filled. */
static void balloon_ignores_first_stats(struct rig *rig)
{
	rig_start(rig, DRV_BIT(VIRTIO_BALLOON_F_STATS_VQ));
	balloon_stat(rig, 0, VIRTIO_BALLOON_S_MEMTOT, 1);
	balloon_send_stats(rig, 1);
	CHECK(!balloon_get_stats(rig->vdev).known[VIRTIO_BALLOON_S_MEMTOT]);
	balloon_ask(rig);
	balloon_send_stats(rig, 1);
	CHECK(balloon_get_stats(rig->vdev).known[VIRTIO_BALLOON_S_MEMTOT]);
}

/* --- input (§5.8) --- */

static uint8_t input_query(struct rig *rig, uint8_t select, uint8_t subsel)
{
	rig->way->config_write(rig, 0, 1, select);
	rig->way->config_write(rig, 1, 1, subsel);
	return rig->way->config_read(rig, 2, 1);
}

static void input_size_0(struct rig *rig)
{
	static const uint8_t selects[] = {0, 2, 4, 9, 0x13, 0x20, 0xff};

	for (unsigned int i = 0; i < ARRAY_SIZE(selects); i++)
		for (unsigned int subsel = 0; subsel < 256; subsel += 5)
			CHECK_EQ(input_query(rig, selects[i], subsel), 0);
	/* Event types that no such device has. */
	CHECK_EQ(input_query(rig, VIRTIO_INPUT_CFG_EV_BITS, EV_SND), 0);
	CHECK_EQ(input_query(rig, VIRTIO_INPUT_CFG_EV_BITS, 0xff), 0);
	CHECK_EQ(input_query(rig, VIRTIO_INPUT_CFG_ABS_INFO, 0x30), 0);
	if (rig->kind != &kinds[TABLET])
		CHECK_EQ(input_query(rig, VIRTIO_INPUT_CFG_ABS_INFO, ABS_X), 0);
}

static void input_tells(struct rig *rig)
{
	uint8_t size = input_query(rig, VIRTIO_INPUT_CFG_ID_NAME, 0);

	CHECK(size > 0 && size <= 128);
	CHECK_EQ(input_query(rig, VIRTIO_INPUT_CFG_ID_DEVIDS, 0), 8);
	CHECK(input_query(rig, VIRTIO_INPUT_CFG_EV_BITS, EV_KEY) > 0);
	/* The other fields are not the driver's. */
	rig->way->config_write(rig, 2, 1, 99);
	rig->way->config_write(rig, 8, 1, 99);
	CHECK(rig->way->config_read(rig, 2, 1) != 99);
}

static void input_sends_whole_updates(struct rig *rig)
{
	struct drv_buf bufs[] = {{BUF(0), 8}, {BUF(0) + 8, 8}};
	struct virtio_input_event *event = rig_ptr(rig, BUF(0));

	rig_start(rig, 0);
	for (unsigned int i = 0; i < 2; i++)
		CHECK(drv_add(&rig->q[0], &bufs[i], 0, 1, 0) >= 0);
	rig->way->notify(rig, 0);
	seat_key(rig->fixture, KEY_A, true);
	CHECK_EQ(rig_wait(rig, 0), 8);
	CHECK_EQ(rig_wait(rig, 0), 8);
	CHECK(event[0].type == EV_KEY && event[0].code == KEY_A && event[0].value == 1);
	CHECK(event[1].type == EV_SYN && event[1].code == SYN_REPORT);
}

static void input_takes_status(struct rig *rig)
{
	const struct drv_buf buf = {BUF(0), 8};

	rig_start(rig, 0);
	for (unsigned int i = 0; i < 40; i++)
		CHECK_EQ(rig_send(rig, 1, &buf, 1, 0), 0);
}

/* --- vsock (§5.10) --- */

/* Sends a packet of the guest's that is only a header, changed by nobody but the check. */
static void vsock_send(struct rig *rig, const struct virtio_vsock_hdr *hdr)
{
	const struct drv_buf buf = {BUF(1), sizeof(*hdr)};

	memcpy(rig_ptr(rig, buf.gpa), hdr, sizeof(*hdr));
	CHECK_EQ(rig_send(rig, 1, &buf, 1, 0), 0);
}

static void vsock_give_buffer(struct rig *rig)
{
	const struct drv_buf buf = {BUF(0), 256};

	CHECK(drv_add(&rig->q[0], &buf, 0, 1, 0) >= 0);
	rig->way->notify(rig, 0);
}

/* What answers hdr is an RST from where it went to. */
static void vsock_expect_reset(struct rig *rig, const struct virtio_vsock_hdr *hdr)
{
	struct virtio_vsock_hdr rst;

	CHECK_EQ(rig_wait(rig, 0), sizeof(rst));
	memcpy(&rst, rig_ptr(rig, BUF(0)), sizeof(rst));
	CHECK_EQ(rst.op, VIRTIO_VSOCK_OP_RST);
	CHECK_EQ(rst.type, hdr->type);
	CHECK_EQ(rst.src_cid, hdr->dst_cid);
	CHECK_EQ(rst.src_port, hdr->dst_port);
	CHECK_EQ(rst.dst_cid, RIG_CID);
	CHECK_EQ(rst.dst_port, hdr->src_port);
	CHECK_EQ(rst.len, 0);
}

static struct virtio_vsock_hdr vsock_header(uint16_t op)
{
	return (struct virtio_vsock_hdr){.src_cid = RIG_CID,
					 .dst_cid = 2,
					 .src_port = 1000,
					 .dst_port = 2000,
					 .type = VIRTIO_VSOCK_TYPE_STREAM,
					 .op = op};
}

static void vsock_cid(struct rig *rig)
{
	CHECK_EQ(rig->way->config_read(rig, 0, 8), RIG_CID);
}

static void vsock_resets_unknown_types(struct rig *rig)
{
	rig_start(rig, 0);
	for (uint16_t type = 0; type < 9; type++) {
		struct virtio_vsock_hdr hdr = vsock_header(VIRTIO_VSOCK_OP_REQUEST);

		hdr.type = type;
		vsock_give_buffer(rig);
		vsock_send(rig, &hdr);
		vsock_expect_reset(rig, &hdr);
	}
}

static void vsock_resets_strangers(struct rig *rig)
{
	rig_start(rig, 0);
	for (uint16_t op = 0; op < 12; op++) {
		struct virtio_vsock_hdr hdr = vsock_header(op);

		if (op == VIRTIO_VSOCK_OP_RST)
			continue;
		vsock_give_buffer(rig);
		vsock_send(rig, &hdr);
		vsock_expect_reset(rig, &hdr);
	}
}

/* The only answer is the one to the packet after it. */
static void vsock_is_deaf_to_others(struct rig *rig)
{
	struct virtio_vsock_hdr other = vsock_header(VIRTIO_VSOCK_OP_REQUEST), own = other;

	rig_start(rig, 0);
	other.src_cid = RIG_CID + 1;
	own.src_port = 1;
	vsock_give_buffer(rig);
	vsock_send(rig, &other);
	vsock_send(rig, &own);
	vsock_expect_reset(rig, &own);
}

static void vsock_takes_packets_without_buffers(struct rig *rig)
{
	const struct virtio_vsock_hdr hdr = vsock_header(VIRTIO_VSOCK_OP_RW);

	rig_start(rig, 0);
	for (unsigned int i = 0; i < 20; i++)
		vsock_send(rig, &hdr);
	for (unsigned int i = 0; i < 20; i++) {
		vsock_give_buffer(rig);
		vsock_expect_reset(rig, &hdr);
	}
}

/* --- devices whose queues others serve (§5.2, §5.6, §5.11) --- */

/* One buffer through each queue, there and back, with its interrupt. */
static void others_serve_each_queue(struct rig *rig)
{
	rig_start(rig, 0);
	for (unsigned int i = 0; i < 40; i++) {
		unsigned int q = i % 2;
		const struct drv_buf buf = {BUF(q), 100 + i};

		CHECK_EQ(rig_send(rig, q, &buf, 0, 1), 100 + i);
		CHECK_EQ(rig_take_interrupt(rig), 1);
	}
}

static void others_come_back(struct rig *rig)
{
	const struct drv_buf buf = {BUF(0), 64};

	rig_start(rig, rig_offered(rig) & DRV_BIT(VIRTIO_F_RING_RESET));
	CHECK_EQ(rig_send(rig, 0, &buf, 0, 1), 64);
	if (rig->features & DRV_BIT(VIRTIO_F_RING_RESET)) {
		rig->way->queue_reset(rig, 0);
		rig_queue(rig, 0, 4);
		CHECK_EQ(rig_send(rig, 0, &buf, 0, 1), 64);
	}
	rig->way->set_status(rig, 0);
	rig_start(rig, 0);
	for (unsigned int i = 0; i < 20; i++)
		CHECK_EQ(rig_send(rig, i % 2, &buf, 0, 1), 64);
}

static void back_end_says_capacity(struct rig *rig)
{
	CHECK_EQ(rig->way->config_read(rig, 0, 8), RIG_SECTORS);
	CHECK_EQ(rig->way->config_read(rig, offsetof(struct virtio_blk_config, num_queues), 2), 2);
	rig_start(rig, 0);
	rig_back_grows(rig, 2 * RIG_SECTORS);
	CHECK_EQ(rig_take_interrupt(rig), 2);
	CHECK_EQ(rig->way->config_read(rig, 0, 8), 2 * RIG_SECTORS);
}

static void fs_config(struct rig *rig)
{
	char tag[36];

	for (unsigned int i = 0; i < sizeof(tag); i++)
		tag[i] = rig->way->config_read(rig, i, 1);
	CHECK(!memcmp(tag, RIG_TAG, sizeof(RIG_TAG)));
	for (unsigned int i = sizeof(RIG_TAG); i < sizeof(tag); i++)
		CHECK_EQ(tag[i], 0);
	CHECK(rig->way->config_read(rig, offsetof(struct virtio_fs_config, num_request_queues),
				    4) >= 1);
	/* One for what must not wait, and the request queues. */
	CHECK(rig->way->queue_size(rig, 0) && rig->way->queue_size(rig, 1));
	CHECK(!rig->way->queue_size(rig, 2));
}

static void scsi_config(struct rig *rig)
{
	for (unsigned int i = 0; i < 2; i++) {
		CHECK_EQ(rig->way->config_read(rig, offsetof(struct virtio_scsi_config, sense_size),
					       4),
			 96);
		CHECK_EQ(rig->way->config_read(rig, offsetof(struct virtio_scsi_config, cdb_size),
					       4),
			 32);
		CHECK_EQ(rig->way->config_read(rig, offsetof(struct virtio_scsi_config, num_queues),
					       4),
			 1);
		rig_start(rig, 0);
		rig->way->set_status(rig, 0);
	}
}

/* --- 9p (virtio 1.2 §5 has its number; the device is specified elsewhere) --- */

static void p9_config(struct rig *rig)
{
	CHECK(rig_offered(rig) & DRV_BIT(VIRTIO_9P_MOUNT_TAG));
	CHECK_EQ(rig->way->config_read(rig, 0, 2), strlen(RIG_TAG));
	for (unsigned int i = 0; i < strlen(RIG_TAG); i++)
		CHECK_EQ(rig->way->config_read(rig, 2 + i, 1), (uint8_t)RIG_TAG[i]);
}

/* Tversion, in buffers of any shape; and what is none, which is answered by an error. */
static void p9_answers(struct rig *rig)
{
	static const uint8_t version[] = "\x15\0\0\0\x64\xff\xff\0\x20\0\0\x08\0"
					 "9P2000.L";
	const struct drv_buf bufs[] = {
		{BUF(0), 5}, {BUF(0) + 5, sizeof(version) - 6}, {BUF(1), 3}, {BUF(1) + 3, 100}};
	uint8_t *reply = rig_ptr(rig, BUF(1));

	rig_start(rig, 0);
	memcpy(rig_ptr(rig, BUF(0)), version, sizeof(version));
	CHECK_EQ(rig_send(rig, 0, bufs, 2, 2), sizeof(version) - 1);
	CHECK_EQ(reply[4], 101); /* Rversion */
	CHECK(!memcmp(reply + 11, version + 11, 10));
	*(uint8_t *)rig_ptr(rig, BUF(0) + 4) = 1;
	CHECK_EQ(rig_send(rig, 0, bufs, 2, 2), 11);
	CHECK_EQ(reply[4], 7); /* Rlerror */
}

#define DISK   BIT_OF(BLK)
#define OTHERS (BIT_OF(VHOST_USER_BLK) | BIT_OF(FS))
#define WIRE   BIT_OF(NET)
#define WIRES  BIT_OF(NET_PAIRS)
#define SOCKET BIT_OF(VSOCK)
#define TTY    BIT_OF(CONSOLE)
#define MEMORY BIT_OF(BALLOON)
#define INPUTS (BIT_OF(KEYBOARD) | BIT_OF(MOUSE) | BIT_OF(TABLET))

const struct check device_checks[] = {
	{"5.1.4.1", "net: says its address and that the link is up", ALL_WAYS, 0, WIRE, net_config},
	{"5.1.4.1", "net: says its MTU and how many pairs of queues it has", ALL_WAYS, 0, WIRES,
	 net_pairs_config},
	{"5.1.6.5", "net: answers each command, by an error if it cannot do it", ALL_WAYS,
	 BOTH_RINGS, WIRES, net_answers_commands},
	{"5.1.6.5.5.2", "net: receives by the first pair of queues until it is told to use more",
	 ALL_WAYS, BOTH_RINGS, WIRES, net_uses_the_pairs_asked_for},
	{"5.1.6.2.2", "net: transmits frames in any framing", ALL_WAYS, BOTH_RINGS, WIRE,
	 net_transmits},
	{"5.1.6.4.1", "net: uses one buffer a frame without MRG_RXBUF, and sets no offloads",
	 ALL_WAYS, BOTH_RINGS, WIRE, net_receives},
	{"5.1.6.4.1", "net: fills each buffer but the last, and says how many", ALL_WAYS,
	 BOTH_RINGS, WIRE, net_receives_merged},
	{"5.1.6.4.1", "net: uses the buffers of a frame together", ALL_WAYS, BOTH_RINGS, WIRE,
	 net_uses_buffers_together},
	{"5.2.5.2", "blk: offers FLUSH, and RO if it is; padding is 0", ALL_WAYS, 0,
	 DISK | BIT_OF(BLK_RO), blk_config},
	{"5.2.6", "blk: reads and writes sectors", ALL_WAYS, BOTH_RINGS, DISK,
	 blk_reads_and_writes},
	{"5.2.6.2", "blk: fails writes to a read-only disk, and writes nothing", ALL_WAYS,
	 BOTH_RINGS, BIT_OF(BLK_RO), blk_read_only},
	{"5.2.6.2", "blk: fails what leaves its capacity", ALL_WAYS, BOTH_RINGS, DISK,
	 blk_beyond_capacity},
	{"5.2.6.2", "blk: says UNSUPP to requests that it does not know", ALL_WAYS, BOTH_RINGS,
	 DISK, blk_unknown},
	{"5.2.6.2", "blk: says UNSUPP to unknown flags, and to unmap in a discard", ALL_WAYS,
	 BOTH_RINGS, DISK, blk_range_flags},
	{"5.2.6.2", "blk: reads zeroes after write zeroes", ALL_WAYS, BOTH_RINGS, DISK,
	 blk_write_zeroes},
	{"5.2.6.2", "blk: is a write-through disk without FLUSH, and flushes with it", ALL_WAYS,
	 BOTH_RINGS, DISK, blk_writes_through},
	{"5.2.6", "blk: pads its id with NULs", ALL_WAYS, BOTH_RINGS, DISK, blk_id},
	{"5.2.4", "blk: tells of a new capacity", MODERN_WAYS, BOTH_RINGS, DISK, blk_grows},
	{"5.2.4", "blk: has the size and the number of queues that its back end says", ALL_WAYS, 0,
	 BIT_OF(VHOST_USER_BLK), back_end_says_capacity},
	{"2.7", "has its queues served by a back end", ALL_WAYS, 0, OTHERS,
	 others_serve_each_queue},
	{"2.4.1", "takes its queues back from a back end at a reset, and lends them again",
	 ALL_WAYS, 0, OTHERS, others_come_back},
	{"5.3.4", "console: says its size", ALL_WAYS, 0, TTY, console_size},
	{"5.3.6", "console: hands over what is typed", ALL_WAYS, BOTH_RINGS, TTY, console_receives},
	{"5.3.6", "console: takes what is written", ALL_WAYS, BOTH_RINGS, TTY, console_transmits},
	{"5.4.6.2", "rng: places at least one random byte in a buffer", ALL_WAYS, BOTH_RINGS,
	 BIT_OF(RNG), rng_fills},
	{"5.5.4", "balloon: keeps num_pages its own and actual the driver's", ALL_WAYS, BOTH_RINGS,
	 MEMORY, balloon_config},
	{"5.5.6", "balloon: takes the pages of the list, no others", ALL_WAYS, BOTH_RINGS, MEMORY,
	 balloon_inflates},
	{"5.5.6.3.2", "balloon: takes statistics in any order and ignores unknown tags",
	 MODERN_WAYS, BOTH_RINGS, MEMORY, balloon_reads_stats},
	{"5.5.6.3.3", "balloon: ignores a legacy driver's first statistics", LEGACY_WAYS, 0, MEMORY,
	 balloon_ignores_first_stats},
	{"5.6.4.2",
	 "scsi: has the sizes of sense data and commands that it must have after a reset", ALL_WAYS,
	 0, BIT_OF(SCSI), scsi_config},
	{"5.8.5.2", "input: has size 0 for what it does not support", MODERN_WAYS, 0, INPUTS,
	 input_size_0},
	{"5.8.5", "input: says what it is; only select and subsel are writable", MODERN_WAYS, 0,
	 INPUTS, input_tells},
	{"5.8.6.2", "input: sends updates whole, one event a buffer", MODERN_WAYS, BOTH_RINGS,
	 BIT_OF(KEYBOARD), input_sends_whole_updates},
	{"5.8.6", "input: takes status updates", MODERN_WAYS, BOTH_RINGS, INPUTS,
	 input_takes_status},
	{"5.10.4", "vsock: says the guest's address", MODERN_WAYS, 0, SOCKET | BIT_OF(VHOST_VSOCK),
	 vsock_cid},
	{"5.10.6.1", "vsock: takes some packets though it has no buffer for the answers",
	 MODERN_WAYS, BOTH_RINGS, SOCKET, vsock_takes_packets_without_buffers},
	{"5.10.6.2", "vsock: takes no packets from others than the guest", MODERN_WAYS, BOTH_RINGS,
	 SOCKET, vsock_is_deaf_to_others},
	{"5.10.6.4", "vsock: answers packets of unknown types by RST", MODERN_WAYS, BOTH_RINGS,
	 SOCKET, vsock_resets_unknown_types},
	{"5.10.6.6", "vsock: answers packets for what is no connection by RST", MODERN_WAYS,
	 BOTH_RINGS, SOCKET, vsock_resets_strangers},
	{"5.11.4.2", "fs: says its tag, padded with NULs, and has a request queue at least",
	 MODERN_WAYS, 0, BIT_OF(FS), fs_config},
	{"5", "9p: says its tag", ALL_WAYS, 0, BIT_OF(P9), p9_config},
	{"5", "9p: answers messages in any framing, and what is none by an error", ALL_WAYS,
	 BOTH_RINGS, BIT_OF(P9), p9_answers},
	{0},
};
