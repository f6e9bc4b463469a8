// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio over PCI (virtio 1.2 §4.1), the modern interface: capabilities point at four groups of
 * registers, each on a page of its own in BAR 4. BAR 2 holds the MSI-X table. BAR 0 is where a
 * transitional device has the legacy interface (§4.1.4.10, virtio/pci-legacy.c).
 *
 * Selectors and vectors are single atomics: a driver that races with itself gets what it asked
 * for, and vCPUs and the device's worker need no lock among them.
 */
#include "kvm/virtio-pci.h"

#include <linux/virtio_pci.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/log.h"
#include "kvm/util.h"
#include "pci-internal.h"

#define VIRTIO_PCI_VENDOR 0x1af4
#define VIRTIO_PCI_DEVICE 0x1040 /* plus the virtio device id (§4.1.2.1) */

#define VIRTIO_PCI_MSIX_BAR  2
#define VIRTIO_PCI_MSIX_SIZE 4096
#define VIRTIO_PCI_PBA	     2048 /* behind a table of up to 65 vectors */

#define VIRTIO_PCI_REGS_BAR    4
#define VIRTIO_PCI_COMMON      0x0000
#define VIRTIO_PCI_ISR_REG     0x1000
#define VIRTIO_PCI_CONFIG_REGS 0x2000
#define VIRTIO_PCI_NOTIFY      0x3000
#define VIRTIO_PCI_PAGE	       0x1000
#define VIRTIO_PCI_REGS_SIZE   0x4000
#define VIRTIO_PCI_NOTIFY_STEP 4 /* notify_off_multiplier: bytes per queue */

#define VIRTIO_PCI_ISR_CONFIG_BIT 2
#define VIRTIO_PCI_ISR_QUEUE_BIT  1

/* --- interrupts, from the worker --- */

/* The line follows the ISR, and does nothing as long as MSI-X is enabled (pci_intx_sync()). */
static void virtio_pci_raise_isr(struct virtio_pci *vp, uint8_t isr)
{
	pthread_mutex_lock(&vp->isr_lock);
	vp->isr |= isr;
	pci_intx_set(&vp->fn, true);
	pthread_mutex_unlock(&vp->isr_lock);
}

static void virtio_pci_raise_vector(struct virtio_pci *vp, uint16_t vector)
{
	if (vector != VIRTIO_MSI_NO_VECTOR)
		pci_msix_raise(&vp->fn, vector);
}

static void virtio_pci_raise_queue(void *transport, unsigned int q)
{
	struct virtio_pci *vp = transport;

	if (pci_msix_enabled(&vp->fn))
		virtio_pci_raise_vector(vp, vp->queue_vector[q]);
	else
		virtio_pci_raise_isr(vp, VIRTIO_PCI_ISR_QUEUE_BIT);
}

static void virtio_pci_raise_config(void *transport)
{
	struct virtio_pci *vp = transport;

	/* With MSI-X, too (§4.1.4.5.1): drivers that share one vector look there for the reason. */
	virtio_pci_raise_isr(vp, VIRTIO_PCI_ISR_CONFIG_BIT);
	if (pci_msix_enabled(&vp->fn))
		virtio_pci_raise_vector(vp, vp->config_vector);
}

/* Without MSI-X there is an ISR to set, which KVM cannot: nothing is tied then. call_lock. */
static void virtio_pci_tie_queue(struct virtio_pci *vp, unsigned int q)
{
	int err = pci_msix_tie(&vp->fn, vp->call_fd[q], vp->queue_vector[q]);

	if (err) /* the worker does it instead */
		log_debug("%s: interrupts of queue %u: %s", vp->vdev->name, q, strerror(-err));
}

static void virtio_pci_set_call_fd(void *transport, unsigned int q, int fd)
{
	struct virtio_pci *vp = transport;

	pthread_mutex_lock(&vp->call_lock);
	if (vp->call_fd[q] >= 0)
		pci_msix_untie(&vp->fn, vp->call_fd[q]);
	vp->call_fd[q] = fd;
	if (fd >= 0)
		virtio_pci_tie_queue(vp, q);
	pthread_mutex_unlock(&vp->call_lock);
}

