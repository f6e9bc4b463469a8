// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "9p/server.h"
#include "kvm/util.h"

unsigned int p9_iov_slice(const struct iovec *from, unsigned int nr, uint64_t off, uint64_t len,
			  struct iovec *to)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < nr && len; i++) {
		uint64_t part;

		if (off >= from[i].iov_len) {
			off -= from[i].iov_len;
			continue;
		}
		part = MIN(from[i].iov_len - off, len);
		to[n++] = (struct iovec){(uint8_t *)from[i].iov_base + off, part};
		len -= part;
		off = 0;
	}
	return n;
}

uint64_t p9_iov_len(const struct iovec *iov, unsigned int nr)
{
	uint64_t len = 0;

	for (unsigned int i = 0; i < nr; i++)
		len += iov[i].iov_len;
	return len;
}

/* One direction or the other: the buffers are the client's, `bytes` is ours. */
static uint64_t p9_iov_copy(const struct iovec *iov, unsigned int nr, uint64_t off, uint8_t *bytes,
			    uint64_t len, bool to_iov)
{
	uint64_t done = 0;

	for (unsigned int i = 0; i < nr && done < len; i++) {
		uint64_t part;
		uint8_t *at;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		at = (uint8_t *)iov[i].iov_base + off;
		part = MIN(iov[i].iov_len - off, len - done);
		memcpy(to_iov ? at : bytes + done, to_iov ? bytes + done : at, part);
		done += part;
		off = 0;
	}
	return done;
}

uint64_t p9_iov_read(const struct iovec *iov, unsigned int nr, uint64_t off, void *buf,
		     uint64_t len)
{
	return p9_iov_copy(iov, nr, off, buf, len, false);
}

uint64_t p9_iov_write(const struct iovec *iov, unsigned int nr, uint64_t off, const void *buf,
		      uint64_t len)
{
	return p9_iov_copy(iov, nr, off, (uint8_t *)buf, len, true);
}
