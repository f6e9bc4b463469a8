/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A flat binary: 16-bit real mode at 1000:0000. Says hello, and where it is. */
	.code16
	.text
	mov	%cs, %ax
	mov	%ax, %ds
	mov	$right, %si
	cmp	$0x1000, %ax
	jne	wrong_place
	call	next
next:	pop	%ax
	cmp	$next, %ax
	je	say
wrong_place:
	mov	$wrong, %si
say:	cld
	mov	$0x3f8, %dx
1:	lodsb
	test	%al, %al
	jz	done
	out	%al, %dx
	jmp	1b
done:	mov	$0x604, %dx		/* soft-off */
	mov	$0x3400, %ax
	out	%ax, %dx
2:	hlt
	jmp	2b

right:	.asciz	"ok real mode at 1000:0000\n"
wrong:	.asciz	"not ok real mode at 1000:0000\n"
