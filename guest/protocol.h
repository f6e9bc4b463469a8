/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_GUEST_PROTOCOL_H
#define LKVM_GUEST_PROTOCOL_H

/*
 * What lkvm and its init in the guest (guest/init.c) agree on.
 *
 * /lkvm.conf in the initramfs is a sequence of "key=value" strings, each ended by a NUL:
 *
 *	module=FILE	load this module; in order
 *	root=ro|rw	the share "lkvm-root" is the root; ro: a tmpfs is laid over it
 *	share=TAG:ro|rw:DIR	mount this share there
 *	hostname=NAME
 *	net=ADDRESS/GATEWAY/DNS	of the first NIC, in a /24
 *	tty=FILE	the command's terminal; without it the ports below are its streams
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

/* Messages on the control port: 8 bytes, little-endian as both sides are. */
enum guest_message_type {
	GUEST_STARTED = 1, /* guest: the command runs */
	GUEST_EXITED,	   /* guest: value is its status as a shell sees it; all is written */
	GUEST_SIGNAL,	   /* host: send this signal to the command */
	GUEST_WINSIZE,	   /* host: rows << 16 | columns */
	GUEST_POWEROFF,	   /* host: end what runs, then say GUEST_EXITED */
};

struct guest_message {
	unsigned int type, value;
};

/* What a shell says of commands that cannot be run. */
#define GUEST_STATUS_NOT_EXECUTABLE 126
#define GUEST_STATUS_NOT_FOUND	    127
/* There was no command to have a status: init failed, or the kernel did. */
#define GUEST_STATUS_FAILED 255

#endif
