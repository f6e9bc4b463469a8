// SPDX-License-Identifier: GPL-2.0-or-later
/* links: net/stream.c net/passt.c util/unix.c util/worker.c util/loop.c util/util.c util/confine.c util/log.c */
/* libs: libseccomp libcap-ng */
/* Frames over a stream: a peer that is ours takes them apart, sends them in pieces, and misbehaves. */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/log.h"
#include "kvm/net.h"
#include "kvm/util.h"

#define MAX_WAIT_MS 10000

static char path[64];

struct wire {
	struct net_backend *be;
	int peer;
};

static int wire_open(void **state)
{
	struct nic_params nic = {.mode = NIC_PASST, .socket = path};
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	struct wire *wire = calloc(1, sizeof(*wire));

	unlink(path);
	strcpy(sun.sun_path, path);
	assert_int_equal(bind(listener, (void *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(listener, 1), 0);
	wire->be = net_stream_open(&nic);
	assert_non_null(wire->be);
	assert_int_equal(wire->be->nr_pairs, 1);
	assert_false(wire->be->vnet_hdr);
	wire->peer = accept(listener, NULL, NULL);
	close(listener);
	unlink(path);
	*state = wire;
	return 0;
}

static int wire_close(void **state)
{
	struct wire *wire = *state;

	net_backend_close(wire->be);
	if (wire->peer >= 0)
		close(wire->peer);
	free(wire);
	return 0;
}

static void fill(uint8_t *buf, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = i * 7 + seed + (i >> 8);
}

static bool ready(int fd, short events)
{
	struct pollfd pfd = {.fd = fd, .events = events};

	return poll(&pfd, 1, MAX_WAIT_MS) == 1;
}

static void read_whole(int fd, void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n;

		assert_true(ready(fd, POLLIN));
		n = read(fd, (uint8_t *)buf + done, len - done);
		assert_true(n > 0);
		done += n;
	}
}

static void peer_send(struct wire *wire, const void *frame, uint32_t len)
{
	uint32_t header = htobe32(len);

	assert_int_equal(write(wire->peer, &header, 4), 4);
	assert_int_equal(write(wire->peer, frame, len), len);
}

static const uint32_t sizes[] = {14, 60, 1514, 4096, 65535, 65536, 1};

static void test_to_peer(void **state)
{
	static uint8_t frame[65536], got[65536];
	struct wire *wire = *state;
	uint32_t header;

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		fill(frame, sizes[i], i);
		assert_int_equal(write(wire->be->fd[0], frame, sizes[i]), sizes[i]);
		read_whole(wire->peer, &header, 4);
		assert_int_equal(be32toh(header), sizes[i]);
		read_whole(wire->peer, got, sizes[i]);
		assert_memory_equal(got, frame, sizes[i]);
	}
}

static void test_from_peer(void **state)
{
	static uint8_t frame[65536], got[65537];
	struct wire *wire = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		fill(frame, sizes[i], i);
		peer_send(wire, frame, sizes[i]);
		assert_true(ready(wire->be->fd[0], POLLIN));
		assert_int_equal(read(wire->be->fd[0], got, sizeof(got)), sizes[i]);
		assert_memory_equal(got, frame, sizes[i]);
	}
	/* In pieces as small as they get, and two in one. */
	fill(frame, 100, 9);
	memcpy(got, (uint8_t[]){0, 0, 0, 100}, 4);
	memcpy(got + 4, frame, 100);
	memcpy(got + 104, got, 104);
	for (unsigned int i = 0; i < 50; i++)
		assert_int_equal(write(wire->peer, got + i, 1), 1);
	assert_int_equal(write(wire->peer, got + 50, 158), 158);
	for (unsigned int i = 0; i < 2; i++) {
		assert_true(ready(wire->be->fd[0], POLLIN));
		assert_int_equal(read(wire->be->fd[0], got, sizeof(got)), 100);
		assert_memory_equal(got, frame, 100);
	}
}

