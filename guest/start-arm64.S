/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry and system calls of the embedded init, which has no libc. */
	.text
	.globl _start
_start:
	mov x29, xzr
	bl init_main
	brk #0

/* long sys_call6(long nr, long a, long b, long c, long d, long e, long f) */
	.globl sys_call6
sys_call6:
	mov x8, x0
	mov x0, x1
	mov x1, x2
	mov x2, x3
	mov x3, x4
	mov x4, x5
	mov x5, x6
	svc #0
	ret

	.section .note.GNU-stack, "", %progbits
