// SPDX-License-Identifier: GPL-2.0-or-later
/* The machine: real buses and a real PCI host, and stand-ins for what KVM does. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm/ioeventfd.h"
#include "rig.h"

/* --- ioeventfds --- */

static struct ioeventfd table[MACHINE_IOEVENTFDS];

int ioeventfd_add(int vm_fd, const struct ioeventfd *ev)
{
	(void)vm_fd;
	for (unsigned int i = 0; i < MACHINE_IOEVENTFDS; i++) {
		if (table[i].fd)
			continue;
		table[i] = *ev;
		return 0;
	}
	return -ENOSPC;
}

void ioeventfd_del(int vm_fd, const struct ioeventfd *ev)
{
	(void)vm_fd;
	for (unsigned int i = 0; i < MACHINE_IOEVENTFDS; i++)
		if (table[i].fd == ev->fd && table[i].at == ev->at && table[i].io == ev->io &&
		    table[i].any == ev->any && table[i].match == ev->match)
			table[i].fd = 0;
}

const struct ioeventfd *ioeventfds(void)
{
	return table;
}

unsigned int nr_ioeventfds(void)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < MACHINE_IOEVENTFDS; i++)
		nr += table[i].fd != 0;
	return nr;
}

/* --- interrupts --- */

#define MACHINE_LINES 32

static atomic_int lines[MACHINE_LINES]; /* how many sources hold each up */
static atomic_uint msis, msi_data;

void irq_line_init(struct irq_line *line, struct irq_chip *irq, unsigned int gsi)
{
	*line = (struct irq_line){.irq = irq, .gsi = gsi};
}

void irq_line_set(struct irq_line *line, bool level)
{
	lines[line->gsi] += level - line->up;
	line->up = level;
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
	msi_data = msi->data;
	msis++;
}

/* Nobody serves a queue here but the devices themselves. */
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

bool line_is_up(unsigned int gsi)
{
	return lines[gsi] > 0;
}

unsigned int msi_count(void)
{
	return msis;
}

uint32_t msi_last_data(void)
{
	return msi_data;
}

/* --- the CPU's side --- */

uint64_t mem_read(struct machine *m, uint64_t gpa, unsigned int len)
{
	uint64_t val = 0;

	bus_read(&m->mmio, NULL, gpa, len, &val);
	return len == 8 ? val : val & ((1ull << len * 8) - 1);
}

void mem_write(struct machine *m, uint64_t gpa, unsigned int len, uint64_t val)
{
	bus_write(&m->mmio, NULL, gpa, len, val);
}

uint32_t io_read(struct machine *m, uint16_t port, unsigned int len)
{
	uint64_t val = 0;

	bus_read(&m->ioport, NULL, port, len, &val);
	return val & ((1ull << len * 8) - 1);
}

void io_write(struct machine *m, uint16_t port, unsigned int len, uint32_t val)
{
	bus_write(&m->ioport, NULL, port, len, val);
}

static uint64_t cfg_at(unsigned int reg)
{
	return MACHINE_ECAM + ((uint64_t)PCI_BDF(1, 0) << 12) + reg;
}

uint32_t cfg_read(struct machine *m, unsigned int reg, unsigned int len)
{
	return mem_read(m, cfg_at(reg), len);
}

void cfg_write(struct machine *m, unsigned int reg, unsigned int len, uint32_t val)
{
	mem_write(m, cfg_at(reg), len, val);
}

unsigned int cfg_find_cap(struct machine *m, unsigned int at, uint8_t id)
{
	unsigned int left = 48; /* as many as there is room for */

	if (!at && cfg_read(m, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST)
		at = cfg_read(m, PCI_CAPABILITY_LIST, 1);
	while (at && left-- && cfg_read(m, at, 1) != id)
		at = cfg_read(m, at + PCI_CAP_LIST_NEXT, 1);
	return at;
}

/* --- life --- */

/* RAM is a file, as a VM's is: the balloon punches holes into it. */
static void machine_init_ram(struct machine *m)
{
	m->ram_fd = memfd_create("ram", MFD_CLOEXEC);
	if (m->ram_fd < 0 || ftruncate(m->ram_fd, DRV_RAM_SIZE))
		abort();
	m->ram.hva = mmap(NULL, DRV_RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, m->ram_fd, 0);
	if (m->ram.hva == MAP_FAILED)
		abort();
	m->ram.mem.nr_banks = 1;
	m->ram.mem.bank[0] = (struct memory_bank){
		.gpa = DRV_GPA, .size = DRV_RAM_SIZE, .hva = m->ram.hva, .fd = m->ram_fd};
}

void machine_init(struct machine *m)
{
	memset(m, 0, sizeof(*m));
	machine_init_ram(m);
	bus_init(&m->mmio, "mmio");
	bus_init(&m->ioport, "ioport");
	if (pci_init(&m->pci, &m->mmio, &m->ioport, &m->irq, -1) ||
	    pci_add_ecam(&m->pci, MACHINE_ECAM))
		abort();
	m->pci.io = (struct pci_window){.base = MACHINE_IO, .size = 0x1000};
	m->pci.mem32 = (struct pci_window){.base = MACHINE_MEM32, .size = 0x1000000};
	m->pci.mem64 = (struct pci_window){.base = MACHINE_MEM64, .size = 0x1000000};
	for (unsigned int i = 0; i < ARRAY_SIZE(m->pci.intx_gsi); i++)
		m->pci.intx_line[i] = m->pci.intx_gsi[i] = 10 + i;
}

void machine_fini(struct machine *m)
{
	unsigned int up = 0, left = nr_ioeventfds();

	for (unsigned int i = 0; i < MACHINE_LINES; i++)
		up += atomic_exchange(&lines[i], 0);
	memset(table, 0, sizeof(table));
	pci_fini(&m->pci);
	bus_fini(&m->mmio);
	bus_fini(&m->ioport);
	munmap(m->ram.hva, DRV_RAM_SIZE);
	close(m->ram_fd);
	CHECK_EQ(up, 0);
	CHECK_EQ(left, 0);
}
