#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# lkvm stop: the guest is asked, and ended when it does not listen; when stop returns, it is gone.
. "$(dirname "$0")/lib.sh"

# stop OPTION...: succeeds, and then nothing is left of the VM; says how long it took in $took.
stop() {
	local begin
	begin=$(milliseconds)
	"$LKVM" stop vm "$@" 2>>"$err" || fail "stop $*: status $?"
	took=$(($(milliseconds) - begin))
	wait_for gone "$vm" || fail "stop $* returned, the VM is there"
	[ -z "$(ls "$LKVM_RUN_DIR")" ] || fail "stop $* left $(ls "$LKVM_RUN_DIR")"
	reap
	expect_status 0
	expect_err 'ended normally'
}

start power-button.elf --name vm
wait_out '^ready$'
stop
expect_out '^button$'
expect_ok

# The guest enables the button only after it was pressed.
start power-button.elf --name vm -p late=2000
wait_out '^up$'
stop
expect_out '^button$'

# One that does not react is ended.
start power-button.elf --name vm -p ignore=1
wait_out '^ready$'
stop --timeout 2
[ "$took" -ge 1900 ] && [ "$took" -lt 10000 ] || fail "--timeout 2 took $took ms"

start power-button.elf --name vm -p ignore=1
wait_out '^ready$'
stop --force
[ "$took" -lt 2000 ] || fail "--force took $took ms"

# A paused one is resumed to be asked, or ended where it stands.
start power-button.elf --name vm
wait_out '^ready$'
"$LKVM" pause vm || fail "pause: status $?"
stop
expect_out '^button$'

start power-button.elf --name vm -p ignore=1
wait_out '^ready$'
"$LKVM" pause vm || fail "pause: status $?"
stop --force
[ "$took" -lt 2000 ] || fail "--force on a paused VM took $took ms"

# A signal asks the guest as well; with --nodefaults, it ends the VM.
start power-button.elf --name vm
wait_out '^ready$'
kill -TERM "$vm"
reap
expect_status 0
! grep '^button$' "$out" || fail "SIGTERM pressed the button, --nodefaults or not"

nodefaults=
start power-button.elf --name vm
wait_out '^ready$'
kill -TERM "$vm"
reap
expect_out '^button$'
expect_ok
