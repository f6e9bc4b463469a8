// SPDX-License-Identifier: GPL-2.0-or-later
#include "fdt.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>

#include "kvm/util.h"
#include "layout.h"

/* How nodes refer to each other. */
#define FDT_PHANDLE_GIC	  1
#define FDT_PHANDLE_MSI	  2
#define FDT_PHANDLE_CLOCK 3
#define FDT_PHANDLE_GPIO  4

/* Interrupt specifiers (Linux: arm,gic.yaml). */
#define FDT_IRQ_SPI	   0
#define FDT_IRQ_PPI	   1
#define FDT_IRQ_LEVEL_HIGH 4
#define FDT_IRQ_LEVEL_LOW  8

/* PCI Bus Binding to IEEE 1275 §2.2.1.1. */
#define FDT_PCI_IO    0x01000000
#define FDT_PCI_MEM32 0x02000000
#define FDT_PCI_MEM64 0x43000000 /* prefetchable, as 64-bit BARs are here */

#define FDT_UART_HZ 1843200 /* of a PC's UART: 16 x 115200 baud */

#define FDT_APB_HZ 24000000 /* any will do: nothing is clocked by it */

#define FDT_KEY_POWER 116 /* linux/input-event-codes.h */

#define FDT_PCI_SLOTS 32

#define FDT_MAX_CELLS (FDT_PCI_SLOTS * 4 * 10) /* of the longest, interrupt-map */

/*
 * The tree under construction. After the first failure nothing more is written, so that only the
 * end has to look.
 */
struct fdt_writer {
	void *buf;
	int err;
	unsigned int nr_cells; /* of the property being collected */
	fdt32_t cell[FDT_MAX_CELLS];
};

static void fdt_check(struct fdt_writer *w, int ret)
{
	if (!w->err)
		w->err = ret;
}

static void fdt_put_node(struct fdt_writer *w, const char *name)
{
	fdt_check(w, fdt_begin_node(w->buf, name));
}

/* name@address, the address that of the node's registers. */
static void fdt_put_node_at(struct fdt_writer *w, const char *name, uint64_t address)
{
	char *full = xasprintf("%s@%llx", name, (unsigned long long)address);

	if (full)
		fdt_put_node(w, full);
	else
		fdt_check(w, -FDT_ERR_NOSPACE);
	free(full);
}

static void fdt_put_end(struct fdt_writer *w)
{
	fdt_check(w, fdt_end_node(w->buf));
}

static void fdt_put_string(struct fdt_writer *w, const char *name, const char *value)
{
	fdt_check(w, fdt_property_string(w->buf, name, value));
}

static void fdt_put_flag(struct fdt_writer *w, const char *name)
{
	fdt_check(w, fdt_property(w->buf, name, NULL, 0));
}

static void fdt_put_u32(struct fdt_writer *w, const char *name, uint32_t value)
{
	fdt_check(w, fdt_property_u32(w->buf, name, value));
}

static void fdt_put_u64(struct fdt_writer *w, const char *name, uint64_t value)
{
	fdt_check(w, fdt_property_u64(w->buf, name, value));
}

/* A property of many cells: collected, then written under its name. */
static void fdt_put_cell(struct fdt_writer *w, uint32_t value)
{
	if (w->nr_cells < FDT_MAX_CELLS)
		w->cell[w->nr_cells++] = cpu_to_fdt32(value);
	else
		fdt_check(w, -FDT_ERR_INTERNAL);
}

static void fdt_put_cell64(struct fdt_writer *w, uint64_t value)
{
	fdt_put_cell(w, value >> 32);
	fdt_put_cell(w, value);
}

static void fdt_put_range(struct fdt_writer *w, uint64_t base, uint64_t size)
{
	fdt_put_cell64(w, base);
	fdt_put_cell64(w, size);
}

static void fdt_put_irq(struct fdt_writer *w, uint32_t type, uint32_t nr, uint32_t flags)
{
	fdt_put_cell(w, type);
	fdt_put_cell(w, nr);
	fdt_put_cell(w, flags);
}

static void fdt_put_cells(struct fdt_writer *w, const char *name)
{
	fdt_check(w, fdt_property(w->buf, name, w->cell, w->nr_cells * sizeof(w->cell[0])));
	w->nr_cells = 0;
}

/* --- nodes --- */

