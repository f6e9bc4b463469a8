// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib.h"

#define BOOT_PARAMS_CMDLINE    0x228
#define BOOT_PARAMS_CMDLINE_HI 0x0c8
#define START_INFO_MAGIC       0x336ec578
#define START_INFO_CMDLINE     0x18
#define LSR_EMPTY	       0x20

const char *command_line = "";
uint32_t pvh_start_info;
const uint8_t *boot_params;

static unsigned int nr_passed, nr_failed;

void guest_main(const uint8_t *params);

void *memset(void *to, int c, size_t n)
{
	void *p = to;

	asm volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(c) : "memory");
	return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
	void *p = to;

	asm volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(n) : : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < n; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i] != b[i] || !a[i])
			return a[i] - b[i];
	return 0;
}

void put_char(char c)
{
	while (!(inb(PORT_COM1 + 5) & LSR_EMPTY))
		pause_cpu();
	outb(PORT_COM1, c);
}

static void put_string(const char *s)
{
	while (*s)
		put_char(*s++);
}

static void put_number(uint64_t val, unsigned int base, unsigned int width)
{
	char buf[24];
	unsigned int n = 0;

	do {
		buf[n++] = "0123456789abcdef"[val % base];
		val /= base;
	} while (val);
	while (width > n) {
		put_char('0');
		width--;
	}
	while (n)
		put_char(buf[--n]);
}

static void print_signed(int64_t val)
{
	if (val < 0)
		put_char('-');
	put_number(val < 0 ? -(uint64_t)val : (uint64_t)val, 10, 0);
}

static void print_args(const char *f, va_list args)
{
	for (; *f; f++) {
		unsigned int width = 0;
		bool is_long = false;

		if (*f != '%') {
			put_char(*f);
			continue;
		}
		for (f++; *f >= '0' && *f <= '9'; f++)
			width = width * 10 + *f - '0';
		for (; *f == 'l'; f++)
			is_long = true;
		if (*f == 's')
			put_string(va_arg(args, const char *));
		else if (*f == 'c')
			put_char(va_arg(args, int));
		else if (*f == 'd')
			print_signed(is_long ? va_arg(args, int64_t) : va_arg(args, int));
		else if (*f == 'u' || *f == 'x')
			put_number(is_long ? va_arg(args, uint64_t) : va_arg(args, uint32_t),
				   *f == 'x' ? 16 : 10, width);
		else
			put_char(*f);
	}
}

void print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_args(format, args);
	va_end(args);
}

uint64_t option(const char *key, uint64_t fallback)
{
	size_t len = strlen(key);
	const char *p = command_line;
	uint64_t val = 0;

	for (; *p; p++)
		if ((p == command_line || p[-1] == ' ') && !strncmp(p, key, len) && p[len] == '=')
			break;
	if (!*p)
		return fallback;
	for (p += len + 1; *p >= '0' && *p <= '9'; p++)
		val = val * 10 + *p - '0';
	return val;
}

bool ok(bool condition, const char *name, ...)
{
	va_list args;

	if (condition)
		nr_passed++;
	else
		nr_failed++;
	put_string(condition ? "ok " : "not ok ");
	va_start(args, name);
	print_args(name, args);
	va_end(args);
	put_char('\n');
	return condition;
}

/* --- the end --- */

void halt(void)
{
	for (;;)
		asm volatile("cli; hlt");
}

void power_off(void)
{
	outw(PORT_PM_CNT, 0x3400); /* SLP_EN, SLP_TYP 5 */
	halt();
}

void reset(void)
{
	outb(PORT_PM_RESET, 6);
	halt();
}

void finish(void)
{
	print("end %u passed, %u failed\n", nr_passed, nr_failed);
	power_off();
}

/* --- time --- */

uint32_t pm_ticks(void)
{
	return inl(PORT_PM_TIMER) & 0xffffff; /* 24 bits are what all machines have */
}

/* Counts microseconds between calls; a call at least every four seconds sees every wrap. */
struct stopwatch {
	uint32_t last;
	uint64_t ticks;
};

static uint64_t stopwatch_us(struct stopwatch *watch)
{
	uint32_t now = pm_ticks();

	watch->ticks += (now - watch->last) & 0xffffff;
	watch->last = now;
	return watch->ticks * 1000000 / PM_TIMER_HZ;
}

void delay_us(uint32_t us)
{
	struct stopwatch watch = {.last = pm_ticks()};

	while (stopwatch_us(&watch) < us)
		pause_cpu();
}

bool wait_until(bool (*condition)(void *arg), void *arg, uint32_t us)
{
	struct stopwatch watch = {.last = pm_ticks()};

	while (!condition(arg))
		if (stopwatch_us(&watch) >= us)
			return condition(arg);
	return true;
}

/* --- the beginning --- */

static const char *find_command_line(void)
{
	uint64_t at;

	if (boot_params)
		at = *(const uint32_t *)(boot_params + BOOT_PARAMS_CMDLINE) |
		     (uint64_t) * (const uint32_t *)(boot_params + BOOT_PARAMS_CMDLINE_HI) << 32;
	else if (pvh_start_info && read32(pvh_start_info) == START_INFO_MAGIC)
		at = read64(pvh_start_info + START_INFO_CMDLINE);
	else
		at = 0;
	return at ? (const char *)at : "";
}

void guest_main(const uint8_t *params)
{
	exceptions_init();
	boot_params = params;
	command_line = find_command_line();
	test();
	finish();
}
