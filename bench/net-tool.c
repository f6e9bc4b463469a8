// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * net-tool serve TAP: the host's side of net-guest (net-cells.h), on a packet socket.
 *
 * net-tool floor TAP FRAMES: what a guest does, by read() and write() on the tap itself; with a server
 * running, prints a line a cell, frames a second:
 *
 *	to-host-60 1234567.8
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net-cells.h"
#include "tool.h"

#define BATCH 64 /* frames a sendmmsg() */

static const struct virtio_net_hdr big_header = {
	.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
	.hdr_len = NET_BIG_HDR_LEN,
	.gso_size = NET_BIG_GSO_SIZE,
	.csum_start = 34,
	.csum_offset = 16,
};

static uint8_t data[NET_BIG];

static void write_data(uint32_t bytes, uint8_t to)
{
	static const uint8_t big[] = NET_BIG_HEADERS;
	struct net_frame *frame = (void *)data;

	*frame = (struct net_frame){.to = {2, 0, 0, 0, 0, to}, .from = {2, 0, 0, 0, 0, 3 - to}};
	frame->protocol = htons(NET_DATA);
	if (bytes == NET_BIG)
		memcpy(&frame->protocol, big, sizeof(big));
}

/* --- the server --- */

static int packet_socket(const char *tap, uint16_t protocol, int with_header)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1;
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = if_nametoindex(tap),
	};

	if (fd < 0 || !at.sll_ifindex || bind(fd, (void *)&at, sizeof(at)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) ||
	    (with_header &&
	     setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &with_header, sizeof(with_header))))
		die(tap);
	return fd;
}

static void send_batch(int fd, uint32_t bytes, uint32_t nr)
{
	struct iovec iov[2] = {{(void *)&big_header, sizeof(big_header)}, {data, bytes}};
	struct mmsghdr msg[BATCH] = {0};

	for (uint32_t i = 0; i < nr; i++) {
		msg[i].msg_hdr.msg_iov = bytes == NET_BIG ? iov : iov + 1;
		msg[i].msg_hdr.msg_iovlen = bytes == NET_BIG ? 2 : 1;
	}
	if (sendmmsg(fd, msg, nr, 0) != (int)nr)
		die("sendmmsg");
}

static void serve_send(int talk, int fd, uint32_t bytes, uint32_t nr)
{
	uint32_t sent = 0, seen = 0;

	write_data(bytes, 2);
	while (sent < nr) {
		uint32_t now_sent = nr - sent;
		struct net_frame frame;

		if (now_sent > BATCH)
			now_sent = BATCH;
		if (sent + now_sent <= seen + NET_WINDOW) {
			send_batch(fd, bytes, now_sent);
			sent += now_sent;
		} else if (recv(talk, &frame, sizeof(frame), 0) < 0) {
			die("recv");
		} else if (frame.op == NET_ACK) {
			seen = frame.count;
		}
	}
}

static void serve(const char *tap)
{
	int talk = packet_socket(tap, NET_TALK, 0), plain = packet_socket(tap, 0, 0),
	    big = packet_socket(tap, 0, 1);
	struct net_frame frame;

	puts("ready");
	fflush(stdout);
	for (;;) {
		/* The interface is down until a guest comes, and the socket says so once. */
		if (recv(talk, &frame, sizeof(frame), 0) < 0 && errno != ENETDOWN)
			die("recv");
		if (frame.op == NET_SEND)
			serve_send(talk, frame.bytes == NET_BIG ? big : plain, frame.bytes,
				   frame.count);
		else if (frame.op == NET_ECHO && send(talk, &frame, sizeof(frame), 0) < 0)
			die("send");
		frame.op = 0;
	}
}

/* --- the floor --- */

struct buffer {
	struct virtio_net_hdr_v1 header;
	uint8_t frame[NET_BIG];
} __attribute__((packed));

static int tap_open(const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	int len = sizeof(struct virtio_net_hdr_v1);

	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) || ioctl(fd, TUNSETVNETHDRSZ, &len) ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4))
		die(name);
	return fd;
}

static void put(int fd, const struct buffer *buffer, uint32_t bytes)
{
	if (write(fd, buffer, sizeof(buffer->header) + bytes) < 0)
		die("write");
}

static void tell(int fd, enum net_op op, uint32_t count, uint32_t bytes)
{
	struct buffer buffer = {0};
	struct net_frame frame = {.to = {2, 0, 0, 0, 0, 1},
				  .from = {2, 0, 0, 0, 0, 2},
				  .protocol = htons(NET_TALK),
				  .op = op,
				  .count = count,
				  .bytes = bytes};

	memcpy(buffer.frame, &frame, sizeof(frame));
	put(fd, &buffer, sizeof(frame));
}

static void get(int fd, uint32_t bytes)
{
	static struct buffer buffer;
	ssize_t len = read(fd, &buffer, sizeof(buffer));

	if (len != (ssize_t)(sizeof(buffer.header) + bytes)) {
		fprintf(stderr, "a frame of %zd bytes, not %u\n", len, bytes);
		exit(1);
	}
}

static void floor_tx(int fd, const struct net_cell *cell, uint32_t nr)
{
	static struct buffer buffer;

	write_data(cell->bytes, 1);
	buffer = (struct buffer){0};
	if (cell->bytes == NET_BIG)
		memcpy(&buffer.header, &big_header, sizeof(big_header));
	memcpy(buffer.frame, data, cell->bytes);
	while (nr--)
		put(fd, &buffer, cell->bytes);
}

static void floor_rx(int fd, const struct net_cell *cell, uint32_t nr)
{
	tell(fd, NET_SEND, nr, cell->bytes);
	for (uint32_t i = 1; i <= nr; i++) {
		get(fd, cell->bytes);
		if (i % NET_ACKS == 0)
			tell(fd, NET_ACK, i, 0);
	}
}

static void floor_rtt(int fd, const struct net_cell *cell, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		tell(fd, NET_ECHO, i, 0);
		get(fd, cell->bytes);
	}
}

static void run_floor(const char *tap, uint32_t frames)
{
	static void (*const run[])(int fd, const struct net_cell *cell, uint32_t nr) = {
		[NET_TX] = floor_tx,
		[NET_RX] = floor_rx,
		[NET_RTT] = floor_rtt,
	};
	int fd = tap_open(tap);

	for (unsigned int i = 0; i < sizeof(net_cells) / sizeof(net_cells[0]); i++) {
		const struct net_cell *cell = &net_cells[i];
		uint32_t nr = frames / cell->share;
		double begin = now();

		run[cell->what](fd, cell, nr);
		printf("%s %.1f\n", cell->name, nr / (now() - begin));
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(argv[2]);
	else if (argc == 4 && !strcmp(argv[1], "floor"))
		run_floor(argv[2], atoi(argv[3]));
	else
		fputs("usage: net-tool serve TAP | net-tool floor TAP FRAMES\n", stderr);
	return argc < 3 ? 2 : 0;
}
