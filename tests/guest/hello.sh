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

# The program alone, without its plugins: a VM has no NIC unless one is asked for.
mkdir "$WORK/alone"
cp "$LKVM" "$WORK/alone/lkvm"
status=0
timeout 20 "$WORK/alone/lkvm" run --nodefaults --mem 32 --cpus 1 --kernel "$GUESTS/hello.elf" \
	</dev/null >"$out" 2>"$err" || status=$?
expect_ok
LKVM=$WORK/alone/lkvm run hello.elf --network user
[ "$status" != 0 ] || fail "user networking without its plugin"
expect_err 'network user.*lkvm-user.so'
