/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_GUEST_SYS_H
#define LKVM_GUEST_SYS_H

/*
 * The little that init needs in place of a libc. System calls return a negative errno and are
 * those that every architecture of Linux has (asm-generic).
 */
#include <asm/unistd.h>
#include <stdbool.h>
#include <stddef.h>

/* start-*.S */
long sys_call6(long nr, long a, long b, long c, long d, long e, long f);
static inline long sys_call(long nr, long a, long b, long c, long d, long e)
{
	return sys_call6(nr, a, b, c, d, e, 0);
}
#define SYS(name, a, b, c, d, e) \
	sys_call(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

/* Only these three are called by the compiler itself, too. */
void *memcpy(void *to, const void *from, size_t len);
void *memset(void *to, int byte, size_t len);
size_t strlen(const char *s);

/* --- text.c --- */

bool str_equal(const char *a, const char *b);
/* The rest of s after prefix, or NULL. */
const char *str_after(const char *s, const char *prefix);
/* Joins strings up to a NULL; what does not fit is cut off. */
void str_join(char *to, size_t size, ...);
#define STR_JOIN(to, ...) str_join(to, sizeof(to), __VA_ARGS__, (char *)NULL)
/* A decimal number; *end is what follows it. */
unsigned int str_number(const char *s, const char **end);
void number_str(char to[12], unsigned int n);

const char *error_name(long err); /* a negative errno */

#endif
