/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_GUEST_NET_H
#define LKVM_GUEST_NET_H

#include <stdbool.h>

#define NET_AF_INET    2
#define NET_SOCK_DGRAM 2

/* In network order; 0: none. */
struct net_address {
	unsigned int addr, mask, gateway, dns;
};

/* Gives a NIC its address. */
void net_use(const char *nic, const struct net_address *address, bool write_resolv_conf);

/* --- dhcp.c --- */

/* Asks for an address, waits a moment for it, and goes on asking in the background. */
void dhcp_start(const char *nic, bool write_resolv_conf);

#endif
