/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_AGENT_H
#define LKVM_AGENT_H

#include <stdbool.h>
#include <stddef.h>

struct multiport_params;
struct vm;

/*
 * lkvm's end of the conversation with the embedded init (guest/protocol.h): starts, signals and
 * ends the guest's one command, and learns its exit status. Main loop only, but where it says so.
 */
struct agent;

/* NULL after one error line. Before any thread: it blocks a signal. */
struct agent *agent_create(struct vm *vm);
void agent_destroy(struct agent *agent); /* NULL is fine */

/* The ports that the guest's init expects. */
const struct multiport_params *agent_ports(const struct agent *agent);

/*
 * A signal that came to lkvm is the command's, once. False: it is not (or no more), so it is time
 * to end.
 */
bool agent_signal(struct agent *agent, int signo);
/* Asks init to end the command and then the machine. -EAGAIN: it is not listening yet. */
int agent_poweroff(struct agent *agent);

/*
 * Runs one more command (`lkvm exec`), now or as soon as the guest can. conf is what
 * guest/protocol.h says of GUEST_EXEC, and copied; fd is a socket that carries the command's frames
 * from now on, and taken over, in case of failure too. -EBUSY: as many run as can; -EPIPE: the
 * guest is at its end.
 */
int agent_exec(struct agent *agent, const char *conf, size_t len, int fd);

/*
 * What lkvm's exit status should be: the command's, or what stands for its death, or for output that
 * could not be written. False: the guest did not come to say (it could not start the command, or
 * crashed).
 */
bool agent_exit_status(const struct agent *agent, int *status);

#endif
