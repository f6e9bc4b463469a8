// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/pci.c virtio/pci-legacy.c virtio/rng.c virtio/device.c virtio/virtq.c pci.c pci-msix.c bus.c memory.c util/worker.c util/loop.c util/util.c util/log.c */
/*
 * The PCI transport as a driver sees it: through configuration space and BARs of a machine without
 * KVM, where every notification is trapped and interrupts are recorded by the fakes below.
 */
#include <errno.h>
#include <linux/virtio_pci.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/ioport.h"
#include "kvm/log.h"
#include "kvm/mmio.h"
#include "kvm/pci.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "kvm/virtio-pci.h"
#include "virtio-driver.h"

#define ECAM	0xe0000000u
#define MEM32	0xc0000000u
#define MEM64	0x100000000u
#define IO_BASE 0xc000u

/* --- fakes --- */

static atomic_uint fake_raised; /* MSIs */
static atomic_bool fake_level;	/* of the INTx line */
static atomic_int fake_ioeventfds;

int mmio_ioeventfd_add(int vm_fd, uint64_t gpa, unsigned int len, const uint64_t *datamatch, int fd)
{
	(void)vm_fd, (void)gpa, (void)len, (void)datamatch, (void)fd;
	fake_ioeventfds++;
	return 0;
}

void mmio_ioeventfd_del(int vm_fd, uint64_t gpa, unsigned int len, const uint64_t *datamatch,
			int fd)
{
	(void)vm_fd, (void)gpa, (void)len, (void)datamatch, (void)fd;
	fake_ioeventfds--;
}

int ioport_ioeventfd_add(int vm_fd, uint16_t port, unsigned int len, const uint64_t *datamatch,
			 int fd)
{
	return mmio_ioeventfd_add(vm_fd, port, len, datamatch, fd);
}

void ioport_ioeventfd_del(int vm_fd, uint16_t port, unsigned int len, const uint64_t *datamatch,
			  int fd)
{
	mmio_ioeventfd_del(vm_fd, port, len, datamatch, fd);
}

void irq_line_init(struct irq_line *line, struct irq_chip *irq, unsigned int gsi)
{
	*line = (struct irq_line){.irq = irq, .gsi = gsi};
}

void irq_line_set(struct irq_line *line, bool level)
{
	line->up = level;
	fake_level = level;
}

void irq_msi_init(struct irq_msi *msi)
{
	*msi = (struct irq_msi){.fd = -1, .gsi = -1};
}

int irq_msi_set(struct irq_chip *irq, struct irq_msi *msi, uint64_t addr, uint32_t data,
		uint32_t devid)
{
	(void)irq, (void)devid;
	msi->gsi = 24;
	msi->addr = addr;
	msi->data = data;
	return 0;
}

void irq_msi_raise(struct irq_msi *msi)
{
	(void)msi;
	fake_raised++;
}

int irq_msi_tie(struct irq_chip *irq, const struct irq_msi *msi, int fd)
{
	(void)irq, (void)msi, (void)fd;
	return 0;
}

void irq_msi_untie(struct irq_chip *irq, const struct irq_msi *msi, int fd)
{
	(void)irq, (void)msi, (void)fd;
}

void irq_msi_fini(struct irq_chip *irq, struct irq_msi *msi)
{
	(void)irq;
	msi->gsi = -1;
}

/* --- the machine --- */

struct setup {
	struct drv_ram ram;
	struct drv_queue q;
	struct bus mmio, ioport;
	struct irq_chip irq;
	struct pci pci;
	struct virtio_device *vdev;
	struct virtio_pci *vp;
	/* Found as a driver does. */
	uint64_t bar[PCI_NR_BARS], common, isr, device, notify;
	unsigned int window, msix;
	uint32_t notify_step, device_len;
};

