// SPDX-License-Identifier: GPL-2.0-or-later
#include <asm/fcntl.h>
#include <linux/fcntl.h>
#include <linux/if.h>
#include <linux/in.h>
#include <linux/route.h>
#include <linux/socket.h>
#include <linux/sockios.h>

#include "init.h"
#include "net.h"

#define NET_NIC "eth0"

/* One of the kernel's addresses; 0 for "any". */
static void net_set_addr(void *to, unsigned int addr)
{
	struct sockaddr_in in = {.sin_family = NET_AF_INET, .sin_addr.s_addr = addr};

	memcpy(to, &in, sizeof(struct sockaddr));
}

/* A dotted address up to '/' or the end, in network order. */
static unsigned int net_parse(const char *s, const char **end)
{
	unsigned char bytes[4];
	unsigned int addr;

	for (unsigned int i = 0; i < 4; i++) {
		bytes[i] = (unsigned char)str_number(s, &s);
		if (*s == '.' || *s == '/')
			s++;
	}
	*end = s;
	memcpy(&addr, bytes, sizeof(addr));
	return addr;
}

static long net_up(int fd, const char *name)
{
	struct ifreq req = {.ifr_flags = IFF_UP | IFF_RUNNING};

	memcpy(req.ifr_name, name, strlen(name));
	return SYS(ioctl, fd, SIOCSIFFLAGS, &req, 0, 0);
}

static void net_set(int fd, const char *name, unsigned long request, unsigned int addr)
{
	struct ifreq req = {0};

	memcpy(req.ifr_name, name, strlen(name));
	net_set_addr(&req.ifr_addr, addr);
	SYS(ioctl, fd, request, &req, 0, 0);
}

static void net_default_route(int fd, unsigned int gateway)
{
	struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};

	net_set_addr(&route.rt_dst, 0);
	net_set_addr(&route.rt_genmask, 0);
	net_set_addr(&route.rt_gateway, gateway);
	SYS(ioctl, fd, SIOCADDRT, &route, 0, 0);
}

static void net_addr_str(char to[16], unsigned int addr)
{
	unsigned char bytes[4];
	char nr[4][12];

	memcpy(bytes, &addr, sizeof(bytes));
	for (int i = 0; i < 4; i++)
		number_str(nr[i], bytes[i]);
	str_join(to, 16, nr[0], ".", nr[1], ".", nr[2], ".", nr[3], (char *)NULL);
}

/* Often a link into /run of the host, which is not here. */
static void net_write_resolv_conf(unsigned int dns)
{
	char line[64], text[16];
	int fd;

	net_addr_str(text, dns);
	STR_JOIN(line, "nameserver ", text, "\n");
	SYS(unlinkat, AT_FDCWD, "/etc/resolv.conf", 0, 0, 0);
	fd = (int)SYS(openat, AT_FDCWD, "/etc/resolv.conf", O_WRONLY | O_CREAT | O_TRUNC, 0644, 0);
	if (fd < 0)
		return;
	SYS(write, fd, line, strlen(line), 0, 0);
	SYS(close, fd, 0, 0, 0, 0);
}

void net_use(const char *nic, const struct net_address *address, bool write_resolv_conf)
{
	int fd = (int)SYS(socket, NET_AF_INET, NET_SOCK_DGRAM, 0, 0, 0);

	net_set(fd, nic, SIOCSIFADDR, address->addr);
	net_set(fd, nic, SIOCSIFNETMASK, address->mask);
	net_up(fd, nic);
	if (address->gateway)
		net_default_route(fd, address->gateway);
	if (address->dns && write_resolv_conf)
		net_write_resolv_conf(address->dns);
	SYS(close, fd, 0, 0, 0, 0);
}

void net_setup(const struct init *init)
{
	int fd = (int)SYS(socket, NET_AF_INET, NET_SOCK_DGRAM, 0, 0, 0);
	const char *words = conf_get(&init->conf, "net", NULL);
	const char *root = conf_get(&init->conf, "root", NULL);
	struct net_address address = {.mask = 0x00ffffff};
	/* Somebody's own files are left alone. */
	bool throw_away = root && str_equal(root, "ro");

	net_up(fd, "lo");
	if (words)
		net_up(fd, NET_NIC);
	SYS(close, fd, 0, 0, 0, 0);
	if (words && str_equal(words, "dhcp")) {
		dhcp_start(NET_NIC, throw_away);
	} else if (words) {
		address.addr = net_parse(words, &words);
		address.gateway = net_parse(words, &words);
		address.dns = *words ? net_parse(words, &words) : 0;
		net_use(NET_NIC, &address, throw_away);
	}
}
