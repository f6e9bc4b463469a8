// SPDX-License-Identifier: GPL-2.0-or-later
/* links: hw/i8042.c bus.c util/util.c util/log.c */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/input-event-codes.h>

#include "fake-irq.h"
#include "kvm/i8042.h"
#include "kvm/util.h"

#define OBF	0x01
#define AUX_OBF 0x20
#define KBD	1 /* IRQs */
#define AUX	12

static struct bus bus;
static struct i8042 *kbc;
static unsigned int resets;

static void request_reset(void *arg)
{
	assert_ptr_equal(arg, &bus);
	resets++;
}

static int setup(void **state)
{
	(void)state;
	resets = 0;
	memset(fake_irq, 0, sizeof(fake_irq));
	bus_init(&bus, "port");
	kbc = i8042_create(&bus, NULL, KBD, AUX, request_reset, &bus);
	return kbc ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	i8042_destroy(kbc);
	bus_fini(&bus);
	return 0;
}

static uint8_t in(unsigned int port)
{
	uint64_t val;

	assert_true(bus_read(&bus, NULL, port, 1, &val));
	return (uint8_t)val;
}

static void out(unsigned int port, uint8_t val)
{
	assert_true(bus_write(&bus, NULL, port, 1, val));
}

static void command(uint8_t cmd, uint8_t parameter)
{
	out(0x64, cmd);
	out(0x60, parameter);
}

/* The next byte, which must be there and be the keyboard's or the mouse's. */
static uint8_t next(bool aux)
{
	assert_int_equal(in(0x64) & (OBF | AUX_OBF), aux ? OBF | AUX_OBF : OBF);
	return in(0x60);
}

static void expect(bool aux, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(next(aux), bytes[i]);
	assert_int_equal(in(0x64) & OBF, 0);
	assert_false(fake_irq[aux ? AUX : KBD].level);
}

