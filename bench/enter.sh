#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# enter.sh [ROUNDS]: from Enter to the first line of a command in a guest that has this
# host's files for its root, and to the end of it: lkvm with nothing cached and with all
# of it, by virtio-fs and by 9P, and QEMU with the same kernel, drivers, memory and
# 9P.  All in turn, ROUNDS times (3); the medians, in milliseconds.  "host" is lkvm's own
# part: until the vCPUs start.
#
#	make && bench/enter.sh
#	tests/rig/boot env LKVM=$PWD/lkvm bench/enter.sh	# where only the rig runs Linux
#
# Environment: LKVM (./lkvm), FLAVOUR of Debian's kernels (generic).
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../tests/rig/lib.sh"
LKVM=$(realpath "${LKVM:-$here/../lkvm}") rounds=${1:-3} flavour=${FLAVOUR:-generic}
"$RIG_DIR/fetch" "$flavour"
kernel=$(rig_kernel_image "$flavour")
initrd=$("$RIG_DIR/guest-initrd" "$flavour")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LKVM_RUN_DIR=$work/run XDG_CACHE_HOME=$work/cache

now() { echo $((${EPOCHREALTIME/./} / 1000)); }

# timed NAME COMMAND...: adds to $work/NAME.{host,line,end}.
timed() {
	local name=$1 start line
	shift
	start=$(now)
	while IFS= read -r line; do
		case $line in
		*'Debug: the guest starts'*) echo $(($(now) - start)) >>"$work/$name.host" ;;
		*FIRST-LINE*) echo $(($(now) - start)) >>"$work/$name.line" ;;
		esac
	done < <(timeout 120 "$@" </dev/null 2>&1)
	echo $(($(now) - start)) >>"$work/$name.end"
}

lkvm() { timed "$1" "$LKVM" run --debug -k "$kernel" -c 1 -m 512M -n none --files "$2" -- sh -c "echo FIRST-LINE"; }
lkvm_cold() {
	rm -rf "$work/cache"
	lkvm "$1" "$2"
}

script='
need 9p
mkdir -p /host /rw /new
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro root /host
mount -t tmpfs tmpfs /rw
mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/host,upperdir=/rw/upper,workdir=/rw/work root /new
exec chroot /new /bin/sh -c "echo FIRST-LINE"
'
# qemu NAME MACHINE 9P-DEVICE WORDS: no reboot, so that one is the end.
qemu() {
	timed "$1" qemu-system-x86_64 -accel kvm -cpu host -smp 1 -m 512M -M "$2" -nodefaults \
		-no-user-config -display none -no-reboot -serial stdio -kernel "$kernel" -initrd "$initrd" \
		-fsdev local,id=root,path=/,security_model=none,readonly=on,multidevs=remap \
		-device "$3,fsdev=root,mount_tag=root" \
		-append "console=ttyS0 quiet lkvm.end=reboot $4 lkvm.run=$(printf %s "$script" | base64 -w0)"
}

for ((i = 0; i < rounds; i++)); do
	lkvm_cold cold virtiofs
	lkvm virtiofs virtiofs
	lkvm 9p 9p
	qemu microvm microvm,rtc=on virtio-9p-device reboot=t
	qemu q35 q35 virtio-9p-pci reboot=k
done

median() { [ ! -s "$work/$1" ] && echo - || sort -n "$work/$1" | sed -n "$(((rounds + 1) / 2))p"; }
row() { printf '| %s | %s | %s | %s |\n' "$2" "$(median "$1.host")" "$(median "$1.line")" "$(median "$1.end")"; }
printf '| %s, %s rounds | host | first line | end |\n| --- | --- | --- | --- |\n' \
	"$(rig_kernel_version "$flavour")" "$rounds"
row cold 'lkvm, nothing cached'
row virtiofs 'lkvm, virtio-fs'
row 9p 'lkvm, 9P'
row microvm 'QEMU microvm, 9P'
row q35 'QEMU q35, 9P'
