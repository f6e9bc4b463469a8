// SPDX-License-Identifier: GPL-2.0-or-later
/* links: hw/serial.c bus.c util/util.c util/log.c */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/serial_reg.h>

#include "fake-irq.h"
#include "kvm/chardev.h"
#include "kvm/serial.h"
#include "kvm/util.h"

#define BASE 0x3f8
#define IRQ  4

/* A chardev that takes `room` bytes and remembers them. */
struct chardev {
	const struct chardev_front *front;
	void *front_arg;
	char out[4096];
	size_t out_len, room;
	unsigned int accepts;
};

static struct chardev chr;
static struct bus bus;
static struct serial *serial;

void chardev_set_front(struct chardev *c, const struct chardev_front *front, void *arg)
{
	c->front = front;
	c->front_arg = arg;
}

size_t chardev_write(struct chardev *c, const void *buf, size_t len)
{
	len = MIN(len, c->room);
	memcpy(c->out + c->out_len, buf, len);
	c->out_len += len;
	c->room -= len;
	return len;
}

void chardev_accept_input(struct chardev *c)
{
	c->accepts++;
}

static uint8_t in(unsigned int reg)
{
	uint64_t val;

	assert_true(bus_read(&bus, NULL, BASE + reg, 1, &val));
	return (uint8_t)val;
}

static void out(unsigned int reg, uint8_t val)
{
	assert_true(bus_write(&bus, NULL, BASE + reg, 1, val));
}

static size_t type(const char *s, size_t len)
{
	return chr.front->input(chr.front_arg, (const uint8_t *)s, len);
}

static bool line(void)
{
	return fake_irq[IRQ].level;
}

static int setup(void **state)
{
	(void)state;
	memset(&chr, 0, sizeof(chr));
	memset(fake_irq, 0, sizeof(fake_irq));
	chr.room = sizeof(chr.out);
	bus_init(&bus, "port");
	serial = serial_create("serial0", &bus, BASE, NULL, IRQ, &chr);
	return serial ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	serial_destroy(serial);
	assert_null(chr.front);
	bus_fini(&bus);
	return 0;
}

