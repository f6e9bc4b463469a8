# SPDX-License-Identifier: GPL-2.0-or-later
# rootfs-host.sh: what the host may be like: 64 MiB through the pipes, a cache
# that cannot be written, is full or damaged, an ordinary user, hostfwd.
. "$TESTS/boot/lib.sh"
export XDG_CACHE_HOME=$WORK/cache

head -c 64M /dev/urandom >"$WORK/data"
in_guest 0 -- sh -c 'tee /dev/stderr' <"$WORK/data"
sum=$(sha256sum <"$WORK/data")
[ "$(sha256sum <"$WORK/out")" = "$sum" ] || fail "64 MiB came back changed on stdout"
[ "$(sha256sum <"$WORK/err")" = "$sum" ] || fail "64 MiB came back changed on stderr"
rm "$WORK/data" "$WORK/out" "$WORK/err"
nr() { find "$1" -type f | wc -l; }
[ "$(nr "$WORK/cache")" -gt 0 ] || fail "nothing was kept in $XDG_CACHE_HOME"
step "64 MiB"

# What the last run left is cut short; the folder cannot be written to.
for f in "$WORK"/cache/lkvm/unpacked/*; do truncate -s 1000000 "$f"; done
mount --bind "$WORK/cache" "$WORK/cache"
mount -o remount,bind,ro "$WORK/cache"
in_guest 1 -- false </dev/null
umount "$WORK/cache"
# A disk that is full, and a home that is not there.
mkdir "$WORK/full"
mount -t tmpfs -o size=1M none "$WORK/full"
XDG_CACHE_HOME=$WORK/full in_guest 0 -- true </dev/null
[ "$(nr "$WORK/full")" = 0 ] || fail "a piece was left on the full disk: $(find "$WORK/full" -type f)"
umount "$WORK/full"
# Two at a time, with nothing there yet.
rm -r "$WORK/cache"
for name in one two; do
	"$LKVM" sandbox -k "$KERNEL_GENERIC" -c 1 -m 512M --name $name -- echo $name </dev/null >"$WORK/$name.out" 2>&1 &
	VM_PID[$name]=$!
done
for name in one two; do wait_exit $name 0; is "$WORK/$name.out" $name; done
step "cache"

# Without root: a network, a way in, and what is written belongs to the user.
chmod 755 "$WORK"
mkdir -m 777 "$WORK/user"
cp "$LKVM" "$WORK/lkvm"
cp "$KERNEL_GENERIC" "$WORK/kernel"
chmod 644 "$WORK/kernel"
env -C "$WORK/user" HOME="$WORK/user" LKVM_RUN_DIR="$WORK/user/run" XDG_CACHE_HOME= \
	setpriv --reuid 1000 --regid 1000 --clear-groups --bounding-set=-all \
	"$WORK/lkvm" run -k "$WORK/kernel" -c 1 -m 512M --rwdir "$WORK/user" \
	--network user,hostfwd=tcp:127.0.0.1:2222-:22 -- \
	sh -c 'echo text >file; id -u; echo hello | socat - TCP-LISTEN:22' </dev/null >"$WORK/nonroot.out" 2>&1 &
VM_PID[nonroot]=$!
answer() { socat -T 30 -u TCP:127.0.0.1:2222 - >"$WORK/answer" 2>/dev/null && grep -q hello "$WORK/answer"; }
wait_for answer
wait_exit nonroot 0
[ "$(stat -c %u "$WORK/user/file")" = 1000 ] || fail "the file is not the user's"
[ "$(nr "$WORK/user/.cache/lkvm")" -gt 0 ] || fail "nothing was kept in HOME/.cache"
