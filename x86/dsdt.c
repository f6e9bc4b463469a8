// SPDX-License-Identifier: GPL-2.0-or-later
/* The devices that no bus would find, and the PCI bus itself, in AML. */
#include "acpi.h"
#include "aml.h"
#include "kvm/acpi-pm.h"
#include "kvm/serial.h"
#include "kvm/util.h"
#include "layout.h"

static aml_mark dsdt_begin_device(struct aml *aml, const char *name, const char *eisa_id,
				  unsigned int uid)
{
	aml_mark mark = aml_begin_device(aml, name);

	aml_name(aml, "_HID");
	aml_eisa_id(aml, eisa_id);
	aml_name(aml, "_UID");
	aml_int(aml, uid);
	return mark;
}

static void dsdt_add_uarts(struct aml *aml)
{
	static const struct {
		const char *name;
		uint16_t port;
		unsigned int gsi;
	} uart[] = {
		{"COM1", LAYOUT_COM1, LAYOUT_GSI_COM13},
		{"COM2", LAYOUT_COM2, LAYOUT_GSI_COM24},
		{"COM3", LAYOUT_COM3, LAYOUT_GSI_COM13},
		{"COM4", LAYOUT_COM4, LAYOUT_GSI_COM24},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(uart); i++) {
		aml_mark dev = dsdt_begin_device(aml, uart[i].name, "PNP0501", i);
		struct aml_crs crs = aml_begin_crs(aml);

		aml_crs_io(aml, uart[i].port, SERIAL_SIZE);
		aml_crs_irq(aml, uart[i].gsi);
		aml_end_crs(aml, crs);
		aml_end(aml, dev);
	}
}

static void dsdt_add_i8042(struct aml *aml)
{
	aml_mark dev = dsdt_begin_device(aml, "KBD_", "PNP0303", 0);
	struct aml_crs crs = aml_begin_crs(aml);

	aml_crs_io(aml, LAYOUT_I8042, 1);
	aml_crs_io(aml, LAYOUT_I8042 + 4, 1);
	aml_crs_irq(aml, LAYOUT_GSI_KBD);
	aml_end_crs(aml, crs);
	aml_end(aml, dev);

	dev = dsdt_begin_device(aml, "MOU_", "PNP0F13", 0);
	crs = aml_begin_crs(aml);
	aml_crs_irq(aml, LAYOUT_GSI_MOUSE);
	aml_end_crs(aml, crs);
	aml_end(aml, dev);
}

static void dsdt_add_rtc(struct aml *aml)
{
	aml_mark dev = dsdt_begin_device(aml, "RTC_", "PNP0B00", 0);
	struct aml_crs crs = aml_begin_crs(aml);

	aml_crs_io(aml, LAYOUT_RTC, 2);
	aml_crs_irq(aml, LAYOUT_GSI_RTC);
	aml_end_crs(aml, crs);
	aml_end(aml, dev);
}

/* Space that is taken: Linux uses an ECAM only if it stands here or in E820 (PCI FW 3.0 §4.1.2). */
static void dsdt_add_motherboard(struct aml *aml)
{
	aml_mark dev = dsdt_begin_device(aml, "MBRD", "PNP0C02", 0);
	struct aml_crs crs = aml_begin_crs(aml);

	aml_crs_memory32(aml, LAYOUT_ECAM, LAYOUT_ECAM_SIZE);
	aml_crs_io(aml, LAYOUT_ACPI_PM, ACPI_PM_PANIC);
	aml_end_crs(aml, crs);
	aml_end(aml, dev);
}

/* Linux' pvpanic driver knows the device by this name; there is no EISA id for it. */
static void dsdt_add_pvpanic(struct aml *aml)
{
	aml_mark dev = aml_begin_device(aml, "PEVT");
	struct aml_crs crs;

	aml_name(aml, "_HID");
	aml_string(aml, "QEMU0001");
	crs = aml_begin_crs(aml);
	aml_crs_io(aml, LAYOUT_ACPI_PM + ACPI_PM_PANIC, 1);
	aml_end_crs(aml, crs);
	aml_end(aml, dev);
}

