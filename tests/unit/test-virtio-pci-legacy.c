// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/pci.c virtio/pci-legacy.c virtio/device.c virtio/virtq.c pci.c pci-msix.c bus.c memory.c util/worker.c util/loop.c util/util.c util/log.c */
/*
 * Transitional virtio PCI devices: the legacy interface as drivers of its time use it, and beside
 * it the modern one. The names of the tests say which clause of virtio 1.2 they are about.
 */
#include <linux/virtio_pci.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/log.h"
#include "kvm/pci.h"
#include "kvm/virtio-pci.h"
#include "virtio-toy.h"

#define ECAM	0xe0000000u
#define IO_BASE 0xc000u
#define MEM32	0xc0000000u
#define CONFIG	20 /* where the device's configuration begins without MSI-X */

#define LEGACY_RUNNING \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK)

/* --- fakes beyond those of virtio-toy.h --- */

static atomic_uint fake_raised, fake_last_data; /* MSIs */

int ioport_ioeventfd_add(int vm_fd, uint16_t port, unsigned int len, const uint64_t *match, int fd)
{
	(void)vm_fd;
	return toy_ioeventfd(true, port, len, match, fd);
}

void ioport_ioeventfd_del(int vm_fd, uint16_t port, unsigned int len, const uint64_t *match, int fd)
{
	(void)vm_fd, (void)len;
	toy_ioeventfd_del(true, port, match, fd);
}

void irq_msi_init(struct irq_msi *msi)
{
	*msi = (struct irq_msi){.fd = -1, .gsi = -1};
}

int irq_msi_set(struct irq_chip *irq, struct irq_msi *msi, uint64_t addr, uint32_t data,
		uint32_t devid)
{
	(void)irq, (void)devid;
	msi->addr = addr;
	msi->data = data;
	return 0;
}

void irq_msi_raise(struct irq_msi *msi)
{
	fake_last_data = msi->data;
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
	(void)irq, (void)msi;
}

/* --- the machine --- */

struct setup {
	struct drv_ram ram;
	struct drv_queue q;
	struct bus mmio, ioport;
	struct irq_chip irq;
	struct pci pci;
	struct virtio_device *vdev;
	struct toy *toy;
	struct virtio_pci *vp;
	uint32_t port, common; /* BAR 0, and the modern interface's common configuration */
};

static uint32_t cfg_read(struct setup *s, unsigned int reg, unsigned int len)
{
	uint64_t val = 0;

	bus_read(&s->mmio, NULL, ECAM + (1 << 15) + reg, len, &val);
	return val;
}

static void cfg_write(struct setup *s, unsigned int reg, unsigned int len, uint32_t val)
{
	bus_write(&s->mmio, NULL, ECAM + (1 << 15) + reg, len, val);
}

static uint32_t in(struct setup *s, unsigned int reg, unsigned int len)
{
	uint64_t val = 0;

	assert_true(bus_read(&s->ioport, NULL, s->port + reg, len, &val));
	return val;
}

static void out(struct setup *s, unsigned int reg, unsigned int len, uint32_t val)
{
	assert_true(bus_write(&s->ioport, NULL, s->port + reg, len, val));
}

static uint32_t common_read(struct setup *s, unsigned int reg, unsigned int len)
{
	uint64_t val = 0;

	assert_true(bus_read(&s->mmio, NULL, s->common + reg, len, &val));
	return val;
}

static void common_write(struct setup *s, unsigned int reg, unsigned int len, uint64_t val)
{
	assert_true(bus_write(&s->mmio, NULL, s->common + reg, len, val));
}

