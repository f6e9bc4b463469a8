# SPDX-License-Identifier: GPL-2.0-or-later
# The recipes of docs/networking.md with docs/bridge-setup.sh: guests on a bridge of
# their own, with addresses from DHCP, who reach each other and, behind NAT, a host
# outside; a guest on the network of an Ethernet interface, with an address from
# the DHCP server that is there.  "down" leaves nothing behind.
. "$TESTS/boot/lib.sh"
setup=$TESTS/../docs/bridge-setup.sh

outside_start
outside_uplink

state() {
	ip -o link | sed 's/^[0-9]*: \([^:@]*\).*master \([^ ]*\).*/\1 \2/; s/^[0-9]*: \([^:@]*\).*/\1/'
	ip -4 -o addr | awk '{ print $2, $4 }'
	ip route
	nft list ruleset
	cat /proc/sys/net/ipv4/ip_forward
	ls /run | grep lkvmbr0 || true
} 2>/dev/null
state >"$WORK/before"
as_before() {
	state >"$WORK/after"
	cmp -s "$WORK/before" "$WORK/after" || fail "not as it was: $(diff "$WORK/before" "$WORK/after")"
}

guest="$guest_net"'
lease eth0
fetch FAR 10.99.0.2 8001
'
stay='while :; do sleep 1; done'

step "a private network"
succeeds "$setup" up
succeeds "$setup" tap vmtap0 nobody 2
vm_start one cloud "$guest$stay" --network "mode=tap,script=$setup"
mkfifo "$WORK/keys"
exec 8<>"$WORK/keys"
INPUT=$WORK/keys vm_start two cloud "$guest"'
read -r ip
ping -c 2 -w 60 $ip >/dev/null
echo "PING $?"
' --network "mode=tap,tapif=vmtap0"
wait_line one '^FAR'
expect_line one '^LEASE 192\.168\.34\.[0-9]+ dns 192\.168\.34\.1'
expect_line one "^FAR $sum"
ip=$(console one | sed -n 's/^LEASE \([0-9.]*\) .*/\1/p')
ping -q -c 2 -w 60 "$ip" >"$WORK/ping.out" || fail "the host cannot ping $ip"
wait_line two '^FAR'
expect_line two "^FAR $sum"
echo "$ip" >&8
wait_exit two 0
expect_line two '^PING 0'
[ "$(console two | sed -n 's/^LEASE \([0-9.]*\) .*/\1/p')" != "$ip" ] || fail "two guests have one address"
succeeds "$LKVM" stop --force one
wait_exit one 0 60
no_complaints one
no_complaints two
ip link del vmtap0
succeeds "$setup" down
as_before

step "the network of an interface, whose DHCP server is outside"
outside dnsmasq --conf-file=/dev/null --port=0 --interface=wire --bind-interfaces --user=root \
	--dhcp-range=10.99.0.100,10.99.0.110,1h --dhcp-authoritative \
	--dhcp-leasefile="$WORK/leases" --pid-file="$WORK/dnsmasq.pid" --keep-in-foreground &
succeeds "$setup" up up0
[ "$(ip -4 -o addr show dev lkvmbr0 | awk '{ print $4 }')" = 10.99.0.1/24 ] || fail "the address did not move"
ping -q -c 2 -w 60 10.99.0.2 >"$WORK/ping.out" || fail "the host lost its network"
vm_start three cloud "$guest" --network "mode=tap,script=$setup"
wait_exit three 0
expect_line three '^LEASE 10\.99\.0\.1[01][0-9] '
expect_line three "^FAR $sum"
no_complaints three
succeeds "$setup" down
as_before
ping -q -c 2 -w 60 10.99.0.2 >"$WORK/ping.out" || fail "the host lost its network"
