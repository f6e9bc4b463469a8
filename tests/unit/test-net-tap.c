// SPDX-License-Identifier: GPL-2.0-or-later
/* links: net/tap.c util/device.c util/util.c util/log.c */
/* Taps in a network namespace of this process's own. Needs root and /dev/net/tun, else skipped. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/log.h"
#include "kvm/net.h"
#include "kvm/util.h"

#define HDR_LEN	    12
#define NEXT_TAG_MS 10000

static char dir[] = "/tmp/lkvm-test-tap-XXXXXX";

static struct nic_params tap_params(void)
{
	return (struct nic_params){.mode = NIC_TAP};
}

static char *tap_name(struct net_backend *be)
{
	static struct ifreq ifr;

	assert_int_equal(ioctl(be->fd[0], TUNGETIFF, &ifr), 0);
	return ifr.ifr_name;
}

static int if_ioctl(unsigned long cmd, const char *name, struct ifreq *ifr)
{
	int sock = socket(AF_INET, SOCK_DGRAM, 0), ret;

	strcpy(ifr->ifr_name, name);
	ret = ioctl(sock, cmd, ifr);
	close(sock);
	return ret;
}

static bool is_up(const char *name)
{
	struct ifreq ifr = {0};

	return !if_ioctl(SIOCGIFFLAGS, name, &ifr) && ifr.ifr_flags & IFF_UP;
}

/* 0 when it has none. */
static in_addr_t address(const char *name, unsigned long cmd)
{
	struct ifreq ifr = {0};

	if (if_ioctl(cmd, name, &ifr))
		return 0;
	return ((struct sockaddr_in *)&ifr.ifr_addr)->sin_addr.s_addr;
}

/* An fd of a tap made by hand. */
static int make_tap(const char *name, int flags, int persist)
{
	struct ifreq ifr = {.ifr_flags = flags};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	strcpy(ifr.ifr_name, name);
	assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
	assert_int_equal(ioctl(fd, TUNSETPERSIST, persist), 0);
	return fd;
}

static void test_new(void **state)
{
	struct nic_params nic = tap_params();
	struct net_backend *be, *second;
	char name[IFNAMSIZ];

	(void)state;
	be = net_tap_open(&nic);
	assert_non_null(be);
	assert_true(be->vnet_hdr);
	assert_true(fcntl(be->fd[0], F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(be->fd[0], F_GETFD) & FD_CLOEXEC);
	strcpy(name, tap_name(be));
	assert_true(is_up(name));
	assert_int_equal(address(name, SIOCGIFADDR), inet_addr("192.168.33.1"));
	assert_int_equal(address(name, SIOCGIFNETMASK), inet_addr("255.255.255.0"));

	nic.host_ip.s_addr = inet_addr("10.3.2.1");
	second = net_tap_open(&nic);
	assert_non_null(second);
	assert_int_equal(address(tap_name(second), SIOCGIFADDR), inet_addr("10.3.2.1"));
	net_backend_close(second);
	net_backend_close(be);
	assert_int_equal(if_nametoindex(name), 0);
}

static void test_offload(void **state)
{
	struct nic_params nic = tap_params();
	struct net_backend *be = net_tap_open(&nic);

	(void)state;
	assert_non_null(be);
	assert_int_equal(be->ops->set_offload(be, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6), 0);
	assert_int_equal(be->ops->set_offload(be, TUN_F_TSO4), -EINVAL);
	assert_int_equal(be->ops->set_offload(be, 0), 0);
	net_backend_close(be);
}

/* Both ways, each frame behind a header of 12 bytes. */
static void test_frames(void **state)
{
	struct nic_params nic = tap_params();
	struct net_backend *be = net_tap_open(&nic);
	uint8_t frame[60] = {1, 2, 3, 4, 5, 6, 2, 0, 0, 0, 0, 9, 0x88, 0xb5, 42}, got[2000];
	uint8_t out[HDR_LEN + 60] = {0};
	struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5)};
	struct pollfd pfd = {.events = POLLIN};
	ssize_t len;
	int sock;

	(void)state;
	assert_non_null(be);
	sock = socket(AF_PACKET, SOCK_RAW, htons(0x88b5));
	ll.sll_ifindex = if_nametoindex(tap_name(be));
	assert_int_equal(bind(sock, (void *)&ll, sizeof(ll)), 0);

	assert_int_equal(send(sock, frame, sizeof(frame), 0), sizeof(frame));
	pfd.fd = be->fd[0];
	do {
		assert_int_equal(poll(&pfd, 1, 2000), 1);
		len = read(be->fd[0], got, sizeof(got));
	} while (len > HDR_LEN + 14 && got[HDR_LEN + 12] != 0x88); /* the host's own chatter */
	assert_int_equal(len, HDR_LEN + sizeof(frame));
	assert_memory_equal(got + HDR_LEN, frame, sizeof(frame));

	memset(frame, 0xff, 6);
	memcpy(out + HDR_LEN, frame, sizeof(frame));
	assert_int_equal(write(be->fd[0], out, sizeof(out)), sizeof(out));
	pfd.fd = sock;
	assert_int_equal(poll(&pfd, 1, 2000), 1);
	assert_int_equal(recv(sock, got, sizeof(got), 0), sizeof(frame));
	assert_memory_equal(got, frame, sizeof(frame));
	/* A header without sense is refused, not forwarded. */
	out[1] = 0x7f;
	assert_int_equal(write(be->fd[0], out, sizeof(out)), -1);
	assert_int_equal(errno, EINVAL);
	close(sock);
	net_backend_close(be);
}

