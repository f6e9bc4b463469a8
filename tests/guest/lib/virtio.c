// SPDX-License-Identifier: GPL-2.0-or-later
#include "virtio.h"

/* The common configuration (§4.1.4.3). */
enum {
	DEVICE_FEATURE_SELECT = 0x00,
	DEVICE_FEATURE = 0x04,
	DRIVER_FEATURE_SELECT = 0x08,
	DRIVER_FEATURE = 0x0c,
	CONFIG_VECTOR = 0x10,
	STATUS = 0x14,
	QUEUE_SELECT = 0x16,
	QUEUE_SIZE = 0x18,
	QUEUE_VECTOR = 0x1a,
	QUEUE_ENABLE = 0x1c,
	QUEUE_NOTIFY_OFF = 0x1e,
	QUEUE_DESC = 0x20,
	QUEUE_DRIVER = 0x28,
	QUEUE_DEVICE = 0x30,
};

#define REQUEST_TIMEOUT_US 2000000

uint64_t virtio_reg(const struct virtio *v, const struct virtio_regs *regs, uint32_t off)
{
	return bar_get(v->bdf, regs->bar) + regs->off + off;
}

static uint64_t common(const struct virtio *v, uint32_t off)
{
	return virtio_reg(v, &v->common, off);
}

/* Capabilities of the vendor kind say where the groups of registers are (§4.1.4). */
static bool virtio_parse(struct virtio *v)
{
	struct virtio_regs *const groups[] = {NULL, &v->common, &v->notify, &v->isr, &v->device};
	unsigned int found = 0;

	for (unsigned int cap = 0; (cap = pci_find_capability(v->bdf, PCI_CAP_VENDOR, cap));) {
		unsigned int type = pci_read8(v->bdf, cap + 3);

		if (type == 0 || type >= ARRAY_SIZE(groups) || found & 1u << type)
			continue;
		found |= 1u << type;
		groups[type]->bar = pci_read8(v->bdf, cap + 4);
		groups[type]->off = pci_read32(v->bdf, cap + 8);
		if (type == 2)
			v->notify_multiplier = pci_read32(v->bdf, cap + 16);
	}
	return (found & 0xe) == 0xe; /* a device without configuration has no group for it */
}

bool virtio_find(struct virtio *v, uint16_t device, unsigned int nth)
{
	int bdf = pci_find(VIRTIO_VENDOR, device, nth);

	if (bdf < 0)
		return false;
	memset(v, 0, sizeof(*v));
	v->bdf = bdf;
	pci_command(bdf, 0, PCI_COMMAND_MEM | PCI_COMMAND_MASTER);
	return virtio_parse(v);
}

uint8_t virtio_status(const struct virtio *v)
{
	return read8(common(v, STATUS));
}

void virtio_set_status(const struct virtio *v, uint8_t status)
{
	write8(common(v, STATUS), status);
}

static bool virtio_is_reset(void *v)
{
	return virtio_status(v) == 0;
}

void virtio_reset(const struct virtio *v)
{
	virtio_set_status(v, 0);
	wait_until(virtio_is_reset, (void *)v, REQUEST_TIMEOUT_US);
}

uint64_t virtio_features(const struct virtio *v)
{
	uint64_t features;

	write32(common(v, DEVICE_FEATURE_SELECT), 0);
	features = read32(common(v, DEVICE_FEATURE));
	write32(common(v, DEVICE_FEATURE_SELECT), 1);
	return features | (uint64_t)read32(common(v, DEVICE_FEATURE)) << 32;
}

