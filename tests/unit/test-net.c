// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/net.c virtio/net-pair.c virtio/net-ctrl.c virtio/vhost.c virtio/lend.c virtio/device.c virtio/virtq.c memory.c util/loop.c util/worker.c util/util.c util/log.c */
/*
 * virtio-net between a driver in this process, with split rings, and a socket pair as the wire.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/log.h"
#include "kvm/memory.h"
#include "kvm/net.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "kvm/virtio.h"

#define RAM_SIZE    (4 * MIB)
#define QUEUE_BASE  0x10000
#define BUFFERS	    0x100000
#define QUEUE_SIZE  256
#define HDR	    sizeof(struct virtio_net_hdr_v1)
#define F(bit)	    (1ULL << (bit))
#define MRG	    F(VIRTIO_NET_F_MRG_RXBUF)
#define RX	    0
#define TX	    1
#define MAX_WAIT_MS 3000

struct ring {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t next_desc, seen;
};

struct rig {
	uint8_t *ram;
	struct memory mem;
	struct net_backend be;
	int wire; /* the far end of be.fd */
	unsigned int tun_flags;
	int hdr_len;
	bool picky; /* refuses TSO without CSUM, as the kernel does */
	struct virtio_device *vdev;
	struct ring ring[2];
	uint64_t next_buf;
	atomic_uint queue_irqs[2], config_irqs;
};

static const uint8_t test_mac[6] = {2, 1, 2, 3, 4, 5};

static int rig_set_offload(struct net_backend *be, unsigned int flags)
{
	struct rig *rig = container_of(be, struct rig, be);

	if (flags & ~(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN))
		return -EINVAL;
	if (rig->picky && !(flags & TUN_F_CSUM) && flags)
		return -EINVAL;
	rig->tun_flags = flags;
	return 0;
}

static const struct net_backend_ops rig_ops = {.set_offload = rig_set_offload};

static int rig_set_hdr_len(struct net_backend *be, int len)
{
	container_of(be, struct rig, be)->hdr_len = len;
	return 0;
}

/* A back end that can leave num_buffers out of its headers. */
static const struct net_backend_ops rig_short_ops = {
	.set_offload = rig_set_offload,
	.set_hdr_len = rig_set_hdr_len,
};

static void rig_raise_queue(void *arg, unsigned int q)
{
	struct rig *rig = arg;

	rig->queue_irqs[q]++;
}

static void rig_raise_config(void *arg)
{
	struct rig *rig = arg;

	rig->config_irqs++;
}

static const struct virtio_transport rig_transport = {
	.raise_queue = rig_raise_queue,
	.raise_config = rig_raise_config,
};

static struct rig *rig_create(bool vnet_hdr)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	int pair[2];

	rig->ram = aligned_alloc(4096, RAM_SIZE);
	memset(rig->ram, 0, RAM_SIZE);
	rig->mem.nr_banks = 1;
	rig->mem.bank[0] = (struct memory_bank){.gpa = 0, .size = RAM_SIZE, .hva = rig->ram};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	rig->be = (struct net_backend){
		.ops = &rig_ops, .nr_pairs = 1, .fd = {pair[0]}, .vnet_hdr = vnet_hdr};
	rig->wire = pair[1];
	rig->vdev = net_create(&rig->mem, "network card", &rig->be, test_mac);
	assert_non_null(rig->vdev);
	virtio_device_attach(rig->vdev, &rig_transport, rig);
	return rig;
}

static void rig_destroy(struct rig *rig)
{
	virtio_device_destroy(rig->vdev);
	close(rig->be.fd[0]);
	if (rig->wire >= 0)
		close(rig->wire);
	free(rig->ram);
	free(rig);
}

