/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A firmware image of 68 KiB: its last 16 bytes are the CPU's first instruction, at FFFFFFF0, and
 * it lies below 4 GiB as ROM and below 1 MiB as RAM. Then 'r' on the serial port resets the
 * machine, and any other character powers it off.
 */
#define SEG_BASE 0x1000 /* of segment F000 in the image */
#define AT(label) (label - SEG_BASE)

	.code16
	.text
	.ascii	"base"
	.org	SEG_BASE + 0xf000
start:	mov	$AT(no_cs), %si
	mov	%cs, %ax
	cmp	$0xf000, %ax
	jne	say
	/* CS has its base of after the reset, FFFF0000, until a far jump. */
	movb	$1, %cs:AT(mark)
	mov	$AT(no_rom), %si
	cmpb	$0, %cs:AT(mark)
	jne	say
	ljmp	$0xf000, $AT(low)
low:	mov	$AT(no_fresh), %si
	cmpb	$0, %cs:AT(mark)
	jne	say
	movb	$1, %cs:AT(mark)
	mov	$AT(no_ram), %si
	cmpb	$1, %cs:AT(mark)
	jne	say
	mov	$0xef00, %ax		/* the image's first 4 KiB, below F0000 */
	mov	%ax, %ds
	mov	$AT(no_base), %si
	cmpw	$0x6162, 0		/* "ba" */
	jne	say
	mov	$AT(right), %si

say:	cld
	mov	$0x3f8, %dx
1:	lodsb	%cs:(%si), %al
	test	%al, %al
	jz	wait
	out	%al, %dx
	jmp	1b

wait:	mov	$0x3fd, %dx
1:	in	%dx, %al
	test	$1, %al
	jz	1b
	mov	$0x3f8, %dx
	in	%dx, %al
	cmp	$'r', %al
	jne	off
	mov	$0xfe, %al		/* the keyboard controller pulses the CPU's reset */
	out	%al, $0x64
	jmp	.
off:	mov	$0x604, %dx		/* soft-off */
	mov	$0x3400, %ax
	out	%ax, %dx
	jmp	.

mark:	.byte	0
right:	.asciz	"ok firmware\n"
no_cs:	.asciz	"not ok firmware: CS is not F000\n"
no_rom:	.asciz	"not ok firmware: the ROM can be written\n"
no_fresh:
	.asciz	"not ok firmware: its copy below 1 MiB is an old one\n"
no_ram:	.asciz	"not ok firmware: its copy below 1 MiB cannot be written\n"
no_base:
	.asciz	"not ok firmware: the image does not begin where it should\n"

	.org	SEG_BASE + 0xfff0
	jmp	start
	.org	SEG_BASE + 0x10000
