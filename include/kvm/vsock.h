/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_VSOCK_H
#define LKVM_VSOCK_H

#include <stdint.h>

/*
 * The host's end of a virtio socket device where the host's kernel has no part in it: unix stream
 * sockets, by the convention of Firecracker and cloud-hypervisor.
 *
 *   host to guest   connect to PATH, send "CONNECT PORT\n", read "OK HOSTPORT\n"; from then on the
 *                   connection is the guest's. It ends at once if nobody listens on PORT.
 *   guest to host   a connection to CID 2, port PORT goes to whoever listens on PATH_PORT.
 */
struct vsock_params {
	uint32_t cid;	 /* the guest's address; 0: there is no such device */
	const char *uds; /* PATH; NULL: not said */
};

/*
 * Parses the words of `--vsock`: CID[,uds=PATH]; params points into `words`, which is written to.
 * -EINVAL after an error line with the bad word.
 */
int vsock_params_parse(struct vsock_params *params, char *words);

/*
 * The kernel's end instead (/dev/vhost-vsock): connections are the host's AF_VSOCK sockets. Returns a
 * descriptor that has the CID, the caller's; -ENOENT, nothing printed, when this host has no such
 * device for us; another negative errno after one error line, as when the CID is another VM's.
 */
int vsock_vhost_open(uint32_t cid);

struct vsock_uds;

/*
 * Listens on path. A socket that nobody answers at is taken over; whatever else is there is an
 * error. NULL after one error line.
 */
struct vsock_uds *vsock_uds_open(const char *path);
void vsock_uds_close(struct vsock_uds *uds); /* unlinks the path; NULL is fine */

/* Both return a non-blocking stream socket, the caller's, or a negative errno; nothing printed. */
int vsock_uds_accept(const struct vsock_uds *uds); /* -EAGAIN: nobody wants in */
int vsock_uds_dial(const struct vsock_uds *uds, uint32_t port);

int vsock_uds_fd(const struct vsock_uds *uds); /* readable when somebody wants in */

#endif
