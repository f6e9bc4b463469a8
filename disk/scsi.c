// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/scsi.h"

#include <errno.h>
#include <linux/vhost.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/util.h"

#define SCSI_DEVICE "/dev/vhost-scsi"
#define SCSI_PREFIX "scsi:"

int scsi_params_parse(struct scsi_params *params, const char *word)
{
	const char *name = word + strlen(SCSI_PREFIX);
	size_t len = strcspn(name, ":");
	uint32_t tpgt;

	*params = (struct scsi_params){.word = word};
	if (strncmp(name, "naa.", 4) || strspn(name + 4, "0123456789abcdef") != len - 4 ||
	    len == 4 || len > SCSI_MAX_WWPN || (name[len] && parse_u32(name + len + 1, &tpgt))) {
		log_error("--disk %s: should be scsi:naa.HEX, a vhost-scsi target of this host",
			  word);
		return -EINVAL;
	}
	memcpy(params->wwpn, name, len);
	return 0;
}

static int scsi_ioctl(int fd, const struct scsi_params *params, unsigned long request)
{
	struct vhost_scsi_target target = {.abi_version = VHOST_SCSI_ABI_VERSION, .vhost_tpgt = 1};

	memcpy(target.vhost_wwpn, params->wwpn, sizeof(params->wwpn));
	return ioctl(fd, request, &target) ? -errno : 0;
}

int scsi_set_endpoint(int fd, const struct scsi_params *params)
{
	return scsi_ioctl(fd, params, VHOST_SCSI_SET_ENDPOINT);
}

int scsi_clear_endpoint(int fd, const struct scsi_params *params)
{
	return scsi_ioctl(fd, params, VHOST_SCSI_CLEAR_ENDPOINT);
}

/* Whether the target is there: with neither memory nor queues nothing happens on it. */
static int scsi_probe(int fd, const struct scsi_params *params)
{
	struct vhost_memory nothing = {0};
	int err;

	if (ioctl(fd, VHOST_SET_OWNER) || ioctl(fd, VHOST_SET_MEM_TABLE, &nothing))
		return -errno;
	err = scsi_set_endpoint(fd, params);
	return err ? err : scsi_clear_endpoint(fd, params);
}

int scsi_open(const struct scsi_params *params)
{
	int fd = open_device(SCSI_DEVICE, params->word), abi = 0, err = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, VHOST_SCSI_GET_ABI_VERSION, &abi))
		err = -errno;
	else if (abi > VHOST_SCSI_ABI_VERSION)
		err = -EPROTONOSUPPORT;
	if (!err)
		err = scsi_probe(fd, params);
	if (!err)
		return fd;
	/* Kernels differ in which of the two they say. */
	log_error("--disk %s: %s", params->word,
		  err == -EEXIST || err == -ENODEV ? "this host has no such target, or it is in use"
						   : strerror(-err));
	close(fd);
	return err;
}
