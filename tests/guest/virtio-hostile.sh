#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
. "$(dirname "$0")/lib.sh"

truncate -s 64K "$WORK/disk"
run virtio-hostile.elf --rng --disk "$WORK/disk" -p mem=32
expect_ok
# What a guest can provoke does not flood the host's log.
[ "$(wc -l <"$err")" -lt 100 ] || fail "$(wc -l <"$err") lines on stderr"
