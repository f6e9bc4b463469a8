#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# blk.sh: requests a second of a virtio disk, by a tiny guest (blk-guest.c) under lkvm and under QEMU:
# over MMIO beside microvm, over PCI beside q35; the same guest, image and page cache, in turn, in one
# run. The floor is the same load on the image itself (blk-tool.c), without any guest.
#
#	make O=DIR all bench && O=DIR bench/blk.sh	prints a table, as in docs/disks.md
#	ROUNDS=5 REQUESTS=1000
set -eu -o pipefail
O=$(realpath "${O:-build}")
rounds=${ROUNDS:-5} requests=${REQUESTS:-1000}
work=$(mktemp -d)
vmm=
trap '[ -z "$vmm" ] || kill -KILL "$vmm" 2>/dev/null || :; rm -rf "$work"' EXIT
guest=$O/bench/blk-guest.elf
mkfifo "$work/console"
tsc=$("$O/bench/blk-tool" tsc)
head -c 64M /dev/urandom >"$work/image"

# -arch-capabilities: KVM without hardware behind it does not take that MSR.
qemu() {
	exec qemu-system-x86_64 -accel kvm -cpu host,-arch-capabilities -m 64 -nodefaults -no-user-config \
		-display none -serial stdio -no-reboot -kernel "$guest" \
		-append "ecam=$((0xb0000000)) requests=$requests" -object iothread,id=io \
		-drive "file=$work/image,format=raw,if=none,id=d,cache=writeback,aio=io_uring" "$@"
}
lkvm() {
	exec "$O/lkvm" run --run-dir "$work/run" --nodefaults -n none -m 64 -c 1 -k "$guest" \
		-p "requests=$requests" --disk "$work/image,format=raw" --virtio-transport "$1"
}
start() {
	case $1 in
	lkvm-*) lkvm "${1#lkvm-}" ;;
	microvm)
		qemu -M microvm -global virtio-mmio.force-legacy=false \
			-device virtio-blk-device,drive=d,iothread=io,num-queues=1
		;;
	q35) qemu -M q35 -device virtio-blk-pci,disable-legacy=on,drive=d,iothread=io,num-queues=1 ;;
	esac
}

# measure WHO: adds lines "WHO CELL RATE" to $work/all.
measure() {
	local what='' cell nr ticks
	if [ "$1" = image ]; then
		"$O/bench/blk-tool" "$work/image" 0.5 | sed 's/^/image /' >>"$work/all"
		return
	fi
	(start "$1") </dev/null >"$work/console" 2>"$work/err" &
	vmm=$!
	exec 3<"$work/console"
	while read -r -t 120 what cell nr ticks <&3; do
		case $what in
		cell) echo "$1 $cell $((nr * tsc / ${ticks%$'\r'}))" >>"$work/all" ;;
		end) break ;;
		esac
	done
	exec 3<&-
	kill -KILL "$vmm" 2>/dev/null || :
	wait "$vmm" 2>/dev/null || :
	vmm=
	[[ $what = end && $ticks = '0 failed'* ]] || { echo "$1 has not measured"; cat "$work/err"; exit 1; } >&2
}

for ((round = 1; round <= rounds; round++)); do
	for who in lkvm-mmio microvm lkvm-pci q35 image; do
		measure $who
	done
	echo "round $round of $rounds" >&2
done

# The best of each: what disturbs makes it slower, nothing makes it faster.
awk '
$3 > best[$1, $2] { best[$1, $2] = $3 }
!seen[$2]++ { cell[++nr] = $2 }
END {
	print "| cell | lkvm mmio | microvm | ratio | lkvm pci | q35 | ratio | the image itself |"
	print "|---|---|---|---|---|---|---|---|"
	for (i = 1; i <= nr; i++) {
		c = cell[i]
		a = best["lkvm-mmio", c]; b = best["microvm", c]
		d = best["lkvm-pci", c]; e = best["q35", c]
		printf "| %s | %d | %d | %.2f | %d | %d | %.2f | %d |\n",
			c, a, b, a / b, d, e, d / e, best["image", c]
	}
}' "$work/all"
