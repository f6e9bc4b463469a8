# SPDX-License-Identifier: GPL-2.0-or-later
# list, pause, resume, stop, signals and names, on tiny guests that only halt.
. "$TESTS/cli/lib.sh"
cd "$WORK"
idle_kernel idle
state() { "$LKVM" list --json | jq -r --arg n "$1" '.[] | select(.name == $n) | .state'; }
is() { [ "$(state "$1")" = "$2" ]; }
start() {
	"$LKVM" run -k idle -c 2 -m 16M -n none --name "$1" "${@:2}" </dev/null >"$1.out" 2>&1 &
	pid=$!
	until_ok 10 is "$1" running
}
# ends PID STATUS
ends() {
	local status=0
	until_ok 10 bash -c "! kill -0 $1 2>/dev/null"
	wait "$1" || status=$?
	[[ $status =~ ^($2)$ ]] || { cat ./*.out; fail "ended with $status, not $2"; }
}
nothing_left() { [ -z "$(ls -A "$LKVM_RUN_DIR")" ] || fail "left: $(ls -A "$LKVM_RUN_DIR")"; }

start a
a=$pid
[ "$(stat -c %a "$LKVM_RUN_DIR")" = 700 ] || fail "the run folder's mode is $(stat -c %a "$LKVM_RUN_DIR")"
[ "$("$LKVM" list --json | jq -r '.[0] | "\(.pid) \(.cpus)"')" = "$a 2" ] || fail "list --json: $("$LKVM" list --json)"
bad 'a' "$LKVM" run -k idle -m 16M -n none --name a
is a running || fail "the duplicate harmed the first"
for i in 1 2 3; do
	"$LKVM" pause a
	is a paused || fail "not paused but $(state a)"
	"$LKVM" resume -n a
	is a running || fail "not running but $(state a)"
done
"$LKVM" pause a
"$LKVM" pause a >out 2>&1 || true
kill -0 "$a" || fail "pausing twice ended it"
"$LKVM" stop --force a
ends "$a" 0
nothing_left

# The button has no effect here; the time limit has.
start b
b=$pid
SECONDS=0
"$LKVM" stop --timeout 2 b
[ $SECONDS -ge 1 ] || fail "stop did not wait"
ends "$b" 0
nothing_left

# Killed: no row, and the name is free.
start c
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
[ "$("$LKVM" list --json | jq length)" = 0 ] || fail "a dead VM is listed"
start c
c=$pid
start d
d=$pid
[ "$("$LKVM" list --json | jq -r 'map(.name) | sort | join(" ")')" = 'c d' ] || fail "list of two"
"$LKVM" pause --all
is c paused && is d paused || fail "pause --all"
"$LKVM" resume --all
"$LKVM" stop --force c
is d running || fail "stopping one harmed the other"
ends "$c" 0
"$LKVM" stop --all --force
ends "$d" 0
nothing_left

# Signals: the second ends at once.
start e
e=$pid
kill -TERM "$e"
sleep 0.3
kill -0 "$e" 2>/dev/null || fail "the first SIGTERM did not wait for the guest"
kill -TERM "$e"
ends "$e" '[0-9]*'
nothing_left

# Many at once, and a control socket that is hammered by broken clients.
for i in 1 2 3 4 5; do start "m$i"; done
for i in 1 2 3; do
	head -c 5000 /dev/urandom | timeout 5 socat -u - "UNIX-CONNECT:$(ls -d "$LKVM_RUN_DIR"/m1* | head -n 1)" 2>/dev/null || true
done
[ "$("$LKVM" list --json | jq length)" = 5 ] || fail "list of five"
"$LKVM" stop --force --all
wait
nothing_left
