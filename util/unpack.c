// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/unpack.h"

#include <errno.h>
#include <string.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_LZMA
#include <lzma.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include "kvm/util.h"

/* windowBits of inflateInit2: the largest window, and a gzip header (zlib.h). */
#define UNPACK_GZIP_WINDOW (15 + 16)

enum unpack_format unpack_detect(const void *in, size_t in_len)
{
	static const struct {
		enum unpack_format format;
		size_t len;
		const char *magic;
	} known[] = {
		{UNPACK_GZIP, 3, "\x1f\x8b\x08"},
		{UNPACK_XZ, 6,
		 "\xfd"
		 "7zXZ\0"},
		{UNPACK_ZSTD, 4, "\x28\xb5\x2f\xfd"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (in_len >= known[i].len && !memcmp(in, known[i].magic, known[i].len))
			return known[i].format;
	return UNPACK_STORED;
}

#ifdef HAVE_ZLIB
/* zlib counts in 32 bits: larger buffers are handed over in parts. */
static ssize_t unpack_gzip(const void *in, size_t in_len, void *out, size_t out_max)
{
	z_stream z = {.next_in = (Bytef *)in, .next_out = out};
	int ret;

	if (inflateInit2(&z, UNPACK_GZIP_WINDOW) != Z_OK)
		return -ENOMEM;
	do {
		z.avail_in = MIN(in_len - z.total_in, UINT32_MAX);
		z.avail_out = MIN(out_max - z.total_out, UINT32_MAX);
		ret = inflate(&z, Z_NO_FLUSH);
	} while (ret == Z_OK && z.total_out < out_max);
	inflateEnd(&z);
	return ret == Z_STREAM_END || z.total_out == out_max ? (ssize_t)z.total_out : -EINVAL;
}
#endif

#ifdef HAVE_LZMA
static ssize_t unpack_lzma(const void *in, size_t in_len, void *out, size_t out_max)
{
	lzma_stream z = LZMA_STREAM_INIT;
	lzma_ret ret = lzma_auto_decoder(&z, UINT64_MAX, 0);
	ssize_t done;

	if (ret != LZMA_OK)
		return -ENOMEM;
	z.next_in = in;
	z.avail_in = in_len;
	z.next_out = out;
	z.avail_out = out_max;
	do
		ret = lzma_code(&z, LZMA_RUN);
	while (ret == LZMA_OK && z.avail_out);
	done = ret == LZMA_STREAM_END || !z.avail_out ? (ssize_t)(out_max - z.avail_out) : -EINVAL;
	lzma_end(&z);
	return done;
}
#endif

#ifdef HAVE_ZSTD
static ssize_t unpack_zstd(const void *in, size_t in_len, void *out, size_t out_max)
{
	ZSTD_inBuffer src = {.src = in, .size = in_len};
	ZSTD_outBuffer dst = {.dst = out, .size = out_max};
	ZSTD_DStream *z = ZSTD_createDStream();
	size_t ret;

	if (!z)
		return -ENOMEM;
	/* Kernels are compressed with windows that the default limit refuses. */
	ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, 31);
	do {
		size_t before = src.pos + dst.pos;

		ret = ZSTD_decompressStream(z, &dst, &src);
		if (!ZSTD_isError(ret) && ret && src.pos + dst.pos == before)
			ret = (size_t)-1; /* the input is at its end, the stream is not */
	} while (!ZSTD_isError(ret) && ret && dst.pos < dst.size);
	ZSTD_freeDStream(z);
	return ret == 0 || dst.pos == dst.size ? (ssize_t)dst.pos : -EINVAL;
}
#endif

ssize_t unpack(enum unpack_format format, const void *in, size_t in_len, void *out, size_t out_max)
{
	switch (format) {
	case UNPACK_STORED:
		in_len = MIN(in_len, out_max);
		memcpy(out, in, in_len);
		return in_len;
#ifdef HAVE_ZLIB
	case UNPACK_GZIP:
		return unpack_gzip(in, in_len, out, out_max);
#endif
#ifdef HAVE_LZMA
	case UNPACK_XZ:
	case UNPACK_LZMA:
		return unpack_lzma(in, in_len, out, out_max);
#endif
#ifdef HAVE_ZSTD
	case UNPACK_ZSTD:
		return unpack_zstd(in, in_len, out, out_max);
#endif
	default:
		return -ENOTSUP;
	}
}
