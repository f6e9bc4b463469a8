/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shortest life of a machine: a firmware image of 64 KiB whose first instructions reset it, by the
 * keyboard controller.
 */
	.code16
	.text
	.org	0xfff0
	mov	$0xfe, %al
	out	%al, $0x64
	hlt
	.org	0x10000