static const struct virtio_transport virtio_pci_transport = {
	.raise_queue = virtio_pci_raise_queue,
	.raise_config = virtio_pci_raise_config,
	.set_call_fd = virtio_pci_set_call_fd,
};

uint8_t virtio_pci_read_isr(struct virtio_pci *vp)
{
	uint8_t isr;

	pthread_mutex_lock(&vp->isr_lock);
	isr = vp->isr;
	vp->isr = 0;
	pci_intx_set(&vp->fn, false);
	pthread_mutex_unlock(&vp->isr_lock);
	return isr;
}

/* --- common configuration (§4.1.4.3) --- */

/* The transport's own registers go with the device's (§4.1.4.3.1, §4.1.5.1.2). */
static void virtio_pci_reset_regs(struct virtio_pci *vp)
{
	vp->device_feature_select = vp->driver_feature_select = vp->queue_select = 0;
	vp->config_vector = VIRTIO_MSI_NO_VECTOR;
	for (unsigned int q = 0; q < VIRTIO_MAX_QUEUES; q++)
		vp->queue_vector[q] = VIRTIO_MSI_NO_VECTOR;
	virtio_pci_read_isr(vp);
}

void virtio_pci_set_status(struct virtio_pci *vp, uint8_t status)
{
	virtio_device_set_status(vp->vdev, status);
	if (!status)
		virtio_pci_reset_regs(vp);
}

/* §4.1.5.1.2.1: a vector that cannot be mapped reads back NO_VECTOR. */
static uint16_t virtio_pci_check_vector(struct virtio_pci *vp, uint16_t vector)
{
	return vector < vp->nr_vectors ? vector : VIRTIO_MSI_NO_VECTOR;
}

void virtio_pci_set_config_vector(struct virtio_pci *vp, uint16_t vector)
{
	vp->config_vector = virtio_pci_check_vector(vp, vector);
}

void virtio_pci_set_queue_vector(struct virtio_pci *vp, unsigned int q, uint16_t vector)
{
	if (q >= vp->vdev->nr_queues)
		return;
	pthread_mutex_lock(&vp->call_lock);
	vp->queue_vector[q] = virtio_pci_check_vector(vp, vector);
	if (vp->call_fd[q] >= 0)
		virtio_pci_tie_queue(vp, q);
	pthread_mutex_unlock(&vp->call_lock);
}

uint16_t virtio_pci_queue_vector(struct virtio_pci *vp, unsigned int q)
{
	return q < vp->vdev->nr_queues ? vp->queue_vector[q] : VIRTIO_MSI_NO_VECTOR;
}

static uint32_t virtio_pci_feature_word(uint64_t features, unsigned int word)
{
	return word < 2 ? features >> 32 * word : 0;
}

/* The address registers of a queue are three 64-bit fields, accessed by halves (§4.1.3.1). */
static bool virtio_pci_area_half(uint64_t off, enum virtio_area *area, bool *high)
{
	if (off < VIRTIO_PCI_COMMON_Q_DESCLO || off > VIRTIO_PCI_COMMON_Q_USEDHI)
		return false;
	*area = (off - VIRTIO_PCI_COMMON_Q_DESCLO) / 8;
	*high = off & 4;
	return true;
}

static uint64_t virtio_pci_read_queue(struct virtio_pci *vp, uint64_t off)
{
	unsigned int q = vp->queue_select;
	struct virtio_queue_regs regs = virtio_device_queue_regs(vp->vdev, q);
	enum virtio_area area;
	bool high;

	if (virtio_pci_area_half(off, &area, &high))
		return (uint32_t)(regs.area[area] >> (high ? 32 : 0));
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		return regs.size;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		return virtio_pci_queue_vector(vp, q);
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		return regs.enabled;
	case VIRTIO_PCI_COMMON_Q_NOFF:
		return q < vp->vdev->nr_queues ? q : 0;
	default: /* Q_NDATA is not offered; a Q_RESET is over when its write is */
		return 0;
	}
}

