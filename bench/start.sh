#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# start.sh: what a VM costs before and beside the guest's own work, by tiny guests on this host's
# /dev/kvm; all of a table in turn, in one run, and the best of each, as what disturbs makes it slower and
# nothing makes it faster:
#
#	from exec to exit of a guest that resets the machine at once,
#	an exit to the VMM, by a port and by memory, on one CPU and on two at once,
#	memory that is not the guest's, and `lkvm list` of 100 VMs.
#
# The floor is bare-tool.c, which is no more than a loop around KVM_RUN.
#
#	make O=DIR all bench && O=DIR bench/start.sh [start|exits|memory|list]...
#	ROUNDS=40 EXITS=20000 VMS=100 PLAIN=lkvm built without display libraries (is built when not given)
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=bench/lib.sh
. "$here/lib.sh"
rounds=${ROUNDS:-40} exits=${EXITS:-20000} vms=${VMS:-100}
export LKVM_RUN_DIR=$work/run
lkvm=$O/lkvm
bench=$O/bench
after() { "$lkvm" stop --all --force >/dev/null 2>&1 || :; }

lkvm_words=(--nodefaults -n none -m 64 -c 1 --no-reboot)
# -arch-capabilities: KVM without hardware behind it does not take that MSR. Only q35 has an i8042 itself.
qemu_words=(qemu-system-x86_64 -accel kvm -cpu "host,-arch-capabilities" -m 64 -nodefaults
	-no-user-config -display none -no-reboot)
microvm=(-M microvm -device i8042)
q35=(-M q35)

# --- from exec to exit ---

tell() { local IFS=$'\t'; echo "$*"; } # a command for start-tool: NAME WORD...
start_commands() {
	local fw=$bench/start.bin kernel=$bench/bare-guest.elf
	tell 'bare KVM' "$bench/bare-tool" "$fw"
	tell 'bare KVM, what a PC has of it' "$bench/bare-tool" -p "$fw"
	tell lkvm "$lkvm" run "${lkvm_words[@]}" -f "$fw"
	tell 'lkvm without display libraries' "$PLAIN" run "${lkvm_words[@]}" -f "$fw"
	tell 'lkvm `--vidmode`' "$lkvm" run "${lkvm_words[@]}" -f "$fw" --vidmode 1024x768
	tell 'lkvm `--vnc`' "$lkvm" run "${lkvm_words[@]}" -f "$fw" --vnc=unix="$work/vnc"
	tell 'QEMU microvm' "${qemu_words[@]}" "${microvm[@]}" -bios "$fw"
	tell 'QEMU q35' "${qemu_words[@]}" "${q35[@]}" -bios "$fw"
	tell 'the same, a kernel' "$bench/bare-tool" "$kernel" reset=1
	tell 'lkvm, a kernel' "$lkvm" run "${lkvm_words[@]}" -k "$kernel" -p reset=1
}
measure_start() {
	if [ -z "${PLAIN:-}" ]; then
		PLAIN=$work/plain/lkvm
		nice make -s -C "$here/.." O="$work/plain" HAVE_SDL=no HAVE_VNC=no HAVE_PNG=no >&2
	fi
	start_commands | "$bench/start-tool" "$rounds" >"$work/start"
	awk -F'\t' '
	function ratio(to) { return to ? sprintf("%.2f", $2 / to) : "-" }
	BEGIN {
		print "| from exec to exit | best, ms | median, ms | to bare KVM | to a bare PC |"
		print "|---|---|---|---|---|"
	}
	$1 == "bare KVM" { bare = $2 }
	$1 == "bare KVM, what a PC has of it" { pc = $2 }
	$1 == "the same, a kernel" { bare = 0; pc = $2 }
	{ printf "| %s | %.2f | %.2f | %s | %s |\n", $1, $2 / 1000, $3 / 1000, ratio(bare), ratio(pc) }' "$work/start"
}

# --- exits ---

