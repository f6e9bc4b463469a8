# SPDX-License-Identifier: GPL-2.0-or-later
# A paused guest stands still, console and clock; resumed, it goes on without a
# complaint, after longer than the soft-lockup watchdog's patience (20 s).
. "$TESTS/boot/lib.sh"
CPUS=2 vm_start pause cloud '
taskset 2 sh -c "while :; do :; done" &
n=0
while :; do
	read -r up rest </proc/uptime
	echo "TICK $n $up"
	n=$((n + 1))
	sleep 0.5
done
'
wait_line pause '^TICK 3 '
succeeds "$LKVM" pause -n pause
"$LKVM" list | grep -w pause | grep -i paused >/dev/null || fail "list does not say paused: $("$LKVM" list)"
size=$(stat -c %s "$WORK/pause.out")
last=$(console pause | grep '^TICK [0-9]* [0-9.]*$' | tail -n 1)
sleep 25
[ "$(stat -c %s "$WORK/pause.out")" = "$size" ] || fail "the console moved during the pause"
succeeds "$LKVM" resume -n pause
"$LKVM" list | grep -w pause | grep -i running >/dev/null || fail "list does not say running: $("$LKVM" list)"
read -r _ n up <<<"$last"
wait_line pause "^TICK $((n + 8)) " 30
next=$(console pause | sed -n "s/^TICK $((n + 2)) //p")
awk -v a="$up" -v b="$next" 'BEGIN { exit !(b - a < 15) }' ||
	fail "the guest's clock ran on: $up, then $next"
no_complaints pause
step "pause, then stop --force"
succeeds "$LKVM" pause -n pause
succeeds "$LKVM" stop --force -n pause
nothing_left pause
wait_exit pause 0 60
