// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * All device models that a machine can have, in the order of their creation, which is the order of
 * their PCI slots. Platform chips are the architecture's (x86/, arm/).
 */
#include "kvm/devices.h"

#include <errno.h>

#include "kvm/agent.h"
#include "kvm/log.h"
#include "kvm/multiport.h"
#include "kvm/util.h"
#include "kvm/vesa.h"
#include "kvm/virtio-mmio.h"
#include "kvm/virtio-models.h"
#include "kvm/virtio-pci.h"
#include "kvm/virtio.h"
#include "kvm/vm.h"

static void devices_destroy_virtio(void *dev)
{
	virtio_device_destroy(dev);
}

static void devices_destroy_pci(void *dev)
{
	virtio_pci_destroy(dev);
}

static void devices_destroy_mmio(void *dev)
{
	virtio_mmio_destroy(dev);
}

static int devices_add_pci(struct vm *vm, struct virtio_device *vdev, bool legacy)
{
	return vm_add_device(vm, devices_destroy_pci, virtio_pci_create(&vm->pci, vdev, legacy));
}

static int devices_add_mmio(struct vm *vm, struct virtio_device *vdev, bool legacy)
{
	struct virtio_mmio *mio;

	if (vm->nr_virtio_mmio == vm->nr_virtio_mmio_places) {
		log_error("%s: all %u places for virtio-mmio devices are taken", vdev->name,
			  vm->nr_virtio_mmio_places);
		return -ENOSPC;
	}
	mio = virtio_mmio_create(&vm->mmio, &vm->irq, vm->vm_fd,
				 &vm->virtio_mmio[vm->nr_virtio_mmio], vdev, legacy);
	if (mio)
		vm->nr_virtio_mmio++;
	return vm_add_device(vm, devices_destroy_mmio, mio);
}

/* Registered device first, transport second: power-off takes the guest's way in away first. */
static int devices_add_virtio_on(struct vm *vm, struct virtio_device *vdev,
				 enum transport transport)
{
	int ret = vm_add_device(vm, devices_destroy_virtio, vdev);

	if (ret < 0)
		return ret;
	if (transport == TRANSPORT_DEFAULT)
		transport = vm->cfg->transport;
	switch (transport) {
	case TRANSPORT_MMIO:
	case TRANSPORT_MMIO_LEGACY:
		return devices_add_mmio(vm, vdev, transport == TRANSPORT_MMIO_LEGACY);
	default:
		return devices_add_pci(vm, vdev, transport == TRANSPORT_PCI_LEGACY);
	}
}

static int devices_add_virtio(struct vm *vm, struct virtio_device *vdev)
{
	return devices_add_virtio_on(vm, vdev, TRANSPORT_DEFAULT);
}

static int devices_create_disks(struct vm *vm)
{
	int ret = 0;

	for (unsigned int i = 0; i < vm->cfg->nr_disks && ret == 0; i++) {
		const struct disk_params *params = &vm->cfg->disk[i];

		vm->blk[i] = params->vhost_user
				     ? vhost_user_blk_create(&vm->mem, vm->disk_backend[i], params)
				     : blk_create(&vm->mem, params->path, vm->disk[i], params);
		ret = devices_add_virtio_on(vm, vm->blk[i], params->transport);
	}
	return ret;
}

static int devices_create_scsi(struct vm *vm)
{
	int ret = 0;

	for (unsigned int i = 0; i < vm->nr_scsi && ret == 0; i++)
		ret = devices_add_virtio(vm,
					 scsi_create(&vm->mem, &vm->cfg->scsi[i], vm->scsi_fd[i]));
	return ret;
}

static int devices_create_nics(struct vm *vm)
{
	int ret = 0;

	for (unsigned int i = 0; i < vm->cfg->nr_nics && ret == 0; i++) {
		if (!vm->nic[i])
			continue;
		vm->net[i] = net_create(&vm->mem, "net", vm->nic[i], vm->mac[i]);
		ret = devices_add_virtio_on(vm, vm->net[i], vm->cfg->nic[i].transport);
		if (ret == 0)
			net_set_link(vm->net[i], !vm->link_down[i]);
	}
	return ret;
}

