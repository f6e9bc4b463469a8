# SPDX-License-Identifier: GPL-2.0-or-later
# rootfs-kernels.sh FLAVOUR [FILES...]: that kernel of Debian's, with its modules as it
# has them (.ko.xz, a usr/lib of its own), and the host's files given in these ways
# (both); any: as lkvm likes.
. "$TESTS/boot/lib.sh"
. "$TESTS/rig/lib.sh"
KERNEL=$(kernel_of "$1")
version=$(rig_kernel_version "$1")

[ $# -gt 1 ] || set -- "$1" virtiofs 9p
for files in "${@:2}"; do
	option=(--files "$files")
	[ "$files" != any ] || option=()
	in_guest 42 ${option[@]+"${option[@]}"} -- sh -c '
		uname -r
		touch /lkvm-was-here && exit 42' </dev/null
	is "$WORK/out" "$version"
	[ ! -e /lkvm-was-here ] || fail "the guest wrote to the host"
	step "$files"
done
