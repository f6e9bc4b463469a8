# SPDX-License-Identifier: GPL-2.0-or-later
# stop.sh KERNEL: ways to end: a guest deaf to the power button (the time limit ends it),
# SIGTERM (asks the guest), SIGHUP, a second signal (ends at once).
. "$TESTS/boot/lib.sh"
kernel=$1
deaf='for m in button gpio_keys; do rmmod $m 2>/dev/null; done; echo READY; while :; do sleep 1; done'
hears='echo READY; while :; do sleep 1; done'
vm_start deaf "$kernel" "$deaf"
vm_start term "$kernel" "$hears"
wait_line deaf '^READY'
wait_line term '^READY'

step "stop --timeout of a deaf guest"
start=$SECONDS
succeeds "$LKVM" stop --timeout 3 -n deaf
[ $((SECONDS - start)) -ge 2 ] && [ $((SECONDS - start)) -le 15 ] || fail "took $((SECONDS - start)) s"
wait_exit deaf 0 60
nothing_left deaf

step "SIGTERM"
kill -TERM "${VM_PID[term]}"
wait_exit term 0 40
expect_line term '^GUEST power button'
nothing_left term

vm_start twice "$kernel" "$deaf"
vm_start hup "$kernel" "$hears"
wait_line twice '^READY'
wait_line hup '^READY'
step "SIGINT twice, SIGHUP"
kill -INT "${VM_PID[twice]}"
sleep 1
vm_alive twice || fail "ended by the first signal, though the guest was only asked"
kill -INT "${VM_PID[twice]}"
kill -HUP "${VM_PID[hup]}"
wait_exit twice '[0-9]*' 60
wait_exit hup '[0-9]*' 40
nothing_left twice
nothing_left hup
