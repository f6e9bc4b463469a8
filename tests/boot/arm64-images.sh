# SPDX-License-Identifier: GPL-2.0-or-later
# arm64-images.sh: kernels in all their wrappings, and RAM at another place.
. "$TESTS/boot/lib.sh"

# comes_up NAME KERNEL [OPTION...]
comes_up() {
	local name=$1
	KERNEL_OTHER=$2 INITRD_OTHER=$INITRD_CLOUD vm_start "$name" other 'echo "VERSION $(uname -m)"' "${@:3}"
	wait_line "$name" '^VERSION aarch64'
	wait_exit "$name" 0
	step "$name"
}

comes_up zboot "$IMAGES/zboot"
comes_up high "$IMAGES/Image.gz" --mem 256M@0x140000000
