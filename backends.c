// SPDX-License-Identifier: GPL-2.0-or-later
/* What devices stand on at the host. The table at the end is the order in which it is opened. */
#include "kvm/backends.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm/chardev.h"
#include "kvm/instance.h"
#include "kvm/log.h"
#include "kvm/plugin.h"
#include "kvm/util.h"
#include "kvm/vhost-user.h"
#include "kvm/virtio-models.h"
#include "kvm/vm.h"

/* --- disks --- */

static int backends_connect_disk(void *arg)
{
	const struct disk_params *params = arg;

	return vhost_user_connect(params->path, params->path, 0);
}

static int backends_open_disks(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->cfg->nr_disks; i++) {
		const struct disk_params *params = &vm->cfg->disk[i];
		const struct vhost_user_backend be = {
			.name = params->path,
			.config_size = VHOST_USER_BLK_CONFIG_SIZE,
			.connect = backends_connect_disk,
			.arg = (void *)params,
		};

		if (params->vhost_user)
			vm->disk_backend[i] = vhost_user_open(&be);
		else
			vm->disk[i] = disk_open(params);
		if (!vm->disk[i] && !vm->disk_backend[i])
			return -EIO;
	}
	return 0;
}

static void backends_close_disks(struct vm *vm)
{
	for (unsigned int i = 0; i < CONFIG_MAX_DISKS; i++) {
		disk_close(vm->disk[i]);
		vhost_user_close(vm->disk_backend[i]);
	}
}

/* --- virtio-fs --- */

static int backends_connect_fs(void *arg)
{
	const struct fs_params *params = arg;

	return vhost_user_connect(params->name, params->socket, 0);
}

static int backends_connect_virtiofsd(void *arg)
{
	return virtiofsd_connect(arg);
}

static int backends_open_fs(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->cfg->nr_fs; i++) {
		const struct fs_params *params = &vm->cfg->fs[i];
		struct vhost_user_backend be = {
			.name = params->name,
			.connect = backends_connect_fs,
			.arg = (void *)params,
		};

		if (!params->socket) {
			vm->virtiofsd[i] = virtiofsd_create(params, vm->loop);
			if (!vm->virtiofsd[i])
				return -EIO;
			be.connect = backends_connect_virtiofsd;
			be.arg = vm->virtiofsd[i];
		}
		vm->fs[i] = vhost_user_open(&be);
		if (!vm->fs[i])
			return -EIO;
	}
	return 0;
}

static void backends_close_fs(struct vm *vm)
{
	for (unsigned int i = 0; i < CONFIG_MAX_SHARES; i++) {
		/* Told to end, virtiofsd has nothing to say of a connection that is closed. */
		virtiofsd_destroy(vm->virtiofsd[i]);
		vhost_user_close(vm->fs[i]);
	}
}

/* --- NICs --- */

static struct net_backend *backends_open_user_nic(const struct nic_params *nic)
{
	const struct net_driver *user = plugin_load("user", NET_USER_SYMBOL, "--network user");

	return user ? user->open(nic) : NULL;
}

static int backends_open_nics(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->cfg->nr_nics; i++) {
		const struct nic_params *nic = &vm->cfg->nic[i];

		if (nic->mode == NIC_NONE)
			continue;
		vm->nic[i] = nic->mode == NIC_TAP     ? net_tap_open(nic)
			     : nic->mode == NIC_PASST ? net_stream_open(nic)
						      : backends_open_user_nic(nic);
		if (!vm->nic[i])
			return -EIO;
		if (nic->have_mac)
			memcpy(vm->mac[i], nic->mac, sizeof(vm->mac[i]));
		else if (vm->nic[i]->have_mac)
			memcpy(vm->mac[i], vm->nic[i]->mac, sizeof(vm->mac[i]));
		else
			nic_stable_mac(vm->cfg->name, i, vm->mac[i]);
	}
	return 0;
}

static void backends_close_nics(struct vm *vm)
{
	for (unsigned int i = 0; i < CONFIG_MAX_NICS; i++)
		net_backend_close(vm->nic[i]);
}

/* --- SCSI targets --- */

static int backends_open_scsi(struct vm *vm)
{
	for (; vm->nr_scsi < vm->cfg->nr_scsi; vm->nr_scsi++) {
		vm->scsi_fd[vm->nr_scsi] = scsi_open(&vm->cfg->scsi[vm->nr_scsi]);
		if (vm->scsi_fd[vm->nr_scsi] < 0)
			return -EIO;
	}
	return 0;
}

static void backends_close_scsi(struct vm *vm)
{
	while (vm->nr_scsi)
		close(vm->scsi_fd[--vm->nr_scsi]);
}

/* --- vsock --- */

/* Where connections come in when --vsock does not say, and the kernel cannot have them. */
static struct vsock_uds *backends_open_vsock_beside_control(struct vm *vm)
{
	char *dir = instance_run_dir(), *path = NULL;
	struct vsock_uds *uds = NULL;

