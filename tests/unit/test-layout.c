// SPDX-License-Identifier: GPL-2.0-or-later
/* links: x86/layout.c memory.c util/util.c util/log.c */
#include <asm/bootparam.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "x86-mem.h"

static void test_ranges(void **state)
{
	(void)state;
	for (size_t i = 0; i < layout_nr_ranges; i++) {
		const struct layout_range *a = &layout_ranges[i];

		assert_true(a->size > 0);
		assert_true(a->base + a->size <= (a->space == LAYOUT_PORTS ? 0x10000 : LAYOUT_4G));
		for (size_t j = 0; j < i; j++) {
			const struct layout_range *b = &layout_ranges[j];

			if (a->space == b->space &&
			    ranges_overlap(a->base, a->size, b->base, b->size))
				fail_msg("%s and %s overlap", a->name, b->name);
		}
	}
}

/* Sorted, without overlaps, and exactly the RAM there is, but for what lies below 1 MiB. */
static void check_e820(uint64_t ram)
{
	struct boot_e820_entry map[LAYOUT_E820_MAX];
	uint64_t usable = 0, last = 0;
	struct memory mem;
	unsigned int nr;

	mem_init(&mem, ram);
	nr = layout_e820(&mem, map);
	assert_true(nr <= LAYOUT_E820_MAX);
	for (unsigned int i = 0; i < nr; i++) {
		assert_true(map[i].addr >= last);
		last = map[i].addr + map[i].size;
		if (map[i].type != 1)
			continue;
		usable += map[i].size;
		assert_non_null(guest_ptr(&mem, map[i].addr, map[i].size));
	}
	assert_int_equal(usable, ram - (LAYOUT_HIGH_RAM - LAYOUT_LOW_RAM_END));
	mem_fini(&mem);
}

static void test_e820(void **state)
{
	(void)state;
	check_e820(2 * MIB);
	check_e820(512 * MIB);
	check_e820(3 * GIB);
	check_e820(3 * GIB + 4 * KIB);
	check_e820(100 * GIB);
}

static void test_split(void **state)
{
	(void)state;
	assert_int_equal(layout_low_ram(1 * GIB), 1 * GIB);
	assert_int_equal(layout_ram_end(1 * GIB), 1 * GIB);
	assert_int_equal(layout_low_ram(3 * GIB), 3 * GIB);
	assert_int_equal(layout_ram_end(3 * GIB), 3 * GIB);
	assert_int_equal(layout_low_ram(6 * GIB), 3 * GIB);
	assert_int_equal(layout_ram_end(6 * GIB), 7 * GIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_e820),
		cmocka_unit_test(test_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
