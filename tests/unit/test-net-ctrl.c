// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/net.c virtio/net-pair.c virtio/net-ctrl.c virtio/vhost.c virtio/lend.c virtio/device.c virtio/virtq.c memory.c util/loop.c util/worker.c util/util.c util/log.c */
/*
 * virtio-net's control queue and its pairs of queues, between a driver in this process and a back
 * end that remembers what it was told. The wires are socket pairs.
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/log.h"
#include "kvm/net.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "kvm/worker.h"
#include "virtio-driver.h"

#define PAIRS 3
#define CTRL  (2 * PAIRS)
#define SIZE  16
#define HDR   12
#define ERR   VIRTIO_NET_ERR
#define OK    VIRTIO_NET_OK
#define F(n)  DRV_BIT(n)
#define CTRL_FEATURES                                                                   \
	(F(VIRTIO_F_VERSION_1) | F(VIRTIO_F_IN_ORDER) | F(VIRTIO_NET_F_CTRL_VQ) |       \
	 F(VIRTIO_NET_F_MQ) | F(VIRTIO_NET_F_CTRL_RX) | F(VIRTIO_NET_F_CTRL_MAC_ADDR) | \
	 F(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | F(VIRTIO_NET_F_GUEST_CSUM) |             \
	 F(VIRTIO_NET_F_GUEST_TSO4))

static const uint8_t first_mac[6] = {2, 1, 2, 3, 4, 5}, other_mac[6] = {2, 9, 9, 9, 9, 9};

struct setup {
	struct drv_ram ram;
	struct drv_queue q[CTRL + 1];
	struct drv_transport transport;
	struct virtio_device *vdev;
	struct net_backend be;
	int wire[PAIRS];
	/* What the back end was told last. */
	unsigned int tun_flags, pairs;
	struct net_filter filter;
	bool filtered;
	uint8_t mac[6];
	int fails; /* what it answers; 0: all is well */
};

static struct setup *setup_of(struct net_backend *be)
{
	return container_of(be, struct setup, be);
}

static int be_set_offload(struct net_backend *be, unsigned int tun_flags)
{
	if (setup_of(be)->fails || (tun_flags & TUN_F_TSO4 && !(tun_flags & TUN_F_CSUM)))
		return -EINVAL;
	setup_of(be)->tun_flags = tun_flags;
	return 0;
}

static int be_set_pairs(struct net_backend *be, unsigned int nr)
{
	assert_true(nr >= 1 && nr <= PAIRS);
	if (setup_of(be)->fails)
		return setup_of(be)->fails;
	setup_of(be)->pairs = nr;
	return 0;
}

static int be_set_filter(struct net_backend *be, const struct net_filter *filter)
{
	setup_of(be)->filtered = filter;
	if (filter)
		setup_of(be)->filter = *filter;
	return 0;
}

static int be_set_mac(struct net_backend *be, const uint8_t mac[6])
{
	if (setup_of(be)->fails)
		return setup_of(be)->fails;
	memcpy(setup_of(be)->mac, mac, 6);
	return 0;
}

static const struct net_backend_ops be_ops = {
	.set_offload = be_set_offload,
	.set_pairs = be_set_pairs,
	.set_filter = be_set_filter,
	.set_mac = be_set_mac,
};

static int setup_init(void **state)
{
	struct setup *s = calloc(1, sizeof(*s));

	drv_ram_init(&s->ram);
	s->be = (struct net_backend){
		.ops = &be_ops, .nr_pairs = PAIRS, .vnet_hdr = true, .mtu = 4000};
	for (unsigned int i = 0; i < PAIRS; i++) {
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
		s->be.fd[i] = pair[0];
		s->wire[i] = pair[1];
	}
	s->vdev = net_create(&s->ram.mem, "network card", &s->be, first_mac);
	assert_non_null(s->vdev);
	virtio_device_attach(s->vdev, &drv_transport_ops, &s->transport);
	*state = s;
	return 0;
}

static int setup_fini(void **state)
{
	struct setup *s = *state;

	virtio_device_destroy(s->vdev);
	for (unsigned int i = 0; i < PAIRS; i++) {
		close(s->be.fd[i]);
		close(s->wire[i]);
	}
	drv_ram_fini(&s->ram);
	free(s);
	return 0;
}

