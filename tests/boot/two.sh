# SPDX-License-Identifier: GPL-2.0-or-later
# two.sh KERNEL: two VMs: both listed; a third of the same name refused; one stopped, the other
# lives; one killed leaves no row, and its name can be taken again.
. "$TESTS/boot/lib.sh"
kernel=$1
ticks='n=0; while :; do echo "TICK $n"; n=$((n + 1)); sleep 0.5; done'
MEM=128M vm_start one "$kernel" "$ticks"
MEM=192M CPUS=2 vm_start two "$kernel" "$ticks"
wait_line one '^TICK 1'
wait_line two '^TICK 1'

"$LKVM" list >"$WORK/list.out"
cat "$WORK/list.out"
head -n 1 "$WORK/list.out" | grep -q 'NAME *PID *STATE *CPUS *MEMORY *UPTIME' || fail "list's heading"
grep -qE "one +${VM_PID[one]} +running +1 +128M" "$WORK/list.out" || fail "list has no right row for one"
grep -qE "two +${VM_PID[two]} +running +2 +192M" "$WORK/list.out" || fail "list has no right row for two"
"$LKVM" list --json >"$WORK/json.out"
[ "$(jq -r 'map(.name) | sort | join(",")' "$WORK/json.out")" = one,two ] || fail "list --json"

refuses "$LKVM" run --name one -k "$KERNEL_CLOUD" -i "$INITRD_CLOUD"
grep -q one "$WORK/command.out" || fail "the refusal does not name it: $(cat "$WORK/command.out")"

step "stop one"
succeeds "$LKVM" stop one
wait_exit one 0 60
before=$(console two | grep -c '^TICK')
sleep 3
vm_alive two || fail "two died with one"
[ "$(console two | grep -c '^TICK')" -gt "$before" ] || fail "two stands still"
[ "$("$LKVM" list --json | jq -r 'map(.name) | join(",")')" = two ] || fail "list after the stop"

step "kill two"
kill -KILL "${VM_PID[two]}"
wait "${VM_PID[two]}" 2>/dev/null || true
unset 'VM_PID[two]'
[ "$("$LKVM" list --json | jq length)" = 0 ] || fail "a dead VM is listed"
MEM=128M vm_start two "$kernel" 'echo AGAIN'
wait_exit two 0
expect_line two '^AGAIN'
nothing_left two

step "stop --all"
MEM=128M vm_start one "$kernel" "$ticks"
MEM=128M vm_start two "$kernel" "$ticks"
wait_line one '^TICK 1'
wait_line two '^TICK 1'
succeeds "$LKVM" stop --all
wait_exit one 0 60
wait_exit two 0 60
refuses "$LKVM" stop -n one