/* More than all buffers hold, both ways, before anybody reads: it waits, and comes in order. */
static void test_pressure(void **state)
{
	static uint8_t frame[60000];
	struct wire *wire = *state;
	unsigned int sent = 0, seen;
	uint32_t header;

	for (;;) {
		struct pollfd pfd = {.fd = wire->be->fd[0], .events = POLLOUT};

		frame[0] = sent;
		if (write(wire->be->fd[0], frame, sizeof(frame)) == sizeof(frame))
			sent++;
		else if (poll(&pfd, 1, 300) == 0)
			break;
	}
	assert_true(sent > 2);
	for (seen = 0; seen < sent; seen++) {
		read_whole(wire->peer, &header, 4);
		assert_int_equal(be32toh(header), sizeof(frame));
		read_whole(wire->peer, frame, sizeof(frame));
		assert_int_equal(frame[0], seen & 0xff);
	}

	for (sent = 0;; sent++) {
		struct pollfd pfd = {.fd = wire->peer, .events = POLLOUT};
		uint8_t small[4 + 60] = {0, 0, 0, 60, sent};

		if (poll(&pfd, 1, 300) == 0)
			break;
		assert_int_equal(write(wire->peer, small, sizeof(small)), sizeof(small));
	}
	for (seen = 0; seen < sent; seen++) {
		assert_true(ready(wire->be->fd[0], POLLIN));
		assert_int_equal(read(wire->be->fd[0], frame, sizeof(frame)), 60);
		assert_int_equal(frame[0], seen & 0xff);
	}
}

static void assert_gone(struct wire *wire)
{
	uint8_t buf[100];

	assert_true(ready(wire->be->fd[0], POLLIN));
	assert_int_equal(read(wire->be->fd[0], buf, sizeof(buf)), 0);
}

static void test_hangup(void **state)
{
	struct wire *wire = *state;

	close(wire->peer);
	wire->peer = -1;
	assert_gone(wire);
}

static void test_bad_length(void **state)
{
	static const uint32_t lengths[] = {0, 65537, 0x80000000, 0xffffffff};

	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct wire *wire = *state;
		uint32_t header = htobe32(lengths[i]);

		assert_int_equal(write(wire->peer, &header, 4), 4);
		assert_gone(wire);
		wire_close(state);
		wire_open(state);
	}
}

static void test_nobody_there(void **state)
{
	struct nic_params nic = {.mode = NIC_PASST, .socket = "/nonexistent/socket"};
	char much[300];

	(void)state;
	assert_null(net_stream_open(&nic));
	memset(much, 'x', sizeof(much) - 1);
	much[sizeof(much) - 1] = '\0';
	nic.socket = much;
	assert_null(net_stream_open(&nic));
}

/* A DHCPDISCOVER as a guest sends it; the length. */
static size_t make_discover(uint8_t *frame)
{
	static const uint8_t ip[20] = {0x45, 0, 1, 0x10, 0, 0, 0, 0, 64, 17};
	static const uint8_t udp[8] = {0, 68, 0, 67, 0, 252, 0, 0};
	static const uint8_t options[] = {0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255};
	uint8_t *bootp = frame + 14 + 20 + 8;
	uint32_t sum = 0;

	memset(frame, 0, 14 + 0x110);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, (uint8_t[]){2, 0, 0, 0, 0, 9, 8, 0}, 8);
	memcpy(frame + 14, ip, sizeof(ip));
	memset(frame + 14 + 16, 0xff, 4);
	for (unsigned int i = 0; i < 20; i += 2)
		sum += frame[14 + i] << 8 | frame[15 + i];
	sum = ~((sum & 0xffff) + (sum >> 16));
	frame[14 + 10] = sum >> 8;
	frame[14 + 11] = sum;
	memcpy(frame + 14 + 20, udp, sizeof(udp));
	memcpy(bootp, (uint8_t[]){1, 1, 6, 0, 1, 2, 3, 4}, 8);
	memcpy(bootp + 28, frame + 6, 6);
	memcpy(bootp + 236, options, sizeof(options));
	return 14 + 0x110;
}

