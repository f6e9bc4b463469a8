#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The threads of a running VM: all are confined, none has capabilities, and a reset changes nothing.
. "$(dirname "$0")/lib.sh"
grep -q '^Seccomp:' /proc/self/status || skip "this kernel has no seccomp"
"$LKVM" version --verbose | grep -q '^libseccomp: yes' || skip "built without libseccomp"

# of THREAD FIELD: of /proc's status.
of() { awk -v field="$2:" '$1 == field { print $2 }' "/proc/$vm/task/$1/status"; }
# filters NAME: how many lie on the thread of that name.
filters() {
	local t
	for t in /proc/"$vm"/task/*; do
		[ "$(cat "$t/comm")" != "$1" ] || of "${t##*/}" Seccomp_filters
	done
}
# check WHAT: every thread, of which there are as many.
check() {
	local t names=
	for t in /proc/"$vm"/task/*; do
		t=${t##*/}
		names="$names $(cat "/proc/$vm/task/$t/comm")"
		[ "$(of "$t" Seccomp)" = 2 ] || fail "$1: $(cat "/proc/$vm/task/$t/comm") has no filter"
		[ "$(of "$t" NoNewPrivs)" = 1 ] || fail "$1: $t may have new privileges"
		for set in CapEff CapPrm; do
			[ "$((16#$(of "$t" $set)))" = 0 ] || fail "$1: $t: $set is $(of "$t" $set)"
		done
	done
	echo "$1:$names"
	[ "$(filters vcpu-0)" -gt "$(filters lkvm)" ] || fail "$1: a vCPU has no less than the main thread"
}

truncate -s 1M "$WORK/disk"
nics=
! "$LKVM" version --verbose | grep -q '^libslirp: yes' || nics="--network user"
# shellcheck disable=SC2086 # words
start echo.elf --cpus 2 --name confined -p tick=50 --disk "$WORK/disk" --rng --balloon $nics
wait_out '^tick 2$'
check "a VM"
"$LKVM" stop -f confined
reap

LKVM_CONFINE=off start echo.elf --name off -p tick=50
wait_out '^tick 2$'
[ "$(of "$vm" Seccomp)" = 0 ] || fail "LKVM_CONFINE=off: confined all the same"
"$LKVM" stop -f off
reap
