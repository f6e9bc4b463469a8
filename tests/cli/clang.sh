#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The other compiler, whose warnings are errors, too; not optimised, for we only listen to it.
set -eu -o pipefail
cd "$(dirname "$0")/../.."

make -s -j"$(nproc)" O="$WORK/clang" CC=clang CFLAGS=-O0 WERROR=1 all >"$WORK/build.log" 2>&1 ||
	{ grep -E -A5 'error|warning' "$WORK/build.log" || tail -n 20 "$WORK/build.log"; exit 1; }
! grep -A5 warning "$WORK/build.log"
"$WORK/clang/lkvm" version
