// SPDX-License-Identifier: GPL-2.0-or-later
/* Compressed clusters of qcow2 images ("Compressed Clusters"): read, never written. */
#include <errno.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include "kvm/util.h"
#include "qcow2.h"

void qcow2_compressed_extent(const struct qcow2 *q, uint64_t entry, uint64_t *offset, uint64_t *len)
{
	unsigned int bits = 62 - (q->cluster_bits - 8);
	uint64_t sectors = (entry & (QCOW2_COMPRESSED - 1)) >> bits;

	*offset = entry & ((1ull << bits) - 1);
	*len = (sectors + 1) * 512 - *offset % 512;
}

#ifdef HAVE_ZLIB
static int qcow2_inflate_zlib(const void *in, uint64_t in_len, void *out, uint64_t out_len)
{
	z_stream z = {
		.next_in = (void *)in,
		.avail_in = in_len,
		.next_out = out,
		.avail_out = out_len,
	};
	int ret;

	/* No header; behind the end there may be anything. */
	if (inflateInit2(&z, -12) != Z_OK)
		return -ENOMEM;
	ret = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	return (ret == Z_STREAM_END || ret == Z_BUF_ERROR) && !z.avail_out ? 0 : -EUCLEAN;
}
#else
static int qcow2_inflate_zlib(const void *in, uint64_t in_len, void *out, uint64_t out_len)
{
	(void)in;
	(void)in_len;
	(void)out;
	(void)out_len;
	return -ENOTSUP;
}
#endif

#ifdef HAVE_ZSTD
static int qcow2_inflate_zstd(const void *in, uint64_t in_len, void *out, uint64_t out_len)
{
	ZSTD_inBuffer from = {in, in_len, 0};
	ZSTD_outBuffer to = {out, out_len, 0};
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	size_t before, ret = 0;

	if (!ctx)
		return -ENOMEM;
	do {
		before = from.pos + to.pos;
		ret = ZSTD_decompressStream(ctx, &to, &from);
	} while (!ZSTD_isError(ret) && to.pos < to.size && from.pos + to.pos > before);
	ZSTD_freeDCtx(ctx);
	return !ZSTD_isError(ret) && to.pos == to.size ? 0 : -EUCLEAN;
}
#else
static int qcow2_inflate_zstd(const void *in, uint64_t in_len, void *out, uint64_t out_len)
{
	(void)in;
	(void)in_len;
	(void)out;
	(void)out_len;
	return -ENOTSUP;
}
#endif

int qcow2_inflate(bool zstd, const void *in, uint64_t in_len, void *out, uint64_t out_len)
{
	return zstd ? qcow2_inflate_zstd(in, in_len, out, out_len)
		    : qcow2_inflate_zlib(in, in_len, out, out_len);
}