static void setup_run(struct setup *s, uint64_t features)
{
	assert_true(drv_negotiate(s->vdev, features));
	for (unsigned int q = 0; q <= CTRL; q++)
		drv_setup_queue(&s->q[q], s->vdev, &s->ram, q, SIZE);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
	assert_int_equal(virtio_device_status(s->vdev), DRV_STATUS_RUNNING);
}

/* Its answer; -1: it was returned without one. */
static int command_on(struct setup *s, unsigned int q, uint8_t class, uint8_t cmd, const void *data,
		      uint32_t len)
{
	struct drv_buf bufs[] = {{DRV_DATA, 2}, {DRV_DATA + 64, len}, {DRV_DATA + 32, 1}};
	uint8_t *hdr = drv_ptr(&s->ram, DRV_DATA);
	uint32_t written = 0;
	int id;

	hdr[0] = class;
	hdr[1] = cmd;
	hdr[32] = 0x55;
	memcpy(hdr + 64, data, len);
	if (!len)
		bufs[1] = bufs[2];
	assert_true(drv_add(&s->q[q], bufs, len ? 2 : 1, 1, 0) >= 0);
	virtio_device_kick(s->vdev, q);
	assert_true(drv_wait_used(&s->q[q], &id, &written));
	return written ? hdr[32] : -1;
}

static int command(struct setup *s, uint8_t class, uint8_t cmd, const void *data, uint32_t len)
{
	return command_on(s, CTRL, class, cmd, data, len);
}

static int set_pairs(struct setup *s, uint16_t nr)
{
	return command(s, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &nr, sizeof(nr));
}

static void test_offered(void **state)
{
	struct setup *s = *state;
	struct virtio_net_config config;
	uint64_t features = virtio_device_features(s->vdev);

	assert_true((features & CTRL_FEATURES) == CTRL_FEATURES);
	assert_true(features & F(VIRTIO_NET_F_MTU));
	assert_false(features & F(VIRTIO_NET_F_CTRL_VLAN));
	virtio_device_config_read(s->vdev, 0, &config, sizeof(config));
	assert_int_equal(config.max_virtqueue_pairs, PAIRS);
	assert_int_equal(config.mtu, 4000);
	assert_memory_equal(config.mac, first_mac, 6);
}

/* A frame that the driver sends on a pair comes out of its wire, or nowhere. */
static bool sends(struct setup *s, unsigned int pair)
{
	struct pollfd pfd = {.fd = s->wire[pair], .events = POLLIN};
	struct drv_queue *q = &s->q[pair * 2 + 1];
	struct drv_buf buf = {DRV_DATA + 0x1000, HDR + 60};
	uint8_t got[HDR + 60];
	uint32_t len;
	int id;

	memset(drv_ptr(&s->ram, buf.gpa), 0, buf.len);
	assert_true(drv_add(q, &buf, 1, 0, 0) >= 0);
	virtio_device_kick(s->vdev, pair * 2 + 1);
	assert_true(drv_wait_used(q, &id, &len)); /* returned in any case */
	return poll(&pfd, 1, 0) == 1 && recv(s->wire[pair], got, sizeof(got), 0) == sizeof(got);
}

/* And the other way round. */
static bool receives(struct setup *s, unsigned int pair)
{
	struct drv_queue *q = &s->q[pair * 2];
	struct drv_buf buf = {DRV_DATA + 0x2000, 200};
	uint8_t frame[HDR + 60] = {0};
	uint32_t len;
	int id;

	assert_true(drv_add(q, &buf, 0, 1, 0) >= 0);
	virtio_device_kick(s->vdev, pair * 2);
	assert_int_equal(send(s->wire[pair], frame, sizeof(frame), 0), sizeof(frame));
	return drv_wait_used(q, &id, &len) && len == sizeof(frame);
}

static bool link_is_up(struct setup *s)
{
	uint8_t status;

	virtio_device_config_read(s->vdev, offsetof(struct virtio_net_config, status), &status, 1);
	return status & VIRTIO_NET_S_LINK_UP;
}

/* Of the processor time that the worker has had. */
static void get_clock(void *arg)
{
	assert_int_equal(pthread_getcpuclockid(pthread_self(), arg), 0);
}