static uint64_t virtio_pci_read_common(struct virtio_pci *vp, uint64_t off)
{
	struct virtio_device *vdev = vp->vdev;

	virtio_device_set_legacy(vdev, false);
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		return vp->device_feature_select;
	case VIRTIO_PCI_COMMON_DF:
		return virtio_pci_feature_word(virtio_device_features(vdev),
					       vp->device_feature_select);
	case VIRTIO_PCI_COMMON_GFSELECT:
		return vp->driver_feature_select;
	case VIRTIO_PCI_COMMON_GF:
		return virtio_pci_feature_word(virtio_device_acked(vdev),
					       vp->driver_feature_select);
	case VIRTIO_PCI_COMMON_MSIX:
		return vp->config_vector;
	case VIRTIO_PCI_COMMON_NUMQ:
		return vdev->nr_queues;
	case VIRTIO_PCI_COMMON_STATUS:
		return virtio_device_status(vdev);
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return virtio_device_config_generation(vdev);
	case VIRTIO_PCI_COMMON_Q_SELECT:
		return vp->queue_select;
	default:
		return virtio_pci_read_queue(vp, off);
	}
}

static void virtio_pci_write_queue(struct virtio_pci *vp, uint64_t off, uint32_t val)
{
	unsigned int q = vp->queue_select;
	enum virtio_area area;
	bool high;

	if (virtio_pci_area_half(off, &area, &high)) {
		virtio_device_set_queue_area(vp->vdev, q, area, high, val);
		return;
	}
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		virtio_device_set_queue_size(vp->vdev, q, val);
		break;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		virtio_pci_set_queue_vector(vp, q, val);
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (val == 1) /* §4.1.4.3.2: 0 is not for the driver to write */
			virtio_device_enable_queue(vp->vdev, q);
		break;
	case VIRTIO_PCI_COMMON_Q_RESET:
		if (val == 1)
			virtio_device_reset_queue(vp->vdev, q);
		break;
	}
}

static void virtio_pci_write_common(struct virtio_pci *vp, uint64_t off, uint32_t val)
{
	virtio_device_set_legacy(vp->vdev, false);
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		vp->device_feature_select = val;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		vp->driver_feature_select = val;
		break;
	case VIRTIO_PCI_COMMON_GF:
		virtio_device_ack_features(vp->vdev, vp->driver_feature_select, val);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		virtio_pci_set_config_vector(vp, val);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		virtio_pci_set_status(vp, val);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		vp->queue_select = (uint16_t)val;
		break;
	default:
		virtio_pci_write_queue(vp, off, val);
	}
}

/* The width of the register at off: drivers use just that (§4.1.3.1); 0 where none begins. */
static unsigned int virtio_pci_common_width(uint64_t off)
{
	if (off == VIRTIO_PCI_COMMON_STATUS || off == VIRTIO_PCI_COMMON_CFGGENERATION)
		return 1;
	if (off < VIRTIO_PCI_COMMON_MSIX ||
	    (off >= VIRTIO_PCI_COMMON_Q_DESCLO && off < VIRTIO_PCI_COMMON_Q_NDATA))
		return off % 4 ? 0 : 4;
	return off <= VIRTIO_PCI_COMMON_Q_RESET && off % 2 == 0 ? 2 : 0;
}

/* --- BARs --- */

static uint64_t virtio_pci_read(void *dev, uint64_t off, unsigned int len)
{
	struct virtio_pci *vp = dev;
	uint8_t buf[8];

	switch (ALIGN_DOWN(off, VIRTIO_PCI_PAGE)) {
	case VIRTIO_PCI_COMMON:
		/* 64-bit accesses to address registers are two 32-bit ones. */
		if (len == 8)
			return virtio_pci_read(vp, off, 4) | virtio_pci_read(vp, off + 4, 4) << 32;
		return len == virtio_pci_common_width(off) ? virtio_pci_read_common(vp, off) : 0;
	case VIRTIO_PCI_ISR_REG:
		return off == VIRTIO_PCI_ISR_REG ? virtio_pci_read_isr(vp) : 0;
	case VIRTIO_PCI_CONFIG_REGS:
		virtio_device_config_read(vp->vdev, off - VIRTIO_PCI_CONFIG_REGS, buf, len);
		return le_load(buf, len);
	default:
		return 0;
	}
}

