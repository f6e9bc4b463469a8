// SPDX-License-Identifier: GPL-2.0-or-later
#include "9p/wire.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

#include "kvm/util.h"

static int p9_get_number(struct p9_reader *r, unsigned int len, uint64_t *val)
{
	if ((size_t)(r->end - r->at) < len)
		return -EBADMSG;
	*val = le_load(r->at, len);
	r->at += len;
	return 0;
}

/* The string moves one byte towards its length, which makes room for the terminator. */
static int p9_get_string(struct p9_reader *r, char **s)
{
	uint64_t len;
	int ret = p9_get_number(r, 2, &len);

	if (ret)
		return ret;
	if ((size_t)(r->end - r->at) < len || memchr(r->at, '\0', len))
		return -EBADMSG;
	*s = memmove(r->at - 1, r->at, len);
	(*s)[len] = '\0';
	r->at += len;
	return 0;
}

int p9_check_name(const char *s)
{
	if (!*s || !strcmp(s, ".") || !strcmp(s, "..") || strchr(s, '/'))
		return -EINVAL;
	return strlen(s) > NAME_MAX ? -ENAMETOOLONG : 0;
}

static int p9_parse_one(struct p9_reader *r, char letter, void *to)
{
	uint64_t val = 0;
	int ret;

	switch (letter) {
	case 'b':
		ret = p9_get_number(r, 1, &val);
		*(uint8_t *)to = val;
		return ret;
	case 'w':
		ret = p9_get_number(r, 2, &val);
		*(uint16_t *)to = val;
		return ret;
	case 'd':
		ret = p9_get_number(r, 4, &val);
		*(uint32_t *)to = val;
		return ret;
	case 'q':
		ret = p9_get_number(r, 8, &val);
		*(uint64_t *)to = val;
		return ret;
	case 's':
		return p9_get_string(r, to);
	default: /* 'n' */
		ret = p9_get_string(r, to);
		return ret ? ret : p9_check_name(*(char **)to);
	}
}

int p9_parse(struct p9_reader *r, const char *fmt, ...)
{
	va_list ap;
	int ret = 0;

	va_start(ap, fmt);
	for (; *fmt && *fmt != '+' && !ret; fmt++)
		ret = p9_parse_one(r, *fmt, va_arg(ap, void *));
	va_end(ap);
	if (!ret && *fmt != '+' && r->at != r->end)
		ret = -EBADMSG;
	return ret;
}

static void p9_put_bytes(struct p9_writer *w, const void *bytes, size_t len)
{
	if (p9_room(w) < len) {
		w->full = true;
		return;
	}
	memcpy(w->at, bytes, len);
	w->at += len;
}

static void p9_put_number(struct p9_writer *w, unsigned int len, uint64_t val)
{
	uint8_t bytes[8];

	le_store(bytes, len, val);
	p9_put_bytes(w, bytes, len);
}

static void p9_put_string(struct p9_writer *w, const char *s)
{
	size_t len = MIN(strlen(s), UINT16_MAX);

	p9_put_number(w, 2, len);
	p9_put_bytes(w, s, len);
}

static void p9_put_qid(struct p9_writer *w, const struct p9_qid *qid)
{
	p9_put_number(w, 1, qid->type);
	p9_put_number(w, 4, qid->version);
	p9_put_number(w, 8, qid->path);
}

void p9_put(struct p9_writer *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	for (; *fmt; fmt++) {
		switch (*fmt) {
		case 'b':
			p9_put_number(w, 1, va_arg(ap, unsigned int));
			break;
		case 'w':
			p9_put_number(w, 2, va_arg(ap, unsigned int));
			break;
		case 'd':
			p9_put_number(w, 4, va_arg(ap, uint32_t));
			break;
		case 'q':
			p9_put_number(w, 8, va_arg(ap, uint64_t));
			break;
		case 's':
			p9_put_string(w, va_arg(ap, const char *));
			break;
		default: /* 'Q' */
			p9_put_qid(w, va_arg(ap, const struct p9_qid *));
			break;
		}
	}
	va_end(ap);
}

size_t p9_room(const struct p9_writer *w)
{
	return w->end - w->at;
}