static void test_pairs(void **state)
{
	struct setup *s = *state;

	setup_run(s, CTRL_FEATURES);
	assert_int_equal(s->pairs, 1);
	assert_true(sends(s, 0));
	assert_true(receives(s, 0));
	assert_false(sends(s, 1)); /* not yet in use */
	assert_int_equal(set_pairs(s, 0), ERR);
	assert_int_equal(set_pairs(s, PAIRS + 1), ERR);
	assert_int_equal(s->pairs, 1);
	assert_int_equal(set_pairs(s, PAIRS), OK);
	assert_int_equal(s->pairs, PAIRS);
	for (unsigned int i = 0; i < PAIRS; i++) {
		assert_true(sends(s, i));
		assert_true(receives(s, i));
	}
	assert_int_equal(set_pairs(s, 2), OK);
	assert_int_equal(s->pairs, 2);
	assert_false(sends(s, 2));
	assert_true(sends(s, 1));
	assert_true(receives(s, 1));
	s->fails = -EINVAL;
	assert_int_equal(set_pairs(s, 3), ERR);
	assert_int_equal(set_pairs(s, 1), ERR);
	s->fails = 0;
	assert_true(sends(s, 1)); /* as many as before */
	assert_false(sends(s, 2));
	assert_int_equal(set_pairs(s, 3), OK);
	assert_true(receives(s, 2));
	setup_run(s, CTRL_FEATURES); /* and after a reset it is one again */
	assert_int_equal(s->pairs, 1);
	assert_false(sends(s, 1));
}

/* What the driver wants while the link is down it has when it is up again. */
static void test_pairs_of_a_link(void **state)
{
	struct setup *s = *state;

	setup_run(s, CTRL_FEATURES);
	assert_int_equal(set_pairs(s, PAIRS), OK);
	net_set_link(s->vdev, false);
	assert_false(sends(s, 1));
	assert_int_equal(set_pairs(s, PAIRS + 1), ERR);
	assert_int_equal(set_pairs(s, 2), OK);
	assert_false(sends(s, 0));
	net_set_link(s->vdev, true);
	assert_int_equal(s->pairs, 2);
	assert_true(sends(s, 0));
	assert_true(sends(s, 1));
	assert_true(receives(s, 1));
	assert_false(sends(s, 2));
}

/* The other end is gone for good: no number of pairs brings it back, or keeps the worker busy. */
static void test_pairs_of_nothing(void **state)
{
	struct timespec before, after;
	clockid_t clock;
	struct setup *s = *state;

	setup_run(s, CTRL_FEATURES);
	shutdown(s->wire[0], SHUT_RDWR);
	shutdown(s->wire[1], SHUT_RDWR);
	while (link_is_up(s))
		usleep(1000);
	assert_int_equal(set_pairs(s, PAIRS), OK);
	worker_call(s->vdev->worker, get_clock, &clock);
	assert_int_equal(clock_gettime(clock, &before), 0);
	usleep(100000);
	assert_int_equal(clock_gettime(clock, &after), 0);
	assert_true(after.tv_sec - before.tv_sec == 0 && after.tv_nsec - before.tv_nsec < 10000000);
}

/* §5.1.2: without MQ the control queue is the third one, and there is one pair. */
static void test_no_multiqueue(void **state)
{
	struct setup *s = *state;
	uint8_t on = 1;

	setup_run(s, CTRL_FEATURES & ~F(VIRTIO_NET_F_MQ));
	assert_int_equal(command_on(s, 2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 1),
			 OK);
	assert_int_equal(command_on(s, 2, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				    (uint16_t[]){2}, 2),
			 ERR);
	assert_true(sends(s, 0));
}

static void test_receive_mode(void **state)
{
	struct setup *s = *state;
	uint8_t table[4 + 6 + 4 + 12] = {1, 0, 0, 0, 2, 0, 0,	 0, 0, 1,
					 2, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1};
	uint8_t on = 1, off = 0;

	setup_run(s, CTRL_FEATURES);
	assert_false(s->filtered);
	assert_int_equal(command(s, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, &on, 1), OK);
	assert_true(s->filtered && s->filter.allmulti && !s->filter.promisc);
	assert_int_equal(s->filter.nr, 2); /* its own, and the broadcast address */
	assert_memory_equal(s->filter.addr[0], first_mac, 6);
	assert_int_equal(s->filter.addr[1][5], 0xff);
	assert_int_equal(command(s, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 1), OK);
	assert_true(s->filter.promisc);
	assert_int_equal(command(s, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &off, 1), OK);
	assert_int_equal(command(s, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, &off, 1), OK);
	assert_int_equal(command(s, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table,
				 sizeof(table)),
			 OK);
	assert_false(s->filter.promisc || s->filter.allmulti);
	assert_int_equal(s->filter.nr, 5);
	assert_memory_equal(s->filter.addr[1], table + 4, 6);
	assert_memory_equal(s->filter.addr[3], table + 14, 6);

	/* Not a bit, not a command of ours. */
	assert_int_equal(command(s, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, "\2", 1), ERR);
	assert_int_equal(command(s, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOBCAST, &on, 1), ERR);
	assert_int_equal(command(s, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 0), ERR);
	assert_int_equal(s->filter.nr, 5);
	virtio_device_set_status(s->vdev, 0);
	assert_false(s->filtered);
}

