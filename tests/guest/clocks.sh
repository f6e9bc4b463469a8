#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
. "$(dirname "$0")/lib.sh"

run clocks.elf -p "now=$(date +%s)"
expect_ok
grep '^#' "$out"
