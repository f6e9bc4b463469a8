/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_NET_CELLS_H
#define BENCH_NET_CELLS_H

#include <stdint.h>

/*
 * What is measured, by net-guest (in a guest) and by net-tool (without one), and the frames by which
 * they ask net-tool, which serves on the tap's other side, for what they need of it:
 *
 *	NET_SEND	so many data frames of so many bytes. NET_WINDOW of them may be on their way;
 *	NET_ACK		so many of them have come, in all
 *	NET_ECHO	this frame, back
 *
 * Data frames that are sent to it are of another protocol, and end in the host's stack.
 */
#define NET_TALK   0x88b5 /* IEEE 802: for local experiments */
#define NET_DATA   0x88b6
#define NET_WINDOW 512 /* less than a tap's queue, so that nothing is lost */
#define NET_ACKS   128 /* one for so many frames */
#define NET_BIG	   65214 /* 45 segments; a device takes no more than 65535 */

enum net_op { NET_SEND = 1, NET_ACK, NET_ECHO };

struct net_frame {
	uint8_t to[6], from[6];
	uint16_t protocol; /* big endian */
	uint16_t op;
	uint32_t count, bytes;
	uint8_t pad[36]; /* 60 bytes, the shortest that Ethernet has */
};

/* IPv4 and TCP's headers of a segment that the other side is to cut, in a frame of NET_BIG bytes. */
#define NET_BIG_HEADERS                                                                            \
	{                                                                                          \
		0x08, 0x00, 0x45, 0, 0xfe, 0xb0, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, \
			2, 2, 0x30, 0x39, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, \
			0, 0, 0                                                                    \
	}
#define NET_BIG_HDR_LEN	 54
#define NET_BIG_GSO_SIZE 1448

enum net_what { NET_TX, NET_RX, NET_RTT };

static const struct net_cell {
	const char *name;
	enum net_what what;
	uint32_t bytes, share; /* frames: one in so many of what was asked for */
	_Bool mergeable;
} net_cells[] = {
	{"to-host-60", NET_TX, 60, 1, 1},	 {"to-host-1514", NET_TX, 1514, 1, 1},
	{"to-host-64k", NET_TX, NET_BIG, 5, 1},	 {"to-guest-60", NET_RX, 60, 1, 1},
	{"to-guest-1514", NET_RX, 1514, 1, 1},	 {"to-guest-64k", NET_RX, NET_BIG, 5, 1},
	{"to-guest-60-plain", NET_RX, 60, 1, 0}, {"to-guest-1514-plain", NET_RX, 1514, 1, 0},
	{"round-trip-60", NET_RTT, 60, 20, 1},
};

#endif
