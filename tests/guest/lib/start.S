/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the first instruction to C: the 64-bit entry (Linux boot protocol, rsi = boot_params), the
 * 32-bit code that application processors share with the PVH entry, and interrupt stubs.
 *
 * All of it may run in KVM's instruction emulator, so there is nothing here but plain instructions.
 */
#define STACK_SIZE 0x4000
#define MAX_CPUS   16

#define CODE64 0x10
#define DATA   0x18
#define CODE32 0x20

	.section .text.start, "ax"
	.code64
	.globl	_start
_start:
	cld
	cli
	mov	$boot_stack_top, %esp
	mov	%rsi, %rdi
	lgdt	gdt_register
	mov	$DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	/* far return: the only far jump to a 64-bit address that is encoded the same everywhere */
	push	$CODE64
	push	$1f
	lretq
1:	mov	$page_tables, %eax
	mov	%rax, %cr3
	call	guest_main		/* does not return */

/* --- 32-bit: to long mode; ebp holds the address to go on at, which is below 4 GiB --- */
	.code32
	.globl	enter_long_mode
enter_long_mode:
	mov	%cr4, %eax
	or	$0x20, %eax		/* PAE */
	mov	%eax, %cr4
	mov	$page_tables, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx	/* EFER */
	rdmsr
	or	$0x100, %eax		/* LME */
	wrmsr
	mov	%cr0, %eax
	or	$0x80000001, %eax	/* PG, PE */
	mov	%eax, %cr0
	ljmp	$CODE64, $1f
	.code64
1:	mov	%ebp, %eax
	jmp	*%rax

/* --- application processors: copied to AP_TRAMPOLINE (lib.h), entered there in real mode --- */
	.code16
	.globl	ap_trampoline, ap_trampoline_end
ap_trampoline:
	cli
	cld
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	ap_gdt_register - ap_trampoline
	mov	%cr0, %eax
	or	$1, %eax
	mov	%eax, %cr0
	ljmpl	$CODE32, $ap_start32
	.balign	4
ap_gdt_register:
	.word	gdt_end - gdt - 1
	.long	gdt
ap_trampoline_end:

	.code32
ap_start32:
	mov	$DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$ap_start64, %ebp
	jmp	enter_long_mode

	.code64
ap_start64:
	mov	$1, %edi
	lock xadd %edi, ap_next
	mov	%edi, %eax
	imul	$STACK_SIZE, %eax, %eax
	lea	ap_stacks(%eax), %esp
	call	ap_main			/* edi: 1, 2, ..; does not return */

/* --- interrupts: vector and frame to C --- */
	.balign	16
	.globl	interrupt_stubs
interrupt_stubs:			/* 16 bytes each */
	.set	vector, 0
	.rept	256
	.balign	16
	/* 8, 10 to 14, 17 and 21 push an error code themselves */
	.if	vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
	.else
	push	$0
	.endif
	push	$vector
	jmp	interrupt_common
	.set	vector, vector + 1
	.endr

interrupt_common:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	mov	72(%rsp), %rdi		/* vector */
	mov	80(%rsp), %rsi		/* error code */
	mov	88(%rsp), %rdx		/* rip */
	call	interrupt
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

	.data
	.balign	8
	.globl	gdt
gdt:
	.quad	0, 0
	.quad	0x00af9b000000ffff	/* CODE64 */
	.quad	0x00cf93000000ffff	/* DATA */
	.quad	0x00cf9b000000ffff	/* CODE32 */
gdt_end:
	.globl	gdt_register
gdt_register:
	.word	gdt_end - gdt - 1
	.quad	gdt

	.balign	4
	.globl	ap_next
ap_next:
	.long	1

/* The first 16 GiB one to one, in pages of 2 MiB: the assembler writes them. */
	.balign	4096
	.globl	page_tables
page_tables:
	.quad	page_directory_pointers + 3
	.fill	511, 8, 0
page_directory_pointers:
	.set	i, 0
	.rept	16
	.quad	page_directories + i * 4096 + 3
	.set	i, i + 1
	.endr
	.fill	496, 8, 0
page_directories:
	.set	i, 0
	.rept	16 * 512
	.quad	(i << 21) + 0x83
	.set	i, i + 1
	.endr

	.bss
	.balign	16
	.skip	STACK_SIZE
	.globl	boot_stack_top
boot_stack_top:
ap_stacks:
	.skip	STACK_SIZE * MAX_CPUS
	.section .note.GNU-stack, "", @progbits
