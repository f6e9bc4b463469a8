/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_NET_H
#define LKVM_NET_H

#include <linux/if_tun.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm/transport.h"

/* Not in the headers of every host that we are built on (Linux 6.2). */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/*
 * Where a NIC's frames go. Every back end is a file descriptor, or several of them among which the
 * other side spreads what the guest receives, each of which carries one Ethernet frame per read and
 * write, non-blocking: a tap, a macvtap, or one end of a SOCK_SEQPACKET pair behind which a user-mode
 * stack runs. With vnet_hdr each frame is preceded by a struct virtio_net_hdr_v1 (12 bytes, unless
 * set_hdr_len says otherwise) and offloads can be switched on. EPOLLHUP, EPOLLERR, EBADFD or an end
 * of file say that the other side is gone for good.
 *
 * With a vhost_fd the kernel itself can move the frames between the guest's queues and fd.
 */
#define NET_MAX_PAIRS 16

struct net_backend;

/* Which frames the guest wants to see, by their destination. */
#define NET_FILTER_MAX 66

struct net_filter {
	bool promisc;  /* all of them */
	bool allmulti; /* all that are for many */
	unsigned int nr;
	uint8_t addr[NET_FILTER_MAX][6]; /* unicast first */
};

/* Each gives 0 or a negative errno; all but close may be NULL. */
struct net_backend_ops {
	/* TUN_F_* offloads the guest can take. NULL when there are none. */
	int (*set_offload)(struct net_backend *be, unsigned int tun_flags);
	/* The header's length: 12, or 10 without num_buffers. NULL when it is always 12. */
	int (*set_hdr_len)(struct net_backend *be, int len);
	/* How many of the pairs are in use, from the first one on. NULL when there is only one. */
	int (*set_pairs)(struct net_backend *be, unsigned int nr);
	/* What is not wanted is not read; NULL for the filter: all is wanted. May let more through. */
	int (*set_filter)(struct net_backend *be, const struct net_filter *filter);
	/* The other side knows the guest by its address, and is told a new one. */
	int (*set_mac)(struct net_backend *be, const uint8_t mac[6]);
	void (*close)(struct net_backend *be);
};

struct net_backend {
	const struct net_backend_ops *ops;
	unsigned int nr_pairs; /* 1..NET_MAX_PAIRS, all of them in use at first */
	int fd[NET_MAX_PAIRS];
	int vhost_fd[NET_MAX_PAIRS]; /* when vhost is set */
	bool vhost, vnet_hdr;
	uint16_t mtu;  /* what the guest should use; 0: the usual */
	bool have_mac; /* the address that the guest must have to be heard */
	uint8_t mac[6];
};

enum nic_mode { NIC_NONE, NIC_USER, NIC_TAP, NIC_PASST };

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
	const char *socket;		  /* passt's; NULL: we run it */
	struct in_addr guest_ip, host_ip; /* 0: the mode's default */
	unsigned int nr_fds;		  /* an inherited tap's queues */
	int fd[NET_MAX_PAIRS];
	unsigned int queues; /* pairs of them; 0: one, or nr_fds */
	bool vhost;
	uint16_t mtu; /* 0: not said */
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
struct net_backend *net_stream_open(const struct nic_params *nic);

/*
 * User networking's libraries are large: it is a plugin (plugin.h), "user", which exports this under the
 * name of NET_USER_SYMBOL.
 */
#define NET_USER_SYMBOL "net_user"
struct net_driver {
	struct net_backend *(*open)(const struct nic_params *nic);
};
extern const struct net_driver net_user;

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
