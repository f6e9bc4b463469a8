#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What other processes can do to a VM: list, pause, resume, debug, console, signals.
. "$(dirname "$0")/lib.sh"

begin() { # NAME: a VM that ticks, its output in $WORK/out.NAME
	out=$WORK/out.$1 err=$WORK/err.$1
	start echo.elf --name "$1" -p tick=50
	wait_out '^tick 2$'
}
end() { # once a VM was stopped by force or by signals
	reap
	expect_status 0
	expect_err 'ended normally'
}
listed() { "$LKVM" list | awk -v n="$1" '$1 == n { print $3 }'; }
ticks() { wc -l <"$out"; }

# list
[ -z "$("$LKVM" list | sed 1d)" ] || fail "list in a new folder"
"$LKVM" list | grep -Eq '^NAME +PID +STATE +CPUS +MEMORY +UPTIME$' || fail "heading of list"
begin one
[ "$(listed one)" = running ] || fail "list: one is '$(listed one)'"
"$LKVM" list | grep -Eq "^one +$vm +running +1 +32M +[0-9]+s$" || fail "row: $("$LKVM" list)"
"$LKVM" list --json | tr -d ' \n' | grep -q '"name":"one"' || fail "list --json"

# pause: the guest stands still when the command returns; resume: it goes on
"$LKVM" pause one || fail "pause"
[ "$(listed one)" = paused ] || fail "list after pause"
sleep 0.3				# what was written on the way
before=$(ticks)
sleep 1
[ "$(ticks)" = "$before" ] || fail "a paused guest ticks"
"$LKVM" pause one || fail "a second pause"
"$LKVM" debug --dump one >"$WORK/dump" || fail "dump of a paused VM"
grep -qi 'rip' "$WORK/dump" || { cat "$WORK/dump"; fail "no rip in the dump"; }
"$LKVM" resume one || fail "resume"
more_ticks() { [ "$(ticks)" -gt "$before" ]; }
wait_for more_ticks || fail "a resumed guest does not tick"
[ "$(listed one)" = running ] || fail "list after resume"
"$LKVM" debug --dump one | grep -qi 'rip' || fail "dump of a running VM"

# what it does not have is an error, at once
lacks() { # WORDS COMMAND...
	status=0
	timeout 20 "$LKVM" "${@:2}" </dev/null >"$WORK/lacks" 2>&1 || status=$?
	[ "$status" = 1 ] && grep -q -- "one: .*$1" "$WORK/lacks" || fail "${*:2}: status $status, $(cat "$WORK/lacks")"
}
lacks 'has no balloon' stat --memory one
lacks 'has no balloon' balloon --inflate 1 one
lacks 'has no NIC' link --down one
lacks 'no NIC 3' link --down --nic 3 one
lacks 'has no display' screenshot one "$WORK/picture"
lacks 'no disk .0' resize --disk 0 --size 1G one
lacks 'an init of its own' exec one true
[ "$(listed one)" = running ] || fail "one has not survived that"

# CPUs that never exit, and CPUs that never started, stand still and end as well
out=$WORK/out.spin err=$WORK/err.spin first=$vm
for cpus in 1 4; do
	start spin.elf --name spin --cpus 4 -p cpus=$cpus
	wait_out '^spinning$'
	timeout 5 "$LKVM" pause spin || fail "pause of a VM that spins on $cpus CPUs: status $?"
	[ "$("$LKVM" debug --dump spin | grep -c 'rip')" -ge 4 ] || fail "dump of four CPUs"
	timeout 5 "$LKVM" resume spin || fail "resume of a VM that spins: status $?"
	timeout 5 "$LKVM" stop --force spin || fail "stop of a VM that spins: status $?"
	end
done
vm=$first out=$WORK/out.one err=$WORK/err.one

# a name is taken only once
status=0
lkvm_run echo.elf --name one </dev/null >"$WORK/dup" 2>&1 || status=$?
[ "$status" != 0 ] && grep -q one "$WORK/dup" || fail "a second VM named one: status $status"
[ "$(listed one)" = running ] || fail "the first one is gone"

# two VMs, one is stopped, the other lives
first=$vm
begin two
[ "$("$LKVM" list | sed 1d | wc -l)" = 2 ] || fail "two VMs are not listed"
"$LKVM" stop --force two || fail "stop --force two"
end
[ "$("$LKVM" list | sed 1d | wc -l)" = 1 ] && [ "$(listed one)" = running ] || fail "one is gone, too"
for command in stop pause resume; do
	status=0
	"$LKVM" $command two 2>"$WORK/none" || status=$?
	[ "$status" = 6 ] || fail "$command of a VM that is not there: status $status"
	grep -q two "$WORK/none" || fail "$command does not name it"
done

# one that was killed leaves no row, and its name is free
kill -KILL "$first"
wait "$first" 2>/dev/null || :
[ -z "$(listed one)" ] || fail "a dead VM is listed"
begin one

# With --nodefaults, a signal ends it at once; else it asks the guest, which has no ears, and the
# second one ends it
kill "$vm"
end
nodefaults=
begin one
kill "$vm"
sleep 1
! gone "$vm" || fail "SIGTERM did not wait for the guest"
kill "$vm"
end
begin one
kill -HUP "$vm"
sleep 0.5
kill -INT "$vm"
end
[ -z "$(ls "$LKVM_RUN_DIR")" ] || fail "left: $(ls "$LKVM_RUN_DIR")"

# in the background, with a console
out=$WORK/out.bg err=$WORK/err.bg
lkvm_run echo.elf --name bg --detach </dev/null >"$out" 2>"$err" || fail "--detach"
[ "$(listed bg)" = running ] || fail "a detached VM is not listed"
{ sleep 0.5; echo hello; sleep 0.5; printf '\004'; } |
	timeout 20 "$LKVM" console bg >"$WORK/console" 2>"$WORK/console.err" || fail "console: status $?"
grep -q '^hello' "$WORK/console" || { cat "$WORK/console"*; fail "no echo on the console"; }
empty() { [ -z "$("$LKVM" list | sed 1d)" ]; }
wait_for empty || fail "the detached VM has not ended"

# all at once
begin one
first=$vm
begin two
"$LKVM" stop --all --force || fail "stop --all"
end
wait "$first" || fail "one ended with $?"
empty || fail "VMs after stop --all"
