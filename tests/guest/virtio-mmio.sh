#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
. "$(dirname "$0")/lib.sh"

run virtio-mmio.elf --rng --virtio-transport mmio -p version=2
expect_ok
[ "$(wc -l <"$err")" -lt 100 ] || fail "$(wc -l <"$err") lines on stderr"
run virtio-mmio.elf --rng --virtio-transport mmio-legacy -p version=1
expect_ok
[ "$(wc -l <"$err")" -lt 100 ] || fail "$(wc -l <"$err") lines on stderr"

# Without ACPI the command line is the only place where Linux finds them; the machine cannot power off.
truncate -s 64K "$WORK/disk"
: >"$out" >"$err"
"$LKVM" run --network none --mem 32 --cpus 1 --no-acpi --kernel "$GUESTS/virtio-mmio.elf" --rng --disk "$WORK/disk" \
	--virtio-transport mmio -p "version=2 announced=2" </dev/null >"$out" 2>"$err" &
vm=$!
wait_out '^end '
expect_out '^end [0-9]+ passed, 0 failed'
expect_out '^ok 2 devices are announced'
kill -KILL "$vm"
reap 2>/dev/null
