# SPDX-License-Identifier: GPL-2.0-or-later
# arm64-bad.sh IRQCHIP: bad input is refused, in one line that names what was typed. The
# host lacks that interrupt controller.
. "$TESTS/boot/lib.sh"

# bad WORDS OPTION...: refused in one line that matches.
bad() {
	local words=$1 status=0
	shift
	timeout 60 "$LKVM" run --name bad -m 256M -n none -i "$INITRD_CLOUD" "$@" >"$WORK/bad.out" 2>&1 </dev/null || status=$?
	[ $status != 0 ] || fail "accepted: $*"
	[ "$(wc -l <"$WORK/bad.out")" = 1 ] || fail "not one line: $*: $(cat "$WORK/bad.out")"
	grep -qE -- "$words" "$WORK/bad.out" || fail "$* says $(cat "$WORK/bad.out")"
}

bad "irqchip $1: .*does not have" -k "$KERNEL_CLOUD" --irqchip "$1"
[ "$1" != gicv3 ] || { bad "irqchip gicv3-its: .*does not have" -k "$KERNEL_CLOUD" --irqchip gicv3-its; exit 0; }

# An access that cannot be passed on fails in the guest; it does not end the machine.
status=0
timeout 60 "$LKVM" run --name nisv -k "$IMAGES/nisv" -m 64M -n none >"$WORK/nisv.out" 2>&1 </dev/null || status=$?
[ $status = 0 ] || fail "nisv: status $status"
expect_line nisv 'vCPU 0: the guest accessed a device at 0x1000000 by an instruction'
expect_line nisv '^ABORT 37 at 16777216$'

head -c 1000000 "$KERNEL_CLOUD" >"$WORK/truncated"
head -c 1000000 "$IMAGES/Image.gz" >"$WORK/truncated.gz"
head -c 1000000 "$IMAGES/zboot" >"$WORK/truncated.zboot"
truncate -s 3M "$WORK/flash3"
truncate -s 32M "$WORK/flash32"
: >"$WORK/empty"
bad "kernel $WORK/truncated: truncated" -k "$WORK/truncated"
bad "kernel $WORK/truncated.gz: truncated" -k "$WORK/truncated.gz"
bad "kernel $WORK/truncated.zboot: truncated" -k "$WORK/truncated.zboot"
bad "kernel $WORK/empty: .*empty" -k "$WORK/empty"
bad "kernel $LKVM: an ELF" -k "$LKVM"
bad "kernel $IMAGES/bzImage: an x86 kernel" -k "$IMAGES/bzImage"
bad '64 *TiB|address bits' -k "$KERNEL_CLOUD" -m 64T@0xff00000000000
bad '0x70000000.*0x80000000' -k "$KERNEL_CLOUD" -m 256M@0x70000000
bad 'steps of 2 MiB' -k "$KERNEL_CLOUD" -m 256M@0x80001000
bad 'irqchip gicv4: should be' -k "$KERNEL_CLOUD" --irqchip gicv4
bad "flash $WORK/flash3: .*power of two" -k "$KERNEL_CLOUD" --flash "$WORK/flash3"
bad "flash $WORK/flash32: " -k "$KERNEL_CLOUD" --flash "$WORK/flash32"
bad "flash $WORK/empty: " -k "$KERNEL_CLOUD" --flash "$WORK/empty"
bad "flash $WORK/none: No such file" -k "$KERNEL_CLOUD" --flash "$WORK/none"
bad 'sve-max-vl 100: should be' -k "$KERNEL_CLOUD" --sve-max-vl 100
bad 'firmware-address: there is no --firmware' -k "$KERNEL_CLOUD" --firmware-address 0x80000000
bad 'firmware .*flat: .*not within RAM' -f "$IMAGES/flat" --firmware-address 0x1000
bad 'aarch32 and --nested' -k "$KERNEL_CLOUD" --aarch32 --nested
bad 'nested and --irqchip gicv2 ' -k "$KERNEL_CLOUD" --nested --irqchip gicv2
bad 'nested and --irqchip gicv2m ' -k "$KERNEL_CLOUD" --nested --irqchip gicv2m
bad 'e2h0: there is no --nested' -k "$KERNEL_CLOUD" --e2h0
bad 'aarch32' -k "$KERNEL_CLOUD" --aarch32
bad 'nested' -k "$KERNEL_CLOUD" --nested
