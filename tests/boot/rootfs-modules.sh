# SPDX-License-Identifier: GPL-2.0-or-later
# rootfs-modules.sh FLAVOUR OTHER IMAGE: that kernel of Debian's with the other's modules, with none
# for overlay, and as it lies in the tree that it was built in, at IMAGE.
. "$TESTS/boot/lib.sh"
. "$TESTS/rig/lib.sh"
VERB=run
KERNEL=$(kernel_of "$1")
root=$(rig_kernel_root "$1") version=$(rig_kernel_version "$1") other=$(rig_kernel_version "$2")
of_other=$(rig_kernel_root "$2")/lib/modules/$other
image=$3

# wants STATUS REGEX OPTION...: does not start, and says why.
wants() {
	local regex=$2
	in_guest "$1" "${@:3}" -- true </dev/null
	grep -qE -- "$regex" "$WORK/err" || fail "no '$regex' in: $(cat "$WORK/err")"
}
wants 2 "modules in $of_other are for $other, kernel .* is $version" --modules "$of_other"
wants 2 '--modules /nonexistent: no modules for kernel' --modules /nonexistent
step "other modules"

# As depmod would have it if overlay were not there.
mkdir "$WORK/no-overlay"
ln -s "$root/lib/modules/$version/kernel" "$WORK/no-overlay/kernel"
cp "$root/lib/modules/$version/modules.builtin" "$WORK/no-overlay/"
sed '/overlay\.ko/d' "$root/lib/modules/$version/modules.dep" >"$WORK/no-overlay/modules.dep"
wants 1 'lacks CONFIG_OVERLAY_FS, .* has no module .overlay' --modules "$WORK/no-overlay"
written=$(mktemp /var/tmp/lkvm-test.XXXXXX) # not below /run or /tmp, which are the guest's own
trap 'rm -f "$written"' EXIT
in_guest 7 --modules "$WORK/no-overlay" --rw -- sh -c 'echo kept >"$1"; exit 7' sh "$written" </dev/null
is "$written" kept
# As if it were built in, which it is not: the guest's init finds out.
echo kernel/fs/overlayfs/overlay.ko >>"$WORK/no-overlay/modules.builtin"
in_guest 255 --modules "$WORK/no-overlay" -- true </dev/null
grep -q 'lkvm: the kernel lacks CONFIG_OVERLAY_FS, or its modules' "$WORK/err" || fail "$(cat "$WORK/err")"
step "no overlay"

# A folder in which a kernel was built: no list of depmod's.
mkdir -p "$WORK/tree/${image%/*}"
ln -s "$root/lib/modules/$version"/{kernel,modules.order,modules.builtin} "$WORK/tree/"
cp "$KERNEL" "$WORK/tree/$image"
cd "$WORK/tree/arch"/*
status=0
timeout "$LIMIT" "$LKVM" run -c 1 -m 512M -- uname -r </dev/null >"$WORK/out" 2>"$WORK/err" || status=$?
[ $status = 0 ] || fail "in a build tree: $status, $(cat "$WORK/err")"
is "$WORK/out" "$version"