/*
 * Linux: display/simple-framebuffer.yaml. The picture lies in a BAR, and Linux gives out BARs' places
 * anew, under the driver of this node; see pci_assign_bars() for why this one stays where it is.
 */
static void fdt_write_screen(struct fdt_writer *w, const struct fdt_machine *m)
{
	const struct vesa_mode *mode = &m->screen_mode;

	if (!mode->width)
		return;
	fdt_put_u32(w, "#address-cells", 2);
	fdt_put_u32(w, "#size-cells", 2);
	fdt_put_flag(w, "ranges");
	fdt_put_node_at(w, "framebuffer", m->screen);
	fdt_put_string(w, "compatible", "simple-framebuffer");
	fdt_put_range(w, m->screen, (uint64_t)mode->stride * mode->height);
	fdt_put_cells(w, "reg");
	fdt_put_u32(w, "width", mode->width);
	fdt_put_u32(w, "height", mode->height);
	fdt_put_u32(w, "stride", mode->stride);
	fdt_put_string(w, "format",
		       mode->depth == 16   ? "r5g6b5"
		       : mode->depth == 24 ? "r8g8b8"
					   : "x8r8g8b8");
	fdt_put_end(w);
}

static void fdt_write_chosen(struct fdt_writer *w, const struct fdt_machine *m)
{
	fdt_put_node(w, "chosen");
	fdt_put_string(w, "bootargs", m->cmdline);
	fdt_put_u64(w, "kaslr-seed", m->kaslr_seed);
	fdt_check(w, fdt_property(w->buf, "rng-seed", m->rng_seed, sizeof(m->rng_seed)));
	if (m->initrd_size) {
		fdt_put_u64(w, "linux,initrd-start", m->initrd);
		fdt_put_u64(w, "linux,initrd-end", m->initrd + m->initrd_size);
	}
	/*
	 * Last of the properties: EDK2 (2022.11) takes a byte soon after it that is as large as this
	 * string is long for the string's end, and then finds no console; lengths are such bytes.
	 */
	if (m->uart[0].size)
		fdt_put_string(w, "stdout-path", "serial0");
	fdt_write_screen(w, m);
	fdt_put_end(w);
}

static void fdt_write_aliases(struct fdt_writer *w, const struct fdt_machine *m)
{
	fdt_put_node(w, "aliases");
	for (unsigned int i = 0; i < CONFIG_NR_TTYS; i++) {
		char name[] = "serial0", path[40];

		if (!m->uart[i].size)
			continue;
		name[sizeof(name) - 2] += i;
		snprintf(path, sizeof(path), "/serial@%llx", (unsigned long long)m->uart[i].base);
		fdt_put_string(w, name, path);
	}
	fdt_put_end(w);
}

static void fdt_write_memory(struct fdt_writer *w, const struct fdt_machine *m)
{
	fdt_put_node_at(w, "memory", m->ram);
	fdt_put_string(w, "device_type", "memory");
	fdt_put_range(w, m->ram, m->ram_size);
	fdt_put_cells(w, "reg");
	fdt_put_end(w);
}

static void fdt_write_cpus(struct fdt_writer *w, const struct fdt_machine *m)
{
	/* The first is kvmtool's, which EDK2 2022.11 looks for; the second Linux's (arm/cpus.yaml). */
	static const char compatible[] = "arm,arm-v8\0arm,armv8";

	fdt_put_node(w, "cpus");
	fdt_put_u32(w, "#address-cells", 1);
	fdt_put_u32(w, "#size-cells", 0);
	for (unsigned int i = 0; i < m->nr_cpus; i++) {
		fdt_put_node_at(w, "cpu", m->mpidr[i]);
		fdt_put_string(w, "device_type", "cpu");
		fdt_check(w, fdt_property(w->buf, "compatible", compatible, sizeof(compatible)));
		fdt_put_string(w, "enable-method", "psci");
		fdt_put_u32(w, "reg", m->mpidr[i]);
		fdt_put_end(w);
	}
	fdt_put_end(w);
}

static void fdt_write_psci(struct fdt_writer *w, const struct fdt_machine *m)
{
	static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2";

	fdt_put_node(w, "psci");
	fdt_check(w, fdt_property(w->buf, "compatible", compatible, sizeof(compatible)));
	/* A guest at EL2 has HVC for itself. */
	fdt_put_string(w, "method", m->nested ? "smc" : "hvc");
	fdt_put_end(w);
}

