# SPDX-License-Identifier: GPL-2.0-or-later
# rootfs-exec.sh: a VM in the background, more commands in it, each with streams
# and status of its own; `lkvm wait` hears how it ended.
. "$TESTS/boot/lib.sh"

# exec_in STATUS [OPTION...] VM -- COMMAND...: output in $WORK/out and $WORK/err.
exec_in() {
	local want=$1 status=0
	shift
	timeout "$LIMIT" "$LKVM" exec "$@" >"$WORK/out" 2>"$WORK/err" || status=$?
	[ $status = "$want" ] || fail "exec '$*' ended with $status, not $want: $(cat "$WORK/err")"
}

"$LKVM" run --detach --name bg -k "$KERNEL_GENERIC" -c 1 -m 512M --log "$WORK/bg.log" -- \
	sh -c 'echo up; while [ ! -e /tmp/end ]; do sleep 0.2; done; exit 3' >"$WORK/start.out" </dev/null ||
	fail "run --detach: $(cat "$WORK/start.out")"
"$LKVM" wait bg >"$WORK/wait.out" 2>&1 &
VM_PID[wait]=$!

# Right after the start: it waits until the guest is up.
head -c 2M /dev/urandom >"$WORK/data"
exec_in 42 bg -- sh -c 'cat; echo err >&2; exit 42' <"$WORK/data"
cmp "$WORK/data" "$WORK/out" || fail "data came back changed"
is "$WORK/err" err
step "streams"

exec_in 127 bg -- no-such-command </dev/null
grep -q 'no-such-command: No such file' "$WORK/err" || fail "no word of the command that is not there"
exec_in 137 bg -- sh -c 'kill -9 $$' </dev/null
exec_in 0 --user 65534:7 --cwd /var bg -- sh -c 'id -u; id -g; pwd' </dev/null
is "$WORK/out" $'65534\n7\n/var'
exec_in 1 --user no-such-user bg -- true </dev/null
grep -q "no user 'no-such-user'" "$WORK/err" || fail "$(cat "$WORK/err")"
exec_in 126 --cwd /no-such-folder bg -- true </dev/null
exec_in 6 no-such-vm -- true </dev/null
step "status"

# A terminal of its own, whose size is the one here and follows it.
cat >"$WORK/session" <<END
stty rows 33 cols 99
(until grep -q ready "$WORK/tty.out"; do sleep 0.2; done; stty rows 44 cols 111 </dev/tty) &
"$LKVM" exec bg -- sh -c 'stty size; trap "stty size; exit 7" WINCH; echo ready; while :; do sleep 0.2; done'
echo "STATUS \$?"
END
mkfifo "$WORK/in"
script -qefc "bash $WORK/session" /dev/null <>"$WORK/in" >"$WORK/tty.out" 2>&1 &
VM_PID[tty]=$!
wait_line tty '^STATUS 7'
expect_line tty '^33 99'
expect_line tty '^44 111'
wait_exit tty 0
step "terminal"

# A signal is the command's; two at a time do not get in each other's way.
"$LKVM" exec bg -- sh -c 'trap "exit 5" TERM; echo ready; while :; do sleep 0.2; done' >"$WORK/sig.out" 2>&1 </dev/null &
VM_PID[sig]=$!
wait_line sig ready
exec_in 0 bg -- true </dev/null
kill "${VM_PID[sig]}"
wait_exit sig 5
# When the client is gone, so is its command.
("$LKVM" exec bg -- sh -c 'echo $$ >/tmp/pid; while :; do echo; sleep 0.2; done' </dev/null || true) |
	head -n 3 >/dev/null
exec_in 0 bg -- sh -c 'while kill -0 $(cat /tmp/pid) 2>/dev/null; do sleep 0.2; done' </dev/null
step "signals"

exec_in 0 bg -- touch /tmp/end </dev/null
wait_exit wait 3
grep -q up "$WORK/bg.log" || fail "--log: nothing of the console in there"
exec_in 6 bg -- true </dev/null
nothing_left bg
