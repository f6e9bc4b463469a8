/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef GUEST_LIB_H
#define GUEST_LIB_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a tiny guest stands on. It runs in long mode with the first 16 GiB mapped one to one,
 * interrupts off, and says on the first serial port what it found:
 *
 *	ok NAME | not ok NAME		a check, by ok()
 *	end N passed, N failed		the last line, by finish()
 *
 * A guest defines test(); when that returns, finish() is called.
 */
void test(void);

/* --- what the machine is --- */
#define PORT_COM1	0x3f8
#define PORT_PM_STATUS	0x600
#define PORT_PM_ENABLE	0x602
#define PORT_PM_CNT	0x604
#define PORT_PM_TIMER	0x608
#define PORT_PM_RESET	0x60c
#define PM_POWER_BUTTON (1u << 8)
#define PM_TIMER_HZ	3579545
#define ECAM_BASE	0xe0000000UL
#define IOAPIC_BASE	0xfec00000UL
#define LAPIC_BASE	0xfee00000UL
#define PCI_MEM32_BASE	0xc0000000UL

/* --- ports and memory --- */
static inline void outb(uint16_t port, uint8_t val)
{
	asm volatile("outb %0, %1" : : "a"(val), "Nd"(port) : "memory");
}

static inline void outw(uint16_t port, uint16_t val)
{
	asm volatile("outw %0, %1" : : "a"(val), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t val)
{
	asm volatile("outl %0, %1" : : "a"(val), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t val;

	asm volatile("inb %1, %0" : "=a"(val) : "Nd"(port) : "memory");
	return val;
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t val;

	asm volatile("inw %1, %0" : "=a"(val) : "Nd"(port) : "memory");
	return val;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t val;

	asm volatile("inl %1, %0" : "=a"(val) : "Nd"(port) : "memory");
	return val;
}

/* One access of that width each, at any address below 16 GiB. */
static inline uint8_t read8(uint64_t addr)
{
	return *(volatile uint8_t *)addr;
}

static inline uint16_t read16(uint64_t addr)
{
	return *(volatile uint16_t *)addr;
}

static inline uint32_t read32(uint64_t addr)
{
	return *(volatile uint32_t *)addr;
}

static inline uint64_t read64(uint64_t addr)
{
	return *(volatile uint64_t *)addr;
}

static inline void write8(uint64_t addr, uint8_t val)
{
	*(volatile uint8_t *)addr = val;
}

static inline void write16(uint64_t addr, uint16_t val)
{
	*(volatile uint16_t *)addr = val;
}

static inline void write32(uint64_t addr, uint32_t val)
{
	*(volatile uint32_t *)addr = val;
}

static inline void write64(uint64_t addr, uint64_t val)
{
	*(volatile uint64_t *)addr = val;
}

static inline uint64_t rdmsr(uint32_t index)
{
	uint32_t lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(index));
	return (uint64_t)hi << 32 | lo;
}

static inline void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t reg[4])
{
	asm volatile("cpuid"
		     : "=a"(reg[0]), "=b"(reg[1]), "=c"(reg[2]), "=d"(reg[3])
		     : "a"(leaf), "c"(subleaf));
}

static inline void pause_cpu(void)
{
	asm volatile("pause" : : : "memory");
}

static inline void barrier(void)
{
	asm volatile("" : : : "memory");
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* --- words --- */
void *memset(void *to, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strncmp(const char *a, const char *b, size_t n);

void put_char(char c);
/* %s %c %d %u %x, with `l` for 64 bits and a width that pads with zeros: %04x. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The command line that lkvm passed, "" if none; and the number behind "key=", or fallback. */
extern const char *command_line;
uint64_t option(const char *key, uint64_t fallback);
extern uint32_t pvh_start_info; /* 0: this guest came in by another way */
extern const uint8_t *boot_params; /* Linux's (zero-page.rst); NULL: by PVH */

/* --- results --- */
bool ok(bool condition, const char *name, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void finish(void);
_Noreturn void power_off(void);
_Noreturn void reset(void);
_Noreturn void halt(void);

/* --- time, by the PM timer; any CPU --- */
uint32_t pm_ticks(void);
void delay_us(uint32_t us);
/* How long a thing takes: until it returns true, or `us` have passed (then false). */
bool wait_until(bool (*condition)(void *arg), void *arg, uint32_t us);

/* --- processors --- */
#define MAX_CPUS      16
#define AP_TRAMPOLINE 0x8000
/*
 * Starts all other CPUs, each of which runs fn(1), fn(2), .. and then halts; nr counts the boot
 * CPU. false when not all of them turned up within two seconds.
 */
bool smp_start(unsigned int nr, void (*fn)(unsigned int cpu));
unsigned int smp_running(void); /* how many have come up, the boot CPU included */
unsigned int apic_id(void);

static inline uint32_t atomic_add(volatile uint32_t *p, uint32_t n)
{
	return __atomic_fetch_add(p, n, __ATOMIC_SEQ_CST);
}

/* --- interrupts (irq.c); off until a guest turns them on --- */
/* Every vector from 32 on counts, calls its handler if there is one, and ends the interrupt. */
extern volatile uint32_t irq_count[256];
extern void (*irq_handler[256])(void);

void lapic_enable(void);
/* Sends a vector to this CPU itself. */
void lapic_self_ipi(uint8_t vector);
/* Waits with interrupts on until the vector has come `count` times in all. */
bool irq_wait(uint8_t vector, uint32_t count, uint32_t us);

#define IOAPIC_LOW    (1u << 13)
#define IOAPIC_LEVEL  (1u << 15)
#define IOAPIC_MASKED (1u << 16)
void ioapic_route(unsigned int pin, uint32_t flags_and_vector); /* to this CPU */
uint32_t ioapic_entry(unsigned int pin);

static inline void interrupts_on(void)
{
	asm volatile("sti" : : : "memory");
}

static inline void interrupts_off(void)
{
	asm volatile("cli" : : : "memory");
}

/* Exceptions are printed and end the guest. */
void exceptions_init(void);

#endif
