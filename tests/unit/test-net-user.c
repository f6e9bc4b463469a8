// SPDX-License-Identifier: GPL-2.0-or-later
/* links: net/user.c util/util.c util/confine.c util/log.c */
/* libs: libseccomp libcap-ng slirp */
/*
 * User networking seen from a guest: frames into the back end's descriptor and out of it. Nothing
 * here leaves the machine.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/log.h"
#include "kvm/net.h"
#include "kvm/util.h"

#define GUEST_IP "192.168.33.15"
#define HOST_IP	 "192.168.33.1"

static const uint8_t guest_mac[6] = {0x52, 0x54, 0, 1, 2, 3};
static uint8_t gateway_mac[6];

struct ip_frame {
	struct ether_header eth;
	struct iphdr ip;
	union {
		struct tcphdr tcp;
		struct udphdr udp;
		uint8_t payload[600];
	};
} __attribute__((packed, aligned(4)));

#define IP_OFF sizeof(struct ether_header)
#define L4_OFF offsetof(struct ip_frame, payload)

static uint32_t sum16(const void *buf, size_t len, uint32_t sum)
{
	const uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* An IPv4 frame from the guest with len bytes behind the IP header; the TCP checksum is filled in. */
static void send_ip(struct net_backend *be, struct ip_frame *f, uint8_t proto, const char *src,
		    const char *dst, size_t len)
{
	memcpy(f->eth.ether_dhost, gateway_mac, 6);
	memcpy(f->eth.ether_shost, guest_mac, 6);
	f->eth.ether_type = htons(ETHERTYPE_IP);
	f->ip = (struct iphdr){.version = 4,
			       .ihl = 5,
			       .ttl = 64,
			       .protocol = proto,
			       .tot_len = htons(sizeof(f->ip) + len),
			       .saddr = inet_addr(src),
			       .daddr = inet_addr(dst)};
	f->ip.check = htons(~sum16(&f->ip, sizeof(f->ip), 0));
	if (proto == IPPROTO_TCP) {
		f->tcp.check = 0;
		f->tcp.check =
			htons(~sum16(f->payload, len, sum16(&f->ip.saddr, 8, IPPROTO_TCP + len)));
	}
	assert_int_equal(write(be->fd[0], f, L4_OFF + len), L4_OFF + len);
}

/* The next frame for which `want` holds, within ms. */
static bool receive(struct net_backend *be, struct ip_frame *f, int ms,
		    bool (*want)(const struct ip_frame *f, size_t len))
{
	uint64_t end = now_ns() + ms * 1000000ULL;

	for (;;) {
		struct pollfd pfd = {.fd = be->fd[0], .events = POLLIN};
		int64_t left = (int64_t)(end - now_ns()) / 1000000;
		ssize_t len;

		if (left <= 0 || poll(&pfd, 1, left) != 1)
			return false;
		memset(f, 0, sizeof(*f));
		len = read(be->fd[0], f, sizeof(*f));
		if (len >= (ssize_t)L4_OFF - 20 && want(f, len))
			return true;
	}
}

static bool is_arp_reply(const struct ip_frame *f, size_t len)
{
	const struct ether_arp *arp = (void *)((uint8_t *)f + IP_OFF);

	return f->eth.ether_type == htons(ETHERTYPE_ARP) && len >= IP_OFF + sizeof(*arp) &&
	       arp->ea_hdr.ar_op == htons(ARPOP_REPLY);
}

static bool is_tcp(const struct ip_frame *f, size_t len)
{
	return f->eth.ether_type == htons(ETHERTYPE_IP) && f->ip.protocol == IPPROTO_TCP &&
	       len >= L4_OFF + sizeof(f->tcp);
}

static bool is_udp(const struct ip_frame *f, size_t len)
{
	return f->eth.ether_type == htons(ETHERTYPE_IP) && f->ip.protocol == IPPROTO_UDP &&
	       len >= L4_OFF + sizeof(f->udp);
}

