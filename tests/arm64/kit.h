/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_TEST_ARM64_KIT_H
#define LKVM_TEST_ARM64_KIT_H

/*
 * What tiny arm64 programs need: they begin in kit_main(), with the MMU off, one CPU, and the
 * address of the device tree; they talk to the UART where kvmtool has it, and end by PSCI.
 * A flat binary is such a program as it is; nothing in it may need relocation.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIT_UART 0x1000000UL

void kit_main(const uint8_t *dtb);

__asm__(".section .text.start, \"ax\"\n"
	".global _start\n"
	"_start:\n"
	"	adr	x1, _start\n"
	"	add	sp, x1, #0x80000\n" /* a stack, well behind the program */
	"	mrs	x2, CPACR_EL1\n"
	"	orr	x2, x2, #0x300000\n" /* the compiler may use vectors */
	"	msr	CPACR_EL1, x2\n"
	"	isb\n"
	"	b	kit_main\n"
	".previous\n");

/* Calls go to who is above: from EL2, where HVC would come back, by SMC. */
static inline uint64_t kit_call(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t el;
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	__asm__("mrs %0, CurrentEL" : "=r"(el));
	if (el >> 2 == 2)
		__asm__ volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	else
		__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	return x0;
}

/* PSCI (DEN0022), SMC32 or SMC64 as there is; results are negative when refused. */
#define KIT_PSCI_VERSION	0x84000000
#define KIT_PSCI_CPU_OFF	0x84000002
#define KIT_PSCI_CPU_ON		0xc4000003
#define KIT_PSCI_AFFINITY_INFO	0xc4000004
#define KIT_PSCI_SYSTEM_OFF	0x84000008
#define KIT_PSCI_SYSTEM_RESET	0x84000009
#define KIT_PSCI_FEATURES	0x8400000a
#define KIT_PSCI_SYSTEM_SUSPEND 0xc400000e
#define KIT_PSCI_SYSTEM_RESET2	0xc4000012

static inline int64_t kit_psci(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	int64_t ret = kit_call(function, a, b, c);

	return function & 1 << 30 ? ret : (int32_t)ret; /* of SMC32, 32 bits count */
}

/* PSCI SYSTEM_OFF. */
static inline void kit_off(void)
{
	for (;;)
		kit_call(KIT_PSCI_SYSTEM_OFF, 0, 0, 0);
}

/*
 * Registers of devices are accessed by these and no other way: only of plain loads and stores does
 * the CPU tell KVM what they were about (DDI 0487 D17.2.37, ISV).
 */
static inline void kit_store32(volatile void *at, uint32_t val)
{
	__asm__ volatile("str %w0, [%1]" : : "r"(val), "r"(at) : "memory");
}

static inline uint32_t kit_load32(const volatile void *at)
{
	uint32_t val;

	__asm__ volatile("ldr %w0, [%1]" : "=r"(val) : "r"(at) : "memory");
	return val;
}

static inline void kit_char(char c)
{
	__asm__ volatile("strb %w0, [%1]" : : "r"(c), "r"(KIT_UART) : "memory");
}

static inline void kit_text(const char *text)
{
	while (*text)
		kit_char(*text++);
}

static inline void kit_number(uint64_t n)
{
	if (n > 9)
		kit_number(n / 10);
	kit_char('0' + n % 10);
}

/* "TEXT NUMBER" and the end of the line. */
static inline void kit_line(const char *text, uint64_t n)
{
	kit_text(text);
	kit_char(' ');
	kit_number(n);
	kit_text("\r\n");
}

/* Says what is wrong, and ends. */
static inline void kit_check(bool good, const char *what)
{
	if (good)
		return;
	kit_text("FAIL ");
	kit_text(what);
	kit_text("\r\n");
	kit_off();
}

/*
 * Another CPU begins here, by CPU_ON with this address and, as the context, the end of its stack;
 * it calls kit_second(), which the program has if it uses this.
 */
void kit_second(void);
#define KIT_SECOND                           \
	__asm__(".text\n"                    \
		".global kit_second_start\n" \
		".hidden kit_second_start\n" \
		"kit_second_start:\n"        \
		"	mov	sp, x0\n"              \
		"	mrs	x2, CPACR_EL1\n"       \
		"	orr	x2, x2, #0x300000\n"   \
		"	msr	CPACR_EL1, x2\n"       \
		"	isb\n"                     \
		"	b	kit_second\n")
extern char kit_second_start[] __attribute__((visibility("hidden")));

/* --- the device tree (Devicetree Specification v0.4 §5) --- */

static inline uint32_t kit_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static inline uint64_t kit_be64(const uint8_t *p)
{
	return (uint64_t)kit_be32(p) << 32 | kit_be32(p + 4);
}

/* How much of a is at the start of b: a name without its address matches. */
static inline bool kit_begins(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return !*a;
}

static inline size_t kit_length(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

/*
 * The property of the first node whose name begins so; NULL if there is none. With count, how many
 * such nodes have the property.
 */
static inline const uint8_t *kit_property(const uint8_t *dtb, const char *node, const char *name,
					  uint32_t *len, unsigned int *count)
{
	const uint8_t *p = dtb + kit_be32(dtb + 8), *found = NULL;
	const char *strings = (const char *)dtb + kit_be32(dtb + 12), *at = "";

	kit_check(kit_be32(dtb) == 0xd00dfeed, "no device tree in x0");
	for (;;) {
		uint32_t token = kit_be32(p), size;

		p += 4;
		if (token == 1) { /* FDT_BEGIN_NODE */
			at = (const char *)p;
			p += (kit_length(at) + 4) & ~3UL;
		} else if (token == 3) { /* FDT_PROP */
			const char *prop = strings + kit_be32(p + 4);

			size = kit_be32(p);
			p += 8;
			if (kit_begins(node, at) && kit_begins(name, prop) &&
			    kit_begins(prop, name)) {
				if (!found && len)
					*len = size;
				found = found ? found : p;
				if (count)
					++*count;
			}
			p += (size + 3) & ~3U;
		} else if (token == 9) { /* FDT_END */
			return found;
		}
	}
}

#endif
