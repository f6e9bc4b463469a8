# SPDX-License-Identifier: GPL-2.0-or-later
# The guest reaches a host's port over user networking, both by fixed address
# and after DHCP; the host's loopback only when asked for.
. "$TESTS/boot/lib.sh"
"$LKVM" version --build-options 2>/dev/null | grep -qiE 'user networking.*no' && skip "built without libslirp"

ip link set lo up
# A host of our own to reach: an address that is not loopback's.
ip link add lkvmd0 type dummy 2>/dev/null || { modprobe dummy && ip link add lkvmd0 type dummy; }
trap 'ip link del lkvmd0 2>/dev/null || true' EXIT
ip addr add 10.99.0.1/24 dev lkvmd0
ip link set lkvmd0 up
head -c 3M /dev/urandom >"$WORK/file"
sum=$(sha256sum <"$WORK/file" | cut -c1-64)
serve() { socat -U "TCP-LISTEN:$2,bind=$1,fork,reuseaddr" "OPEN:$WORK/file,rdonly" & }
serve 10.99.0.1 8001
serve 127.0.0.1 8002

script='
ip link set eth0 up
cat >/tmp/dhcp <<END
#!/bin/sh
[ "\$1" = bound ] || exit 0
ip addr add \$ip/\$mask dev \$interface
ip route add default via \$router
echo "LEASE \$ip \$router"
END
chmod +x /tmp/dhcp
udhcpc -i eth0 -n -q -t 5 -s /tmp/dhcp >/dev/null 2>/tmp/udhcpc || cat /tmp/udhcpc
ip -o addr show dev eth0 | grep -w inet
echo "FAR $(nc 10.99.0.1 8001 </dev/null | sha256sum | cut -c1-64)"
echo "LOOP $(nc -w 5 192.168.33.1 8002 </dev/null | sha256sum | cut -c1-64)"
'
vm_start user cloud "$script" --network user
vm_start loop cloud "$script" --network mode=user,host_loopback=on
wait_exit user 0
wait_exit loop 0
for vm in user loop; do
	expect_line $vm '192\.168\.33\.15'
	expect_line $vm "^FAR $sum"
	no_complaints $vm
done
refuse_line user "^LOOP $sum"
expect_line loop "^LOOP $sum"
