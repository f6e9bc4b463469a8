# SPDX-License-Identifier: GPL-2.0-or-later
# modules.sh: what goes into a rootfs guest's initramfs is what libkmod would load
# for its drivers, in an order in which it could: `modprobe --show-depends` of each
# of Debian's kernels that the cache holds.  No guest is started.
. "$TESTS/cli/lib.sh"
. "$TESTS/rig/lib.sh"
export XDG_CACHE_HOME=$WORK/cache

# ours OPTION...: what lkvm takes for that kernel.
ours() {
	"$LKVM" run --dev /nonexistent --debug -k "$kernel" "$@" -- true >"$WORK/out" 2>&1 &&
		fail "it ran without a KVM device"
	grep -q 'nonexistent: No such file' "$WORK/out" || fail "$flavour: $(cat "$WORK/out")"
	sed -n 's/.*modules of .*: //p' "$WORK/out" | tr ' ' '\n'
}

# check FILES DRIVER...: that kernel, with its files given in that way.
check() {
	local files=$1
	shift
	ours --files "$files" >"$WORK/ours"
	rig_modules "$root" "$version" virtio_pci virtio_mmio virtio_console "$@" overlay virtio_net \
		virtio_blk virtio_rng | sed 's|.*/||; s/\.ko.*//' | tr - _ | sort -u >"$WORK/theirs"
	diff "$WORK/theirs" <(sort "$WORK/ours") || fail "$flavour, $files: not the modules that modprobe would load"
	# depmod's list has all that a module needs, however indirectly.
	awk 'function name(path) { sub(/.*\//, "", path); sub(/\.ko.*/, "", path); gsub(/-/, "_", path); return path }
	NR == FNR { at[$1] = NR; next }
	{
		split($0, half, ":")
		module = name(half[1])
		if (!(module in at)) next
		n = split(half[2], need, " ")
		for (i = 1; i <= n; i++)
			if (!(name(need[i]) in at) || at[name(need[i])] > at[module]) {
				print module " comes before " name(need[i]) ", which it needs"
				bad = 1
			}
	}
	END { exit bad }' "$WORK/ours" "$root/lib/modules/$version/modules.dep" || fail "$flavour, $files"
	nr=$((nr + 1))
}

nr=0
for flavour in "${!RIG_FLAVOURS[@]}"; do
	root=$(rig_kernel_root "$flavour")
	[ -d "$root/" ] && [ "$flavour" != armhf ] || continue # which no lkvm takes for rootfs guests
	version=$(rig_kernel_version "$flavour") kernel=$(rig_kernel_image "$flavour")
	case $flavour in
	*cloud) ;;
	*) check 9p 9pnet_virtio 9p ;;
	esac
	check virtiofs virtiofs
	[ $flavour = cloud ] || continue
	# From wherever the modules are said to be.
	for dir in "$root" "$root/lib/modules" "$root/lib/modules/$version"; do
		ours --files virtiofs --modules "$dir" | diff "$WORK/ours" - || fail "--modules $dir: others"
	done
done
[ $nr -gt 0 ] || { echo "no kernels in $RIG_CACHE: tests/rig/fetch brings them"; exit 77; }
echo "$nr sets of modules"
