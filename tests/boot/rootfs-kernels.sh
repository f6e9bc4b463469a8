# SPDX-License-Identifier: GPL-2.0-or-later
# rootfs-kernels.sh FLAVOUR: that kernel of Debian's, with its modules as it has
# them (.ko.xz, a usr/lib of its own): by virtio-fs and by 9P.
. "$TESTS/boot/lib.sh"
. "$TESTS/rig/lib.sh"
KERNEL=$(kernel_of "$1")
version=$(rig_kernel_version "$1")

for files in virtiofs 9p; do
	in_guest 42 --files $files -- sh -c 'uname -r; exit 42' </dev/null
	is "$WORK/out" "$version"
	step "$files"
done
