/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_EXIT_CODE_H
#define LKVM_EXIT_CODE_H

/* What lkvm's exit status means; documented in docs/exit-codes.md and stable. */
enum exit_code {
	EXIT_OK = 0,	     /* the guest powered off, rebooted with --no-reboot, or was stopped */
	EXIT_HOST_ERROR = 1, /* a file, a device, memory: something on this side failed */
	EXIT_USAGE = 2,	     /* the command line makes no sense */
	EXIT_GUEST_PANIC = 3, /* the guest said that it panicked (pvpanic) */
	EXIT_TRIPLE_FAULT = 4, /* the guest crashed its CPU */
	EXIT_KVM_ERROR = 5,  /* KVM could not go on: internal error, failed entry, unknown exit */
	EXIT_NO_INSTANCE = 6, /* list, stop, ...: no VM of that name */
	EXIT_NO_STATUS = 255, /* a command in the guest: the guest ended before it could say */
};

#endif
