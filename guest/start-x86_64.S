/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry and system calls of the embedded init, which has no libc. */
	.text
	.globl _start
_start:
	xorl %ebp, %ebp
	andq $-16, %rsp
	call init_main
	ud2

/* long sys_call6(long nr, long a, long b, long c, long d, long e, long f) */
	.globl sys_call6
sys_call6:
	movq %rdi, %rax
	movq %rsi, %rdi
	movq %rdx, %rsi
	movq %rcx, %rdx
	movq %r8, %r10
	movq %r9, %r8
	movq 8(%rsp), %r9
	syscall
	ret

	.section .note.GNU-stack, "", @progbits
