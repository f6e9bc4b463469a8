// SPDX-License-Identifier: GPL-2.0-or-later
/* Exceptions, LAPIC, IOAPIC and starting the other CPUs (SDM vol. 3A §6, §10, §8.4). */
#include "lib.h"

#define LAPIC_ID  0x020
#define LAPIC_SVR 0x0f0
#define LAPIC_EOI 0x0b0
#define LAPIC_ICR 0x300

#define SVR_ENABLE	   (1u << 8)
#define ICR_SELF	   0x00044000
#define ICR_INIT_OTHERS	   0x000c4500 /* all but self, assert */
#define ICR_STARTUP_OTHERS 0x000c4600

struct idt_gate {
	uint16_t offset_low, selector, flags, offset_mid;
	uint32_t offset_high, zero;
};

static struct idt_gate idt[256];

volatile uint32_t irq_count[256];
void (*irq_handler[256])(void);

extern const char interrupt_stubs[], ap_trampoline[], ap_trampoline_end[];
extern uint32_t ap_next;

void interrupt(uint64_t vector, uint64_t error, uint64_t rip);
void ap_main(unsigned int cpu);

void interrupt(uint64_t vector, uint64_t error, uint64_t rip)
{
	uint64_t cr2;

	if (vector >= 32) {
		atomic_add(&irq_count[vector], 1);
		if (irq_handler[vector])
			irq_handler[vector]();
		write32(LAPIC_BASE + LAPIC_EOI, 0);
		return;
	}
	asm volatile("mov %%cr2, %0" : "=r"(cr2));
	print("not ok: exception %lu, error 0x%lx, rip 0x%lx, cr2 0x%lx, CPU %u\n", vector, error,
	      rip, cr2, apic_id());
	power_off();
}

static void exceptions_load(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) reg = {sizeof(idt) - 1, (uint64_t)idt};

	asm volatile("lidt %0" : : "m"(reg));
}

void exceptions_init(void)
{
	for (unsigned int i = 0; i < 256; i++) {
		uint64_t stub = (uint64_t)interrupt_stubs + i * 16;

		idt[i] = (struct idt_gate){
			.offset_low = stub,
			.selector = 0x10,
			.flags = 0x8e00,
			.offset_mid = stub >> 16,
			.offset_high = stub >> 32,
		};
	}
	exceptions_load();
	outb(0x21, 0xff); /* the PIC's interrupts are nobody's */
	outb(0xa1, 0xff);
}

/* --- LAPIC and IOAPIC --- */

unsigned int apic_id(void)
{
	return read32(LAPIC_BASE + LAPIC_ID) >> 24;
}

void lapic_enable(void)
{
	write32(LAPIC_BASE + LAPIC_SVR, SVR_ENABLE | 0xff);
}

void lapic_self_ipi(uint8_t vector)
{
	write32(LAPIC_BASE + LAPIC_ICR, ICR_SELF | vector);
}

struct irq_wait {
	uint8_t vector;
	uint32_t count;
};

static bool irq_has_come(void *arg)
{
	struct irq_wait *wait = arg;

	return irq_count[wait->vector] >= wait->count;
}

bool irq_wait(uint8_t vector, uint32_t count, uint32_t us)
{
	struct irq_wait wait = {vector, count};
	bool come;

	interrupts_on();
	come = wait_until(irq_has_come, &wait, us);
	interrupts_off();
	return come;
}

static uint32_t ioapic_read(uint32_t reg)
{
	write32(IOAPIC_BASE, reg);
	return read32(IOAPIC_BASE + 0x10);
}

static void ioapic_write(uint32_t reg, uint32_t val)
{
	write32(IOAPIC_BASE, reg);
	write32(IOAPIC_BASE + 0x10, val);
}

uint32_t ioapic_entry(unsigned int pin)
{
	return ioapic_read(0x10 + 2 * pin);
}

void ioapic_route(unsigned int pin, uint32_t flags_and_vector)
{
	ioapic_write(0x11 + 2 * pin, apic_id() << 24);
	ioapic_write(0x10 + 2 * pin, flags_and_vector);
}

/* --- other CPUs --- */

static void (*ap_function)(unsigned int cpu);
static volatile uint32_t aps_running;

void ap_main(unsigned int cpu)
{
	exceptions_load();
	atomic_add(&aps_running, 1);
	ap_function(cpu);
	halt();
}

unsigned int smp_running(void)
{
	return 1 + aps_running;
}

static bool smp_all_running(void *arg)
{
	return aps_running == *(uint32_t *)arg;
}

bool smp_start(unsigned int nr, void (*fn)(unsigned int cpu))
{
	uint32_t wanted = nr - 1;

	ap_function = fn;
	memcpy((void *)AP_TRAMPOLINE, ap_trampoline, ap_trampoline_end - ap_trampoline);
	lapic_enable();
	write32(LAPIC_BASE + LAPIC_ICR, ICR_INIT_OTHERS);
	delay_us(10000);
	write32(LAPIC_BASE + LAPIC_ICR, ICR_STARTUP_OTHERS | AP_TRAMPOLINE >> 12);
	return wait_until(smp_all_running, &wanted, 2000000);
}
