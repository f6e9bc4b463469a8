// SPDX-License-Identifier: GPL-2.0-or-later
/* links: arm/fdt.c arm/layout.c util/util.c */
/* libs: -lfdt */
#include <errno.h>
#include <libfdt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "arm/fdt.h"
#include "arm/layout.h"
#include "kvm/util.h"
#include "kvm/virtio-mmio.h"

#define FDT_BYTES 0x40000

static uint8_t fdt[FDT_BYTES] __attribute__((aligned(8)));
static uint64_t mpidr[512];

/* The affinity that KVM gives its vCPUs: 16 in a cluster. */
static struct fdt_machine machine(enum gic_kind gic, unsigned int nr_cpus)
{
	struct fdt_machine m = {
		.cmdline = "console=ttyS0",
		.ram = LAYOUT_RAM,
		.ram_size = GIB,
		.initrd = LAYOUT_RAM + 64 * MIB,
		.initrd_size = 12345,
		.kaslr_seed = 0x1122334455667788,
		.nr_cpus = nr_cpus,
		.mpidr = mpidr,
		.gic = gic,
		.rtc = {LAYOUT_RTC, 2, LAYOUT_SPI_RTC},
		.gpio = {LAYOUT_GPIO, 0x1000, LAYOUT_SPI_GPIO},
		.flash = {LAYOUT_FLASH, 0x200000, 0},
		.mem64 = 4 * GIB,
		.mem64_size = 64 * GIB,
	};

	for (unsigned int i = 0; i < nr_cpus; i++)
		mpidr[i] = (i & 0xf) | (i >> 4) << 8;
	for (unsigned int i = 0; i < CONFIG_NR_TTYS; i++)
		m.uart[i] = (struct fdt_device){LAYOUT_UART + i * LAYOUT_UART_STRIDE, 8,
						LAYOUT_SPI_UART + i};
	m.nr_virtio_mmio = 2;
	for (unsigned int i = 0; i < 2; i++)
		m.virtio_mmio[i] = (struct fdt_device){LAYOUT_VIRTIO_MMIO + i * VIRTIO_MMIO_SIZE,
						       VIRTIO_MMIO_SIZE, LAYOUT_SPI_VIRTIO + i};
	return m;
}

static void build(enum gic_kind gic, unsigned int nr_cpus)
{
	struct fdt_machine m = machine(gic, nr_cpus);

	assert_int_equal(fdt_build(&m, fdt, sizeof(fdt)), 0);
	assert_int_equal(fdt_check_full(fdt, sizeof(fdt)), 0);
}

static const fdt32_t *cells(const char *path, const char *name, int nr)
{
	int len, node = fdt_path_offset(fdt, path);
	const void *p;

	assert_true(node >= 0);
	p = fdt_getprop(fdt, node, name, &len);
	assert_non_null(p);
	assert_int_equal(len, 4 * nr);
	return p;
}

static uint32_t cell(const char *path, const char *name, int nr, int i)
{
	return fdt32_to_cpu(cells(path, name, nr)[i]);
}

static uint64_t cell64(const char *path, const char *name, int nr, int i)
{
	return (uint64_t)cell(path, name, nr, i) << 32 | cell(path, name, nr, i + 1);
}

static void test_memory_and_chosen(void **state)
{
	(void)state;
	build(GIC_V3_ITS, 1);
	assert_int_equal(cell64("/memory@80000000", "reg", 4, 0), LAYOUT_RAM);
	assert_int_equal(cell64("/memory@80000000", "reg", 4, 2), GIB);
	assert_int_equal(cell64("/chosen", "linux,initrd-start", 2, 0), LAYOUT_RAM + 64 * MIB);
	assert_int_equal(cell64("/chosen", "linux,initrd-end", 2, 0),
			 LAYOUT_RAM + 64 * MIB + 12345);
	assert_int_equal(cell64("/chosen", "kaslr-seed", 2, 0), 0x1122334455667788);
	assert_int_equal(cell("/chosen", "rng-seed", 8, 0), 0);
	assert_true(fdt_node_offset_by_compatible(fdt, -1, "simple-framebuffer") < 0);
	/* stdout-path is an alias that leads to the first UART. */
	assert_int_equal(fdt_path_offset(fdt, "serial0"), fdt_path_offset(fdt, "/serial@1000000"));
}

