# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the benchmarks share: `listen` to a tiny guest; and for those of devices `table`: one guest, under
# lkvm and under QEMU, over MMIO (beside microvm) and over PCI (beside q35), in turn, in one run. For
# that a script has set `guest` and `words` (its command line) and defines
#
#	lkvm_device TRANSPORT, microvm_device, q35_device	put options into the array `device`
#	floor			prints lines "CELL RATE", without any guest
#	before, after		around each of them; after, also at the end of it all
#	note WORDS...		what else the guest said
before() { :; }
after() { :; }
note() { :; }
O=$(realpath "${O:-build}")
rounds=${ROUNDS:-5}
work=$(mktemp -d)
vmm=
trap 'ended' EXIT
ended() {
	[ -z "$vmm" ] || kill -KILL "$vmm" 2>/dev/null || :
	after 2>/dev/null || :
	rm -rf "$work"
}
mkfifo "$work/console"
tsc=$("$O/bench/tsc-tool")

# -arch-capabilities: KVM without hardware behind it does not take that MSR.
qemu() {
	exec qemu-system-x86_64 -accel kvm -cpu host,-arch-capabilities -m 64 -nodefaults -no-user-config \
		-display none -serial stdio -no-reboot -kernel "$guest" \
		-append "ecam=$((0xb0000000)) $words" "$@" "${device[@]}"
}
start() {
	local device=()
	case $1 in
	lkvm-*)
		lkvm_device
		exec "$O/lkvm" run --run-dir "$work/run" --nodefaults -m 64 -c 1 -k "$guest" -p "$words" \
			--virtio-transport "${1#lkvm-}" "${device[@]}"
		;;
	microvm)
		microvm_device
		qemu -M microvm -global virtio-mmio.force-legacy=false
		;;
	q35)
		q35_device
		qemu -M q35
		;;
	esac
}

# listen WHO COMMAND...: adds what the guest of this VMM measures to $work/all, as lines "WHO CELL RATE".
listen() {
	local what='' cell nr ticks
	("${@:2}") </dev/null >"$work/console" 2>"$work/err" &
	vmm=$!
	exec 3<"$work/console"
	while read -r -t 120 what cell nr ticks <&3; do
		case $what in
		cell) echo "$1 $cell $((nr * tsc / ${ticks%$'\r'}))" >>"$work/all" ;;
		end) break ;;
		*) note "$what" "${cell%$'\r'}" ;;
		esac
	done
	exec 3<&-
	kill -KILL "$vmm" 2>/dev/null || :
	wait "$vmm" 2>/dev/null || :
	vmm=
	[[ $what = end && $ticks = '0 failed'* ]] || { echo "$1 has not measured"; cat "$work/err"; exit 1; } >&2
}

measure() {
	before
	if [ "$1" = floor ]; then
		floor | sed 's/^/floor /' >>"$work/all"
	else
		listen "$1" start "$1"
	fi
	after
}

# table FLOOR: the best of each: what disturbs makes it slower, nothing makes it faster.
table() {
	for ((round = 1; round <= rounds; round++)); do
		for who in lkvm-mmio microvm lkvm-pci q35 floor; do
			measure $who
		done
		echo "round $round of $rounds" >&2
	done
	awk -v name="$1" '
	$3 > best[$1, $2] { best[$1, $2] = $3 }
	!seen[$2]++ { cell[++nr] = $2 }
	END {
		print "| cell | lkvm mmio | microvm | ratio | lkvm pci | q35 | ratio | " name " |"
		print "|---|---|---|---|---|---|---|---|"
		for (i = 1; i <= nr; i++) {
			c = cell[i]
			a = best["lkvm-mmio", c]; b = best["microvm", c]
			d = best["lkvm-pci", c]; e = best["q35", c]
			printf "| %s | %d | %d | %.2f | %d | %d | %.2f | %d |\n",
				c, a, b, a / b, d, e, d / e, best["floor", c]
		}
	}' "$work/all"
}
