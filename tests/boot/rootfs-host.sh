# SPDX-License-Identifier: GPL-2.0-or-later
# rootfs-host.sh KERNEL: what the host may be like: 64 MiB through the pipes, a home that
# cannot be written to, a cache that is full or damaged, a command that is not there.
# There is something to be kept of that kernel: it, or its modules, are packed.
. "$TESTS/boot/lib.sh"
KERNEL=$(kernel_of "$1")
export HOME=$WORK/home
unset XDG_CACHE_HOME
mkdir "$HOME"

head -c 64M /dev/urandom >"$WORK/data"
in_guest 0 -- sh -c 'tee /dev/stderr' <"$WORK/data"
sum=$(sha256sum <"$WORK/data")
[ "$(sha256sum <"$WORK/out")" = "$sum" ] || fail "64 MiB came back changed on stdout"
[ "$(sha256sum <"$WORK/err")" = "$sum" ] || fail "64 MiB came back changed on stderr"
rm "$WORK/data" "$WORK/out" "$WORK/err"
# Who is not read any more hears of it, as anywhere; what cannot be written is no success.
# lost STATUS COMMAND...: its output goes to this function's stdout.
lost() {
	local want=$1 status=0
	shift
	timeout "$LIMIT" "$LKVM" sandbox -k "$KERNEL" -c 1 -m 512M -- "$@" </dev/null 2>"$WORK/err" || status=$?
	[ $status = "$want" ] || fail "'$*' ended with $status, not $want: $(cat "$WORK/err")"
}
lost 141 yes | head -n 1 >"$WORK/out"
is "$WORK/out" y
lost 1 echo text >/dev/full
grep -q 'stdout: No space left on device' "$WORK/err" || fail "no word of the full disk: $(cat "$WORK/err")"
nr() { find "$1" -type f | wc -l; }
[ "$(nr "$HOME/.cache/lkvm")" -gt 0 ] || fail "nothing was kept in HOME"
step "64 MiB"

# What the last run left is cut short; the home cannot be written to.
for f in "$HOME"/.cache/lkvm/unpacked/*; do truncate -s 1000000 "$f"; done
mount --bind "$HOME" "$HOME"
mount -o remount,bind,ro "$HOME"
in_guest 1 -- false </dev/null
umount "$HOME"
# A disk that is full: no module fits in there.
mkdir "$WORK/full"
mount -t tmpfs -o size=4k none "$WORK/full"
XDG_CACHE_HOME=$WORK/full in_guest 0 -- true </dev/null
[ "$(nr "$WORK/full")" = 0 ] || fail "a piece was left on the full disk: $(find "$WORK/full" -type f)"
umount "$WORK/full"
# Two at a time, with nothing there yet.
rm -r "$HOME/.cache"
for name in one two; do
	"$LKVM" sandbox -k "$KERNEL" -c 1 -m 512M --name $name -- no-such-command $name </dev/null >"$WORK/$name.out" 2>&1 &
	VM_PID[$name]=$!
done
for name in one two; do
	wait_exit $name 127
	expect_line $name 'no-such-command: No such file'
done
