// SPDX-License-Identifier: GPL-2.0-or-later
#include "aml.h"

#include <string.h>

#include "kvm/util.h"

/* ACPI 6.4 §20.2 and, for resources, §6.4. */
enum {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_STRING = 0x0d,
	AML_QWORD = 0x0e,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_METHOD = 0x14,
	AML_DUAL_NAME = 0x2e,
	AML_MULTI_NAME = 0x2f,
	AML_EXT = 0x5b,
	AML_EXT_DEVICE = 0x82,
	AML_ARG0 = 0x68,
	AML_STORE = 0x70,
	AML_IF = 0xa0,
	AML_RETURN = 0xa4,

	AML_RES_IRQ_2 = 0x22, /* IRQ without flags, 2 bytes */
	AML_RES_IO = 0x47,
	AML_RES_END = 0x79,
	AML_RES_MEMORY32_FIXED = 0x86,
	AML_RES_DWORD = 0x87,
	AML_RES_WORD = 0x88,
	AML_RES_INTERRUPT = 0x89,
	AML_RES_QWORD = 0x8a,
};

void aml_init(struct aml *aml, void *buf, size_t cap)
{
	*aml = (struct aml){.buf = buf, .cap = cap};
}

static void aml_bytes(struct aml *aml, const void *p, size_t len)
{
	if (aml->overflow || len > aml->cap - aml->len) {
		aml->overflow = true;
		return;
	}
	memcpy(aml->buf + aml->len, p, len);
	aml->len += len;
}

static void aml_num(struct aml *aml, uint64_t val, unsigned int len)
{
	uint8_t bytes[8];

	le_store(bytes, len, val);
	aml_bytes(aml, bytes, len);
}

static void aml_byte(struct aml *aml, uint8_t byte)
{
	aml_bytes(aml, &byte, 1);
}

/* --- names and lengths --- */

/* NameString (§20.2.2): an optional root and segments of exactly four characters. */
static void aml_path(struct aml *aml, const char *path)
{
	size_t segments;

	if (*path == '\\')
		aml_byte(aml, *path++);
	segments = strlen(path) / 4;
	if (segments == 2) {
		aml_byte(aml, AML_DUAL_NAME);
	} else if (segments > 2) {
		aml_byte(aml, AML_MULTI_NAME);
		aml_byte(aml, segments);
	}
	aml_bytes(aml, path, segments * 4);
	if (segments == 0)
		aml_byte(aml, 0); /* NullName */
}

/*
 * PkgLength (§20.2.4) counts itself, so its size is known only when the contents are: they are
 * moved to make room.
 */
void aml_end(struct aml *aml, aml_mark mark)
{
	size_t len = aml->len - mark;
	unsigned int extra = len + 1 <= 0x3f	  ? 0
			     : len + 2 <= 0xfff	  ? 1
			     : len + 3 <= 0xfffff ? 2
						  : 3;
	uint8_t pkg[4];

	len += extra + 1;
	pkg[0] = extra ? extra << 6 | (len & 0xf) : len;
	for (unsigned int i = 1; i <= extra; i++)
		pkg[i] = len >> (8 * i - 4);
	aml_bytes(aml, pkg, extra + 1);
	if (aml->overflow)
		return;
	memmove(aml->buf + mark + extra + 1, aml->buf + mark, len - extra - 1);
	memcpy(aml->buf + mark, pkg, extra + 1);
}

aml_mark aml_begin_scope(struct aml *aml, const char *path)
{
	aml_mark mark;

	aml_byte(aml, AML_SCOPE);
	mark = aml->len;
	aml_path(aml, path);
	return mark;
}

aml_mark aml_begin_device(struct aml *aml, const char *name)
{
	aml_mark mark;

	aml_byte(aml, AML_EXT);
	aml_byte(aml, AML_EXT_DEVICE);
	mark = aml->len;
	aml_path(aml, name);
	return mark;
}

aml_mark aml_begin_method(struct aml *aml, const char *name, unsigned int nr_args)
{
	aml_mark mark;

	aml_byte(aml, AML_METHOD);
	mark = aml->len;
	aml_path(aml, name);
	aml_byte(aml, nr_args);
	return mark;
}

aml_mark aml_begin_package(struct aml *aml, uint8_t nr_elements)
{
	aml_mark mark;

	aml_byte(aml, AML_PACKAGE);
	mark = aml->len;
	aml_byte(aml, nr_elements);
	return mark;
}

aml_mark aml_begin_if(struct aml *aml)
{
	aml_byte(aml, AML_IF);
	return aml->len;
}

/* --- data --- */

void aml_name(struct aml *aml, const char *name)
{
	aml_byte(aml, AML_NAME);
	aml_path(aml, name);
}

void aml_int(struct aml *aml, uint64_t val)
{
	if (val <= 1) {
		aml_byte(aml, val ? AML_ONE : AML_ZERO);
	} else if (val <= UINT8_MAX) {
		aml_byte(aml, AML_BYTE);
		aml_num(aml, val, 1);
	} else if (val <= UINT16_MAX) {
		aml_byte(aml, AML_WORD);
		aml_num(aml, val, 2);
	} else if (val <= UINT32_MAX) {
		aml_byte(aml, AML_DWORD);
		aml_num(aml, val, 4);
	} else {
		aml_byte(aml, AML_QWORD);
		aml_num(aml, val, 8);
	}
}

