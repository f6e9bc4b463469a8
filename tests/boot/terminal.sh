# SPDX-License-Identifier: GPL-2.0-or-later
# On a terminal: characters go through raw (Ctrl-c reaches the guest), Ctrl-a x
# leaves, and the terminal is as before.  --tty 1 makes a pty for ttyS1.
. "$TESTS/boot/lib.sh"
mkfifo "$WORK/in"
exec 7<>"$WORK/in"
cat >"$WORK/session" <<END
stty -a >"$WORK/stty.before"
"$LKVM" run --name term -k "$KERNEL_CLOUD" -i "$INITRD_CLOUD" -c 1 -m 256M --tty 1 -p "$(guest_words '')"
echo "LEFT \$?"
stty -a >"$WORK/stty.after"
END
script -qefc "bash $WORK/session" /dev/null <"$WORK/in" >"$WORK/term.out" 2>&1 &
VM_PID[term]=$!
wait_line term '^GUEST up'
wait_line term '^/ # '
printf 'sleep 100; echo "over $?"\n' >&7
sleep 2
printf '\003' >&7
sleep 1
printf 'echo ALIVE-$((6 * 7))\n' >&7
wait_line term '^ALIVE-42' 30
pty=$(console term | grep -aoE '/dev/pts/[0-9]+' | head -n 1)
[ -n "$pty" ] || fail "--tty 1 names no pty"
printf 'echo TO-PTY-$((6 * 7)) >/dev/ttyS1\n' >&7
timeout 20 grep -m1 'TO-PTY-42' <"$pty" >/dev/null || fail "nothing came out of $pty"
printf '\001x' >&7
wait_line term '^LEFT' 30
wait_exit term '[0-9]*' 20
cmp -s "$WORK/stty.before" "$WORK/stty.after" || fail "the terminal was not put back"
nothing_left term
