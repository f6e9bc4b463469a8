// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Echoes what the serial port receives, by its interrupt, and sleeps in between. "tick=N" says
 * "tick" and a number every N milliseconds instead of sleeping. A Ctrl-d powers off.
 */
#include "lib.h"

#define IRQ_COM1    4
#define VECTOR	    0x44
#define IER	    (PORT_COM1 + 1)
#define MCR	    (PORT_COM1 + 4)
#define LSR	    (PORT_COM1 + 5)
#define LSR_DATA    1
#define MCR_OUT2    8 /* lets the interrupt out, on a PC */
#define END_OF_TEXT 4

static void handler(void)
{
	while (inb(LSR) & LSR_DATA) {
		char c = inb(PORT_COM1);

		if (c == END_OF_TEXT)
			power_off();
		put_char(c);
	}
}

void test(void)
{
	uint64_t tick = option("tick", 0);

	lapic_enable();
	irq_handler[VECTOR] = handler;
	ioapic_route(IRQ_COM1, VECTOR);
	outb(PORT_COM1 + 2, 1); /* FIFO on */
	outb(MCR, MCR_OUT2);
	outb(IER, 1);
	print("ready\n");
	handler(); /* an edge that came before the route */
	for (uint64_t i = 1; tick; i++) {
		delay_us(tick * 1000);
		print("tick %lu\n", i);
	}
	for (;;)
		asm volatile("sti; hlt; cli");
}
