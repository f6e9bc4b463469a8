# SPDX-License-Identifier: GPL-2.0-or-later
# power.sh KERNEL [OPTION...]: reboot in place, panic with panic=-1, and both
# with --no-reboot.  A disk tells the guest which boot it is.
. "$TESTS/boot/lib.sh"
kernel=$1
shift

# The first boot ends as asked, the second powers off.
script='
n=$(($(dd if=/dev/vda bs=1 count=1 2>/dev/null) + 1))
echo "BOOT $n"
printf %d $n | dd of=/dev/vda conv=notrunc 2>/dev/null
sync
[ $n = 1 ] || poweroff -f
'
begin() {
	printf 0 >"$WORK/$1.disk"
	truncate -s 1M "$WORK/$1.disk"
	END=$2 vm_start "$1" "$kernel" "$script" --disk "$WORK/$1.disk" "${@:3}"
}
begin again reboot "$@"
begin panic panic "$@"
pid=${VM_PID[again]}
wait_line again '^BOOT 2'
[ "${VM_PID[again]}" = "$pid" ] && wait_exit again 0
[ "$(console again | grep -c '^BOOT')" = 2 ] || fail "boots: $(console again | grep '^BOOT')"
step "rebooted in place"
wait_line panic '^BOOT 2'
wait_exit panic 0
said panic 'Kernel panic' || fail "no panic seen"
step "rebooted after a panic"
begin once reboot --no-reboot "$@"
begin gone panic --no-reboot "$@"
wait_exit once 0
[ "$(console once | grep -c '^BOOT')" = 1 ] || fail "--no-reboot booted again"
# 3 where the guest could say that it panicked (pvpanic), else as a reboot.
wait_exit gone '0|3'
[ "$(console gone | grep -c '^BOOT')" = 1 ] || fail "--no-reboot booted again"
nothing_left once
