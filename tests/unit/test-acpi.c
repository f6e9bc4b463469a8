// SPDX-License-Identifier: GPL-2.0-or-later
/* links: x86/acpi.c x86/dsdt.c x86/aml.c util/util.c util/log.c */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../x86/acpi.h"
#include "../../x86/aml.h"
#include "../../x86/layout.h"
#include "kvm/util.h"

static const struct virtio_mmio_place places[] = {
	{LAYOUT_VIRTIO_MMIO, 6},
	{LAYOUT_VIRTIO_MMIO + VIRTIO_MMIO_SIZE, 14},
	{LAYOUT_VIRTIO_MMIO + 2 * VIRTIO_MMIO_SIZE, 6},
};

static struct acpi_config config(unsigned int nr_cpus)
{
	return (struct acpi_config){
		.nr_cpus = nr_cpus,
		.io = {.base = LAYOUT_PCI_IO, .size = LAYOUT_PCI_IO_SIZE},
		.mem32 = {.base = LAYOUT_PCI_MEM32, .size = LAYOUT_PCI_MEM32_SIZE},
		.mem64 = {.base = LAYOUT_4G, .size = LAYOUT_PCI_MEM64_SIZE},
		.intx_gsi = {16, 17, 18, 19},
		.intx_pic = LAYOUT_INTX_PIC,
		.nr_virtio_mmio = ARRAY_SIZE(places),
		.virtio_mmio = places,
	};
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t total = 0;

	while (len--)
		total += *p++;
	return total;
}

/* The table at an address that another one names, its checksum verified. */
static const uint8_t *table_at(const uint8_t *buf, uint64_t gpa, const char *signature)
{
	const uint8_t *table = buf + (gpa - LAYOUT_ACPI);

	assert_true(gpa >= LAYOUT_ACPI && gpa + 36 <= LAYOUT_ACPI + LAYOUT_ACPI_SIZE);
	assert_memory_equal(table, signature, 4);
	assert_true(range_contains(LAYOUT_ACPI, LAYOUT_ACPI_SIZE, gpa, le_load(table + 4, 4)));
	assert_int_equal(sum(table, le_load(table + 4, 4)), 0);
	return table;
}

static void check_tables(unsigned int nr_cpus)
{
	struct acpi_config cfg = config(nr_cpus);
	uint8_t *buf = calloc(1, LAYOUT_ACPI_SIZE);
	const uint8_t *rsdp, *xsdt, *fadt, *madt;
	unsigned int cpus = 0, off = 44;
	uint64_t gpa;

	gpa = acpi_build(&cfg, buf, LAYOUT_ACPI_SIZE, LAYOUT_ACPI);
	assert_true(gpa >= 0xe0000 && gpa < 0x100000 && gpa % 16 == 0);
	rsdp = buf + (gpa - LAYOUT_ACPI);
	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);

	xsdt = table_at(buf, le_load(rsdp + 24, 8), "XSDT");
	assert_int_equal(le_load(xsdt + 4, 4), 36 + 3 * 8);
	fadt = table_at(buf, le_load(xsdt + 36, 8), "FACP");
	madt = table_at(buf, le_load(xsdt + 44, 8), "APIC");
	table_at(buf, le_load(xsdt + 52, 8), "MCFG");
	table_at(buf, le_load(fadt + 140, 8), "DSDT");
	assert_memory_equal(buf + (le_load(fadt + 36, 4) - LAYOUT_ACPI), "FACS", 4);
	assert_int_equal(le_load(fadt + 36, 4) % 64, 0);

	while (off < le_load(madt + 4, 4)) {
		unsigned int len = madt[off + 1];

		assert_true(len >= 2);
		if (madt[off] == 0)
			assert_int_equal(madt[off + 3], cpus++);
		else if (madt[off] == 9)
			assert_int_equal(le_load(madt + off + 4, 4), cpus++);
		off += len;
	}
	assert_int_equal(off, le_load(madt + 4, 4));
	assert_int_equal(cpus, nr_cpus);
	free(buf);
}

static void test_tables(void **state)
{
	(void)state;
	check_tables(1);
	check_tables(255);
	check_tables(256);
	check_tables(4096);
}

/* Any size that is too small is noticed, and nothing is written behind it. */
static void test_no_room(void **state)
{
	struct acpi_config cfg = config(4);
	uint8_t *buf = malloc(LAYOUT_ACPI_SIZE);
	size_t need = 0;

	(void)state;
	for (size_t size = 0; size < LAYOUT_ACPI_SIZE; size += 7) {
		uint64_t gpa;

		buf[size] = 0xa5;
		gpa = acpi_build(&cfg, buf, size, LAYOUT_ACPI);
		assert_int_equal(buf[size], 0xa5);
		if (gpa && !need)
			need = size;
		assert_int_equal(gpa != 0, need != 0);
	}
	assert_true(need > 1000);
	free(buf);
}

