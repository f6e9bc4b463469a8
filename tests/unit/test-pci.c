// SPDX-License-Identifier: GPL-2.0-or-later
/* links: pci.c pci-msix.c bus.c util/util.c util/log.c */
/*
 * Configuration space and BARs, without KVM: interrupts and ioeventfds are recorded by the fakes
 * below. PCI_SECONDS=60 is the long mode of the thread test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm/ioeventfd.h"
#include "kvm/log.h"
#include "kvm/pci.h"
#include "kvm/util.h"

#define ECAM	 0xe0000000u
#define MEM32	 0xc0000000u
#define MEM64	 0x100000000u
#define IO	 0xc000u
#define BAR_SIZE 0x1000u

/* --- fakes --- */

static uint64_t fake_ioeventfd_at; /* where the last one is registered, 0: nowhere */
static bool fake_level;		   /* the INTx line */
static unsigned int fake_raised;   /* MSIs that fired */

int ioeventfd_add(int vm_fd, const struct ioeventfd *ev)
{
	(void)vm_fd;
	if (fake_ioeventfd_at)
		return -EEXIST;
	fake_ioeventfd_at = ev->at;
	return 0;
}

void ioeventfd_del(int vm_fd, const struct ioeventfd *ev)
{
	(void)vm_fd;
	assert_true(fake_ioeventfd_at == ev->at);
	fake_ioeventfd_at = 0;
}

void irq_line_init(struct irq_line *line, struct irq_chip *irq, unsigned int gsi)
{
	*line = (struct irq_line){.irq = irq, .gsi = gsi};
}

void irq_line_set(struct irq_line *line, bool level)
{
	line->up = fake_level = level;
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
	assert_int_not_equal(msi->gsi, -1);
	fake_raised++;
}

/* Eventfds that are tied: which GSI fires when fd (a small number) is written. */
static int fake_tied[8];

int irq_msi_tie(struct irq_chip *irq, const struct irq_msi *msi, int fd)
{
	(void)irq;
	assert_int_equal(fake_tied[fd], 0); /* KVM takes an eventfd once */
	fake_tied[fd] = msi->data;
	return 0;
}

void irq_msi_untie(struct irq_chip *irq, const struct irq_msi *msi, int fd)
{
	(void)irq;
	assert_int_equal(fake_tied[fd], msi->data);
	fake_tied[fd] = 0;
}

void irq_msi_fini(struct irq_chip *irq, struct irq_msi *msi)
{
	(void)irq;
	msi->gsi = -1;
}

/* --- a machine with a device or more --- */

struct machine {
	struct bus mmio, ioport;
	struct irq_chip irq;
	struct pci pci;
};

struct device {
	struct pci_function fn;
	unsigned int moves;
	uint64_t base;
};

static uint64_t device_read(void *dev, uint64_t off, unsigned int len)
{
	(void)len;
	return (uint64_t)((struct device *)dev)->fn.bdf << 32 | off;
}

static void device_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct device *device = dev;

	(void)len;
	pci_msix_write(&device->fn, off, len, val);
}

static void device_moved(void *dev, unsigned int bar, uint64_t base)
{
	struct device *device = dev;

	(void)bar;
	device->moves++;
	device->base = base;
}

static const struct io_ops device_ops = {.read = device_read, .write = device_write};
static const struct pci_id device_id = {
	.vendor = 0x1af4, .device = 0x1042, .class_code = 0x018000, .revision = 1};
static const struct pci_bar_layout mem32 = {
	.size = BAR_SIZE, .ops = &device_ops, .moved = device_moved};
static const struct pci_bar_layout mem64 = {.type = PCI_BASE_ADDRESS_MEM_TYPE_64 |
						    PCI_BASE_ADDRESS_MEM_PREFETCH,
					    .size = BAR_SIZE,
					    .ops = &device_ops,
					    .moved = device_moved};
static const struct pci_bar_layout io = {
	.type = PCI_BASE_ADDRESS_SPACE_IO, .size = 0x40, .ops = &device_ops, .moved = device_moved};

