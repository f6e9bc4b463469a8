# SPDX-License-Identifier: GPL-2.0-or-later
# docs/bridge-setup.sh sets up what it says and takes all of it away again: a
# private network with DHCP and a way out by NAT, a bridge to an uplink, taps of
# a user.  In a network namespace; two more of them are a guest and the world.
. "$TESTS/cli/lib.sh"
script=$TESTS/../docs/bridge-setup.sh
export BRIDGE=lkvmt$$ NET=192.168.234

# namespace VARIABLE: one that lasts as long as this test, by a process in it.
namespace() {
	unshare -n sleep 600 &
	declare -g "$1=$!"
	until [ "$(readlink "/proc/$!/ns/net")" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.1; done
}
inside() { nsenter -t "$1" -n "${@:2}"; }
namespace guest
namespace world
trap 'kill $guest $world 2>/dev/null; [ ! -e /run/$BRIDGE.state ] || bash "$script" down' EXIT

# "ethernet": the host's interface, 10.55.0.1; the world is 10.55.0.2, and knows no way back.
ip link set lo up
ip link add ethernet type veth peer name e0 netns "$world"
ip addr add 10.55.0.1/24 dev ethernet
ip link set ethernet up
ip route add default via 10.55.0.2
inside "$world" ip addr add 10.55.0.2/24 dev e0
inside "$world" ip link set e0 up
# "vmport": what a tap is to the guest behind it.
ip link add vmport type veth peer name eth0 netns "$guest"
inside "$guest" ip link set eth0 up

cat >"$WORK/dhcp" <<'END'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
ip route add default via "$router"
echo "LEASE $ip $router $dns"
END
chmod +x "$WORK/dhcp"

snapshot() {
	ip -o addr | sed 's/ *valid_lft.*//'
	ip route
	nft list tables
	cat /proc/sys/net/ipv4/ip_forward
	ls /run | grep "$BRIDGE" || true
}
# Links come up in their own time: IPv6's addresses and routes are not ours.
sysctl -qw net.ipv6.conf.all.disable_ipv6=1 2>/dev/null || true
echo 0 >/proc/sys/net/ipv4/ip_forward
snapshot >"$WORK/before"
unchanged() {
	snapshot >"$WORK/after"
	cmp -s "$WORK/before" "$WORK/after" || fail "$1: $(diff "$WORK/before" "$WORK/after")"
}

says() { ip -d link show dev "$1" 2>/dev/null | grep -q -- "$2" || fail "$1 is not '$2'"; }

# --- the private network ---
bash "$script" up || fail "up"
[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ] || fail "no forwarding"
bash "$script" vmport || fail "a port on the bridge"
inside "$guest" timeout 60 busybox udhcpc -i eth0 -n -q -t 10 -s "$WORK/dhcp" >"$WORK/lease" 2>&1 ||
	fail "no lease: $(cat "$WORK/lease")"
grep -q "^LEASE $NET\.[0-9]* $NET\.1 $NET\.1" "$WORK/lease" || fail "lease: $(cat "$WORK/lease")"
inside "$guest" ping -q -c 2 -w 20 10.55.0.2 >"$WORK/ping" || fail "no way out: $(cat "$WORK/ping")"
! bash "$script" up 2>"$WORK/twice" || fail "up twice"
grep -q "is up already" "$WORK/twice" || fail "$(cat "$WORK/twice")"
bash "$script" tap lkvmtap0 nobody || fail "a tap for a user"
says lkvmtap0 "user nobody"
says lkvmtap0 "master $BRIDGE"
bash "$script" tap lkvmtap1 nobody 4 || fail "a tap with queues"
says lkvmtap1 multi_queue
dnsmasq=$(cat "/run/$BRIDGE.dnsmasq.pid")
bash "$script" down || fail "down"
! kill -0 "$dnsmasq" 2>/dev/null || fail "dnsmasq still runs"
ip link del vmport
sed -i '/vmport/d' "$WORK/before"
unchanged "left by down"

# --- an uplink ---
bash "$script" up ethernet || fail "up ethernet"
ip -o -4 addr show dev "$BRIDGE" | grep -q 10.55.0.1/24 || fail "the bridge has not the address"
says ethernet "master $BRIDGE"
ip route show default | grep -q "via 10.55.0.2 dev $BRIDGE" || fail "no default route"
ping -q -c 2 -w 20 10.55.0.2 >"$WORK/ping" || fail "the world is gone: $(cat "$WORK/ping")"
bash "$script" down || fail "down"
unchanged "left by down of an uplink"
ping -q -c 2 -w 20 10.55.0.2 >"$WORK/ping" || fail "the world did not come back"

# --- what fails leaves nothing ---
! NET=10.55.0.1.2 bash "$script" up 2>"$WORK/bad" || fail "a network of no sense was accepted"
unchanged "left by a failed up"
! bash "$script" up nosuch 2>"$WORK/bad" || fail "an uplink that does not exist was accepted"
unchanged "left by a failed up"
! bash "$script" down 2>"$WORK/bad" || fail "down twice"

# --- somebody takes the bridge away first ---
bash "$script" up || fail "up"
ip link del "$BRIDGE"
bash "$script" down || fail "down without the bridge"
unchanged "left by down without the bridge"
