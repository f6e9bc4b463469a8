#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
. "$(dirname "$0")/lib.sh"

truncate -s 1M "$WORK/disk"
run pci-config.elf --rng --disk "$WORK/disk" -p devices=2
expect_ok

# More devices than slots: the rest become functions 1, 2, ..
disks=()
for i in $(seq 36); do
	truncate -s 64K "$WORK/disk$i"
	disks+=(--disk "$WORK/disk$i")
done
run pci-config.elf "${disks[@]}" -p devices=36
expect_ok
expect_out '^ok 01\.1: both doors agree'
