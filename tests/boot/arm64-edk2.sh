# SPDX-License-Identifier: GPL-2.0-or-later
# arm64-edk2.sh: EDK2 as kvmtool's users have it (ArmVirtKvmTool), its variables in a flash file,
# starts Debian's kernel from the EFI system partition of a disk on PCI, and of one on virtio-mmio.
# The kernel runs by the ACPI tables that EDK2 makes of our device tree.  What firmware and kernel
# stored is there after a reboot in place, and for another lkvm.
. "$TESTS/boot/lib.sh"
[ -n "${FIRMWARE_EDK2:-}" ] || skip "no firmware: tests/rig/edk2 says why"

# Which life this is, says a variable that the kernel writes.  EDK2's tables know no virtio-mmio.
script='
need efi
dir=/sys/firmware/efi/efivars variable=Lkvm-11111111-2222-3333-4444-555555555555
mount -t efivarfs none $dir
echo "TABLES" $(ls /sys/firmware/acpi/tables)
echo "CPUS $(cat /sys/devices/system/cpu/online)"
echo "RTC $(cat /sys/class/rtc/rtc0/since_epoch)"
[ ! -e /dev/vda ] || echo "DISK" $(dd if=/dev/vda bs=512 skip=1 count=1 2>/dev/null | head -c 8)
if [ -e /sys/class/net/eth0 ]; then
	ip link set eth0 up
	udhcpc -i eth0 -n -q -s /bin/true 2>&1
fi
cat /proc/interrupts
if [ -e $dir/$variable ]; then
	echo "FOUND $(dd if=$dir/$variable bs=1 skip=4 2>/dev/null)"
else
	printf "\007\000\000\000by the kernel" >$dir/$variable && echo "STORED"
	reboot -f
fi
'
modprobe -a loop vfat nls_cp437 nls_ascii 2>/dev/null || :
truncate -s 128M "$WORK/disk"
echo 'start=2048, type=U' | sfdisk -q --label gpt "$WORK/disk"
loop=$(losetup -f --show -o 1M --sizelimit 126M "$WORK/disk") || skip "no loop devices here"
mkdir "$WORK/esp"
trap 'umount "$WORK/esp" 2>/dev/null || :; losetup -d "$loop"' EXIT
mkfs.vfat "$loop" >"$WORK/mkfs.log"
mount -t vfat "$loop" "$WORK/esp"
mkdir -p "$WORK/esp/EFI/BOOT"
cp "${FIRMWARE_EDK2%.fd}.efi" "$WORK/esp/EFI/BOOT/BOOTAA64.EFI"
cp "$KERNEL_CLOUD" "$WORK/esp/linux.efi"
cp "$INITRD_CLOUD" "$WORK/esp/initrd"
# The shell's own variables are kept in the flash, too.
cat >"$WORK/esp/startup.nsh" <<END
@echo -off
echo SHELL variable is %lkvm%
set lkvm kept
fs0:
linux.efi initrd=\initrd console=ttyS0 panic=-1 $(guest_words "$script")
END
umount "$WORK/esp"
losetup -d "$loop"
trap - EXIT
truncate -s 1M "$WORK/flash"

# edk2 NAME OPTION...
edk2() {
	: >"$WORK/$1.out"
	"$LKVM" run --name "$1" -f "$FIRMWARE_EDK2" -F "$WORK/flash" -c 2 -m 512M "${@:2}" \
		</dev/null >"$WORK/$1.out" 2>&1 &
	VM_PID[$1]=$!
}

edk2 pci --disk "$WORK/disk" -n user
wait_line pci '^SHELL variable is *$'
step "EDK2's shell"
wait_line pci '^GUEST up'
step "the kernel, started by EDK2"
wait_line pci '^STORED'
expect_line pci '^TABLES .*APIC.*DSDT.*FACP.*GTDT.*IORT.*MCFG.*SPCR'
expect_line pci '^CPUS 0-1$'
expect_line pci '^DISK EFI PART$'
expect_line pci 'lease of '
expect_line pci 'ITS-MSI .* virtio'
now=$(console pci | sed -n 's/^RTC //p' | head -n 1)
late=$(($(date +%s) - now))
[ "$late" -ge -2 ] && [ "$late" -le 600 ] || fail "the clock is $late s late"
wait_exit pci 0
expect_line pci '^SHELL variable is kept'
expect_line pci '^FOUND by the kernel$'
no_complaints pci
step "rebooted in place"

edk2 mmio --disk "$WORK/disk,trans=mmio" -n none
wait_exit mmio 0
expect_line mmio '^SHELL variable is kept'
refuse_line mmio '^STORED'
expect_line mmio '^FOUND by the kernel$'
no_complaints mmio
nothing_left mmio
