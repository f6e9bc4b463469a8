/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_GUEST_INIT_H
#define LKVM_GUEST_INIT_H

#include "protocol.h"
#include "sys.h"

#define INIT_MAX_CONFIG	 (256 * 1024)
#define INIT_MAX_WORDS	 4096 /* of a command, and of its environment */
#define INIT_MAX_DEVICES 8    /* with ports */

struct init {
	int control;	     /* the control port, or -1 */
	unsigned int device; /* whose ports they are: /dev/vportDEVICEpPORT */
	size_t config_len;
	char config[INIT_MAX_CONFIG];
	char *args[INIT_MAX_WORDS + 1];
	char *envs[INIT_MAX_WORDS + 1];
};

/* Values of `key` in turn: the first for prev NULL; NULL: no more. */
const char *init_get(const struct init *init, const char *key, const char *prev);
/* A line on the console. */
void init_say(const char *a, const char *b, const char *c);
/* The same, tells lkvm, and ends the machine. */
void init_fail(struct init *init, const char *a, const char *b, const char *c)
	__attribute__((noreturn));
void init_send(const struct init *init, unsigned int type, unsigned int value);
/* Non-blocking; a negative errno. */
int init_open_port(const struct init *init, enum guest_port port);

/* --- mounts.c --- */
void mounts_early(struct init *init); /* /dev, to reach the ports */
void mounts_root(struct init *init);  /* all the rest; this becomes / */

/* --- net.c --- */
void net_setup(const struct init *init);

/* --- command.c: runs the command until its end, and returns its status --- */
unsigned int command_run(struct init *init);

#endif
