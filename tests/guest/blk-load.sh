#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# lkvm is killed in the middle of a write load, again and again: the image is sound each time,
# qemu-img finds no error in it, and what the guest had flushed is there.
. "$(dirname "$0")/lib.sh"
lives=${LIVES:-4}

# check IMAGE: sound, but for clusters that leaked when a commit was cut off.
check() {
	local code=0
	qemu-img check -f qcow2 "$1" >"$WORK/check" 2>&1 || code=$?
	[ $code = 0 ] || [ $code = 3 ] || { cat "$WORK/check"; fail "$1: qemu-img check says $code"; }
	leaks=$((leaks + (code == 3)))
}

said_flushed() { [ "$(grep -c '^flushed' "$out")" -ge "$1" ] || gone "$vm"; }

# torture IMAGE [OPTION]: ends with one life that comes to its end.
torture() {
	local image=$1 words='' flushed life
	leaks=0
	for ((life = 0; life < lives; life++)); do
		start blk-load.elf --disk "$image$2" -p "life=$life $words"
		# From a moment on that nobody knows.
		wait_for said_flushed $((1 + RANDOM % 5)) || fail "no load"
		sleep "0.$((RANDOM % 10))$((RANDOM % 10))"
		gone "$vm" && fail "the guest ended by itself"
		kill -KILL "$vm"
		reap 2>/dev/null # the shell would tell of each
		! grep -q '^not ok' "$out" || fail "life $life of $image: something is lost"
		! grep -qv '^Info: .*: was not closed; counting its clusters anew$' "$err" ||
			fail "lkvm complains"
		flushed=$(sed -n 's/^flushed //p' "$out" | tail -n 1)
		words+=" h$life=$flushed"
		[ "${image%.raw}" != "$image" ] || check "$image"
	done
	run blk-load.elf --disk "$image$2" -p "life=$lives generations=3 $words"
	expect_ok
	expect_out '^ok all that was flushed is there'
	echo "${image##*/}:$words, leaks after $leaks of $lives"
}

truncate -s 24M "$WORK/plain.raw"
qemu-img create -q -f qcow2 "$WORK/default.qcow2" 24M
qemu-img create -q -f qcow2 -o compat=0.10 "$WORK/old.qcow2" 24M
# Many tables, and refcounts that take a cluster each few MiB.
qemu-img create -q -f qcow2 -o cluster_size=4096,refcount_bits=64 "$WORK/small.qcow2" 24M
for image in plain.raw default.qcow2 old.qcow2 small.qcow2; do
	torture "$WORK/$image" ",queues=2"
	[ "$image" = plain.raw ] || qemu-img check -q -f qcow2 "$WORK/$image" ||
		fail "$image is not clean after an orderly end"
done
