#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The smallest and the largest of machines, and RAM of huge pages.
. "$(dirname "$0")/lib.sh"

for size in 64M 5G 300G; do
	run hello.elf -m $size
	expect_ok
	expect_out '^hello by boot_params$'
done

run hello.elf -m 64M -c 512
expect_ok

# Huge pages are the host's to give; too few, or none, is an error that says so.
huge=$WORK/huge
pages=/proc/sys/vm/nr_hugepages
run hello.elf -m 64M --hugetlbfs "$WORK"
[ "$status" != 0 ] || fail "a folder that is no hugetlbfs was taken"
expect_err "$WORK"
mkdir "$huge"
if [ -w $pages ] && mount -t hugetlbfs none "$huge" 2>/dev/null; then
	before=$(cat $pages)
	end() {
		echo "$before" >$pages
		umount "$huge"
	}
	echo 40 >$pages
	if [ "$(cat $pages)" = 40 ]; then
		run hello.elf -m 64M --hugetlbfs "$huge"
		[ "$status" = 0 ] || { end; fail "RAM of huge pages: status $status"; }
		run hello.elf -m 128M --hugetlbfs "$huge"
		[ "$status" != 0 ] || { end; fail "more huge pages than there are"; }
	fi
	end
fi
