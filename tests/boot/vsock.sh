# SPDX-License-Identifier: GPL-2.0-or-later
# vsock.sh uds|vhost: Linux's vsock over unix sockets, or by the host's kernel.  A
# few megabytes both ways, to and from the host, several connections at a time,
# half-closed ones included; ports where nobody listens; the driver unbound and
# bound again; the guest rebooted.
. "$TESTS/boot/lib.sh"
kind=$1

size=3000000
socket=$WORK/v
head -c $size /dev/urandom >"$WORK/data"
sum=$(sha256sum <"$WORK/data")
tool=${LKVM%/*}/tests/boot/vsock-tool
INITRD_CLOUD=$(initrd_with cloud "$tool")

# to_host PORT: socat's words for where the guest's connections arrive.  to_guest
# PORT: stdin and stdout are a connection to it; greet and answer: what comes before
# the data.  socat ends an AF_VSOCK connection when only one direction is at its end.
case $kind in
uds)
	option=3,uds=$socket
	to_host() { echo "UNIX-LISTEN:${socket}_$1,fork"; }
	to_guest() { exec timeout 300 socat -t 60 - "UNIX-CONNECT:$socket"; }
	greet() { echo "CONNECT $1"; }
	answer() {
		local line
		IFS= read -r line
		[[ $line =~ ^OK\ [0-9]+$ ]] || fail "the guest's answer: $line"
		cat
	}
	;;
vhost)
	if [ ! -e /dev/vhost-vsock ]; then
		step "without /dev/vhost-vsock the socket is beside the control socket"
		vm_start plain cloud 'sleep 100' --vsock 4 -n none
		wait_line plain '^Info: vsock: .*plain.vsock'
		[ -S "$LKVM_RUN_DIR/plain.vsock" ] || fail "no socket"
		succeeds "$LKVM" stop --force plain
		wait_exit plain 0 60
		nothing_left plain
		modprobe vhost_vsock 2>/dev/null || true
	fi
	[ -c /dev/vhost-vsock ] || skip "no /dev/vhost-vsock"
	option=$((RANDOM + 1000))
	to_host() { echo "VSOCK-LISTEN:$1,fork"; }
	to_guest() { exec timeout 300 "$tool" connect "$option" "$1"; }
	greet() { :; }
	answer() { cat; }
	;;
esac

# The guest asks here which life this is, and takes and gives data.
echo 1 >"$WORK/life"
socat -U "$(to_host 7000)" "OPEN:$WORK/life,rdonly" &
socat -t 60 "$(to_host 7001)" "SYSTEM:sha256sum" &
socat -U "$(to_host 7002)" "OPEN:$WORK/data,rdonly" &

# talk PORT: stdin goes to the guest; prints what comes back.
talk() { { greet "$1"; cat; } | to_guest "$1" | answer; }

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
' --vsock "$option" -n none

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
		talk 5000 <"$WORK/data" | sha256sum >"$WORK/echo.$i" &
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
to_guest 5001 <&8 >"$WORK/held" &
held=$!
{ greet 5001; echo "still here"; } >&8
until grep -q 'still here' "$WORK/held"; do
	kill -0 $held || fail "no connection to the guest"
	sleep 0.2
done
talk 5002 </dev/null
check second
# With the kernel's the host finds out when it sends.
echo "and now?" >&8
status=0
wait $held || status=$?
[ $status != 124 ] || fail "the connection did not end with the guest"
wait_exit vsock 0
no_complaints vsock
[ ! -e "$socket" ] || fail "$socket is still there"

