// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * INTx: a level through the IOAPIC, its status bit, and Interrupt Disable (PCI 3.0 §6.2.2).
 *
 * What counts is interrupts for which the device gave a reason: KVM without hardware behind it
 * ends an interrupt when it delivers it, so that a level may come once more than it should.
 */
#include "virtio.h"

#define VECTOR	  0x60
#define PIN_INTX  16
#define ISR_QUEUE 1
#define FLAGS	  (IOAPIC_LEVEL | IOAPIC_LOW | VECTOR)

static struct virtio rng;
static volatile uint32_t nr_acked; /* interrupts with a reason */
static volatile uint32_t ignore;   /* so many are not acknowledged at the device */

static void handler(void)
{
	if (ignore)
		ignore--;
	else if (read8(virtio_reg(&rng, &rng.isr, 0)) == ISR_QUEUE)
		nr_acked++;
}

static bool request(void)
{
	static uint8_t bytes[32];

	return rng_read(&rng, bytes, sizeof(bytes)) == sizeof(bytes);
}

static bool status_bit(void)
{
	return pci_read16(rng.bdf, PCI_STATUS) & PCI_STATUS_INTX;
}

static bool is_acked(void *n)
{
	return nr_acked >= *(uint32_t *)n;
}

/* Waits for the nth, and for the odd one that follows it. */
static bool acked(uint32_t n)
{
	bool yes;

	interrupts_on();
	yes = wait_until(is_acked, &n, 1000000);
	interrupts_off();
	irq_wait(VECTOR, irq_count[VECTOR] + 1, 2000);
	return yes;
}

static bool quiet(void)
{
	return !irq_wait(VECTOR, irq_count[VECTOR] + 1, 30000);
}

static void test_level(void)
{
	ok(!status_bit(), "at first nothing is asserted");
	ok(request() && status_bit(), "a used buffer asserts");
	ok(acked(1), "and interrupts, and the ISR register says why");
	ok(!status_bit(), "reading that deasserts");
	ok(quiet() && nr_acked == 1, "so that it happens once");
	ignore = 3;
	ok(request() && acked(2) && !ignore, "a level that stays comes again and again");
	ok(quiet() && nr_acked == 2, "until the device is acknowledged");
}

static void test_disable(void)
{
	pci_command(rng.bdf, 0, PCI_COMMAND_INTX_OFF);
	ok(request() && quiet() && nr_acked == 2, "Interrupt Disable keeps it from the IOAPIC");
	ok(status_bit(), "but not from the status bit");
	pci_command(rng.bdf, PCI_COMMAND_INTX_OFF, 0);
	ok(acked(3) && !status_bit(), "and it comes when enabled");
}

static void test_ioapic_mask(unsigned int pin)
{
	ioapic_route(pin, FLAGS | IOAPIC_MASKED);
	ok(request() && quiet() && nr_acked == 3, "the IOAPIC masks it");
	ioapic_route(pin, FLAGS);
	ok(acked(4), "and has not forgotten it");
}

void test(void)
{
	unsigned int pin, n;

	if (!ok(virtio_find(&rng, VIRTIO_RNG, 0) && virtio_start(&rng, VIRTIO_NO_VECTOR),
		"a device is there"))
		return;
	pin = PIN_INTX + (rng.bdf >> 3) % 4;
	print("# slot %u, IOAPIC pin %u\n", rng.bdf >> 3, pin);
	ok(pci_read8(rng.bdf, PCI_INT_PIN) == 1, "it has INTA#");
	lapic_enable();
	irq_handler[VECTOR] = handler;
	ioapic_route(pin, FLAGS);
	test_level();
	test_disable();
	test_ioapic_mask(pin);
	for (n = 0; n < 200; n++)
		if (!request() || !acked(5 + n))
			break;
	ok(n == 200, "%u more, none of which was lost", n);
	request();
	virtio_reset(&rng);
	ok(!status_bit(), "a reset leaves nothing asserted");
}