static void test_existing(void **state)
{
	int fd = make_tap("vmtap", IFF_TAP | IFF_NO_PI, 1);
	struct nic_params nic = tap_params();
	struct net_backend *be;

	(void)state;
	nic.tapif = "vmtap";
	assert_null(net_tap_open(&nic)); /* in use */
	close(fd);
	be = net_tap_open(&nic);
	assert_non_null(be);
	assert_string_equal(tap_name(be), "vmtap");
	assert_true(be->vnet_hdr);
	assert_false(is_up("vmtap"));
	assert_int_equal(address("vmtap", SIOCGIFADDR), 0);
	net_backend_close(be);
	assert_int_not_equal(if_nametoindex("vmtap"), 0);
	close(make_tap("vmtap", IFF_TAP | IFF_NO_PI, 0));

	nic.tapif = "nosuch";
	assert_null(net_tap_open(&nic));
	assert_int_equal(if_nametoindex("nosuch"), 0);
	nic.tapif = "lo";
	assert_null(net_tap_open(&nic));
	nic.tapif = "a-name-that-is-much-too-long";
	assert_null(net_tap_open(&nic));
	nic.tapif = "/dev/null";
	assert_null(net_tap_open(&nic));
}

static void test_fd(void **state)
{
	struct nic_params nic = tap_params();
	struct net_backend *be;

	(void)state;
	nic.nr_fds = 1;
	nic.fd[0] = make_tap("vm%d", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, 0);
	be = net_tap_open(&nic);
	assert_non_null(be);
	assert_int_equal(be->fd[0], nic.fd[0]);
	assert_true(be->vnet_hdr);
	assert_true(fcntl(be->fd[0], F_GETFL) & O_NONBLOCK);
	net_backend_close(be);
	assert_int_equal(fcntl(nic.fd[0], F_GETFD), -1);

	nic.fd[0] = make_tap("vm%d", IFF_TAP | IFF_NO_PI, 0);
	be = net_tap_open(&nic);
	assert_non_null(be);
	assert_false(be->vnet_hdr);
	net_backend_close(be);

	assert_null(net_tap_open(&nic)); /* closed by now */
	nic.fd[0] = make_tap("vm%d", IFF_TUN | IFF_NO_PI, 0);
	assert_null(net_tap_open(&nic));
	close(nic.fd[0]);
	nic.fd[0] = open("/dev/null", O_RDWR);
	assert_null(net_tap_open(&nic));
	close(nic.fd[0]);

	/* Two queues of one tap; and of two, which is a mistake. */
	nic.nr_fds = 2;
	nic.fd[0] = make_tap("vmfd", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, 0);
	nic.fd[1] = make_tap("vmfd", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, 0);
	be = net_tap_open(&nic);
	assert_non_null(be);
	assert_int_equal(be->nr_pairs, 2);
	assert_int_equal(be->fd[1], nic.fd[1]);
	net_backend_close(be);
	nic.fd[0] = make_tap("vm%d", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, 0);
	nic.fd[1] = make_tap("vm%d", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, 0);
	assert_null(net_tap_open(&nic));
	close(nic.fd[1]);
}

/* A socket on the host's side of the tap, and frames on it that are told apart by their fourth byte. */
static int host_socket(struct net_backend *be)
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5)};
	int sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(0x88b5));

	ll.sll_ifindex = if_nametoindex(tap_name(be));
	assert_int_equal(bind(sock, (void *)&ll, sizeof(ll)), 0);
	return sock;
}

