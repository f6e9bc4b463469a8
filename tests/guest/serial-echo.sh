#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Input from a pipe arrives complete and in order; its end costs no CPU time.
. "$(dirname "$0")/lib.sh"

seq -f '%09.0f' 1 1024 >"$WORK/text"		# 10 KiB
mkfifo "$WORK/pipe"
{ cat "$WORK/text"; sleep 2; } >"$WORK/pipe" &
input=$WORK/pipe start echo.elf
wait_out '^ready$'
wait_out '^000001024$'
{ echo ready; cat "$WORK/text"; } | cmp - "$out" || fail "the echo is not what was sent"

wait %1						# the writer has gone: end of file
sleep 0.5
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$vm/stat"; }
before=$(cpu_ticks)
sleep 2
used=$(($(cpu_ticks) - before))
[ "$used" -lt 20 ] || fail "$used ticks of CPU time in 2 s after the end of the input"
kill -0 "$vm" || fail "the end of the input ended the VM"
kill "$vm"
reap
expect_status 0

# From a file, and the guest ends while input is left.
{ echo hello; printf '\004'; cat "$WORK/text"; } >"$WORK/file"
input=$WORK/file start echo.elf
reap
expect_status 0
expect_out '^hello$'
