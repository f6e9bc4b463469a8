/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_LOG_H
#define LKVM_LOG_H

#include <stdbool.h>

/*
 * Messages for the person at the terminal, on stderr, one line each.
 *
 * The function that knows what the user typed prints the error, once, and returns a negative
 * errno; its callers only pass the number on. Any thread may log.
 */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* "error", "warning", "info" or "debug"; -EINVAL for any other word. */
int log_level_parse(const char *word, enum log_level *level);

void log_print(enum log_level level, const char *prefix, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A fatal line is an error after which the command gives up; scripts look for its "Fatal: ". */
#define log_fatal(...)	 log_print(LOG_LEVEL_ERROR, "Fatal: ", __VA_ARGS__)
#define log_error(...)	 log_print(LOG_LEVEL_ERROR, "Error: ", __VA_ARGS__)
#define log_warning(...) log_print(LOG_LEVEL_WARNING, "Warning: ", __VA_ARGS__)
#define log_info(...)	 log_print(LOG_LEVEL_INFO, "Info: ", __VA_ARGS__)
#define log_debug(...)	 log_print(LOG_LEVEL_DEBUG, "Debug: ", __VA_ARGS__)

/*
 * What a guest can provoke is rate-limited: each place in the source prints at most ten lines a
 * second and says how many it held back.
 */
struct log_ratelimit {
	long second;
	unsigned int printed, held_back;
};

bool log_ratelimit_ok(struct log_ratelimit *rl);

#define log_guest(...)                                                                             \
	do {                                                                                       \
		static struct log_ratelimit rl_;                                                   \
		if (log_ratelimit_ok(&rl_))                                                        \
			log_warning(__VA_ARGS__);                                                  \
	} while (0)

#endif
