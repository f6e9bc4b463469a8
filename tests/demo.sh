#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# demo.sh: from a fresh Debian 12 to a Linux guest under lkvm.  Installs what is
# missing, builds, fetches a Debian kernel, and boots it to a shell on the serial
# console.  Without a terminal it runs a few commands in the guest, powers it
# off, and prints the transcript.
# Environment: O, the build folder (the source's).
set -eu -o pipefail

tests=$(cd "$(dirname "$0")" && pwd)
. "$tests/rig/lib.sh"
O=$(realpath -m "${O:-$tests/..}")
LKVM=$O/lkvm
cd "$tests/.."

"$tests/rig/install"
MAKEFLAGS='' make -s O="$O" all >&2
"$tests/rig/fetch" generic cloud
initrd=$("$tests/rig/guest-initrd" cloud)

words=quiet
terminal=no
if [ -t 0 ] && [ -t 1 ]; then
	terminal=yes
	echo "The guest's shell follows; 'exit' powers it off, Ctrl-a x leaves." >&2
else
	words+=" lkvm.run=$(base64 -w0 <<-'END'
		set -x
		uname -a
		nproc
		free -m | head -n 2
		cat /sys/class/net/eth0/address
		echo "the sum is $((6 * 7))"
	END
	)"
fi
run=("$LKVM" run --name demo -k "$(rig_kernel_image cloud)" -i "$initrd" -c 2 -m 256M
	--network user --rng -p "$words")

# An ordinary user may lack the right to open /dev/kvm.
if [ "$(rig_kvm_kind)" = none ] && [ -e /dev/kvm ] && [ "$(id -u)" != 0 ] &&
	grep -qwE 'vmx|svm' /proc/cpuinfo && command -v sudo >/dev/null; then
	rig_say "rig: /dev/kvm is root's here: using sudo"
	run=(sudo "${run[@]}")
elif ! rig_is_direct; then
	if [ $terminal = yes ]; then
		run=("$tests/rig/boot" --terminal --timeout 36000 -- "${run[@]}")
	else
		run=("$tests/rig/boot" --timeout 500 -- "${run[@]}")
	fi
fi
if [ $terminal = yes ]; then
	exec "${run[@]}"
fi

transcript=$(mktemp)
trap 'rm -f "$transcript"' EXIT
status=0
timeout -k 10 550 "${run[@]}" </dev/null | tr -d '\r' | tee "$transcript" || status=$?
if [ $status != 0 ] || ! grep -q '^GUEST status 0' "$transcript"; then
	rig_say "demo: the guest did not get through (status $status)"
	exit 1
fi
