/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_PASST_H
#define LKVM_PASST_H

#include <sys/types.h>

struct nic_params;

/*
 * Runs passt with the NIC's hostfwd and host_loopback. Returns our end of its stream socket, the
 * caller's, and in *pid the child; or a negative errno after one error line. Whether it likes what
 * it was told shows later: it ends, and so does the stream, after words of its own on stderr.
 */
int passt_start(const struct nic_params *nic, pid_t *pid);
void passt_stop(pid_t pid); /* and waits for it */

#endif
