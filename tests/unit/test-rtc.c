// SPDX-License-Identifier: GPL-2.0-or-later
/* links: hw/rtc.c bus.c util/loop.c util/util.c util/log.c */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake-irq.h"
#include "kvm/loop.h"
#include "kvm/rtc.h"
#include "kvm/util.h"

#define IRQ    8
#define SET    0x80
#define PIE    0x40
#define AIE    0x20
#define UIE    0x10
#define BINARY 0x04
#define H24    0x02
#define MS     1000000ULL

static struct bus bus;
static struct loop *loop;
static struct rtc *rtc;

static int setup(void **state)
{
	(void)state;
	memset(fake_irq, 0, sizeof(fake_irq));
	bus_init(&bus, "port");
	loop = loop_create();
	rtc = rtc_create(loop, &bus, 0x70, 1, NULL, IRQ);
	return rtc ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	rtc_destroy(rtc);
	loop_destroy(loop);
	bus_fini(&bus);
	return 0;
}

static uint8_t get(uint8_t index)
{
	uint64_t val;

	bus_write(&bus, NULL, 0x70, 1, index);
	bus_read(&bus, NULL, 0x71, 1, &val);
	return (uint8_t)val;
}

static void set(uint8_t index, uint8_t val)
{
	bus_write(&bus, NULL, 0x70, 1, index | 0x80); /* the NMI bit is none of the index */
	bus_write(&bus, NULL, 0x71, 1, val);
}

static int bcd(uint8_t val)
{
	assert_true((val & 0xf) < 10 && val >> 4 < 10);
	return (val >> 4) * 10 + (val & 0xf);
}

/* Seconds since 1970 as a driver would read them, with UIP avoided. */
static time_t read_clock(void)
{
	struct tm tm = {0};

	while (get(0x0a) & 0x80)
		usleep(100);
	tm.tm_sec = bcd(get(0));
	tm.tm_min = bcd(get(2));
	tm.tm_hour = bcd(get(4));
	tm.tm_mday = bcd(get(7));
	tm.tm_mon = bcd(get(8)) - 1;
	tm.tm_year = bcd(get(9)) + bcd(get(0x32)) * 100 - 1900;
	return timegm(&tm);
}

static void write_clock(int cc, int yy, int mon, int day, int h, int m, int s)
{
	set(0, (uint8_t)s);
	set(2, (uint8_t)m);
	set(4, (uint8_t)h);
	set(7, (uint8_t)day);
	set(8, (uint8_t)mon);
	set(9, (uint8_t)yy);
	set(0x32, (uint8_t)cc);
}

static void quit_loop(void *arg, uint32_t events)
{
	(void)events;
	loop_quit(arg);
}

static void run(unsigned int ms)
{
	struct loop_source *timer = loop_add_timer(loop, quit_loop, loop);

	loop_arm_timer(timer, ms * MS);
	loop_run(loop);
	loop_remove(timer);
}

/* Not time(): that is of the last tick, and may be a second behind what the device goes by. */
static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

static void test_time(void **state)
{
	time_t before = now(), clock = read_clock(), after = now();
	struct tm tm;

	(void)state;
	assert_in_range(clock, before, after);
	gmtime_r(&clock, &tm);
	assert_int_equal(get(6), tm.tm_wday + 1);
	assert_int_equal(get(0x0d), 0x80);
	assert_int_equal(get(0x0b), H24);
}

static void test_formats(void **state)
{
	(void)state;
	set(0x0b, SET | H24);
	write_clock(0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x30);
	set(0x0b, H24);
	assert_int_equal(get(4), 0x23);
	assert_int_equal(get(9), 0x99);
	assert_int_equal(get(0x32), 0x19);
	assert_int_equal(get(6), 6); /* a Friday */
	set(0x0b, 0);
	assert_int_equal(get(4), 0x91); /* 11 PM */
	set(0x0b, BINARY);
	assert_int_equal(get(4), 0x8b);
	assert_int_equal(get(9), 99);
	assert_int_equal(get(0x32), 19);
	set(4, 12); /* 12 AM: midnight */
	set(0x0b, BINARY | H24);
	assert_int_equal(get(4), 0);
	set(0x0b, BINARY);
	set(4, 0x8c); /* 12 PM: noon */
	assert_int_equal(get(4), 0x8c);
	set(0x0b, H24);
	assert_int_equal(get(4), 0x12);
	assert_int_equal(get(2), 0x59);
}

