#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Each fuzzer for a few seconds, from its seeds and with a fixed start, so that
# what it tries is much the same each time.  To look for more:
#	make fuzz && fuzz/fuzz-NAME -max_total_time=600 FOLDER
# tests/fuzz/seeds/NAME has an input a line, in base64; UPDATE=FOLDER, with a
# folder of inputs for each fuzzer, makes them anew.
set -eu -o pipefail
cd "$TESTS/.."
RUNS=${RUNS:-2000}

command -v clang >/dev/null || { echo "no clang"; exit 77; }
echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return !d && n; }' >"$WORK/probe.c"
clang -fsanitize=fuzzer,address,undefined -o "$WORK/probe" "$WORK/probe.c" 2>"$WORK/probe.log" ||
	{ echo "clang has no fuzzer (libclang-rt-14-dev)"; exit 77; }
make -s -j"$(nproc)" O="$O" fuzz >"$WORK/build.log" 2>&1 ||
	{ tail -n 30 "$WORK/build.log"; exit 1; }

# update NAME: the longest of those inputs that together reach what all of them reach
update() {
	mkdir -p "$WORK/merged"
	"$O/fuzz/$1" -merge=1 -close_fd_mask=3 "$WORK/merged" "$UPDATE/$1" 2>/dev/null
	find "$WORK/merged" -type f -size -4 -printf '%s %p\n' | sort -rn | sed -n 1,30p |
		while read -r _ f; do base64 -w0 "$f"; echo; done >"$TESTS/fuzz/seeds/$1"
	rm -r "$WORK/merged"
}

for f in "$TESTS"/fuzz/fuzz-*.c; do
	name=$(basename "$f" .c)
	[ -z "${UPDATE:-}" ] || update "$name"
	mkdir "$WORK/$name"
	n=0
	while read -r line; do
		n=$((n + 1))
		base64 -d <<<"$line" >"$WORK/$name/seed-$n"
	done <"$TESTS/fuzz/seeds/$name"
	nice "$O/fuzz/$name" -seed=1 -runs="$RUNS" -max_total_time=20 -timeout=120 \
		-rss_limit_mb=4000 -close_fd_mask=3 -artifact_prefix="$WORK/" "$WORK/$name" \
		>"$WORK/$name.log" 2>&1 || {
		tail -n 40 "$WORK/$name.log"
		echo "$name: the input that does it, in base64:"
		cat "$WORK"/crash-* "$WORK"/timeout-* "$WORK"/leak-* "$WORK"/oom-* 2>/dev/null | base64
		exit 1
	}
	echo "$name: $n seeds, $(sed -n 's/^Done //p' "$WORK/$name.log")"
done