/* Who has `ip`? Tells the stack where the guest is, too. */
static bool arp(struct net_backend *be, const char *guest, const char *ip)
{
	struct {
		struct ether_header eth;
		struct ether_arp arp;
	} __attribute__((packed)) f = {
		.eth = {.ether_type = htons(ETHERTYPE_ARP)},
		.arp = {.ea_hdr = {htons(1), htons(ETHERTYPE_IP), 6, 4, htons(ARPOP_REQUEST)}},
	};
	in_addr_t spa = inet_addr(guest), tpa = inet_addr(ip);
	struct ip_frame reply;

	memset(f.eth.ether_dhost, 0xff, 6);
	memcpy(f.eth.ether_shost, guest_mac, 6);
	memcpy(f.arp.arp_sha, guest_mac, 6);
	memcpy(f.arp.arp_spa, &spa, 4);
	memcpy(f.arp.arp_tpa, &tpa, 4);
	assert_int_equal(write(be->fd[0], &f, sizeof(f)), sizeof(f));
	if (!receive(be, &reply, 2000, is_arp_reply))
		return false;
	memcpy(gateway_mac, reply.eth.ether_shost, 6);
	return true;
}

static struct net_backend *open_user(struct nic_params nic)
{
	struct net_backend *be;

	nic.mode = NIC_USER;
	be = net_user.open(&nic);
	assert_non_null(be);
	assert_false(be->vnet_hdr);
	return be;
}

static void test_arp(void **state)
{
	struct net_backend *be = open_user((struct nic_params){0});

	(void)state;
	assert_true(arp(be, GUEST_IP, HOST_IP));
	assert_true(arp(be, GUEST_IP, "192.168.33.3"));
	net_backend_close(be);

	be = open_user((struct nic_params){.guest_ip.s_addr = inet_addr("10.9.8.1")});
	assert_true(arp(be, "10.9.8.1", "10.9.8.2"));
	net_backend_close(be);
}

/* BOOTP's fixed part is 236 bytes, options follow a cookie (RFC 2131 §2). */
static void test_dhcp(void **state)
{
	static const uint8_t options[] = {99, 130, 83, 99, 53, 1, 1, 255};
	struct net_backend *be =
		open_user((struct nic_params){.guest_ip.s_addr = inet_addr("10.1.2.77"),
					      .host_ip.s_addr = inet_addr("10.1.2.9")});
	struct ip_frame f = {0}, reply;
	uint8_t *bootp = f.payload + sizeof(f.udp), *got = reply.payload + sizeof(f.udp), *opt;
	in_addr_t guest = inet_addr("10.1.2.77"), router = inet_addr("10.1.2.9"), seen = 0;

	(void)state;
	memset(gateway_mac, 0xff, 6);
	f.udp = (struct udphdr){.source = htons(68), .dest = htons(67), .len = htons(308)};
	bootp[0] = 1;
	bootp[1] = 1;
	bootp[2] = 6;
	memcpy(bootp + 28, guest_mac, 6);
	memcpy(bootp + 236, options, sizeof(options));
	send_ip(be, &f, IPPROTO_UDP, "0.0.0.0", "255.255.255.255", 308);
	assert_true(receive(be, &reply, 2000, is_udp));
	assert_int_equal(reply.udp.dest, htons(68));
	assert_int_equal(got[0], 2);
	assert_memory_equal(got + 16, &guest, 4);
	for (opt = got + 240; *opt != 255 && opt < reply.payload + 500; opt += 2 + opt[1])
		if (*opt == 3)
			memcpy(&seen, opt + 2, 4);
	assert_int_equal(seen, router);
	net_backend_close(be);
}