static int devices_create_console(struct vm *vm)
{
	if (vm->cfg->console != CONSOLE_VIRTIO)
		return 0;
	return devices_add_virtio(vm, console_create(&vm->mem, "console", vm->console));
}

static int devices_create_rng(struct vm *vm)
{
	return vm->cfg->rng ? devices_add_virtio(vm, rng_create(&vm->mem, "rng")) : 0;
}

static int devices_create_balloon(struct vm *vm)
{
	vm->balloon = NULL;
	if (!vm->cfg->balloon)
		return 0;
	vm->balloon = balloon_create(&vm->mem, "balloon", vm->balloon_target);
	return devices_add_virtio(vm, vm->balloon);
}

static int devices_create_vsock(struct vm *vm)
{
	uint32_t cid = vm->cfg->vsock.cid;

	if (vm->vsock_fd >= 0)
		return devices_add_virtio(vm,
					  vsock_vhost_create(&vm->mem, "vsock", cid, vm->vsock_fd));
	if (vm->vsock_uds)
		return devices_add_virtio(vm, vsock_create(&vm->mem, "vsock", cid, vm->vsock_uds));
	return 0;
}

static int devices_create_shares(struct vm *vm)
{
	int ret = 0;

	for (unsigned int i = 0; i < vm->cfg->nr_shares && ret == 0; i++)
		ret = devices_add_virtio(vm, p9_create(&vm->mem, &vm->cfg->share[i]));
	return ret;
}

static int devices_create_fs(struct vm *vm)
{
	int ret = 0;

	for (unsigned int i = 0; i < vm->cfg->nr_fs && ret == 0; i++)
		ret = devices_add_virtio_on(vm, fs_create(&vm->mem, vm->fs[i], &vm->cfg->fs[i]),
					    vm->cfg->fs[i].transport);
	return ret;
}

static int devices_create_ports(struct vm *vm)
{
	int ret = 0;

	if (vm->ports.nr)
		ret = devices_add_virtio(vm, multiport_create(&vm->mem, "ports", &vm->ports));
	if (ret == 0 && vm->agent)
		ret = devices_add_virtio(
			vm, multiport_create(&vm->mem, "agent", agent_ports(vm->agent)));
	return ret;
}

static void devices_destroy_vesa(void *dev)
{
	vesa_destroy(dev);
}

static int devices_create_display(struct vm *vm)
{
	const struct display_params *params = &vm->cfg->display;

	vm->vesa = NULL;
	if (!vm->display)
		return 0;
	vm->vesa = vesa_create(&vm->mem, &vm->pci, vm->display, params->width, params->height,
			       params->depth);
	return vm_add_device(vm, devices_destroy_vesa, vm->vesa);
}

/* Who has something to look at wants to type and to point. */
static int devices_create_input(struct vm *vm)
{
	static const enum input_kind_id kinds[] = {INPUT_KEYBOARD, INPUT_MOUSE, INPUT_TABLET};
	int ret = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds) && vm->display && ret == 0; i++)
		ret = devices_add_virtio(vm, input_create(&vm->mem, kinds[i], &vm->seat));
	return ret;
}

static int (*const devices_table[])(struct vm *vm) = {
	devices_create_disks, devices_create_scsi,    devices_create_nics,  devices_create_console,
	devices_create_rng,   devices_create_balloon, devices_create_vsock, devices_create_shares,
	devices_create_fs,    devices_create_display, devices_create_input, devices_create_ports,
};

/* At least as many as there are of which there is one at most. */
#define DEVICES_OTHERS 12

static bool devices_are_many(const struct vm_config *cfg)
{
	return cfg->nr_disks + cfg->nr_scsi + cfg->nr_nics + cfg->nr_shares + cfg->nr_fs +
		       DEVICES_OTHERS > PCI_MAX_SLOTS;
}

int devices_create(struct vm *vm)
{
	int ret = 0;

	vm->nr_virtio_mmio = 0;
	vm->pci.crowded = devices_are_many(vm->cfg);
	for (unsigned int i = 0; i < ARRAY_SIZE(devices_table) && ret == 0; i++)
		ret = devices_table[i](vm);
	return ret;
}
