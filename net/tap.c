// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tap interfaces: one of our own that lives as long as the VM, an existing one, a macvtap's
 * character device, or descriptors that were inherited. A descriptor is a queue of the interface,
 * and the kernel spreads what it has for the guest among those that are attached.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/net.h"
#include "kvm/util.h"

#define TAP_DEVICE   "/dev/net/tun"
#define TAP_RDEV     makedev(10, 200)
#define VHOST_DEVICE "/dev/vhost-net"

struct tap {
	struct net_backend be;
	char name[IFNAMSIZ];
	bool macvtap;
	unsigned int nr_attached; /* pairs */
	const char *downscript;	  /* NULL: none */
};

static struct tap *tap_of(struct net_backend *be)
{
	return container_of(be, struct tap, be);
}

/* Runs "SCRIPT NAME" to its end, with the signals of a fresh process. */
static int tap_run_script(const char *script, char *name)
{
	char *argv[] = {(char *)script, name, NULL};
	posix_spawnattr_t attr;
	int err, status = 0;
	sigset_t set;
	pid_t pid;

	posix_spawnattr_init(&attr);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attr, &set);
	sigfillset(&set);
	posix_spawnattr_setsigdefault(&attr, &set);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	err = posix_spawn(&pid, script, NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (err) {
		log_error("network script %s: %s", script, strerror(err));
		return -err;
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			log_error("network script %s: %s", script, strerror(errno));
			return -errno;
		}
	}
	if (WIFSIGNALED(status))
		log_error("network script %s: killed by signal %d", script, WTERMSIG(status));
	else if (WEXITSTATUS(status))
		log_error("network script %s: exit code %d", script, WEXITSTATUS(status));
	return status ? -EIO : 0;
}

static int tap_set_offload(struct net_backend *be, unsigned int tun_flags)
{
	const unsigned int uso = TUN_F_USO4 | TUN_F_USO6;

	/* The kernel takes both or none; a guest that could take one of them takes none, too. */
	if ((tun_flags & uso) != uso)
		tun_flags &= ~uso;
	return ioctl(be->fd[0], TUNSETOFFLOAD, (unsigned long)tun_flags) ? -errno : 0;
}

static int tap_set_hdr_len(struct net_backend *be, int len)
{
	/* A macvtap's queues have one each. */
	for (unsigned int i = 0; i < be->nr_pairs; i++)
		if (ioctl(be->fd[i], TUNSETVNETHDRSZ, &len))
			return -errno;
	return 0;
}

static int tap_set_pairs(struct net_backend *be, unsigned int nr)
{
	struct tap *tap = tap_of(be);

	while (tap->nr_attached != nr) {
		bool attach = tap->nr_attached < nr;
		unsigned int i = attach ? tap->nr_attached : tap->nr_attached - 1;
		struct ifreq ifr = {.ifr_flags = attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

		if (ioctl(be->fd[i], TUNSETQUEUE, &ifr))
			return -errno;
		tap->nr_attached += attach ? 1 : -1;
	}
	return 0;
}

static int tap_set_filter(struct net_backend *be, const struct net_filter *filter)
{
	uint8_t buf[sizeof(struct tun_filter) + NET_FILTER_MAX * ETH_ALEN]
		__attribute__((aligned(__alignof__(struct tun_filter)))) = {0};
	struct tun_filter *tun = (void *)buf;

	/* None at all: everything passes. */
	if (filter && !filter->promisc) {
		tun->flags = filter->allmulti ? TUN_FLT_ALLMULTI : 0;
		tun->count = filter->nr;
		memcpy(tun->addr, filter->addr, filter->nr * ETH_ALEN);
	}
	return ioctl(be->fd[0], TUNSETTXFILTER, tun) < 0 ? -errno : 0;
}

/* Frames for a macvtap are told by its address, which is the guest's. */
static int macvtap_set_mac(struct net_backend *be, const uint8_t mac[6])
{
	struct ifreq ifr = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};

	memcpy(ifr.ifr_hwaddr.sa_data, mac, ETH_ALEN);
	return ioctl(be->fd[0], SIOCSIFHWADDR, &ifr) ? -errno : 0;
}

