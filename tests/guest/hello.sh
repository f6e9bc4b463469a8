#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Each way in: the 64-bit entry of an ELF kernel, PVH, a flat real-mode binary.
. "$(dirname "$0")/lib.sh"

run hello.elf -p "one two=3"
expect_ok
expect_out '^hello by boot_params$'
expect_out '^command line: one two=3$'
expect_err 'KVM session ended normally\.'

run hello-pvh.elf -p "one two=3"
expect_ok
expect_out '^hello by PVH$'
expect_out '^command line: one two=3$'

run real-mode.bin
expect_status 0
expect_out '^ok real mode at 1000:0000$'

# A command line that is too long is refused, never cut.
run hello.elf -p "$(printf 'x%.0s' $(seq 3000))"
[ "$status" != 0 ] || fail "an endless command line was accepted"
expect_err 'command line'
