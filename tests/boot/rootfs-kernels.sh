# SPDX-License-Identifier: GPL-2.0-or-later
# rootfs-kernels.sh FLAVOUR: that kernel of Debian's, with its modules as it has
# them (.ko.xz, a usr/lib of its own).  The modules that go in are those that
# modprobe would load.
. "$TESTS/boot/lib.sh"
. "$TESTS/rig/lib.sh"
KERNEL=$(kernel_of "$1")
root=$(rig_kernel_root "$1") version=$(rig_kernel_version "$1")

in_guest 42 --debug -- sh -c 'uname -r; exit 42' </dev/null
is "$WORK/out" "$version"
sed -n 's/.*modules of .*: //p' "$WORK/err" | tr ' ' '\n' | sort >"$WORK/ours"
[ -s "$WORK/ours" ] || fail "--debug does not tell the modules"
rig_modules "$root" "$version" virtio_pci virtio_mmio virtio_console 9pnet_virtio 9p overlay \
	virtio_net virtio_blk virtio_rng |
	sed 's|.*/||; s/\.ko.*//' | tr - _ | sort -u >"$WORK/theirs"
diff "$WORK/theirs" "$WORK/ours" || fail "not the modules that modprobe would load"
