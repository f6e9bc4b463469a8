/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_PORT_H
#define LKVM_PORT_H

#include <stdbool.h>

/*
 * Where a port of the guest's (--port, a line of bytes in either direction) leads on the host: a new
 * pty, the end of a file, clients of a unix socket, or a terminal that exists.
 */
enum port_to { PORT_TO_PTY, PORT_TO_FILE, PORT_TO_UNIX, PORT_TO_TTY };

#define PORT_MAX_NAME 64

struct port_option {
	const char *name;
	enum port_to to;
	const char *path; /* NULL for PORT_TO_PTY */
	bool console;	  /* the guest shall log in on it */
};

/*
 * Parses the words of `--port`: NAME,pty|file=PATH|unix=PATH|tty=PATH[,console]. option points into
 * `words`, which is written to. -EINVAL after an error line with the bad word.
 */
int port_option_parse(struct port_option *option, char *words);

struct port_host;

/* NULL after one error line. option must live as long. What a pty is called is logged. */
struct port_host *port_open(const struct port_option *option);
/* A terminal gets its modes back, a socket's path goes. NULL is fine. */
void port_close(struct port_host *port);

/* The files to read and to write, -1: none; of PORT_TO_UNIX, the listening socket to both. */
int port_in_fd(const struct port_host *port);
int port_out_fd(const struct port_host *port);

#endif
