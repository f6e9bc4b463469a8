# SPDX-License-Identifier: GPL-2.0-or-later
# rootfs-shell.sh: `lkvm run` alone, on a terminal: a shell whose terminal has
# the size of the one here and follows it; Ctrl-c is the guest's; its status.
. "$TESTS/boot/lib.sh"
mkfifo "$WORK/in"
exec 7<>"$WORK/in"
cat >"$WORK/session" <<END
stty rows 33 cols 99
(until [ -e "$WORK/resize" ]; do sleep 0.2; done; stty rows 44 cols 111 </dev/tty) &
TERM=dumb "$LKVM" run -k "$KERNEL_GENERIC" -c 1 -m 512M --name shell
echo "STATUS \$?"
END
script -qefc "bash $WORK/session" /dev/null <&7 >"$WORK/shell.out" 2>&1 &
VM_PID[shell]=$!
# No colours; and what is typed is echoed, but never as these answers look.
# A line that was typed before the shell reads would be echoed only.
ask() { printf '%s\n' "$1" >&7; }
answers() { said shell "$1" || { ask "$2"; sleep 2; said shell "$1"; }; }
wait_for answers 'UP-42' 'echo UP-$((6 * 7))'
ask 'stty size; pwd; tty'
wait_line shell '33 99'
wait_line shell '/dev/ttyS0'
expect_line shell "$PWD"
touch "$WORK/resize"
wait_for answers '44 111' 'stty size'
ask 'sleep 1000'
sleep 2
printf '\003' >&7
ask 'echo ALIVE-$((6 * 7))'
wait_line shell 'ALIVE-42'
ask 'exit 5'
wait_line shell '^STATUS 5'
wait_exit shell 0
nothing_left shell
