# SPDX-License-Identifier: GPL-2.0-or-later
# rootfs.sh: a stock kernel with the host's files for its root: commands with
# their own streams and exit status, in a copy that is thrown away.
. "$TESTS/boot/lib.sh"

# Binary data through both pipes; no network; writes do not reach the host.
head -c 4M /dev/urandom >"$WORK/data"
in_guest 42 --log "$WORK/log" -p loglevel=6 -- \
	sh -c 'cat; ls /sys/class/net >&2; touch /lkvm-was-here && test -e /lkvm-was-here && exit 42' <"$WORK/data"
cmp "$WORK/data" "$WORK/out" || fail "data came back changed"
is "$WORK/err" lo
[ ! -e /lkvm-was-here ] || fail "the guest wrote to the host"
# The kernel's messages are not the command's.
grep -q 'Linux version' "$WORK/log" || fail "--log: no kernel messages in there"
step "data"

# A folder that is shared writable is; the user and the folder are as asked for.
mkdir "$WORK/shared"
in_guest 137 --rwdir "$WORK/shared" --cwd "$WORK/shared" -- sh -c 'pwd; echo text >file; kill -9 $$' </dev/null
is "$WORK/out" "$WORK/shared"
is "$WORK/shared/file" text
step "shared folder"

# What cannot work says why.
refuses "$LKVM" run -k "$KERNEL_GENERIC" --modules /nonexistent -- true
grep -q -- '--modules /nonexistent' "$WORK/command.out" || fail "$(cat "$WORK/command.out")"
refuses "$LKVM" run -k "$KERNEL_CLOUD" -- true
grep -q 'CONFIG_9P_FS\|CONFIG_NET_9P' "$WORK/command.out" || fail "$(cat "$WORK/command.out")"
