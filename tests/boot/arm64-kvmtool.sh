# SPDX-License-Identifier: GPL-2.0-or-later
# arm64-kvmtool.sh: what the scripts of kvm-unit-tests do with kvmtool, done with lkvm: how they know it,
# how they tell a kernel that is not there, the options that they give, its exit status and streams.
. "$TESTS/boot/lib.sh"
defaults=(--nodefaults --network mode=none --loglevel=warning)

"$LKVM" --help | grep -q 'The most commonly used' || fail "not known by its help"
refuses "$LKVM" run "${defaults[@]}" --kernel _NO_FILE_4Uhere_
grep -q 'Fatal: Unable to open kernel _NO_FILE_4Uhere_' "$WORK/command.out" ||
	fail "a missing kernel: $(cat "$WORK/command.out")"

# runs NAME ARGUMENT...: ended by the guest, with status 0 and nothing on stderr.
runs() {
	local name=$1 status=0
	shift
	timeout -k 1s --foreground 90s "$LKVM" run "$@" >"$WORK/$name.out" 2>"$WORK/$name.err" </dev/null || status=$?
	[ $status = 0 ] || fail "$*: status $status: $(cat "$WORK/$name.err")"
	[ ! -s "$WORK/$name.err" ] || fail "$*: $(cat "$WORK/$name.err")"
	expect_line "$name" '^EXIT: STATUS=1$'
}
printf 'KERNEL_VERSION=6\nTARGET=kvmtool\n' >"$WORK/env"
runs setup --kernel "$IMAGES/flat" "${defaults[@]}" --cpus 2 --mem 256 --params "setup smp=2 mem=256" \
	--initrd "$WORK/env"
expect_line setup '^EL 1$'
expect_line setup '^CPUS 2$'
expect_line setup '^MIB 256$'
expect_line setup '^ARGS setup smp=2 mem=256$'
expect_line setup '^TARGET=kvmtool$'
for option in --pmu --irqchip=gicv3 "--irqchip gicv3-its" "-c 4" "-m 64" --force-pci --disable-mte; do
	# shellcheck disable=SC2086 # words
	runs option -k "$IMAGES/flat" -p "" "${defaults[@]}" $option
	expect_line option '^ARGS $'
done
# Arguments may be missing altogether.
runs bare --kernel "$IMAGES/flat" "${defaults[@]}"
