/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_9P_WIRE_H
#define LKVM_9P_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The bytes of 9P messages: pure functions over private memory. Numbers are little-endian, a
 * string is two bytes of length and the bytes.
 */
enum p9_type {
	P9_RLERROR = 7,
	P9_TSTATFS = 8,
	P9_TLOPEN = 12,
	P9_TLCREATE = 14,
	P9_TSYMLINK = 16,
	P9_TMKNOD = 18,
	P9_TRENAME = 20,
	P9_TREADLINK = 22,
	P9_TGETATTR = 24,
	P9_TSETATTR = 26,
	P9_TXATTRWALK = 30,
	P9_TXATTRCREATE = 32,
	P9_TREADDIR = 40,
	P9_TFSYNC = 50,
	P9_TLOCK = 52,
	P9_TGETLOCK = 54,
	P9_TLINK = 70,
	P9_TMKDIR = 72,
	P9_TRENAMEAT = 74,
	P9_TUNLINKAT = 76,
	P9_TVERSION = 100,
	P9_TAUTH = 102,
	P9_TATTACH = 104,
	P9_TFLUSH = 108,
	P9_TWALK = 110,
	P9_TREAD = 116,
	P9_TWRITE = 118,
	P9_TCLUNK = 120,
	P9_TREMOVE = 122,
	P9_NR_TYPES = 128,
};

#define P9_HEADER	 7 /* size[4] type[1] tag[2] */
#define P9_RLERROR_SIZE	 (P9_HEADER + 4)
#define P9_RREAD_HEADER	 (P9_HEADER + 4)  /* count[4] before the data */
#define P9_TWRITE_HEADER (P9_HEADER + 16) /* fid[4] offset[8] count[4] before the data */
#define P9_NOFID	 UINT32_MAX
#define P9_MAX_WELEM	 16
#define P9_QID_SIZE	 13

#define P9_QT_DIR     0x80
#define P9_QT_SYMLINK 0x02

struct p9_qid {
	uint8_t type;
	uint32_t version;
	uint64_t path;
};

struct p9_reader {
	uint8_t *at, *end;
};

/*
 * Takes fields as `fmt` says: b w d q are numbers of 1, 2, 4 and 8 bytes (uint8_t * .. uint64_t *),
 * s is a string, n a string that is the name of a directory entry (char **). Strings are made
 * C strings in place. All must be there and, unless fmt ends in '+', nothing else.
 * -EBADMSG, or for a name that cannot be one -EINVAL or -ENAMETOOLONG.
 */
int p9_parse(struct p9_reader *r, const char *fmt, ...);

/* 0 if s can name a directory entry: not empty, "." or "..", no slash, at most 255 bytes. */
int p9_check_name(const char *s);

/* Where a reply is built. What does not fit is left out and remembered in `full`. */
struct p9_writer {
	uint8_t *start, *at, *end;
	bool full;
};

/* Same letters, by value; Q is a const struct p9_qid *. */
void p9_put(struct p9_writer *w, const char *fmt, ...);
size_t p9_room(const struct p9_writer *w);

#endif
