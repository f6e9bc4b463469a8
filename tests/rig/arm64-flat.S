// SPDX-License-Identifier: GPL-2.0-or-later
// A flat binary as kvm-unit-tests makes them for kvmtool: no header, so it is
// loaded 512 KiB into RAM; the early UART is at 0x1000000; x0 is the device
// tree.  Prints "FLAT ok" if all that is so, and powers off by PSCI.
	.global _start
_start:
	ldr	w1, [x0]		// the tree's magic number, big-endian
	rev	w1, w1
	ldr	w2, =0xd00dfeed
	cmp	w1, w2
	b.ne	off
	adr	x1, _start
	ldr	x2, =0x80080000
	cmp	x1, x2
	b.ne	off
	adr	x1, text
	mov	x2, #0x1000000
1:	ldrb	w3, [x1], #1
	cbz	w3, off
	strb	w3, [x2]
	b	1b
off:	ldr	w0, =0x84000008		// SYSTEM_OFF
	hvc	#0
	b	off
	.ltorg
text:	.asciz	"FLAT ok\r\n"
