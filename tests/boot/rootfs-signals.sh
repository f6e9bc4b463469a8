# SPDX-License-Identifier: GPL-2.0-or-later
# rootfs-signals.sh: how a command's guest ends: by signals of all sorts, a
# terminal that closes, `lkvm stop`, a panic; and what is left: nothing.
. "$TESTS/boot/lib.sh"

# start NAME SCRIPT: `lkvm sandbox` in the background, until SCRIPT says ready.
start() {
	: >"$WORK/$1.out"
	"$LKVM" sandbox -k "$KERNEL_GENERIC" -c 1 -m 512M --name "$1" -- sh -c "$2" \
		</dev/null >"$WORK/$1.out" 2>&1 &
	VM_PID[$1]=$!
	wait_line "$1" '^ready'
}
loop='while :; do sleep 0.2; done'

# The first one is the command's, who may do with it what it likes.
start term "trap 'echo term; exit 3' TERM; echo ready; $loop"
kill -TERM "${VM_PID[term]}"
wait_exit term 3
expect_line term '^term'
# One that it does not handle ends it, as a shell tells of it.
start int "echo ready; exec sleep 1000"
kill -INT "${VM_PID[int]}"
wait_exit int 130
# One that it ignores has to come twice.
start deaf "trap '' TERM; echo ready; $loop"
kill -TERM "${VM_PID[deaf]}"
sleep 1
vm_alive deaf || fail "a signal that the command ignores ended it"
kill -TERM "${VM_PID[deaf]}"
wait_exit deaf 143
step "signals"

start stop "echo ready; exec sleep 1000"
succeeds "$LKVM" stop stop
wait_exit stop '143|129|137'
nothing_left stop
# The guest's kernel ends without a word: its last ones are shown.
start panic "echo ready; echo c >/proc/sysrq-trigger; $loop"
wait_exit panic 255
expect_line panic 'ended without a status'
expect_line panic 'sysrq: Trigger a crash|Kernel panic'
step "stop and panic"

# A terminal that closes takes the guest with it.
cat >"$WORK/session" <<END
"$LKVM" run -k "$KERNEL_GENERIC" -c 1 -m 512M --name hup -- sh -c 'echo ready; exec sleep 1000'
echo "STATUS \$?" >"$WORK/status"
END
mkfifo "$WORK/in"
script -qefc "bash $WORK/session" /dev/null <>"$WORK/in" >"$WORK/hup.out" 2>&1 &
VM_PID[hup]=$!
wait_line hup '^ready'
kill -KILL "${VM_PID[hup]}"
wait_exit hup 137
gone() { ! "$LKVM" list | grep -qw hup; }
wait_for gone
nothing_left hup