static uint64_t setup_read(struct setup *s, uint64_t addr, unsigned int len)
{
	uint64_t val = 0;

	bus_read(&s->mmio, NULL, addr, len, &val);
	return len == 8 ? val : val & ((1ull << len * 8) - 1);
}

static void setup_write(struct setup *s, uint64_t addr, unsigned int len, uint64_t val)
{
	bus_write(&s->mmio, NULL, addr, len, val);
}

static uint64_t cfg_addr(unsigned int reg)
{
	return ECAM + (1 << 15) + reg; /* 00:01.0 */
}

static uint32_t cfg_read(struct setup *s, unsigned int reg, unsigned int len)
{
	return setup_read(s, cfg_addr(reg), len);
}

static void cfg_write(struct setup *s, unsigned int reg, unsigned int len, uint32_t val)
{
	setup_write(s, cfg_addr(reg), len, val);
}

static void setup_find_bars(struct setup *s)
{
	for (unsigned int i = 0; i < PCI_NR_BARS; i++) {
		uint32_t low = cfg_read(s, PCI_BASE_ADDRESS_0 + 4 * i, 4);

		s->bar[i] = low & ~0xfu;
		if ((low & 6) == PCI_BASE_ADDRESS_MEM_TYPE_64) {
			uint64_t high = cfg_read(s, PCI_BASE_ADDRESS_0 + 4 * i + 4, 4);

			s->bar[i++] |= high << 32;
		}
	}
}

