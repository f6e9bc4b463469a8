// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An address from a DHCP server (RFC 2131), for NICs that lkvm is not the router of. IPv4, the
 * first NIC; replies are asked for as broadcasts, as nobody can send to an address we do not have.
 */
#include <asm/errno.h>
#include <asm/fcntl.h>
#include <asm/socket.h>
#include <linux/if.h>
#include <linux/in.h>
#include <linux/poll.h>
#include <linux/sockios.h>
#include <linux/time_types.h>

#include "init.h"
#include "net.h"

#define DHCP_MAGIC	0x63538263 /* as it lies in memory */
#define DHCP_TRIES	60	   /* a second each, before it rests */
#define DHCP_REST	60	   /* seconds */
#define DHCP_FOREGROUND 6	   /* seconds that the command's start may be held up */
#define DHCP_MAX_LEASE	86400

enum { DHCP_DISCOVER = 1, DHCP_OFFER, DHCP_REQUEST, DHCP_ACK = 5, DHCP_NAK };
enum {
	OPT_MASK = 1,
	OPT_ROUTER = 3,
	OPT_DNS = 6,
	OPT_ADDR = 50,
	OPT_LEASE,
	OPT_TYPE = 53,
	OPT_SERVER,
	OPT_WANTED,
	OPT_END = 255
};

/* Addresses are in network order throughout. */
struct dhcp_packet {
	unsigned char op, htype, hlen, hops;
	unsigned int xid;
	unsigned short secs, flags;
	unsigned int ciaddr, yiaddr, siaddr, giaddr;
	unsigned char chaddr[16], sname[64], file[128];
	unsigned int magic;
	unsigned char options[312];
};

struct dhcp {
	int fd;
	const char *nic;
	bool write_resolv_conf;
	unsigned char mac[6];
	unsigned int server, lease;
	struct net_address got;
};

static unsigned int dhcp_load(const unsigned char *p)
{
	unsigned int val;

	memcpy(&val, p, sizeof(val));
	return val;
}

static unsigned char *dhcp_put(unsigned char *p, unsigned char option, unsigned int val)
{
	p[0] = option;
	p[1] = sizeof(val);
	memcpy(p + 2, &val, sizeof(val));
	return p + 2 + sizeof(val);
}

static void dhcp_send(const struct dhcp *dhcp, unsigned char type)
{
	static const unsigned char wanted[] = {OPT_WANTED, 3, OPT_MASK, OPT_ROUTER, OPT_DNS};
	struct sockaddr_in to = {
		.sin_family = NET_AF_INET, .sin_port = 67 << 8, .sin_addr.s_addr = 0xffffffff};
	struct dhcp_packet packet = {.op = 1, .htype = 1, .hlen = 6, .magic = DHCP_MAGIC};
	unsigned char *p = packet.options;

	packet.flags = 0x80; /* broadcast, in network order */
	memcpy(packet.chaddr, dhcp->mac, sizeof(dhcp->mac));
	memcpy(&packet.xid, dhcp->mac + 2, sizeof(packet.xid));
	*p++ = OPT_TYPE;
	*p++ = 1;
	*p++ = type;
	memcpy(p, wanted, sizeof(wanted));
	p += sizeof(wanted);
	if (type == DHCP_REQUEST) {
		p = dhcp_put(p, OPT_ADDR, dhcp->got.addr);
		p = dhcp_put(p, OPT_SERVER, dhcp->server);
	}
	*p = OPT_END;
	sys_call6(__NR_sendto, dhcp->fd, (long)&packet, sizeof(packet), 0, (long)&to, sizeof(to));
}

/* The packet's type, 0 when it is none for us. What it offers is in *dhcp then. */
static unsigned int dhcp_parse(struct dhcp *dhcp, const struct dhcp_packet *packet, long len)
{
	const unsigned char *end = (const unsigned char *)packet + len, *p = packet->options;
	unsigned int type = 0, xid;

	memcpy(&xid, dhcp->mac + 2, sizeof(xid));
	if (len < (long)(sizeof(*packet) - sizeof(packet->options)) || packet->op != 2 ||
	    packet->magic != DHCP_MAGIC || packet->xid != xid)
		return 0;
	dhcp->got = (struct net_address){.addr = packet->yiaddr, .mask = 0x00ffffff};
	dhcp->lease = DHCP_MAX_LEASE;
	while (p + 1 < end && *p != OPT_END) {
		const unsigned char *val = p + 2;
		unsigned int n = p[1];

		if (*p == 0) {
			p++;
			continue;
		}
		if (val + n > end)
			break;
		if (*p == OPT_TYPE && n == 1)
			type = *val;
		if (*p == OPT_MASK && n == 4)
			dhcp->got.mask = dhcp_load(val);
		if (*p == OPT_ROUTER && n >= 4)
			dhcp->got.gateway = dhcp_load(val);
		if (*p == OPT_DNS && n >= 4)
			dhcp->got.dns = dhcp_load(val);
		if (*p == OPT_SERVER && n == 4)
			dhcp->server = dhcp_load(val);
		if (*p == OPT_LEASE && n == 4)
			dhcp->lease = __builtin_bswap32(dhcp_load(val));
		p = val + n;
	}
	if (dhcp->lease > DHCP_MAX_LEASE)
		dhcp->lease = DHCP_MAX_LEASE;
	return type;
}

