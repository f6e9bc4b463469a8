#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The unit tests once more, built with sanitizers: all of them with address and
# undefined behaviour, those with threads with the thread sanitizer, too.
# LONG=1 lets the bus and PCI crowds run for a minute.
set -eu -o pipefail
cd "$(dirname "$0")/../.."

threaded="test-bus test-pci test-loop test-chardev test-virtio-device"
[ -z "${LONG:-}" ] || export BUS_SECONDS=60 PCI_SECONDS=60

# build NAME FLAGS TARGETS...: in a build folder of its own
build() {
	local out=$WORK/$1 flags=$2
	shift 2
	make -s -j"$(nproc)" O="$out" CFLAGS="-O1 -g -fno-omit-frame-pointer $flags" \
		LDFLAGS="$flags" "$@" >"$WORK/build.log" 2>&1 ||
		{ tail -n 20 "$WORK/build.log"; echo "the build with $flags failed"; exit 1; }
}

# check NAME PROGRAM: a test that skips (77) has no complaint either
check() {
	local status=0
	timeout 600 "$WORK/$1/tests/$2" >"$WORK/test.log" 2>&1 || status=$?
	if [ $status != 0 ] && [ $status != 77 ]; then
		tail -n 40 "$WORK/test.log"
		echo "$2 failed with the $1 sanitizer"
		exit 1
	fi
	echo "$1: $2"
}

build address -fsanitize=address,undefined unit-programs
for t in "$WORK"/address/tests/unit/test-*; do
	case $t in *.[od]) ;; *) check address "unit/${t##*/}" ;; esac
done
check address conformance/conformance
# shellcheck disable=SC2086 # a list of words
build thread "-fsanitize=thread -Wno-tsan" $(printf "$WORK/thread/tests/unit/%s " $threaded) \
	"$WORK/thread/tests/conformance/conformance"
for t in $threaded; do check thread "unit/$t"; done
# Its driver writes into rings and buffers that the devices read, as hostile ones do.
printf 'race:%s\n' random_chains virtq_fetch virtq_load16 >"$WORK/suppressions"
TSAN_OPTIONS="suppressions=$WORK/suppressions" check thread conformance/conformance