static void virtio_pci_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct virtio_pci *vp = dev;
	uint8_t buf[8];

	switch (ALIGN_DOWN(off, VIRTIO_PCI_PAGE)) {
	case VIRTIO_PCI_NOTIFY: /* only where KVM does not write the eventfd itself */
		virtio_device_kick(vp->vdev, (off - VIRTIO_PCI_NOTIFY) / VIRTIO_PCI_NOTIFY_STEP);
		break;
	case VIRTIO_PCI_COMMON:
		if (len == 8) {
			virtio_pci_write(vp, off, 4, (uint32_t)val);
			virtio_pci_write(vp, off + 4, 4, val >> 32);
		} else if (len == virtio_pci_common_width(off)) {
			virtio_pci_write_common(vp, off, val);
		}
		break;
	case VIRTIO_PCI_CONFIG_REGS:
		le_store(buf, len, val);
		virtio_device_config_write(vp->vdev, off - VIRTIO_PCI_CONFIG_REGS, buf, len);
		break;
	}
}

static uint64_t virtio_pci_msix_read(void *dev, uint64_t off, unsigned int len)
{
	struct virtio_pci *vp = dev;

	return pci_msix_read(&vp->fn, off, len);
}

static void virtio_pci_msix_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct virtio_pci *vp = dev;

	pci_msix_write(&vp->fn, off, len, val);
}

static const struct io_ops virtio_pci_ops = {
	.read = virtio_pci_read,
	.write = virtio_pci_write,
};

static const struct io_ops virtio_pci_msix_ops = {
	.read = virtio_pci_msix_read,
	.write = virtio_pci_msix_write,
};

/* --- the window in configuration space (§4.1.4.9) --- */

/*
 * Firmware that has no BARs mapped yet reaches the registers through pci_cfg_data: the capability
 * says which bytes of which BAR that stands for.
 */
static bool virtio_pci_window(struct virtio_pci *vp, unsigned int reg, unsigned int len,
			      uint32_t *off, uint32_t *width)
{
	unsigned int data = vp->window + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);
	uint8_t bar;

	if (!ranges_overlap(reg, len, data, 4))
		return false;
	bar = pci_config_get(&vp->fn, vp->window + offsetof(struct virtio_pci_cap, bar), 1);
	*off = pci_config_get(&vp->fn, vp->window + offsetof(struct virtio_pci_cap, offset), 4);
	*width = pci_config_get(&vp->fn, vp->window + offsetof(struct virtio_pci_cap, length), 4);
	return bar == VIRTIO_PCI_REGS_BAR && (*width == 1 || *width == 2 || *width == 4) &&
	       *off % *width == 0 && range_contains(0, VIRTIO_PCI_REGS_SIZE, *off, *width);
}

static void virtio_pci_config_read(void *dev, unsigned int reg, unsigned int len)
{
	struct virtio_pci *vp = dev;
	uint32_t off, width;

	if (virtio_pci_window(vp, reg, len, &off, &width))
		pci_config_set(&vp->fn,
			       vp->window + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data), 4,
			       virtio_pci_read(vp, off, width));
}

static void virtio_pci_config_written(void *dev, unsigned int reg, unsigned int len)
{
	struct virtio_pci *vp = dev;
	uint32_t off, width;

	if (virtio_pci_window(vp, reg, len, &off, &width))
		virtio_pci_write(vp, off, width,
				 pci_config_get(&vp->fn,
						vp->window + offsetof(struct virtio_pci_cfg_cap,
								      pci_cfg_data),
						width));
}

