// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * net-guest: a tiny guest that keeps a virtio NIC busy, with net-tool on the tap's other side. A cell is
 *
 *	cell to-guest-1514 50000 4800000	direction, bytes ("plain": buffers are not merged); frames; ticks
 *
 * Descriptors and available rings are filled once: all that is left for the guest to do is to let
 * the available index follow the used one, as the device uses what it gets in order.
 *
 * frames=N: in a cell of short ones.
 */
#include "driver.h"
#include "net-cells.h"

#define NET_TYPE 1
#define SIZE	 BENCH_QUEUE_MAX
#define HDR_LEN	 12
#define BUFFER	 2048 /* to receive in: a frame of 1514 bytes, or a part of a longer one */

#define NET_F_CSUM	 (1UL << 0)
#define NET_F_GUEST_CSUM (1UL << 1)
#define NET_F_GUEST_TSO4 (1UL << 7)
#define NET_F_HOST_TSO4	 (1UL << 11)
#define NET_F_MRG_RXBUF	 (1UL << 15)

/* struct virtio_net_hdr_v1, §5.1.6 */
struct header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

static struct bench_queue queues[2];
static struct bench_queue *const rx = &queues[0], *const tx = &queues[1];
static uint8_t received[SIZE][BUFFER] __attribute__((aligned(4096)));
static struct {
	struct header header;
	uint8_t frame[NET_BIG];
} __attribute__((packed)) data __attribute__((aligned(4096)));
static struct {
	struct header header;
	struct net_frame frame;
} talk;
static uint32_t nr_sent;

static bool start(const struct net_cell *cell)
{
	uint64_t features = NET_F_CSUM | NET_F_HOST_TSO4;

	if (cell->mergeable)
		features |= NET_F_MRG_RXBUF | NET_F_GUEST_CSUM | NET_F_GUEST_TSO4;
	rx->size = tx->size = SIZE;
	if (!bench_start(NET_TYPE, features, queues, 2))
		return false;
	for (unsigned int i = 0; i < SIZE; i++) {
		rx->desc[i] = (struct vring_desc){(uint64_t)received[i], BUFFER, VRING_WRITE, 0};
		rx->avail.ring[i] = tx->avail.ring[i] = i;
	}
	rx->avail.idx = SIZE;
	bench_notify(rx);
	return true;
}

static void fill(void *at, uint32_t len)
{
	for (unsigned int i = 0; i < SIZE; i++)
		tx->desc[i] = (struct vring_desc){(uint64_t)at, len, 0, 0};
}

static void tell(enum net_op op, uint32_t count, uint32_t bytes)
{
	talk.frame = (struct net_frame){
		.to = {2, 0, 0, 0, 0, 1},
		.from = {2, 0, 0, 0, 0, 2},
		.protocol = __builtin_bswap16(NET_TALK),
		.op = op,
		.count = count,
		.bytes = bytes,
	};
	nr_sent++;
	__atomic_store_n(&tx->avail.idx, tx->avail.idx + 1, __ATOMIC_RELEASE);
	bench_notify(tx);
}

/* --- cells; each gives its ticks --- */

static void write_data(uint32_t bytes)
{
	static const uint8_t big[] = NET_BIG_HEADERS;
	struct net_frame *frame = (void *)data.frame;

	*frame = (struct net_frame){.to = {2, 0, 0, 0, 0, 1}, .from = {2, 0, 0, 0, 0, 2}};
	frame->protocol = __builtin_bswap16(NET_DATA);
	data.header = (struct header){0};
	if (bytes < NET_BIG)
		return;
	memcpy(&frame->protocol, big, sizeof(big));
	data.header = (struct header){1, 1, NET_BIG_HDR_LEN, NET_BIG_GSO_SIZE, 34, 16, 0};
}

static uint64_t run_tx(const struct net_cell *cell, uint32_t nr)
{
	uint32_t begun = 0, ended = 0;
	uint16_t seen = 0;
	uint64_t begin;

	write_data(cell->bytes);
	fill(&data, HDR_LEN + cell->bytes);
	begin = bench_ticks();
	while (ended < nr) {
		if (begun < nr && begun - ended < SIZE) {
			begun = nr - ended < SIZE ? nr : ended + SIZE;
			__atomic_store_n(&tx->avail.idx, begun, __ATOMIC_RELEASE);
			bench_notify(tx);
		}
		ended += (uint16_t)(bench_used(tx) - seen);
		seen = ended;
	}
	nr_sent += nr;
	return bench_ticks() - begin;
}

static uint64_t run_rx(const struct net_cell *cell, uint32_t nr)
{
	uint32_t each = cell->mergeable ? (HDR_LEN + cell->bytes + BUFFER - 1) / BUFFER : 1;
	uint32_t ended = 0, ack = NET_ACKS * each;
	uint64_t begin = bench_ticks();
	uint16_t seen = 0;

	fill(&talk, sizeof(talk));
	tell(NET_SEND, nr, cell->bytes);
	while (ended < nr * each) {
		uint16_t idx = bench_used(rx);

		if (idx != seen) {
			ended += (uint16_t)(idx - seen);
			seen = idx;
			__atomic_store_n(&rx->avail.idx, idx + SIZE, __ATOMIC_RELEASE);
			bench_notify(rx);
		}
		if (ended >= ack && bench_used(tx) == tx->avail.idx) {
			tell(NET_ACK, ended / each, 0);
			ack = ended + NET_ACKS * each;
		}
	}
	begin = bench_ticks() - begin;
	ok(rx->used.ring[(seen - 1) % SIZE].len == (HDR_LEN + cell->bytes - 1) % BUFFER + 1,
	   "%s: the last frame's length", cell->name);
	return begin;
}

static uint64_t run_rtt(const struct net_cell *cell, uint32_t nr)
{
	uint64_t begin = bench_ticks();

	(void)cell;
	fill(&talk, sizeof(talk));
	for (uint32_t i = 0; i < nr; i++) {
		tell(NET_ECHO, i, 0);
		while (bench_used(rx) == (uint16_t)i)
			;
		__atomic_store_n(&rx->avail.idx, rx->avail.idx + 1, __ATOMIC_RELEASE);
		bench_notify(rx);
	}
	return bench_ticks() - begin;
}

void test(void)
{
	static uint64_t (*const run[])(const struct net_cell *cell, uint32_t nr) = {
		[NET_TX] = run_tx,
		[NET_RX] = run_rx,
		[NET_RTT] = run_rtt,
	};
	uint32_t frames = option("frames", 50000);

	for (unsigned int i = 0; i < ARRAY_SIZE(net_cells); i++) {
		const struct net_cell *cell = &net_cells[i];
		uint32_t nr = frames / cell->share;

		if (!ok(start(cell), "a NIC"))
			return;
		print("cell %s %u %lu\n", cell->name, nr, run[cell->what](cell, nr));
	}
	print("sent %u\n", nr_sent);
}
