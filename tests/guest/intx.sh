#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# In four slots, for all four lines.
. "$(dirname "$0")/lib.sh"

truncate -s 64K "$WORK/disk1" "$WORK/disk2" "$WORK/disk3"
disks=()
for i in 1 2 3 4; do
	run intx.elf --rng "${disks[@]}"
	expect_ok
	grep '^#' "$out"
	disks+=(--disk "$WORK/disk$i")
done