/* It answers the guest's first question. */
static void expect_lease(struct net_backend *be)
{
	static uint8_t frame[2000];
	size_t len = make_discover(frame);
	bool offered = false;

	assert_int_equal(write(be->fd[0], frame, len), len);
	while (!offered && ready(be->fd[0], POLLIN)) {
		static const uint8_t want[] = {10, 99, 0, 1};
		ssize_t got = read(be->fd[0], frame, sizeof(frame));

		assert_true(got > 0);
		/* From port 67, with our transaction: yiaddr is what it offers. */
		offered = got > 62 && frame[23] == 17 && frame[35] == 67 &&
			  !memcmp(frame + 46, (uint8_t[]){1, 2, 3, 4}, 4) &&
			  !memcmp(frame + 58, want, 4);
	}
	assert_true(offered);
}

/* The real one: in a network namespace of ours it answers a guest's first question. */
static void test_passt(void **state)
{
	struct nic_params nic = {.mode = NIC_PASST, .socket = path};
	struct net_backend *be = NULL;
	char cmd[256], c;

	(void)state;
	if (geteuid() || system("command -v passt >/dev/null && command -v ip >/dev/null") ||
	    unshare(CLONE_NEWNET) ||
	    system("ip link add lkvmp0 type veth peer name lkvmp1 &&"
		   "ip addr add 10.99.0.1/24 dev lkvmp0 && ip link set lkvmp0 up &&"
		   "ip link set lkvmp1 up && ip route add default via 10.99.0.254")) {
		print_message("needs root, a network namespace, and passt\n");
		skip();
	}
	unlink(path);
	snprintf(cmd, sizeof(cmd), "timeout 60 passt -f -1 -s %s >/dev/null 2>&1 &", path);
	assert_int_equal(system(cmd), 0);
	for (unsigned int i = 0; i < 100 && access(path, F_OK); i++)
		usleep(100000);
	if (access(path, F_OK)) {
		print_message("passt does not start here\n");
		skip();
	}
	for (unsigned int i = 0; i < 100 && !be; i++, usleep(100000)) /* it has to listen, too */
		be = net_stream_open(&nic);
	assert_non_null(be);
	expect_lease(be);
	net_backend_close(be); /* and passt, told -1, ends */
	unlink(path);

	/* The same with one of our own, which does not outlive the NIC. */
	nic.socket = NULL;
	nic.nr_hostfwd = 1;
	nic.hostfwd[0] = (struct nic_hostfwd){.word = "x", .host_port = 2222, .guest_port = 22};
	be = net_stream_open(&nic);
	assert_non_null(be);
	expect_lease(be);
	net_backend_close(be);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);

	/* One that does not like what it is told ends, and so does the link; one that is not there. */
	nic.nr_hostfwd = 2;
	nic.hostfwd[1] = nic.hostfwd[0];
	nic.hostfwd[1].guest_port = 23;
	be = net_stream_open(&nic);
	/* NULL: it was gone before there was a link. */
	if (be) {
		assert_true(ready(be->fd[0], POLLIN));
		assert_int_equal(read(be->fd[0], &c, 1), 0);
		net_backend_close(be);
	}
	setenv("PATH", "/nonexistent", 1);
	assert_null(net_stream_open(&nic));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, wire_open, wire_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_to_peer),	      TEST(test_from_peer),
		TEST(test_pressure),	      TEST(test_hangup),
		TEST(test_bad_length),	      cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_passt),
	};

	log_set_level(LOG_LEVEL_ERROR);
	snprintf(path, sizeof(path), "/tmp/lkvm-test-stream-%d", getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