static int machine_setup(void **state)
{
	struct machine *m = calloc(1, sizeof(*m));

	assert_int_equal(bus_init(&m->mmio, "mmio"), 0);
	assert_int_equal(bus_init(&m->ioport, "ioport"), 0);
	assert_int_equal(pci_init(&m->pci, &m->mmio, &m->ioport, &m->irq, -1), 0);
	m->pci.mem32 = (struct pci_window){.base = MEM32, .size = 0x100000};
	m->pci.mem64 = (struct pci_window){.base = MEM64, .size = 0x100000};
	m->pci.io = (struct pci_window){.base = IO, .size = 0x1000};
	for (unsigned int i = 0; i < 4; i++) {
		m->pci.intx_gsi[i] = 16 + i;
		m->pci.intx_line[i] = 10 + i;
	}
	assert_int_equal(pci_add_ecam(&m->pci, ECAM), 0);
	assert_int_equal(pci_add_cf8(&m->pci), 0);
	fake_ioeventfd_at = 0;
	fake_raised = 0;
	fake_level = false;
	*state = m;
	return 0;
}

static int machine_teardown(void **state)
{
	struct machine *m = *state;

	pci_fini(&m->pci);
	bus_fini(&m->mmio);
	bus_fini(&m->ioport);
	free(m);
	return 0;
}

static struct device *device_create(struct machine *m, const struct pci_bar_layout *layout)
{
	struct device *d = calloc(1, sizeof(*d));

	pci_function_init(&d->fn, &m->pci, "device", d, &device_id);
	assert_int_equal(pci_add_bar(&d->fn, 0, layout), 0);
	assert_int_equal(pci_function_add(&d->fn, -1), 0);
	assert_int_equal(pci_assign_bars(&m->pci), 0);
	return d;
}

static void device_destroy(struct device *d)
{
	pci_function_remove(&d->fn);
	free(d);
}

static uint64_t cfg_addr(unsigned int bdf, unsigned int reg)
{
	return ECAM + ((uint64_t)bdf << 12) + reg;
}

static uint32_t cfg_read(struct machine *m, unsigned int bdf, unsigned int reg, unsigned int len)
{
	uint64_t val;

	bus_read(&m->mmio, NULL, cfg_addr(bdf, reg), len, &val);
	return val;
}

static void cfg_write(struct machine *m, unsigned int bdf, unsigned int reg, unsigned int len,
		      uint32_t val)
{
	bus_write(&m->mmio, NULL, cfg_addr(bdf, reg), len, val);
}

/* Who answers a memory read at addr: a bdf, or -1. */
static int who(struct machine *m, uint64_t addr)
{
	uint64_t val;

	return bus_read(&m->mmio, NULL, addr, 4, &val) ? (int)(val >> 32) : -1;
}

/* --- tests --- */

static void test_two_doors(void **state)
{
	struct machine *m = *state;
	struct device *d = device_create(m, &mem32);
	uint64_t val;

	assert_int_equal(cfg_read(m, 0, PCI_CLASS_REVISION, 4) >> 8, 0x060000);
	assert_int_equal(cfg_read(m, d->fn.bdf, 0, 4), 0x10421af4);
	assert_int_equal(cfg_read(m, d->fn.bdf, 2, 2), 0x1042);
	assert_int_equal(cfg_read(m, d->fn.bdf, 3, 1), 0x10);
	assert_int_equal(cfg_read(m, PCI_BDF(5, 0), 0, 4), 0xffffffff);
	assert_int_equal(cfg_read(m, d->fn.bdf + 1, 0, 4), 0xffffffff);

	/* CF8 takes whole dwords; CFC answers only when it is enabled. */
	bus_write(&m->ioport, NULL, 0xcf8, 4, 0x80000000u | (unsigned)d->fn.bdf << 8);
	bus_write(&m->ioport, NULL, 0xcf8, 1, 0x55);
	bus_read(&m->ioport, NULL, 0xcfc, 4, &val);
	assert_int_equal((uint32_t)val, 0x10421af4);
	bus_read(&m->ioport, NULL, 0xcfe, 2, &val);
	assert_int_equal((uint16_t)val, 0x1042);
	bus_read(&m->ioport, NULL, 0xcfd, 2, &val); /* unaligned: not a configuration access */
	assert_int_equal((uint16_t)val, 0xffff);
	bus_write(&m->ioport, NULL, 0xcf8, 4, (unsigned)d->fn.bdf << 8);
	bus_read(&m->ioport, NULL, 0xcfc, 4, &val);
	assert_int_equal((uint32_t)val, 0xffffffff);
	/* Another bus than 0 has nobody on it. */
	bus_write(&m->ioport, NULL, 0xcf8, 4, 0x80010000u | (unsigned)d->fn.bdf << 8);
	bus_read(&m->ioport, NULL, 0xcfc, 4, &val);
	assert_int_equal((uint32_t)val, 0xffffffff);
	device_destroy(d);
}

