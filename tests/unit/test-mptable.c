// SPDX-License-Identifier: GPL-2.0-or-later
/* links: x86/mptable.c util/util.c util/log.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../x86/layout.h"
#include "../../x86/mptable.h"
#include "kvm/util.h"

static const unsigned int intx_gsi[4] = {16, 17, 18, 19};

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t total = 0;

	while (len--)
		total += *p++;
	return total;
}

/* Entry sizes by type (MP 1.4 §4.3). */
static void check(unsigned int nr_cpus, unsigned int want_cpus)
{
	static const unsigned int sizes[] = {20, 8, 8, 8, 8};
	uint8_t *buf = calloc(1, LAYOUT_MPTABLE_SIZE), *table;
	unsigned int count[5] = {0}, off = 44, pins[24] = {0};
	size_t len;

	len = mptable_build(nr_cpus, 0x600, 0x1, intx_gsi, buf, LAYOUT_MPTABLE_SIZE,
			    LAYOUT_MPTABLE);
	assert_true(len > 0);
	assert_memory_equal(buf, "_MP_", 4);
	assert_int_equal(sum(buf, 16), 0);
	table = buf + (le_load(buf + 4, 4) - LAYOUT_MPTABLE);
	assert_memory_equal(table, "PCMP", 4);
	assert_int_equal(sum(table, le_load(table + 4, 2)), 0);
	assert_int_equal(table - buf + le_load(table + 4, 2), len);

	for (unsigned int i = 0; i < le_load(table + 34, 2); i++) {
		const uint8_t *e = table + off;

		assert_true(e[0] < 5);
		if (e[0] == 0) {
			assert_int_equal(e[1], count[0]);
			assert_int_equal(e[3], count[0] ? 1 : 3);
		}
		if (e[0] == 3)
			pins[e[7]]++;
		if (e[0] == 3 && e[4] == 1) /* ISA: edges, but for the SCI and virtio-mmio */
			assert_int_equal(
				e[2], e[5] == LAYOUT_GSI_SCI || e[5] == 6 || e[5] >= 14 ? 0xd : 0);
		if (e[0] == 3 && e[4] == 0) /* PCI: slot and pin lead to the swizzled line */
			assert_int_equal(e[7], 16 + ((e[5] >> 2) + (e[5] & 3)) % 4);
		count[e[0]]++;
		off += sizes[e[0]];
	}
	assert_int_equal(off, le_load(table + 4, 2));
	assert_int_equal(count[0], want_cpus);
	assert_int_equal(count[1], 2);
	assert_int_equal(count[2], 1);
	assert_int_equal(count[3], 15 + 32 * 4);
	assert_int_equal(pins[LAYOUT_TIMER_PIN], 1);
	assert_int_equal(pins[0], 0);
	assert_int_equal(pins[4], 1);
	free(buf);
}

static void test_table(void **state)
{
	(void)state;
	check(1, 1);
	check(4, 4);
	check(255, 255);
	check(1000, 255);
}

static void test_no_room(void **state)
{
	uint8_t *buf = calloc(1, LAYOUT_MPTABLE_SIZE);
	size_t need;

	(void)state;
	need = mptable_build(4, 0, 0, intx_gsi, buf, LAYOUT_MPTABLE_SIZE, LAYOUT_MPTABLE);
	for (size_t size = 0; size < need; size++) {
		buf[size] = 0xa5;
		assert_int_equal(mptable_build(4, 0, 0, intx_gsi, buf, size, LAYOUT_MPTABLE), 0);
		assert_int_equal(buf[size], 0xa5);
	}
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