/* --- life --- */

/* Appends a virtio capability (§4.1.4), `extra` bytes longer than the common part. */
static int virtio_pci_add_cap(struct virtio_pci *vp, uint8_t type, uint32_t off, uint32_t size,
			      unsigned int extra, uint32_t extra_val)
{
	struct {
		struct virtio_pci_cap cap;
		uint8_t extra[4];
	} body = {
		.cap =
			{
				.cap_len = sizeof(body.cap) + extra,
				.cfg_type = type,
				.bar = size ? VIRTIO_PCI_REGS_BAR : 0,
				.offset = htole32(off),
				.length = htole32(size),
			},
	};

	le_store(body.extra, sizeof(body.extra), extra_val);
	return pci_add_capability(&vp->fn, PCI_CAP_ID_VNDR, (uint8_t *)&body + 2, body.cap.cap_len);
}

static int virtio_pci_add_window(struct virtio_pci *vp)
{
	int at = virtio_pci_add_cap(vp, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 4, 0);

	if (at < 0)
		return at;
	vp->window = at;
	pci_set_writable(&vp->fn, at + offsetof(struct virtio_pci_cap, bar), 1, UINT8_MAX);
	pci_set_writable(&vp->fn, at + offsetof(struct virtio_pci_cap, offset), 4, UINT32_MAX);
	pci_set_writable(&vp->fn, at + offsetof(struct virtio_pci_cap, length), 4, UINT32_MAX);
	pci_set_writable(&vp->fn, at + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data), 4,
			 UINT32_MAX);
	vp->fn.config_read = virtio_pci_config_read;
	vp->fn.config_written = virtio_pci_config_written;
	return 0;
}

static int virtio_pci_add_bars(struct virtio_pci *vp)
{
	const struct pci_bar_layout msix = {
		.size = VIRTIO_PCI_MSIX_SIZE,
		.ops = &virtio_pci_msix_ops,
	};
	const struct pci_bar_layout regs = {
		.type = PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH,
		.size = VIRTIO_PCI_REGS_SIZE,
		.ops = &virtio_pci_ops,
	};
	int err;

	err = pci_add_bar(&vp->fn, VIRTIO_PCI_MSIX_BAR, &msix);
	if (err < 0)
		return err;
	err = pci_add_bar(&vp->fn, VIRTIO_PCI_REGS_BAR, &regs);
	if (err < 0)
		return err;
	return pci_add_msix(&vp->fn, vp->nr_vectors, VIRTIO_PCI_MSIX_BAR, 0, VIRTIO_PCI_PBA);
}

static int virtio_pci_add_caps(struct virtio_pci *vp)
{
	uint32_t config_size = vp->vdev->model->config_size;
	int err;

	err = virtio_pci_add_cap(vp, VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_COMMON,
				 VIRTIO_PCI_COMMON_Q_RESET + 2, 0, 0);
	if (err < 0)
		return err;
	err = virtio_pci_add_cap(vp, VIRTIO_PCI_CAP_NOTIFY_CFG, VIRTIO_PCI_NOTIFY, VIRTIO_PCI_PAGE,
				 4, VIRTIO_PCI_NOTIFY_STEP);
	if (err < 0)
		return err;
	err = virtio_pci_add_cap(vp, VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_PCI_ISR_REG, 1, 0, 0);
	if (err < 0)
		return err;
	/* §4.1.4.6.1: only for a device that has any. */
	if (config_size)
		err = virtio_pci_add_cap(vp, VIRTIO_PCI_CAP_DEVICE_CFG, VIRTIO_PCI_CONFIG_REGS,
					 config_size, 0, 0);
	if (err < 0)
		return err;
	return virtio_pci_add_window(vp);
}

