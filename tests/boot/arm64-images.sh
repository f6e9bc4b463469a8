# SPDX-License-Identifier: GPL-2.0-or-later
# arm64-images.sh: kernels in all their wrappings, RAM at another place, and a flat binary by
# the options that kvm-unit-tests gives to kvmtool.
. "$TESTS/boot/lib.sh"

# comes_up NAME KERNEL [OPTION...]
comes_up() {
	local name=$1
	KERNEL_OTHER=$2 INITRD_OTHER=$INITRD_CLOUD vm_start "$name" other 'echo "VERSION $(uname -m)"' "${@:3}"
	wait_line "$name" '^VERSION aarch64'
	wait_exit "$name" 0
	step "$name"
}

"$LKVM" run --name flat --nodefaults --network mode=none --loglevel=warning --kernel "$IMAGES/flat" \
	--params "one two" --cpus 1 --mem 64 >"$WORK/flat.out" 2>&1 </dev/null || fail "flat: $?"
expect_line flat '^FLAT ok'
step "flat binary"
comes_up zboot "$IMAGES/zboot"
comes_up high "$IMAGES/Image.gz" --mem 256M@0x140000000