static void test_read_only_bytes(void **state)
{
	struct machine *m = *state;
	struct device *d = device_create(m, &mem32);
	uint8_t before[256];

	for (unsigned int i = 0; i < 256; i++)
		before[i] = cfg_read(m, d->fn.bdf, i, 1);
	for (unsigned int reg = 0; reg < 256; reg++) {
		if ((reg >= PCI_BASE_ADDRESS_0 && reg < PCI_BASE_ADDRESS_1) || reg == PCI_COMMAND ||
		    reg == PCI_COMMAND + 1)
			continue;
		cfg_write(m, d->fn.bdf, reg, 1, ~before[reg]);
		if (reg == PCI_CACHE_LINE_SIZE || reg == PCI_LATENCY_TIMER ||
		    reg == PCI_INTERRUPT_LINE)
			assert_int_equal(cfg_read(m, d->fn.bdf, reg, 1), (uint8_t)~before[reg]);
		else
			assert_int_equal(cfg_read(m, d->fn.bdf, reg, 1), before[reg]);
	}
	/* A wide write changes only what is writable in it: COMMAND, not STATUS. */
	cfg_write(m, d->fn.bdf, PCI_COMMAND, 4, 0xffffffff);
	assert_int_equal(cfg_read(m, d->fn.bdf, PCI_STATUS, 2), 0);
	assert_int_equal(cfg_read(m, d->fn.bdf, PCI_COMMAND, 2), 0x547);
	device_destroy(d);
}

static void test_sizing(void **state)
{
	const struct pci_bar_layout *const layouts[] = {&mem32, &mem64, &io};
	struct machine *m = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(layouts); i++) {
		for (unsigned int decode = 0; decode < 2; decode++) {
			struct device *d = device_create(m, layouts[i]);
			bool is_io = layouts[i] == &io, is_64 = layouts[i] == &mem64;
			uint32_t lo = cfg_read(m, d->fn.bdf, PCI_BASE_ADDRESS_0, 4);
			uint32_t hi = cfg_read(m, d->fn.bdf, PCI_BASE_ADDRESS_1, 4);
			uint64_t base =
				is_io ? lo & ~3u : (lo & ~15u) | (is_64 ? (uint64_t)hi << 32 : 0);

			cfg_write(m, d->fn.bdf, PCI_COMMAND, 2, decode ? 3 : 0);
			assert_true(d->base == (decode	   ? base
						: d->moves ? PCI_BAR_NOT_DECODED
							   : 0));
			cfg_write(m, d->fn.bdf, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
			assert_int_equal(cfg_read(m, d->fn.bdf, PCI_BASE_ADDRESS_0, 4),
					 (uint32_t)-layouts[i]->size | layouts[i]->type);
			cfg_write(m, d->fn.bdf, PCI_BASE_ADDRESS_1, 4, 0xffffffff);
			assert_int_equal(cfg_read(m, d->fn.bdf, PCI_BASE_ADDRESS_1, 4),
					 is_64 ? 0xffffffff : 0);
			cfg_write(m, d->fn.bdf, PCI_BASE_ADDRESS_0, 4, lo);
			cfg_write(m, d->fn.bdf, PCI_BASE_ADDRESS_1, 4, hi);
			if (decode)
				assert_true(d->base == base);
			device_destroy(d);
		}
	}
}

