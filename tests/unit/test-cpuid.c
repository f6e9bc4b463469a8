// SPDX-License-Identifier: GPL-2.0-or-later
/* links: x86/cpuid.c util/util.c util/log.c */
#include <asm/kvm_para.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../x86/cpuid.h"
#include "kvm/util.h"

#define SIG KVM_CPUID_FLAG_SIGNIFCANT_INDEX

/* A host with everything, made of both vendors' leaves, and its own topology in them. */
static const struct kvm_cpuid_entry2 host[] = {
	{.function = 0, .eax = 0x1f},
	{.function = 1,
	 .eax = 0x600,
	 .ebx = 0x37100800,
	 .ecx = 1u << 21,
	 .edx = 1u << 28 | 1u << 9},
	{.function = 4, .index = 0, .flags = SIG, .eax = 0xfc004121},
	{.function = 4, .index = 1, .flags = SIG, .eax = 0xfc07c163},
	{.function = 4, .index = 2, .flags = SIG, .eax = 0},
	{.function = 6, .eax = 4, .ecx = 8 | 1},
	{.function = 0xb, .index = 0, .flags = SIG, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 77},
	{.function = 0xb, .index = 1, .flags = SIG, .eax = 7, .ebx = 99, .ecx = 0x201, .edx = 77},
	{.function = 0x1f, .index = 0, .flags = SIG, .edx = 77},
	{.function = KVM_CPUID_FEATURES, .eax = 1u << KVM_FEATURE_CLOCKSOURCE2},
	{.function = 0x80000001, .ecx = 1u << 1 | 1u << 22},
	{.function = 0x80000008, .eax = 0x3030, .ecx = 0x703f},
	{.function = 0x8000001d, .index = 3, .flags = SIG, .eax = 0x1fc163},
	{.function = 0x8000001e, .eax = 77, .ebx = 0x177, .ecx = 3},
};

static struct kvm_cpuid2 *alloc(size_t nent)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + nent * sizeof(cpuid->entries[0]));

	assert_non_null(cpuid);
	cpuid->nent = nent;
	return cpuid;
}

static struct kvm_cpuid2 *host_cpuid(void)
{
	struct kvm_cpuid2 *cpuid = alloc(ARRAY_SIZE(host));

	memcpy(cpuid->entries, host, sizeof(host));
	return cpuid;
}

static struct kvm_cpuid2 *guest_cpuid(unsigned int id, unsigned int nr)
{
	struct kvm_cpuid2 *from = host_cpuid(), *to = alloc(from->nent + CPUID_EXTRA);

	cpuid_for_vcpu(to, from, id, nr, true);
	assert_true(to->nent <= from->nent + CPUID_EXTRA);
	free(from);
	return to;
}

static void test_topology(void **state)
{
	struct kvm_cpuid2 *c = guest_cpuid(5, 6);
	const struct kvm_cpuid_entry2 *e;

	(void)state;
	e = cpuid_find(c, 1, 0);
	assert_int_equal(e->ebx, 0x05080800); /* APIC id 5, 8 ids in the socket, CLFLUSH kept */
	assert_true(e->ecx & 1u << 31);
	assert_true(e->ecx & 1u << 24);
	assert_true(e->ecx & 1u << 21);
	assert_true(e->edx & 1u << 28);

	/* L1 is the core's own, L3 everybody's; 8 core ids. */
	e = cpuid_find(c, 4, 0);
	assert_int_equal(e->eax, 0x1c000121);
	e = cpuid_find(c, 4, 1);
	assert_int_equal(e->eax, 0x1c01c163);
	assert_int_equal(cpuid_find(c, 4, 2)->eax, 0);
	assert_int_equal(cpuid_find(c, 6, 0)->ecx, 1);

	for (uint32_t leaf = 0xb; leaf <= 0x1f; leaf += 0x14) {
		e = cpuid_find(c, leaf, 0);
		assert_int_equal(e->eax, 0);
		assert_int_equal(e->ebx, 1);
		assert_int_equal(e->ecx, 0x100);
		assert_int_equal(e->edx, 5);
		e = cpuid_find(c, leaf, 1);
		assert_int_equal(e->eax, 3);
		assert_int_equal(e->ebx, 6);
		assert_int_equal(e->ecx, 0x201);
		assert_int_equal(e->edx, 5);
		e = cpuid_find(c, leaf, 2);
		assert_int_equal(e->ebx, 0);
		assert_int_equal(e->ecx, 2);
	}
	assert_int_equal(cpuid_find(c, 0x80000008, 0)->ecx, 0x3005);
	assert_int_equal(cpuid_find(c, 0x8000001d, 3)->eax, 0x1c163);
	e = cpuid_find(c, 0x8000001e, 0);
	assert_int_equal(e->eax, 5);
	assert_int_equal(e->ebx, 5);
	assert_int_equal(e->ecx, 0);
	/* No trace of the host's own numbers. */
	for (uint32_t i = 0; i < c->nent; i++)
		assert_int_not_equal(c->entries[i].edx, 77);
	free(c);
}