static void rig_setup_ring(struct rig *rig, unsigned int q)
{
	uint32_t base = QUEUE_BASE + q * 0x4000;
	const uint32_t areas[] = {base, base + 0x1000, base + 0x2000};

	memset(rig->ram + base, 0, 0x4000);
	rig->ring[q] = (struct ring){.desc = (void *)(rig->ram + areas[0]),
				     .avail = (void *)(rig->ram + areas[1]),
				     .used = (void *)(rig->ram + areas[2])};
	virtio_device_set_queue_size(rig->vdev, q, QUEUE_SIZE);
	for (unsigned int i = 0; i < 3; i++) {
		virtio_device_set_queue_area(rig->vdev, q, i, false, areas[i]);
		virtio_device_set_queue_area(rig->vdev, q, i, true, 0);
	}
	virtio_device_enable_queue(rig->vdev, q);
}

/* Reset, negotiate, set queues up, DRIVER_OK; the device's status then. */
static uint8_t rig_start(struct rig *rig, uint64_t features)
{
	uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	features |= F(VIRTIO_F_VERSION_1);
	virtio_device_set_status(rig->vdev, 0);
	rig->next_buf = BUFFERS;
	virtio_device_set_status(rig->vdev, status);
	virtio_device_ack_features(rig->vdev, 0, features);
	virtio_device_ack_features(rig->vdev, 1, features >> 32);
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	virtio_device_set_status(rig->vdev, status);
	assert_true(virtio_device_status(rig->vdev) & VIRTIO_CONFIG_S_FEATURES_OK);
	rig_setup_ring(rig, RX);
	rig_setup_ring(rig, TX);
	virtio_device_set_status(rig->vdev, status | VIRTIO_CONFIG_S_DRIVER_OK);
	return virtio_device_status(rig->vdev);
}

/* The same as a legacy driver does it. */
static uint8_t rig_start_legacy(struct rig *rig, uint32_t features)
{
	uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	virtio_device_set_status(rig->vdev, 0);
	virtio_device_set_legacy(rig->vdev, true);
	rig->next_buf = BUFFERS;
	virtio_device_set_status(rig->vdev, status);
	virtio_device_ack_features(rig->vdev, 0, features);
	rig_setup_ring(rig, RX);
	rig_setup_ring(rig, TX);
	virtio_device_set_status(rig->vdev, status | VIRTIO_CONFIG_S_DRIVER_OK);
	return virtio_device_status(rig->vdev);
}

static uint64_t rig_alloc(struct rig *rig, size_t len)
{
	uint64_t gpa = rig->next_buf;

	rig->next_buf += len;
	assert_true(rig->next_buf <= RAM_SIZE);
	return gpa;
}

/* Makes a chain of buffers of these lengths (0 ends them) available; where it lies in RAM. */
static uint8_t *rig_add(struct rig *rig, unsigned int q, const size_t *lens, const void *data)
{
	struct ring *ring = &rig->ring[q];
	uint16_t head = ring->next_desc % QUEUE_SIZE, idx = ring->avail->idx;
	size_t total = 0, done = 0;
	uint8_t *at;

	for (unsigned int i = 0; lens[i]; i++)
		total += lens[i];
	at = rig->ram + rig_alloc(rig, total);
	if (data)
		memcpy(at, data, total);
	for (unsigned int i = 0; lens[i]; i++) {
		uint16_t d = ring->next_desc++ % QUEUE_SIZE;

		ring->desc[d] = (struct vring_desc){
			.addr = at - rig->ram + done,
			.len = lens[i],
			.flags = (q == RX ? VRING_DESC_F_WRITE : 0) |
				 (lens[i + 1] ? VRING_DESC_F_NEXT : 0),
			.next = ring->next_desc % QUEUE_SIZE,
		};
		done += lens[i];
	}
	ring->avail->ring[idx % QUEUE_SIZE] = head;
	__atomic_store_n(&ring->avail->idx, idx + 1, __ATOMIC_RELEASE);
	return at;
}

static uint8_t *rig_add_one(struct rig *rig, unsigned int q, size_t len, const void *data)
{
	return rig_add(rig, q, (size_t[]){len, 0}, data);
}

/* How many chains the device has returned. */
static unsigned int rig_returned(struct rig *rig, unsigned int q)
{
	return __atomic_load_n(&rig->ring[q].used->idx, __ATOMIC_ACQUIRE);
}