/* Linux' virtio-mmio driver knows its devices by this name. */
static void dsdt_add_virtio_mmio(struct aml *aml, const struct virtio_mmio_place *place,
				 unsigned int index)
{
	char name[] = {'V', 'M', 'A' + index / 26 % 26, 'A' + index % 26, '\0'};
	aml_mark dev = aml_begin_device(aml, name);
	struct aml_crs crs;

	aml_name(aml, "_HID");
	aml_string(aml, "LNRO0005");
	aml_name(aml, "_UID");
	aml_int(aml, index);
	crs = aml_begin_crs(aml);
	aml_crs_memory32(aml, place->base, VIRTIO_MMIO_SIZE);
	aml_crs_interrupt(aml, place->gsi);
	aml_end_crs(aml, crs);
	aml_end(aml, dev);
}

/* Where the INTx pins of all slots lead (ACPI 6.4 §6.2.13), swizzled as PCI bridges do it. */
static void dsdt_add_prt(struct aml *aml, const char *name, const unsigned int gsi[4])
{
	aml_mark table, entry;

	aml_name(aml, name);
	table = aml_begin_package(aml, PCI_MAX_SLOTS * 4);
	for (unsigned int slot = 0; slot < PCI_MAX_SLOTS; slot++) {
		for (unsigned int pin = 0; pin < 4; pin++) {
			entry = aml_begin_package(aml, 4);
			aml_int(aml, slot << 16 | 0xffff);
			aml_int(aml, pin);
			aml_int(aml, 0);
			aml_int(aml, gsi[(slot + pin) % 4]);
			aml_end(aml, entry);
		}
	}
	aml_end(aml, table);
}

static void dsdt_add_pci(struct aml *aml, const struct acpi_config *cfg)
{
	unsigned int pic[4] = {cfg->intx_pic[0], cfg->intx_pic[1], cfg->intx_pic[2],
			       cfg->intx_pic[3]};
	aml_mark dev = dsdt_begin_device(aml, "PCI0", "PNP0A08", 0), method, cond;
	struct aml_crs crs;

	aml_name(aml, "_CID");
	aml_eisa_id(aml, "PNP0A03");
	crs = aml_begin_crs(aml);
	aml_crs_bus_window(aml, 0, 0);
	aml_crs_io(aml, LAYOUT_PCI_CF8, 8);
	aml_crs_io_window(aml, cfg->io.base, cfg->io.size);
	aml_crs_memory_window(aml, cfg->mem32.base, cfg->mem32.size);
	if (cfg->mem64.size)
		aml_crs_memory_window(aml, cfg->mem64.base, cfg->mem64.size);
	aml_end_crs(aml, crs);

	dsdt_add_prt(aml, "PRTA", cfg->intx_gsi);
	dsdt_add_prt(aml, "PRTP", pic);
	method = aml_begin_method(aml, "_PRT", 0);
	cond = aml_begin_if(aml);
	aml_ref(aml, "\\PICF");
	aml_return(aml);
	aml_ref(aml, "PRTA");
	aml_end(aml, cond);
	aml_return(aml);
	aml_ref(aml, "PRTP");
	aml_end(aml, method);
	aml_end(aml, dev);
}

size_t dsdt_build(const struct acpi_config *cfg, void *buf, size_t size)
{
	struct aml aml;
	aml_mark mark;

	aml_init(&aml, buf, size);

	/* The system tells by _PIC which interrupt controller it uses (§5.8.1): 0 is the PIC. */
	aml_name(&aml, "\\PICF");
	aml_int(&aml, 0);
	mark = aml_begin_method(&aml, "\\_PIC", 1);
	aml_store_arg(&aml, 0, "\\PICF");
	aml_end(&aml, mark);

	aml_name(&aml, "\\_S5_");
	mark = aml_begin_package(&aml, 4);
	aml_int(&aml, ACPI_PM_SLP_TYP_S5);
	aml_int(&aml, ACPI_PM_SLP_TYP_S5);
	aml_int(&aml, 0);
	aml_int(&aml, 0);
	aml_end(&aml, mark);

	mark = aml_begin_scope(&aml, "\\_SB_");
	dsdt_add_pci(&aml, cfg);
	dsdt_add_motherboard(&aml);
	dsdt_add_uarts(&aml);
	dsdt_add_i8042(&aml);
	dsdt_add_rtc(&aml);
	dsdt_add_pvpanic(&aml);
	for (unsigned int i = 0; i < cfg->nr_virtio_mmio; i++)
		dsdt_add_virtio_mmio(&aml, &cfg->virtio_mmio[i], i);
	aml_end(&aml, mark);
	return aml.overflow ? 0 : aml.len;
}