static void test_one_cpu(void **state)
{
	struct kvm_cpuid2 *c = guest_cpuid(0, 1);

	(void)state;
	assert_int_equal(cpuid_find(c, 1, 0)->ebx, 0x00010800);
	assert_false(cpuid_find(c, 1, 0)->edx & 1u << 28);
	assert_false(cpuid_find(c, 0x80000001, 0)->ecx & 1u << 1);
	assert_int_equal(cpuid_find(c, 0x80000008, 0)->ecx, 0);
	assert_int_equal(cpuid_find(c, 0xb, 1)->eax, 0);
	assert_int_equal(cpuid_find(c, 0xb, 1)->ebx, 1);
	assert_int_equal(cpuid_find(c, 4, 0)->eax, 0x121);
	free(c);
}

static void test_many_cpus(void **state)
{
	struct kvm_cpuid2 *c = guest_cpuid(300, 1000);

	(void)state;
	assert_int_equal(cpuid_find(c, 1, 0)->ebx >> 16, (300 & 0xff) << 8 | 255);
	assert_int_equal(cpuid_find(c, 0xb, 0)->edx, 300);
	assert_int_equal(cpuid_find(c, 0xb, 1)->eax, 10);
	assert_int_equal(cpuid_find(c, 0xb, 1)->ebx, 1000);
	assert_int_equal(cpuid_find(c, 4, 0)->eax >> 26, 63);
	assert_true(cpuid_find(c, KVM_CPUID_FEATURES, 0)->eax & 1u << KVM_FEATURE_MSI_EXT_DEST_ID);
	free(c);
	c = guest_cpuid(0, 255);
	assert_false(cpuid_find(c, KVM_CPUID_FEATURES, 0)->eax & 1u << KVM_FEATURE_MSI_EXT_DEST_ID);
	free(c);
}

/* A plain host: leaves that it does not have do not appear. */
static void test_few_leaves(void **state)
{
	struct kvm_cpuid2 *from = alloc(2), *to = alloc(2 + CPUID_EXTRA);

	(void)state;
	from->entries[0] = (struct kvm_cpuid_entry2){.function = 0, .eax = 0x4};
	from->entries[1] = (struct kvm_cpuid_entry2){.function = 0x80000008, .eax = 0x3027};
	cpuid_for_vcpu(to, from, 0, 4, false);
	assert_int_equal(to->nent, 2);
	assert_int_equal(cpuid_find(to, 0x80000008, 0)->ecx, 0);
	assert_null(cpuid_find(to, 0xb, 0));
	assert_int_equal(cpuid_phys_bits(to), 39);
	assert_false(cpuid_can_do_without_pit(to, true));
	free(from);
	free(to);
}

static void test_facts(void **state)
{
	struct kvm_cpuid2 *c = host_cpuid();

	(void)state;
	assert_int_equal(cpuid_phys_bits(c), 48);
	c->entries[11].eax = 0x2e3034; /* 52 bits, but guest page tables reach 46 */
	assert_int_equal(cpuid_phys_bits(c), 46);
	assert_true(cpuid_can_do_without_pit(c, true));
	assert_false(cpuid_can_do_without_pit(c, false));
	c->entries[5].eax = 0;
	assert_false(cpuid_can_do_without_pit(c, true));
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_topology),  cmocka_unit_test(test_one_cpu),
		cmocka_unit_test(test_many_cpus), cmocka_unit_test(test_few_leaves),
		cmocka_unit_test(test_facts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
