# SPDX-License-Identifier: GPL-2.0-or-later
# arm64-irqchip.sh KIND CPUS: with that interrupt controller, /proc/interrupts of the guest has every
# device on the interrupt that the device tree names for it, and the devices work; dtc reads the
# tree without a warning. And where Linux gives out the addresses of BARs anew, all keep theirs.
. "$TESTS/boot/lib.sh"
kind=$1 CPUS=$2
dtb=$WORK/dtb
host_takes --irqchip "$kind"

truncate -s 4M "$WORK/pci" "$WORK/mmio"
vm_start irq generic '
for i in 1 2 3; do sleep 1000 </dev/ttyS$i & done
for d in vda vdb; do dd if=/dev/$d of=/dev/null bs=4096 count=16 2>/dev/null && echo "DISK $d"; done
ip link set eth0 up
udhcpc -i eth0 -n -q -s /bin/true 2>&1
for d in /sys/bus/virtio/devices/*; do echo "AT ${d##*/} $(readlink -f $d)"; done
cat /proc/interrupts
dmesg | grep -E " (reg 0x|BAR [0-9])"
echo "CPUS $(cat /sys/devices/system/cpu/online)"
kill $(jobs -p)
' --disk "$WORK/pci" --disk "$WORK/mmio,trans=mmio" --network user --irqchip "$kind" \
	--pmu --dump-dtb "$dtb"
wait_exit irq 0
no_complaints irq
expect_line irq '^DISK vda'
expect_line irq '^DISK vdb'
expect_line irq 'lease of '
[ "$CPUS" = 1 ] || expect_line irq "^CPUS 0-$((CPUS - 1))$"

# counted NUMBER NAME [CHIP]: that interrupt came, under that name, at least once; of the UARTs, none need come.
counted() {
	console irq | awk -v n="$1" -v name="$2" -v chip="${3:-GIC}" '
		$NF == name && $0 ~ chip {
			for (i = 2; $i ~ /^[0-9]+$/; i++) sum += $i
			for (i = 2; i < NF; i++) if ($i ~ chip && $(i + 1) == n) found = 1
		}
		END { exit !(found && (sum || name ~ /^ttyS[123]$/)) }' ||
		fail "$2 is not on interrupt $1, where the tree has it"
}
# cell FILE NODE PROPERTY N: the Nth number there, from 0.
cell() { fdtget -t u "$dtb" "$1" "$2" | awk -v n="$3" '{ print $(n + 1) }'; }

dtc -q -I dtb -O dts -o "$WORK/dts" "$dtb" 2>"$WORK/dtc.out" || fail "dtc cannot read it: $(cat "$WORK/dtc.out")"
dtc -I dtb -O dtb -o /dev/null "$dtb" 2>"$WORK/dtc.out" && [ ! -s "$WORK/dtc.out" ] ||
	fail "dtc warns: $(cat "$WORK/dtc.out")"
step "UARTs"
for i in 0 1 2 3; do
	node=$(fdtget "$dtb" /aliases serial$i)
	counted $((32 + $(cell "$node" interrupts 1))) ttyS$i
done
step "virtio"
devices=0
while read -r _ name path; do
	devices=$((devices + 1))
	case $path in
	*/platform/*.virtio/*)
		node=${path%.virtio/*}
		counted $((32 + $(cell "/virtio@${node##*/}" interrupts 1))) "$name"
		continue
		;;
	esac
	case $kind in
	gicv3-its) console irq | grep -qE " ITS-MSI .* $name-" || fail "$name has no MSIs" ;;
	gicv2m) console irq | grep -qE " MSI .* $name-" || fail "$name has no MSIs" ;;
	*)
		slot=${path%/virtio*} slot=${slot##*:} slot=$((16#${slot%.*}))
		# 10 cells each: address (3), pin, controller, its address (2), interrupt (3).
		counted $((32 + $(cell /pcie@40000000 interrupt-map $(((slot - 1) * 40 + 8))))) "$name"
		;;
	esac
done < <(console irq | grep '^AT ')
[ $devices = 3 ] || fail "$devices devices"
step "per CPU"
pmu=$((16 + $(cell /pmu interrupts 1)))
[ "$(cell /pmu interrupts 0)" = 1 ] || fail "the PMU is not on a PPI"
console irq | grep -qE "GIC[^ ]* +$pmu Level +arm-pmu" || fail "the PMU is not on interrupt $pmu"
# The button is on a line of the GPIO controller's, whose own interrupt Linux does not count.
console irq | grep -qE "gpio +3 +Edge +Power Button" || fail "no power button on line 3 of the GPIO controller"
# The virtual timer is the third of four.
counted $((16 + $(cell /timer interrupts 7))) arch_timer
step "BARs"
# bars [-v]: those that Linux gave out, or the others, which are those that it found.
bars() { console irq | grep -E ' (reg 0x|BAR [0-9])' | grep "$@" -e assigned | grep -oE '\[(mem|io) [^] ]*' | sort; }
[ -n "$(bars)" ] || fail "Linux gave out no addresses"
[ "$(bars)" = "$(bars -v)" ] || fail "moved, from $(bars -v) to $(bars)"