#define EXPECT(aux, ...) \
	expect(aux, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void kbd(uint8_t val)
{
	out(0x60, val);
}

static void mouse(uint8_t val)
{
	command(0xd4, val);
}

/* What Linux's i8042 driver does when it looks for a controller and a mouse port. */
static void test_linux_probe(void **state)
{
	uint8_t config;

	(void)state;
	assert_int_equal(in(0x64) & OBF, 0);
	out(0x64, 0x20);
	config = next(false);
	assert_int_equal(config & 0x47, 0x47);
	command(0x60, (config | 0x30) & ~3);
	out(0x64, 0x20);
	assert_int_equal(next(false), ((config | 0x30) & ~3));
	assert_int_equal(fake_irq[KBD].edges, 1); /* only while it was enabled */

	out(0x64, 0xaa);
	EXPECT(false, 0x55);
	out(0x64, 0xab);
	EXPECT(false, 0x00);
	out(0x64, 0xa9);
	EXPECT(false, 0x00);
	command(0xd3, 0x5a);
	EXPECT(true, 0x5a);
	out(0x64, 0xa7);
	out(0x64, 0x20);
	assert_true(next(false) & 0x20);
	out(0x64, 0xa8);
	out(0x64, 0x20);
	assert_false(next(false) & 0x20);

	/* No multiplexer: the loop gives back what was sent. */
	command(0xd3, 0xf0);
	EXPECT(true, 0xf0);
	command(0xd3, 0xa4);
	EXPECT(true, 0xa4);

	/* The mouse's interrupt arrives. */
	command(0x60, (config & ~0x20) | 2);
	assert_int_equal(fake_irq[AUX].edges, 0);
	command(0xd3, 0xa5);
	assert_true(fake_irq[AUX].level);
	assert_int_equal(fake_irq[AUX].edges, 1);
	EXPECT(true, 0xa5);
	command(0xd2, 0x77);
	EXPECT(false, 0x77);
}

static void test_keyboard_commands(void **state)
{
	(void)state;
	kbd(0xff);
	EXPECT(false, 0xfa, 0xaa);
	command(0x60, 0x07); /* untranslated */
	kbd(0xf2);
	EXPECT(false, 0xfa, 0xab, 0x83);
	command(0x60, 0x47);
	kbd(0xf2);
	EXPECT(false, 0xfa, 0xab, 0x41);
	kbd(0xed);
	EXPECT(false, 0xfa);
	kbd(0x07);
	EXPECT(false, 0xfa);
	kbd(0xf3);
	EXPECT(false, 0xfa);
	kbd(0x00);
	EXPECT(false, 0xfa);
	kbd(0xee);
	EXPECT(false, 0xee);
	command(0x60, 0x07);
	kbd(0xf0);
	EXPECT(false, 0xfa);
	kbd(0x00);
	EXPECT(false, 0xfa, 0x02);
	kbd(0xf0);
	EXPECT(false, 0xfa);
	kbd(0x02);
	EXPECT(false, 0xfa);
	kbd(0xf0);
	EXPECT(false, 0xfa);
	kbd(0x03);
	EXPECT(false, 0xfe);
	kbd(0xf4);
	EXPECT(false, 0xfa);
	kbd(0x55); /* no command */
	EXPECT(false, 0xfe);
}

static void key(unsigned int code)
{
	i8042_key(kbc, code, true);
	i8042_key(kbc, code, false);
}

static void test_keys(void **state)
{
	unsigned int edges;

	(void)state;
	key(KEY_A);
	EXPECT(false, 0x1e, 0x9e);
	key(KEY_RIGHT);
	EXPECT(false, 0xe0, 0x4d, 0xe0, 0xcd);
	key(KEY_F7);
	EXPECT(false, 0x41, 0xc1);
	key(KEY_PAUSE);
	EXPECT(false, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
	/* All keys of the main block translate to their own numbers. */
	for (uint8_t code = 1; code <= 83; code++) {
		i8042_key(kbc, code, true);
		EXPECT(false, code);
	}
	command(0x60, 0x07);
	key(KEY_A);
	EXPECT(false, 0x1c, 0xf0, 0x1c);
	key(KEY_F7);
	EXPECT(false, 0x83, 0xf0, 0x83);
	key(KEY_DELETE);
	EXPECT(false, 0xe0, 0x71, 0xe0, 0xf0, 0x71);
	key(KEY_SYSRQ);
	EXPECT(false, 0xe0, 0x7c, 0xe0, 0xf0, 0x7c);
	key(KEY_CAMERA); /* no such key */
	assert_int_equal(in(0x64) & OBF, 0);

	/* Each byte brings an edge. */
	edges = fake_irq[KBD].edges;
	key(KEY_A);
	EXPECT(false, 0x1c, 0xf0, 0x1c);
	assert_int_equal(fake_irq[KBD].edges, edges + 3);

	/* Nothing comes while scanning or the port is off. */
	kbd(0xf5);
	EXPECT(false, 0xfa);
	key(KEY_A);
	assert_int_equal(in(0x64) & OBF, 0);
	kbd(0xf4);
	EXPECT(false, 0xfa);
	out(0x64, 0xad);
	key(KEY_A);
	assert_int_equal(in(0x64) & OBF, 0);
	out(0x64, 0xae);
	EXPECT(false, 0x1c, 0xf0, 0x1c);
}

static void test_mouse_commands(void **state)
{
	(void)state;
	mouse(0xff);
	EXPECT(true, 0xfa, 0xaa, 0x00);
	mouse(0xf2);
	EXPECT(true, 0xfa, 0x00);
	mouse(0xe8);
	EXPECT(true, 0xfa);
	mouse(0x03);
	EXPECT(true, 0xfa);
	mouse(0xe7);
	EXPECT(true, 0xfa);
	mouse(0xe9);
	EXPECT(true, 0xfa, 0x10, 0x03, 100);
	for (unsigned int i = 0; i < 3; i++) {
		mouse(0xf3);
		EXPECT(true, 0xfa);
		mouse((const uint8_t[]){200, 100, 80}[i]);
		EXPECT(true, 0xfa);
	}
	mouse(0xf2);
	EXPECT(true, 0xfa, 0x03);
	mouse(0xee); /* wrap */
	EXPECT(true, 0xfa);
	mouse(0x12);
	EXPECT(true, 0x12);
	mouse(0xec);
	EXPECT(true, 0xfa);
	mouse(0x12);
	EXPECT(true, 0xfe);
	mouse(0xff);
	EXPECT(true, 0xfa, 0xaa, 0x00);
	mouse(0xf2);
	EXPECT(true, 0xfa, 0x00);
}

static void test_mouse_moves(void **state)
{
	static const uint8_t knock[] = {0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf4};

	(void)state;
	i8042_mouse(kbc, 5, 5, 0, 0); /* not enabled yet */
	assert_int_equal(in(0x64) & OBF, 0);
	mouse(0xf4);
	EXPECT(true, 0xfa);
	i8042_mouse(kbc, 5, 3, 0, 1); /* right, down */
	assert_true(fake_irq[AUX].level);
	EXPECT(true, 0x08 | 0x20 | 0x01, 5, 0xfd);
	i8042_mouse(kbc, -1, -2, 0, 0);
	EXPECT(true, 0x08 | 0x10, 0xff, 2);
	i8042_mouse(kbc, 0, 0, 0, 0); /* nothing new */
	assert_int_equal(in(0x64) & OBF, 0);

	/* A long way comes in several reports. */
	i8042_mouse(kbc, 300, 0, 0, 0);
	EXPECT(true, 0x08, 255, 0, 0x08, 45, 0);
	/* Short ways that nobody has read yet come in one. */
	for (int i = 0; i < 10; i++)
		i8042_mouse(kbc, 1, 0, 0, 0);
	EXPECT(true, 0x08, 1, 0, 0x08, 9, 0);

	for (size_t i = 0; i < sizeof(knock); i++) {
		mouse(knock[i]);
		EXPECT(true, 0xfa);
	}
	i8042_mouse(kbc, 0, 0, 1, 4);
	EXPECT(true, 0x0c, 0, 0, 0xff);
	i8042_mouse(kbc, 0, 0, -1, 2);
	EXPECT(true, 0x0a, 0, 0, 0x01);

	/* Remote mode: only when asked. */
	mouse(0xf0);
	EXPECT(true, 0xfa);
	i8042_mouse(kbc, 7, 0, 0, 0);
	assert_int_equal(in(0x64) & OBF, 0);
	mouse(0xeb);
	EXPECT(true, 0xfa, 0x08, 7, 0, 0);
}

static void test_reset(void **state)
{
	(void)state;
	out(0x64, 0xff);
	out(0x64, 0xf1);
	command(0xd1, 0xdf);
	assert_int_equal(resets, 0);
	out(0x64, 0xd0);
	EXPECT(false, 0xdf);
	out(0x64, 0xfe);
	assert_int_equal(resets, 1);
	command(0xd1, 0xde);
	assert_int_equal(resets, 2);
}

/* Any guest, and anybody at the display: no harm. */
static void test_random(void **state)
{
	uint64_t val;

	(void)state;
	for (unsigned int i = 0; i < 300000; i++) {
		unsigned int port = rand() & 1 ? 0x60 : 0x64;

		switch (rand() & 3) {
		case 0:
			bus_write(&bus, NULL, port, 1, (uint64_t)rand());
			break;
		case 1:
			bus_read(&bus, NULL, port, 1, &val);
			break;
		case 2:
			i8042_key(kbc, (unsigned int)rand() % 256, rand() & 1);
			break;
		case 3:
			i8042_mouse(kbc, rand() * (rand() & 1 ? 1 : -1), rand() % 9 - 4,
				    rand() % 3 - 1, (unsigned int)rand());
			break;
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_linux_probe),	   TEST(test_keyboard_commands), TEST(test_keys),
		TEST(test_mouse_commands), TEST(test_mouse_moves),	 TEST(test_reset),
		TEST(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