static void host_send(int sock, const uint8_t dest[6], uint8_t tag)
{
	uint8_t frame[60] = {[6] = 2, [11] = 9, [12] = 0x88, [13] = 0xb5};

	memcpy(frame, dest, 6);
	frame[14] = tag;
	assert_int_equal(send(sock, frame, sizeof(frame), 0), sizeof(frame));
}

/*
 * The tag of the next of our frames in a queue, which the kernel may deliver a while after it was
 * sent; -1 when there is none.
 */
static int next_tag(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint8_t got[2000];
	ssize_t len;

	while (poll(&p, 1, NEXT_TAG_MS) == 1 && (len = read(fd, got, sizeof(got))) > 0)
		if (len >= HDR_LEN + 15 && got[HDR_LEN + 12] == 0x88 && got[HDR_LEN + 13] == 0xb5)
			return got[HDR_LEN + 14];
	return -1;
}

static void test_queues(void **state)
{
	static const uint8_t dest[6] = {2, 2, 2, 2, 2, 2};
	struct nic_params nic = tap_params();
	struct net_backend *be;
	uint8_t out[HDR_LEN + 60] = {0};
	int sock;

	(void)state;
	nic.queues = 3;
	be = net_tap_open(&nic);
	assert_non_null(be);
	assert_int_equal(be->nr_pairs, 3);
	sock = host_socket(be);
	assert_int_equal(be->ops->set_pairs(be, 1), 0);
	for (unsigned int i = 0; i < 32; i++)
		host_send(sock, dest, i);
	for (unsigned int i = 0; i < 32; i++)
		assert_int_equal(next_tag(be->fd[0]), i);
	assert_int_equal(be->ops->set_pairs(be, 3), 0);
	assert_int_equal(write(be->fd[2], out, sizeof(out)), sizeof(out));
	assert_int_equal(be->ops->set_pairs(be, 2), 0);
	assert_int_equal(write(be->fd[1], out, sizeof(out)), sizeof(out));
	assert_int_equal(be->ops->set_pairs(be, 4), -EBADF); /* and as many as there are stay */
	assert_int_equal(be->ops->set_pairs(be, 1), 0);
	assert_int_equal(be->ops->set_hdr_len(be, 10), 0);
	close(sock);
	net_backend_close(be);

	/* One that is there already has to be of that kind; if it is, one queue will do as well. */
	close(make_tap("vmone", IFF_TAP | IFF_NO_PI, 1));
	nic.tapif = "vmone";
	assert_null(net_tap_open(&nic));
	close(make_tap("vmone", IFF_TAP | IFF_NO_PI, 0));
	close(make_tap("vmmany", IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE, 1));
	nic.tapif = "vmmany";
	be = net_tap_open(&nic);
	assert_non_null(be);
	net_backend_close(be);
	nic.queues = 0;
	be = net_tap_open(&nic);
	assert_non_null(be);
	assert_int_equal(be->nr_pairs, 1);
	net_backend_close(be);
	close(make_tap("vmmany", IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE, 0));
}

static void test_filter(void **state)
{
	static const uint8_t mine[6] = {2, 2, 2, 2, 2, 2}, other[6] = {2, 2, 2, 2, 2, 3},
			     broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
			     group[6] = {1, 0, 0x5e, 0, 0, 1};
	struct net_filter filter = {.nr = 2};
	struct nic_params nic = tap_params();
	struct net_backend *be = net_tap_open(&nic);
	int sock;

	(void)state;
	assert_non_null(be);
	sock = host_socket(be);
	memcpy(filter.addr[0], mine, 6);
	memcpy(filter.addr[1], broadcast, 6);
	assert_int_equal(be->ops->set_filter(be, &filter), 0);
	host_send(sock, other, 1);
	host_send(sock, group, 2);
	host_send(sock, mine, 3);
	host_send(sock, broadcast, 4);
	assert_int_equal(next_tag(be->fd[0]), 3);
	assert_int_equal(next_tag(be->fd[0]), 4);
	filter.allmulti = true;
	assert_int_equal(be->ops->set_filter(be, &filter), 0);
	host_send(sock, other, 5);
	host_send(sock, group, 6);
	assert_int_equal(next_tag(be->fd[0]), 6);
	filter.promisc = true;
	assert_int_equal(be->ops->set_filter(be, &filter), 0);
	host_send(sock, other, 7);
	assert_int_equal(next_tag(be->fd[0]), 7);
	filter.promisc = false;
	assert_int_equal(be->ops->set_filter(be, &filter), 0);
	assert_int_equal(be->ops->set_filter(be, NULL), 0);
	host_send(sock, other, 8);
	assert_int_equal(next_tag(be->fd[0]), 8);
	host_send(sock, other, 9);
	assert_int_equal(next_tag(be->fd[0]), 9); /* and nothing between */
	close(sock);
	net_backend_close(be);
}