static void tap_close(struct net_backend *be)
{
	struct tap *tap = tap_of(be);

	if (tap->downscript)
		tap_run_script(tap->downscript, tap->name);
	for (unsigned int i = 0; i < be->nr_pairs; i++) {
		if (be->fd[i] >= 0)
			close(be->fd[i]);
		if (be->vhost_fd[i] >= 0)
			close(be->vhost_fd[i]);
	}
	free(tap);
}

static const struct net_backend_ops tap_ops = {
	.set_offload = tap_set_offload,
	.set_hdr_len = tap_set_hdr_len,
	.set_pairs = tap_set_pairs,
	.set_filter = tap_set_filter,
	.close = tap_close,
};

static const struct net_backend_ops macvtap_ops = {
	.set_offload = tap_set_offload,
	.set_hdr_len = tap_set_hdr_len,
	.set_pairs = tap_set_pairs,
	.set_mac = macvtap_set_mac,
	.close = tap_close,
};

/* Two interfaces with one address: the host would talk to the first of them only. */
static void tap_warn_if_address_taken(const struct tap *tap, struct in_addr ip)
{
	struct ifaddrs *list;
	char text[INET_ADDRSTRLEN];

	if (getifaddrs(&list))
		return;
	for (struct ifaddrs *ifa = list; ifa; ifa = ifa->ifa_next) {
		const struct sockaddr_in *sin = (void *)ifa->ifa_addr;

		if (!sin || sin->sin_family != AF_INET || sin->sin_addr.s_addr != ip.s_addr ||
		    !strcmp(ifa->ifa_name, tap->name))
			continue;
		log_warning("--network tap: %s is the address of %s already: the host cannot reach "
			    "%s by it, give this VM a host_ip= of its own, or use a bridge",
			    inet_ntop(AF_INET, &ip, text, sizeof(text)), ifa->ifa_name, tap->name);
		break;
	}
	freeifaddrs(list);
}

/* An ioctl on the interface. 0 or a negative errno. */
static int tap_if_ioctl(const struct tap *tap, unsigned long request, struct ifreq *ifr)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

	if (sock < 0)
		return -errno;
	memcpy(ifr->ifr_name, tap->name, IFNAMSIZ);
	err = ioctl(sock, request, ifr) ? -errno : 0;
	close(sock);
	return err;
}

/* host_ip/24 on the interface, and up. */
static int tap_configure(const struct tap *tap, struct in_addr host_ip)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr = host_ip};
	struct ifreq ifr = {0};
	int err;

	if (!host_ip.s_addr)
		sin.sin_addr.s_addr = inet_addr(NIC_DEFAULT_HOST_IP);
	tap_warn_if_address_taken(tap, sin.sin_addr);
	memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
	err = tap_if_ioctl(tap, SIOCSIFADDR, &ifr);
	sin.sin_addr.s_addr = htonl(0xffffff00);
	memcpy(&ifr.ifr_netmask, &sin, sizeof(sin));
	if (!err)
		err = tap_if_ioctl(tap, SIOCSIFNETMASK, &ifr);
	if (!err)
		err = tap_if_ioctl(tap, SIOCGIFFLAGS, &ifr);
	ifr.ifr_flags |= IFF_UP;
	if (!err)
		err = tap_if_ioctl(tap, SIOCSIFFLAGS, &ifr);
	return err;
}

static int tap_set_mtu(const struct tap *tap, unsigned int mtu)
{
	struct ifreq ifr = {.ifr_mtu = mtu};
	int err = mtu ? tap_if_ioctl(tap, SIOCSIFMTU, &ifr) : 0;

	if (err)
		log_error("--network mtu=%u: %s: %s", mtu, tap->name, strerror(-err));
	return err;
}