mmio=$((0xfeb00000)) # the first places of virtio over MMIO, of lkvm and of microvm
exits_of() {
	local guest=$bench/bare-guest.elf words="cpus=2 exits=$exits"
	case $1 in
	bare) exec "$bench/bare-tool" -c 2 "$guest" "$words mmio=$mmio" ;;
	lkvm)
		exec "$lkvm" run "${lkvm_words[@]}" -c 2 -k "$guest" -p "$words mmio=$mmio" --rng --balloon \
			--virtio-transport mmio
		;;
	microvm)
		# One CPU: the other is started with the help of a timer that there is not.
		exec "${qemu_words[@]}" "${microvm[@]}" -serial stdio -kernel "$guest" \
			-append "exits=$exits mmio=$mmio"
		;;
	q35) exec "${qemu_words[@]}" "${q35[@]}" -smp 2 -serial stdio -kernel "$guest" -append "$words" ;;
	esac
}
measure_exits() {
	local round who
	for ((round = 1; round <= (rounds + 7) / 8; round++)); do
		for who in bare lkvm microvm q35; do listen $who exits_of $who; done
	done
	awk '
	function known(who, c) { return ((who, c) in best) ? sprintf("%d", best[who, c]) : "-" }
	function twice(who, one, two) {
		return ((who, two) in best) ? sprintf("%.2f x", best[who, one] / best[who, two]) : "-"
	}
	$3 > rate[$1, $2] { rate[$1, $2] = $3; best[$1, $2] = 1e9 / $3 }
	END {
		print "| an exit, ns (of two CPUs: both at once) | bare KVM | lkvm | ratio | microvm | q35 |"
		print "|---|---|---|---|---|---|"
		split("port-1 mmio-1 port-2 mmio-2", cell)
		for (i = 1; i <= 4; i++) {
			c = cell[i]
			printf "| %s | %d | %d | %.2f | %s | %s |\n", c, best["bare", c], best["lkvm", c],
				best["lkvm", c] / best["bare", c], known("microvm", c), known("q35", c)
		}
		for (i = 1; i <= 2; i++)
			printf "| %s, two CPUs to one | %s | %s | | - | %s |\n", substr(cell[i], 1, 4),
				twice("bare", cell[i], cell[i + 2]), twice("lkvm", cell[i], cell[i + 2]),
				twice("q35", cell[i], cell[i + 2])
	}' "$work/all"
}

# --- memory ---

# What is not the guest's: of all mappings, without those of the files that guest memory is.
own_kib() { awk '/^[0-9a-f]+-/ { guest = /memfd:/ } /^Pss:/ && !guest { sum += $2 } END { print sum }' "/proc/$1/smaps"; }
weigh() { # NAME COMMAND...
	local name=$1 i
	shift
	"$@" </dev/null >/dev/null 2>&1 &
	vmm=$!
	for ((i = 0; i < 3; i++)); do sleep 1; done # nothing else is to be waited for
	kill -0 "$vmm" || { echo "$name has not stayed" >&2; return 1; }
	echo "| $name | $(own_kib "$vmm") |"
	kill -TERM "$vmm"
	wait "$vmm" 2>/dev/null || :
	vmm=
}
measure_memory() {
	local guest=$O/tests/guest/echo.elf words=(--nodefaults -n none -m 64 -c 1)
	echo '| memory beyond the guest'\''s, KiB | Pss |'
	echo '|---|---|'
	weigh lkvm "$lkvm" run "${words[@]}" -k "$guest"
	weigh 'lkvm with a disk, a NIC (user), a console' "$lkvm" run -m 64 -c 1 --nodefaults -k "$guest" \
		-n user --disk "$guest,ro" --console virtio
	weigh 'lkvm `--vidmode`' "$lkvm" run "${words[@]}" -k "$guest" --vidmode 1024x768
	weigh 'lkvm `--vnc`' "$lkvm" run "${words[@]}" -k "$guest" --vnc=unix="$work/vnc"
	for machine in microvm q35; do
		weigh "QEMU $machine" "${qemu_words[@]}" -M "$machine,memory-backend=ram" \
			-object memory-backend-memfd,id=ram,size=64M -bios "$bench/start.bin" -S
	done
}

# --- many VMs ---

measure_list() {
	local i
	for ((i = 0; i < vms; i++)); do
		"$lkvm" run --detach --name "vm$i" "${lkvm_words[@]}" -m 4 -k "$O/tests/guest/echo.elf" >/dev/null
	done
	[ "$("$lkvm" list | grep -c '^ *vm\|running')" -ge "$vms" ] || { echo "not $vms VMs" >&2; return 1; }
	tell list "$lkvm" list | "$bench/start-tool" "$rounds" |
		awk -F'\t' -v n="$vms" '{ printf "`lkvm list` of %d VMs: %.1f ms, the median %.1f ms\n", n, $2 / 1000, $3 / 1000 }'
	after
}

[ $# -gt 0 ] || set -- start exits memory list
for part; do
	measure_"$part"
	echo
done