/* More addresses than are kept: all pass. Tables that lie about their length: none has an effect. */
static void test_tables(void **state)
{
	struct setup *s = *state;
	uint8_t table[4 + 100 * 6 + 4 + 100 * 6] = {0};
	const uint32_t lies[] = {101, 201, 0x2aaaaaab, 0x7fffffff, 0xffffffff};

	setup_run(s, CTRL_FEATURES);
	table[0] = table[4 + 600] = 100;
	assert_int_equal(command(s, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table,
				 sizeof(table)),
			 OK);
	assert_true(s->filter.promisc && s->filter.allmulti);
	assert_int_equal(s->filter.nr, 2);
	memset(table, 0, 8);
	assert_int_equal(command(s, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, 8),
			 OK);
	assert_false(s->filter.promisc || s->filter.allmulti);
	for (unsigned int i = 0; i < ARRAY_SIZE(lies); i++) {
		memset(table, 0, 8);
		memcpy(table, &lies[i], 4); /* of the first, then of the second */
		assert_int_equal(command(s, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET,
					 table, 4 + 600),
				 ERR);
		memset(table, 0, 4);
		memcpy(table + 4, &lies[i], 4);
		assert_int_equal(command(s, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET,
					 table, 8 + 600),
				 ERR);
		assert_false(s->filter.promisc || s->filter.allmulti);
	}
	for (uint32_t len = 0; len < 8; len++) {
		memset(table, 0, 8);
		assert_int_equal(
			command(s, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, len),
			ERR);
	}
}

static void test_mac(void **state)
{
	struct setup *s = *state;
	uint8_t mac[6];

	setup_run(s, CTRL_FEATURES);
	assert_int_equal(command(s, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, "\3", 1),
			 ERR);
	assert_int_equal(
		command(s, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, "\3\0\0\0\0\1", 6),
		ERR); /* of a group */
	s->fails = -EADDRNOTAVAIL;
	assert_int_equal(
		command(s, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other_mac, 6), ERR);
	s->fails = 0;
	virtio_device_config_read(s->vdev, 0, mac, 6);
	assert_memory_equal(mac, first_mac, 6);
	assert_int_equal(
		command(s, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other_mac, 6), OK);
	virtio_device_config_read(s->vdev, 0, mac, 6);
	assert_memory_equal(mac, other_mac, 6);
	assert_memory_equal(s->mac, other_mac, 6);
	assert_memory_equal(s->filter.addr[0], other_mac, 6);
	virtio_device_set_status(s->vdev, 0);
	virtio_device_config_read(s->vdev, 0, mac, 6);
	assert_memory_equal(mac, first_mac, 6);
	assert_memory_equal(s->mac, first_mac, 6);
}

static void test_offloads(void **state)
{
	struct setup *s = *state;
	uint64_t both = F(VIRTIO_NET_F_GUEST_CSUM) | F(VIRTIO_NET_F_GUEST_TSO4),
		 tso = F(VIRTIO_NET_F_GUEST_TSO4), more = both | F(VIRTIO_NET_F_GUEST_TSO6),
		 none = 0;
	const uint8_t class = VIRTIO_NET_CTRL_GUEST_OFFLOADS,
		      cmd = VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET;

	setup_run(s, CTRL_FEATURES);
	assert_int_equal(s->tun_flags, TUN_F_CSUM | TUN_F_TSO4);
	assert_int_equal(command(s, class, cmd, &none, 8), OK);
	assert_int_equal(s->tun_flags, 0);
	assert_int_equal(command(s, class, cmd, &more, 8), ERR); /* not negotiated */
	assert_int_equal(command(s, class, cmd, &tso, 8), ERR);	 /* no sense without checksums */
	assert_int_equal(command(s, class, cmd, &both, 7), ERR);
	assert_int_equal(s->tun_flags, 0);
	assert_int_equal(command(s, class, cmd, &both, 8), OK);
	assert_int_equal(s->tun_flags, TUN_F_CSUM | TUN_F_TSO4);
}

