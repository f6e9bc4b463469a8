// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/vsock.c virtio/vsock-conn.c net/vsock.c virtio/device.c virtio/virtq.c memory.c util/options.c util/unix.c util/worker.c util/loop.c util/util.c util/log.c */
/* The socket device between an in-process driver and unix sockets in a folder of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_vsock.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "kvm/vsock.h"
#include "virtio-driver.h"

#define CID	   42
#define HOST	   2
#define RX	   0
#define TX	   1
#define QUEUE_SIZE 64
#define HDR	   sizeof(struct virtio_vsock_hdr)
#define RX_BUF	   4096
#define TX_BUF	   (64 * 1024)
#define TX_AREA	   (DRV_DATA + QUEUE_SIZE * RX_BUF)
#define GUEST_BUF  (1u << 20) /* room that the guest says it has */
#define DEVICE_BUF (128u * 1024)
#define PORT	   1234

typedef struct virtio_vsock_hdr packet_t;

struct setup {
	struct drv_ram ram;
	struct drv_transport transport;
	struct drv_queue q[3];
	struct virtio_device *vdev;
	struct vsock_uds *uds;
	char dir[32], path[64];
	uint64_t rx_gpa[65536]; /* by id */
	uint64_t rx_next;
};

/* --- the driver --- */

static void kick(struct setup *s, unsigned int q)
{
	if (drv_wants_kick(&s->q[q]))
		virtio_device_kick(s->vdev, q);
}

static void give_rx(struct setup *s, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		struct drv_buf buf = {DRV_DATA + s->rx_next++ % QUEUE_SIZE * RX_BUF, RX_BUF};
		int id = drv_add(&s->q[RX], &buf, 0, 1, 0);

		assert_true(id >= 0);
		s->rx_gpa[id] = buf.gpa;
	}
	kick(s, RX);
}

/* A packet as the guest makes it: the receiver's count is what it is told. */
static packet_t packet(uint32_t host_port, uint32_t guest_port, uint16_t op, uint32_t len)
{
	return (packet_t){.src_cid = CID,
			  .dst_cid = HOST,
			  .src_port = guest_port,
			  .dst_port = host_port,
			  .len = len,
			  .type = VIRTIO_VSOCK_TYPE_STREAM,
			  .op = op,
			  .buf_alloc = GUEST_BUF};
}

/* Sends `bytes` bytes: header, then data. Does not wait. */
static void send_raw(struct setup *s, const packet_t *hdr, const void *data, uint32_t hdr_len,
		     uint32_t data_len)
{
	struct drv_buf bufs[] = {{TX_AREA, hdr_len}, {TX_AREA + 64, data_len}};

	memcpy(drv_ptr(&s->ram, TX_AREA), hdr, hdr_len);
	if (data_len)
		memcpy(drv_ptr(&s->ram, TX_AREA + 64), data, data_len);
	assert_true(drv_add(&s->q[TX], bufs, data_len ? 2 : 1, 0, 0) >= 0);
	kick(s, TX);
}

static void wait_sent(struct setup *s)
{
	uint32_t len;
	int id;

	assert_true(drv_wait_used(&s->q[TX], &id, &len));
}

static void send_packet(struct setup *s, const packet_t *hdr, const void *data)
{
	send_raw(s, hdr, data, HDR, hdr->len);
	wait_sent(s);
}

static void send_op(struct setup *s, uint32_t host_port, uint32_t guest_port, uint16_t op)
{
	packet_t hdr = packet(host_port, guest_port, op, 0);

	send_packet(s, &hdr, NULL);
}

/* The next packet from the device; its data into buf. */
static packet_t receive(struct setup *s, void *buf)
{
	uint32_t len;
	packet_t hdr;
	int id;

	assert_true(drv_wait_used(&s->q[RX], &id, &len));
	assert_true(len >= HDR);
	memcpy(&hdr, drv_ptr(&s->ram, s->rx_gpa[id]), HDR);
	assert_int_equal(len, HDR + hdr.len);
	if (buf)
		memcpy(buf, drv_ptr(&s->ram, s->rx_gpa[id] + HDR), hdr.len);
	give_rx(s, 1);
	return hdr;
}

