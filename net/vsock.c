// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/options.h"
#include "kvm/util.h"

#define VSOCK_DEVICE	   "/dev/vhost-vsock"
#define VSOCK_UDS_BACKLOG  128
#define VSOCK_UDS_MAX_PORT "_4294967295"

struct vsock_uds {
	int fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* absolute */
};

int vsock_params_parse(struct vsock_params *params, char *words)
{
	char *key, *val;

	*params = (struct vsock_params){0};
	/* The first CIDs and the last have meanings of their own (virtio 1.2 §5.10.4). */
	if (!options_next_pair(&words, &key, &val) || val || parse_u32(key, &params->cid) ||
	    params->cid <= VMADDR_CID_HOST || params->cid == VMADDR_CID_ANY) {
		log_error("--vsock %s: should start with the guest's CID, 3 to 4294967294",
			  key ? key : "");
		return -EINVAL;
	}
	while (options_next_pair(&words, &key, &val)) {
		if (!val || strcmp(key, "uds")) {
			log_error("--vsock %u: unknown key '%s' (uds=)", params->cid, key);
			return -EINVAL;
		}
		params->uds = val;
	}
	return 0;
}

int vsock_vhost_open(uint32_t cid)
{
	int fd = open(VSOCK_DEVICE, O_RDWR | O_CLOEXEC), ret;

	if (fd < 0)
		return -ENOENT;
	if (!ioctl(fd, VHOST_VSOCK_SET_GUEST_CID, &(uint64_t){cid}))
		return fd;
	ret = -errno;
	log_error("--vsock %u: %s", cid,
		  ret == -EADDRINUSE ? "this CID is taken by another VM" : strerror(-ret));
	close(fd);
	return ret;
}

/* suffix: "" or "_PORT". */
static struct sockaddr_un vsock_uds_address(const char *path, const char *suffix)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s%s", path, suffix);
	return addr;
}

static int vsock_uds_connect(const char *path, const char *suffix)
{
	struct sockaddr_un addr = vsock_uds_address(path, suffix);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ret;

	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

/* Absolute, because a VM that detaches changes its working directory. */
static int vsock_uds_set_path(struct vsock_uds *uds, const char *path)
{
	size_t room = sizeof(uds->path) - strlen(VSOCK_UDS_MAX_PORT);
	char *cwd = *path == '/' ? strdup("") : getcwd(NULL, 0);
	size_t len;

	if (!cwd)
		return -errno;
	len = snprintf(uds->path, room, "%s%s%s", cwd, *path == '/' ? "" : "/", path);
	free(cwd);
	return len < room ? 0 : -ENAMETOOLONG;
}

/* What a VM that was killed has left there answers nobody. */
static void vsock_uds_remove_stale(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) || !S_ISSOCK(st.st_mode))
		return;
	fd = vsock_uds_connect(path, "");
	if (fd == -ECONNREFUSED)
		unlink(path);
	else if (fd >= 0)
		close(fd);
}

static int vsock_uds_listen(struct vsock_uds *uds)
{
	struct sockaddr_un addr = vsock_uds_address(uds->path, "");

	uds->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (uds->fd < 0)
		return -errno;
	vsock_uds_remove_stale(uds->path);
	if (!bind(uds->fd, (struct sockaddr *)&addr, sizeof(addr)) &&
	    !listen(uds->fd, VSOCK_UDS_BACKLOG))
		return 0;
	return -errno;
}

struct vsock_uds *vsock_uds_open(const char *path)
{
	struct vsock_uds *uds = calloc(1, sizeof(*uds));
	int ret;

	if (!uds) {
		log_error("vsock: out of memory");
		return NULL;
	}
	uds->fd = -1;
	ret = vsock_uds_set_path(uds, path);
	if (!ret)
		ret = vsock_uds_listen(uds);
	if (!ret)
		return uds;
	log_error("vsock: socket %s: %s", path,
		  ret == -ENAMETOOLONG ? "its path is too long" : strerror(-ret));
	if (uds->fd >= 0)
		close(uds->fd);
	free(uds);
	return NULL;
}

void vsock_uds_close(struct vsock_uds *uds)
{
	if (!uds)
		return;
	unlink(uds->path);
	close(uds->fd);
	free(uds);
}

int vsock_uds_fd(const struct vsock_uds *uds)
{
	return uds->fd;
}

int vsock_uds_accept(const struct vsock_uds *uds)
{
	int fd = accept4(uds->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int vsock_uds_dial(const struct vsock_uds *uds, uint32_t port)
{
	char suffix[sizeof(VSOCK_UDS_MAX_PORT)];

	snprintf(suffix, sizeof(suffix), "_%u", port);
	return vsock_uds_connect(uds->path, suffix);
}
