# SPDX-License-Identifier: GPL-2.0-or-later
# `make demo` without a terminal: a transcript of a guest, and status 0.
set -eu -o pipefail
cd "$TESTS/.."
env -u MAKEFLAGS -u MAKELEVEL make --no-print-directory O="$O" demo </dev/null >"$WORK/out" 2>&1 ||
	{ cat "$WORK/out"; exit 1; }
cat "$WORK/out"
grep -q '^Linux .*cloud-amd64' "$WORK/out"
grep -q 'the sum is 42' "$WORK/out"
