/* SPDX-License-Identifier: GPL-2.0-or-later */
/* INIT_FILE: the program, from the Makefile. */
	.section .rodata
	.globl guest_init, guest_init_end
guest_init:
	.incbin INIT_FILE
guest_init_end:

	.section .note.GNU-stack, "", %progbits