static packet_t expect_op(struct setup *s, uint16_t op)
{
	packet_t hdr = receive(s, NULL);

	assert_int_equal(hdr.op, op);
	assert_int_equal(hdr.src_cid, HOST);
	assert_int_equal(hdr.dst_cid, CID);
	assert_int_equal(hdr.type, VIRTIO_VSOCK_TYPE_STREAM);
	return hdr;
}

/* Nothing more comes: whatever was due would have come before the answer to this. */
static void expect_silence(struct setup *s)
{
	packet_t hdr;

	send_op(s, 9, 9, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	hdr = expect_op(s, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(hdr.src_port, 9);
}

/* --- the host --- */

static int host_socket(struct setup *s, const char *suffix, bool listens)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s%s", s->path, suffix);
	if (listens) {
		unlink(addr.sun_path);
		assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
		assert_int_equal(listen(fd, 600), 0);
	} else {
		assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	}
	return fd;
}

static int host_accept(int listener)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 10000), 1);
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static size_t host_read(int fd, void *buf, size_t len)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t done = 0;
	ssize_t n = 1;

	while (done < len && n > 0) {
		assert_int_equal(poll(&p, 1, 10000), 1);
		n = read(fd, (char *)buf + done, len - done);
		done += MAX(n, 0);
	}
	return done;
}

static bool host_sees_end(int fd)
{
	char c;

	return host_read(fd, &c, 1) == 0;
}

