#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest that crashes its CPU, the first or another one, ends lkvm with status 4; one that says
# that it panicked, with 3 (include/kvm/exit-code.h).
. "$(dirname "$0")/lib.sh"

run crash.elf -p how=1
expect_status 4
expect_err 'triple fault'
expect_err 'rip'
! grep -q 'ended normally' "$err" || fail "that was not normal"

run crash.elf -p how=3 --cpus 2
expect_status 4
expect_err 'vCPU 1: triple fault'

run crash.elf -p how=4 --no-reboot
expect_status 3
expect_err 'the guest panicked'

# Without it, what comes after the panic is up to the guest.
run crash.elf -p how=4
expect_status 0
expect_out '^survived$'
expect_err 'the guest panicked'
