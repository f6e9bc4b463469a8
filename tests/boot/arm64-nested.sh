# SPDX-License-Identifier: GPL-2.0-or-later
# arm64-nested.sh: a guest that begins at EL2, with and without VHE; Linux, on two CPUs, takes it for
# a machine that can run guests, and this very lkvm runs one there.
. "$TESTS/boot/lib.sh"

# flat NAME OPTION...: the tiny program, which says where it is.
flat() {
	local name=$1
	shift
	timeout 120 "$LKVM" run -k "$IMAGES/flat" -m 64M -n none "$@" </dev/null >"$WORK/$name.out" 2>&1 ||
		fail "$name: status $?"
	expect_line "$name" '^EXIT: STATUS=1$'
}
host_takes --nested
for options in "" --pmu "--irqchip gicv3" "--sve-max-vl 128" "-c 4"; do
	# shellcheck disable=SC2086 # words
	flat "el2$options" --nested $options
	expect_line "el2$options" '^EL 2$'
done
flat el1
expect_line el1 '^EL 1$'
step "tiny guests"

KERNEL=$(kernel_of arm64trixie)
in_guest 0 --nested -c 2 -- sh -c "
	dmesg
	echo CPUS \$(cat /sys/devices/system/cpu/online)
	'$LKVM' run -k '$IMAGES/flat' -m 64M -n none </dev/null
	echo STATUS \$?" </dev/null
mv "$WORK/out" "$WORK/linux.out"
expect_line linux 'CPU: All CPU\(s\) started at EL2'
expect_line linux 'kvm \[1\]: vgic interrupt IRQ'
expect_line linux 'kvm \[1\]: VHE mode initialized successfully'
expect_line linux '^CPUS 0-1$'
expect_line linux '^EL 1$'
expect_line linux '^EXIT: STATUS=1$'
expect_line linux '^STATUS 0$'
step "Linux with VHE"

host_takes --nested --e2h0
flat e2h0 --nested --e2h0
expect_line e2h0 '^EL 2$'
CPUS=2 vm_start nvhe cloud '
dmesg | grep -E "kvm|EL2"
[ -c /dev/kvm ] && echo "CPUS $(cat /sys/devices/system/cpu/online)"
' --nested --e2h0
wait_exit nvhe 0
expect_line nvhe 'CPU: All CPU\(s\) started at EL2'
expect_line nvhe 'kvm \[1\]: Hyp mode initialized successfully'
expect_line nvhe '^CPUS 0-1$'
no_complaints nvhe
