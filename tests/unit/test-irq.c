// SPDX-License-Identifier: GPL-2.0-or-later
/* links: irq.c util/log.c util/util.c */
/* Lines and MSIs against a fake KVM: ioctl() below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "fake-ioctl.h"
#include "kvm/irq.h"
#include "kvm/util.h"

static struct {
	unsigned int line_changes, level;
	unsigned int nr_routes, max_routes;
	struct kvm_irq_routing_entry route[IRQ_MAX_GSI + 32];
	unsigned int irqfds;
} kvm;

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	(void)fd;
	if (request == KVM_IRQ_LINE) {
		kvm.line_changes++;
		kvm.level = ((struct kvm_irq_level *)arg)->level;
	} else if (request == KVM_SET_GSI_ROUTING) {
		struct kvm_irq_routing *table = arg;

		if (table->nr > kvm.max_routes) {
			errno = EINVAL;
			return -1;
		}
		kvm.nr_routes = table->nr;
		memcpy(kvm.route, table->entries, table->nr * sizeof(kvm.route[0]));
	} else if (request == KVM_IRQFD) {
		kvm.irqfds += ((struct kvm_irqfd *)arg)->flags & KVM_IRQFD_FLAG_DEASSIGN ? -1 : 1;
	}
	return 0;
}

static const struct kvm_irq_routing_entry pins[] = {
	{.gsi = 0, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = {.irqchip = 2, .pin = 0}},
	{.gsi = 1, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = {.irqchip = 2, .pin = 1}},
};

static int setup(void **state)
{
	struct irq_chip *irq = malloc(sizeof(*irq));

	memset(&kvm, 0, sizeof(kvm));
	kvm.max_routes = ARRAY_SIZE(kvm.route);
	assert_int_equal(irq_init(irq, 3, pins, ARRAY_SIZE(pins), 24), 0);
	assert_int_equal(kvm.nr_routes, 2);
	*state = irq;
	return 0;
}

static int teardown(void **state)
{
	irq_fini(*state);
	free(*state);
	return 0;
}

static void test_shared_line(void **state)
{
	struct irq_line a, b;

	irq_line_init(&a, *state, 1);
	irq_line_init(&b, *state, 1);
	irq_line_raise(&a);
	irq_line_raise(&a);
	irq_line_raise(&b);
	assert_int_equal(kvm.line_changes, 1);
	irq_line_lower(&a);
	irq_line_lower(&a);
	assert_int_equal(kvm.level, 1); /* b still holds it up */
	irq_line_lower(&b);
	assert_int_equal(kvm.level, 0);
	assert_int_equal(kvm.line_changes, 2);
	irq_line_pulse(&a);
	assert_int_equal(kvm.line_changes, 4);
	assert_int_equal(kvm.level, 0);
}

/* A driver that programs its vectors again and again, as unbind and bind do, takes no more. */
static void test_msi_routes_do_not_leak(void **state)
{
	struct irq_chip *irq = *state;
	struct irq_msi msi[3];

	for (unsigned int i = 0; i < ARRAY_SIZE(msi); i++)
		irq_msi_init(&msi[i]);
	for (unsigned int round = 0; round < 10000; round++)
		for (unsigned int i = 0; i < ARRAY_SIZE(msi); i++)
			assert_int_equal(irq_msi_set(irq, &msi[i], 0xfee00000, round, 8), 0);
	assert_int_equal(kvm.nr_routes, 2 + 3);
	assert_int_equal(kvm.irqfds, 3);
	assert_int_equal(kvm.route[3].gsi, 25);
	assert_int_equal(kvm.route[3].u.msi.data, 9999);
	assert_int_equal(kvm.route[3].u.msi.devid, 8);
	irq_msi_fini(irq, &msi[0]);
	assert_int_equal(kvm.nr_routes, 2 + 2);
	assert_int_equal(irq_msi_set(irq, &msi[0], 0xfee00000, 1, 0), 0);
	assert_int_equal(msi[0].gsi, 24);
	for (unsigned int i = 0; i < ARRAY_SIZE(msi); i++)
		irq_msi_fini(irq, &msi[i]);
	assert_int_equal(kvm.nr_routes, 2);
	assert_int_equal(kvm.irqfds, 0);
}

static void test_msi_tie(void **state)
{
	struct irq_msi msi;

	irq_msi_init(&msi);
	assert_int_equal(irq_msi_set(*state, &msi, 0xfee00000, 1, 0), 0);
	assert_int_equal(irq_msi_tie(*state, &msi, 77), 0);
	assert_int_equal(kvm.irqfds, 2);
	assert_int_equal(kvm.nr_routes, 2 + 1);
	irq_msi_untie(*state, &msi, 77);
	assert_int_equal(kvm.irqfds, 1);
	irq_msi_fini(*state, &msi);
	assert_int_equal(kvm.irqfds, 0);
}

static void test_msi_failure_leaves_nothing(void **state)
{
	struct irq_msi msi;

	irq_msi_init(&msi);
	kvm.max_routes = 2;
	assert_int_equal(irq_msi_set(*state, &msi, 0xfee00000, 1, 0), -EINVAL);
	assert_int_equal(msi.fd, -1);
	assert_int_equal(msi.gsi, -1);
	irq_msi_raise(&msi); /* harmless */
	kvm.max_routes = 3;
	assert_int_equal(irq_msi_set(*state, &msi, 0xfee00000, 1, 0), 0);
	irq_msi_fini(*state, &msi);
}

/* APIC id 0x1234: bits 7:0 in 19:12, bits 14:8 in 11:5; KVM takes the latter in 46:40. */
static void test_ext_dest_id(void **state)
{
	struct irq_chip *irq = *state;
	struct irq_msi msi;

	irq_msi_init(&msi);
	irq->ext_dest_id = true;
	assert_int_equal(irq_msi_set(irq, &msi, 0xfee00000 | 0x34 << 12 | 0x12 << 5, 1, 0), 0);
	assert_int_equal(kvm.route[2].u.msi.address_hi, 0x1200);
	assert_int_equal(kvm.route[2].u.msi.address_lo, 0xfee34000);
	irq_msi_fini(irq, &msi);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_shared_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_msi_routes_do_not_leak, setup, teardown),
		cmocka_unit_test_setup_teardown(test_msi_failure_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_msi_tie, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ext_dest_id, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
