// SPDX-License-Identifier: GPL-2.0-or-later
#include <asm/fcntl.h>
#include <linux/fcntl.h>
#include <linux/if.h>
#include <linux/in.h>
#include <linux/route.h>
#include <linux/socket.h>
#include <linux/sockios.h>

#include "init.h"

#define NET_AF_INET    2
#define NET_SOCK_DGRAM 2

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

/* Often a link into /run of the host, which is not here. */
static void net_write_resolv_conf(const char *dns)
{
	char line[64];
	int fd;

	STR_JOIN(line, "nameserver ", dns, "\n");
	SYS(unlinkat, AT_FDCWD, "/etc/resolv.conf", 0, 0, 0);
	fd = (int)SYS(openat, AT_FDCWD, "/etc/resolv.conf", O_WRONLY | O_CREAT | O_TRUNC, 0644, 0);
	if (fd < 0)
		return;
	SYS(write, fd, line, strlen(line), 0, 0);
	SYS(close, fd, 0, 0, 0, 0);
}

void net_setup(const struct init *init)
{
	int fd = (int)SYS(socket, NET_AF_INET, NET_SOCK_DGRAM, 0, 0, 0);
	const char *words = init_get(init, "net", NULL), *root = init_get(init, "root", NULL);
	unsigned int addr, gateway;

	net_up(fd, "lo");
	if (words) {
		addr = net_parse(words, &words);
		gateway = net_parse(words, &words);
		net_set(fd, "eth0", SIOCSIFADDR, addr);
		net_set(fd, "eth0", SIOCSIFNETMASK, 0x00ffffff);
		net_up(fd, "eth0");
		net_default_route(fd, gateway);
		if (!str_equal(root, "rw"))
			net_write_resolv_conf(words);
	}
	SYS(close, fd, 0, 0, 0, 0);
}
