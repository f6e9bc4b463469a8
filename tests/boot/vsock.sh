# SPDX-License-Identifier: GPL-2.0-or-later
# vsock.sh: Linux's vsock over unix sockets.  A few megabytes both ways, to and
# from the host, several connections at a time, half-closed ones included; ports
# where nobody listens; the driver unbound and bound again; the guest rebooted.
. "$TESTS/boot/lib.sh"

size=3000000
socket=$WORK/v
head -c $size /dev/urandom >"$WORK/data"
sum=$(sha256sum <"$WORK/data")
INITRD_CLOUD=$(initrd_with cloud "$O/tests/boot/vsock-tool")

# The guest asks here which life this is, and takes and gives data.
echo 1 >"$WORK/life"
socat -U "UNIX-LISTEN:${socket}_7000,fork" "OPEN:$WORK/life,rdonly" &
socat -t 60 "UNIX-LISTEN:${socket}_7001,fork" "SYSTEM:sha256sum" &
socat -U "UNIX-LISTEN:${socket}_7002,fork" "OPEN:$WORK/data,rdonly" &

# to_guest PORT N: stdin goes there; prints what comes back, without the greeting.
to_guest() {
	{ echo "CONNECT $1"; cat; } | timeout 200 socat -t 60 - "UNIX-CONNECT:$socket" >"$WORK/back.$2"
	head -n 1 "$WORK/back.$2" | grep -Eq '^OK [0-9]+$'
	tail -n +2 "$WORK/back.$2"
}

vm_start vsock cloud '
need vsock
driver=/sys/bus/virtio/drivers/vmw_vsock_virtio_transport
life=$(vsock-tool connect 2 7000 </dev/null)
talk() {
	head -c '$size' /dev/urandom >/tmp/data
	echo "$1 SENT $(sha256sum </tmp/data)"
	echo "$1 TOOK $(vsock-tool connect 2 7001 </tmp/data)"
	echo "$1 GOT $(vsock-tool connect 2 7002 </dev/null | sha256sum)"
	vsock-tool connect 2 7099 </dev/null 2>&1 | sed "s/^/$1 REFUSED /"
}
serve() {
	vsock-tool echo 5000 4 $1
	echo "$1 ECHO $?"
}
if [ "$life" = 2 ]; then
	talk second
	serve second
	exit
fi
talk first
serve first
device=$(ls $driver | grep -m1 virtio)
echo $device >$driver/unbind
vsock-tool connect 2 7000 </dev/null 2>&1 | sed "s/^/UNBOUND /"
echo $device >$driver/bind
talk again
serve again
vsock-tool echo 5001 1 held &
vsock-tool echo 5002 1 reboot
reboot -f
' --vsock "3,uds=$socket" -n none

check() {
	wait_line vsock "^$1 REFUSED"
	expect_line vsock "^$1 SENT [0-9a-f]{64}"
	[ "$(console vsock | sed -n "s/^$1 SENT //p")" = "$(console vsock | sed -n "s/^$1 TOOK //p")" ] ||
		fail "$1: what the guest sent is not what came"
	expect_line vsock "^$1 GOT $sum"
	expect_line vsock "^$1 REFUSED connect: Connection reset by peer"
	step "$1: data went to the host and to the guest"
	wait_line vsock "^$1 listens"
	for i in 1 2 3 4; do
		to_guest 5000 $i <"$WORK/data" | sha256sum >"$WORK/echo.$i" &
		jobs[i]=$!
	done
	for i in 1 2 3 4; do
		wait "${jobs[i]}" || fail "$1: connection $i failed"
		[ "$(cat "$WORK/echo.$i")" = "$sum" ] || fail "$1: connection $i came back changed"
	done
	wait_line vsock "^$1 ECHO 0"
	step "$1: and through the guest, four at a time"
}
check first
wait_line vsock '^UNBOUND'
refuse_line vsock '^UNBOUND 1'
check again
step "the guest reboots with a connection open"
echo 2 >"$WORK/life"
mkfifo "$WORK/hold"
exec 8<>"$WORK/hold"
wait_line vsock '^held listens'
wait_line vsock '^reboot listens'
timeout 300 socat - "UNIX-CONNECT:$socket" <&8 >"$WORK/held" &
held=$!
printf 'CONNECT 5001\nstill here\n' >&8
until grep -q 'still here' "$WORK/held"; do
	kill -0 $held || fail "no connection to the guest"
	sleep 0.2
done
to_guest 5002 0 </dev/null
wait $held || fail "the connection did not end with the guest: $?"
check second
wait_exit vsock 0
no_complaints vsock
[ ! -e "$socket" ] || fail "$socket is still there"

step "without uds= it is beside the control socket"
vm_start plain cloud 'sleep 100' --vsock 4 -n none
until [ -S "$LKVM_RUN_DIR/plain.vsock" ]; do
	[ $SECONDS -lt $((LIMIT + 100)) ] && vm_alive plain || fail "no socket"
	sleep 0.2
done
succeeds "$LKVM" stop --force plain
wait_exit plain 0 5
nothing_left plain
