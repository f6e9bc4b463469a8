/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_UNPACK_H
#define LKVM_UNPACK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How a kernel may be compressed. */
enum unpack_format { UNPACK_STORED, UNPACK_GZIP, UNPACK_XZ, UNPACK_LZMA, UNPACK_ZSTD };

/* By the first bytes; LZMA has no magic number and is never found so. */
enum unpack_format unpack_detect(const void *in, size_t in_len);

/*
 * Unpacks into out, and stops early when that is full: so a beginning can be looked at, and a
 * result of out_max says that there may be more. Returns the bytes written, or a negative errno
 * with nothing printed: -EINVAL when `in` is damaged or ends too early, -ENOTSUP when this lkvm was
 * built without the format. Bytes that follow the compressed stream are ignored.
 */
ssize_t unpack(enum unpack_format format, const void *in, size_t in_len, void *out, size_t out_max);

#endif