/*
 * EDK2 2022.11 means to look for a ':' in stdout-path, and looks in the 58 (that is ':') bytes from
 * there for one that equals the string's size. There must be none.
 */
static void test_stdout_for_edk2(void **state)
{
	static const uint64_t ram[] = {LAYOUT_RAM, 4 * GIB, 200 * GIB, 0xfe00000000};
	struct fdt_machine m = machine(GIC_V3_ITS, 2);
	const char *path;
	int len;

	(void)state;
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(ram); i++) {
		m.ram = ram[i / 2];
		m.initrd_size = i % 2 ? 12345 : 0;
		assert_int_equal(fdt_build(&m, fdt, sizeof(fdt)), 0);
		path = fdt_getprop(fdt, fdt_path_offset(fdt, "/chosen"), "stdout-path", &len);
		assert_non_null(path);
		assert_null(memchr(path, len, ':'));
	}
}

static void test_no_initrd(void **state)
{
	struct fdt_machine m = machine(GIC_V3, 1);

	(void)state;
	m.initrd_size = 0;
	assert_int_equal(fdt_build(&m, fdt, sizeof(fdt)), 0);
	assert_null(fdt_getprop(fdt, fdt_path_offset(fdt, "/chosen"), "linux,initrd-start", NULL));
}

/* A screen in a BAR, which Linux may move, as all others. */
static void test_screen(void **state)
{
	static const char node[] = "/chosen/framebuffer@51000000";
	struct fdt_machine m = machine(GIC_V3, 1);

	(void)state;
	m.screen = 0x51000000;
	m.screen_mode = (struct vesa_mode){1024, 768, 32, 4096};
	assert_int_equal(fdt_build(&m, fdt, sizeof(fdt)), 0);
	assert_null(
		fdt_getprop(fdt, fdt_path_offset(fdt, "/chosen"), "linux,pci-probe-only", NULL));
	assert_int_equal(
		fdt_node_check_compatible(fdt, fdt_path_offset(fdt, node), "simple-framebuffer"),
		0);
	assert_int_equal(cell64(node, "reg", 4, 0), 0x51000000);
	assert_int_equal(cell64(node, "reg", 4, 2), 4096 * 768);
	assert_int_equal(cell(node, "width", 1, 0), 1024);
	assert_int_equal(cell(node, "height", 1, 0), 768);
	assert_int_equal(cell(node, "stride", 1, 0), 4096);
	assert_string_equal(fdt_getprop(fdt, fdt_path_offset(fdt, node), "format", NULL),
			    "x8r8g8b8");
	m.screen_mode = (struct vesa_mode){640, 480, 16, 1280};
	assert_int_equal(fdt_build(&m, fdt, sizeof(fdt)), 0);
	assert_string_equal(fdt_getprop(fdt, fdt_path_offset(fdt, node), "format", NULL), "r5g6b5");
}

static void test_interrupts(void **state)
{
	(void)state;
	build(GIC_V2M, 4);
	/* SPI, number, level high. */
	assert_int_equal(cell("/serial@1001000", "interrupts", 3, 0), 0);
	assert_int_equal(cell("/serial@1001000", "interrupts", 3, 1), LAYOUT_SPI_UART + 1);
	assert_int_equal(cell("/serial@1001000", "interrupts", 3, 2), 4);
	assert_int_equal(cell("/rtc@1010000", "interrupts", 3, 1), LAYOUT_SPI_RTC);
	/* A GICv2's PPIs name their four CPUs; a GICv3's do not. */
	assert_int_equal(cell("/timer", "interrupts", 12, 2), 0xf08);
	build(GIC_V3, 4);
	assert_int_equal(cell("/timer", "interrupts", 12, 2), 8);
}