/* PPIs of a GICv2 name the CPUs that they go to: all. */
static uint32_t fdt_ppi_cpus(const struct fdt_machine *m)
{
	return gic_is_v3(m->gic) ? 0 : ((1u << m->nr_cpus) - 1) << 8;
}

static void fdt_write_timer(struct fdt_writer *w, const struct fdt_machine *m)
{
	/* The last came with VHE: only a guest hypervisor can have it. */
	static const unsigned int ppi[] = {LAYOUT_PPI_SEC_TIMER, LAYOUT_PPI_PHYS_TIMER,
					   LAYOUT_PPI_VIRT_TIMER, LAYOUT_PPI_HYP_TIMER,
					   LAYOUT_PPI_HYP_VIRT};
	unsigned int nr = m->nested ? ARRAY_SIZE(ppi) : ARRAY_SIZE(ppi) - 1;

	fdt_put_node(w, "timer");
	fdt_put_string(w, "compatible", "arm,armv8-timer");
	for (unsigned int i = 0; i < nr; i++)
		fdt_put_irq(w, FDT_IRQ_PPI, ppi[i], FDT_IRQ_LEVEL_LOW | fdt_ppi_cpus(m));
	fdt_put_cells(w, "interrupts");
	fdt_put_flag(w, "always-on");
	if (m->timer_hz)
		fdt_put_u32(w, "clock-frequency", m->timer_hz);
	fdt_put_end(w);
}

static void fdt_write_pmu(struct fdt_writer *w, const struct fdt_machine *m)
{
	if (!m->pmu)
		return;
	fdt_put_node(w, "pmu");
	fdt_put_string(w, "compatible", "arm,armv8-pmuv3");
	fdt_put_irq(w, FDT_IRQ_PPI, LAYOUT_PPI_PMU, FDT_IRQ_LEVEL_HIGH | fdt_ppi_cpus(m));
	fdt_put_cells(w, "interrupts");
	fdt_put_end(w);
}

static void fdt_write_msi(struct fdt_writer *w, const struct fdt_machine *m)
{
	bool its = m->gic == GIC_V3_ITS;
	uint64_t base = its ? layout_gicv3_its(m->nr_cpus) : LAYOUT_GICV2M;

	fdt_put_node_at(w, its ? "msi-controller" : "v2m", base);
	fdt_put_string(w, "compatible", its ? "arm,gic-v3-its" : "arm,gic-v2m-frame");
	fdt_put_flag(w, "msi-controller");
	if (its)
		fdt_put_u32(w, "#msi-cells", 1);
	fdt_put_range(w, base, its ? LAYOUT_GICV3_ITS_SIZE : LAYOUT_GICV2M_SIZE);
	fdt_put_cells(w, "reg");
	fdt_put_u32(w, "phandle", FDT_PHANDLE_MSI);
	fdt_put_end(w);
}

static bool fdt_has_msi(const struct fdt_machine *m)
{
	return m->gic == GIC_V3_ITS || m->gic == GIC_V2M;
}

static void fdt_write_gic(struct fdt_writer *w, const struct fdt_machine *m)
{
	fdt_put_node_at(w, "interrupt-controller", LAYOUT_GIC_DIST);
	fdt_put_string(w, "compatible", gic_is_v3(m->gic) ? "arm,gic-v3" : "arm,cortex-a15-gic");
	fdt_put_flag(w, "interrupt-controller");
	fdt_put_u32(w, "#interrupt-cells", 3);
	fdt_put_u32(w, "#address-cells", 2);
	fdt_put_u32(w, "#size-cells", 2);
	fdt_put_flag(w, "ranges");
	fdt_put_range(w, LAYOUT_GIC_DIST, LAYOUT_GIC_DIST_SIZE);
	if (gic_is_v3(m->gic))
		fdt_put_range(w, layout_gicv3_redist(m->nr_cpus),
			      m->nr_cpus * LAYOUT_GICV3_REDIST_SIZE);
	else
		fdt_put_range(w, LAYOUT_GICV2_CPU, LAYOUT_GICV2_CPU_SIZE);
	fdt_put_cells(w, "reg");
	if (m->nested) {
		fdt_put_irq(w, FDT_IRQ_PPI, LAYOUT_PPI_MAINTENANCE, FDT_IRQ_LEVEL_HIGH);
		fdt_put_cells(w, "interrupts");
	}
	fdt_put_u32(w, "phandle", FDT_PHANDLE_GIC);
	if (fdt_has_msi(m))
		fdt_write_msi(w, m);
	fdt_put_end(w);
}