void aml_string(struct aml *aml, const char *str)
{
	aml_byte(aml, AML_STRING);
	aml_bytes(aml, str, strlen(str) + 1);
}

static unsigned int aml_hex(char c)
{
	return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* Three letters of 5 bits and four hexadecimal digits, big-endian (§19.3.4). */
void aml_eisa_id(struct aml *aml, const char *id)
{
	uint32_t num = (id[0] - 0x40) << 26 | (id[1] - 0x40) << 21 | (id[2] - 0x40) << 16;

	for (unsigned int i = 0; i < 4; i++)
		num |= aml_hex(id[3 + i]) << (12 - 4 * i);
	aml_byte(aml, AML_DWORD);
	aml_num(aml, __builtin_bswap32(num), 4);
}

void aml_ref(struct aml *aml, const char *path)
{
	aml_path(aml, path);
}

void aml_return(struct aml *aml)
{
	aml_byte(aml, AML_RETURN);
}

void aml_store_arg(struct aml *aml, unsigned int arg, const char *path)
{
	aml_byte(aml, AML_STORE);
	aml_byte(aml, AML_ARG0 + arg);
	aml_path(aml, path);
}

/* --- resources --- */

/* A buffer whose size is written as a word now and filled in at the end. */
struct aml_crs aml_begin_crs(struct aml *aml)
{
	struct aml_crs crs;

	aml_name(aml, "_CRS");
	aml_byte(aml, AML_BUFFER);
	crs.mark = aml->len;
	aml_byte(aml, AML_WORD);
	aml_num(aml, 0, 2);
	crs.start = aml->len;
	return crs;
}

void aml_end_crs(struct aml *aml, struct aml_crs crs)
{
	aml_byte(aml, AML_RES_END);
	aml_byte(aml, 0); /* checksum: 0 is always right */
	if (!aml->overflow)
		le_store(aml->buf + crs.start - 2, 2, aml->len - crs.start);
	aml_end(aml, crs.mark);
}

void aml_crs_io(struct aml *aml, uint16_t port, uint8_t size)
{
	aml_byte(aml, AML_RES_IO);
	aml_byte(aml, 1); /* decodes 16 bits */
	aml_num(aml, port, 2);
	aml_num(aml, port, 2);
	aml_byte(aml, 1);
	aml_byte(aml, size);
}

void aml_crs_irq(struct aml *aml, unsigned int irq)
{
	aml_byte(aml, AML_RES_IRQ_2);
	aml_num(aml, 1u << irq, 2);
}

void aml_crs_interrupt(struct aml *aml, unsigned int gsi)
{
	aml_byte(aml, AML_RES_INTERRUPT);
	aml_num(aml, 6, 2);
	aml_byte(aml, 0x9); /* a consumer; shared (§6.4.3.6) */
	aml_byte(aml, 1);
	aml_num(aml, gsi, 4);
}

void aml_crs_memory32(struct aml *aml, uint32_t base, uint32_t size)
{
	aml_byte(aml, AML_RES_MEMORY32_FIXED);
	aml_num(aml, 9, 2);
	aml_byte(aml, 1); /* writable */
	aml_num(aml, base, 4);
	aml_num(aml, size, 4);
}

/*
 * Address space descriptors (§6.4.3.5) of 2, 4 or 8-byte numbers: a fixed range that the bridge
 * produces. type: 0 memory, 1 I/O, 2 bus numbers.
 */
static void aml_crs_window(struct aml *aml, uint8_t tag, unsigned int width, uint8_t type,
			   uint8_t type_flags, uint64_t base, uint64_t size)
{
	aml_byte(aml, tag);
	aml_num(aml, 3 + 5 * width, 2);
	aml_byte(aml, type);
	aml_byte(aml, 0xc); /* minimum and maximum are fixed, positive decode */
	aml_byte(aml, type_flags);
	aml_num(aml, 0, width); /* granularity */
	aml_num(aml, base, width);
	aml_num(aml, base + size - 1, width);
	aml_num(aml, 0, width); /* translation */
	aml_num(aml, size, width);
}

void aml_crs_bus_window(struct aml *aml, uint16_t first, uint16_t last)
{
	aml_crs_window(aml, AML_RES_WORD, 2, 2, 0, first, last - first + 1);
}

void aml_crs_io_window(struct aml *aml, uint16_t base, uint32_t size)
{
	aml_crs_window(aml, AML_RES_WORD, 2, 1, 0x3 /* ISA and non-ISA ranges */, base, size);
}

void aml_crs_memory_window(struct aml *aml, uint64_t base, uint64_t size)
{
	bool wide = base + size - 1 > UINT32_MAX;

	aml_crs_window(aml, wide ? AML_RES_QWORD : AML_RES_DWORD, wide ? 8 : 4, 0,
		       0x1 /* writable, not cached */, base, size);
}