/* The next answer within about a second; 0: there was none. */
static unsigned int dhcp_receive(struct dhcp *dhcp)
{
	const struct __kernel_timespec second = {.tv_sec = 1};
	struct pollfd p = {.fd = dhcp->fd, .events = POLLIN};
	struct dhcp_packet packet;
	unsigned int type = 0;

	while (!type && SYS(ppoll, &p, 1, &second, NULL, 0) > 0) {
		long n = SYS(read, dhcp->fd, &packet, sizeof(packet), 0, 0);

		if (n > 0)
			type = dhcp_parse(dhcp, &packet, n);
	}
	return type;
}

/* True: there is an address. */
static bool dhcp_acquire(struct dhcp *dhcp)
{
	dhcp_send(dhcp, DHCP_DISCOVER);
	if (dhcp_receive(dhcp) != DHCP_OFFER)
		return false;
	dhcp_send(dhcp, DHCP_REQUEST);
	return dhcp_receive(dhcp) == DHCP_ACK;
}

static void dhcp_sleep(unsigned int seconds)
{
	const struct __kernel_timespec time = {.tv_sec = seconds};

	SYS(nanosleep, &time, NULL, 0, 0, 0);
}

/* done_fd: closed once there is an address. For ever: leases end. */
static void __attribute__((noreturn)) dhcp_main(struct dhcp *dhcp, int done_fd)
{
	for (unsigned int tries = 0;; tries++) {
		if (dhcp_acquire(dhcp)) {
			net_use(dhcp->nic, &dhcp->got, dhcp->write_resolv_conf);
			SYS(close, done_fd, 0, 0, 0, 0);
			dhcp_sleep(dhcp->lease / 2 + 1);
			tries = 0;
		} else if (tries >= DHCP_TRIES) {
			dhcp_sleep(DHCP_REST);
		}
	}
}

static int dhcp_open(const char *nic)
{
	const struct sockaddr_in any = {.sin_family = NET_AF_INET, .sin_port = 68 << 8};
	int fd = (int)SYS(socket, NET_AF_INET, NET_SOCK_DGRAM | O_NONBLOCK | O_CLOEXEC, 0, 0, 0);
	int on = 1;

	if (fd < 0 || SYS(setsockopt, fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) < 0 ||
	    SYS(setsockopt, fd, SOL_SOCKET, SO_BINDTODEVICE, nic, strlen(nic) + 1) < 0 ||
	    SYS(bind, fd, &any, sizeof(any), 0, 0) < 0) {
		init_say("no way to ask for an address", "", "");
		return -1;
	}
	return fd;
}

/* In a process of its own, which is not waited for as long as a server may take to wake up. */
void dhcp_start(const char *nic, bool write_resolv_conf)
{
	const struct __kernel_timespec patience = {.tv_sec = DHCP_FOREGROUND};
	struct dhcp dhcp = {.nic = nic, .write_resolv_conf = write_resolv_conf};
	struct ifreq req = {0};
	struct pollfd p = {.events = 0};
	int done[2];

	dhcp.fd = dhcp_open(nic);
	if (dhcp.fd < 0 || SYS(pipe2, done, O_CLOEXEC, 0, 0, 0) < 0)
		return;
	memcpy(req.ifr_name, nic, strlen(nic));
	SYS(ioctl, dhcp.fd, SIOCGIFHWADDR, &req, 0, 0);
	memcpy(dhcp.mac, req.ifr_hwaddr.sa_data, sizeof(dhcp.mac));
	if (spawn_fork() == 0)
		dhcp_main(&dhcp, done[1]);
	SYS(close, done[1], 0, 0, 0, 0);
	SYS(close, dhcp.fd, 0, 0, 0, 0);
	p.fd = done[0];
	SYS(ppoll, &p, 1, &patience, NULL, 0);
	SYS(close, done[0], 0, 0, 0, 0);
}