/* A device with registers and an interrupt; the caller adds what is special and ends the node. */
static void fdt_device_node(struct fdt_writer *w, const char *name, const char *compatible,
			    const struct fdt_device *dev)
{
	fdt_put_node_at(w, name, dev->base);
	fdt_put_string(w, "compatible", compatible);
	fdt_put_range(w, dev->base, dev->size);
	fdt_put_cells(w, "reg");
	fdt_put_irq(w, FDT_IRQ_SPI, dev->spi, FDT_IRQ_LEVEL_HIGH);
	fdt_put_cells(w, "interrupts");
}

/* The power button: Linux: gpio/pl061-gpio.yaml, input/gpio-keys.yaml. */
static void fdt_write_gpio(struct fdt_writer *w, const struct fdt_machine *m)
{
	static const char compatible[] = "arm,pl061\0arm,primecell";

	if (!m->gpio.size)
		return;
	fdt_put_node(w, "apb-pclk");
	fdt_put_string(w, "compatible", "fixed-clock");
	fdt_put_u32(w, "#clock-cells", 0);
	fdt_put_u32(w, "clock-frequency", FDT_APB_HZ);
	fdt_put_u32(w, "phandle", FDT_PHANDLE_CLOCK);
	fdt_put_end(w);

	fdt_put_node_at(w, "gpio", m->gpio.base);
	fdt_check(w, fdt_property(w->buf, "compatible", compatible, sizeof(compatible)));
	fdt_put_range(w, m->gpio.base, m->gpio.size);
	fdt_put_cells(w, "reg");
	fdt_put_irq(w, FDT_IRQ_SPI, m->gpio.spi, FDT_IRQ_LEVEL_HIGH);
	fdt_put_cells(w, "interrupts");
	fdt_put_flag(w, "gpio-controller");
	fdt_put_u32(w, "#gpio-cells", 2);
	fdt_put_u32(w, "clocks", FDT_PHANDLE_CLOCK);
	fdt_put_string(w, "clock-names", "apb_pclk");
	fdt_put_u32(w, "phandle", FDT_PHANDLE_GPIO);
	fdt_put_end(w);

	fdt_put_node(w, "gpio-keys");
	fdt_put_string(w, "compatible", "gpio-keys");
	fdt_put_node(w, "power");
	fdt_put_string(w, "label", "Power Button");
	fdt_put_u32(w, "linux,code", FDT_KEY_POWER);
	fdt_put_flag(w, "wakeup-source");
	fdt_put_cell(w, FDT_PHANDLE_GPIO);
	fdt_put_cell(w, LAYOUT_GPIO_POWER);
	fdt_put_cell(w, 0); /* active high */
	fdt_put_cells(w, "gpios");
	fdt_put_end(w);
	fdt_put_end(w);
}

static void fdt_write_chips(struct fdt_writer *w, const struct fdt_machine *m)
{
	for (unsigned int i = 0; i < CONFIG_NR_TTYS; i++) {
		if (!m->uart[i].size)
			continue;
		fdt_device_node(w, "serial", "ns16550a", &m->uart[i]);
		fdt_put_u32(w, "clock-frequency", FDT_UART_HZ);
		fdt_put_end(w);
	}
	if (m->rtc.size) {
		fdt_device_node(w, "rtc", "motorola,mc146818", &m->rtc);
		fdt_put_end(w);
	}
	for (unsigned int i = 0; i < m->nr_virtio_mmio; i++) {
		fdt_device_node(w, "virtio", "virtio,mmio", &m->virtio_mmio[i]);
		fdt_put_flag(w, "dma-coherent");
		fdt_put_end(w);
	}
	if (m->flash.size) {
		fdt_put_node_at(w, "flash", m->flash.base);
		fdt_put_string(w, "compatible", "cfi-flash");
		fdt_put_string(w, "label", "System-firmware"); /* EDK2: holds its variables */
		fdt_put_range(w, m->flash.base, m->flash.size);
		fdt_put_cells(w, "reg");
		fdt_put_u32(w, "bank-width", 4);
		fdt_put_end(w);
	}
}

/* Space code, address on the PCI bus, address of the CPU, size; the two addresses are the same. */
static void fdt_pci_range(struct fdt_writer *w, uint32_t space, uint64_t base, uint64_t size)
{
	fdt_put_cell(w, space);
	fdt_put_cell64(w, base);
	fdt_put_range(w, base, size);
}