static void test_router_advertisement(void **state)
{
	static const uint8_t all_routers[6] = {0x33, 0x33, 0, 0, 0, 2};
	/* A router solicitation (RFC 4861 §4.1) from fe80::1 to ff02::2. */
	uint8_t f[14 + 40 + 8] = {0}, *ip6 = f + 14, *icmp = ip6 + 40, got[256];
	struct net_backend *be = open_user((struct nic_params){0});
	uint32_t sum;
	bool seen = false;

	(void)state;
	memcpy(f, all_routers, 6);
	memcpy(f + 6, guest_mac, 6);
	f[12] = 0x86;
	f[13] = 0xdd;
	ip6[0] = 0x60;
	ip6[5] = 8;
	ip6[6] = 58;
	ip6[7] = 255;
	inet_pton(AF_INET6, "fe80::1", ip6 + 8);
	inet_pton(AF_INET6, "ff02::2", ip6 + 24);
	icmp[0] = 133;
	sum = ~sum16(icmp, 8, sum16(ip6 + 8, 32, 8 + 58));
	icmp[2] = sum >> 8;
	icmp[3] = sum;
	assert_int_equal(write(be->fd[0], f, sizeof(f)), sizeof(f));
	for (int i = 0; i < 20 && !seen; i++) {
		struct pollfd pfd = {.fd = be->fd[0], .events = POLLIN};

		if (poll(&pfd, 1, 2000) == 1 && read(be->fd[0], got, sizeof(got)) > 54)
			seen = got[12] == 0x86 && got[20] == 58 && got[54] == 134;
	}
	assert_true(seen);
	net_backend_close(be);
}

/* Any address, IPv4 through IPv6 included; -1 on a host without IPv6. */
static int listen_loopback6(uint16_t *port)
{
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6};
	socklen_t len = sizeof(sin6);
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (void *)&sin6, sizeof(sin6))) {
		close(fd);
		return -1;
	}
	assert_int_equal(listen(fd, 5), 0);
	getsockname(fd, (void *)&sin6, &len);
	*port = ntohs(sin6.sin6_port);
	return fd;
}

static int listen_loopback(int type, uint16_t *port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (void *)&sin, sizeof(sin)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 5), 0);
	getsockname(fd, (void *)&sin, &len);
	*port = ntohs(sin.sin_port);
	return fd;
}

/* Whether a SYN from the guest to dst gets through to a listener on the host's 127.0.0.1. */
static bool reaches_loopback(bool host_loopback, const char *dst)
{
	struct net_backend *be = open_user((struct nic_params){.host_loopback = host_loopback});
	struct ip_frame f = {0}, reply;
	uint16_t port;
	int fd = listen_loopback(SOCK_STREAM, &port);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	bool accepted, answered;

	assert_true(arp(be, GUEST_IP, HOST_IP));
	f.tcp = (struct tcphdr){.source = htons(4000),
				.dest = htons(port),
				.seq = htonl(1000),
				.doff = 5,
				.syn = 1,
				.window = htons(8000)};
	send_ip(be, &f, IPPROTO_TCP, GUEST_IP, dst, sizeof(f.tcp));
	answered = receive(be, &reply, host_loopback ? 2000 : 300, is_tcp) && reply.tcp.syn &&
		   reply.tcp.ack && reply.tcp.ack_seq == htonl(1001);
	accepted = poll(&pfd, 1, 0) == 1;
	net_backend_close(be);
	close(fd);
	assert_int_equal(accepted, answered);
	return accepted;
}

static void send_syn6(struct net_backend *be, const char *dst, uint16_t port)
{
	uint8_t f[14 + 40 + 20] = {0}, *ip6 = f + 14;
	struct tcphdr tcp = {.source = htons(4000),
			     .dest = htons(port),
			     .seq = htonl(1000),
			     .doff = 5,
			     .syn = 1,
			     .window = htons(8000)};

	memcpy(f, gateway_mac, 6);
	memcpy(f + 6, guest_mac, 6);
	f[12] = 0x86;
	f[13] = 0xdd;
	ip6[0] = 0x60;
	ip6[5] = sizeof(tcp);
	ip6[6] = IPPROTO_TCP;
	ip6[7] = 64;
	inet_pton(AF_INET6, "fd6c:6b76:6d00::99", ip6 + 8);
	inet_pton(AF_INET6, dst, ip6 + 24);
	tcp.check = htons(~sum16(&tcp, sizeof(tcp), sum16(ip6 + 8, 32, sizeof(tcp) + IPPROTO_TCP)));
	memcpy(ip6 + 40, &tcp, sizeof(tcp));
	assert_int_equal(write(be->fd[0], f, sizeof(f)), sizeof(f));
}

