#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Disks as the command line asks for them: as many as there can be, limits, a size that changes
# while the guest runs, and an image that another VM has.
. "$(dirname "$0")/lib.sh"

# stamped FILE: the number in its first and its last word.
stamped() { od -An -tu4 -N4 "$1"; tail -c 4 "$1" | od -An -tu4; }

# many NR: so many disks, whose guest tells them apart.
many() {
	local i disks=()
	for ((i = 0; i < $1; i++)); do
		truncate -s 64K "$WORK/$i"
		printf "\\x$(printf %x "$i")" | dd of="$WORK/$i" conv=notrunc status=none
		disks+=(--disk "$WORK/$i")
	done
	run disks.elf "${disks[@]}" -p "disks=$1"
	expect_ok
	for ((i = 0; i < $1; i++)); do
		[ "$(stamped "$WORK/$i" | tr -s ' \n' ' ')" = " $i $i " ] || fail "disk $i was not written"
	done
}
many 24
many 64
run disks.elf $(for i in $(seq 0 64); do echo --disk "$WORK/$i"; done)
[ "$status" != 0 ] || fail "65 disks were taken"
expect_err '64: more than 64 disks'

# Limits: the time that requests take at least; a tenth of a second's worth comes at once.
truncate -s 1M "$WORK/disk"
took() { sed -n 's/^took \([0-9]*\) ms$/\1/p' "$out"; }
run disks.elf --disk "$WORK/disk,iops=40" -p ops=40
expect_ok
[ "$(took)" -ge 850 ] || fail "40 requests took $(took) ms at 40 a second"
run disks.elf --disk "$WORK/disk,bps=256K" -p "ops=24 bytes=16384"
expect_ok
[ "$(took)" -ge 1300 ] || fail "384 KiB took $(took) ms at 256 KiB a second"

# Larger, while it is used; an image's own size, too.
grow() { # FILE SECTORS SECTORS
	start disks.elf --name grow --disk "$1" -p grow=1
	wait_out "^size $2\$"
	status=0
	"$LKVM" resize --disk 0 --size 512K grow 2>"$WORK/smaller" || status=$?
	[ "$status" != 0 ] && grep -q 'can only grow' "$WORK/smaller" || fail "a disk was made smaller"
	"$LKVM" resize --disk 0 --size 2M grow || fail "resize"
	reap
	expect_ok
	expect_out "^size $3\$"
}
grow "$WORK/disk" 2048 4096
[ "$(stat -c %s "$WORK/disk")" = 2097152 ] || fail "the image has not grown"
[ "$(tail -c 512 "$WORK/disk" | tr -d Z | wc -c)" = 0 ] || fail "its end was not written"
if command -v qemu-img >/dev/null; then
	qemu-img create -q -f qcow2 "$WORK/disk.qcow2" 1M
	grow "$WORK/disk.qcow2" 2048 4096
	qemu-img check -q -f qcow2 "$WORK/disk.qcow2" || fail "the grown image is not sound"
	qemu-img info "$WORK/disk.qcow2" | grep -q '2 MiB' || fail "the grown image is not 2 MiB"
fi

# One writes, or many read.
start echo.elf --name owner --disk "$WORK/disk"
owner=$vm
wait_out '^ready'
for words in "$WORK/disk" "$WORK/disk,ro"; do
	run disks.elf --disk "$words" -p write=7
	[ "$status" != 0 ] || fail "$words: two VMs have it"
	grep -q "disk $WORK/disk: in use by another process" "$err" || fail "$words: not the right words"
done
! command -v qemu-io >/dev/null || ! qemu-io -f raw -c 'write 0 512' "$WORK/disk" >/dev/null 2>&1 ||
	fail "QEMU could write to it"
kill -KILL "$owner"
reap 2>/dev/null
run disks.elf --disk "$WORK/disk" -p write=7
expect_ok
[ "$(od -An -tu4 -N4 "$WORK/disk")" -eq 7 ] || fail "nothing was written"
start echo.elf --disk "$WORK/disk,ro"
wait_out '^ready'
second=$vm
run hello.elf --disk "$WORK/disk,ro"
expect_status 0
run hello.elf --disk "$WORK/disk"
[ "$status" != 0 ] || fail "it can be written while another reads it"
vm=$second
kill -KILL "$vm"
reap 2>/dev/null
