# SPDX-License-Identifier: GPL-2.0-or-later
# Without ACPI (MP table only; the cloud kernel cannot read those): the devices work on 2 CPUs, and the guest ends
# by a reset, as Linux without ACPI cannot power off.
. "$TESTS/boot/lib.sh"
truncate -s 16M "$WORK/disk"
CPUS=2 END=reboot vm_start noacpi generic '
echo "cpus=$(nproc) disk=$(cat /sys/block/vda/size)"
dd if=/dev/urandom of=/dev/vda bs=64k count=64 2>/dev/null; sync; echo "DISK $?"
[ ! -d /sys/firmware/acpi/tables ] || ls /sys/firmware/acpi/tables
dmesg | grep -iE "mp-table|mptable|MPTABLE|ACPI: Interpreter|irq.*nobody"
' --no-acpi --no-reboot --disk "$WORK/disk" --network user
wait_exit noacpi 0
expect_line noacpi '^cpus=2 disk=32768'
expect_line noacpi '^DISK 0'
no_complaints noacpi
