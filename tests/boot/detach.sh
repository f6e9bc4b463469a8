# SPDX-License-Identifier: GPL-2.0-or-later
# --detach returns at once; `lkvm console` reaches the serial console, more than
# once; debug --dump, --sysrq and --nmi do what they say.
. "$TESTS/boot/lib.sh"
"$LKVM" run --detach --name far -k "$KERNEL_CLOUD" -i "$INITRD_CLOUD" -c 2 -m 256M \
	--log "$WORK/far.log" -p "$(guest_words '')" >"$WORK/start.out" 2>&1 </dev/null ||
	fail "run --detach: $(cat "$WORK/start.out")"
[ $SECONDS -lt 30 ] || fail "run --detach took $SECONDS s"
"$LKVM" list | grep -w far || fail "not listed"

# talk FILE: attaches, in a terminal of its own, and types what comes on fd 7.
mkfifo "$WORK/in"
exec 7<>"$WORK/in"
talk() {
	script -qefc "$LKVM console far" /dev/null <"$WORK/in" >"$WORK/$1.out" 2>&1 &
	VM_PID[$1]=$!
}
talk first
sleep 2
until=$((SECONDS + LIMIT))
while ! said first 'HELLO-42'; do
	[ $SECONDS -lt $until ] || fail "no answer on the console"
	printf 'echo HELLO-$((6 * 7))\n' >&7
	sleep 2
done
step "debug"
succeeds "$LKVM" debug -n far --dump
cp "$WORK/command.out" "$WORK/dump.out"
[ "$(grep -ciE '\b(rip|pc)\b' "$WORK/dump.out")" -ge 2 ] || fail "--dump does not show two vCPUs"
printf 'echo 9 >/proc/sys/kernel/printk; echo 1 >/proc/sys/kernel/sysrq; echo SET-$((1+1))\n' >&7
wait_line first 'SET-2' 30
succeeds "$LKVM" debug -n far --sysrq h
wait_line first 'HELP *:' 30
case $("$LKVM" version --build-options) in
*arm64*) refuses "$LKVM" debug -n far --nmi 0 ;; # there is no such thing
*)
	succeeds "$LKVM" debug -n far --nmi 0
	wait_line first 'NMI' 30
	;;
esac
step "a second attachment"
printf '\001x' >&7			# Ctrl-a x leaves
wait_exit first '[0-9]*' 20
"$LKVM" list | grep -w far >/dev/null || fail "leaving the console ended the VM"
talk second
sleep 2
until=$((SECONDS + 30))
while ! said second 'AGAIN-42'; do
	[ $SECONDS -lt $until ] || fail "no answer on the second attachment"
	printf 'echo AGAIN-$((6 * 7))\n' >&7
	sleep 2
done
step "end"
printf 'exit\n' >&7
until=$((SECONDS + 30))
while "$LKVM" list | grep -w far >/dev/null; do
	[ $SECONDS -lt $until ] || fail "still listed after its guest powered off"
	sleep 0.5
done
wait_exit second '[0-9]*' 20
nothing_left far