/* One queue of the interface `name`, or of a new one that the kernel names. */
static int tap_attach_queue(const char *device, struct ifreq *ifr)
{
	int fd = open(device, O_RDWR | O_NONBLOCK | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	/* TUNGETIFF, as a macvtap takes any name and does not say its own. */
	if (!ioctl(fd, TUNSETIFF, ifr) && !ioctl(fd, TUNGETIFF, ifr))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* All queues of an interface, or none. */
static int tap_attach(struct tap *tap, const char *device, const char *name, bool multi)
{
	short flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multi ? IFF_MULTI_QUEUE : 0);
	struct ifreq ifr = {0};
	unsigned int nr;
	int fd = -1;

	if (name)
		strcpy(ifr.ifr_name, name);
	for (nr = 0; nr < tap->be.nr_pairs; nr++) {
		ifr.ifr_flags = flags;
		fd = tap_attach_queue(device, &ifr);
		if (fd < 0)
			break;
		tap->be.fd[nr] = fd;
	}
	if (fd < 0) {
		while (nr--) {
			close(tap->be.fd[nr]);
			tap->be.fd[nr] = -1;
		}
		return fd;
	}
	memcpy(tap->name, ifr.ifr_name, IFNAMSIZ);
	tap->be.vnet_hdr = true;
	return 0;
}

/* A descriptor that somebody else set up: what it is, it says itself. */
static int tap_inherit(struct tap *tap, unsigned int i, int fd)
{
	struct ifreq ifr = {0};
	struct stat st;
	int flags;

	if (ioctl(fd, TUNGETIFF, &ifr) || fstat(fd, &st))
		return -errno;
	if (!(ifr.ifr_flags & IFF_TAP) || !(ifr.ifr_flags & IFF_NO_PI))
		return -EINVAL;
	if (i && (strncmp(ifr.ifr_name, tap->name, IFNAMSIZ) ||
		  tap->be.vnet_hdr != !!(ifr.ifr_flags & IFF_VNET_HDR)))
		return -EXDEV;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
		return -errno;
	tap->be.fd[i] = fd;
	tap->be.vnet_hdr = ifr.ifr_flags & IFF_VNET_HDR;
	tap->macvtap = st.st_rdev != TAP_RDEV;
	memcpy(tap->name, ifr.ifr_name, IFNAMSIZ);
	return 0;
}

static int tap_open_inherited(struct tap *tap, const struct nic_params *nic)
{
	for (unsigned int i = 0; i < nic->nr_fds; i++) {
		int err = tap_inherit(tap, i, nic->fd[i]);

		if (!err)
			continue;
		log_error("--network fd=%d: %s", nic->fd[i],
			  err == -EBADF	  ? "not open"
			  : err == -EXDEV ? "not of the same tap as the first one"
					  : "not a tap with IFF_TAP and IFF_NO_PI");
		return err;
	}
	return 0;
}

static const char *tap_why_not(const struct tap *tap, int err)
{
	switch (err) {
	case -EBUSY:
		return "in use by another process";
	case -EINVAL:
	case -ENOTTY:
		return tap->be.nr_pairs > 1
			       ? "not a tap with several queues "
				 "(made by: ip tuntap add dev NAME mode tap multi_queue user USER)"
			       : "not a tap";
	case -E2BIG:
		return "it does not have that many queues";
	case -EPERM:
		return "belongs to another user";
	default:
		return strerror(-err);
	}
}

/* What the script, or others, made of it; with a smaller MTU than was asked for, frames would be lost. */
static int tap_check_mtu(struct tap *tap, unsigned int wanted)
{
	struct ifreq ifr = {0};
	int err = tap_if_ioctl(tap, SIOCGIFMTU, &ifr);

	if (!err && ifr.ifr_mtu < (int)wanted) {
		log_error("--network mtu=%u: the MTU of %s is %d (ip link set %s mtu %u)", wanted,
			  tap->name, ifr.ifr_mtu, tap->name, wanted);
		return -EINVAL;
	}
	if (!err && !wanted && ifr.ifr_mtu != ETH_DATA_LEN && ifr.ifr_mtu <= UINT16_MAX)
		tap->be.mtu = ifr.ifr_mtu;
	return 0;
}

/* An interface, a tap or else a macvtap, by its name. */
static int tap_attach_named(struct tap *tap, const char *name)
{
	bool multi = tap->be.nr_pairs > 1;
	int err = tap_attach(tap, TAP_DEVICE, name, multi);
	char path[64];

	/* A tap that was made for several queues does with one. */
	if (err == -EINVAL && !multi)
		err = tap_attach(tap, TAP_DEVICE, name, true);
	snprintf(path, sizeof(path), "/dev/tap%u", if_nametoindex(name));
	if (err != -EINVAL || access(path, F_OK))
		return err;
	tap->macvtap = true;
	return tap_attach(tap, path, NULL, multi);
}

static int tap_open_existing(struct tap *tap, const char *tapif)
{
	int err;

	if (tapif[0] == '/') {
		tap->macvtap = strcmp(tapif, TAP_DEVICE);
		err = tap_attach(tap, tapif, NULL, tap->be.nr_pairs > 1);
	} else if (strlen(tapif) >= IFNAMSIZ || !if_nametoindex(tapif)) {
		log_error("--network tapif=%s: no such interface "
			  "(made by: ip tuntap add dev NAME mode tap user USER)",
			  tapif);
		return -ENODEV;
	} else {
		err = tap_attach_named(tap, tapif);
	}
	if (err)
		log_error("--network tapif=%s: %s", tapif, tap_why_not(tap, err));
	return err;
}

static int tap_open_new(struct tap *tap, const struct nic_params *nic)
{
	int err = tap_attach(tap, TAP_DEVICE, NULL, tap->be.nr_pairs > 1);

	/* A script takes the interface's set-up over, unless an address was asked for as well. */
	if (!err && (!nic->script || nic->host_ip.s_addr))
		err = tap_configure(tap, nic->host_ip);
	if (err == -EPERM || err == -EACCES)
		log_error("--network tap: making an interface needs CAP_NET_ADMIN "
			  "(tapif= with one that is yours, and --network user, need nothing)");
	else if (err)
		log_error("--network tap: %s: %s", tap->name[0] ? tap->name : TAP_DEVICE,
			  strerror(-err));
	return err ?: tap_set_mtu(tap, nic->mtu);
}

static int tap_open_vhost(struct tap *tap)
{
	for (unsigned int i = 0; i < tap->be.nr_pairs; i++) {
		tap->be.vhost_fd[i] = open_device(VHOST_DEVICE, "--network vhost=1");
		if (tap->be.vhost_fd[i] < 0)
			return -ENODEV;
	}
	tap->be.vhost = true;
	return 0;
}

static struct tap *tap_create(const struct nic_params *nic)
{
	struct tap *tap = calloc(1, sizeof(*tap));

	if (!tap) {
		log_error("--network tap: out of memory");
		return NULL;
	}
	tap->be.ops = &tap_ops;
	tap->be.nr_pairs = nic->nr_fds ?: nic->queues ?: 1;
	tap->be.mtu = nic->mtu;
	tap->nr_attached = tap->be.nr_pairs;
	for (unsigned int i = 0; i < NET_MAX_PAIRS; i++)
		tap->be.fd[i] = tap->be.vhost_fd[i] = -1;
	return tap;
}

static int tap_learn_mac(struct tap *tap)
{
	struct ifreq ifr = {0};

	tap->be.ops = &macvtap_ops;
	if (ioctl(tap->be.fd[0], SIOCGIFHWADDR, &ifr))
		return -errno;
	memcpy(tap->be.mac, ifr.ifr_hwaddr.sa_data, ETH_ALEN);
	tap->be.have_mac = true;
	return 0;
}

/* What all of them need, once they are open. */
static int tap_set_up(struct tap *tap)
{
	int err = 0;

	if (tap->be.vnet_hdr)
		err = tap_set_hdr_len(&tap->be, sizeof(struct virtio_net_hdr_v1));
	if (!err && tap->macvtap)
		err = tap_learn_mac(tap);
	else if (!err) /* an interface that stays keeps the filter of a VM that was killed */
		err = tap_set_filter(&tap->be, NULL);
	if (err)
		log_error("--network tap: %s: %s", tap->name, strerror(-err));
	return err;
}

struct net_backend *net_tap_open(const struct nic_params *nic)
{
	struct tap *tap = tap_create(nic);
	int err;

	if (!tap)
		return NULL;
	/* First of all: no interface comes and goes for a host that has no vhost. */
	err = nic->vhost ? tap_open_vhost(tap) : 0;
	if (!err && nic->nr_fds)
		err = tap_open_inherited(tap, nic);
	else if (!err && nic->tapif)
		err = tap_open_existing(tap, nic->tapif);
	else if (!err)
		err = tap_open_new(tap, nic);
	if (!err)
		err = tap_set_up(tap);
	if (!err && nic->script)
		err = tap_run_script(nic->script, tap->name);
	if (!err && !nic->nr_fds) /* whose names may be of another network namespace */
		err = tap_check_mtu(tap, nic->mtu);
	if (err) {
		tap_close(&tap->be);
		return NULL;
	}
	tap->downscript = nic->downscript;
	return &tap->be;
}
