// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tap interfaces: one of our own that lives as long as the VM, an existing one, a macvtap's
 * character device, or a descriptor that was inherited.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/net.h"
#include "kvm/util.h"

#define TAP_DEVICE "/dev/net/tun"

struct tap {
	struct net_backend be;
	char name[IFNAMSIZ];
	const char *downscript; /* NULL: none */
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
	return ioctl(be->fd, TUNSETOFFLOAD, (unsigned long)tun_flags) ? -errno : 0;
}

static int tap_set_hdr_len(struct net_backend *be, int len)
{
	return ioctl(be->fd, TUNSETVNETHDRSZ, &len) ? -errno : 0;
}

static void tap_close(struct net_backend *be)
{
	struct tap *tap = tap_of(be);

	if (tap->downscript)
		tap_run_script(tap->downscript, tap->name);
	close(be->fd);
	free(tap);
}

static const struct net_backend_ops tap_ops = {
	.set_offload = tap_set_offload,
	.set_hdr_len = tap_set_hdr_len,
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

/* host_ip/24 on the interface, and up. */
static int tap_configure(const struct tap *tap, struct in_addr host_ip)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr = host_ip};
	struct ifreq ifr = {0};
	int sock, err = 0;

	if (!host_ip.s_addr)
		sin.sin_addr.s_addr = inet_addr(NIC_DEFAULT_HOST_IP);
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	tap_warn_if_address_taken(tap, sin.sin_addr);
	memcpy(ifr.ifr_name, tap->name, IFNAMSIZ);
	memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
	if (ioctl(sock, SIOCSIFADDR, &ifr))
		err = -errno;
	sin.sin_addr.s_addr = htonl(0xffffff00);
	memcpy(&ifr.ifr_netmask, &sin, sizeof(sin));
	if (!err && ioctl(sock, SIOCSIFNETMASK, &ifr))
		err = -errno;
	if (!err && ioctl(sock, SIOCGIFFLAGS, &ifr))
		err = -errno;
	ifr.ifr_flags |= IFF_UP;
	if (!err && ioctl(sock, SIOCSIFFLAGS, &ifr))
		err = -errno;
	close(sock);
	return err;
}

/* Attaches to the interface `name`, or to a new one that the kernel names. */
static int tap_attach(struct tap *tap, const char *device, const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};

	tap->be.fd = open(device, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tap->be.fd < 0)
		return -errno;
	if (name)
		strcpy(ifr.ifr_name, name);
	if (ioctl(tap->be.fd, TUNSETIFF, &ifr))
		return -errno;
	memcpy(tap->name, ifr.ifr_name, IFNAMSIZ);
	tap->be.vnet_hdr = true;
	return 0;
}

/* An fd that somebody else set up: what it is, it says itself. */
static int tap_inherit(struct tap *tap, int fd)
{
	struct ifreq ifr = {0};
	int flags;

	if (ioctl(fd, TUNGETIFF, &ifr))
		return -errno;
	if (!(ifr.ifr_flags & IFF_TAP) || !(ifr.ifr_flags & IFF_NO_PI))
		return -EINVAL;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
		return -errno;
	tap->be.fd = fd;
	tap->be.vnet_hdr = ifr.ifr_flags & IFF_VNET_HDR;
	memcpy(tap->name, ifr.ifr_name, IFNAMSIZ);
	return 0;
}

static int tap_open_inherited(struct tap *tap, int fd)
{
	int err = tap_inherit(tap, fd);

	if (err)
		log_error("--network fd=%d: %s", fd,
			  err == -EBADF ? "not open" : "not a tap with IFF_TAP and IFF_NO_PI");
	return err;
}

static int tap_open_existing(struct tap *tap, const char *tapif)
{
	const char *why;
	int err;

	if (tapif[0] == '/') {
		err = tap_attach(tap, tapif, NULL);
	} else if (strlen(tapif) >= IFNAMSIZ || !if_nametoindex(tapif)) {
		log_error("--network tapif=%s: no such interface "
			  "(made by: ip tuntap add dev NAME mode tap user USER)",
			  tapif);
		return -ENODEV;
	} else {
		err = tap_attach(tap, TAP_DEVICE, tapif);
	}
	if (!err)
		return 0;
	why = strerror(-err);
	if (err == -EBUSY)
		why = "in use by another process";
	else if (err == -EINVAL || err == -ENOTTY)
		why = "not a tap with a single queue";
	else if (err == -EPERM)
		why = "belongs to another user";
	log_error("--network tapif=%s: %s", tapif, why);
	return err;
}

static int tap_open_new(struct tap *tap, const struct nic_params *nic)
{
	int err = tap_attach(tap, TAP_DEVICE, NULL);

	/* A script takes the interface's set-up over, unless an address was asked for as well. */
	if (!err && (!nic->script || nic->host_ip.s_addr))
		err = tap_configure(tap, nic->host_ip);
	if (err == -EPERM || err == -EACCES)
		log_error("--network tap: making an interface needs CAP_NET_ADMIN "
			  "(tapif= with one that is yours, and --network user, need nothing)");
	else if (err)
		log_error("--network tap: %s: %s", tap->name[0] ? tap->name : TAP_DEVICE,
			  strerror(-err));
	return err;
}

struct net_backend *net_tap_open(const struct nic_params *nic)
{
	int err;
	struct tap *tap = calloc(1, sizeof(*tap));

	if (!tap) {
		log_error("--network tap: out of memory");
		return NULL;
	}
	tap->be.ops = &tap_ops;
	tap->be.fd = -1;
	if (nic->fd >= 0)
		err = tap_open_inherited(tap, nic->fd);
	else if (nic->tapif)
		err = tap_open_existing(tap, nic->tapif);
	else
		err = tap_open_new(tap, nic);
	if (err)
		goto out;
	if (tap->be.vnet_hdr)
		err = tap_set_hdr_len(&tap->be, sizeof(struct virtio_net_hdr_v1));
	if (err) {
		log_error("--network tap: %s: header size: %s", tap->name, strerror(-err));
		goto out;
	}
	if (nic->script && tap_run_script(nic->script, tap->name))
		goto out;
	tap->downscript = nic->downscript;
	return &tap->be;

out:
	tap_close(&tap->be);
	return NULL;
}
