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

# A 32-bit program goes 32 KiB into RAM; this one says the end only there, and turns itself off.
# words HEX...: little-endian, as the instructions of A32 are.
words() {
	local w
	for w in "$@"; do printf "\\x${w:6:2}\\x${w:4:2}\\x${w:2:2}\\x${w:0:2}"; done
}
{
	words e3a04401 e24f5008 # r4 = 0x1000000, the UART; r5 = where this is
	words e3a06102 e3866902 e3866004 e1550006 1a000005 # not 0x80008004: off
	words e28f701c # r7 = the text
	words e4d70001 e3500000 0a000001 e5c40000 eafffffa # to the UART, up to its 0
	words e3a00321 e3800008 e1400070 # off: PSCI's SYSTEM_OFF, by HVC
	printf 'EXIT: STATUS=1\n\0'
} >"$WORK/flat32"
if timeout 90s "$LKVM" run -k "$WORK/flat32" "${defaults[@]}" --aarch32 </dev/null >"$WORK/half.out" 2>"$WORK/half.err"; then
	expect_line half '^EXIT: STATUS=1$'
else
	grep -q "this host's KVM does not have it" "$WORK/half.err" || fail "--aarch32: $(cat "$WORK/half.err")"
fi
