#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A reset starts the guest again in place, with a machine like new; --no-reboot ends instead.
. "$(dirname "$0")/lib.sh"

for how in 1 2 3; do
	truncate -s 0 "$WORK/disk"
	truncate -s 64K "$WORK/disk"
	run reset.elf --disk "$WORK/disk" --cpus 2 -p how=$how
	expect_ok
	[ "$(grep -c '^boot' "$out")" = 3 ] || fail "how=$how: not three boots"
	expect_out '^boot 3$'

	truncate -s 0 "$WORK/disk"
	truncate -s 64K "$WORK/disk"
	run reset.elf --disk "$WORK/disk" --no-reboot -p how=$how
	expect_status 0
	[ "$(grep -c '^boot' "$out")" = 1 ] || fail "how=$how: --no-reboot rebooted"
	expect_err 'ended normally'
done

# Who wants it stopped at the very moment when it resets is heard: most of its time it does.
for i in $(seq 60); do
	start reset.elf --name forever$i -p forever=1
	wait_for test -S "$LKVM_RUN_DIR/forever$i.sock" || fail "no VM"
	timeout 20 "$LKVM" stop --force forever$i || fail "stop $i: it goes on resetting"
	reap
	expect_status 0
done
