#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# blk.sh: requests a second of a virtio disk, by a tiny guest (blk-guest.c) under lkvm and under QEMU,
# with the same image and page cache (lib.sh). The floor is the same load on the image itself
# (blk-tool.c), without any guest.
#
#	make O=DIR all bench && O=DIR bench/blk.sh	prints a table, as in docs/disks.md
#	ROUNDS=5 REQUESTS=1000
set -eu -o pipefail
# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
guest=$O/bench/blk-guest.elf words=requests=${REQUESTS:-1000}
head -c 64M /dev/urandom >"$work/image"

qemu_disk() {
	device=(-object iothread,id=io -drive "file=$work/image,format=raw,if=none,id=d,cache=writeback,aio=io_uring"
		-device "$1,drive=d,iothread=io,num-queues=1")
}
lkvm_device() { device=(-n none --disk "$work/image,format=raw"); }
microvm_device() { qemu_disk virtio-blk-device; }
q35_device() { qemu_disk virtio-blk-pci,disable-legacy=on; }
floor() { "$O/bench/blk-tool" "$work/image" 0.5; }

table 'the image itself'
