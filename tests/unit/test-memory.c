// SPDX-License-Identifier: GPL-2.0-or-later
/* links: memory.c util/log.c util/util.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm/memory.h"
#include "kvm/util.h"

static int fake_errno;
static unsigned int nr_ioctls;

int ioctl(int fd, unsigned long request, ...)
{
	(void)fd, (void)request;
	nr_ioctls++;
	errno = fake_errno;
	return fake_errno ? -1 : 0;
}

/* The gate: nothing but what lies in one bank, whole, whatever the numbers. */
static void test_gate(void **state)
{
	static const struct {
		uint64_t gpa, len;
		bool ok;
	} cases[] = {
		{0, 0, true},
		{0, 1, true},
		{0, 0x10000, true},
		{0, 0x10001, false},
		{0xffff, 1, true},
		{0xffff, 2, false},
		{0x10000, 0, false},
		{0x10000, 1, false},
		{1, UINT64_MAX, false},
		{UINT64_MAX, 1, false},
		{UINT64_MAX, UINT64_MAX, false},
		{UINT64_C(1) << 32, 0x8000, true},
		{(UINT64_C(1) << 32) - 1, 2, false},
		{(UINT64_C(1) << 32) + 0x7fff, 1, true},
		{(UINT64_C(1) << 32) + 0x7fff, 2, false},
		{(UINT64_C(1) << 32) + 1, UINT64_MAX - (UINT64_C(1) << 32), false},
	};
	struct memory mem;

	(void)state;
	fake_errno = 0;
	assert_int_equal(memory_init(&mem, 3), 0);
	assert_int_equal(memory_add_ram(&mem, 0, 0x10000, NULL), 0);
	assert_int_equal(memory_add_ram(&mem, UINT64_C(1) << 32, 0x8000, NULL), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(guest_ptr(&mem, cases[i].gpa, cases[i].len) != NULL, cases[i].ok);
	memset(guest_ptr(&mem, 0, 0x10000), 1, 0x10000);
	assert_ptr_equal((char *)guest_ptr(&mem, 0x123, 1) - 0x123, mem.bank[0].hva);
	memory_fini(&mem);
}

static void test_slots_are_reused(void **state)
{
	struct memory mem;
	int slot;

	(void)state;
	fake_errno = 0;
	assert_int_equal(memory_init(&mem, 3), 0);
	for (unsigned int i = 0; i < 10000; i++) {
		slot = memory_map_slot(&mem, 0x1000, 0x1000, &mem, 0);
		assert_int_equal(slot, 0);
		memory_unmap_slot(&mem, slot);
	}
	fake_errno = EEXIST;
	assert_int_equal(memory_map_slot(&mem, 0, 0x1000, &mem, 0), -EEXIST);
	fake_errno = 0;
	for (unsigned int i = 0; i < mem.nr_slots; i++)
		assert_int_equal(memory_map_slot(&mem, i * 0x1000, 0x1000, &mem, 0), i);
	assert_int_equal(memory_map_slot(&mem, 0, 0x1000, &mem, 0), -ENOSPC);
	memory_fini(&mem);
}

/* With the VM about to go, slots go without a word to KVM. */
static void test_retire(void **state)
{
	struct memory mem;
	int slot;

	(void)state;
	fake_errno = 0;
	assert_int_equal(memory_init(&mem, 3), 0);
	slot = memory_map_slot(&mem, 0, 0x1000, &mem, 0);
	nr_ioctls = 0;
	memory_unmap_slot(&mem, slot);
	assert_int_equal(nr_ioctls, 1);
	slot = memory_map_slot(&mem, 0, 0x1000, &mem, 0);
	memory_retire(&mem);
	nr_ioctls = 0;
	memory_unmap_slot(&mem, slot);
	assert_int_equal(nr_ioctls, 0);
	memory_fini(&mem);
}

static void test_errors(void **state)
{
	struct memory mem;

	(void)state;
	fake_errno = 0;
	assert_int_equal(memory_init(&mem, 3), 0);
	assert_int_equal(memory_add_ram(&mem, 0, 0x1000, "/nonexistent"), -ENOENT);
	fake_errno = EINVAL;
	assert_int_equal(memory_add_ram(&mem, 0, 0x1000, NULL), -EINVAL);
	assert_int_equal(mem.nr_banks, 0);
	memory_fini(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gate),
		cmocka_unit_test(test_slots_are_reused),
		cmocka_unit_test(test_retire),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
