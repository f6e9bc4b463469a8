// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The legacy interface of virtio over PCI (virtio 1.2 §4.1.4.10): all registers in one I/O BAR,
 * the device's configuration behind them. A transitional device has it beside the modern one, and
 * drivers from before virtio 1.0 know nothing else.
 *
 * Numbers are the guest's own here; the architectures that lkvm runs are little-endian.
 */
#include <linux/virtio_pci.h>

#include "kvm/util.h"
#include "pci-internal.h"

#define VIRTIO_PCI_LEGACY_BAR	   0
#define VIRTIO_PCI_LEGACY_MAX_SIZE 256 /* of an I/O BAR (PCI 3.0 §6.2.5.1) */

/* MSI-X puts two registers in front of the configuration, for as long as it is enabled. */
static unsigned int virtio_pci_legacy_config(struct virtio_pci *vp)
{
	return VIRTIO_PCI_CONFIG_OFF(pci_msix_enabled(&vp->fn));
}

/* The width of the register at off, and no other is answered; 0 where none begins. */
static unsigned int virtio_pci_legacy_width(uint64_t off)
{
	switch (off) {
	case VIRTIO_PCI_HOST_FEATURES:
	case VIRTIO_PCI_GUEST_FEATURES:
	case VIRTIO_PCI_QUEUE_PFN:
		return 4;
	case VIRTIO_PCI_QUEUE_NUM:
	case VIRTIO_PCI_QUEUE_SEL:
	case VIRTIO_PCI_QUEUE_NOTIFY:
	case VIRTIO_MSI_CONFIG_VECTOR:
	case VIRTIO_MSI_QUEUE_VECTOR:
		return 2;
	case VIRTIO_PCI_STATUS:
	case VIRTIO_PCI_ISR:
		return 1;
	default:
		return 0;
	}
}

static uint64_t virtio_pci_legacy_read_reg(struct virtio_pci *vp, uint64_t off)
{
	struct virtio_device *vdev = vp->vdev;
	struct virtio_queue_regs queue = virtio_device_queue_regs(vdev, vp->queue_select);

	switch (off) {
	case VIRTIO_PCI_HOST_FEATURES:
		return (uint32_t)virtio_device_features(vdev);
	case VIRTIO_PCI_GUEST_FEATURES:
		return (uint32_t)virtio_device_acked(vdev);
	case VIRTIO_PCI_QUEUE_PFN:
		return queue.enabled ? (uint32_t)(queue.area[VIRTIO_AREA_DESC] >>
						  VIRTIO_PCI_QUEUE_ADDR_SHIFT)
				     : 0;
	case VIRTIO_PCI_QUEUE_NUM:
		return queue.size;
	case VIRTIO_PCI_QUEUE_SEL:
		return vp->queue_select;
	case VIRTIO_PCI_STATUS:
		return virtio_device_status(vdev);
	case VIRTIO_PCI_ISR:
		return virtio_pci_read_isr(vp);
	case VIRTIO_MSI_CONFIG_VECTOR:
		return vp->config_vector;
	case VIRTIO_MSI_QUEUE_VECTOR:
		return virtio_pci_queue_vector(vp, vp->queue_select);
	default:
		return 0;
	}
}

static void virtio_pci_legacy_write_reg(struct virtio_pci *vp, uint64_t off, uint32_t val)
{
	struct virtio_device *vdev = vp->vdev;

	switch (off) {
	case VIRTIO_PCI_GUEST_FEATURES:
		virtio_device_ack_features(vdev, 0, val);
		break;
	case VIRTIO_PCI_QUEUE_PFN:
		virtio_device_set_legacy_queue(vdev, vp->queue_select,
					       (uint64_t)val << VIRTIO_PCI_QUEUE_ADDR_SHIFT,
					       VIRTIO_PCI_VRING_ALIGN);
		break;
	case VIRTIO_PCI_QUEUE_SEL:
		vp->queue_select = (uint16_t)val;
		break;
	case VIRTIO_PCI_QUEUE_NOTIFY: /* only where KVM does not write the eventfd itself */
		virtio_device_kick(vdev, (uint16_t)val);
		break;
	case VIRTIO_PCI_STATUS:
		virtio_pci_set_status(vp, val);
		break;
	case VIRTIO_MSI_CONFIG_VECTOR:
		virtio_pci_set_config_vector(vp, val);
		break;
	case VIRTIO_MSI_QUEUE_VECTOR:
		virtio_pci_set_queue_vector(vp, vp->queue_select, val);
		break;
	}
}

static uint64_t virtio_pci_legacy_read(void *dev, uint64_t off, unsigned int len)
{
	struct virtio_pci *vp = dev;
	unsigned int config = virtio_pci_legacy_config(vp);
	uint8_t buf[8];

	/* Features may be read first, and those of the other interface are not for this driver. */
	virtio_device_set_legacy(vp->vdev, true);
	if (off < config)
		return len == virtio_pci_legacy_width(off) ? virtio_pci_legacy_read_reg(vp, off)
							   : 0;
	virtio_device_config_read(vp->vdev, off - config, buf, len);
	return le_load(buf, len);
}

static void virtio_pci_legacy_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct virtio_pci *vp = dev;
	unsigned int config = virtio_pci_legacy_config(vp);
	uint8_t buf[8];

	virtio_device_set_legacy(vp->vdev, true);
	if (off >= config) {
		le_store(buf, len, val);
		virtio_device_config_write(vp->vdev, off - config, buf, len);
	} else if (len == virtio_pci_legacy_width(off)) {
		virtio_pci_legacy_write_reg(vp, off, val);
	}
}

static const struct io_ops virtio_pci_legacy_ops = {
	.read = virtio_pci_legacy_read,
	.write = virtio_pci_legacy_write,
};

int virtio_pci_add_legacy(struct virtio_pci *vp)
{
	uint32_t need = VIRTIO_PCI_CONFIG_OFF(true) + vp->vdev->model->config_size;
	struct pci_bar_layout bar = {
		.type = PCI_BASE_ADDRESS_SPACE_IO,
		.size = 32,
		.ops = &virtio_pci_legacy_ops,
	};
	int err;

	while (bar.size < need && bar.size < VIRTIO_PCI_LEGACY_MAX_SIZE)
		bar.size *= 2;
	err = pci_add_bar(&vp->fn, VIRTIO_PCI_LEGACY_BAR, &bar);
	/* One register for all queues: KVM tells them apart by the number that is written. */
	for (unsigned int q = 0; q < vp->vdev->nr_queues && err == 0; q++)
		err = pci_add_ioeventfd(&vp->fn, VIRTIO_PCI_LEGACY_BAR,
					&(struct ioeventfd){.at = VIRTIO_PCI_QUEUE_NOTIFY,
							    .len = 2,
							    .match = q,
							    .fd = vp->vdev->queue[q].kick_fd});
	return err;
}
