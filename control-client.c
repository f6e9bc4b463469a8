// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kvm/control.h"
#include "kvm/instance.h"
#include "kvm/util.h"

#define CONTROL_CHUNK	  4096
#define CONTROL_MAX_REPLY (64 * MIB) /* a dump of thousands of vCPUs fits */

int control_open(struct control_peer *peer, const char *name)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	*peer = (struct control_peer){.pidfd = -1};
	peer->fd = instance_connect(name);
	if (peer->fd < 0)
		return peer->fd;
	peer->name = strdup(name);
	if (!peer->name) {
		control_close(peer);
		return -ENOMEM;
	}
	if (!getsockopt(peer->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len)) {
		peer->pid = cred.pid;
		/* While the connection stands, the pid is that of the VM and no other. */
		peer->pidfd = (int)syscall(SYS_pidfd_open, cred.pid, 0);
	}
	return 0;
}

void control_close(struct control_peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	if (peer->pidfd >= 0)
		close(peer->pidfd);
	free(peer->name);
	*peer = (struct control_peer){.fd = -1, .pidfd = -1};
}

int control_send(struct control_peer *peer, const char *command, json_t *arguments)
{
	json_t *request = json_pack("{s:i, s:s, s:O*}", "version", CONTROL_VERSION, "command",
				    command, "arguments", arguments);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	size_t len, sent = 0;
	int ret = 0;

	json_decref(request);
	if (!text)
		return -ENOMEM;
	len = strlen(text);
	text[len++] = '\n'; /* in place of the end of the string */
	while (!ret && sent < len) {
		ssize_t n = send(peer->fd, text + sent, len - sent, MSG_NOSIGNAL);

		if (n >= 0)
			sent += (size_t)n;
		else if (errno != EINTR)
			ret = errno == EPIPE ? -ECONNRESET : -errno;
	}
	free(text);
	return ret;
}

/* Waits until there is something to read on fd: 0 or -ETIMEDOUT. */
static int control_wait_readable(int fd, uint64_t deadline)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	for (;;) {
		uint64_t now = now_ns();
		uint64_t left_ms = now < deadline ? (deadline - now + 999999) / 1000000 : 0;
		int n = poll(&pfd, 1, (int)MIN(left_ms, (uint64_t)1000000));

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (!left_ms)
			return -ETIMEDOUT;
	}
}

/*
 * Appends what is there, up to the end of the line and no further: behind the reply to `console`
 * comes the console. 1 when the line is complete.
 */
static int control_receive_some(int fd, char **line, size_t *len)
{
	char *grown = *len < CONTROL_MAX_REPLY ? realloc(*line, *len + CONTROL_CHUNK) : NULL;
	char *start, *newline;
	ssize_t n;

	if (!grown)
		return -ENOMEM;
	*line = grown;
	start = grown + *len;
	n = recv(fd, start, CONTROL_CHUNK, MSG_PEEK | MSG_DONTWAIT);
	if (n > 0) {
		newline = memchr(start, '\n', (size_t)n);
		n = recv(fd, start, newline ? (size_t)(newline + 1 - start) : (size_t)n,
			 MSG_DONTWAIT);
	}
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	*len += (size_t)n;
	return (*line)[*len - 1] == '\n';
}

/* Takes over reply. */
static int control_take_result(json_t *reply, json_t **result)
{
	const char *status;
	int ret = -EPROTO;

	*result = NULL;
	if (!json_unpack(reply, "{s:s}", "status", &status)) {
		if (!strcmp(status, "ok") && !json_unpack(reply, "{s:O}", "result", result))
			ret = 0;
		else if (!strcmp(status, "error") &&
			 json_is_string(json_object_get(reply, "error")) &&
			 !json_unpack(reply, "{s:O}", "error", result))
			ret = -EREMOTEIO;
	}
	json_decref(reply);
	return ret;
}

int control_receive(struct control_peer *peer, json_t **result, uint64_t deadline)
{
	char *line = NULL;
	size_t len = 0;
	int ret;

	*result = NULL;
	do {
		ret = control_wait_readable(peer->fd, deadline);
		if (!ret)
			ret = control_receive_some(peer->fd, &line, &len);
	} while (!ret);
	if (ret > 0)
		ret = control_take_result(json_loadb(line, len, 0, NULL), result);
	free(line);
	return ret;
}

int control_wait_gone(struct control_peer *peer, uint64_t deadline)
{
	char scratch[CONTROL_CHUNK];
	ssize_t n;
	int ret;

	do {
		ret = control_wait_readable(peer->fd, deadline);
		if (ret)
			return ret;
		n = recv(peer->fd, scratch, sizeof(scratch), MSG_DONTWAIT);
	} while (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
	return peer->pidfd < 0 ? 0 : control_wait_readable(peer->pidfd, deadline);
}