/* The host connects to the guest's port; returns the host's socket and port. */
static int host_connect(struct setup *s, uint32_t guest_port, uint32_t *host_port)
{
	int fd = host_socket(s, "", false);
	char line[64] = "", want[64];
	packet_t hdr;

	snprintf(line, sizeof(line), "CONNECT %u\n", guest_port);
	assert_int_equal(write(fd, line, strlen(line)), strlen(line));
	hdr = expect_op(s, VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(hdr.dst_port, guest_port);
	assert_int_equal(hdr.buf_alloc, DEVICE_BUF);
	send_op(s, hdr.src_port, guest_port, VIRTIO_VSOCK_OP_RESPONSE);
	snprintf(want, sizeof(want), "OK %u\n", hdr.src_port);
	memset(line, 0, sizeof(line));
	assert_int_equal(host_read(fd, line, strlen(want)), strlen(want));
	assert_string_equal(line, want);
	*host_port = hdr.src_port;
	return fd;
}

/* The guest connects to PORT of the host. */
static int guest_connect(struct setup *s, uint32_t guest_port)
{
	int listener = host_socket(s, "_1234", true), fd;

	send_op(s, PORT, guest_port, VIRTIO_VSOCK_OP_REQUEST);
	expect_op(s, VIRTIO_VSOCK_OP_RESPONSE);
	fd = host_accept(listener);
	assert_true(fd >= 0);
	close(listener);
	return fd;
}

/* --- life --- */

static void bring_up(struct setup *s)
{
	assert_true(drv_negotiate(s->vdev, virtio_device_features(s->vdev) &
						   ~DRV_BIT(VIRTIO_F_RING_PACKED)));
	for (unsigned int q = 0; q < 3; q++)
		drv_setup_queue(&s->q[q], s->vdev, &s->ram, q, QUEUE_SIZE);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
}

static int setup_init(void **state)
{
	struct setup *s = calloc(1, sizeof(*s));

	log_set_level(LOG_LEVEL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	drv_ram_init(&s->ram);
	strcpy(s->dir, "/tmp/lkvm-vsock-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/v", s->dir);
	s->uds = vsock_uds_open(s->path);
	assert_non_null(s->uds);
	s->vdev = vsock_create(&s->ram.mem, "vsock", CID, s->uds);
	virtio_device_attach(s->vdev, &drv_transport_ops, &s->transport);
	bring_up(s);
	give_rx(s, QUEUE_SIZE);
	*state = s;
	return 0;
}

static int setup_fini(void **state)
{
	struct setup *s = *state;
	char path[80];

	virtio_device_destroy(s->vdev);
	vsock_uds_close(s->uds);
	drv_ram_fini(&s->ram);
	snprintf(path, sizeof(path), "%s_1234", s->path);
	unlink(path);
	assert_int_equal(rmdir(s->dir), 0);
	free(s);
	return 0;
}

static bool needs_reset(struct setup *s)
{
	return virtio_device_status(s->vdev) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* --- tests --- */

static void test_config(void **state)
{
	struct setup *s = *state;
	uint64_t cid = 0;

	virtio_device_config_read(s->vdev, 0, &cid, sizeof(cid));
	assert_int_equal(cid, CID);
}

static void test_host_connects(void **state)
{
	struct setup *s = *state;
	uint32_t port;
	int fd = host_connect(s, 80, &port);
	packet_t hdr = packet(port, 80, VIRTIO_VSOCK_OP_RW, 5);
	char buf[RX_BUF] = "";

	assert_true(port >= 1u << 30);
	assert_int_equal(write(fd, "hello", 5), 5);
	assert_int_equal(receive(s, buf).op, VIRTIO_VSOCK_OP_RW);
	assert_string_equal(buf, "hello");
	send_packet(s, &hdr, "world");
	assert_int_equal(host_read(fd, buf, 5), 5);
	assert_memory_equal(buf, "world", 5);
	close(fd);
	assert_int_equal(expect_op(s, VIRTIO_VSOCK_OP_SHUTDOWN).flags, 3);
	send_op(s, port, 80, VIRTIO_VSOCK_OP_RST);
	expect_silence(s);
}

/* Clients may send on before they have read the OK, as long as it is for the guest. */
static void test_host_hurries(void **state)
{
	struct setup *s = *state;
	int fd = host_socket(s, "", false);
	char buf[RX_BUF] = "";
	packet_t hdr;

	assert_int_equal(write(fd, "CONN", 4), 4);
	expect_silence(s);
	assert_int_equal(write(fd, "ECT 7\nearly", 11), 11);
	hdr = expect_op(s, VIRTIO_VSOCK_OP_REQUEST);
	send_op(s, hdr.src_port, 7, VIRTIO_VSOCK_OP_RESPONSE);
	assert_int_equal(receive(s, buf).len, 5);
	assert_string_equal(buf, "early");
	close(fd);
}

static void test_host_greets_badly(void **state)
{
	static const char *const lines[] = {
		"HELLO 80\n",	   "CONNECT\n",
		"CONNECT \n",	   "CONNECT x\n",
		"CONNECT -1\n",	   "CONNECT 4294967296\n",
		"CONNECT 80 81\n", "CONNECT                                              80\n",
	};
	struct setup *s = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(lines); i++) {
		int fd = host_socket(s, "", false);
		char c;

		assert_int_equal(write(fd, lines[i], strlen(lines[i])), strlen(lines[i]));
		/* The end, or ECONNRESET for what was not read. */
		assert_int_equal(host_read(fd, &c, 1), 0);
		close(fd);
	}
	expect_silence(s);
}

static void test_guest_refuses(void **state)
{
	struct setup *s = *state;
	int fd = host_socket(s, "", false);
	packet_t hdr;

	assert_int_equal(write(fd, "CONNECT 80\n", 11), 11);
	hdr = expect_op(s, VIRTIO_VSOCK_OP_REQUEST);
	send_op(s, hdr.src_port, 80, VIRTIO_VSOCK_OP_RST);
	assert_true(host_sees_end(fd));
	close(fd);
	/* A host that has gone before the answer. */
	fd = host_socket(s, "", false);
	assert_int_equal(write(fd, "CONNECT 80\n", 11), 11);
	hdr = expect_op(s, VIRTIO_VSOCK_OP_REQUEST);
	close(fd);
	assert_int_equal(expect_op(s, VIRTIO_VSOCK_OP_RST).src_port, hdr.src_port);
}

static void test_guest_connects(void **state)
{
	struct setup *s = *state;
	int fd = guest_connect(s, 1000);
	packet_t hdr = packet(PORT, 1000, VIRTIO_VSOCK_OP_RW, 5);
	char buf[RX_BUF] = "";

	send_packet(s, &hdr, "hello");
	assert_int_equal(host_read(fd, buf, 5), 5);
	assert_memory_equal(buf, "hello", 5);
	/* The guest closes; what it has sent arrives all the same, then the end. */
	send_packet(s, &hdr, "again");
	hdr = packet(PORT, 1000, VIRTIO_VSOCK_OP_SHUTDOWN, 0);
	hdr.flags = 3;
	send_packet(s, &hdr, NULL);
	expect_op(s, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(host_read(fd, buf, 6), 5);
	close(fd);
	/* Nobody there. */
	send_op(s, 99, 1000, VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(expect_op(s, VIRTIO_VSOCK_OP_RST).src_port, 99);
	expect_silence(s);
}

static void test_half_close(void **state)
{
	struct setup *s = *state;
	int fd = guest_connect(s, 1000);
	packet_t hdr = packet(PORT, 1000, VIRTIO_VSOCK_OP_RW, 4);
	char buf[RX_BUF] = "";

	shutdown(fd, SHUT_WR);
	assert_int_equal(expect_op(s, VIRTIO_VSOCK_OP_SHUTDOWN).flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	send_packet(s, &hdr, "last");
	assert_int_equal(host_read(fd, buf, 4), 4);
	hdr = packet(PORT, 1000, VIRTIO_VSOCK_OP_SHUTDOWN, 0);
	hdr.flags = VIRTIO_VSOCK_SHUTDOWN_SEND;
	send_packet(s, &hdr, NULL);
	assert_true(host_sees_end(fd));
	/* Both directions are at their ends. */
	assert_int_equal(expect_op(s, VIRTIO_VSOCK_OP_SHUTDOWN).flags, 3);
	close(fd);

	fd = guest_connect(s, 1001);
	hdr.src_port = 1001;
	send_packet(s, &hdr, NULL);
	assert_true(host_sees_end(fd));
	assert_int_equal(write(fd, "tail", 4), 4);
	assert_int_equal(receive(s, buf).len, 4);
	assert_memory_equal(buf, "tail", 4);
	close(fd);
	assert_int_equal(expect_op(s, VIRTIO_VSOCK_OP_SHUTDOWN).flags, 3);
}

/* No more is sent to the guest than it has room for; when it says that it has, it goes on. */
static void test_credit_to_guest(void **state)
{
	struct setup *s = *state;
	static char data[20000], got[20000 + RX_BUF];
	int fd = guest_connect(s, 1000);
	packet_t hdr = packet(PORT, 1000, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	uint32_t n = 0;

	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = i * 7;
	hdr.buf_alloc = 10000;
	send_packet(s, &hdr, NULL);
	assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
	while (n < 10000)
		n += receive(s, got + n).len;
	assert_int_equal(n, 10000);
	expect_op(s, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	expect_silence(s);
	hdr.fwd_cnt = 10000;
	send_packet(s, &hdr, NULL);
	while (n < 20000)
		n += receive(s, got + n).len;
	expect_op(s, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	assert_memory_equal(got, data, sizeof(data));
	/* Nonsense is no credit: it has read more than there was. */
	hdr.fwd_cnt = 30000;
	send_packet(s, &hdr, NULL);
	assert_int_equal(write(fd, data, 1), 1);
	expect_silence(s);
	hdr.fwd_cnt = 20000;
	send_packet(s, &hdr, NULL);
	assert_int_equal(receive(s, NULL).len, 1);
	close(fd);
}

/* The guest may send what the buffer holds, waits for the host's reader, and loses nothing. */
static void test_credit_from_guest(void **state)
{
	struct setup *s = *state;
	static uint8_t data[60000], got[60000];
	int fd = guest_connect(s, 1000);
	packet_t hdr = packet(PORT, 1000, VIRTIO_VSOCK_OP_RW, sizeof(data));
	uint64_t sent = 0, read_back = 0;
	uint32_t fwd = 0, len;
	int id;

	for (unsigned int round = 0; round < 40; round++) {
		for (unsigned int i = 0; i < sizeof(data); i++)
			data[i] = (sent + i) % 251;
		/* As a driver does: wait for room. Some of it is in the host's socket. */
		while (sent + sizeof(data) - fwd > DEVICE_BUF) {
			/* When all has been read, word of the room is on its way. */
			if (read_back == sent ? drv_wait_used(&s->q[RX], &id, &len)
					      : drv_get_used(&s->q[RX], &id, &len)) {
				packet_t *p = drv_ptr(&s->ram, s->rx_gpa[id]);

				assert_int_equal(p->op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
				fwd = p->fwd_cnt;
				give_rx(s, 1);
				continue;
			}
			assert_int_equal(host_read(fd, got, 1000), 1000);
			for (unsigned int i = 0; i < 1000; i++)
				assert_int_equal(got[i], (read_back + i) % 251);
			read_back += 1000;
		}
		send_packet(s, &hdr, data);
		sent += sizeof(data);
	}
	/* It is gone for the guest, and the rest is still delivered. */
	hdr = packet(PORT, 1000, VIRTIO_VSOCK_OP_SHUTDOWN, 0);
	hdr.flags = 3;
	send_packet(s, &hdr, NULL);
	while (read_back < sent) {
		size_t n = host_read(fd, got, 1000);

		assert_true(n > 0);
		for (unsigned int i = 0; i < n; i++)
			assert_int_equal(got[i], (read_back + i) % 251);
		read_back += n;
	}
	assert_true(host_sees_end(fd));
	close(fd);
}

/* A guest that sends more than it may loses the connection, and nothing else happens. */
static void test_overrun(void **state)
{
	struct setup *s = *state;
	static uint8_t data[TX_BUF - 64];
	int fd = guest_connect(s, 1000), other = guest_connect(s, 1001);
	packet_t hdr = packet(PORT, 1000, VIRTIO_VSOCK_OP_RW, sizeof(data)), got;
	char buf[5];
	uint32_t len;
	int id;

	for (unsigned int i = 0; i < 40; i++)
		send_packet(s, &hdr, data);
	do {
		assert_true(drv_wait_used(&s->q[RX], &id, &len));
		memcpy(&got, drv_ptr(&s->ram, s->rx_gpa[id]), HDR);
	} while (got.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(got.op, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(got.dst_port, 1000);
	assert_false(needs_reset(s));
	hdr = packet(PORT, 1001, VIRTIO_VSOCK_OP_RW, 5);
	send_packet(s, &hdr, "alive");
	assert_int_equal(host_read(other, buf, 5), 5);
	close(fd);
	close(other);
}

/* The host reads no more: the guest is told, and its bytes go nowhere. */
static void test_host_deaf(void **state)
{
	struct setup *s = *state;
	int fd = guest_connect(s, 1000);
	packet_t hdr = packet(PORT, 1000, VIRTIO_VSOCK_OP_RW, 5);

	shutdown(fd, SHUT_RD);
	send_packet(s, &hdr, "hello");
	assert_int_equal(expect_op(s, VIRTIO_VSOCK_OP_SHUTDOWN).flags, VIRTIO_VSOCK_SHUTDOWN_RCV);
	for (unsigned int i = 0; i < 10; i++)
		send_packet(s, &hdr, "hello");
	assert_int_equal(write(fd, "hi", 2), 2);
	assert_int_equal(receive(s, NULL).len, 2);
	close(fd);
	assert_int_equal(expect_op(s, VIRTIO_VSOCK_OP_SHUTDOWN).flags, 3);
}

static void test_hostile_headers(void **state)
{
	struct setup *s = *state;
	int fd = guest_connect(s, 1000);
	packet_t hdr;

	/* Not from this guest, or not even a header: dropped. */
	hdr = packet(PORT, 1, VIRTIO_VSOCK_OP_REQUEST, 0);
	hdr.src_cid = 43;
	send_packet(s, &hdr, NULL);
	send_raw(s, &hdr, NULL, HDR - 1, 0);
	wait_sent(s);
	expect_silence(s);
	/* Another guest, or another type of socket: refused in its own words. */
	hdr = packet(PORT, 1, VIRTIO_VSOCK_OP_REQUEST, 0);
	hdr.dst_cid = 77;
	send_packet(s, &hdr, NULL);
	hdr = receive(s, NULL);
	assert_int_equal(hdr.op, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(hdr.src_cid, 77);
	hdr = packet(PORT, 1, VIRTIO_VSOCK_OP_REQUEST, 0);
	hdr.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
	send_packet(s, &hdr, NULL);
	hdr = receive(s, NULL);
	assert_int_equal(hdr.op, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(hdr.type, VIRTIO_VSOCK_TYPE_SEQPACKET);
	/* No connection: every operation but RST and REQUEST is answered by RST. */
	for (uint16_t op = 0; op < 20; op++) {
		if (op == VIRTIO_VSOCK_OP_REQUEST || op == VIRTIO_VSOCK_OP_RST)
			continue;
		send_op(s, 5, 5, op);
		assert_int_equal(expect_op(s, VIRTIO_VSOCK_OP_RST).src_port, 5);
	}
	send_op(s, 5, 5, VIRTIO_VSOCK_OP_RST);
	expect_silence(s);
	/* More data than the chain has. */
	hdr = packet(PORT, 1000, VIRTIO_VSOCK_OP_RW, 4096);
	send_raw(s, &hdr, "x", HDR, 1);
	wait_sent(s);
	expect_op(s, VIRTIO_VSOCK_OP_RST);
	assert_true(host_sees_end(fd));
	close(fd);
	/* A second REQUEST, an answer nobody asked for, an operation nobody knows. */
	for (uint16_t op = 0; op < 20; op++) {
		if (op >= VIRTIO_VSOCK_OP_RST && op <= VIRTIO_VSOCK_OP_CREDIT_REQUEST &&
		    op != VIRTIO_VSOCK_OP_RESPONSE)
			continue;
		fd = guest_connect(s, 2000 + op);
		send_op(s, PORT, 2000 + op, op);
		assert_int_equal(expect_op(s, VIRTIO_VSOCK_OP_RST).dst_port, 2000 + op);
		close(fd);
	}
	assert_false(needs_reset(s));
}

/* A guest that takes no packets: it is not served either, until it does. Nothing grows. */
static void test_reset_flood(void **state)
{
	enum { KEPT = 64, MORE = 20 };
	struct setup *s = *state;
	packet_t hdr = packet(1, 1, VIRTIO_VSOCK_OP_RW, 0);
	uint32_t len;
	int id;

	virtio_device_set_status(s->vdev, 0);
	bring_up(s);
	for (unsigned int i = 0; i < KEPT; i++)
		send_packet(s, &hdr, NULL);
	for (unsigned int i = 0; i < MORE; i++)
		send_raw(s, &hdr, NULL, HDR, 0);
	for (unsigned int i = 0; i < 100; i++)
		drv_pause();
	assert_false(drv_get_used(&s->q[TX], &id, &len));
	give_rx(s, QUEUE_SIZE);
	for (unsigned int i = 0; i < KEPT + MORE; i++)
		expect_op(s, VIRTIO_VSOCK_OP_RST);
	for (unsigned int i = 0; i < MORE; i++)
		wait_sent(s);
	assert_false(needs_reset(s));
	expect_silence(s);
}

/* As many connections as are allowed; the next is refused, and one that ends makes room. */
static void test_many(void **state)
{
	enum { MANY = 512 };
	struct setup *s = *state;
	int listener = host_socket(s, "_1234", true);
	static int fd[MANY];
	packet_t hdr;
	char c;

	for (unsigned int i = 0; i < MANY; i++) {
		send_op(s, PORT, 3000 + i, VIRTIO_VSOCK_OP_REQUEST);
		expect_op(s, VIRTIO_VSOCK_OP_RESPONSE);
		fd[i] = host_accept(listener);
	}
	send_op(s, PORT, 2999, VIRTIO_VSOCK_OP_REQUEST);
	expect_op(s, VIRTIO_VSOCK_OP_RST);
	for (unsigned int i = 0; i < MANY; i++) {
		hdr = packet(PORT, 3000 + i, VIRTIO_VSOCK_OP_RW, 1);
		c = i;
		send_packet(s, &hdr, &c);
		c = 0;
		assert_int_equal(host_read(fd[i], &c, 1), 1);
		assert_int_equal(c, (char)i);
	}
	send_op(s, PORT, 3000, VIRTIO_VSOCK_OP_RST);
	assert_true(host_sees_end(fd[0]));
	send_op(s, PORT, 2999, VIRTIO_VSOCK_OP_REQUEST);
	expect_op(s, VIRTIO_VSOCK_OP_RESPONSE);
	/* A reset of the device ends them all; the path stays. */
	virtio_device_set_status(s->vdev, 0);
	for (unsigned int i = 1; i < MANY; i++)
		assert_true(host_sees_end(fd[i]));
	for (unsigned int i = 0; i < MANY; i++)
		close(fd[i]);
	close(listener);
	bring_up(s);
	give_rx(s, QUEUE_SIZE);
	fd[0] = guest_connect(s, 1);
	close(fd[0]);
}

static void test_tiny_rx_buffer(void **state)
{
	struct setup *s = *state;
	struct drv_buf buf = {DRV_DATA, HDR};

	virtio_device_set_status(s->vdev, 0);
	bring_up(s);
	assert_true(drv_add(&s->q[RX], &buf, 0, 1, 0) >= 0);
	kick(s, RX);
	send_op(s, 5, 5, VIRTIO_VSOCK_OP_RW);
	assert_true(DRV_WAIT(needs_reset(s)));
}

/* --- the words of --vsock, and the path --- */

static int parse(const char *word, struct vsock_params *params)
{
	static char words[128];

	strcpy(words, word);
	return vsock_params_parse(params, words);
}

static void test_words(void **state)
{
	static const char *const bad[] = {"",		"x",	 "0",	  "2",	"4294967295",
					  "4294967296", "3,uds", "3,x=1", "3=4"};
	struct vsock_params params;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), err = dup(2);

	(void)state;
	assert_int_equal(parse("3", &params), 0);
	assert_int_equal(params.cid, 3);
	assert_null(params.uds);
	assert_int_equal(parse("4294967294,uds=/a b", &params), 0);
	assert_string_equal(params.uds, "/a b");
	dup2(null, 2);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse(bad[i], &params), -EINVAL);
	dup2(err, 2);
	close(err);
	close(null);
}

static void test_path(void **state)
{
	char dir[] = "/tmp/lkvm-vsock-XXXXXX", path[64], long_path[200];
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), err = dup(2), fd;
	struct vsock_uds *uds, *second;
	struct setup s = {0};

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/v", dir);
	snprintf(s.path, sizeof(s.path), "%s/v", dir);
	dup2(null, 2);
	/* A file is not taken over, nor a socket that is alive. */
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_null(vsock_uds_open(path));
	assert_int_equal(unlink(path), 0);
	uds = vsock_uds_open(path);
	assert_non_null(uds);
	second = vsock_uds_open(path);
	assert_null(second);
	vsock_uds_close(uds);
	assert_int_equal(access(path, F_OK), -1);
	/* One that is dead is. */
	fd = host_socket(&s, "", true);
	close(fd);
	uds = vsock_uds_open(path);
	assert_non_null(uds);
	vsock_uds_close(uds);
	/* Room for the longest port must be left. */
	memset(long_path, 'a', sizeof(long_path));
	long_path[0] = '/';
	long_path[100] = 0;
	assert_null(vsock_uds_open(long_path));
	dup2(err, 2);
	close(err);
	close(null);
	rmdir(dir);
}

int main(void)
{
#define WITH_DEVICE(fn) cmocka_unit_test_setup_teardown(fn, setup_init, setup_fini)
	const struct CMUnitTest tests[] = {
		WITH_DEVICE(test_config),
		WITH_DEVICE(test_host_connects),
		WITH_DEVICE(test_host_hurries),
		WITH_DEVICE(test_host_greets_badly),
		WITH_DEVICE(test_guest_refuses),
		WITH_DEVICE(test_guest_connects),
		WITH_DEVICE(test_half_close),
		WITH_DEVICE(test_credit_to_guest),
		WITH_DEVICE(test_credit_from_guest),
		WITH_DEVICE(test_overrun),
		WITH_DEVICE(test_host_deaf),
		WITH_DEVICE(test_hostile_headers),
		WITH_DEVICE(test_reset_flood),
		WITH_DEVICE(test_many),
		WITH_DEVICE(test_tiny_rx_buffer),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