static bool rig_wait(struct rig *rig, unsigned int q, unsigned int want)
{
	for (int ms = 0; ms < MAX_WAIT_MS; ms++) {
		if (rig_returned(rig, q) == want)
			return true;
		usleep(1000);
	}
	return false;
}

/* The next used element. */
static struct vring_used_elem rig_used(struct rig *rig, unsigned int q)
{
	struct ring *ring = &rig->ring[q];

	for (int ms = 0; ms < MAX_WAIT_MS; ms++) {
		if (rig_returned(rig, q) != ring->seen)
			return ring->used->ring[ring->seen++ % QUEUE_SIZE];
		usleep(1000);
	}
	fail_msg("queue %u: nothing was returned", q);
	return (struct vring_used_elem){0};
}

static ssize_t rig_receive(struct rig *rig, void *buf, size_t len)
{
	struct pollfd pfd = {.fd = rig->wire, .events = POLLIN};

	poll(&pfd, 1, MAX_WAIT_MS);
	return recv(rig->wire, buf, len, MSG_DONTWAIT);
}

static void rig_send(struct rig *rig, const void *buf, size_t len)
{
	assert_int_equal(send(rig->wire, buf, len, 0), len);
}

static void fill(uint8_t *buf, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (i * 7 + seed + (i >> 8)) & 0xff;
}

static void test_features(void **state)
{
	const uint64_t offloads = F(VIRTIO_NET_F_CSUM) | F(VIRTIO_NET_F_GUEST_CSUM) |
				  F(VIRTIO_NET_F_HOST_TSO4) | F(VIRTIO_NET_F_GUEST_TSO4) |
				  F(VIRTIO_NET_F_HOST_TSO6) | F(VIRTIO_NET_F_GUEST_TSO6) |
				  F(VIRTIO_NET_F_HOST_ECN) | F(VIRTIO_NET_F_GUEST_ECN);
	const uint64_t ufo = F(VIRTIO_NET_F_HOST_UFO) | F(VIRTIO_NET_F_GUEST_UFO);
	uint8_t config[16];
	struct rig *rig;
	uint64_t f;

	(void)state;
	rig = rig_create(true);
	f = virtio_device_features(rig->vdev);
	assert_true((f & offloads) == offloads);
	assert_false(f & ufo); /* the back end refuses it */
	assert_int_equal(rig->tun_flags, 0);
	virtio_device_config_read(rig->vdev, 0, config, sizeof(config));
	assert_memory_equal(config, test_mac, 6);
	assert_int_equal(config[6], VIRTIO_NET_S_LINK_UP);
	assert_int_equal(config[8], 1); /* pair */
	assert_int_equal(config[7] | config[9] | config[10] | config[15], 0);
	rig_destroy(rig);

	rig = rig_create(false);
	f = virtio_device_features(rig->vdev);
	assert_false(f & (offloads | ufo));
	assert_true(f & MRG);
	rig_destroy(rig);
}

