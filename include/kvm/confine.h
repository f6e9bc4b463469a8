/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_CONFINE_H
#define LKVM_CONFINE_H

/*
 * What a thread may still ask of the kernel once a guest may have taken it over: what is open can
 * be used, memory and time be had, and the rest is as if the kernel did not have it (ENOSYS).
 * Capabilities go, too. What a thread needs beyond that, it says:
 */
enum confine_need {
	CONFINE_THREADS = 1 << 0,  /* to start threads */
	CONFINE_FILES = 1 << 1,	   /* to open files by name, as the user that it is */
	CONFINE_SHARES = 1 << 2,   /* to serve files in the name of any user, where it may */
	CONFINE_SOCKETS = 1 << 3,  /* to make, connect and accept them */
	CONFINE_CHILDREN = 1 << 4, /* to end those that are there, and to see them end */
};

/*
 * The environment's LKVM_CONFINE says otherwise: "off": nothing happens, for debuggers and the like;
 * "kill": a call that is not there ends the process, instead of failing. Where the kernel has no
 * filters, or lkvm was built without the libraries, only capabilities go, or nothing.
 */
struct confinement;

/* To be discarded. One thread at a time, as libseccomp is not made for more. NULL after an error line. */
struct confinement *confine_prepare(unsigned int needs);
void confine_discard(struct confinement *c); /* NULL is nothing */

/*
 * Confines the calling thread and all that it starts from here on, for good; what was said before
 * stays in force. 0, or a negative errno after an error line.
 */
int confine_enter(const struct confinement *c);

/* All of it, for a thread that does so once. */
int confine(unsigned int needs);

#endif
