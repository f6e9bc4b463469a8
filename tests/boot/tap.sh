# SPDX-License-Identifier: GPL-2.0-or-later
# tap.sh KERNEL [PARAMS...]: guest and host ping each other over tap devices: one that
# lkvm makes itself, one with a script, one that is there already.  Afterwards
# lkvm's own are gone and the given one remains.  Also a disk, so that with
# PARAMS (other BARs) both kinds of device are seen at work.
. "$TESTS/boot/lib.sh"
kernel=$1
shift
PARAMS=$*

cat >"$WORK/up" <<'END'
#!/bin/sh
ip addr add 192.168.78.1/24 dev "$1" && ip link set "$1" up
echo "$1" >"$WORK/script.ran"
END
chmod +x "$WORK/up"
ip link set lo up
ip tuntap add dev lkvmt0 mode tap
trap 'ip link del lkvmt0 2>/dev/null || true' EXIT
ip addr add 192.168.79.1/24 dev lkvmt0
ip link set lkvmt0 up
ip -o link | awk -F': ' '{ print $2 }' | sort >"$WORK/links.before"
truncate -s 16M "$WORK/disk"

PARAMS=$PARAMS vm_start tap "$kernel" '
n=0
for net in 33 78 79; do
	ip link set eth$n up
	ip addr add 192.168.$net.15/24 dev eth$n
	n=$((n + 1))
done
dd if=/dev/urandom of=/dev/vda bs=64k count=64 2>/dev/null; sync; echo "DISK $?"
for net in 33 78 79; do
	ping -c 3 -w 20 192.168.$net.1 >/dev/null; echo "PING $net $?"
done
echo "MACS $(cat /sys/class/net/eth*/address | sort -u | wc -l)"
carriers() { cat /sys/class/net/eth[012]/carrier | tr -d "\n"; }
( for c in 101 000 111; do
	until [ "$(carriers)" = $c ]; do sleep 0.2; done
	echo "CARRIERS $c"
done ) &
dd if=/dev/zero bs=64k count=128 2>/dev/null | nc 192.168.33.1 7777; echo "SENT"
while :; do sleep 1; done
' --network tap --network "mode=tap,script=$WORK/up" --network "mode=tap,tapif=lkvmt0" \
	--disk "$WORK/disk"
timeout 390 socat -u TCP-LISTEN:7777,reuseaddr "CREATE:$WORK/received" &
wait_line tap "^SENT"
expect_line tap '^DISK 0'
expect_line tap '^PING 33 0'
expect_line tap '^PING 78 0'
expect_line tap '^PING 79 0'
expect_line tap '^MACS 3'
[ -s "$WORK/script.ran" ] || fail "the script did not run"
for net in 33 78 79; do
	ping -q -c 2 -w 10 "192.168.$net.15" >"$WORK/ping.out" || fail "the host cannot ping 192.168.$net.15"
done
[ "$(stat -c %s "$WORK/received")" = 8388608 ] || fail "the host did not receive it all"
step "links"
succeeds "$LKVM" link --down --nic 1 tap
wait_line tap '^CARRIERS 101' 60
! ping -q -c 1 -W 1 192.168.78.15 >"$WORK/ping.out" || fail "a frame passed a link that is down"
succeeds "$LKVM" link --down tap
wait_line tap '^CARRIERS 000' 60
succeeds "$LKVM" link --up tap
wait_line tap '^CARRIERS 111' 60
for net in 33 78 79; do
	ping -q -c 2 -w 30 "192.168.$net.15" >"$WORK/ping.out" || fail "no 192.168.$net.15 any more"
done
refuses "$LKVM" link --down --nic 3 tap
step "end"
succeeds "$LKVM" stop -n tap
wait_exit tap 0 60
no_complaints tap
ip -o link | awk -F': ' '{ print $2 }' | sort >"$WORK/links.after"
cmp -s "$WORK/links.before" "$WORK/links.after" || fail "interfaces left: $(diff "$WORK/links.before" "$WORK/links.after")"