static int setup_model(void **state, const struct virtio_model *model)
{
	struct setup *s = calloc(1, sizeof(*s));

	log_set_level(LOG_LEVEL_ERROR);
	fake_raised = 0;
	drv_ram_init(&s->ram);
	bus_init(&s->mmio, "mmio");
	bus_init(&s->ioport, "ioport");
	assert_int_equal(pci_init(&s->pci, &s->mmio, &s->ioport, &s->irq, -1), 0);
	s->pci.io = (struct pci_window){.base = IO_BASE, .size = 0x1000};
	s->pci.mem32 = (struct pci_window){.base = MEM32, .size = 0x1000000};
	assert_int_equal(pci_add_ecam(&s->pci, ECAM), 0);
	s->vdev = toy_create(model, &s->ram.mem);
	s->toy = s->vdev->dev;
	s->vp = virtio_pci_create(&s->pci, s->vdev, true);
	assert_non_null(s->vp);
	s->port = cfg_read(s, PCI_BASE_ADDRESS_0, 4) & PCI_BASE_ADDRESS_IO_MASK;
	s->common = cfg_read(s, PCI_BASE_ADDRESS_4, 4) & PCI_BASE_ADDRESS_MEM_MASK;
	cfg_write(s, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	*state = s;
	return 0;
}

static int setup_init(void **state)
{
	return setup_model(state, &toy_model);
}

static int setup_new(void **state)
{
	return setup_model(state, &toy_new_model);
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
	assert_int_equal(toy_nr_eventfds(), 0);
	assert_false(toy_level);
	free(s);
	return 0;
}

/* --- a driver of before virtio 1.0 --- */

static void negotiate(struct setup *s, uint32_t features)
{
	out(s, VIRTIO_PCI_STATUS, 1, 0);
	assert_int_equal(in(s, VIRTIO_PCI_STATUS, 1), 0);
	out(s, VIRTIO_PCI_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	out(s, VIRTIO_PCI_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	out(s, VIRTIO_PCI_GUEST_FEATURES, 4, features);
}

static void add_queue(struct setup *s, unsigned int nr)
{
	out(s, VIRTIO_PCI_QUEUE_SEL, 2, nr);
	toy_queue_init(&s->q, &s->ram, nr, in(s, VIRTIO_PCI_QUEUE_NUM, 2), 4096);
	assert_int_equal(s->q.cfg.size, TOY_QUEUE_SIZE);
	assert_int_equal(in(s, VIRTIO_PCI_QUEUE_PFN, 4), 0);
	out(s, VIRTIO_PCI_QUEUE_PFN, 4, s->q.cfg.desc >> 12);
	assert_int_equal(in(s, VIRTIO_PCI_QUEUE_PFN, 4), s->q.cfg.desc >> 12);
}

static void start(struct setup *s, uint32_t features)
{
	negotiate(s, features);
	add_queue(s, 0);
	out(s, VIRTIO_PCI_STATUS, 1, LEGACY_RUNNING);
	assert_int_equal(in(s, VIRTIO_PCI_STATUS, 1), LEGACY_RUNNING);
}

static void exchange(struct setup *s, unsigned int nr)
{
	struct drv_buf buf = {DRV_DATA, 64};
	uint8_t *data = drv_ptr(&s->ram, DRV_DATA);
	uint32_t len = 0;
	int id;

	memset(data, 0, 64);
	assert_true(drv_add(&s->q, &buf, 0, 1, 0) >= 0);
	out(s, VIRTIO_PCI_QUEUE_NOTIFY, 2, nr);
	assert_true(drv_wait_used(&s->q, &id, &len));
	assert_int_equal(len, 64);
	assert_int_equal(data[63], TOY_BYTE);
}

static void exchange_by_intx(struct setup *s, unsigned int nr)
{
	exchange(s, nr);
	assert_true(DRV_WAIT(toy_level));
	assert_int_equal(in(s, VIRTIO_PCI_ISR, 1), 1);
	assert_false(toy_level);
	assert_int_equal(in(s, VIRTIO_PCI_ISR, 1), 0);
}

static void test_identity(void **state)
{
	struct setup *s = *state;

	assert_int_equal(cfg_read(s, PCI_VENDOR_ID, 4), 0x10011af4);
	assert_int_equal(cfg_read(s, PCI_REVISION_ID, 1), 0);
	assert_int_equal(cfg_read(s, PCI_SUBSYSTEM_ID, 2), VIRTIO_ID_BLOCK);
	assert_int_equal(cfg_read(s, PCI_BASE_ADDRESS_0, 4), IO_BASE | PCI_BASE_ADDRESS_SPACE_IO);
	cfg_write(s, PCI_BASE_ADDRESS_0, 4, UINT32_MAX);
	assert_int_equal(cfg_read(s, PCI_BASE_ADDRESS_0, 4), (uint32_t)-64 | 1);
	cfg_write(s, PCI_BASE_ADDRESS_0, 4, s->port);
	assert_true(cfg_read(s, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
}

static void test_features(void **state)
{
	struct setup *s = *state;
	uint32_t offered = in(s, VIRTIO_PCI_HOST_FEATURES, 4);

	assert_int_equal(offered, DRV_BIT(TOY_FEATURE) | DRV_BIT(VIRTIO_F_ANY_LAYOUT) |
					  DRV_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
					  DRV_BIT(VIRTIO_RING_F_EVENT_IDX));
	start(s, UINT32_MAX);
	assert_int_equal(s->toy->features, offered);
	start(s, 0);
	assert_int_equal(s->toy->features, 0);
}

static void test_works(void **state)
{
	struct setup *s = *state;

	start(s, DRV_BIT(TOY_FEATURE));
	for (unsigned int i = 0; i < 40; i++)
		exchange_by_intx(s, 0);
	start(s, 0);
	exchange_by_intx(s, 0);
}

static void test_early(void **state)
{
	struct setup *s = *state;

	negotiate(s, DRV_BIT(TOY_FEATURE));
	add_queue(s, 1);
	exchange_by_intx(s, 1);
	add_queue(s, 0);
	exchange_by_intx(s, 0);
	out(s, VIRTIO_PCI_STATUS, 1, LEGACY_RUNNING);
	exchange_by_intx(s, 0);
	assert_int_equal(s->toy->starts, 1);
	assert_int_equal(s->toy->features, DRV_BIT(TOY_FEATURE));
}

static void test_pfn_0(void **state)
{
	struct setup *s = *state;

	start(s, 0);
	exchange_by_intx(s, 0);
	out(s, VIRTIO_PCI_QUEUE_PFN, 4, 0);
	assert_int_equal(s->toy->queue_stops, 1);
	add_queue(s, 0);
	exchange_by_intx(s, 0);
}

static void test_config(void **state)
{
	struct setup *s = *state;
	unsigned int end = CONFIG + TOY_CONFIG_SIZE;

	/* §4.1.4.10: before the features are agreed on, too, and of any width. */
	assert_int_equal(in(s, CONFIG, 4), 0x13121110);
	assert_int_equal(in(s, CONFIG + 1, 1), 0x11);
	out(s, CONFIG + 2, 2, 0xbeef);
	assert_int_equal(in(s, CONFIG, 4), 0xbeef1110);
	/* Across its end and behind it. */
	assert_int_equal(in(s, end - 2, 4), 0x1b1a);
	out(s, end - 2, 4, UINT32_MAX);
	assert_int_equal(in(s, end - 2, 4), 0x1b1a);
	assert_int_equal(in(s, 60, 4), 0);
	out(s, 60, 4, UINT32_MAX);
}

static void test_msix(void **state)
{
	struct setup *s = *state;
	unsigned int cap = cfg_read(s, PCI_CAPABILITY_LIST, 1);
	uint32_t table = cfg_read(s, PCI_BASE_ADDRESS_2, 4) & PCI_BASE_ADDRESS_MEM_MASK;

	while (cap && cfg_read(s, cap, 1) != PCI_CAP_ID_MSIX)
		cap = cfg_read(s, cap + 1, 1);
	assert_true(cap);
	for (unsigned int v = 0; v < 3; v++) {
		bus_write(&s->mmio, NULL, table + 16 * v, 8, 0xfee00000);
		bus_write(&s->mmio, NULL, table + 16 * v + 8, 8, 100 + v);
	}
	cfg_write(s, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	/* The configuration has moved. */
	assert_int_equal(in(s, VIRTIO_PCI_CONFIG_OFF(true), 4), 0x13121110);

	negotiate(s, 0);
	out(s, VIRTIO_MSI_CONFIG_VECTOR, 2, 3);
	assert_int_equal(in(s, VIRTIO_MSI_CONFIG_VECTOR, 2), VIRTIO_MSI_NO_VECTOR);
	out(s, VIRTIO_MSI_CONFIG_VECTOR, 2, 2);
	assert_int_equal(in(s, VIRTIO_MSI_CONFIG_VECTOR, 2), 2);
	add_queue(s, 0);
	out(s, VIRTIO_MSI_QUEUE_VECTOR, 2, 1);
	assert_int_equal(in(s, VIRTIO_MSI_QUEUE_VECTOR, 2), 1);
	out(s, VIRTIO_PCI_QUEUE_SEL, 2, 1);
	assert_int_equal(in(s, VIRTIO_MSI_QUEUE_VECTOR, 2), VIRTIO_MSI_NO_VECTOR);
	out(s, VIRTIO_PCI_STATUS, 1, LEGACY_RUNNING);
	exchange(s, 0);
	assert_true(DRV_WAIT(fake_raised == 1));
	assert_int_equal(fake_last_data, 101);
	virtio_config_changed(s->vdev);
	assert_int_equal(fake_last_data, 102);
	assert_false(toy_level);
}

/* Beside one eventfd a queue for the modern interface. */
static void test_notify_by_kvm(void **state)
{
	struct setup *s = *state;
	unsigned int found = 0;

	assert_int_equal(toy_nr_eventfds(), 4);
	for (unsigned int i = 0; i < ARRAY_SIZE(toy_eventfd); i++) {
		if (!toy_eventfd[i].fd || !toy_eventfd[i].io)
			continue;
		assert_int_equal(toy_eventfd[i].at, s->port + VIRTIO_PCI_QUEUE_NOTIFY);
		assert_int_equal(toy_eventfd[i].len, 2);
		assert_false(toy_eventfd[i].any);
		assert_int_equal(toy_eventfd[i].fd, s->vdev->queue[toy_eventfd[i].match].kick_fd);
		found++;
	}
	assert_int_equal(found, 2);
	/* They follow the BAR. */
	cfg_write(s, PCI_BASE_ADDRESS_0, 4, 0x8000);
	s->port = 0x8000;
	assert_int_equal(toy_nr_eventfds(), 4);
	start(s, 0);
	exchange_by_intx(s, 0);
}

/* --- both interfaces --- */

static void modern_start(struct setup *s)
{
	uint64_t features = DRV_BIT(VIRTIO_F_VERSION_1) | DRV_BIT(TOY_HIGH);
	struct virtq_config cfg = {.size = 8};

	common_write(s, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	common_write(s, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	for (unsigned int w = 0; w < 2; w++) {
		common_write(s, VIRTIO_PCI_COMMON_GFSELECT, 4, w);
		common_write(s, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> 32 * w));
	}
	common_write(s, VIRTIO_PCI_COMMON_STATUS, 1, DRV_STATUS_FEATURES);
	assert_int_equal(common_read(s, VIRTIO_PCI_COMMON_STATUS, 1), DRV_STATUS_FEATURES);
	drv_queue_init(&s->q, &s->ram, 0, &cfg);
	common_write(s, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	common_write(s, VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
	common_write(s, VIRTIO_PCI_COMMON_Q_DESCLO, 8, s->q.cfg.desc);
	common_write(s, VIRTIO_PCI_COMMON_Q_AVAILLO, 8, s->q.cfg.driver);
	common_write(s, VIRTIO_PCI_COMMON_Q_USEDLO, 8, s->q.cfg.device);
	common_write(s, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	common_write(s, VIRTIO_PCI_COMMON_STATUS, 1, DRV_STATUS_RUNNING);
	assert_int_equal(s->toy->features, features);
}

static void test_both(void **state)
{
	struct setup *s = *state;

	modern_start(s);
	exchange(s, 0); /* a notification by the other door is one all the same */
	start(s, 0);
	exchange_by_intx(s, 0);
	modern_start(s);
	exchange(s, 0);
	/* The legacy side cannot take a running queue away from a modern driver. */
	out(s, VIRTIO_PCI_QUEUE_SEL, 2, 0);
	out(s, VIRTIO_PCI_QUEUE_PFN, 4, 0);
	out(s, VIRTIO_PCI_QUEUE_PFN, 4, 1);
	exchange(s, 0);
	assert_int_equal(s->toy->queue_stops, 0);
}

/* --- hostile drivers --- */

static void test_no_such_queue(void **state)
{
	static const uint16_t numbers[] = {2, 63, 64, 65535};
	struct setup *s = *state;

	start(s, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(numbers); i++) {
		out(s, VIRTIO_PCI_QUEUE_SEL, 2, numbers[i]);
		assert_int_equal(in(s, VIRTIO_PCI_QUEUE_NUM, 2), 0);
		out(s, VIRTIO_PCI_QUEUE_PFN, 4, 1);
		assert_int_equal(in(s, VIRTIO_PCI_QUEUE_PFN, 4), 0);
		out(s, VIRTIO_PCI_QUEUE_NOTIFY, 2, numbers[i]);
	}
	exchange_by_intx(s, 0);
}

static void test_bad_queues(void **state)
{
	static const uint32_t pfns[] = {1, UINT32_MAX, (DRV_GPA + DRV_RAM_SIZE) / 4096 - 1};
	struct setup *s = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(pfns); i++) {
		negotiate(s, 0);
		out(s, VIRTIO_PCI_QUEUE_SEL, 2, 0);
		out(s, VIRTIO_PCI_QUEUE_PFN, 4, pfns[i]);
		out(s, VIRTIO_PCI_QUEUE_NOTIFY, 2, 0);
		assert_true(DRV_WAIT(in(s, VIRTIO_PCI_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET));
		start(s, 0);
		exchange_by_intx(s, 0);
	}
}

/* Registers have one width each; there is nothing between them. */
static void test_widths(void **state)
{
	struct setup *s = *state;

	for (unsigned int reg = 0; reg < CONFIG; reg++) {
		for (unsigned int len = 1; len <= 4; len *= 2) {
			if (reg + len > CONFIG || reg == VIRTIO_PCI_STATUS)
				continue;
			in(s, reg, len);
			if (reg != VIRTIO_PCI_QUEUE_NOTIFY)
				out(s, reg, len, UINT32_MAX);
		}
	}
	out(s, VIRTIO_PCI_STATUS, 2, 7);
	assert_int_equal(in(s, VIRTIO_PCI_STATUS, 1), 0);
	assert_int_equal(in(s, VIRTIO_PCI_HOST_FEATURES, 2), 0);
	start(s, 0);
	exchange_by_intx(s, 0);
}

static void test_new_kind(void **state)
{
	struct setup *s = *state;

	assert_int_equal(cfg_read(s, PCI_DEVICE_ID, 2), 0x1040 + VIRTIO_ID_INPUT);
	assert_int_equal(cfg_read(s, PCI_REVISION_ID, 1), 1);
	assert_int_equal(cfg_read(s, PCI_BASE_ADDRESS_0, 4), 0);
	assert_int_equal(toy_nr_eventfds(), 2);
}

#define TEST(name, fn)                                 \
	{                                              \
		name, fn, setup_init, setup_fini, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST("4.1.2.3 ids and revision; an I/O BAR 0", test_identity),
		TEST("6.3 features: 32 bits, ANY_LAYOUT, no VERSION_1", test_features),
		TEST("3.1.2 initialization, and buffers go round", test_works),
		TEST("3.1.2 the device is used before DRIVER_OK", test_early),
		TEST("4.1.5.1.3 queue address 0 takes a queue back", test_pfn_0),
		TEST("4.1.4.10 configuration behind the registers", test_config),
		TEST("4.1.4.10 MSI-X vectors, and where configuration is then", test_msix),
		TEST("4.1.4.10 a notification is an eventfd by value", test_notify_by_kvm),
		TEST("4.1.4.10 the modern interface beside it", test_both),
		TEST("queues that do not exist", test_no_such_queue),
		TEST("queues that cannot be", test_bad_queues),
		TEST("4.1.3.1 one width a register", test_widths),
		{"5 a device with no legacy interface is not transitional", test_new_kind,
		 setup_new, setup_fini, NULL},
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
