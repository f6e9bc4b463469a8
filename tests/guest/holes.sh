#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Holes read all ones; the two debugging options name them, and only they do.
. "$(dirname "$0")/lib.sh"

run holes.elf
expect_ok
expect_out '^ok string output$'
! grep -qi 'nobody' "$err" || fail "holes are logged without being asked for"

run holes.elf --debug-ioport --debug-mmio
expect_ok
expect_err '0x1234'
expect_err '0x40000000'
