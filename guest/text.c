// SPDX-License-Identifier: GPL-2.0-or-later
#include <asm/errno.h>
#include <stdarg.h>

#include "sys.h"

void *memcpy(void *to, const void *from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((volatile char *)to)[i] = ((const char *)from)[i];
	return to;
}

void *memset(void *to, int byte, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((volatile char *)to)[i] = (char)byte;
	return to;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (((const volatile char *)s)[n])
		n++;
	return n;
}

bool str_equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

const char *str_after(const char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return NULL;
	return s;
}

void str_join(char *to, size_t size, ...)
{
	const char *part;
	size_t n = 0;
	va_list ap;

	va_start(ap, size);
	while ((part = va_arg(ap, const char *)))
		while (*part && n + 1 < size)
			to[n++] = *part++;
	va_end(ap);
	to[n] = '\0';
}

unsigned int str_number(const char *s, const char **end)
{
	unsigned int n = 0;

	for (; *s >= '0' && *s <= '9'; s++)
		n = n * 10 + (unsigned int)(*s - '0');
	*end = s;
	return n;
}

void number_str(char to[12], unsigned int n)
{
	char digits[12];
	unsigned int nr = 0;

	do
		digits[nr++] = (char)('0' + n % 10);
	while (n /= 10);
	while (nr)
		*to++ = digits[--nr];
	*to = '\0';
}

const char *error_name(long err)
{
	static char number[12];

	switch (-err) {
	case EPERM:
		return "Operation not permitted";
	case ENOENT:
		return "No such file or directory";
	case EACCES:
		return "Permission denied";
	case ENODEV:
		return "not known to this kernel";
	case ENOTDIR:
		return "Not a directory";
	case EISDIR:
		return "Is a directory";
	case ENOEXEC:
		return "Exec format error";
	case ENOMEM:
		return "Out of memory";
	case E2BIG:
		return "Too many words";
	case EBUSY:
		return "Device or resource busy";
	default:
		number_str(number, (unsigned int)-err);
		return number;
	}
}