/* The filter of a VM that was killed is still there, as the interface is. */
static void test_filter_left(void **state)
{
	static const uint8_t dest[6] = {2, 2, 2, 2, 2, 3};
	struct net_filter filter = {.nr = 1, .addr = {{2, 2, 2, 2, 2, 2}}};
	struct nic_params nic = tap_params();
	struct net_backend *be;
	int sock;

	(void)state;
	close(make_tap("vmleft", IFF_TAP | IFF_NO_PI, 1));
	nic.tapif = "vmleft";
	be = net_tap_open(&nic);
	assert_non_null(be);
	assert_int_equal(be->ops->set_filter(be, &filter), 0);
	net_backend_close(be);
	be = net_tap_open(&nic);
	assert_non_null(be);
	assert_int_equal(system("ip link set vmleft up"), 0);
	sock = host_socket(be);
	host_send(sock, dest, 1);
	assert_int_equal(next_tag(be->fd[0]), 1);
	close(sock);
	net_backend_close(be);
	close(make_tap("vmleft", IFF_TAP | IFF_NO_PI, 0));
}

static int mtu_of(const char *name)
{
	struct ifreq ifr = {0};

	return if_ioctl(SIOCGIFMTU, name, &ifr) ? -1 : ifr.ifr_mtu;
}

static void test_mtu(void **state)
{
	struct nic_params nic = tap_params();
	struct net_backend *be = net_tap_open(&nic);

	(void)state;
	assert_non_null(be);
	assert_int_equal(be->mtu, 0); /* as usual */
	net_backend_close(be);
	nic.mtu = 9000;
	be = net_tap_open(&nic);
	assert_non_null(be);
	assert_int_equal(be->mtu, 9000);
	assert_int_equal(mtu_of(tap_name(be)), 9000);
	net_backend_close(be);

	/* An interface of its own: what it has is offered, more is refused, and it is left alone. */
	close(make_tap("vmmtu", IFF_TAP | IFF_NO_PI, 1));
	assert_int_equal(system("ip link set vmmtu mtu 4000"), 0);
	nic.tapif = "vmmtu";
	assert_null(net_tap_open(&nic));
	nic.mtu = 3000;
	be = net_tap_open(&nic);
	assert_non_null(be);
	assert_int_equal(be->mtu, 3000);
	net_backend_close(be);
	nic.mtu = 0;
	be = net_tap_open(&nic);
	assert_non_null(be);
	assert_int_equal(be->mtu, 4000);
	net_backend_close(be);
	assert_int_equal(mtu_of("vmmtu"), 4000);
	close(make_tap("vmmtu", IFF_TAP | IFF_NO_PI, 0));
}

/* With it a descriptor each, without it an error before any interface was made. */
static void test_vhost(void **state)
{
	struct nic_params nic = tap_params();
	bool there = !access("/dev/vhost-net", R_OK | W_OK);
	struct net_backend *be;

	(void)state;
	nic.vhost = true;
	nic.queues = 2;
	be = net_tap_open(&nic);
	assert_int_equal(!!be, there);
	if (be)
		assert_true(be->vhost && be->vhost_fd[0] >= 0 && be->vhost_fd[1] >= 0);
	net_backend_close(be);
}

static void test_macvtap(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 7}, second[6] = {2, 0, 0, 0, 0, 8};
	struct nic_params nic = tap_params();
	struct net_backend *be;
	struct ifreq ifr = {0};
	char cmd[128];

	(void)state;
	if (system("ip link add vmd0 type veth peer name vmd1 2>/dev/null && ip link set vmd0 up &&"
		   "ip link add link vmd0 name vmmac0 address 02:00:00:00:00:07 type macvtap 2>/dev/null"))
		skip();
	snprintf(cmd, sizeof(cmd), "/dev/tap%u", if_nametoindex("vmmac0"));
	if (access(cmd, F_OK))
		skip();
	nic.tapif = "vmmac0";
	nic.queues = 2;
	be = net_tap_open(&nic);
	assert_non_null(be);
	assert_int_equal(be->nr_pairs, 2);
	assert_true(be->have_mac && be->vnet_hdr);
	assert_memory_equal(be->mac, mac, 6);
	assert_null(be->ops->set_filter);
	assert_int_equal(be->ops->set_pairs(be, 1), 0);
	assert_int_equal(be->ops->set_pairs(be, 2), 0);
	assert_int_equal(be->ops->set_mac(be, second), 0);
	assert_int_equal(if_ioctl(SIOCGIFHWADDR, "vmmac0", &ifr), 0);
	assert_memory_equal(ifr.ifr_hwaddr.sa_data, second, 6);
	net_backend_close(be);
	assert_int_not_equal(if_nametoindex("vmmac0"), 0);
}

