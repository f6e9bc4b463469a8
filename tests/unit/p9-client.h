/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_TESTS_P9_CLIENT_H
#define LKVM_TESTS_P9_CLIENT_H

/* Builds 9P requests and takes replies apart; shares nothing with 9p/wire.c but the numbers. */
#include <endian.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "9p/wire.h"

#define CL_ROOT	 0u
#define CL_MSIZE 65536u

struct cl_msg {
	uint8_t bytes[CL_MSIZE];
	uint32_t len;
};

static inline void cl_bytes(struct cl_msg *m, const void *bytes, uint32_t len)
{
	memcpy(m->bytes + m->len, bytes, len);
	m->len += len;
}

static inline void cl_int(struct cl_msg *m, unsigned int len, uint64_t val)
{
	val = htole64(val);
	cl_bytes(m, &val, len);
}

static inline void cl_finish(struct cl_msg *m)
{
	uint32_t len = htole32(m->len);

	memcpy(m->bytes, &len, 4);
}

/* b w d q s as in wire.h; all numbers below q are passed as int or uint32_t. */
static inline void cl_vbuild(struct cl_msg *m, uint8_t type, uint16_t tag, const char *fmt,
			     va_list ap)
{
	m->len = 4;
	cl_int(m, 1, type);
	cl_int(m, 2, tag);
	for (; *fmt; fmt++) {
		const char *s;

		switch (*fmt) {
		case 'b':
			cl_int(m, 1, va_arg(ap, unsigned int));
			break;
		case 'w':
			cl_int(m, 2, va_arg(ap, unsigned int));
			break;
		case 'd':
			cl_int(m, 4, va_arg(ap, uint32_t));
			break;
		case 'q':
			cl_int(m, 8, va_arg(ap, uint64_t));
			break;
		case 's':
			s = va_arg(ap, const char *);
			cl_int(m, 2, strlen(s));
			cl_bytes(m, s, strlen(s));
			break;
		}
	}
	cl_finish(m);
}

static inline void cl_build(struct cl_msg *m, uint8_t type, uint16_t tag, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	cl_vbuild(m, type, tag, fmt, ap);
	va_end(ap);
}

static inline uint64_t cl_field(const struct cl_msg *m, uint32_t off, unsigned int len)
{
	uint64_t val = 0;

	memcpy(&val, m->bytes + off, len);
	return le64toh(val);
}

/* A reply must be whole and belong to the request: 0, or the error that it says, negative. */
static inline int cl_judge(const struct cl_msg *reply, uint8_t type, uint16_t tag)
{
	if (reply->len < P9_HEADER || cl_field(reply, 0, 4) != reply->len ||
	    cl_field(reply, 5, 2) != tag)
		return -9999;
	if (reply->bytes[4] == P9_RLERROR && reply->len == P9_RLERROR_SIZE)
		return -(int)cl_field(reply, P9_HEADER, 4);
	return reply->bytes[4] == type + 1 ? 0 : -9999;
}

#endif
