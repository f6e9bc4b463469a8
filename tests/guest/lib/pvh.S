/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PVH entry (Xen's docs/misc/pvh): a note names the address of 32-bit code, which finds
 * hvm_start_info's address in ebx. Linked into a guest, it makes lkvm take this way in.
 */
	.section .note.Xen, "a", @note
	.balign	4
	.long	4, 4, 18		/* namesz, descsz, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	pvh_start

	.text
	.code32
	.globl	pvh_start
pvh_start:
	cli
	cld
	mov	%ebx, pvh_start_info
	lgdt	gdt_register		/* its first 6 bytes are a 32-bit one's */
	mov	$pvh_start64, %ebp
	jmp	enter_long_mode

	.code64
pvh_start64:
	xor	%esi, %esi		/* there are no boot_params */
	jmp	_start
	.section .note.GNU-stack, "", @progbits
