# SPDX-License-Identifier: GPL-2.0-or-later
# many-cpus.sh KERNEL: 300 vCPUs.  The last one, whose APIC's number needs more than
# eight bits, comes up, and takes a device's interrupts.
. "$TESTS/boot/lib.sh"
kernel=$1

MEM=1G CPUS=300 PARAMS="maxcpus=1" vm_start many "$kernel" '
echo "present=$(cat /sys/devices/system/cpu/present) online=$(cat /sys/devices/system/cpu/online)"
echo 1 >/sys/devices/system/cpu/cpu299/online
echo "online=$(cat /sys/devices/system/cpu/online)"
grep "^apicid" /proc/cpuinfo
rng=$(basename /sys/bus/virtio/drivers/virtio_rng/virtio*)
irq=$(sed -n "s/^ *\([0-9]*\):.*$rng-input.*/\1/p" /proc/interrupts)
echo 299 >/proc/irq/$irq/smp_affinity_list && echo "moved to $(cat /proc/irq/$irq/smp_affinity_list)"
# The line in /proc/interrupts has a column for each of the two CPUs that are up.
took() { awk "/$rng-input/ { print \$3 }" /proc/interrupts; }
before=$(took)
dd if=/dev/hwrng of=/dev/null bs=4k count=16 iflag=fullblock 2>/dev/null && echo "read=$?"
echo "took=$(($(took) - before))"
' --rng
wait_exit many 0
expect_line many '^present=0-299 online=0$'
expect_line many '^online=0,299$'
expect_line many '^apicid.*: 299$'
expect_line many '^moved to 299$'
expect_line many '^read=0$'
[ "$(console many | sed -n 's/^took=//p')" -gt 0 ] || fail "no interrupt of the device reached CPU 299"
no_complaints many
nothing_left many