bool virtio_negotiate(const struct virtio *v, uint64_t features)
{
	virtio_reset(v);
	virtio_set_status(v, VIRTIO_ACKNOWLEDGE);
	virtio_set_status(v, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	write32(common(v, DRIVER_FEATURE_SELECT), 0);
	write32(common(v, DRIVER_FEATURE), features);
	write32(common(v, DRIVER_FEATURE_SELECT), 1);
	write32(common(v, DRIVER_FEATURE), features >> 32);
	virtio_set_status(v, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
	return virtio_status(v) & VIRTIO_FEATURES_OK;
}

static void virtio_set_area(const struct virtio *v, uint32_t reg, const void *at)
{
	write32(common(v, reg), (uint64_t)at);
	write32(common(v, reg + 4), (uint64_t)at >> 32);
}

void virtio_setup_queue(struct virtio *v, uint16_t size, uint16_t vector)
{
	struct vq *vq = &v->vq;

	memset(vq, 0, sizeof(*vq));
	vq->size = size;
	write16(common(v, QUEUE_SELECT), 0);
	vq->notify_off = read16(common(v, QUEUE_NOTIFY_OFF));
	write16(common(v, QUEUE_SIZE), size);
	write16(common(v, QUEUE_VECTOR), vector);
	virtio_set_area(v, QUEUE_DESC, vq->desc);
	virtio_set_area(v, QUEUE_DRIVER, &vq->avail);
	virtio_set_area(v, QUEUE_DEVICE, &vq->used);
	write16(common(v, QUEUE_ENABLE), 1);
}

bool virtio_start(struct virtio *v, uint16_t vector)
{
	if (!virtio_negotiate(v, VIRTIO_F_VERSION_1))
		return false;
	virtio_setup_queue(v, VQ_MAX_SIZE, vector);
	virtio_set_status(v, virtio_status(v) | VIRTIO_DRIVER_OK);
	return virtio_status(v) & VIRTIO_DRIVER_OK;
}

/* --- the queue --- */

uint16_t vq_add(struct vq *vq, const struct buffer *buf, unsigned int nr_out, unsigned int nr_in)
{
	uint16_t head = vq->next_desc % vq->size;

	for (unsigned int i = 0; i < nr_out + nr_in; i++) {
		uint16_t at = vq->next_desc++ % vq->size;

		vq->desc[at] = (struct vring_desc){
			.addr = (uint64_t)buf[i].at,
			.len = buf[i].len,
			.flags = (i >= nr_out ? VRING_WRITE : 0) |
				 (i + 1 < nr_out + nr_in ? VRING_NEXT : 0),
			.next = vq->next_desc % vq->size,
		};
	}
	vq->avail.ring[vq->avail.idx % vq->size] = head;
	__atomic_store_n(&vq->avail.idx, vq->avail.idx + 1, __ATOMIC_RELEASE);
	return head;
}

uint64_t virtio_notify_addr(const struct virtio *v)
{
	return virtio_reg(v, &v->notify, v->vq.notify_off * v->notify_multiplier);
}

void virtio_notify(const struct virtio *v)
{
	write16(virtio_notify_addr(v), 0);
}

uint16_t vq_used(const struct vq *vq)
{
	return __atomic_load_n(&vq->used.idx, __ATOMIC_ACQUIRE) - vq->seen;
}

struct vq_wait {
	struct vq *vq;
	unsigned int n;
};

static bool vq_has_used(void *arg)
{
	struct vq_wait *wait = arg;

	return vq_used(wait->vq) >= wait->n;
}

bool vq_wait(struct vq *vq, unsigned int n, uint32_t us)
{
	struct vq_wait wait = {vq, n};

	return wait_until(vq_has_used, &wait, us);
}

uint32_t vq_take(struct vq *vq, uint32_t *head)
{
	unsigned int at = vq->seen++ % vq->size;

	if (head)
		*head = vq->used.ring[at].id;
	return vq->used.ring[at].len;
}

/* --- models --- */

struct blk_header {
	uint32_t type, reserved;
	uint64_t sector;
};

uint8_t blk_request(struct virtio *v, uint32_t type, uint64_t sector, void *data, uint32_t len)
{
	struct blk_header header = {.type = type, .sector = sector};
	volatile uint8_t status = 0xff;
	struct buffer buf[3] = {{&header, sizeof(header)}, {data, len}, {(void *)&status, 1}};

	if (!len) {
		buf[1] = buf[2];
		vq_add(&v->vq, buf, 1, 1);
	} else {
		vq_add(&v->vq, buf, type == BLK_OUT ? 2 : 1, type == BLK_OUT ? 1 : 2);
	}
	virtio_notify(v);
	if (!vq_wait(&v->vq, 1, REQUEST_TIMEOUT_US))
		return 0xff;
	vq_take(&v->vq, NULL);
	return status;
}

uint64_t blk_capacity(const struct virtio *v)
{
	return read32(virtio_reg(v, &v->device, 0)) | (uint64_t)read32(virtio_reg(v, &v->device, 4))
							      << 32;
}

uint32_t rng_read(struct virtio *v, void *buf, uint32_t len)
{
	const struct buffer buffer = {buf, len};

	vq_add(&v->vq, &buffer, 0, 1);
	virtio_notify(v);
	return vq_wait(&v->vq, 1, REQUEST_TIMEOUT_US) ? vq_take(&v->vq, NULL) : 0;
}
