/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_VNC_LISTEN_H
#define LKVM_VNC_LISTEN_H

#include <stdbool.h>

struct display_params;

#define VNC_MAX_LISTEN 8 /* a name may have several addresses */

/* The sockets that viewers connect to: close-on-exec, and accept() does not block. */
struct vnc_listener {
	int fd[VNC_MAX_LISTEN];
	unsigned int nr;
	char *unix_path; /* absolute; NULL: TCP */
};

/*
 * Listens where params say. An address that others can reach is refused without a password. 0, or a
 * negative errno after one error line; then vnc_unlisten() cleans up, too.
 */
int vnc_listen(struct vnc_listener *listener, const struct display_params *params,
	       bool has_password);
void vnc_unlisten(struct vnc_listener *listener);

#endif
