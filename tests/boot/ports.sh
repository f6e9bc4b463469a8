# SPDX-License-Identifier: GPL-2.0-or-later
# ports.sh: ports to a file, to a unix socket, and to a pty as a second console,
# found in the guest by their names.  The guest's terminals have the size of those
# outside, also when that changes: virtio-console's by SIGWINCH, the pty's as well.
. "$TESTS/boot/lib.sh"

script='
port() {
	for p in /sys/class/virtio-ports/*; do
		[ "$(cat $p/name 2>/dev/null)" != "$1" ] || echo "/dev/${p##*/}"
	done
}
size_is() { until [ "$(stty size <$1 2>&1)" = "$2" ]; do sleep 0.2; done; }
size_is /dev/console "30 100"
echo "SIZE $(stty size)"
size_is /dev/console "33 111"
echo "RESIZED"
echo "to the file" >$(port log)
echo "LOGGED"
exec 5<>$(port org.lkvm.test)
# A port that nobody outside has open reads as at its end.
until read -r line <&5; do sleep 0.2; done
echo "GOT $line"
echo "answer to $line" >&5
size_is /dev/hvc1 "40 90"
echo "HVC1 RESIZED"
echo "hello from hvc1" >/dev/hvc1
read -r line </dev/hvc1
echo "TYPED $line"
'
cat >"$WORK/session" <<END
stty rows 30 cols 100
tty >"$WORK/tty"
"$LKVM" run --name ports -k "$KERNEL_CLOUD" -i "$INITRD_CLOUD" -c 1 -m 256M -n none \
	--console virtio --port "log,file=$WORK/log" --port "org.lkvm.test,unix=$WORK/sock" \
	--port login,pty,console -p "$(guest_words "$script")"
echo "LEFT \$?"
END
mkfifo "$WORK/in"
exec 7<>"$WORK/in"
script -qefc "bash $WORK/session" /dev/null <"$WORK/in" >"$WORK/ports.out" 2>&1 &
VM_PID[ports]=$!
wait_line ports '^SIZE'
expect_line ports '^SIZE 30 100'
stty -F "$(cat "$WORK/tty")" rows 33 cols 111
wait_line ports '^RESIZED' 60
wait_line ports '^LOGGED' 60
[ "$(tr -d '\r' <"$WORK/log")" = "to the file" ] || fail "the file has: $(cat "$WORK/log")"
answer=$(echo "a question" | timeout 100 socat -t 60 - "UNIX-CONNECT:$WORK/sock" | head -n 1)
[ "$answer" = "answer to a question" ] || fail "the answer: $answer"
wait_line ports '^GOT a question' 60
pty=$(console ports | sed -n 's/^Info: port login is //p')
[ -c "$pty" ] || fail "no pty: $pty"
exec 8<>"$pty"
stty -F "$pty" rows 40 cols 90
wait_line ports '^HVC1 RESIZED' 60
timeout 60 grep -m1 -q 'hello from hvc1' <&8 || fail "nothing came out of $pty"
echo 'some words' >&8
wait_line ports '^TYPED some words' 60
wait_line ports '^LEFT 0' 60
no_complaints ports
[ ! -e "$WORK/sock" ] || fail "the socket is still there"
nothing_left ports