/* The swizzle of the tree must be that of pci.c: INTA# of slot n is line n % 4. */
static void test_intx(void **state)
{
	(void)state;
	build(GIC_V3_ITS, 1);
	for (unsigned int slot = 1; slot < 32; slot++) {
		int entry = ((slot - 1) * 4) * 10;

		assert_int_equal(cell("/pcie@40000000", "interrupt-map", 1240, entry), slot << 11);
		assert_int_equal(cell("/pcie@40000000", "interrupt-map", 1240, entry + 3), 1);
		assert_int_equal(cell("/pcie@40000000", "interrupt-map", 1240, entry + 8),
				 LAYOUT_SPI_INTX + slot % 4);
	}
}

/* EDK2 keeps its variables in the flash of this label (ArmVirtPkg, NorFlashKvmtoolLib). */
static void test_flash(void **state)
{
	int len;

	(void)state;
	build(GIC_V3, 1);
	assert_int_equal(cell64("/flash@2000000", "reg", 4, 2), 0x200000);
	assert_string_equal(fdt_getprop(fdt, fdt_path_offset(fdt, "/flash@2000000"), "label", &len),
			    "System-firmware");
}

static void test_msi(void **state)
{
	int pci;

	(void)state;
	build(GIC_V3_ITS, 2);
	pci = fdt_node_offset_by_phandle(fdt, cell("/pcie@40000000", "msi-map", 4, 1));
	assert_int_equal(fdt_node_check_compatible(fdt, pci, "arm,gic-v3-its"), 0);
	build(GIC_V2M, 2);
	pci = fdt_node_offset_by_phandle(fdt, cell("/pcie@40000000", "msi-map", 4, 1));
	assert_int_equal(fdt_node_check_compatible(fdt, pci, "arm,gic-v2m-frame"), 0);
	build(GIC_V2, 2);
	assert_null(fdt_getprop(fdt, fdt_path_offset(fdt, "/pcie@40000000"), "msi-map", NULL));
}

static void test_redistributors(void **state)
{
	(void)state;
	build(GIC_V3, 123);
	assert_int_equal(cell64("/interrupt-controller@3fff0000", "reg", 8, 4),
			 LAYOUT_GIC_DIST - 123 * LAYOUT_GICV3_REDIST_SIZE);
	assert_int_equal(cell64("/interrupt-controller@3fff0000", "reg", 8, 6),
			 123 * LAYOUT_GICV3_REDIST_SIZE);
}

static void test_windows(void **state)
{
	(void)state;
	build(GIC_V3, 1);
	/* I/O, MEM32, MEM64: 7 cells each. */
	assert_int_equal(cell("/pcie@40000000", "ranges", 21, 7), 0x02000000);
	assert_int_equal(cell64("/pcie@40000000", "ranges", 21, 10), LAYOUT_PCI_MEM32);
	assert_int_equal(cell("/pcie@40000000", "ranges", 21, 14), 0x43000000);
	assert_int_equal(cell64("/pcie@40000000", "ranges", 21, 17), 4 * GIB);
	assert_int_equal(cell64("/pcie@40000000", "ranges", 21, 19), 64 * GIB);
}

/* A guest hypervisor has HVC for itself, hears of its own guests' interrupts, and has a timer more. */
static void test_nested(void **state)
{
	static const char gic[] = "/interrupt-controller@3fff0000";
	struct fdt_machine m = machine(GIC_V3, 1);

	(void)state;
	assert_int_equal(fdt_build(&m, fdt, sizeof(fdt)), 0);
	assert_string_equal(fdt_getprop(fdt, fdt_path_offset(fdt, "/psci"), "method", NULL), "hvc");
	assert_null(fdt_getprop(fdt, fdt_path_offset(fdt, gic), "interrupts", NULL));
	cell("/timer", "interrupts", 12, 0);
	m.nested = true;
	assert_int_equal(fdt_build(&m, fdt, sizeof(fdt)), 0);
	assert_string_equal(fdt_getprop(fdt, fdt_path_offset(fdt, "/psci"), "method", NULL), "smc");
	assert_int_equal(cell(gic, "interrupts", 3, 0), 1); /* a PPI */
	assert_int_equal(cell(gic, "interrupts", 3, 1), LAYOUT_PPI_MAINTENANCE);
	assert_int_equal(cell("/timer", "interrupts", 15, 10), LAYOUT_PPI_HYP_TIMER);
	assert_int_equal(cell("/timer", "interrupts", 15, 13), LAYOUT_PPI_HYP_VIRT);
}

