/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_CONTROL_H
#define LKVM_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;
struct vm;

/*
 * Both ends of the per-VM control socket (docs/control.md): one JSON object a line, every request
 * answered. The server lives on the VM's main loop and knows the vm_request_*() functions only.
 */
#define CONTROL_VERSION	 1
#define CONTROL_MAX_LINE 65536 /* bytes of a request, the newline included */

/* --- the VM's end: control.c --- */
struct control;

/*
 * Claims the name in the run folder and listens. NULL after one error line. To be called by the
 * process that will run the VM (after a fork): clients take the listening process for the VM.
 */
struct control *control_create(struct vm *vm, struct loop *loop, const char *name);
/* What those who wait for the VM's end are told; a host error if nothing is said. */
/* keep: and, if nobody does, those who come when the VM is gone (kvm/instance.h). */
void control_set_exit_status(struct control *control, int status, bool keep);
/* Removes the socket and closes all connections: the clients' proof that the VM is gone. */
void control_destroy(struct control *control);

/* --- the client's end: control-client.c; nothing here prints --- */

/* A VM that a command talks to. Deadlines are in the time of now_ns(). */
struct control_peer {
	char *name;
	int fd;
	int pidfd; /* of the VM's process; -1: it cannot be had */
	pid_t pid; /* 0: unknown */
};

/* -ENOENT: no VM of that name; -EAGAIN: there is one, but it does not take connections. */
int control_open(struct control_peer *peer, const char *name);
void control_close(struct control_peer *peer);

/* Sends a request. arguments may be NULL and stays the caller's. */
int control_send(struct control_peer *peer, const char *command, json_t *arguments);
/*
 * Reads the reply to the oldest request that has none yet, and not a byte more. *result, to be
 * decref'ed, is its "result"; or, with -EREMOTEIO, the VM's error text. -ETIMEDOUT; -ECONNRESET
 * when the VM closed the connection; -EPROTO when it talks gibberish.
 */
int control_receive(struct control_peer *peer, json_t **result, uint64_t deadline);
/* Waits until the VM is gone: end of file, then the end of its process. 0 or -ETIMEDOUT. */
int control_wait_gone(struct control_peer *peer, uint64_t deadline);

#endif
