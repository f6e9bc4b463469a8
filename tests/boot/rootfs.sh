# SPDX-License-Identifier: GPL-2.0-or-later
# rootfs.sh: a stock kernel with the host's files for its root: commands with
# their own streams and exit status, in a copy that is thrown away.
. "$TESTS/boot/lib.sh"
vm=(-k "$KERNEL_GENERIC" -c 1 -m 512M)

# in_guest STATUS [OPTION...] -- COMMAND...: output in $WORK/out and $WORK/err.
in_guest() {
	local want=$1 status=0
	shift
	timeout "$LIMIT" "$LKVM" sandbox "${vm[@]}" "$@" >"$WORK/out" 2>"$WORK/err" || status=$?
	[ $status = "$want" ] || { cat "$WORK/out" "$WORK/err"; fail "'$*' ended with $status, not $want"; }
}
is() { [ "$(cat "$1")" = "$2" ] || fail "${1##*/} is '$(cat "$1")', not '$2'"; }

# Binary data through both pipes; no network; writes do not reach the host.
head -c 4M /dev/urandom >"$WORK/data"
in_guest 42 -- sh -c 'cat; ls /sys/class/net >&2; touch /lkvm-was-here && test -e /lkvm-was-here && exit 42' <"$WORK/data"
cmp "$WORK/data" "$WORK/out" || fail "data came back changed"
is "$WORK/err" lo
[ ! -e /lkvm-was-here ] || fail "the guest wrote to the host"
step "data"

in_guest 127 -- no-such-command </dev/null
grep -q "no-such-command: No such file" "$WORK/err" || fail "no word of the command that is not there"
[ ! -s "$WORK/out" ] || fail "something on stdout"
step "no such command"

# A folder that is shared writable is; the user and the folder are as asked for.
mkdir "$WORK/shared"
in_guest 137 --rwdir "$WORK/shared" --cwd "$WORK/shared" -- sh -c 'pwd; echo text >file; kill -9 $$' </dev/null
is "$WORK/out" "$WORK/shared"
is "$WORK/shared/file" text
step "shared folder"

# SIGTERM is the command's.
timeout "$LIMIT" "$LKVM" run "${vm[@]}" --user nobody -- \
	sh -c 'id -un; trap "echo term; exit 3" TERM; echo ready >&2; while :; do sleep 1; done' \
	</dev/null >"$WORK/out" 2>"$WORK/err" &
VM_PID[term]=$!
until grep -q ready "$WORK/err"; do sleep 0.2; done
kill "${VM_PID[term]}"
wait_exit term 3
is "$WORK/out" $'nobody\nterm'
step "signal"

# What cannot work says why.
refuses "$LKVM" run "${vm[@]}" --modules /nonexistent -- true
grep -q -- '--modules /nonexistent' "$WORK/command.out" || fail "$(cat "$WORK/command.out")"
refuses "$LKVM" run -k "$KERNEL_CLOUD" -- true
grep -q 'CONFIG_9P_FS\|CONFIG_NET_9P' "$WORK/command.out" || fail "$(cat "$WORK/command.out")"
