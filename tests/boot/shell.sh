# SPDX-License-Identifier: GPL-2.0-or-later
# shell.sh KERNEL CPUS MEM: a Debian kernel boots to a shell on the serial
# console, takes commands from a pipe, sees the CPUs and the memory it was
# given, finds its devices, and powers off.
. "$TESTS/boot/lib.sh"
kernel=$1 CPUS=$2 MEM=$3

truncate -s 16M "$WORK/disk"
mkfifo "$WORK/in"
exec 7<>"$WORK/in"
INPUT=$WORK/in vm_start shell "$kernel" "" --disk "$WORK/disk" --network user --rng
wait_line shell '^GUEST up'
step "up"
wait_line shell '^/ # '
cat >&7 <<'END'
echo cpus=$(nproc) mem=$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
echo disk=$(cat /sys/block/vda/size) nic=$(ls -d /sys/class/net/eth0) rng=$(cat /sys/class/misc/hw_random/rng_current)
echo online=$(cat /sys/devices/system/cpu/online) clock=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
echo irq=$(grep -c virtio /proc/interrupts)
dmesg | grep -E 'Call[ ]Trace|WARNIN[G]:|BU[G]:|Oop[s]' ; echo complaints=$?
exit
END
wait_exit shell 0
[ "$CPUS" = 1 ] || expect_line shell "^online=0-$((CPUS - 1)) "
expect_line shell "^cpus=$CPUS mem="
got=$(console shell | sed -n 's/^cpus=.* mem=//p')
case $MEM in *G) want=$((${MEM%G} * 1024)) ;; *) want=${MEM%M} ;; esac
# The kernel keeps some for itself: its image and, of big memories, 1/64th.
[ "$kernel" != i386 ] || [ "$want" -le 3000 ] || want=3000
[ "$got" -gt $((want - want / 32 - 90)) ] && [ "$got" -le "$want" ] || fail "$got MiB of $want"
expect_line shell '^disk=32768 nic=/sys/class/net/eth0 rng=virtio_rng'
expect_line shell '^complaints=1'
[ "$(console shell | sed -n 's/^irq=//p')" -ge 3 ] || fail "virtio devices without MSI-X"
no_complaints shell
nothing_left shell
