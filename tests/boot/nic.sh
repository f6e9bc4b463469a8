# SPDX-License-Identifier: GPL-2.0-or-later
# nic.sh KERNEL QUEUES [TRANSPORT [KEY=VALUE...]]: a tap with that many pairs of
# queues, by vhost with the key vhost=1.  Data goes both ways and arrives as it
# was sent, over several streams at a time (iperf3) as well; guest and host agree
# on the number of queues, which the guest changes; and all this again after the
# driver was unbound and bound, and after the guest has rebooted in place.
. "$TESTS/boot/lib.sh"
kernel=$1 queues=$2 transport=${3:-pci}
keys=$(printf ',%s' "queues=$queues" "${@:4}")
vhost=no
case $keys in *,vhost=1*) vhost=yes ;; esac

if [ $vhost = yes ]; then
	modprobe vhost_net 2>/dev/null || true
	[ -c /dev/vhost-net ] || skip "no /dev/vhost-net"
fi

# The programs that busybox does not have, with their libraries.
extra=$WORK/extra
for program in iperf3 ethtool; do
	path=$(command -v $program) || skip "no $program"
	for file in "$path" $(ldd "$path" | grep -o '/[^ ]*'); do
		mkdir -p "$extra${file%/*}"
		cp -L "$file" "$extra$file"
	done
done
# More than a command line holds.
mkdir -p "$extra/bin"
cat >"$extra/bin/session" <<'END'
export PATH=/bin:/usr/bin:/usr/sbin
queues=$1
n=$(($(dd if=/dev/vda bs=1 count=1 2>/dev/null) + 1))
printf %d $n | dd of=/dev/vda conv=notrunc 2>/dev/null; sync
queues() { ls -d /sys/class/net/eth0/queues/$1-* | wc -l; }
work() {
	ip link set eth0 up && ip addr add 192.168.33.15/24 dev eth0 &&
		ping -c 2 -w 30 192.168.33.1 >/dev/null
	echo "$1 PING $?"
	echo "$1 QUEUES rx $(queues rx) tx $(queues tx)"
	nc 192.168.33.1 8001 </dev/null >/tmp/down
	echo "$1 DOWN $(sha256sum </tmp/down | cut -c1-64)"
	nc 192.168.33.1 8002 </tmp/down
	echo "$1 UP $?"
}
work "boot$n"
dev=$(basename $(readlink -f /sys/class/net/eth0/device))
echo $dev >/sys/bus/virtio/drivers/virtio_net/unbind
[ ! -e /sys/class/net/eth0 ] && echo $dev >/sys/bus/virtio/drivers/virtio_net/bind
work "bind$n"
[ $n = 2 ] || reboot -f
ethtool -L eth0 combined 1 && echo "FEWER rx $(queues rx) tx $(queues tx)"
ping -c 2 -w 30 192.168.33.1 >/dev/null && echo "FEWER works"
ethtool -L eth0 combined $queues && echo "AGAIN rx $(queues rx) tx $(queues tx)"
ethtool -K eth0 gro-hw off 2>&1; ethtool -K eth0 lro off 2>&1
for way in "" -R; do
	tries=20	# the server takes one client, and is started anew for the second
	until iperf3 -c 192.168.33.1 -P 4 -n 4M $way >/tmp/iperf3.out 2>&1; do
		[ $((tries -= 1)) -gt 0 ] || { echo "IPERF3 failed"; cat /tmp/iperf3.out; break; }
		sleep 0.5
	done
	grep -E "SUM.*(sender|receiver)" /tmp/iperf3.out