static int virtio_pci_add_ioeventfds(struct virtio_pci *vp)
{
	for (unsigned int q = 0; q < vp->vdev->nr_queues; q++) {
		const struct ioeventfd ev = {
			.at = VIRTIO_PCI_NOTIFY + q * VIRTIO_PCI_NOTIFY_STEP,
			.any = true,
			.fd = vp->vdev->queue[q].kick_fd,
		};
		int err = pci_add_ioeventfd(&vp->fn, VIRTIO_PCI_REGS_BAR, &ev);

		if (err < 0)
			return err;
	}
	return 0;
}

static uint32_t virtio_pci_class(uint16_t virtio_id)
{
	switch (virtio_id) {
	case VIRTIO_ID_NET:
		return 0x020000; /* Ethernet controller */
	case VIRTIO_ID_BLOCK:
		return 0x018000; /* other mass storage controller */
	case VIRTIO_ID_CONSOLE:
		return 0x078000; /* other communication controller */
	default:
		return 0x00ff00; /* unclassified */
	}
}

/* The device ids of transitional devices follow no rule (§4.1.2.1). */
static uint16_t virtio_pci_transitional_device(uint16_t virtio_id)
{
	switch (virtio_id) {
	case VIRTIO_ID_NET:
		return 0x1000;
	case VIRTIO_ID_BLOCK:
		return 0x1001;
	case VIRTIO_ID_BALLOON:
		return 0x1002;
	case VIRTIO_ID_CONSOLE:
		return 0x1003;
	case VIRTIO_ID_SCSI:
		return 0x1004;
	case VIRTIO_ID_RNG:
		return 0x1005;
	default:
		return 0x1000 + virtio_id; /* 9p */
	}
}

static struct pci_id virtio_pci_id(uint16_t virtio_id, bool transitional)
{
	struct pci_id id = {
		.vendor = VIRTIO_PCI_VENDOR,
		.device = VIRTIO_PCI_DEVICE + virtio_id,
		.subsystem_vendor = VIRTIO_PCI_VENDOR,
		.subsystem = 0x40 + virtio_id,
		.class_code = virtio_pci_class(virtio_id),
		.revision = 1, /* §4.1.2.1: what is not transitional */
	};

	if (transitional) {
		id.device = virtio_pci_transitional_device(virtio_id);
		id.subsystem = virtio_id;
		id.revision = VIRTIO_PCI_ABI_VERSION;
	}
	return id;
}

struct virtio_pci *virtio_pci_create(struct pci *pci, struct virtio_device *vdev, bool transitional)
{
	bool legacy = transitional && virtio_device_has_legacy(vdev);
	const struct pci_id id = virtio_pci_id(vdev->model->id, legacy);
	struct virtio_pci *vp = calloc(1, sizeof(*vp));

	if (!vp) {
		log_error("%s: out of memory", vdev->name);
		return NULL;
	}
	vp->vdev = vdev;
	vp->nr_vectors = vdev->nr_queues + 1;
	pthread_mutex_init(&vp->isr_lock, NULL);
	pthread_mutex_init(&vp->call_lock, NULL);
	for (unsigned int q = 0; q < VIRTIO_MAX_QUEUES; q++)
		vp->call_fd[q] = -1;
	pci_function_init(&vp->fn, pci, vdev->name, vp, &id);
	virtio_pci_reset_regs(vp);
	virtio_device_attach(vdev, &virtio_pci_transport, vp);
	if (virtio_pci_add_bars(vp) < 0 || virtio_pci_add_caps(vp) < 0 ||
	    virtio_pci_add_ioeventfds(vp) < 0 || (legacy && virtio_pci_add_legacy(vp) < 0) ||
	    pci_function_add(&vp->fn, -1) < 0) {
		virtio_pci_destroy(vp);
		return NULL;
	}
	return vp;
}

void virtio_pci_destroy(struct virtio_pci *vp)
{
	if (!vp)
		return;
	virtio_device_set_status(vp->vdev, 0);
	virtio_device_attach(vp->vdev, NULL, NULL);
	pci_function_remove(&vp->fn);
	pthread_mutex_destroy(&vp->call_lock);
	pthread_mutex_destroy(&vp->isr_lock);
	free(vp);
}