/*
 * Slot and pin to line, as pci.c swizzles. It repeats every four slots, which a mask could say; but
 * EDK2, when it makes ACPI of this, takes each entry for one slot; and 32 slots are too many for it.
 * In slot 0 is the host bridge, which has no interrupt.
 */
static void fdt_write_intx(struct fdt_writer *w)
{
	for (unsigned int slot = 1; slot < FDT_PCI_SLOTS; slot++) {
		for (unsigned int pin = 1; pin <= 4; pin++) {
			fdt_put_cell(w, slot << 11);
			fdt_put_cell64(w, 0);
			fdt_put_cell(w, pin);
			fdt_put_cell(w, FDT_PHANDLE_GIC);
			fdt_put_cell64(w, 0);
			fdt_put_irq(w, FDT_IRQ_SPI, LAYOUT_SPI_INTX + (slot + pin - 1) % 4,
				    FDT_IRQ_LEVEL_HIGH);
		}
	}
	fdt_put_cells(w, "interrupt-map");
	fdt_put_cell(w, (FDT_PCI_SLOTS - 1) << 11);
	fdt_put_cell64(w, 0);
	fdt_put_cell(w, 7);
	fdt_put_cells(w, "interrupt-map-mask");
}

/* Linux: pci/host-generic-pci.yaml, pci/pci-msi.txt. */
static void fdt_write_pci(struct fdt_writer *w, const struct fdt_machine *m)
{
	fdt_put_node_at(w, "pcie", LAYOUT_ECAM);
	fdt_put_string(w, "compatible", "pci-host-ecam-generic");
	fdt_put_string(w, "device_type", "pci");
	fdt_put_u32(w, "#address-cells", 3);
	fdt_put_u32(w, "#size-cells", 2);
	fdt_put_u32(w, "#interrupt-cells", 1);
	fdt_put_cell(w, 0);
	fdt_put_cell(w, 0);
	fdt_put_cells(w, "bus-range");
	fdt_put_flag(w, "dma-coherent");
	fdt_put_range(w, LAYOUT_ECAM, LAYOUT_ECAM_SIZE);
	fdt_put_cells(w, "reg");
	fdt_pci_range(w, FDT_PCI_IO, LAYOUT_PCI_IO, LAYOUT_PCI_IO_SIZE);
	fdt_pci_range(w, FDT_PCI_MEM32, LAYOUT_PCI_MEM32, LAYOUT_PCI_MEM32_SIZE);
	if (m->mem64_size)
		fdt_pci_range(w, FDT_PCI_MEM64, m->mem64, m->mem64_size);
	fdt_put_cells(w, "ranges");
	fdt_write_intx(w);
	if (fdt_has_msi(m)) {
		fdt_put_cell(w, 0); /* requester ids from 0, as they are, 0x10000 of them */
		fdt_put_cell(w, FDT_PHANDLE_MSI);
		fdt_put_cell(w, 0);
		fdt_put_cell(w, 0x10000);
		fdt_put_cells(w, "msi-map");
	}
	fdt_put_end(w);
}

int fdt_build(const struct fdt_machine *m, void *buf, size_t size)
{
	struct fdt_writer w = {.buf = buf};

	fdt_check(&w, fdt_create(buf, size));
	fdt_check(&w, fdt_finish_reservemap(buf));
	fdt_put_node(&w, "");
	fdt_put_string(&w, "compatible", "linux,dummy-virt");
	fdt_put_string(&w, "model", "lkvm");
	fdt_put_u32(&w, "#address-cells", 2);
	fdt_put_u32(&w, "#size-cells", 2);
	fdt_put_u32(&w, "interrupt-parent", FDT_PHANDLE_GIC);
	fdt_write_aliases(&w, m);
	fdt_write_chosen(&w, m);
	fdt_write_memory(&w, m);
	fdt_write_cpus(&w, m);
	fdt_write_psci(&w, m);
	fdt_write_timer(&w, m);
	fdt_write_pmu(&w, m);
	fdt_write_gic(&w, m);
	fdt_write_chips(&w, m);
	fdt_write_gpio(&w, m);
	fdt_write_pci(&w, m);
	fdt_put_end(&w);
	fdt_check(&w, fdt_finish(buf));
	return w.err ? -ENOSPC : 0;
}