static void test_offload(void **state)
{
	struct rig *rig = rig_create(true);

	(void)state;
	rig->picky = true;
	assert_false(rig_start(rig, MRG | F(VIRTIO_NET_F_GUEST_CSUM) | F(VIRTIO_NET_F_GUEST_TSO4) |
					    F(VIRTIO_NET_F_HOST_TSO6)) &
		     VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(rig->tun_flags, TUN_F_CSUM | TUN_F_TSO4);
	virtio_device_set_status(rig->vdev, 0);
	assert_int_equal(rig->tun_flags, 0);
	assert_true(rig_start(rig, F(VIRTIO_NET_F_GUEST_TSO4)) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_false(rig_start(rig, MRG) & VIRTIO_CONFIG_S_NEEDS_RESET);
	rig_destroy(rig);
}

static void test_tx(void **state)
{
	static const size_t splits[][5] = {
		{HDR, 100}, {112}, {5, 4, 2, 101}, {1, 110, 1}, {26, 86}};
	bool vnet = *(bool *)*state;
	struct rig *rig = rig_create(vnet);
	size_t skip = vnet ? 0 : HDR;
	uint8_t frame[112], got[256];

	rig_start(rig, MRG);
	for (unsigned int i = 0; i < ARRAY_SIZE(splits); i++) {
		struct vring_used_elem used;

		fill(frame, sizeof(frame), i);
		rig_add(rig, TX, splits[i], frame);
		virtio_device_kick(rig->vdev, TX);
		assert_int_equal(rig_receive(rig, got, sizeof(got)), sizeof(frame) - skip);
		assert_memory_equal(got, frame + skip, sizeof(frame) - skip);
		used = rig_used(rig, TX);
		assert_int_equal(used.len, 0);
	}
	assert_true(rig->queue_irqs[TX] > 0);
	rig_destroy(rig);
}

/* Nothing goes out for a frame that is none, but its buffer comes back. */
static void test_tx_runt(void **state)
{
	struct rig *rig = rig_create(false);
	uint8_t frame[64], got[256];

	(void)state;
	fill(frame, sizeof(frame), 1);
	rig_start(rig, MRG);
	rig_add_one(rig, TX, 3, frame);
	rig_add_one(rig, TX, HDR, frame);
	rig_add_one(rig, TX, HDR + 13, frame);
	rig_add_one(rig, TX, 64, frame);
	virtio_device_kick(rig->vdev, TX);
	for (unsigned int i = 0; i < 4; i++)
		rig_used(rig, TX);
	assert_int_equal(rig_receive(rig, got, sizeof(got)), 64 - HDR);
	assert_int_equal(recv(rig->wire, got, sizeof(got), MSG_DONTWAIT), -1);
	rig_destroy(rig);
}

/* A full back end holds frames up and loses none, and the other direction goes on. */
static void test_tx_backpressure(void **state)
{
	struct rig *rig = rig_create(false);
	int small = 4096;
	uint8_t frame[1000], got[2000];

	(void)state;
	setsockopt(rig->be.fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	rig_start(rig, MRG);
	for (unsigned int i = 0; i < 200; i++) {
		fill(frame, sizeof(frame), i);
		rig_add_one(rig, TX, sizeof(frame), frame);
	}
	virtio_device_kick(rig->vdev, TX);
	usleep(20000);
	assert_true(rig_returned(rig, TX) < 100);
	rig_add_one(rig, RX, 2000, NULL);
	virtio_device_kick(rig->vdev, RX);
	rig_send(rig, frame, 100);
	assert_int_equal(rig_used(rig, RX).len, 100 + HDR);
	for (unsigned int i = 0; i < 200; i++) {
		fill(frame, sizeof(frame), i);
		assert_int_equal(rig_receive(rig, got, sizeof(got)), sizeof(frame) - HDR);
		assert_memory_equal(got, frame + HDR, sizeof(frame) - HDR);
	}
	assert_true(rig_wait(rig, TX, 200));
	rig_destroy(rig);
}

static void test_rx(void **state)
{
	struct rig *rig = rig_create(true);
	struct virtio_net_hdr_v1 *hdr;
	uint8_t wire[HDR + 100], *at;

	(void)state;
	fill(wire, sizeof(wire), 3);
	wire[0] = VIRTIO_NET_HDR_F_DATA_VALID;
	for (unsigned int csum = 0; csum < 2; csum++) {
		rig_start(rig, csum ? F(VIRTIO_NET_F_GUEST_CSUM) : 0);
		at = rig_add(rig, RX, (size_t[]){7, 5, 50, 200, 0}, NULL);
		virtio_device_kick(rig->vdev, RX);
		rig_send(rig, wire, sizeof(wire));
		assert_int_equal(rig_used(rig, RX).len, sizeof(wire));
		assert_memory_equal(at + HDR, wire + HDR, 100);
		hdr = (void *)at;
		assert_int_equal(hdr->num_buffers, 1);
		assert_int_equal(hdr->flags, csum ? VIRTIO_NET_HDR_F_DATA_VALID : 0);
		assert_memory_equal(at + 1, wire + 1, 9);
		assert_true(rig->queue_irqs[RX] > 0);
	}
	rig_destroy(rig);
}

/* A back end without headers: ours is all zero but for num_buffers. */
static void test_rx_plain(void **state)
{
	static const uint8_t zero[HDR - 2];
	struct rig *rig = rig_create(false);
	size_t lens[201] = {0};
	uint8_t wire[1500], *at;

	(void)state;
	for (unsigned int i = 0; i < 200; i++)
		lens[i] = i < 20 ? 1 : 16;
	fill(wire, sizeof(wire), 9);
	rig_start(rig, 0);
	at = rig_add(rig, RX, lens, NULL);
	memset(at, 0xff, HDR);
	virtio_device_kick(rig->vdev, RX);
	rig_send(rig, wire, sizeof(wire));
	assert_int_equal(rig_used(rig, RX).len, sizeof(wire) + HDR);
	assert_memory_equal(at, zero, sizeof(zero));
	assert_int_equal(at[10] | at[11] << 8, 1);
	assert_memory_equal(at + HDR, wire, sizeof(wire));
	rig_destroy(rig);
}

/* Frames of all sizes over buffers of 1100 bytes. */
static void test_rx_mergeable(void **state)
{
	bool vnet = *(bool *)*state;
	static const size_t sizes[] = {60, 1088, 1089, 1100, 5000, 2188, 2189, 64, 20000};
	struct rig *rig = rig_create(vnet);
	uint8_t *wire = calloc(1, 20000 + HDR);
	size_t skip = vnet ? 0 : HDR;

	rig_start(rig, MRG);
	for (unsigned int i = 0; i < 100; i++)
		rig_add_one(rig, RX, 1100, NULL);
	virtio_device_kick(rig->vdev, RX);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t len = sizes[i] + HDR, done = 0;
		unsigned int nr = 0;
		uint8_t *at = NULL;

		fill(wire + HDR, sizes[i], i);
		rig_send(rig, wire + skip, len - skip);
		while (done < len) {
			struct vring_used_elem used = rig_used(rig, RX);
			uint8_t *buf = rig->ram + rig->ring[RX].desc[used.id].addr;

			assert_int_equal(used.len, MIN(1100, len - done));
			if (!done)
				at = buf;
			assert_memory_equal(buf + (done ? 0 : HDR), wire + (done ? done : HDR),
					    used.len - (done ? 0 : HDR));
			done += used.len;
			nr++;
		}
		assert_int_equal(at[10] | at[11] << 8, nr);
	}
	free(wire);
	rig_destroy(rig);
}

static void test_rx_too_long(void **state)
{
	struct rig *rig = rig_create(false);
	uint8_t wire[3000], *at;

	(void)state;
	fill(wire, sizeof(wire), 5);
	rig_start(rig, 0);
	at = rig_add_one(rig, RX, 1526, NULL);
	virtio_device_kick(rig->vdev, RX);
	rig_send(rig, wire, 3000);
	rig_send(rig, wire, 1514);
	assert_int_equal(rig_used(rig, RX).len, 1526);
	assert_memory_equal(at + HDR, wire, 1514);
	rig_destroy(rig);
}

/* False when the machine was too busy for the frame to be waited for. */
static bool rig_try_held(struct rig *rig, const uint8_t *wire, size_t len)
{
	uint8_t *first, *rest;

	rig_start(rig, MRG);
	first = rig_add_one(rig, RX, 500, NULL);
	virtio_device_kick(rig->vdev, RX);
	rig_send(rig, wire, len);
	usleep(2000);
	assert_int_equal(rig_returned(rig, RX), 0);
	rest = rig_add(rig, RX, (size_t[]){1000, 2000, 600, 0}, NULL);
	virtio_device_kick(rig->vdev, RX);
	for (int ms = 0; ms < 50 && !rig_returned(rig, RX); ms++)
		usleep(1000);
	if (!rig_returned(rig, RX))
		return false;
	assert_int_equal(rig_used(rig, RX).len, 500);
	assert_int_equal(rig_used(rig, RX).len, len + HDR - 500);
	assert_memory_equal(first + HDR, wire, 500 - HDR);
	assert_memory_equal(rest, wire + 500 - HDR, len + HDR - 500);
	assert_int_equal(first[10] | first[11] << 8, 2);
	return true;
}

/* A frame that came before its buffers waits for them, a moment. */
static void test_rx_held(void **state)
{
	struct rig *rig = rig_create(false);
	uint8_t wire[4000];
	unsigned int tries = 0;

	(void)state;
	fill(wire, sizeof(wire), 6);
	while (!rig_try_held(rig, wire, sizeof(wire)))
		assert_true(++tries < 20);
	rig_destroy(rig);
}

static void test_rx_held_too_long(void **state)
{
	struct rig *rig = rig_create(false);
	uint8_t wire[4000], *first;

	(void)state;
	fill(wire, sizeof(wire), 7);
	rig_start(rig, MRG);
	first = rig_add_one(rig, RX, 500, NULL);
	virtio_device_kick(rig->vdev, RX);
	rig_send(rig, wire, 4000);
	rig_send(rig, wire + 1, 100);
	assert_int_equal(rig_used(rig, RX).len, 100 + HDR);
	assert_memory_equal(first + HDR, wire + 1, 100);
	rig_destroy(rig);
}

/* No buffers: frames wait in the back end and nobody spins. */
static void test_rx_starved(void **state)
{
	struct rig *rig = rig_create(false);
	struct timespec before, after;
	clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
	uint8_t wire[100];

	(void)state;
	fill(wire, sizeof(wire), 8);
	rig_start(rig, MRG);
	for (unsigned int i = 0; i < 50; i++)
		rig_send(rig, wire, sizeof(wire));
	usleep(10000);
	clock_gettime(clock, &before);
	usleep(100000);
	clock_gettime(clock, &after);
	assert_true((after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec <
		    50000000L);
	for (unsigned int i = 0; i < 50; i++) {
		rig_add_one(rig, RX, 200, NULL);
		virtio_device_kick(rig->vdev, RX);
		assert_int_equal(rig_used(rig, RX).len, sizeof(wire) + HDR);
	}
	rig_destroy(rig);
}

/* Frames from before DRIVER_OK are nobody's; buffers do not survive a reset. */
static void test_restart(void **state)
{
	struct rig *rig = rig_create(false);
	uint8_t wire[100], *at;

	(void)state;
	for (unsigned int round = 0; round < 3; round++) {
		fill(wire, sizeof(wire), 100);
		rig_send(rig, wire, sizeof(wire));
		rig_start(rig, MRG);
		for (unsigned int i = 0; i < 10; i++)
			rig_add_one(rig, RX, 200, NULL);
		at = rig->ram + rig->ring[RX].desc[0].addr;
		virtio_device_kick(rig->vdev, RX);
		fill(wire, sizeof(wire), round);
		rig_send(rig, wire, sizeof(wire));
		assert_int_equal(rig_used(rig, RX).id, 0);
		assert_memory_equal(at + HDR, wire, sizeof(wire));
	}
	rig_destroy(rig);
}

static void test_queue_reset(void **state)
{
	struct rig *rig = rig_create(false);
	uint8_t wire[100], *at;

	(void)state;
	fill(wire, sizeof(wire), 2);
	rig_start(rig, MRG | F(VIRTIO_F_RING_RESET));
	for (unsigned int i = 0; i < 10; i++)
		rig_add_one(rig, RX, 200, NULL);
	virtio_device_kick(rig->vdev, RX);
	rig_send(rig, wire, sizeof(wire));
	rig_used(rig, RX);
	virtio_device_reset_queue(rig->vdev, RX);
	rig_send(rig, wire, 50);
	rig_setup_ring(rig, RX);
	at = rig_add_one(rig, RX, 200, NULL);
	virtio_device_kick(rig->vdev, RX);
	assert_int_equal(rig_used(rig, RX).len, 50 + HDR);
	assert_memory_equal(at + HDR, wire, 50);
	rig_destroy(rig);
}

static bool rig_wait_needs_reset(struct rig *rig)
{
	for (int ms = 0; ms < MAX_WAIT_MS; ms++) {
		if (virtio_device_status(rig->vdev) & VIRTIO_CONFIG_S_NEEDS_RESET)
			return true;
		usleep(1000);
	}
	return false;
}

static void test_hostile(void **state)
{
	struct rig *rig = rig_create(false);
	uint8_t wire[100] = {0};

	(void)state;
	/* A receive buffer without room for the header. */
	rig_start(rig, MRG);
	rig_add_one(rig, RX, 11, NULL);
	virtio_device_kick(rig->vdev, RX);
	rig_send(rig, wire, sizeof(wire));
	assert_true(rig_wait_needs_reset(rig));
	/* A transmit buffer outside RAM. */
	rig_start(rig, MRG);
	rig_add_one(rig, TX, 100, wire);
	rig->ring[TX].desc[0].addr = RAM_SIZE - 50;
	virtio_device_kick(rig->vdev, TX);
	assert_true(rig_wait_needs_reset(rig));
	assert_true(rig->config_irqs > 0);
	/* And life goes on. */
	assert_false(rig_start(rig, MRG) & VIRTIO_CONFIG_S_NEEDS_RESET);
	rig_add_one(rig, RX, 200, NULL);
	virtio_device_kick(rig->vdev, RX);
	rig_send(rig, wire, sizeof(wire));
	assert_int_equal(rig_used(rig, RX).len, sizeof(wire) + HDR);
	rig_destroy(rig);
}

/* §5.1.6.1: num_buffers is there only where buffers are merged. */
static void test_legacy(void **state)
{
	bool vnet = *(bool *)*state;
	struct rig *rig = rig_create(vnet);
	uint8_t frame[110], got[256], *at;
	size_t skip = vnet ? 0 : 10;

	rig->be.ops = &rig_short_ops;
	for (unsigned int merge = 0; merge < 2; merge++) {
		size_t hdr = merge ? 12 : 10;

		skip = vnet ? 0 : hdr;
		assert_false(rig_start_legacy(rig, merge ? MRG : 0) & VIRTIO_CONFIG_S_NEEDS_RESET);
		assert_int_equal(rig->hdr_len, vnet ? hdr : 0);
		fill(frame, sizeof(frame), merge);
		rig_add(rig, TX, (size_t[]){hdr, sizeof(frame) - hdr, 0}, frame);
		virtio_device_kick(rig->vdev, TX);
		assert_int_equal(rig_receive(rig, got, sizeof(got)), sizeof(frame) - skip);
		assert_memory_equal(got, frame + skip, sizeof(frame) - skip);

		at = rig_add(rig, RX, (size_t[]){hdr, 200, 0}, NULL);
		memset(at, 0xff, hdr);
		virtio_device_kick(rig->vdev, RX);
		memset(frame, 0, 10);
		rig_send(rig, frame + skip, sizeof(frame) - skip);
		assert_int_equal(rig_used(rig, RX).len, sizeof(frame));
		assert_memory_equal(at, frame, 10);
		assert_memory_equal(at + hdr, frame + hdr, sizeof(frame) - hdr);
		if (merge)
			assert_int_equal(at[10] | at[11] << 8, 1);
	}
	rig_destroy(rig);
}

/* A back end whose headers are always of 12 bytes cannot serve a driver that wants 10. */
static void test_legacy_refused(void **state)
{
	struct rig *rig = rig_create(true);

	(void)state;
	assert_true(rig_start_legacy(rig, 0) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_false(rig_start_legacy(rig, MRG) & VIRTIO_CONFIG_S_NEEDS_RESET);
	rig_destroy(rig);
}

static void test_gone(void **state)
{
	struct rig *rig = rig_create(false);
	uint8_t status = VIRTIO_NET_S_LINK_UP, frame[100] = {0};

	(void)state;
	rig_start(rig, MRG);
	close(rig->wire);
	rig->wire = -1;
	for (int ms = 0; ms < MAX_WAIT_MS && (status || !rig->config_irqs); ms++) {
		usleep(1000);
		virtio_device_config_read(rig->vdev, 6, &status, 1);
	}
	assert_int_equal(status, 0);
	assert_int_equal(rig->config_irqs, 1);
	rig_add_one(rig, TX, sizeof(frame), frame);
	virtio_device_kick(rig->vdev, TX);
	rig_used(rig, TX);
	rig_start(rig, MRG);
	rig_add_one(rig, TX, sizeof(frame), frame);
	virtio_device_kick(rig->vdev, TX);
	rig_used(rig, TX);
	rig_destroy(rig);
}

static bool link_is_up(struct rig *rig)
{
	uint8_t status;

	virtio_device_config_read(rig->vdev, offsetof(struct virtio_net_config, status), &status,
				  1);
	return status & VIRTIO_NET_S_LINK_UP;
}

/* Whether a frame of the driver's goes out. Its buffer comes back in any case. */
static bool rig_transmits(struct rig *rig)
{
	uint8_t frame[100] = {0};

	rig_add_one(rig, TX, sizeof(frame), frame);
	virtio_device_kick(rig->vdev, TX);
	rig_used(rig, TX);
	return recv(rig->wire, frame, sizeof(frame), 0) > 0;
}

/* A link that is down passes nothing, now or later; it stays down when the driver comes anew. */
static void test_link(void **state)
{
	struct rig *rig = rig_create(false);
	uint8_t lost[60] = {1}, frame[60] = {2}, *buf;

	(void)state;
	net_set_link(rig->vdev, false);
	assert_int_equal(rig->config_irqs, 0); /* nobody there */
	assert_false(link_is_up(rig));
	net_set_link(rig->vdev, true);
	rig_start(rig, MRG);
	assert_true(link_is_up(rig));
	assert_true(rig_transmits(rig));
	buf = rig_add_one(rig, RX, 2000, NULL);
	virtio_device_kick(rig->vdev, RX);

	net_set_link(rig->vdev, false);
	net_set_link(rig->vdev, false);
	assert_int_equal(rig->config_irqs, 1);
	assert_false(link_is_up(rig));
	assert_false(rig_transmits(rig));
	rig_send(rig, lost, sizeof(lost));

	net_set_link(rig->vdev, true);
	assert_int_equal(rig->config_irqs, 2);
	assert_true(link_is_up(rig));
	assert_true(rig_transmits(rig));
	assert_int_equal(rig_returned(rig, RX), 0);
	rig_send(rig, frame, sizeof(frame));
	rig_used(rig, RX);
	assert_memory_equal(buf + HDR, frame, sizeof(frame)); /* a buffer from before */

	net_set_link(rig->vdev, false);
	rig_start(rig, MRG);
	assert_false(link_is_up(rig));
	assert_false(rig_transmits(rig));
	net_set_link(rig->vdev, true);
	assert_true(rig_transmits(rig));
	rig_destroy(rig);
}

int main(void)
{
	static bool plain, vnet = true;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_offload),
		cmocka_unit_test_prestate(test_tx, &plain),
		cmocka_unit_test_prestate(test_tx, &vnet),
		cmocka_unit_test(test_tx_runt),
		cmocka_unit_test(test_tx_backpressure),
		cmocka_unit_test(test_rx),
		cmocka_unit_test(test_rx_plain),
		cmocka_unit_test_prestate(test_rx_mergeable, &plain),
		cmocka_unit_test_prestate(test_rx_mergeable, &vnet),
		cmocka_unit_test(test_rx_too_long),
		cmocka_unit_test(test_rx_held),
		cmocka_unit_test(test_rx_held_too_long),
		cmocka_unit_test(test_rx_starved),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_queue_reset),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test_prestate(test_legacy, &plain),
		cmocka_unit_test_prestate(test_legacy, &vnet),
		cmocka_unit_test(test_legacy_refused),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_link),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
