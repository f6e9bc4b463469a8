/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_NET_H
#define LKVM_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm/transport.h"

/*
 * Where a NIC's frames go. Every back end is a file descriptor that carries one Ethernet frame per
 * read and write, non-blocking: a tap, a macvtap, or one end of a SOCK_SEQPACKET pair behind which
 * a user-mode stack runs. With vnet_hdr each frame is preceded by a struct virtio_net_hdr_v1
 * (12 bytes, unless set_hdr_len says otherwise) and offloads can be switched on. EPOLLHUP, EPOLLERR, EBADFD or an end of file say that
 * the other side is gone for good.
 */
struct net_backend;

struct net_backend_ops {
	/* TUN_F_* offloads the guest can take; 0 or a negative errno. NULL when there are none. */
	int (*set_offload)(struct net_backend *be, unsigned int tun_flags);
	/* The header's length: 12, or 10 without num_buffers. As above; NULL when it is always 12. */
	int (*set_hdr_len)(struct net_backend *be, int len);
	void (*close)(struct net_backend *be);
};

struct net_backend {
	const struct net_backend_ops *ops;
	int fd;
	bool vnet_hdr;
};

enum nic_mode { NIC_NONE, NIC_USER, NIC_TAP };

#define NIC_MAX_HOSTFWD 16

/* Connections to a port of the host go on to a port of the guest. Addresses: 0 is "any". */
struct nic_hostfwd {
	const char *word; /* as typed, for messages */
	bool udp;
	struct in_addr host, guest; /* guest 0: the address that DHCP hands out */
	uint16_t host_port, guest_port;
};

/* What `--network` said; strings live as long as the configuration. */
struct nic_params {
	enum nic_mode mode;
	enum transport transport;
	const char *tapif, *script, *downscript;
	struct in_addr guest_ip, host_ip; /* 0: the mode's default */
	int fd;				  /* an inherited tap, or -1 */
	bool have_mac;
	uint8_t mac[6];
	bool host_loopback; /* user mode: the guest may reach the host's 127.0.0.1 */
	unsigned int nr_hostfwd;
	struct nic_hostfwd hostfwd[NIC_MAX_HOSTFWD];
};

#define NIC_DEFAULT_HOST_IP  "192.168.33.1"
#define NIC_DEFAULT_GUEST_IP "192.168.33.15"

/* NULL after one error line. Strings of nic are used until the back end is closed. */
struct net_backend *net_tap_open(const struct nic_params *nic);
struct net_backend *net_user_open(const struct nic_params *nic); /* error when built without slirp */
static inline void net_backend_close(struct net_backend *be)
{
	if (be)
		be->ops->close(be);
}

/*
 * Parses the words of `--network` ("tap", "user", "none", "mode=tap,tapif=..") into nic, whose
 * strings point into `words`, which is written to. -EINVAL after an error line with the bad word.
 */
int nic_params_parse(struct nic_params *nic, char *words);

/* A locally administered unicast address that is the same for the same VM name and NIC number. */
void nic_stable_mac(const char *vm_name, unsigned int nic, uint8_t mac[6]);

#endif