/* One device a place, with its registers and its interrupt: level, active high, shared. */
static void test_virtio_mmio(void **state)
{
	struct acpi_config cfg = config(1);
	uint8_t *buf = calloc(1, LAYOUT_ACPI_SIZE), *at = buf, *found;
	size_t len = dsdt_build(&cfg, buf, LAYOUT_ACPI_SIZE);
	unsigned int nr = 0;

	(void)state;
	for (; (found = memmem(at, len - (at - buf), "LNRO0005", 9)); at = found + 9) {
		uint8_t want[21] = {0x86, 9, 0, 1, [12] = 0x89, 6, 0, 9, 1};

		assert_true(nr < ARRAY_SIZE(places));
		le_store(want + 4, 4, places[nr].base);
		le_store(want + 8, 4, VIRTIO_MMIO_SIZE);
		le_store(want + 17, 4, places[nr].gsi);
		assert_non_null(memmem(found, 60, want, sizeof(want)));
		nr++;
	}
	assert_int_equal(nr, ARRAY_SIZE(places));
	cfg.nr_virtio_mmio = 0;
	len = dsdt_build(&cfg, buf, LAYOUT_ACPI_SIZE);
	assert_null(memmem(buf, len, "LNRO0005", 8));
	free(buf);
}

static void test_aml(void **state)
{
	uint8_t buf[8192];
	struct aml aml;
	aml_mark mark;

	(void)state;
	aml_init(&aml, buf, sizeof(buf));
	aml_eisa_id(&aml, "PNP0501");
	assert_memory_equal(buf, "\x0c\x41\xd0\x05\x01", 5);

	/* PkgLength of one, two and three bytes (ACPI 6.4 §20.2.4). */
	for (unsigned int bytes = 0; bytes < 5000; bytes++) {
		unsigned int extra, len;

		aml_init(&aml, buf, sizeof(buf));
		mark = aml_begin_package(&aml, 1);
		for (unsigned int i = 1; i < bytes; i++)
			aml_int(&aml, 0);
		aml_end(&aml, mark);
		assert_false(aml.overflow);
		extra = buf[1] >> 6;
		len = extra ? (buf[1] & 0xf) | buf[2] << 4 | (extra > 1 ? buf[3] << 12 : 0)
			    : buf[1];
		assert_int_equal(len, aml.len - 1);
		assert_int_equal(buf[2 + extra], 1);
	}

	aml_init(&aml, buf, 3);
	mark = aml_begin_scope(&aml, "\\_SB_");
	aml_end(&aml, mark);
	assert_true(aml.overflow);
}

/* The reference compiler reads our AML back, and its text compiles without an error. */
static void test_iasl(void **state)
{
	char dir[] = "/tmp/lkvm-test-XXXXXX", path[64], cmd[512];
	struct acpi_config cfg = config(4);
	uint8_t *buf = calloc(1, LAYOUT_ACPI_SIZE);
	const uint8_t *rsdp, *table;
	static const char *const names[] = {"facp", "apic", "mcfg", "dsdt"};
	uint64_t xsdt, gpa;

	(void)state;
	if (system("command -v iasl >/dev/null 2>&1") != 0) {
		print_message("no iasl here\n");
		free(buf);
		skip();
	}
	assert_non_null(mkdtemp(dir));
	rsdp = buf + (acpi_build(&cfg, buf, LAYOUT_ACPI_SIZE, LAYOUT_ACPI) - LAYOUT_ACPI);
	xsdt = le_load(rsdp + 24, 8) - LAYOUT_ACPI;
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		int fd;

		gpa = i < 3 ? le_load(buf + xsdt + 36 + 8 * i, 8)
			    : le_load(buf + (le_load(buf + xsdt + 36, 8) - LAYOUT_ACPI) + 140, 8);
		table = buf + (gpa - LAYOUT_ACPI);
		snprintf(path, sizeof(path), "%s/%s.aml", dir, names[i]);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		assert_int_equal(write_full(fd, table, le_load(table + 4, 4)), 0);
		close(fd);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(
			cmd, sizeof(cmd),
			"cd %s && iasl -d %s.aml >log 2>&1 && ! grep -iE 'error|warning|invalid' log"
			" && iasl -we %s.dsl >log 2>&1 && grep -q ' 0 Errors, 0 Warnings' log ||"
			" { cat log; exit 1; }",
			dir, names[i], names[i]);
		if (i < 3) /* a data table: its text has no code to compile */
			snprintf(
				cmd, sizeof(cmd),
				"cd %s && iasl -d %s.aml >log 2>&1 &&"
				" ! grep -iE 'error|warning|invalid' log %s.dsl || { cat log; exit 1; }",
				dir, names[i], names[i]);
		assert_int_equal(system(cmd), 0);
	}
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	assert_int_equal(system(cmd), 0);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_virtio_mmio),
		cmocka_unit_test(test_aml),
		cmocka_unit_test(test_iasl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
