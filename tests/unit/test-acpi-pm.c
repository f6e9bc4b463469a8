// SPDX-License-Identifier: GPL-2.0-or-later
/* links: hw/acpi-pm.c bus.c util/util.c util/log.c */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "fake-irq.h"
#include "kvm/acpi-pm.h"
#include "kvm/log.h"
#include "kvm/util.h"

#define BASE   0x600
#define SCI    9
#define PWRBTN 0x100

static struct bus bus;
static struct acpi_pm *pm;
static unsigned int offs, resets, panics;

static void on_soft_off(void *arg)
{
	(void)arg;
	offs++;
}

static void on_reset(void *arg)
{
	(void)arg;
	resets++;
}

static void on_panic(void *arg)
{
	(void)arg;
	panics++;
}

static const struct acpi_pm_events events = {on_soft_off, on_reset, on_panic};

static int setup(void **state)
{
	(void)state;
	offs = resets = panics = 0;
	memset(fake_irq, 0, sizeof(fake_irq));
	bus_init(&bus, "port");
	pm = acpi_pm_create(&bus, BASE, NULL, SCI, &events, NULL);
	return pm ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	acpi_pm_destroy(pm);
	bus_fini(&bus);
	return 0;
}

static uint32_t in(unsigned int off, unsigned int len)
{
	uint64_t val;

	assert_true(bus_read(&bus, NULL, BASE + off, len, &val));
	return (uint32_t)val;
}

static void out(unsigned int off, unsigned int len, uint32_t val)
{
	assert_true(bus_write(&bus, NULL, BASE + off, len, val));
}

static void test_power_button(void **state)
{
	(void)state;
	assert_int_equal(acpi_pm_power_button(pm), -EAGAIN);
	assert_int_equal(in(ACPI_PM_EVT, 2), 0);
	out(ACPI_PM_EVT + 2, 2, PWRBTN | 0x20);
	assert_int_equal(in(ACPI_PM_EVT + 2, 2), PWRBTN | 0x20);
	assert_false(fake_irq[SCI].level);
	assert_int_equal(acpi_pm_power_button(pm), 0);
	assert_true(fake_irq[SCI].level);
	assert_int_equal(in(ACPI_PM_EVT, 2), PWRBTN);
	assert_int_equal(in(ACPI_PM_EVT, 4), PWRBTN | (PWRBTN | 0x20) << 16);
	out(ACPI_PM_EVT, 2, 0x20); /* clears others */
	assert_true(fake_irq[SCI].level);
	out(ACPI_PM_EVT + 2, 2, 0);
	assert_false(fake_irq[SCI].level);
	out(ACPI_PM_EVT + 3, 1, PWRBTN >> 8);
	assert_true(fake_irq[SCI].level);
	out(ACPI_PM_EVT, 2, PWRBTN);
	assert_false(fake_irq[SCI].level);
	assert_int_equal(in(ACPI_PM_EVT, 2), 0);
}

static void test_control(void **state)
{
	(void)state;
	assert_int_equal(in(ACPI_PM_CNT, 2), 1); /* ACPI mode from the start */
	out(ACPI_PM_CNT, 2, 0);
	assert_int_equal(in(ACPI_PM_CNT, 2), 1);
	out(ACPI_PM_CNT, 2, 5 << 10 | 1);
	assert_int_equal(in(ACPI_PM_CNT, 2), 5 << 10 | 1);
	assert_int_equal(offs, 0);
	out(ACPI_PM_CNT, 2, 1 << 13 | 1 << 10); /* S1 is not there */
	assert_int_equal(offs, 0);
	out(ACPI_PM_CNT, 2, 1 << 13 | 5 << 10 | 1);
	assert_int_equal(offs, 1);
	assert_int_equal(in(ACPI_PM_CNT, 2) & 1 << 13, 0); /* write-only */
	out(ACPI_PM_CNT + 1, 1, 0x34);
	assert_int_equal(offs, 2);
}

static void test_timer(void **state)
{
	uint64_t start = now_ns(), end;
	uint32_t first = in(ACPI_PM_TMR, 4), ticks, expected;

	(void)state;
	nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	ticks = in(ACPI_PM_TMR, 4) - first;
	end = now_ns();
	expected = (uint32_t)((end - start) * 3579545 / 1000000000);
	assert_in_range(ticks, 178000, expected + 1);
}

static void test_reset_and_panic(void **state)
{
	(void)state;
	out(ACPI_PM_RESET, 1, 0);
	assert_int_equal(resets, 0);
	out(ACPI_PM_RESET, 1, ACPI_PM_RESET_VALUE);
	assert_int_equal(resets, 1);
	assert_int_equal(in(ACPI_PM_PANIC, 1), 3);
	log_set_level(LOG_LEVEL_ERROR);
	out(ACPI_PM_PANIC, 1, 2);
	assert_int_equal(panics, 0);
	out(ACPI_PM_PANIC, 1, 1);
	assert_int_equal(panics, 1);
}

static void test_random(void **state)
{
	uint64_t val;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		unsigned int off = (unsigned int)rand() % ACPI_PM_SIZE, len = 1u << (rand() & 3);

		bus_write(&bus, NULL, BASE + off, len, (uint64_t)rand());
		bus_read(&bus, NULL, BASE + off, len, &val);
		acpi_pm_power_button(pm);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_power_button),    TEST(test_control), TEST(test_timer),
		TEST(test_reset_and_panic), TEST(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
