// SPDX-License-Identifier: GPL-2.0-or-later
/* links: hw/pl061.c bus.c util/loop.c util/util.c util/log.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kvm/bus.h"
#include "kvm/irq.h"
#include "kvm/loop.h"
#include "kvm/pl061.h"

#define BASE  UINT64_C(0x1030000)
#define POWER 3
#define BIT   (1u << POWER)

static struct bus bus;
static struct loop *loop;
static struct irq_chip irq;
static struct pl061 *gpio;
static bool level;

/* irq.c's, which want KVM. */
void irq_line_init(struct irq_line *line, struct irq_chip *chip, unsigned int gsi)
{
	*line = (struct irq_line){.irq = chip, .gsi = gsi};
}

void irq_line_set(struct irq_line *line, bool up)
{
	assert_int_equal(line->gsi, 5);
	level = up;
}

void irq_line_lower(struct irq_line *line)
{
	irq_line_set(line, false);
}

static int setup(void **state)
{
	(void)state;
	bus_init(&bus, "mmio");
	loop = loop_create();
	gpio = pl061_create(loop, &bus, BASE, &irq, 5);
	assert_non_null(gpio);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pl061_destroy(gpio);
	assert_false(level);
	loop_destroy(loop);
	bus_fini(&bus);
	return 0;
}

static uint32_t rd(uint64_t off)
{
	uint64_t val;

	assert_true(bus_read(&bus, NULL, BASE + off, 4, &val));
	return val;
}

static void wr(uint64_t off, uint32_t val)
{
	assert_true(bus_write(&bus, NULL, BASE + off, 4, val));
}

static void quit(void *arg, uint32_t events)
{
	(void)events;
	loop_quit(arg);
}

/* Until the button is up again. */
static void wait_release(void)
{
	struct loop_source *timer = loop_add_timer(loop, quit, loop);

	loop_arm_timer(timer, UINT64_C(200000000));
	loop_run(loop);
	loop_remove(timer);
}

static void test_id(void **state)
{
	static const uint8_t id[] = {0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

	(void)state;
	for (unsigned int i = 0; i < sizeof(id); i++)
		assert_int_equal(rd(0xfe0 + 4 * i), id[i]);
}

static void test_nobody_listens(void **state)
{
	(void)state;
	assert_int_equal(pl061_press(gpio, POWER), -EAGAIN);
	assert_int_equal(rd(0x3fc), 0);
	wr(0x410, 0xff & ~BIT);
	assert_int_equal(pl061_press(gpio, POWER), -EAGAIN);
}

/* As Linux' gpio-keys has it: both edges. */
static void test_both_edges(void **state)
{
	(void)state;
	wr(0x408, BIT);
	wr(0x410, BIT);
	assert_int_equal(pl061_press(gpio, POWER), 0);
	assert_true(level);
	assert_int_equal(rd(0x418), BIT);
	assert_int_equal(rd(0x3fc), BIT);
	assert_int_equal(rd(BIT << 2), BIT);
	assert_int_equal(rd((0xff & ~BIT) << 2), 0);
	wr(0x41c, BIT);
	assert_false(level);
	wait_release();
	assert_true(level);
	assert_int_equal(rd(0x3fc), 0);
	wr(0x41c, 0xff);
	assert_false(level);
}

static void test_one_edge(void **state)
{
	(void)state;
	wr(0x40c, BIT); /* rising */
	wr(0x410, BIT);
	assert_int_equal(pl061_press(gpio, POWER), 0);
	assert_true(level);
	wr(0x41c, BIT);
	wait_release();
	assert_false(level);

	wr(0x40c, 0); /* falling */
	assert_int_equal(pl061_press(gpio, POWER), 0);
	assert_false(level);
	wait_release();
	assert_true(level);
}

static void test_level(void **state)
{
	(void)state;
	wr(0x404, BIT);
	wr(0x40c, BIT);
	wr(0x410, BIT);
	assert_false(level);
	assert_int_equal(pl061_press(gpio, POWER), 0);
	wr(0x41c, BIT); /* a level does not go away by that */
	assert_true(level);
	wait_release();
	assert_false(level);
}

static void test_output(void **state)
{
	(void)state;
	wr(0x400, 0x0f);
	wr(0x3fc, 0xff);
	assert_int_equal(rd(0x3fc), 0x0f);
	wr(0x05 << 2, 0);
	assert_int_equal(rd(0x3fc), 0x0a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_id, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_listens, setup, teardown),
		cmocka_unit_test_setup_teardown(test_both_edges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_edge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_level, setup, teardown),
		cmocka_unit_test_setup_teardown(test_output, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
