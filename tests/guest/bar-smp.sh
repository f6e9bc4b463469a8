#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Eight vCPUs over one BAR: no deadlock, no crash; then the same under valgrind, or with a build
# of LKVM_ASAN (gcc -fsanitize=address,undefined), for what does not crash at once.
. "$(dirname "$0")/lib.sh"

seconds=20
[ -z "${LONG:-}" ] || seconds=60
run bar-smp.elf --cpus 8 --rng -p "cpus=8 seconds=$seconds"
expect_ok
grep '^#' "$out"

if [ -n "${LKVM_ASAN:-}" ]; then
	export ASAN_OPTIONS=detect_leaks=0
	LKVM=$LKVM_ASAN run bar-smp.elf --cpus 8 --rng -p "cpus=8 seconds=$seconds"
	expect_ok
	! grep -Eq 'ERROR: |runtime error' "$err" || fail "a sanitizer complains"
elif command -v valgrind >/dev/null; then
	status=0
	LKVM_CONFINE=off valgrind -q --error-exitcode=99 --fair-sched=yes --log-file="$WORK/valgrind" \
		"$LKVM" run --nodefaults --network none --mem 32 --cpus 8 --rng \
		--kernel "$GUESTS/bar-smp.elf" -p "cpus=8 seconds=$((seconds / 2))" \
		</dev/null >"$out" 2>"$err" || status=$?
	[ "$status" != 99 ] || { cat "$WORK/valgrind"; fail "valgrind complains"; }
	expect_ok
	grep '^#' "$out"
fi