/* Commands of classes that are not offered, of no class, and of no length. */
static void test_nonsense(void **state)
{
	struct setup *s = *state;
	struct drv_buf bufs[] = {{DRV_DATA, 1}, {DRV_DATA + 32, 1}, {DRV_DATA + 0x100, 0x10000}};
	uint8_t *at = drv_ptr(&s->ram, DRV_DATA);
	uint32_t len;
	int id;

	setup_run(s, F(VIRTIO_F_VERSION_1) | F(VIRTIO_NET_F_CTRL_VQ) | F(VIRTIO_NET_F_MQ));
	for (unsigned int class = 0; class < 256; class ++)
		for (unsigned int cmd = 0; cmd < 6; cmd++)
			assert_int_equal(command(s, class, cmd, "\1\0\0\0\0\0\0\0", 8),
					 class == VIRTIO_NET_CTRL_MQ && !cmd ? OK : ERR);
	assert_false(s->filtered);
	/* One byte of a header; an answer and nothing else; no room for one; an endless one. */
	assert_true(drv_add(&s->q[CTRL], bufs, 1, 1, 0) >= 0);
	virtio_device_kick(s->vdev, CTRL);
	assert_true(drv_wait_used(&s->q[CTRL], &id, &len));
	assert_int_equal(at[32], ERR);
	assert_true(drv_add(&s->q[CTRL], bufs + 1, 0, 1, 0) >= 0);
	virtio_device_kick(s->vdev, CTRL);
	assert_true(drv_wait_used(&s->q[CTRL], &id, &len));
	assert_int_equal(len, 1);
	assert_true(drv_add(&s->q[CTRL], bufs, 1, 0, 0) >= 0);
	virtio_device_kick(s->vdev, CTRL);
	assert_true(drv_wait_used(&s->q[CTRL], &id, &len));
	assert_int_equal(len, 0);
	at[0x100] = VIRTIO_NET_CTRL_MQ;
	at[0x101] = 0;
	at[0x102] = 2;
	at[0x103] = 0;
	assert_true(drv_add(&s->q[CTRL], (struct drv_buf[]){bufs[2], bufs[1]}, 1, 1, 0) >= 0);
	virtio_device_kick(s->vdev, CTRL);
	assert_true(drv_wait_used(&s->q[CTRL], &id, &len));
	assert_int_equal(at[32], OK);
	assert_int_equal(s->pairs, 2);
	/* And the device is as well as before. */
	assert_true(sends(s, 1));
	assert_int_equal(virtio_device_status(s->vdev), DRV_STATUS_RUNNING);
}

/* The driver takes queues away under a device that uses them. */
static void test_queue_reset(void **state)
{
	struct setup *s = *state;

	setup_run(s, CTRL_FEATURES | F(VIRTIO_F_RING_RESET));
	assert_int_equal(set_pairs(s, PAIRS), OK);
	for (unsigned int q = 0; q < CTRL; q++) {
		virtio_device_reset_queue(s->vdev, q);
		virtio_device_kick(s->vdev, q);
	}
	assert_int_equal(set_pairs(s, 1), OK);
	assert_int_equal(set_pairs(s, PAIRS), OK);
	for (unsigned int q = 0; q < CTRL; q++)
		drv_setup_queue(&s->q[q], s->vdev, &s->ram, q, SIZE);
	for (unsigned int i = 0; i < PAIRS; i++) {
		assert_true(sends(s, i));
		assert_true(receives(s, i));
	}
	virtio_device_reset_queue(s->vdev, CTRL);
	virtio_device_kick(s->vdev, CTRL);
	drv_setup_queue(&s->q[CTRL], s->vdev, &s->ram, CTRL, SIZE);
	assert_int_equal(set_pairs(s, 2), OK);
	assert_int_equal(virtio_device_status(s->vdev), DRV_STATUS_RUNNING);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup_init, setup_fini)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_offered),	     TEST(test_pairs),
		TEST(test_no_multiqueue),    TEST(test_receive_mode),
		TEST(test_tables),	     TEST(test_mac),
		TEST(test_offloads),	     TEST(test_nonsense),
		TEST(test_queue_reset),	     TEST(test_pairs_of_a_link),
		TEST(test_pairs_of_nothing),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
