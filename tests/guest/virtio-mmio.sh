#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
. "$(dirname "$0")/lib.sh"

run virtio-mmio.elf --rng --virtio-transport mmio -p version=2
expect_ok
[ "$(wc -l <"$err")" -lt 100 ] || fail "$(wc -l <"$err") lines on stderr"
run virtio-mmio.elf --rng --virtio-transport mmio-legacy -p version=1
expect_ok
[ "$(wc -l <"$err")" -lt 100 ] || fail "$(wc -l <"$err") lines on stderr"
