# SPDX-License-Identifier: GPL-2.0-or-later
# The guest reaches a host's port over user networking, with the addresses that
# DHCP and a router advertisement gave it, by IPv4 and IPv6, and a name server;
# the host's loopback only when asked for; the host reaches the guest by hostfwd.
#
# The name server is one of ours, which a mount namespace makes the host's own.
if [ -z "${USER_OWN_MOUNTS:-}" ]; then
	export USER_OWN_MOUNTS=1
	exec unshare -m bash "$0" "$@"
fi
. "$TESTS/boot/lib.sh"
"$LKVM" version --build-options 2>/dev/null | grep -qiE 'user networking.*no' && skip "built without libslirp"

ip link set lo up
# A host of our own to reach: an address that is not loopback's.
ip link add lkvmd0 type dummy 2>/dev/null || { modprobe dummy && ip link add lkvmd0 type dummy; }
trap 'ip link del lkvmd0 2>/dev/null || true' EXIT
ip addr add 10.99.0.1/24 dev lkvmd0
ip addr add fd99::1/64 dev lkvmd0 nodad
ip link set lkvmd0 up
head -c 3M /dev/urandom >"$WORK/file"
sum=$(sha256sum <"$WORK/file" | cut -c1-64)
serve() { socat -U "$1,fork,reuseaddr" "OPEN:$WORK/file,rdonly" & }
serve TCP-LISTEN:8001,bind=10.99.0.1
serve TCP-LISTEN:8002,bind=127.0.0.1
serve TCP6-LISTEN:8003,bind=[fd99::1]
serve TCP6-LISTEN:8004,bind=[::1]
echo "nameserver 10.99.0.1" >"$WORK/resolv.conf"
[ -e /etc/resolv.conf ] || : >"$(readlink -m /etc/resolv.conf)"
mount --bind "$WORK/resolv.conf" "$(readlink -f /etc/resolv.conf)"
dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --user=root --pid-file --keep-in-foreground \
	--listen-address=10.99.0.1 --bind-interfaces --address=/name.lkvm.test/10.9.8.7 &

script="$guest_net"'
lease eth0
ip -o addr show dev eth0 | grep -w inet
fetch FAR 10.99.0.1 8001
echo "LOOP $(nc -w 5 192.168.33.1 8002 </dev/null | sha256sum | cut -c1-64)"
for i in $(seq 300); do
	ip -6 route | grep -q ^default && ip -6 addr show dev eth0 | grep global | grep -vq tentative && break
	sleep 0.2
done
ip -o -6 addr show dev eth0 | grep global
fetch FAR6 fd99::1 8003
echo "LOOP6 $(nc -w 5 fd6c:6b76:6d00::1 8004 </dev/null | sha256sum | cut -c1-64)"
echo "NAMESERVER $(nc -w 5 192.168.33.3 8001 </dev/null | sha256sum | cut -c1-64)" # which is 10.99.0.1, for DNS
nslookup name.lkvm.test 192.168.33.3 2>&1 | grep Address
'
listen='
head -c 300000 /dev/urandom >/tmp/file
echo "FILE $(sha256sum </tmp/file | cut -c1-64)"
nc -l -p 22 </tmp/file &
for i in $(seq 100); do netstat -ltn | grep -q :22 && break; sleep 0.1; done
echo "LISTENS"
wait
'
vm_start user cloud "$script$listen" --network user,hostfwd=tcp:127.0.0.1:2222-:22
vm_start loop cloud "$script" --network mode=user,host_loopback=on
wait_line user '^LISTENS'
got=$(timeout 120 socat -u TCP:127.0.0.1:2222 - | sha256sum | cut -c1-64)
wait_exit user 0
expect_line user "^FILE $got"
wait_exit loop 0
for vm in user loop; do
	expect_line $vm '192\.168\.33\.15'
	expect_line $vm "^FAR $sum"
	expect_line $vm 'fd6c:6b76:6d00:'
	expect_line $vm "^FAR6 $sum"
	expect_line $vm '10\.9\.8\.7'
	refuse_line $vm "^NAMESERVER $sum"
	no_complaints $vm
done
refuse_line user "^LOOP $sum"
expect_line loop "^LOOP $sum"
refuse_line user "^LOOP6 $sum"
expect_line loop "^LOOP6 $sum"
