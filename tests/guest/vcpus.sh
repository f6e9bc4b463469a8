#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
. "$(dirname "$0")/lib.sh"

for n in 1 2 3 4 5 6 7 8; do
	run vcpus.elf --cpus $n -p cpus=$n
	expect_ok
done
