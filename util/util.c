// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/util.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

uint64_t le_load(const void *p, unsigned int len)
{
	uint64_t val = 0;

	memcpy(&val, p, MIN(len, sizeof(val)));
	return le64toh(val);
}

void le_store(void *p, unsigned int len, uint64_t val)
{
	val = htole64(val);
	memcpy(p, &val, MIN(len, sizeof(val)));
}

/* What one system call of the loops below did: bytes, or a negative errno; 0 means "again". */
static ssize_t io_step(ssize_t ret)
{
	if (ret > 0)
		return ret;
	if (ret == 0)
		return -EIO;
	return errno == EINTR ? 0 : -errno;
}

int read_full(int fd, void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = io_step(read(fd, (char *)buf + done, len - done));

		if (n < 0)
			return (int)n;
		done += (size_t)n;
	}
	return 0;
}

int write_full(int fd, const void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = io_step(write(fd, (const char *)buf + done, len - done));

		if (n < 0)
			return (int)n;
		done += (size_t)n;
	}
	return 0;
}

int pread_full(int fd, void *buf, size_t len, off_t off)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = io_step(pread(fd, (char *)buf + done, len - done, off + (off_t)done));

		if (n < 0)
			return (int)n;
		done += (size_t)n;
	}
	return 0;
}

int pwrite_full(int fd, const void *buf, size_t len, off_t off)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = io_step(
			pwrite(fd, (const char *)buf + done, len - done, off + (off_t)done));

		if (n < 0)
			return (int)n;
		done += (size_t)n;
	}
	return 0;
}

/* The number at the start of word; *end is what follows it. */
static int parse_prefix(const char *word, uint64_t *val, const char **end)
{
	unsigned long long v;
	char *rest;

	/* strtoull would skip blanks and take a sign. */
	if (!isdigit((unsigned char)word[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(word, &rest, 0);
	if (errno)
		return -errno;
	*val = v;
	*end = rest;
	return 0;
}

int parse_u64(const char *word, uint64_t *val)
{
	const char *end;
	uint64_t v;
	int ret = parse_prefix(word, &v, &end);

	if (ret)
		return ret;
	if (*end)
		return -EINVAL;
	*val = v;
	return 0;
}

int parse_u32(const char *word, uint32_t *val)
{
	uint64_t v;
	int ret = parse_u64(word, &v);

	if (ret)
		return ret;
	if (v > UINT32_MAX)
		return -ERANGE;
	*val = (uint32_t)v;
	return 0;
}

int parse_size(const char *word, uint64_t unit, uint64_t *bytes)
{
	static const char suffixes[] = "BKMGTP";
	const char *end, *suffix;
	uint64_t v;
	int ret = parse_prefix(word, &v, &end);

	if (ret)
		return ret;
	if (*end) {
		suffix = strchr(suffixes, toupper((unsigned char)*end));
		if (!suffix || end[1])
			return -EINVAL;
		unit = 1ULL << (10 * (suffix - suffixes));
	}
	return __builtin_mul_overflow(v, unit, bytes) ? -ERANGE : 0;
}

bool parse_bool(const char *word, bool *val)
{
	static const char *const yes[] = {"on", "yes", "true", "1"};
	static const char *const no[] = {"off", "no", "false", "0"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (!strcasecmp(word, yes[i])) {
			*val = true;
			return true;
		}
		if (!strcasecmp(word, no[i])) {
			*val = false;
			return true;
		}
	}
	return false;
}

bool eventfd_take(int fd)
{
	uint64_t count;
	struct iovec iov = {.iov_base = &count, .iov_len = sizeof(count)};
	ssize_t n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	/* Linux before 5.8. */
	if (n < 0 && errno == EOPNOTSUPP)
		n = read(fd, &count, sizeof(count));
	return n == sizeof(count);
}

void eventfd_give(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	uint64_t one = 1;

	/* Without room for one more there is something to be taken, which is all that it says. */
	if (poll(&p, 1, 0) == 1)
		(void)!write(fd, &one, sizeof(one));
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : s;
}