static void test_many_cpus(void **state)
{
	(void)state;
	build(GIC_V3_ITS, 512);
	assert_int_equal(cell("/cpus/cpu@1f0f", "reg", 1, 0), 0x1f0f);
}

static void test_too_small(void **state)
{
	struct fdt_machine m = machine(GIC_V3, 1);

	(void)state;
	for (size_t size = 0; size < 2048; size += 8)
		assert_int_equal(fdt_build(&m, fdt, size), -ENOSPC);
}

/* dtc knows the rules of the Devicetree Specification; it may not have a word to say. */
static void test_dtc(void **state)
{
	static const enum gic_kind kinds[] = {GIC_V2, GIC_V2M, GIC_V3, GIC_V3_ITS};

	(void)state;
	if (system("command -v dtc >/dev/null") != 0)
		skip();
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(kinds); i++) {
		struct fdt_machine m = machine(kinds[i / 2], 4);
		char said[4096];
		FILE *dtc, *out;
		size_t len;

		m.pmu = m.nested = i % 2;
		m.screen = LAYOUT_PCI_MEM32;
		m.screen_mode = (struct vesa_mode){1920 * (i % 2), 1080, 24, 5760};
		assert_int_equal(fdt_build(&m, fdt, sizeof(fdt)), 0);
		out = fopen("test-arm-fdt.dtb", "w");
		assert_non_null(out);
		assert_int_equal(fwrite(fdt, 1, fdt_totalsize(fdt), out), fdt_totalsize(fdt));
		fclose(out);
		dtc = popen("dtc -I dtb -O dts -o /dev/null test-arm-fdt.dtb 2>&1", "r");
		assert_non_null(dtc);
		len = fread(said, 1, sizeof(said) - 1, dtc);
		said[len] = 0;
		unlink("test-arm-fdt.dtb");
		assert_int_equal(pclose(dtc), 0);
		assert_string_equal(said, "");
	}
}

/* --- layout --- */

static void check_apart(const struct layout_range *ranges, size_t nr)
{
	for (size_t i = 0; i + 1 < nr; i++)
		if (ranges[i].base + ranges[i].size > ranges[i + 1].base)
			fail_msg("%s reaches into %s", ranges[i].name, ranges[i + 1].name);
}

static void test_layout(void **state)
{
	(void)state;
	check_apart(layout_ranges, layout_nr_ranges);
	check_apart(layout_spis, layout_nr_spis);
	assert_true(layout_spis[layout_nr_spis - 1].base + layout_spis[layout_nr_spis - 1].size <=
		    LAYOUT_NR_SPIS);
	/* KVM counts interrupts in 32s. */
	assert_int_equal((LAYOUT_SPI_BASE + LAYOUT_NR_SPIS) % 32, 0);
	/* The GICv2's parts do not overlap each other. */
	assert_true(LAYOUT_GICV2M + LAYOUT_GICV2M_SIZE <= LAYOUT_GICV2_CPU);
	assert_true(LAYOUT_GICV2_CPU + LAYOUT_GICV2_CPU_SIZE <= LAYOUT_GIC_DIST);
}

/* kvmtool's addresses, which kvm-unit-tests and EDK2 have built in. */
static void test_kvmtool_addresses(void **state)
{
	(void)state;
	assert_int_equal(LAYOUT_UART, 0x1000000);
	assert_int_equal(LAYOUT_RTC, 0x1010000);
	assert_int_equal(LAYOUT_FLASH, 0x2000000);
	assert_int_equal(LAYOUT_GIC_DIST, 0x3fff0000);
	assert_int_equal(LAYOUT_ECAM, 0x40000000);
	assert_int_equal(LAYOUT_RAM, 0x80000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_and_chosen),
		cmocka_unit_test(test_stdout_for_edk2),
		cmocka_unit_test(test_no_initrd),
		cmocka_unit_test(test_screen),
		cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_intx),
		cmocka_unit_test(test_flash),
		cmocka_unit_test(test_msi),
		cmocka_unit_test(test_redistributors),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_many_cpus),
		cmocka_unit_test(test_too_small),
		cmocka_unit_test(test_dtc),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_kvmtool_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
