/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between control.c, which talks to clients, and control-commands.c, which does what they ask. All of
 * it runs on the VM's main loop.
 */
#ifndef LKVM_CONTROL_INTERNAL_H
#define LKVM_CONTROL_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kvm/control.h"

struct balloon_stats;

#define CONTROL_MAX_TIMEOUT  1e6 /* seconds, of a stop */
#define CONTROL_MAX_CLIENTS  64
#define CONTROL_STAT_TICK_NS (250ULL * 1000000) /* how often we look who has waited too long */

struct control {
	struct vm *vm;
	struct loop *loop;
	uid_t uid;  /* whose VM it is, whatever privileges are dropped later */
	char *path; /* of the socket */
	int listen_fd;
	int spare_fd; /* given up for a moment to turn clients away when no fd is left */
	struct loop_source *source;
	struct control_conn *conn[CONTROL_MAX_CLIENTS]; /* NULL: free */
	int stat_fd; /* an eventfd: the guest has told its statistics */
	struct loop_source *stat_source, *stat_timer;
	bool stat_waiting; /* somebody waits for them, and the timer runs */
	int exit_status;   /* the VM's, for those who wait for it */
	bool keep_status;  /* for those who come later, if nobody waits */
};

/* What becomes of a connection when its reply is out. */
enum control_next { CONTROL_REQUEST, CONTROL_CLOSE, CONTROL_CONSOLE, CONTROL_EXEC };

/*
 * A client. It has an incomplete request in `line`, or waits for the guest to answer, or has a
 * reply on its way in `out`, never two of them: who does not read his replies is not read from, so
 * nothing here grows without bound.
 */
struct control_conn {
	struct control *control;
	struct control_conn **slot; /* in control->conn */
	int fd;
	struct loop_source *source;
	uint64_t active_ns; /* when it last did something */
	enum control_next next;
	bool wants_end;	   /* it asked for a stop, and waits for the end of file */
	bool wants_status; /* it gets its reply when the VM has ended */
	char *exec;	   /* what CONTROL_EXEC is to run, exec_len bytes */
	size_t exec_len;
	uint64_t stat_since; /* now_ns() at which it asked for statistics; 0: it does not wait */
	json_t *id;	     /* of the request at hand */
	char *out;	     /* a reply; NULL: none */
	size_t out_len, out_sent;
	char error[160]; /* of the request at hand */
	size_t line_len;
	char line[CONTROL_MAX_LINE];
};

/*
 * Does a command: the reply's "result", a new reference, or NULL: after control_refuse(), or when the
 * reply is to come later (conn->stat_since, conn->wants_status). conn->next says what becomes of the
 * connection after the reply. `arguments` stays the caller's.
 */
json_t *control_run(struct control_conn *conn, const char *command, json_t *arguments);

/* Sets the error text of the reply. Always NULL. */
json_t *control_refuse(struct control_conn *conn, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* What "stat" replies when the guest has told. A new reference. */
json_t *control_stat_result(const struct balloon_stats *stats);

#endif