/* Whether a listener on the host sees a connection when the guest sends a SYN to dst. */
static bool reaches_loopback6(bool host_loopback, const char *dst)
{
	struct net_backend *be = open_user((struct nic_params){.host_loopback = host_loopback});
	uint16_t port = 0;
	int fd = listen_loopback6(&port);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	bool accepted;

	if (fd < 0)
		skip();
	assert_true(arp(be, GUEST_IP, HOST_IP));
	send_syn6(be, dst, port);
	accepted = poll(&pfd, 1, host_loopback ? 2000 : 200) == 1;
	net_backend_close(be);
	close(fd);
	return accepted;
}

static void test_host_loopback6(void **state)
{
	static const char *const ways[] = {"::1", "::ffff:127.0.0.1", "fd6c:6b76:6d00::1"};
	static const char *const more[] = {"::", "::127.0.0.1", "::ffff:0.0.0.0",
					   "fd6c:6b76:6d00::3"};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		assert_true(reaches_loopback6(true, ways[i]));
		assert_false(reaches_loopback6(false, ways[i]));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(more); i++)
		assert_false(reaches_loopback6(false, more[i]));
}

static void test_host_loopback(void **state)
{
	(void)state;
	assert_true(reaches_loopback(true, HOST_IP));
	assert_true(reaches_loopback(true, "127.0.0.1"));
	assert_false(reaches_loopback(false, HOST_IP));
	assert_false(reaches_loopback(false, "127.0.0.1"));
	assert_false(reaches_loopback(false, "127.1.2.3"));
	assert_false(reaches_loopback(false, "0.0.0.0"));
	assert_false(reaches_loopback(false, "255.255.255.255"));
}

static void test_hostfwd(void **state)
{
	uint16_t tcp_port, udp_port;
	int tcp = listen_loopback(SOCK_STREAM, &tcp_port),
	    udp = listen_loopback(SOCK_DGRAM, &udp_port);
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct nic_params nic = {
		.mode = NIC_USER,
		.nr_hostfwd = 2,
		.hostfwd = {{"tcp-word", false, sin.sin_addr, {0}, tcp_port, 22},
			    {"udp-word", true, sin.sin_addr, {0}, udp_port, 53}},
	};
	struct ip_frame f;
	struct net_backend *be;

	(void)state;
	/* Both ports are taken: an error. */
	assert_null(net_user.open(&nic));
	close(tcp);
	assert_null(net_user.open(&nic));
	close(udp);
	be = net_user.open(&nic);
	assert_non_null(be);
	assert_true(arp(be, GUEST_IP, HOST_IP));

	tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	sin.sin_port = htons(tcp_port);
	connect(tcp, (void *)&sin, sizeof(sin));
	assert_true(receive(be, &f, 2000, is_tcp));
	assert_true(f.tcp.syn && !f.tcp.ack);
	assert_int_equal(f.tcp.dest, htons(22));
	assert_int_equal(f.ip.daddr, inet_addr(GUEST_IP));
	assert_memory_equal(f.eth.ether_dhost, guest_mac, 6);
	close(tcp);

	udp = socket(AF_INET, SOCK_DGRAM, 0);
	sin.sin_port = htons(udp_port);
	sendto(udp, "hello", 5, 0, (void *)&sin, sizeof(sin));
	assert_true(receive(be, &f, 2000, is_udp));
	assert_int_equal(f.udp.dest, htons(53));
	assert_memory_equal(f.payload + sizeof(f.udp), "hello", 5);
	close(udp);
	net_backend_close(be);
	/* The ports are free again at once. */
	be = net_user.open(&nic);
	assert_non_null(be);
	net_backend_close(be);
}

