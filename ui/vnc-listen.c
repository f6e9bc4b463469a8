// SPDX-License-Identifier: GPL-2.0-or-later
/* Where the VNC server listens: not where others could connect who know no password. */
#include "vnc-listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/display.h"
#include "kvm/log.h"
#include "kvm/unix.h"

#define VNC_PORT    5900
#define VNC_BACKLOG 8

static bool vnc_is_local(const struct sockaddr *addr)
{
	const struct sockaddr_in6 *in6 = (const void *)addr;
	const struct sockaddr_in *in = (const void *)addr;

	return addr->sa_family == AF_INET ? ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET
					  : IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

/* Prints nothing; errno says what went wrong. */
static int vnc_bind(int family, const struct sockaddr *addr, socklen_t len)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, err;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, addr, len) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

static int vnc_listen_fd(struct vnc_listener *listener, int fd, const char *where)
{
	if (fd < 0 || listen(fd, VNC_BACKLOG) < 0) {
		log_error("--vnc: cannot listen on %s: %m", where);
		if (fd >= 0)
			close(fd);
		return -EIO;
	}
	listener->fd[listener->nr++] = fd;
	return 0;
}

static int vnc_listen_unix(struct vnc_listener *listener, const char *path)
{
	char *absolute = unix_absolute(path);
	int fd = absolute ? unix_listen(absolute, 0600) : -errno;

	if (fd < 0) {
		log_error("--vnc: cannot listen on %s: %s", path, strerror(-fd));
		free(absolute);
		return fd;
	}
	listener->unix_path = absolute;
	listener->fd[listener->nr++] = fd;
	return 0;
}

static int vnc_listen_tcp(struct vnc_listener *listener, const struct display_params *params,
			  bool has_password)
{
	const char *host = params->vnc_host ? params->vnc_host : "127.0.0.1";
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
	char port[8], where[NI_MAXHOST + 16];
	int fd, ret;

	snprintf(port, sizeof(port), "%u", VNC_PORT + params->vnc_number);
	snprintf(where, sizeof(where), "%s port %s", host, port);
	ret = getaddrinfo(host, port, &hints, &found);
	if (ret) {
		log_error("--vnc: %s: %s", host, gai_strerror(ret));
		return -EINVAL;
	}
	for (struct addrinfo *ai = found; ai && !ret && listener->nr < VNC_MAX_LISTEN;
	     ai = ai->ai_next) {
		if (!vnc_is_local(ai->ai_addr) && !has_password) {
			log_error("--vnc: others can reach %s: give a password-file", host);
			ret = -EPERM;
			continue;
		}
		fd = vnc_bind(ai->ai_family, ai->ai_addr, ai->ai_addrlen);
		/* A name like localhost may have addresses that this host has not. */
		if (fd < 0 && (ai->ai_next || listener->nr) &&
		    (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT))
			continue;
		ret = vnc_listen_fd(listener, fd, where);
	}
	freeaddrinfo(found);
	if (!ret)
		log_info("VNC: display %u on %s", params->vnc_number, where);
	return ret;
}

int vnc_listen(struct vnc_listener *listener, const struct display_params *params,
	       bool has_password)
{
	return params->vnc_unix ? vnc_listen_unix(listener, params->vnc_unix)
				: vnc_listen_tcp(listener, params, has_password);
}

void vnc_unlisten(struct vnc_listener *listener)
{
	for (unsigned int i = 0; i < listener->nr; i++)
		close(listener->fd[i]);
	if (listener->unix_path)
		unlink(listener->unix_path);
	free(listener->unix_path);
	*listener = (struct vnc_listener){0};
}
