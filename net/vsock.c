// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/vm_sockets.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/options.h"
#include "kvm/unix.h"
#include "kvm/util.h"

#define VSOCK_DEVICE	   "/dev/vhost-vsock"
#define VSOCK_UDS_MAX_PATH (sizeof(((struct sockaddr_un *)0)->sun_path) - sizeof("_4294967295") + 1)

struct vsock_uds {
	int fd;
	char *path; /* absolute */
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

struct vsock_uds *vsock_uds_open(const char *path)
{
	struct vsock_uds *uds = calloc(1, sizeof(*uds));
	int ret = -ENOMEM;

	if (uds)
		uds->path = unix_absolute(path);
	if (uds && uds->path) {
		/* Room for the longest port. */
		bool fits = strlen(uds->path) < VSOCK_UDS_MAX_PATH;

		uds->fd = ret = fits ? unix_listen(uds->path, 0666) : -ENAMETOOLONG;
	}
	if (ret >= 0)
		return uds;
	log_error("vsock: socket %s: %s", path,
		  ret == -ENAMETOOLONG ? "its path is too long" : strerror(-ret));
	if (uds)
		free(uds->path);
	free(uds);
	return NULL;
}

void vsock_uds_close(struct vsock_uds *uds)
{
	if (!uds)
		return;
	unlink(uds->path);
	close(uds->fd);
	free(uds->path);
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
	char *path = xasprintf("%s_%u", uds->path, port);
	int fd = path ? unix_connect(path) : -ENOMEM;

	free(path);
	return fd;
}