static void test_bad_networks(void **state)
{
	static const char *const cases[][2] = {
		{"10.0.0.1", "10.0.0.1"},
		{"10.0.0.1", "10.0.1.15"},
		{"10.0.0.0", "10.0.0.5"},
		{"10.0.0.1", "10.0.0.255"},
	};
	struct nic_params nic = {.mode = NIC_USER};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		nic.host_ip.s_addr = inet_addr(cases[i][0]);
		nic.guest_ip.s_addr = inet_addr(cases[i][1]);
		assert_null(net_user.open(&nic));
	}
	nic.host_ip.s_addr = nic.guest_ip.s_addr = 0;
	nic.nr_hostfwd = 1;
	nic.hostfwd[0] = (struct nic_hostfwd){.word = "w",
					      .guest.s_addr = inet_addr("10.0.0.1"),
					      .host_port = 1,
					      .guest_port = 1};
	assert_null(net_user.open(&nic));
}

/* Frames that make no sense, in numbers, while nobody takes what comes back. */
static void test_hostile(void **state)
{
	struct net_backend *be = open_user((struct nic_params){0});
	uint8_t junk[2000];
	uint32_t seed = 1;

	(void)state;
	assert_true(arp(be, GUEST_IP, HOST_IP));
	for (unsigned int i = 0; i < 20000; i++) {
		size_t len = 14 + (seed >> 8) % 1500;

		for (unsigned int j = 0; j < len; j++)
			junk[j] = (seed = seed * 1103515245 + 12345) >> 16;
		memcpy(junk, gateway_mac, 6);
		memcpy(junk + 6, guest_mac, 6);
		junk[12] = i & 1 ? 8 : 0x86;
		junk[13] = i & 1 ? (i & 2 ? 0 : 6) : 0xdd;
		junk[14] = i & 1 ? 0x45 : 0x60;
		if (write(be->fd[0], junk, len) < 0) {
			struct pollfd pfd = {.fd = be->fd[0], .events = POLLOUT};

			assert_int_equal(errno, EAGAIN);
			assert_int_equal(poll(&pfd, 1, 5000), 1);
		}
	}
	while (read(be->fd[0], junk, sizeof(junk)) > 0)
		continue;
	assert_true(arp(be, GUEST_IP, HOST_IP));
	net_backend_close(be);
}

/* The stack's thread sees none of the VM's descriptors. */
static void test_isolation(void **state)
{
	int secret = open("/proc/self/stat", O_RDONLY | O_CLOEXEC),
	    high = fcntl(secret, F_DUPFD, 200);
	struct net_backend *be = open_user((struct nic_params){0});
	DIR *tasks = opendir("/proc/self/task");
	unsigned int threads = 0;
	struct dirent *task;

	(void)state;
	while ((task = readdir(tasks))) {
		char path[300], name[32] = "";
		FILE *comm;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
		comm = fopen(path, "r");
		if (!comm)
			continue;
		assert_non_null(fgets(name, sizeof(name), comm));
		fclose(comm);
		if (strcmp(name, "net-user\n"))
			continue;
		threads++;
		snprintf(path, sizeof(path), "/proc/self/task/%s/fd/%d", task->d_name, secret);
		assert_int_equal(readlink(path, name, sizeof(name)), -1);
		snprintf(path, sizeof(path), "/proc/self/task/%s/fd/%d", task->d_name, high);
		assert_int_equal(readlink(path, name, sizeof(name)), -1);
	}
	closedir(tasks);
	assert_true(threads > 0); /* those that are just ending have no descriptors any more */
	assert_true(fcntl(secret, F_GETFD) >= 0);
	net_backend_close(be);
	close(secret);
	close(high);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arp),
		cmocka_unit_test(test_dhcp),
		cmocka_unit_test(test_router_advertisement),
		cmocka_unit_test(test_host_loopback),
		cmocka_unit_test(test_host_loopback6),
		cmocka_unit_test(test_hostfwd),
		cmocka_unit_test(test_bad_networks),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_isolation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
