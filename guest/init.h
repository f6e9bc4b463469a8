/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_GUEST_INIT_H
#define LKVM_GUEST_INIT_H

#include "protocol.h"
#include "sys.h"

#define INIT_MAX_CONFIG	 (256 * 1024)
#define INIT_MAX_DEVICES 8 /* with ports */

/* "key=value" strings, each ended by a NUL; so is the whole. */
struct conf {
	const char *text;
	size_t len;
};

struct init {
	int control;	     /* the control port, or -1 */
	unsigned int device; /* whose ports they are: /dev/vportDEVICEpPORT */
	struct conf conf;
	char config[INIT_MAX_CONFIG];
};

/* Values of `key` in turn: the first for prev NULL; NULL: no more. */
const char *conf_get(const struct conf *conf, const char *key, const char *prev);
/* A line on stderr, which is the console. */
void init_say(const char *a, const char *b, const char *c);
/* The same, tells lkvm, and ends the machine. */
void init_fail(struct init *init, const char *a, const char *b, const char *c)
	__attribute__((noreturn));
/* A frame; waits until the port takes it. */
void init_send(const struct init *init, enum guest_frame_type type, unsigned int session,
	       const void *data, unsigned int len);
void init_send_number(const struct init *init, enum guest_frame_type type, unsigned int session,
		      unsigned int number);
/* Non-blocking; a negative errno. */
int init_open_port(const struct init *init, enum guest_port port);

/* --- mounts.c --- */
void mounts_early(struct init *init); /* /dev, to reach the ports */
void mounts_root(struct init *init);  /* all the rest; this becomes / */

/* --- net.c --- */
void net_setup(const struct init *init);

/* --- spawn.c --- */

/*
 * Starts what conf says, in a session of its own, with these files (tty: one terminal) as its
 * standard streams. Its process, or a negative errno. When it cannot be run, the child says so.
 */
int spawn(const struct conf *conf, const int fds[3], bool tty);
/* fork() */
int spawn_fork(void);
/* rows << 16 | columns */
void spawn_set_winsize(int tty, unsigned int size);
/* What conf says of it, if it does. */
void spawn_first_winsize(const struct conf *conf, int tty);
/* Gives a file to the user who runs the command. */
void spawn_give(const struct conf *conf, int fd);

/* --- session.c: what `lkvm exec` runs --- */
struct pollfd;
#define SESSION_NR_FDS (3 * GUEST_MAX_SESSIONS)

/* A frame for a session but the first. */
void sessions_frame(const struct init *init, const struct guest_frame *frame, const char *data);
/* SESSION_NR_FDS of them: what to wait for, and what has happened. */
void sessions_poll(struct pollfd *p);
void sessions_ready(const struct init *init, const struct pollfd *p);
void sessions_reaped(int pid, unsigned int status);

/* --- command.c: runs the command until its end, and returns its status --- */
unsigned int command_run(struct init *init);

/* As a shell says it, of what wait4() says. */
static inline unsigned int exit_status(int status)
{
	return status & 0x7f ? 128u + (status & 0x7f) : (unsigned int)status >> 8 & 0xff;
}

#endif
