# SPDX-License-Identifier: GPL-2.0-or-later
# rootfs.sh: a stock kernel with the host's files for its root: commands with
# their own streams and exit status, in a copy that is thrown away.
. "$TESTS/boot/lib.sh"

# Binary data through both pipes; no network; writes do not reach the host, not
# even those to the share itself (tests/unit has 9P's word for that).
again=
[ ! -x /usr/lib/qemu/virtiofsd ] || again='
	mkdir /tmp/again && mount -t virtiofs lkvm-root /tmp/again && mount -o remount,rw lkvm-root /tmp/again
	touch /tmp/again/lkvm-was-here 2>&1 | grep -o "Read-only.*" >&2'
head -c 4M /dev/urandom >"$WORK/data"
in_guest 42 --log "$WORK/log" -p loglevel=6 -- sh -c '
	cat
	ls /sys/class/net >&2'"$again"'
	touch /lkvm-was-here && test -e /lkvm-was-here && exit 42' <"$WORK/data"
cmp "$WORK/data" "$WORK/out" || fail "data came back changed"
is "$WORK/err" "lo${again:+$'\n'Read-only file system}"
[ ! -e /lkvm-was-here ] || fail "the guest wrote to the host"
# The kernel's messages are not the command's.
grep -q 'Linux version' "$WORK/log" || fail "--log: no kernel messages in there"
step "data"

# By 9P; a folder that is shared writable is, one that is shared read-only is there and
# no more; the user and the folder are as asked for.
mkdir -m 777 "$WORK/shared" "$WORK/shown"
echo shown >"$WORK/shown/file"
in_guest 137 --files 9p --rwdir "$WORK/shared" --rodir "$WORK/shown" --user 65534:7 --cwd "$WORK/shared" -- \
	sh -c 'pwd; id -u; id -g; cat ../shown/file; echo text >file; echo no 2>/dev/null >../shown/new; kill -9 $$' </dev/null
is "$WORK/out" "$WORK/shared"$'\n65534\n7\nshown'
is "$WORK/shared/file" text
[ "$(ls "$WORK/shown")" = file ] || fail "the guest wrote to a folder of --rodir"
step "shared folder"

# What cannot work says why.
refuses "$LKVM" run -k "$KERNEL_GENERIC" --modules /nonexistent -- true
grep -q -- '--modules /nonexistent' "$WORK/command.out" || fail "$(cat "$WORK/command.out")"
refuses "$LKVM" run -k "$KERNEL_CLOUD" --files 9p -- true
grep -q 'CONFIG_9P_FS\|CONFIG_NET_9P' "$WORK/command.out" || fail "$(cat "$WORK/command.out")"
