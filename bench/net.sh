#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# net.sh: frames a second of a virtio NIC, by a tiny guest (net-guest.c) under lkvm and under QEMU
# (lib.sh), on a tap in a network namespace of its own; neither with vhost. On the tap's other side
# is net-tool.c, by a packet socket. The floor is the same by reads and writes of the tap itself.
#
#	make O=DIR all bench && O=DIR bench/net.sh	prints a table, as in docs/networking.md; needs root
#	ROUNDS=5 FRAMES=50000
set -eu -o pipefail
[ -n "${LKVM_BENCH_NET-}" ] || LKVM_BENCH_NET=1 exec unshare -n "$0"
# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
frames=${FRAMES:-50000} tap=bench0 server= sent='' came=0
guest=$O/bench/net-guest.elf words=frames=$frames
ip tuntap add dev $tap mode tap vnet_hdr
echo 1 >/proc/sys/net/ipv6/conf/$tap/disable_ipv6 # whose multicasts would be counted
ip link set $tap up

qemu_nic() {
	device=(-netdev "tap,id=n,ifname=$tap,script=no,downscript=no,vhost=off" -device "$1,netdev=n")
}
lkvm_device() { device=(--network "tapif=$tap"); }
microvm_device() { qemu_nic virtio-net-device; }
q35_device() { qemu_nic virtio-net-pci,disable-legacy=on,romfile=; }
floor() { "$O/bench/net-tool" floor $tap "$frames"; }
came() { awk -v tap=$tap: '$1 == tap { print $3 }' /proc/net/dev; }
before() {
	came=$(came)
	coproc "$O/bench/net-tool" serve $tap
	server=$COPROC_PID
	read -r -t 20 <&"${COPROC[0]}"
}
# The guest says how many frames it has sent: none of them may be lost.
note() { [ "$1" != sent ] || sent=$2; }
after() {
	[ -z "$server" ] || { kill "$server" && wait "$server" 2>/dev/null; } || :
	server=
	[ -z "$sent" ] || [ $(($(came) - came)) = "$sent" ] || {
		echo "$(($(came) - came)) frames came of $sent"
		exit 1
	} >&2
	sent=
}

table 'the tap itself'
