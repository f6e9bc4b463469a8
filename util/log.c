// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "kvm/util.h"

#define LOG_LINE_MAX   4096
#define LOG_RATE_LIMIT 10 /* lines a second from one place */

static atomic_int log_level = LOG_LEVEL_INFO;

static const char *const log_level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&log_level, memory_order_relaxed);
}

int log_level_parse(const char *word, enum log_level *level)
{
	for (size_t i = 0; i < ARRAY_SIZE(log_level_names); i++) {
		if (!strcmp(word, log_level_names[i])) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* A terminal that a guest's console made raw does not add the carriage return to a new line. */
static const char *log_end_of_line(void)
{
	struct termios tio;

	if (!tcgetattr(STDERR_FILENO, &tio) && !(tio.c_oflag & OPOST))
		return "\r\n";
	return "\n";
}

/* One write(2) a line, so that lines of several threads and processes do not mix. */
void log_print(enum log_level level, const char *prefix, const char *fmt, ...)
{
	int saved_errno = errno;
	char line[LOG_LINE_MAX];
	const char *eol;
	size_t len, max;
	va_list ap;
	int n;

	if (level > log_get_level())
		return;

	eol = log_end_of_line();
	max = sizeof(line) - strlen(eol);
	n = snprintf(line, max, "%s", prefix);
	len = MIN((size_t)MAX(n, 0), max - 1);

	errno = saved_errno; /* for %m */
	va_start(ap, fmt);
	n = vsnprintf(line + len, max - len, fmt, ap);
	va_end(ap);
	len = MIN(len + (size_t)MAX(n, 0), max - 1);

	memcpy(line + len, eol, strlen(eol));
	(void)write_full(STDERR_FILENO, line, len + strlen(eol));
	errno = saved_errno;
}

/*
 * Threads that race here may let a line more or less through, which does no harm; the fields are
 * accessed atomically so that it is no undefined behaviour either.
 */
bool log_ratelimit_ok(struct log_ratelimit *rl)
{
	long second = (long)(now_ns() / 1000000000) + 1; /* never 0: that is "not used yet" */

	if (__atomic_exchange_n(&rl->second, second, __ATOMIC_RELAXED) != second) {
		unsigned int held = __atomic_exchange_n(&rl->held_back, 0, __ATOMIC_RELAXED);

		__atomic_store_n(&rl->printed, 0, __ATOMIC_RELAXED);
		if (held)
			log_warning("%u more lines like the next one were held back", held);
	}
	if (__atomic_fetch_add(&rl->printed, 1, __ATOMIC_RELAXED) < LOG_RATE_LIMIT)
		return true;
	__atomic_fetch_add(&rl->held_back, 1, __ATOMIC_RELAXED);
	return false;
}