done
echo "IPERF3 done"
until [ "$(cat /sys/class/net/eth0/carrier)" = 0 ]; do sleep 0.2; done
echo "LINK down"
until [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do sleep 0.2; done
ping -c 2 -w 60 192.168.33.1 >/dev/null
echo "LINK up $?"
grep virtio /proc/interrupts
dmesg | grep -v verification | grep -E "virtio.*(fail|error|timeout)|NETDEV WATCHDOG|nobody cared"
echo "READY"
while :; do sleep 1; done
END
cp "$(initrd_of "$kernel")" "$WORK/initrd"
(cd "$extra" && find . | cpio -o -H newc --quiet) >>"$WORK/initrd"
declare "INITRD_${kernel^^}=$WORK/initrd"

ip link set lo up
head -c 3M /dev/urandom >"$WORK/down"
: >"$WORK/sums"
sum=$(sha256sum <"$WORK/down" | cut -c1-64)
socat -U TCP-LISTEN:8001,reuseaddr,fork "OPEN:$WORK/down,rdonly" &
socat -u TCP-LISTEN:8002,reuseaddr,fork "SYSTEM:sha256sum >>$WORK/sums" &
for i in up down; do
	iperf3 -s -1 -J >"$WORK/iperf3.$i" 2>&1
done &
printf 0 >"$WORK/disk"
truncate -s 1M "$WORK/disk"

CPUS=2 vm_start nic "$kernel" "sh /bin/session $queues" --network "tap$keys,trans=$transport" --disk "$WORK/disk"
pid=${VM_PID[nic]}
wait_line nic '^bind1 UP'
wait_line nic '^bind2 UP'
wait_line nic '^IPERF3 done'
succeeds "$LKVM" link --down nic
wait_line nic '^LINK down' 60
succeeds "$LKVM" link --up nic
wait_line nic '^LINK up 0' 90
wait_line nic '^READY'

for when in boot1 bind1 boot2 bind2; do
	expect_line nic "^$when PING 0"
	expect_line nic "^$when QUEUES rx $queues tx $queues"
	expect_line nic "^$when DOWN $sum"
	expect_line nic "^$when UP 0"
done
# The last of them may still be under way.
until=$((SECONDS + LIMIT))
while [ "$(wc -l <"$WORK/sums")" -lt 4 ]; do
	[ $SECONDS -lt $until ] || fail "the host received $(wc -l <"$WORK/sums") of 4 files"
	sleep 0.2
done
[ "$(grep -c "^$sum" "$WORK/sums")" = 4 ] || fail "the host received something else"
if [ "$queues" -gt 1 ]; then
	expect_line nic "^FEWER rx 1 tx 1"
	expect_line nic "^AGAIN rx $queues tx $queues"
fi
expect_line nic '^FEWER works'
refuse_line nic 'IPERF3 failed|NETDEV WATCHDOG|nobody cared|virtio(_net|[0-9])+ .*(fail|error|timeout)'
# 4 streams each way; the last of what was sent may be under way when the sender has enough.
moved() { jq ".end.$2.bytes" "$WORK/iperf3.$1"; }
wait_for grep -q '^}' "$WORK/iperf3.down"
[ "$(moved up sum_received)" -gt 2000000 ] || fail "iperf3 to the host: $(moved up sum_received) bytes"
[ "$(moved down sum_sent)" -ge 4194304 ] || fail "iperf3 to the guest: $(moved down sum_sent) bytes"
step "data"

tap=$(sed -n 's/^iff:[[:space:]]*//p' /proc/"$pid"/fdinfo/* 2>/dev/null | head -n 1)
[ -n "$tap" ] || fail "lkvm has no tap"
ip -d link show dev "$tap" >"$WORK/tap"
if [ "$queues" -gt 1 ]; then
	grep -q " numqueues $queues numdisabled 0 " "$WORK/tap" || fail "other queues: $(cat "$WORK/tap")"
fi
# Who moved the frames: the kernel's thread is named for its owner.
worked=$(cat /proc/[0-9]*/stat /proc/"$pid"/task/*/stat 2>/dev/null |
	awk -v name="(vhost-$pid)" '$2 == name { t += $14 + $15 } END { print t + 0 }')
case $vhost in
yes) [ "$worked" -gt 0 ] || fail "the kernel's vhost did nothing" ;;
no) [ "$worked" = 0 ] || fail "vhost was not asked for" ;;
esac
succeeds "$LKVM" stop -n nic --force
wait_exit nic '.*' 60
no_complaints nic
! ip link show dev "$tap" >/dev/null 2>&1 || fail "$tap is left"
