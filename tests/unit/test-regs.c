// SPDX-License-Identifier: GPL-2.0-or-later
/* links: x86/regs.c x86/layout.c memory.c util/util.c util/log.c */
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../x86/regs.h"
#include "x86-mem.h"

static void test_gdt(void **state)
{
	struct entry entry = {.mode = ENTRY_LONG};
	const uint64_t *gdt;
	struct memory mem;

	(void)state;
	mem_init(&mem, 2 * MIB);
	gdt = guest_ptr(&mem, LAYOUT_GDT, 0x20);
	regs_write_tables(&entry, &mem);
	assert_int_equal(gdt[0], 0);
	assert_int_equal(gdt[2], 0x00af9b000000ffff);
	assert_int_equal(gdt[3], 0x00cf93000000ffff);
	entry.mode = ENTRY_PROTECTED;
	regs_write_tables(&entry, &mem);
	assert_int_equal(gdt[2], 0x00cf9b000000ffff);
	mem_fini(&mem);
}

/* What the MMU would do with a linear address: 2 MiB pages only. */
static uint64_t translate(const struct memory *mem, uint64_t cr3, uint64_t linear)
{
	uint64_t table = cr3, pte;

	for (unsigned int shift = 39; shift >= 21; shift -= 9) {
		const uint64_t *p = guest_ptr(mem, table + (linear >> shift & 511) * 8, 8);

		assert_non_null(p);
		assert_true(*p & 1);
		pte = *p;
		table = pte & 0xffffffffff000;
	}
	assert_true(pte & 1 << 7);
	return table + (linear & 0x1fffff);
}

static void test_page_tables(void **state)
{
	static const uint64_t linear[] = {0, 0x2000, 0x1000200, 0xc0000000, 0xffffffff};
	struct entry entry = {.mode = ENTRY_LONG, .rip = 0x1000200, .rsi = LAYOUT_BOOT_PARAMS};
	struct kvm_sregs sregs = {0};
	struct kvm_regs regs = {0};
	struct memory mem;

	(void)state;
	mem_init(&mem, 2 * MIB);
	regs_write_tables(&entry, &mem);
	regs_set_entry(&entry, &regs, &sregs);
	for (unsigned int i = 0; i < ARRAY_SIZE(linear); i++)
		assert_int_equal(translate(&mem, sregs.cr3, linear[i]), linear[i]);
	assert_int_equal(sregs.cr0 & 0x80000001, 0x80000001);
	assert_int_equal(sregs.efer, 0x500);
	assert_true(sregs.cs.l && !sregs.cs.db);
	assert_int_equal(regs.rip, 0x1000200);
	assert_int_equal(regs.rsi, LAYOUT_BOOT_PARAMS);
	assert_int_equal(regs.rflags, 2);
	mem_fini(&mem);
}

static void test_other_modes(void **state)
{
	struct entry entry = {.mode = ENTRY_PROTECTED, .rip = 0x100000, .rbx = LAYOUT_START_INFO};
	struct kvm_sregs sregs = {.cs = {.base = 0xffff0000, .selector = 0xf000}};
	struct kvm_regs regs = {.rip = 0xfff0, .rdx = 0x600};

	(void)state;
	regs_set_entry(&entry, &regs, &sregs);
	assert_int_equal(sregs.cr0 & 0x80000001, 1);
	assert_true(!sregs.cs.l && sregs.cs.db);
	assert_int_equal(regs.rbx, LAYOUT_START_INFO);
	assert_int_equal(regs.rdx, 0);

	sregs = (struct kvm_sregs){.cs = {.base = 0xffff0000, .selector = 0xf000}};
	entry = (struct entry){.mode = ENTRY_REAL, .rip = LAYOUT_FLAT};
	regs_set_entry(&entry, &regs, &sregs);
	assert_int_equal(sregs.cs.selector, 0x1000);
	assert_int_equal(sregs.ss.base, 0x10000);
	assert_int_equal(regs.rip, 0);
	assert_int_equal(regs.rsp, 0x8000);

	/* Firmware starts as the CPU comes out of reset. */
	sregs = (struct kvm_sregs){.cs = {.base = 0xffff0000, .selector = 0xf000}};
	regs = (struct kvm_regs){.rip = 0xfff0, .rdx = 0x600};
	entry = (struct entry){.mode = ENTRY_RESET};
	regs_set_entry(&entry, &regs, &sregs);
	assert_int_equal(sregs.cs.base, 0xffff0000);
	assert_int_equal(regs.rip, 0xfff0);
	assert_int_equal(regs.rdx, 0x600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gdt),
		cmocka_unit_test(test_page_tables),
		cmocka_unit_test(test_other_modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
