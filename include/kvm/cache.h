/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_CACHE_H
#define LKVM_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "kvm/unpack.h"

/*
 * What takes long to work out and is the same each time: results under a name that is made of the
 * content they were worked out from, in $XDG_CACHE_HOME/lkvm/unpacked ($HOME/.cache if that is
 * not set). Files are whole when they get their name, and say at their end that they are; one that
 * does not is thrown away. So neither concurrent runs nor a full disk, a crash or a folder that
 * cannot be written to are of any consequence but time. Nothing here prints errors.
 */
struct cache_key {
	uint64_t part[2];
};

/* kind: what becomes of the data, with a version of how. */
void cache_key(struct cache_key *key, const char *kind, const void *data, size_t len);
/* A file that begins with the result, *len bytes; -ENOENT. */
int cache_find(const struct cache_key *key, uint64_t *len);
/* 0, or a negative errno. Also removes what was not used for a month. */
int cache_add(const struct cache_key *key, const void *data, size_t len);

/*
 * All that comes out of a compressed stream, as a file that begins with it, by way of the cache;
 * hint is about how much that may be, or 0. A negative errno as from unpack(); -EFBIG for more
 * than max.
 */
int cache_unpack(enum unpack_format format, const void *in, size_t in_len, size_t hint, size_t max,
		 uint64_t *len);

#endif