/* The steps by which Linux's 8250 driver takes a port for a 16550A (drivers/tty/serial/8250). */
static void test_autoconfig(void **state)
{
	uint8_t efr;

	(void)state;
	out(UART_IER, 0);
	assert_int_equal(in(UART_IER), 0);
	out(UART_IER, 0x0f);
	assert_int_equal(in(UART_IER), 0x0f);
	out(UART_IER, 0);

	out(UART_MCR, UART_MCR_LOOP | 0x0a);
	assert_int_equal(in(UART_MSR)&0xf0, UART_MSR_DCD | UART_MSR_CTS);
	out(UART_MCR, 0);
	assert_int_equal(in(UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);

	out(UART_FCR, 0);
	assert_int_equal(in(UART_IIR) >> 6, 0);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	assert_int_equal(in(UART_IIR) >> 6, 3);

	/* Not a 16650: no extended features register appears behind LCR 0xbf. */
	out(UART_LCR, UART_LCR_CONF_MODE_A);
	efr = in(UART_EFR);
	assert_int_not_equal(efr, 0);
	out(UART_LCR, UART_LCR_CONF_MODE_B);
	assert_int_not_equal(in(UART_EFR), 0);
	/* Not a 16750: bit 5 of IIR does not follow the 64-byte FIFO's enable bit. */
	out(UART_LCR, UART_LCR_CONF_MODE_A);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
	assert_int_equal(in(UART_IIR) >> 5, 6);
	out(UART_LCR, 0);
	/* Not an XScale: its unit enable bit in IER does not stick. */
	out(UART_IER, UART_IER_UUE);
	assert_int_equal(in(UART_IER)&UART_IER_UUE, 0);

	out(UART_SCR, 0x5a);
	assert_int_equal(in(UART_SCR), 0x5a);
	out(UART_SCR, 0xa5);
	assert_int_equal(in(UART_SCR), 0xa5);

	out(UART_LCR, UART_LCR_DLAB | 3);
	out(UART_DLL, 1);
	out(UART_DLM, 2);
	assert_int_equal(in(UART_DLL), 1);
	assert_int_equal(in(UART_DLM), 2);
	out(UART_LCR, 3);
	assert_int_equal(in(UART_LCR), 3);
	assert_int_equal(in(UART_IER), 0);
	assert_int_equal(chr.out_len, 0);
	assert_false(line());
}

static void test_output(void **state)
{
	(void)state;
	assert_int_equal(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	for (const char *p = "hello"; *p; p++)
		out(UART_TX, (uint8_t)*p);
	assert_memory_equal(chr.out, "hello", 5);
	assert_int_equal(chr.out_len, 5);
}

/* Linux's startup test for UARTs whose THRE interrupt comes only once, and the handler's cycle. */
static void test_thre_interrupt(void **state)
{
	(void)state;
	assert_int_equal(in(UART_IIR), UART_IIR_NO_INT);
	for (int i = 0; i < 2; i++) {
		out(UART_IER, UART_IER_THRI);
		assert_true(line());
		assert_int_equal(in(UART_IIR), UART_IIR_THRI);
		assert_false(line());
		assert_int_equal(in(UART_IIR), UART_IIR_NO_INT);
		out(UART_IER, 0);
	}
	out(UART_IER, UART_IER_THRI);
	assert_int_equal(in(UART_IIR), UART_IIR_THRI);
	out(UART_TX, 'x');
	assert_true(line());
	assert_int_equal(in(UART_IIR), UART_IIR_THRI);
	/* Disabled while pending, and enabled again. */
	out(UART_TX, 'x');
	out(UART_IER, 0);
	assert_false(line());
	out(UART_IER, UART_IER_THRI);
	assert_true(line());
}

static void test_stalled_output(void **state)
{
	(void)state;
	chr.room = 2;
	out(UART_IER, UART_IER_THRI);
	in(UART_IIR);
	for (int i = 0; i < 30; i++)
		out(UART_TX, (uint8_t)('a' + i));
	assert_int_equal(chr.out_len, 2);
	assert_int_equal(in(UART_LSR) & (UART_LSR_THRE | UART_LSR_TEMT), 0);
	in(UART_IIR);
	assert_false(line());
	chr.room = 10;
	chr.front->room(chr.front_arg);
	assert_int_equal(in(UART_LSR)&UART_LSR_THRE, 0);
	assert_false(line());
	chr.room = 100;
	chr.front->room(chr.front_arg);
	assert_int_equal(in(UART_LSR)&UART_LSR_THRE, UART_LSR_THRE);
	assert_true(line());
	assert_int_equal(chr.out_len, 18); /* two sent, sixteen in the FIFO */
	assert_memory_equal(chr.out, "abcdefghijklmnopqr", 18);
}

static void test_input(void **state)
{
	char text[40] = "0123456789abcdefghijklmnopqrstuvwxyz";

	(void)state;
	/* Nobody listens: it waits, through the driver's resets of the FIFO. */
	assert_int_equal(type(text, 36), 0);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
	in(UART_LSR);
	in(UART_RX);
	assert_int_equal(chr.accepts, 0);
	out(UART_IER, UART_IER_RDI | UART_IER_RLSI);
	assert_int_equal(chr.accepts, 1);
	assert_false(line());

	assert_int_equal(type(text, 36), 16);
	assert_true(line());
	assert_int_equal(type(text, 36), 0);
	assert_int_equal(in(UART_IIR), 0xc0 | UART_IIR_RDI);
	for (int i = 0; i < 16; i++) {
		assert_int_equal(in(UART_LSR) & (UART_LSR_DR | UART_LSR_OE), UART_LSR_DR);
		assert_true(line());
		assert_int_equal(in(UART_RX), text[i]);
	}
	assert_false(line());
	assert_int_equal(in(UART_LSR)&UART_LSR_DR, 0);
	assert_int_equal(chr.accepts, 2);
	assert_int_equal(type(text + 16, 20), 16);
	assert_true(line());
	assert_int_equal(fake_irq[IRQ].edges, 2);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	assert_false(line());
}

/* Firmware and boot loaders never enable the interrupt. */
static void test_polling(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) { /* a console that only prints */
		in(UART_LSR);
		out(UART_TX, 'x');
	}
	assert_int_equal(type("a", 1), 0);
	for (int i = 0; i < 20; i++)
		in(UART_LSR);
	assert_int_equal(chr.accepts, 1);
	assert_int_equal(type("a", 1), 1);
	assert_int_equal(in(UART_LSR)&UART_LSR_DR, UART_LSR_DR);
	assert_int_equal(in(UART_RX), 'a');
	assert_false(line());
}

static void test_sysrq(void **state)
{
	(void)state;
	out(UART_IER, UART_IER_RDI | UART_IER_RLSI);
	assert_int_equal(type("0123456789abcdefgh", 18), 16);
	serial_sysrq(serial, 'h'); /* fits in although the FIFO is full */
	serial_sysrq(serial, 'i'); /* does not */
	for (int i = 0; i < 16; i++)
		in(UART_RX);
	assert_int_equal(in(UART_IIR), UART_IIR_RLSI);
	assert_int_equal(in(UART_LSR) & (UART_LSR_DR | UART_LSR_BI), UART_LSR_DR | UART_LSR_BI);
	assert_int_equal(in(UART_LSR)&UART_LSR_BI, 0);
	assert_int_equal(in(UART_RX), 0);
	assert_int_equal(in(UART_LSR) & (UART_LSR_DR | UART_LSR_BI), UART_LSR_DR);
	assert_int_equal(in(UART_RX), 'h');
	assert_int_equal(in(UART_LSR)&UART_LSR_DR, 0);
	assert_false(line());
}

static void test_loopback(void **state)
{
	(void)state;
	out(UART_MCR, UART_MCR_LOOP);
	out(UART_IER, UART_IER_RDI);
	for (int i = 0; i < 20; i++)
		out(UART_TX, (uint8_t)('a' + i));
	assert_int_equal(chr.out_len, 0);
	assert_int_equal(type("x", 1), 0); /* the receiver is cut off */
	assert_true(line());
	for (int i = 0; i < 16; i++)
		assert_int_equal(in(UART_RX), 'a' + i);
	assert_int_equal(in(UART_LSR)&UART_LSR_DR, 0);
	chr.accepts = 0;
	out(UART_MCR, 0);
	assert_int_equal(chr.accepts, 1);
	assert_int_equal(type("x", 1), 1);
}

/* Nothing is connected, and every register with every width and value does no harm. */
static void test_unconnected_and_odd(void **state)
{
	struct serial *none = serial_create("serial1", &bus, 0x2f8, NULL, 3, NULL);
	uint64_t val;

	(void)state;
	assert_non_null(none);
	assert_null(serial_create("serial2", &bus, 0x2f8, NULL, 3, NULL));
	for (unsigned int i = 0; i < 200000; i++) {
		unsigned int len = 1u << (rand() & 3), off = (unsigned int)rand() & 7;

		bus_write(&bus, NULL, 0x2f8 + off, len, (uint64_t)rand());
		bus_read(&bus, NULL, 0x2f8 + off, len, &val);
		chr.room = rand() & 1;
		chr.out_len = 0;
		bus_write(&bus, NULL, BASE + off, len, (uint64_t)rand());
		bus_read(&bus, NULL, BASE + off, len, &val);
		serial_sysrq(serial, 'x');
		type("abc", 3);
		chr.front->room(chr.front_arg);
	}
	serial_destroy(none);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_autoconfig),	   TEST(test_output),	TEST(test_thre_interrupt),
		TEST(test_stalled_output), TEST(test_input),	TEST(test_polling),
		TEST(test_sysrq),	   TEST(test_loopback), TEST(test_unconnected_and_odd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
