// SPDX-License-Identifier: GPL-2.0-or-later
/* links: hw/serial.c ui/chardev.c ui/term.c bus.c util/loop.c util/util.c util/log.c */
/*
 * A UART on a pipe, as in `commands | lkvm run | log`: a guest thread that polls or waits for
 * interrupts echoes what it reads. Every byte has to come through, in order, whatever the pace.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/serial_reg.h>

#include "fake-irq.h"
#include "kvm/chardev.h"
#include "kvm/loop.h"
#include "kvm/serial.h"
#include "kvm/util.h"

#define BASE   0x3f8
#define LENGTH 12000

struct machine {
	struct bus bus;
	struct loop *loop;
	int in_fd, out_fd; /* our ends of the pipes */
	bool interrupts;
};

static uint8_t guest_in(struct machine *m, unsigned int reg)
{
	uint64_t val;

	bus_read(&m->bus, NULL, BASE + reg, 1, &val);
	return (uint8_t)val;
}

static void *guest_main(void *arg)
{
	struct machine *m = arg;

	if (m->interrupts)
		bus_write(&m->bus, NULL, BASE + UART_IER, 1, UART_IER_RDI);
	for (int i = 0; i < LENGTH; i++) {
		uint8_t val;

		while (!(guest_in(m, UART_LSR) & UART_LSR_DR))
			usleep(1);
		val = guest_in(m, UART_RX);
		while (!(guest_in(m, UART_LSR) & UART_LSR_THRE))
			usleep(10);
		bus_write(&m->bus, NULL, BASE + UART_TX, 1, val);
	}
	return NULL;
}

static uint8_t pattern(int i)
{
	return (uint8_t)(i * 13 + i / 255);
}

/* Types everything, then reads it back after a pause in which the pipe fills up. */
static void *outside_main(void *arg)
{
	struct machine *m = arg;
	uint8_t *buf = malloc(LENGTH);
	uintptr_t wrong = 0;

	for (int i = 0; i < LENGTH; i++)
		buf[i] = pattern(i);
	wrong |= (uintptr_t)write_full(m->in_fd, buf, LENGTH);
	close(m->in_fd);
	memset(buf, 0, LENGTH);
	usleep(20000);
	wrong |= (uintptr_t)read_full(m->out_fd, buf, LENGTH);
	for (int i = 0; i < LENGTH; i++)
		wrong |= buf[i] != pattern(i);
	free(buf);
	loop_quit(m->loop);
	return (void *)wrong;
}

static void check_echo(bool interrupts)
{
	struct machine m = {.interrupts = interrupts, .loop = loop_create()};
	int in[2], out[2], old[2] = {dup(0), dup(1)};
	pthread_t guest, outside;
	struct serial *serial;
	struct chardev *chr;
	void *wrong;

	pipe2(in, O_CLOEXEC);
	pipe2(out, O_CLOEXEC);
	fcntl(out[1], F_SETPIPE_SZ, 4096);
	dup2(in[0], 0);
	dup2(out[1], 1);
	close(in[0]);
	close(out[1]);
	m.in_fd = in[1];
	m.out_fd = out[0];
	bus_init(&m.bus, "port");
	chr = chardev_stdio_create(m.loop, NULL, NULL);
	serial = serial_create("serial0", &m.bus, BASE, NULL, 4, chr);
	assert_non_null(serial);

	pthread_create(&guest, NULL, guest_main, &m);
	pthread_create(&outside, NULL, outside_main, &m);
	loop_run(m.loop);
	pthread_join(guest, NULL);
	pthread_join(outside, &wrong);

	serial_destroy(serial);
	chardev_destroy(chr);
	bus_fini(&m.bus);
	loop_destroy(m.loop);
	close(out[0]);
	for (int i = 0; i < 2; i++) {
		dup2(old[i], i);
		close(old[i]);
	}
	assert_null(wrong);
}

static void test_echo_polling(void **state)
{
	(void)state;
	check_echo(false);
}

static void test_echo_interrupts(void **state)
{
	(void)state;
	check_echo(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo_polling),
		cmocka_unit_test(test_echo_interrupts),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
