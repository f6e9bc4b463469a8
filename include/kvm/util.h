/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_UTIL_H
#define LKVM_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ARRAY_SIZE(a)	    (sizeof(a) / sizeof((a)[0]))
#define container_of(p, t, m) ((t *)((char *)(p)-offsetof(t, m)))
#define MIN(a, b)	    ((a) < (b) ? (a) : (b))
#define MAX(a, b)	    ((a) > (b) ? (a) : (b))
#define ALIGN_UP(x, a)	    (((x) + ((a)-1)) & ~((__typeof__(x))(a)-1))
#define ALIGN_DOWN(x, a)    ((x) & ~((__typeof__(x))(a)-1))

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static inline bool is_power_of_two(uint64_t x)
{
	return x && !(x & (x - 1));
}

/* [base, base + size) without wrapping: true when all of [at, at + len) lies inside. */
static inline bool range_contains(uint64_t base, uint64_t size, uint64_t at, uint64_t len)
{
	return at >= base && len <= size && at - base <= size - len;
}

static inline bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b ? b - a < a_size : a - b < b_size;
}

/*
 * Little-endian loads and stores of 1, 2, 4 or 8 bytes, as every register of PCI and virtio is.
 * Wider or odd lengths are a programming error.
 */
uint64_t le_load(const void *p, unsigned int len);
void le_store(void *p, unsigned int len, uint64_t val);

/* The whole buffer or a negative errno; EINTR is retried. A short read is -EIO. */
int read_full(int fd, void *buf, size_t len);
int write_full(int fd, const void *buf, size_t len);
int pread_full(int fd, void *buf, size_t len, off_t off);
int pwrite_full(int fd, const void *buf, size_t len, off_t off);

/*
 * Numbers as people type them. The whole word must be a number (decimal, 0x.. or 0..): trailing
 * garbage is -EINVAL, too large is -ERANGE. Nothing is printed.
 */
int parse_u64(const char *word, uint64_t *val);
int parse_u32(const char *word, uint32_t *val);
/* A number with an optional suffix B, K, M, G, T or P (powers of 1024); none means `unit` bytes. */
int parse_size(const char *word, uint64_t unit, uint64_t *bytes);
bool parse_bool(const char *word, bool *val); /* on/off, yes/no, true/false, 1/0 */

/*
 * Eventfds that another process has as well. O_NONBLOCK is a property that is shared with it, so it
 * is not relied on: these never wait. eventfd_take: whether something had been written.
 */
bool eventfd_take(int fd);
void eventfd_give(int fd);

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t now_ns(void);

/*
 * Opens a device node to read and write. -1 after one error line, which begins with `what`, the
 * option that asked for it, and says what to do.
 */
int open_device(const char *path, const char *what);

/* asprintf that returns the string, or NULL when memory is out. The caller frees it. */
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
