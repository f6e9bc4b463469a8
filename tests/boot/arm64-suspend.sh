# SPDX-License-Identifier: GPL-2.0-or-later
# arm64-suspend.sh: the guest suspends to RAM (PSCI SYSTEM_SUSPEND), two of its three CPUs off; it stands
# still until the power button wakes it, and then goes on where it was.
. "$TESTS/boot/lib.sh"
CPUS=3 vm_start sleepy generic '
(n=0; while :; do echo "TICK $n"; n=$((n + 1)); sleep 0.5; done) &
cat /sys/power/mem_sleep
echo deep >/sys/power/mem_sleep
sleep 1
echo mem >/sys/power/state
echo "RESUMED $? on $(nproc)"
sleep 1000
'
wait_line sleepy 'deep'
# Asleep: the console has been still for long enough.
until=$((SECONDS + LIMIT)) size=0
while now=$(stat -c %s "$WORK/sleepy.out"); [ "$now" != "$size" ]; do
	[ $SECONDS -lt $until ] || fail "it does not fall asleep"
	size=$now
	sleep 6
done
vm_alive sleepy || fail "it ended"
refuse_line sleepy '^RESUMED'
step "asleep"
"$LKVM" list
succeeds "$LKVM" stop --timeout 120 sleepy
wait_exit sleepy 0 60
expect_line sleepy '^RESUMED 0 on 3'
expect_line sleepy '^GUEST power button'
no_complaints sleepy
