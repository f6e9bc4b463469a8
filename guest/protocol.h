/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_GUEST_PROTOCOL_H
#define LKVM_GUEST_PROTOCOL_H

/*
 * What lkvm and its init in the guest (guest/init.c) agree on.
 *
 * /lkvm.conf in the initramfs is a sequence of "key=value" strings, each ended by a NUL:
 *
 *	module=FILE	load this module; in order
 *	files=9p|virtiofs	what the shares below are
 *	root=ro|rw	the share "lkvm-root" is the root; ro: a tmpfs is laid over it
 *	calm=		with root=ro: only its owner may open a file of the share with O_NOATIME
 *	share=TAG:ro|rw:DIR	mount this share there
 *	hostname=NAME
 *	net=ADDRESS/GATEWAY/DNS	of the first NIC, in a /24; DNS may be empty; "dhcp": it is asked for
 *	tty=FILE	the command's terminal; without it the ports below are its streams.
 *			Of an `lkvm exec`: it wants a terminal; FILE is empty
 *	size=ROWS/COLUMNS	of the terminal
 *	ids=UID/GID	who runs the command
 *	cwd=DIR		and where; "must" follows when it is an error that it cannot
 *	must=cwd
 *	env=NAME=VALUE	all of the command's environment
 *	arg=WORD	the command; none: a shell
 *
 * The ports of a virtio-serial device, by number. The control port comes last: when the guest sees
 * that it is open, the others are.
 */
#define GUEST_CONFIG   "lkvm.conf"
#define GUEST_ROOT_TAG "lkvm-root"

enum guest_port { GUEST_PORT_STDIN, GUEST_PORT_STDOUT, GUEST_PORT_STDERR, GUEST_PORT_CONTROL };
#define GUEST_NR_PORTS 4

/*
 * The control port carries frames in both directions, each a header and `len` bytes, in the byte
 * order that both sides have. Session 0 is the one command that the machine was started for; the
 * others are `lkvm exec`'s, whose streams go through frames, too.
 *
 * Either side may send as many bytes of a stream as it has credit for: GUEST_WINDOW at first, and
 * what the other side gives back as it delivers them. So nobody's slow reader holds up the port.
 * A session's number is free again when GUEST_EXITED has been sent.
 */
enum guest_frame_type {
	GUEST_STARTED = 1, /* guest: the command runs; of session 0: commands can be run */
	GUEST_EXITED,	   /* guest: a number, its status as a shell sees it; all is written */
	GUEST_SIGNAL,	   /* host: a number, send this signal to the command */
	GUEST_WINSIZE,	   /* host: a number, rows << 16 | columns */
	GUEST_POWEROFF,	   /* host: end what runs, then say GUEST_EXITED */
	GUEST_EXEC,	   /* host: a new session's configuration, of GUEST_WINDOW at most */
	GUEST_HANGUP,	   /* host: nobody listens to the session any more */
	GUEST_STDIN,	   /* host: input; empty: its end */
	GUEST_STDOUT,	   /* guest: output */
	GUEST_STDERR,
	GUEST_CREDIT_STDIN, /* either side: a number, so many bytes have been delivered */
	GUEST_CREDIT_STDOUT,
	GUEST_CREDIT_STDERR,
};

struct guest_frame {
	unsigned short type, session;
	unsigned int len;
};

#define GUEST_MAX_FRAME	   65536
#define GUEST_WINDOW	   65536
#define GUEST_CHUNK	   16384 /* of a stream, at most, in one frame */
#define GUEST_MAX_SESSIONS 16	 /* at a time, beside session 0 */

/* What a shell says of commands that cannot be run. */
#define GUEST_STATUS_NOT_EXECUTABLE 126
#define GUEST_STATUS_NOT_FOUND	    127
/* There was no command to have a status: init failed, or the kernel did. */
#define GUEST_STATUS_FAILED 255

#endif