static void setup_find_caps(struct setup *s)
{
	for (unsigned int at = cfg_read(s, PCI_CAPABILITY_LIST, 1); at;
	     at = cfg_read(s, at + PCI_CAP_LIST_NEXT, 1)) {
		uint64_t base;

		if (cfg_read(s, at, 1) == PCI_CAP_ID_MSIX)
			s->msix = at;
		if (cfg_read(s, at, 1) != PCI_CAP_ID_VNDR)
			continue;
		base = s->bar[cfg_read(s, at + VIRTIO_PCI_CAP_BAR, 1)] +
		       cfg_read(s, at + VIRTIO_PCI_CAP_OFFSET, 4);
		switch (cfg_read(s, at + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			s->common = base;
			assert_true(cfg_read(s, at + VIRTIO_PCI_CAP_LENGTH, 4) >= 60);
			break;
		case VIRTIO_PCI_CAP_ISR_CFG:
			s->isr = base;
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			s->device = base;
			s->device_len = cfg_read(s, at + VIRTIO_PCI_CAP_LENGTH, 4);
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			s->notify = base;
			s->notify_step = cfg_read(s, at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
			break;
		case VIRTIO_PCI_CAP_PCI_CFG:
			s->window = at;
			break;
		}
	}
}

static int setup_init(void **state)
{
	struct setup *s = calloc(1, sizeof(*s));

	drv_ram_init(&s->ram);
	fake_raised = fake_ioeventfds = 0;
	fake_level = false;
	bus_init(&s->mmio, "mmio");
	bus_init(&s->ioport, "ioport");
	assert_int_equal(pci_init(&s->pci, &s->mmio, &s->ioport, &s->irq, -1), 0);
	s->pci.io = (struct pci_window){.base = IO_BASE, .size = 0x1000};
	s->pci.mem32 = (struct pci_window){.base = MEM32, .size = 0x1000000};
	s->pci.mem64 = (struct pci_window){.base = MEM64, .size = 0x1000000};
	assert_int_equal(pci_add_ecam(&s->pci, ECAM), 0);
	s->vdev = rng_create(&s->ram.mem, "rng");
	s->vp = virtio_pci_create(&s->pci, s->vdev, false);
	assert_non_null(s->vp);
	setup_find_bars(s);
	setup_find_caps(s);
	cfg_write(s, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	*state = s;
	return 0;
}

static int setup_fini(void **state)
{
	struct setup *s = *state;

	virtio_pci_destroy(s->vp);
	virtio_device_destroy(s->vdev);
	pci_fini(&s->pci);
	bus_fini(&s->mmio);
	bus_fini(&s->ioport);
	drv_ram_fini(&s->ram);
	assert_int_equal(fake_ioeventfds, 0);
	assert_false(fake_level);
	free(s);
	return 0;
}

static void common_write(struct setup *s, unsigned int reg, unsigned int len, uint64_t val)
{
	setup_write(s, s->common + reg, len, val);
}

static uint64_t common_read(struct setup *s, unsigned int reg, unsigned int len)
{
	return setup_read(s, s->common + reg, len);
}

static void setup_status(struct setup *s, uint8_t status)
{
	common_write(s, VIRTIO_PCI_COMMON_STATUS, 1, status);
}

static void setup_negotiate(struct setup *s, uint64_t features)
{
	setup_status(s, 0);
	assert_int_equal(common_read(s, VIRTIO_PCI_COMMON_STATUS, 1), 0);
	setup_status(s, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	setup_status(s, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (unsigned int w = 0; w < 2; w++) {
		common_write(s, VIRTIO_PCI_COMMON_GFSELECT, 4, w);
		common_write(s, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> 32 * w));
	}
	setup_status(s, DRV_STATUS_FEATURES);
	assert_int_equal(common_read(s, VIRTIO_PCI_COMMON_STATUS, 1), DRV_STATUS_FEATURES);
}

static void setup_queue(struct setup *s, uint16_t vector)
{
	struct virtq_config cfg = {.size = 8};

	drv_queue_init(&s->q, &s->ram, 0, &cfg);
	common_write(s, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	common_write(s, VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
	common_write(s, VIRTIO_PCI_COMMON_Q_MSIX, 2, vector);
	common_write(s, VIRTIO_PCI_COMMON_Q_DESCLO, 4, (uint32_t)s->q.cfg.desc);
	common_write(s, VIRTIO_PCI_COMMON_Q_DESCHI, 4, s->q.cfg.desc >> 32);
	common_write(s, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, (uint32_t)s->q.cfg.driver);
	common_write(s, VIRTIO_PCI_COMMON_Q_AVAILHI, 4, s->q.cfg.driver >> 32);
	common_write(s, VIRTIO_PCI_COMMON_Q_USEDLO, 8, s->q.cfg.device);
	common_write(s, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	setup_status(s, DRV_STATUS_RUNNING);
	assert_int_equal(common_read(s, VIRTIO_PCI_COMMON_STATUS, 1), DRV_STATUS_RUNNING);
}

static void setup_entropy(struct setup *s)
{
	struct drv_buf buf = {DRV_DATA, 64};
	uint8_t zero[64] = {0};
	uint32_t len = 0;
	int id;

	memset(drv_ptr(&s->ram, DRV_DATA), 0, 64);
	assert_true(drv_add(&s->q, &buf, 0, 1, 0) >= 0);
	common_write(s, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	setup_write(s, s->notify + s->notify_step * common_read(s, VIRTIO_PCI_COMMON_Q_NOFF, 2), 2,
		    0);
	assert_true(drv_wait_used(&s->q, &id, &len));
	assert_int_equal(len, 64);
	assert_memory_not_equal(drv_ptr(&s->ram, DRV_DATA), zero, 64);
}

#define VERSION_1 DRV_BIT(VIRTIO_F_VERSION_1)

static void test_identity(void **state)
{
	struct setup *s = *state;

	assert_int_equal(cfg_read(s, PCI_VENDOR_ID, 4), 0x10441af4);
	assert_int_equal(cfg_read(s, PCI_SUBSYSTEM_VENDOR_ID, 4), 0x00441af4);
	assert_int_equal(cfg_read(s, PCI_CLASS_REVISION, 4), 0x00ff0001);
	assert_int_equal(s->bar[0], 0);
	assert_int_equal(s->bar[4] & ~0xffffffull, MEM64);
	assert_true(s->common && s->isr && s->notify && s->window && s->msix);
	assert_int_equal(s->notify_step, 4);
	assert_int_equal(s->device, 0); /* an rng has no configuration */
	assert_int_equal(fake_ioeventfds, 1);
	/* A read-only capability is just that. */
	cfg_write(s, s->msix, 4, 0);
	assert_int_equal(cfg_read(s, s->msix, 1), PCI_CAP_ID_MSIX);
}

static void test_common(void **state)
{
	struct setup *s = *state;
	uint64_t features = 0;

	for (unsigned int w = 0; w < 4; w++) {
		common_write(s, VIRTIO_PCI_COMMON_DFSELECT, 4, w);
		if (w < 2)
			features |= common_read(s, VIRTIO_PCI_COMMON_DF, 4) << 32 * w;
		else
			assert_int_equal(common_read(s, VIRTIO_PCI_COMMON_DF, 4), 0);
	}
	assert_int_equal(features, virtio_device_features(s->vdev));
	assert_int_equal(common_read(s, VIRTIO_PCI_COMMON_NUMQ, 2), 1);

	/* Vectors: the rng has two, for its queue and for configuration. */
	assert_int_equal(common_read(s, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	common_write(s, VIRTIO_PCI_COMMON_MSIX, 2, 1);
	assert_int_equal(common_read(s, VIRTIO_PCI_COMMON_MSIX, 2), 1);
	common_write(s, VIRTIO_PCI_COMMON_MSIX, 2, 2);
	assert_int_equal(common_read(s, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	common_write(s, VIRTIO_PCI_COMMON_Q_MSIX, 2, 5000);
	assert_int_equal(common_read(s, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);

	/* Queues that are not there. */
	for (unsigned int q = 1; q < 0x10000; q += 0xff) {
		common_write(s, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
		assert_int_equal(common_read(s, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
		common_write(s, VIRTIO_PCI_COMMON_Q_SIZE, 2, 4);
		common_write(s, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
		common_write(s, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		common_write(s, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
		assert_int_equal(common_read(s, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	}

	/* Any offset and width is survived. */
	for (unsigned int off = 0; off < 0x4000; off += off < 0x80 ? 1 : 0x3f)
		for (unsigned int len = 1; len <= 8; len *= 2)
			setup_read(s, s->bar[4] + off, len);
	for (unsigned int off = 0; off < 0x4000; off += off < 0x80 ? 1 : 0x3f)
		for (unsigned int len = 1; len <= 8; len *= 2)
			setup_write(s, s->bar[4] + off, len, 0x0101010101010101);
	setup_status(s, 0);
	assert_int_equal(common_read(s, VIRTIO_PCI_COMMON_DFSELECT, 4), 0);
	assert_int_equal(common_read(s, VIRTIO_PCI_COMMON_Q_SELECT, 2), 0);
}

static void test_intx(void **state)
{
	struct setup *s = *state;

	setup_negotiate(s, VERSION_1);
	setup_queue(s, VIRTIO_MSI_NO_VECTOR);
	for (unsigned int i = 0; i < 20; i++) {
		setup_entropy(s);
		assert_true(DRV_WAIT(fake_level));
		assert_int_equal(setup_read(s, s->isr, 1), 1);
		assert_false(fake_level);
		assert_int_equal(setup_read(s, s->isr, 1), 0);
	}
	virtio_config_changed(s->vdev);
	assert_true(fake_level);
	assert_int_equal(setup_read(s, s->isr, 1), 2);
	/* Reset lowers the line. */
	virtio_config_changed(s->vdev);
	assert_true(fake_level);
	setup_status(s, 0);
	assert_false(fake_level);
	assert_int_equal(fake_raised, 0);
}

static void setup_msix(struct setup *s)
{
	for (unsigned int v = 0; v < 2; v++) {
		setup_write(s, s->bar[2] + v * 16, 4, 0xfee00000);
		setup_write(s, s->bar[2] + v * 16 + 4, 4, 0);
		setup_write(s, s->bar[2] + v * 16 + 8, 4, 0x40 + v);
		setup_write(s, s->bar[2] + v * 16 + 12, 4, 0);
	}
	cfg_write(s, s->msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

static void test_msix(void **state)
{
	struct setup *s = *state;

	setup_msix(s);
	setup_negotiate(s, VERSION_1);
	common_write(s, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	setup_queue(s, 1);
	setup_entropy(s);
	assert_true(DRV_WAIT(fake_raised == 1));
	virtio_config_changed(s->vdev);
	assert_int_equal(fake_raised, 2);
	/* Masked: pending, and fired when it is not any more. */
	setup_write(s, s->bar[2] + 16 + 12, 4, 1);
	setup_entropy(s);
	assert_true(DRV_WAIT(setup_read(s, s->bar[2] + 2048, 8) == 2));
	assert_int_equal(fake_raised, 2);
	setup_write(s, s->bar[2] + 16 + 12, 4, 0);
	assert_int_equal(fake_raised, 3);
	assert_int_equal(setup_read(s, s->bar[2] + 2048, 8), 0);
	/* No vector, no interrupt. */
	common_write(s, VIRTIO_PCI_COMMON_Q_MSIX, 2, VIRTIO_MSI_NO_VECTOR);
	setup_entropy(s);
	assert_int_equal(setup_read(s, s->isr, 1), 0);
	assert_int_equal(fake_raised, 3);
	assert_false(fake_level);
}

/* Everything by way of configuration space, with the BARs off (§4.1.4.9). */
static void test_window(void **state)
{
	struct setup *s = *state;

#define WINDOW(off_, len_)                                        \
	cfg_write(s, s->window + VIRTIO_PCI_CAP_BAR, 1, 4);       \
	cfg_write(s, s->window + VIRTIO_PCI_CAP_OFFSET, 4, off_); \
	cfg_write(s, s->window + VIRTIO_PCI_CAP_LENGTH, 4, len_)
#define DATA_REG (s->window + 16)

	cfg_write(s, PCI_COMMAND, 2, 0);
	WINDOW(VIRTIO_PCI_COMMON_NUMQ, 2);
	assert_int_equal(cfg_read(s, DATA_REG, 2), 1);
	WINDOW(VIRTIO_PCI_COMMON_STATUS, 1);
	cfg_write(s, DATA_REG, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	assert_int_equal(virtio_device_status(s->vdev), VIRTIO_CONFIG_S_ACKNOWLEDGE);
	WINDOW(VIRTIO_PCI_COMMON_GFSELECT, 4);
	cfg_write(s, DATA_REG, 4, 1);
	WINDOW(VIRTIO_PCI_COMMON_GF, 4);
	cfg_write(s, DATA_REG, 4, 1);
	assert_int_equal(virtio_device_acked(s->vdev), VERSION_1);
	/* What is not a register stays data. */
	WINDOW(0x4000, 4);
	cfg_write(s, DATA_REG, 4, 0x12345678);
	assert_int_equal(cfg_read(s, DATA_REG, 4), 0x12345678);
	WINDOW(0xfffffffc, 4);
	cfg_write(s, DATA_REG, 4, 0);
	WINDOW(VIRTIO_PCI_COMMON_GF, 3);
	cfg_write(s, DATA_REG, 4, 0xff);
	WINDOW(VIRTIO_PCI_COMMON_GF + 1, 4);
	cfg_write(s, DATA_REG, 4, 0xff);
	cfg_write(s, s->window + VIRTIO_PCI_CAP_BAR, 1, 2);
	cfg_write(s, DATA_REG, 4, 0xff);
	assert_int_equal(virtio_device_acked(s->vdev), VERSION_1);
}

/* A BAR that moves under a live device takes registers and ioeventfds along. */
static void test_move(void **state)
{
	struct setup *s = *state;
	uint64_t old = s->bar[4];

	setup_negotiate(s, VERSION_1);
	setup_queue(s, VIRTIO_MSI_NO_VECTOR);
	setup_entropy(s);
	for (unsigned int i = 1; i <= 4; i++) {
		cfg_write(s, PCI_BASE_ADDRESS_4, 4, (uint32_t)(MEM64 + i * 0x100000));
		assert_int_equal(setup_read(s, old + VIRTIO_PCI_COMMON_NUMQ, 2), 0xffff);
		s->bar[4] = MEM64 + i * 0x100000;
		setup_find_caps(s);
		assert_int_equal(fake_ioeventfds, 1);
		setup_entropy(s);
	}
	cfg_write(s, PCI_COMMAND, 2, 0);
	assert_int_equal(fake_ioeventfds, 0);
}

/* The guest switches off in the middle of everything: nothing is raised after that. */
static void test_destroy_busy(void **state)
{
	struct setup *s = *state;
	struct drv_buf buf = {DRV_DATA, 4096};

	for (unsigned int i = 0; i < 20; i++) {
		setup_negotiate(s, VERSION_1);
		setup_queue(s, VIRTIO_MSI_NO_VECTOR);
		while (drv_add(&s->q, &buf, 0, 1, 0) >= 0)
			;
		setup_write(s, s->notify, 2, 0);
		virtio_pci_destroy(s->vp);
		assert_false(fake_level);
		virtio_config_changed(s->vdev);
		s->pci.mem64.next = s->pci.mem32.next = 0;
		s->vp = virtio_pci_create(&s->pci, s->vdev, false);
		cfg_write(s, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	}
}

/* Device configuration of a model that has some: reads past its end are zeros. */
static uint64_t config_features(void *dev)
{
	(void)dev;
	return 0;
}

static void config_read(void *dev, uint32_t off, void *buf, uint32_t len)
{
	memcpy(buf, (uint8_t *)dev + off, len);
}

static void test_device_config(void **state)
{
	static const struct virtio_model model = {
		.name = "config",
		.id = VIRTIO_ID_BLOCK,
		.config_size = 60,
		.features = config_features,
		.config_read = config_read,
		.destroy = free,
	};
	const uint16_t queue_size = 8;
	struct setup *s = *state;
	uint8_t *config = calloc(1, model.config_size);

	virtio_pci_destroy(s->vp);
	virtio_device_destroy(s->vdev);
	le_store(config, 8, 4096);
	s->vdev = virtio_device_create(&model, config, "config", &s->ram.mem, 1, &queue_size);
	s->vp = virtio_pci_create(&s->pci, s->vdev, false);
	setup_find_bars(s);
	setup_find_caps(s);
	cfg_write(s, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(cfg_read(s, PCI_CLASS_REVISION, 4) >> 8, 0x018000);
	assert_true(s->device && s->device_len >= 0x38);
	assert_int_equal(setup_read(s, s->device, 8), 4096);
	assert_int_equal(setup_read(s, s->device, 4), 4096);
	assert_int_equal(setup_read(s, s->device + 1, 1), 0x10);
	assert_int_equal(setup_read(s, s->device + s->device_len, 4), 0);
	assert_int_equal(setup_read(s, s->device + 0xff8, 8), 0);
	setup_write(s, s->device, 8, 0);
	assert_int_equal(setup_read(s, s->device, 8), 4096);
	virtio_pci_destroy(s->vp);
	virtio_device_destroy(s->vdev);
	s->vp = NULL;
	s->vdev = NULL;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_init, setup_fini)
	const struct CMUnitTest tests[] = {
		TEST(test_identity),	 TEST(test_common),	   TEST(test_intx),
		TEST(test_msix),	 TEST(test_window),	   TEST(test_move),
		TEST(test_destroy_busy), TEST(test_device_config),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