static void test_set_and_hold(void **state)
{
	struct tm tm = {.tm_year = 124, .tm_mon = 1, .tm_mday = 29, .tm_hour = 12};
	time_t want = timegm(&tm);
	uint64_t first, last, before, after;
	time_t now;

	(void)state;
	/* As Linux does: hold, stop the divider, write, release. */
	set(0x0b, SET | H24);
	set(0x0a, 0x76);
	write_clock(0x20, 0x24, 0x02, 0x29, 0x12, 0x00, 0x00);
	run(20);
	assert_int_equal(get(0), 0);
	set(0x0b, H24);
	assert_int_equal(get(0x0a), 0x76);
	first = now_ns();
	set(0x0a, 0x26);
	last = now_ns();
	/* The first second comes after half of one, however late we look. */
	do {
		before = now_ns() - last;
		now = read_clock();
		after = now_ns() - first;
		assert_in_range(now - want, (before + 500 * MS) / (1000 * MS),
				(after + 500 * MS) / (1000 * MS));
		run(5);
	} while (now == want);
	assert_int_equal(get(6), 5); /* a Thursday */
}

static void test_update_interrupt(void **state)
{
	(void)state;
	get(0x0c);
	set(0x0b, H24 | UIE);
	assert_false(fake_irq[IRQ].level);
	run(1100);
	assert_true(fake_irq[IRQ].level);
	assert_int_equal(fake_irq[IRQ].edges, 1);
	assert_int_equal(get(0x0c) & 0x90, 0x90);
	assert_false(fake_irq[IRQ].level);
	assert_int_equal(get(0x0c) & 0x80, 0);
	set(0x0b, H24 | UIE | SET); /* clears UIE */
	assert_int_equal(get(0x0b), H24 | SET);
}

static void test_alarm(void **state)
{
	time_t at = read_clock() + 2;
	struct tm tm;

	(void)state;
	gmtime_r(&at, &tm);
	set(1, (uint8_t)(tm.tm_sec / 10 << 4 | tm.tm_sec % 10));
	set(3, (uint8_t)(tm.tm_min / 10 << 4 | tm.tm_min % 10));
	set(5, 0xff); /* any hour */
	get(0x0c);
	set(0x0b, H24 | AIE);
	run(500);
	assert_false(fake_irq[IRQ].level);
	run(1700);
	assert_true(fake_irq[IRQ].level);
	assert_int_equal(get(0x0c) & 0xa0, 0xa0);
	set(1, 0x61); /* never */
	run(100);
	assert_int_equal(get(0x0c) & 0xa0, 0);
}

static void test_periodic(void **state)
{
	unsigned int ticks = 0;
	uint64_t start = now_ns();

	(void)state;
	set(0x0a, 0x2a); /* 64 Hz */
	get(0x0c);
	set(0x0b, H24 | PIE);
	for (int i = 0; i < 100; i++) {
		run(5);
		ticks += (get(0x0c) & 0xc0) == 0xc0;
	}
	assert_in_range(ticks, 15, (now_ns() - start) * 64 / (1000 * MS) + 2);
	set(0x0a, 0x20); /* off */
	get(0x0c);
	run(50);
	assert_int_equal(get(0x0c) & 0x40, 0);
}

/* Polled, with no interrupt enabled: flags come all the same. */
static void test_polled_flags(void **state)
{
	bool uip = false, seconds = false;
	uint8_t first;

	(void)state;
	get(0x0c);
	first = get(0);
	for (int i = 0; i < 30000 && !(seconds && uip); i++) {
		uip |= get(0x0a) >> 7;
		usleep(100);
		seconds |= get(0) != first;
	}
	assert_true(seconds);
	assert_true(uip);
	assert_int_equal(get(0x0c) & 0x90, 0x10);
	assert_int_equal(fake_irq[IRQ].edges, 0);
}

static void test_cmos(void **state)
{
	uint64_t val;

	(void)state;
	set(0x40, 0x5a);
	assert_int_equal(get(0x40), 0x5a);
	rtc_set_cmos(rtc, 0x34, 0xf0);
	assert_int_equal(get(0x34), 0xf0);
	set(0x0d, 0);
	assert_int_equal(get(0x0d), 0x80);
	bus_read(&bus, NULL, 0x70, 1, &val);
	assert_int_equal(val, 0xff);
}

static void test_random(void **state)
{
	(void)state;
	for (int i = 0; i < 100000; i++) {
		set((uint8_t)(rand() & 1 ? rand() % 14 : rand()), (uint8_t)rand());
		get((uint8_t)rand());
	}
	set(0x0b, SET | H24 | BINARY);
	write_clock(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
	set(0x0b, H24 | BINARY | AIE | PIE | UIE);
	get(0);
	write_clock(0, 0, 0, 0, 0, 0, 0);
	get(0x0c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_time),	 TEST(test_formats),
		TEST(test_set_and_hold), TEST(test_update_interrupt),
		TEST(test_alarm),	 TEST(test_periodic),
		TEST(test_polled_flags), TEST(test_cmos),
		TEST(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
