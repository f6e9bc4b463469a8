#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
. "$(dirname "$0")/lib.sh"

seq -f %015.0f 0 65535 >"$WORK/disk"
cp "$WORK/disk" "$WORK/before"
run bar-move.elf --disk "$WORK/disk" --rng
expect_ok
cmp "$WORK/disk" "$WORK/before" || fail "the disk was only read, yet it changed"
