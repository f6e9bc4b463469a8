# SPDX-License-Identifier: GPL-2.0-or-later
# arm64-tree.sh MSIS: what a guest is told of its machine. MSIs by that controller, where none is
# named; seeds that are other ones each time; the devices that there are, and no more; and
# dtc has not a word to say about it.
. "$TESTS/boot/lib.sh"
gic=/interrupt-controller@3fff0000

# tree NAME OPTION...: that of a machine with these options, in $WORK/NAME.
tree() {
	local name=$1 status=0
	shift
	timeout 60 "$LKVM" run --name "$name" -k "$IMAGES/flat" --nodefaults -n none -m 64M \
		--dump-dtb "$WORK/$name" "$@" </dev/null >"$WORK/$name.out" 2>&1 || status=$?
	[ $status = 0 ] || fail "$*: status $status"
	dtc -I dtb -O dtb -o /dev/null "$WORK/$name" 2>"$WORK/dtc.out" && [ ! -s "$WORK/dtc.out" ] ||
		fail "$*: dtc warns: $(cat "$WORK/dtc.out")"
}
# chosen NAME PROPERTY; nodes NAME REGEX: how many there are.
chosen() { fdtget -t x "$WORK/$1" /chosen "$2"; }
nodes() { fdtget -l "$WORK/$1" / | grep -cE "^$2\$" || :; }

for name in one two; do
	tree $name
	[ "$(fdtget "$WORK/$name" "$gic/$(fdtget -l "$WORK/$name" $gic)" compatible)" = "$1" ] ||
		fail "another controller: $(fdtget "$WORK/$name" $gic compatible)"
	[ "$(chosen $name rng-seed | wc -w)" -ge 8 ] || fail "rng-seed: $(chosen $name rng-seed)"
	! chosen $name linux,pci-probe-only 2>/dev/null || fail "BARs may not be moved"
	[ "$(nodes $name 'virtio@.*')$(nodes $name 'flash@.*')$(nodes $name pmu)" = 000 ] ||
		fail "there is more than was asked for"
done
for seed in kaslr-seed rng-seed; do
	[ "$(chosen one $seed)" != "$(chosen two $seed)" ] || fail "$seed twice: $(chosen one $seed)"
done
tree seed --kaslr-seed 0x1234
[ "$(chosen seed kaslr-seed)" = "0 1234" ] || fail "--kaslr-seed: $(chosen seed kaslr-seed)"

truncate -s 1M "$WORK/flash" "$WORK/a" "$WORK/b" "$WORK/c"
tree more -c 4 --pmu --flash "$WORK/flash" --disk "$WORK/a,trans=mmio" --disk "$WORK/b,trans=mmio" \
	--disk "$WORK/c,trans=pci" -m 64M@0x140000000
[ "$(nodes more 'virtio@.*') $(nodes more flash@2000000) $(nodes more pmu) $(nodes more memory@140000000)" = \
	"2 1 1 1" ] || fail "nodes: $(fdtget -l "$WORK/more" /)"
[ "$(fdtget -l "$WORK/more" /cpus | wc -l)" = 4 ] || fail "CPUs: $(fdtget -l "$WORK/more" /cpus)"
