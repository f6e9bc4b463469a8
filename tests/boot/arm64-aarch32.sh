# SPDX-License-Identifier: GPL-2.0-or-later
# arm64-aarch32.sh: Debian's 32-bit kernel on two CPUs, with devices on both transports.
. "$TESTS/boot/lib.sh"
[ -f "${KERNEL_ARMHF:-}" ] || skip "no 32-bit kernel"
# A 64-bit kernel: refused as that, once the host has nothing against the option.
refuses "$LKVM" run -k "$KERNEL_CLOUD" -i "$INITRD_CLOUD" --aarch32 -m 64M -n none
! grep -q "this host's KVM does not have it" "$WORK/command.out" || skip "this host's CPU has no 32-bit mode for guests"

truncate -s 4M "$WORK/pci" "$WORK/mmio"
CPUS=2 MEM=512M vm_start half armhf '
echo "MACHINE $(uname -m) $(cat /sys/devices/system/cpu/online)"
for d in vda vdb; do dd if=/dev/$d of=/dev/null bs=4096 count=16 2>/dev/null && echo "DISK $d"; done
ip link set eth0 up
udhcpc -i eth0 -n -q -s /bin/true 2>&1
' --aarch32 --disk "$WORK/pci" --disk "$WORK/mmio,trans=mmio" --network user
# QEMU's emulation leaves the SPSR of the mode that a 32-bit guest is in with the processor, unseen
# by KVM: the next guest's CPU there finds it. So there each keeps to a processor of its own.
thread_of() { grep -lxs "vcpu-$1" "/proc/${VM_PID[half]}"/task/*/comm; }
for n in 0 1; do
	[ -n "${LKVM_IN_RIG:-}" ] || break
	wait_for thread_of $n
	thread=$(thread_of $n)
	thread=${thread%/comm}
	taskset -pc $n "${thread##*/}"
done
wait_exit half 0
expect_line half '^MACHINE armv[78]l 0-1$'
expect_line half '^DISK vda'
expect_line half '^DISK vdb'
expect_line half 'lease of '
no_complaints half
