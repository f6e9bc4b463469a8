# SPDX-License-Identifier: GPL-2.0-or-later
# wait, exec and --log, as far as tiny guests can tell: the VM's exit status
# reaches who waits; a guest with an init of its own runs nobody's commands.
. "$TESTS/cli/lib.sh"
cd "$WORK"
idle_kernel idle
run() { "$LKVM" run --detach -k idle -c 1 -m 16M -n none --name "$@" </dev/null >/dev/null; }
# It has asked and sleeps until it is told.
asks() { [ "$(awk '{ print $3 }' "/proc/$1/stat")" = S ] && ls -l "/proc/$1/fd" | grep -q socket: ; }
# waits PID STATUS
waits() {
	local status=0
	wait "$1" || status=$?
	[ $status = "$2" ] || fail "wait ended with $status, not $2"
}

run a --log log
"$LKVM" wait a &
first=$!
"$LKVM" wait a &
second=$!
bad 'init of its own' "$LKVM" exec a -- true
bad 'init of its own' "$LKVM" exec a
until_ok 30 asks $first
until_ok 30 asks $second
"$LKVM" stop -f a
waits $first 0
waits $second 0
[ -e log ] || fail "no log"
[ -z "$(ls -A "$LKVM_RUN_DIR")" ] || fail "left: $(ls -A "$LKVM_RUN_DIR")"

bad 'no VM named a' "$LKVM" wait a
bad 'no VM named a' "$LKVM" exec a -- true
bad 'which VM' "$LKVM" wait
bad 'in which VM' "$LKVM" exec
bad '/nonexistent/log' "$LKVM" run -k idle -c 1 -m 16M -n none --log /nonexistent/log
# Several: until the last, the status of the first that is not well.
run b
run c
"$LKVM" wait b c nobody 2>/dev/null &
all=$!
until_ok 30 asks $all
"$LKVM" stop -f c
kill -0 $all 2>/dev/null || fail "wait did not wait for all"
"$LKVM" stop -f b
waits $all 6
# One that ends while somebody is about to ask leaves its status, as if nobody had been there.
socat UNIX-LISTEN:"$LKVM_RUN_DIR/late.sock" SYSTEM:"echo 7 >'$LKVM_RUN_DIR/late.status'" >/dev/null 2>&1 &
until_ok 30 test -S "$LKVM_RUN_DIR/late.sock"
"$LKVM" wait late >out 2>&1 &
waits $! 7
[ ! -e "$LKVM_RUN_DIR/late.status" ] || fail "the status can be taken twice"