static char *make_script(const char *name, const char *body)
{
	char *path;
	FILE *f;

	assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f, "#!/bin/sh\n%s\n", body);
	fclose(f);
	chmod(path, 0700);
	return path;
}

static void read_log(char *buf, size_t size)
{
	char path[64];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", dir);
	f = fopen(path, "re");
	assert_non_null(f);
	len = fread(buf, 1, size - 1, f);
	buf[len] = '\0';
	fclose(f);
}

static void test_scripts(void **state)
{
	char *up = make_script("up", "echo up $# $1 >>$(dirname $0)/log; ip link set $1 up");
	char *down = make_script("down", "echo down $# $1 >>$(dirname $0)/log");
	char *bad = make_script("bad", "exit 3"), *killed = make_script("killed", "kill -9 $$");
	struct nic_params nic = tap_params();
	char name[IFNAMSIZ], log[256], want[256];
	struct net_backend *be;

	(void)state;
	nic.script = up;
	nic.downscript = down;
	be = net_tap_open(&nic);
	assert_non_null(be);
	strcpy(name, tap_name(be));
	assert_int_equal(address(name, SIOCGIFADDR), 0); /* the script's business */
	assert_true(is_up(name));
	net_backend_close(be);
	read_log(log, sizeof(log));
	snprintf(want, sizeof(want), "up 1 %s\ndown 1 %s\n", name, name);
	assert_string_equal(log, want);

	nic.host_ip.s_addr = inet_addr("10.7.7.1");
	be = net_tap_open(&nic);
	assert_non_null(be);
	assert_int_equal(address(tap_name(be), SIOCGIFADDR), inet_addr("10.7.7.1"));
	net_backend_close(be);

	nic.script = bad;
	assert_null(net_tap_open(&nic));
	nic.script = killed;
	assert_null(net_tap_open(&nic));
	nic.script = "/nonexistent/script";
	assert_null(net_tap_open(&nic));
	read_log(want, sizeof(want));
	assert_int_equal(strlen(want), 2 * strlen(log)); /* and no downscript for those */
	free(up);
	free(down);
	free(bad);
	free(killed);
}

/* What virtio-net is told when somebody deletes the interface under it. */
static void test_deleted(void **state)
{
	struct nic_params nic = tap_params();
	struct net_backend *be = net_tap_open(&nic);
	char cmd[64];
	struct pollfd pfd = {.events = POLLIN};
	uint8_t frame[HDR_LEN + 60] = {0};

	(void)state;
	assert_non_null(be);
	snprintf(cmd, sizeof(cmd), "ip link del %s", tap_name(be));
	assert_int_equal(system(cmd), 0);
	pfd.fd = be->fd[0];
	assert_int_equal(poll(&pfd, 1, 1000), 1);
	assert_true(pfd.revents & POLLERR);
	assert_int_equal(write(be->fd[0], frame, sizeof(frame)), -1);
	assert_int_not_equal(errno, EAGAIN);
	net_backend_close(be);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new),	    cmocka_unit_test(test_offload),
		cmocka_unit_test(test_frames),	    cmocka_unit_test(test_existing),
		cmocka_unit_test(test_fd),	    cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_deleted),	    cmocka_unit_test(test_queues),
		cmocka_unit_test(test_filter_left), cmocka_unit_test(test_filter),
		cmocka_unit_test(test_mtu),	    cmocka_unit_test(test_vhost),
		cmocka_unit_test(test_macvtap),
	};
	char cmd[64];
	int failed;

	if (access("/dev/net/tun", R_OK | W_OK) || unshare(CLONE_NEWNET)) {
		printf("SKIP: needs root and /dev/net/tun\n");
		return 77;
	}
	if (!mkdtemp(dir))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd) || failed;
}