/* A BAR may be written byte by byte; the others of its dword stay. */
static void test_narrow_bar_writes(void **state)
{
	struct machine *m = *state;
	struct device *d = device_create(m, &mem32);

	cfg_write(m, d->fn.bdf, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	cfg_write(m, d->fn.bdf, PCI_BASE_ADDRESS_0 + 2, 2, 0xc008);
	assert_int_equal(who(m, 0xc0080000), d->fn.bdf);
	cfg_write(m, d->fn.bdf, PCI_BASE_ADDRESS_0 + 1, 1, 0x7f);
	assert_int_equal(who(m, 0xc0087000), d->fn.bdf);
	assert_int_equal(who(m, 0xc0080000), -1);
	device_destroy(d);
}

static void test_overlap_in_transit(void **state)
{
	struct machine *m = *state;
	struct device *a = device_create(m, &mem32), *b = device_create(m, &mem32);

	cfg_write(m, a->fn.bdf, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	cfg_write(m, b->fn.bdf, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(who(m, MEM32), a->fn.bdf);
	assert_int_equal(who(m, MEM32 + BAR_SIZE), b->fn.bdf);
	/* The two change places, one after the other. */
	cfg_write(m, b->fn.bdf, PCI_BASE_ADDRESS_0, 4, MEM32);
	assert_int_equal(who(m, MEM32), a->fn.bdf);
	assert_int_equal(who(m, MEM32 + BAR_SIZE), -1);
	cfg_write(m, a->fn.bdf, PCI_BASE_ADDRESS_0, 4, MEM32 + BAR_SIZE);
	assert_int_equal(who(m, MEM32), b->fn.bdf);
	assert_int_equal(who(m, MEM32 + BAR_SIZE), a->fn.bdf);
	/* Whoever stops decoding makes room. */
	cfg_write(m, b->fn.bdf, PCI_BASE_ADDRESS_0, 4, MEM32 + BAR_SIZE);
	assert_int_equal(who(m, MEM32 + BAR_SIZE), a->fn.bdf);
	cfg_write(m, a->fn.bdf, PCI_COMMAND, 2, 0);
	assert_int_equal(who(m, MEM32 + BAR_SIZE), b->fn.bdf);
	/* And so does whoever goes. */
	cfg_write(m, a->fn.bdf, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(who(m, MEM32 + BAR_SIZE), a->fn.bdf);
	device_destroy(a);
	assert_int_equal(who(m, MEM32 + BAR_SIZE), b->fn.bdf);
	device_destroy(b);
}

/* A platform device keeps its address; the BAR gets it back when it moves away. */
static void test_platform_wins(void **state)
{
	struct machine *m = *state;
	struct device *d = device_create(m, &mem32);

	cfg_write(m, d->fn.bdf, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	cfg_write(m, d->fn.bdf, PCI_BASE_ADDRESS_0, 4, ECAM);
	assert_int_equal(cfg_read(m, d->fn.bdf, 0, 4), 0x10421af4);
	assert_int_equal(cfg_read(m, d->fn.bdf, PCI_BASE_ADDRESS_0, 4), ECAM);
	cfg_write(m, d->fn.bdf, PCI_BASE_ADDRESS_0, 4, MEM32);
	assert_int_equal(who(m, MEM32), d->fn.bdf);
	device_destroy(d);
}

static void test_ioeventfd_follows(void **state)
{
	const struct ioeventfd ev = {.at = 0x40, .any = true, .fd = 3};
	struct machine *m = *state;
	struct device *d = calloc(1, sizeof(*d));

	pci_function_init(&d->fn, &m->pci, "device", d, &device_id);
	assert_int_equal(pci_add_bar(&d->fn, 0, &mem64), 0);
	assert_int_equal(pci_add_ioeventfd(&d->fn, 0, &ev), 0);
	assert_int_equal(pci_function_add(&d->fn, -1), 0);
	assert_int_equal(pci_assign_bars(&m->pci), 0);
	assert_true(fake_ioeventfd_at == 0);
	cfg_write(m, d->fn.bdf, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_true(fake_ioeventfd_at == MEM64 + 0x40);
	cfg_write(m, d->fn.bdf, PCI_BASE_ADDRESS_1, 4, 7);
	assert_true(fake_ioeventfd_at == 0x700000040);
	cfg_write(m, d->fn.bdf, PCI_COMMAND, 2, 0);
	assert_true(fake_ioeventfd_at == 0);
	cfg_write(m, d->fn.bdf, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	device_destroy(d);
	assert_true(fake_ioeventfd_at == 0);
}

static void test_layouts_are_checked(void **state)
{
	static const struct {
		unsigned int bar;
		struct pci_bar_layout layout;
	} bad[] = {
		{0, {.size = 0x1001}},
		{0, {.size = 8}},
		{0, {.size = 0}},
		{6, {.size = 0x1000}},
		{5, {.size = 0x1000, .type = PCI_BASE_ADDRESS_MEM_TYPE_64}},
		{0, {.size = 0x200, .type = PCI_BASE_ADDRESS_SPACE_IO}},
		{0, {.size = UINT64_C(1) << 32}},
	};
	struct machine *m = *state;
	struct pci_function fn;

	log_set_level(LOG_LEVEL_ERROR);
	pci_function_init(&fn, &m->pci, "bad", NULL, &device_id);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(pci_add_bar(&fn, bad[i].bar, &bad[i].layout), -EINVAL);
	assert_int_equal(pci_add_bar(&fn, 0, &mem64), 0);
	assert_int_equal(pci_add_bar(&fn, 0, &mem32), -EINVAL);
	assert_int_equal(pci_add_bar(&fn, 1, &mem32), -EINVAL); /* the upper half of BAR 0 */
	assert_int_equal(pci_add_bar(&fn, 2, &mem32), 0);
}

static void test_all_slots_and_functions(void **state)
{
	struct machine *m = *state;
	static const struct pci_bar_layout small = {.size = 0x10, .ops = &device_ops};
	struct device *d[PCI_MAX_SLOTS * PCI_MAX_FUNCTIONS];
	unsigned int nr = 0;
	struct device *over = calloc(1, sizeof(*over));

	while (nr < 31 * 8)
		d[nr++] = device_create(m, &small);
	assert_int_equal(d[30]->fn.bdf, PCI_BDF(31, 0));
	assert_int_equal(d[31]->fn.bdf, PCI_BDF(1, 1));
	assert_int_equal(cfg_read(m, PCI_BDF(1, 0), PCI_HEADER_TYPE, 1), 0x80);
	pci_function_init(&over->fn, &m->pci, "over", over, &device_id);
	assert_int_equal(pci_function_add(&over->fn, -1), -ENOSPC);
	assert_int_equal(pci_function_add(&over->fn, PCI_BDF(3, 0)), -EBUSY);
	pci_function_remove(&over->fn);
	free(over);
	while (nr)
		device_destroy(d[--nr]);
}

/* As many as there are places, each behind the one before. */
static void test_crowded(void **state)
{
	struct machine *m = *state;
	static const struct pci_bar_layout small = {.size = 0x10, .ops = &device_ops};
	struct device *d[31 * PCI_MAX_FUNCTIONS];

	m->pci.crowded = true;
	for (unsigned int i = 0; i < ARRAY_SIZE(d); i++) {
		d[i] = device_create(m, &small);
		assert_int_equal(d[i]->fn.bdf, PCI_BDF(1, 0) + i);
	}
	for (unsigned int slot = 1; slot < PCI_MAX_SLOTS; slot++)
		assert_int_equal(cfg_read(m, PCI_BDF(slot, 0), PCI_HEADER_TYPE, 1), 0x80);
	for (unsigned int i = ARRAY_SIZE(d); i-- > 0;)
		device_destroy(d[i]);
}

static void test_windows_end(void **state)
{
	struct machine *m = *state;
	static const struct pci_bar_layout half = {.size = 0x80000, .ops = &device_ops};
	struct device *a = device_create(m, &half), *b = device_create(m, &half);
	struct device *c = calloc(1, sizeof(*c));

	pci_function_init(&c->fn, &m->pci, "c", c, &device_id);
	assert_int_equal(pci_add_bar(&c->fn, 0, &half), 0);
	assert_int_equal(pci_function_add(&c->fn, -1), 0);
	assert_int_equal(pci_assign_bars(&m->pci), -ENOSPC);
	device_destroy(c);
	device_destroy(b);
	device_destroy(a);
}

/* The order of Linux, which gives out addresses anew on arm64: nothing moves then. */
static void test_largest_first(void **state)
{
	struct machine *m = *state;
	static const struct pci_bar_layout small = {.size = 0x1000, .ops = &device_ops},
					   large = {.size = 0x40000, .ops = &device_ops},
					   middle = {.size = 0x2000, .ops = &device_ops};
	static const struct {
		const struct pci_bar_layout *layout;
		uint32_t at;
	} want[] = {{&small, MEM32 + 0x42000},
		    {&large, MEM32},
		    {&small, MEM32 + 0x43000},
		    {&middle, MEM32 + 0x40000}};
	struct device *d[ARRAY_SIZE(want)];

	for (unsigned int i = 0; i < ARRAY_SIZE(want); i++) {
		d[i] = calloc(1, sizeof(*d[i]));
		pci_function_init(&d[i]->fn, &m->pci, "device", d[i], &device_id);
		pci_config_set(&d[i]->fn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
		assert_int_equal(pci_add_bar(&d[i]->fn, 0, want[i].layout), 0);
		assert_int_equal(pci_function_add(&d[i]->fn, -1), 0);
	}
	/* None decodes before all have their addresses, not at 0 either. */
	assert_int_equal(who(m, 0), -1);
	assert_int_equal(pci_assign_bars(&m->pci), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(want); i++) {
		assert_int_equal(cfg_read(m, d[i]->fn.bdf, PCI_BASE_ADDRESS_0, 4), want[i].at);
		assert_int_equal(who(m, want[i].at), d[i]->fn.bdf);
	}
	for (unsigned int i = ARRAY_SIZE(want); i-- > 0;)
		device_destroy(d[i]);
}

static struct device *msix_device_create(struct machine *m)
{
	struct device *d = calloc(1, sizeof(*d));

	pci_function_init(&d->fn, &m->pci, "msix", d, &device_id);
	assert_int_equal(pci_add_bar(&d->fn, 0, &mem32), 0);
	assert_int_equal(pci_add_msix(&d->fn, 3, 0, 0, 0x800), 0);
	assert_int_equal(pci_function_add(&d->fn, -1), 0);
	assert_int_equal(pci_assign_bars(&m->pci), 0);
	return d;
}

static void test_msix_pending(void **state)
{
	struct machine *m = *state;
	struct device *d = msix_device_create(m);
	unsigned int cap = cfg_read(m, d->fn.bdf, PCI_CAPABILITY_LIST, 1);

	assert_int_equal(cfg_read(m, d->fn.bdf, cap, 1), PCI_CAP_ID_MSIX);
	pci_msix_raise(&d->fn, 0); /* off: lost */
	cfg_write(m, d->fn.bdf, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(fake_raised, 0);
	pci_msix_raise(&d->fn, 0); /* the vector is masked: pending */
	assert_int_equal(fake_raised, 0);
	assert_int_equal(pci_msix_read(&d->fn, 0x800, 8), 1);
	pci_msix_write(&d->fn, 0x800, 4, 0xff); /* pending bits are read-only */
	assert_int_equal(pci_msix_read(&d->fn, 0x800, 8), 1);
	pci_msix_write(&d->fn, 0, 8, 0xfee00000);
	pci_msix_write(&d->fn, 8, 4, 0x4041);
	pci_msix_write(&d->fn, 12, 4, 0); /* unmask: fires */
	assert_int_equal(fake_raised, 1);
	assert_int_equal(pci_msix_read(&d->fn, 0x800, 8), 0);
	pci_msix_raise(&d->fn, 0);
	assert_int_equal(fake_raised, 2);

	/* The function's mask, too. */
	cfg_write(m, d->fn.bdf, cap + PCI_MSIX_FLAGS, 2,
		  PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pci_msix_raise(&d->fn, 0);
	assert_int_equal(fake_raised, 2);
	cfg_write(m, d->fn.bdf, cap + PCI_MSIX_FLAGS + 1, 1, PCI_MSIX_FLAGS_ENABLE >> 8);
	assert_int_equal(fake_raised, 3);

	pci_msix_raise(&d->fn, 3); /* there is no such vector */
	pci_msix_write(&d->fn, 3 * 16, 8, -1);
	pci_msix_write(&d->fn, 12, 2, -1); /* narrower than a dword: undefined, so ignored */
	assert_int_equal(pci_msix_read(&d->fn, 12, 4), 0);
	device_destroy(d);
}

static void msix_program(struct device *d, unsigned int vector, uint32_t data, bool masked)
{
	pci_msix_write(&d->fn, 16 * vector, 8, 0xfee00000);
	pci_msix_write(&d->fn, 16 * vector + 8, 4, data);
	pci_msix_write(&d->fn, 16 * vector + 12, 4, masked);
}

/* An eventfd is KVM's for just as long as its vector may fire. */
static void test_msix_tie(void **state)
{
	struct machine *m = *state;
	struct device *d = msix_device_create(m);
	unsigned int cap = cfg_read(m, d->fn.bdf, PCI_CAPABILITY_LIST, 1);
	unsigned int flags = cap + PCI_MSIX_FLAGS;

	memset(fake_tied, 0, sizeof(fake_tied));
	assert_int_equal(pci_msix_tie(&d->fn, 5, 0), 0);
	msix_program(d, 0, 40, false);
	assert_int_equal(fake_tied[5], 0); /* MSI-X is off */
	cfg_write(m, d->fn.bdf, flags, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(fake_tied[5], 40);
	cfg_write(m, d->fn.bdf, flags, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	assert_int_equal(fake_tied[5], 0);
	/* What its owner finds in it meanwhile is remembered, and fires on unmask. */
	pci_msix_raise(&d->fn, 0);
	assert_int_equal(fake_raised, 0);
	cfg_write(m, d->fn.bdf, flags, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(fake_tied[5], 40);
	assert_int_equal(fake_raised, 1);
	pci_msix_write(&d->fn, 12, 4, 1);
	assert_int_equal(fake_tied[5], 0);
	pci_msix_write(&d->fn, 12, 4, 0);
	assert_int_equal(fake_tied[5], 40);

	/* Two on one vector; one that moves to a masked vector, to none, and back. */
	assert_int_equal(pci_msix_tie(&d->fn, 6, 0), 0);
	assert_int_equal(fake_tied[6], 40);
	assert_int_equal(pci_msix_tie(&d->fn, 6, 1), 0);
	assert_int_equal(fake_tied[6], 0);
	msix_program(d, 1, 41, false);
	assert_int_equal(fake_tied[6], 41);
	assert_int_equal(pci_msix_tie(&d->fn, 6, 0xffff), 0);
	assert_int_equal(fake_tied[6], 0);
	assert_int_equal(pci_msix_tie(&d->fn, 6, 1), 0);
	assert_int_equal(fake_tied[6], 41);
	assert_int_equal(fake_tied[5], 40);

	assert_int_equal(pci_msix_tie(&d->fn, 7, 2), 0);
	assert_int_equal(pci_msix_tie(&d->fn, 4, 2), -ENOSPC);
	pci_msix_untie(&d->fn, 6);
	pci_msix_untie(&d->fn, 6);
	assert_int_equal(fake_tied[6], 0);
	assert_int_equal(pci_msix_tie(&d->fn, 4, 0), 0);
	for (int fd = 4; fd < 8; fd++)
		pci_msix_untie(&d->fn, fd);
	assert_int_equal(fake_tied[4] + fake_tied[5] + fake_tied[7], 0);
	device_destroy(d);
}

static void test_intx(void **state)
{
	struct machine *m = *state;
	struct device *d = msix_device_create(m);
	unsigned int cap = cfg_read(m, d->fn.bdf, PCI_CAPABILITY_LIST, 1);

	assert_int_equal(cfg_read(m, d->fn.bdf, PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(cfg_read(m, d->fn.bdf, PCI_INTERRUPT_LINE, 1), 10 + 1);
	assert_int_equal(d->fn.intx.gsi, 17);
	pci_intx_set(&d->fn, true);
	assert_true(fake_level);
	assert_true(cfg_read(m, d->fn.bdf, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	cfg_write(m, d->fn.bdf, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	assert_false(fake_level);
	assert_true(cfg_read(m, d->fn.bdf, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	cfg_write(m, d->fn.bdf, PCI_COMMAND, 2, 0);
	assert_true(fake_level);
	cfg_write(m, d->fn.bdf, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_false(fake_level);
	cfg_write(m, d->fn.bdf, cap + PCI_MSIX_FLAGS, 2, 0);
	assert_true(fake_level);
	device_destroy(d);
	assert_false(fake_level);
}

/*
 * Random writes to COMMAND and BARs of several functions; after each, the bus must agree with an
 * oracle that looks at configuration space only.
 */
static uint64_t oracle_base(struct machine *m, struct device *d, bool is_64)
{
	uint64_t base = cfg_read(m, d->fn.bdf, PCI_BASE_ADDRESS_0, 4) & ~15u;

	if (!(cfg_read(m, d->fn.bdf, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY))
		return PCI_BAR_NOT_DECODED;
	return is_64 ? base | (uint64_t)cfg_read(m, d->fn.bdf, PCI_BASE_ADDRESS_1, 4) << 32 : base;
}

static void test_random_writes(void **state)
{
	struct machine *m = *state;
	struct device *d[6];
	uint64_t base[6];
	unsigned int seed = 42;

	for (unsigned int i = 0; i < ARRAY_SIZE(d); i++)
		d[i] = device_create(m, i & 1 ? &mem64 : &mem32);
	for (unsigned int step = 0; step < 20000; step++) {
		unsigned int i = rand_r(&seed) % ARRAY_SIZE(d);
		uint32_t place = MEM32 + rand_r(&seed) % 8 * BAR_SIZE;

		switch (rand_r(&seed) % 5) {
		case 0:
			cfg_write(m, d[i]->fn.bdf, PCI_COMMAND, 2, rand_r(&seed) & 7);
			break;
		case 1:
			cfg_write(m, d[i]->fn.bdf, PCI_BASE_ADDRESS_1, 4, rand_r(&seed) % 2);
			break;
		case 2:
			cfg_write(m, d[i]->fn.bdf, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
			break;
		default:
			cfg_write(m, d[i]->fn.bdf, PCI_BASE_ADDRESS_0, 4, place);
		}
		for (unsigned int k = 0; k < ARRAY_SIZE(d); k++) {
			base[k] = oracle_base(m, d[k], k & 1);
			for (unsigned int l = 0; l < k; l++)
				if (base[l] == base[k])
					base[k] = PCI_BAR_NOT_DECODED;
			if (base[k] != PCI_BAR_NOT_DECODED)
				assert_int_equal(who(m, base[k] + 8), d[k]->fn.bdf);
		}
		for (unsigned int p = 0; p < 8; p++) {
			bool claimed = false;

			for (unsigned int k = 0; k < ARRAY_SIZE(d); k++)
				claimed |= base[k] == MEM32 + p * BAR_SIZE;
			assert_int_equal(who(m, MEM32 + p * BAR_SIZE) >= 0, claimed);
		}
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(d); i++)
		device_destroy(d[i]);
}

/* Four threads toggle decode or move the BAR, four read through it. */
struct traffic {
	struct machine *m;
	struct device *d;
	atomic_bool stop;
};

static void *traffic_mover(void *arg)
{
	struct traffic *t = arg;
	unsigned int seed = (uintptr_t)&seed;

	while (!atomic_load(&t->stop)) {
		if (rand_r(&seed) & 1)
			cfg_write(t->m, t->d->fn.bdf, PCI_COMMAND, 2,
				  rand_r(&seed) & 1 ? PCI_COMMAND_MEMORY : 0);
		else
			cfg_write(t->m, t->d->fn.bdf, PCI_BASE_ADDRESS_0, 4,
				  MEM32 + rand_r(&seed) % 4 * BAR_SIZE);
	}
	return NULL;
}

static void *traffic_reader(void *arg)
{
	struct traffic *t = arg;
	struct bus_cache cache = {0};
	unsigned int seed = (uintptr_t)&seed;
	uint64_t val;

	while (!atomic_load(&t->stop)) {
		uint32_t off = rand_r(&seed) % (4 * BAR_SIZE) & ~3u;

		if (bus_read(&t->m->mmio, &cache, MEM32 + off, 4, &val))
			assert_int_equal(val & 0xffffffff, off % BAR_SIZE);
	}
	bus_cache_drop(&cache);
	return NULL;
}

static void test_traffic(void **state)
{
	const char *seconds = getenv("PCI_SECONDS");
	struct machine *m = *state;
	struct traffic t = {.m = m, .d = device_create(m, &mem32)};
	pthread_t thread[8];

	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&thread[i], NULL,
						i & 1 ? traffic_mover : traffic_reader, &t),
				 0);
	sleep(seconds ? atoi(seconds) : 1);
	atomic_store(&t.stop, true);
	for (unsigned int i = 0; i < 8; i++)
		pthread_join(thread[i], NULL);
	assert_true(t.d->moves > 2);
	device_destroy(t.d);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)
	const struct CMUnitTest tests[] = {
		T(test_two_doors),
		T(test_read_only_bytes),
		T(test_sizing),
		T(test_narrow_bar_writes),
		T(test_overlap_in_transit),
		T(test_platform_wins),
		T(test_ioeventfd_follows),
		T(test_layouts_are_checked),
		T(test_all_slots_and_functions),
		T(test_crowded),
		T(test_windows_end),
		T(test_largest_first),
		T(test_msix_pending),
		T(test_msix_tie),
		T(test_intx),
		T(test_random_writes),
		T(test_traffic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
