#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An instruction that KVM cannot emulate ends lkvm with status 5 and all that one needs to know.
. "$(dirname "$0")/lib.sh"

! kvm_is_hardware || skip "KVM has hardware here and emulates nothing"
run crash.elf -p how=2
[ "$status" != 0 ] || skip "this KVM runs cmpxchg16b"
expect_status 5
expect_err 'internal error'
expect_err 'suberror: 1'
expect_err '[rR][iI][pP]'
# REX.W 0f c7 /1: the instruction's bytes, from KVM or from the guest's memory.
grep -Eqi '48.?0f.?c7' "$err" || fail "no instruction bytes"
expect_err 'rig'
! grep -q 'ended normally' "$err" || fail "that was not normal"