	if (dir)
		path = xasprintf("%s/%s.vsock", dir, vm->cfg->name);
	if (path)
		uds = vsock_uds_open(path);
	if (uds)
		log_info("vsock: the guest's sockets are behind %s", path);
	free(path);
	free(dir);
	return uds;
}

static int backends_open_vsock(struct vm *vm)
{
	const struct vsock_params *params = &vm->cfg->vsock;

	if (!params->cid)
		return 0;
	if (!params->uds) {
		vm->vsock_fd = vsock_vhost_open(params->cid);
		if (vm->vsock_fd != -ENOENT)
			return vm->vsock_fd < 0 ? -EIO : 0;
	}
	vm->vsock_uds =
		params->uds ? vsock_uds_open(params->uds) : backends_open_vsock_beside_control(vm);
	return vm->vsock_uds ? 0 : -EIO;
}

static void backends_close_vsock(struct vm *vm)
{
	vsock_uds_close(vm->vsock_uds);
	if (vm->vsock_fd >= 0)
		close(vm->vsock_fd);
}

/* --- terminals --- */

static void backends_quit(void *arg)
{
	vm_request_stop(arg);
}

/* The console is the first UART's, or virtio-console's; further UARTs may go to ptys. */
static int backends_open_ttys(struct vm *vm)
{
	const struct vm_config *cfg = vm->cfg;

	for (unsigned int i = 0; i < CONFIG_NR_TTYS; i++) {
		if (!cfg->tty[i])
			continue;
		vm->tty[i] = chardev_pty_create(vm->loop);
		if (!vm->tty[i])
			return -EIO;
		log_info("serial port %u is %s", i, chardev_path(vm->tty[i]));
	}
	if (cfg->console == CONSOLE_SERIAL && vm->tty[0]) {
		vm->console = vm->tty[0];
		return 0;
	}
	vm->console = cfg->detach || cfg->pipes ? chardev_detached_create(vm->loop)
						: chardev_stdio_create(vm->loop, backends_quit, vm);
	if (!vm->console)
		return -EIO;
	if (cfg->console == CONSOLE_SERIAL)
		vm->tty[0] = vm->console;
	return 0;
}

static void backends_close_ttys(struct vm *vm)
{
	for (unsigned int i = 0; i < CONFIG_NR_TTYS; i++)
		if (vm->tty[i] && vm->tty[i] != vm->console)
			chardev_destroy(vm->tty[i]);
	if (vm->console)
		chardev_destroy(vm->console);
}

static int backends_open_log(struct vm *vm)
{
	const char *path = vm->cfg->log_file;
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	int ret = 0;

	if (path)
		ret = fd < 0 ? -errno : chardev_log(vm->console, fd);
	if (ret < 0)
		log_error("--log %s: %s", path, strerror(-ret));
	return ret;
}

/* --- ports --- */

static int backends_open_ports(struct vm *vm)
{
	static const enum port_kind kinds[] = {
		[PORT_TO_PTY] = PORT_PTY,
		[PORT_TO_FILE] = PORT_FILES,
		[PORT_TO_UNIX] = PORT_LISTENER,
		[PORT_TO_TTY] = PORT_FILES,
	};

	for (unsigned int i = 0; i < vm->cfg->nr_ports; i++) {
		const struct port_option *option = &vm->cfg->port[i];

		vm->port[i] = port_open(option);
		if (!vm->port[i])
			return -EIO;
		vm->ports.port[vm->ports.nr++] = (struct port_params){
			.name = option->name,
			.in_fd = port_in_fd(vm->port[i]),
			.out_fd = port_out_fd(vm->port[i]),
			.kind = kinds[option->to],
			.console = option->console,
		};
	}
	return 0;
}

static void backends_close_ports(struct vm *vm)
{
	for (unsigned int i = 0; i < CONFIG_MAX_PORTS; i++)
		port_close(vm->port[i]);
}

/* --- all of them --- */

static const struct {
	int (*open)(struct vm *vm);
	void (*close)(struct vm *vm); /* also of what was not opened; NULL: another's does it */
} backends_table[] = {
	{backends_open_disks, backends_close_disks},
	{backends_open_fs, backends_close_fs},
	{backends_open_nics, backends_close_nics},
	{backends_open_scsi, backends_close_scsi},
	{backends_open_vsock, backends_close_vsock},
	{backends_open_ttys, backends_close_ttys},
	{backends_open_log, NULL},
	{backends_open_ports, backends_close_ports},
};

int backends_open(struct vm *vm)
{
	int ret = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(backends_table) && ret == 0; i++)
		ret = backends_table[i].open(vm);
	return ret;
}

void backends_close(struct vm *vm)
{
	for (unsigned int i = ARRAY_SIZE(backends_table); i-- > 0;)
		if (backends_table[i].close)
			backends_table[i].close(vm);
}
