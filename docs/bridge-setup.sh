#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A bridge for lkvm's taps: see networking.md.
set -eu

BRIDGE=${BRIDGE:-lkvmbr0}
NET=${NET:-192.168.34} # of the private network: NET.1 is the host
STATE=/run/$BRIDGE.state

usage() {
	cat <<-EOF
	usage: $0 up             private network $NET.0/24 with DHCP, behind NAT
	       $0 up UPLINK      bridge to the network of an Ethernet interface
	       $0 down           undo "up"
	       $0 tap NAME USER [QUEUES]
	                         a tap on the bridge that USER may give to lkvm (tapif=NAME)
	       $0 NAME           put the tap NAME on the bridge (for script=$0)
	environment: BRIDGE=$BRIDGE NET=$NET
	EOF
	exit 2
}

die() {
	echo "$0: $*" >&2
	exit 1
}

need() {
	for tool; do
		command -v "$tool" >/dev/null || die "$tool is missing (Debian: apt install iproute2 nftables dnsmasq-base)"
	done
}

# The IPv4 addresses and the default route of one interface, given to another.
move_addresses() {
	addresses=$(ip -4 -o address show dev "$1" | awk '{print $4}')
	gateway=$(ip -4 route show default dev "$1" | awk '{print $3; exit}')
	ip -4 address flush dev "$1"
	for address in $addresses; do
		ip address add "$address" dev "$2"
	done
	[ -z "$gateway" ] || ip route add default via "$gateway" dev "$2"
}

check_uplink() {
	ip link show dev "$1" >/dev/null || exit 1
	# An access point takes frames from the one address that joined it, not from guests'.
	[ ! -e "/sys/class/net/$1/phy80211" ] || die "$1 is Wi-Fi, which cannot be bridged: use \"$0 up\" (NAT)"
}

up_uplink() {
	ip link set "$1" master "$BRIDGE"
	echo "uplink=$1" >>"$STATE"
	move_addresses "$1" "$BRIDGE"
}

up_private() {
	ip address add "$NET.1/24" dev "$BRIDGE"
	echo "forward=$(cat /proc/sys/net/ipv4/ip_forward)" >>"$STATE"
	echo 1 >/proc/sys/net/ipv4/ip_forward
	nft -f - <<-EOF
	table ip $BRIDGE {
		chain nat {
			type nat hook postrouting priority srcnat;
			ip saddr $NET.0/24 oifname != "$BRIDGE" masquerade
		}
	}
	EOF
	dnsmasq --conf-file=/dev/null --interface="$BRIDGE" --except-interface=lo --bind-interfaces \
		--dhcp-range="$NET.50,$NET.250,12h" --dhcp-authoritative \
		--dhcp-leasefile="/run/$BRIDGE.leases" --pid-file="/run/$BRIDGE.dnsmasq.pid"
}

up() {
	need ip
	[ ! -e "$STATE" ] || die "$BRIDGE is up already ($STATE)"
	if [ $# -gt 0 ]; then
		check_uplink "$1"
	else
		need nft dnsmasq
	fi
	ip link add "$BRIDGE" type bridge forward_delay 0
	: >"$STATE"
	trap down EXIT # nothing is left behind when a step fails
	ip link set "$BRIDGE" up
	if [ $# -gt 0 ]; then
		up_uplink "$1"
	else
		up_private
	fi
	trap - EXIT
}

down() {
	uplink='' forward=''
	[ -e "$STATE" ] || die "$BRIDGE is not up"
	# shellcheck source=/dev/null
	. "$STATE"
	if [ -n "$uplink" ]; then
		ip link set "$uplink" nomaster
		move_addresses "$BRIDGE" "$uplink"
	fi
	if [ -e "/run/$BRIDGE.dnsmasq.pid" ]; then
		dnsmasq=$(cat "/run/$BRIDGE.dnsmasq.pid")
		kill "$dnsmasq" || true
		tries=50
		while kill -0 "$dnsmasq" 2>/dev/null && [ $((tries -= 1)) -gt 0 ]; do sleep 0.1; done
		rm -f "/run/$BRIDGE.dnsmasq.pid" "/run/$BRIDGE.leases"
	fi
	if [ -n "$forward" ]; then
		nft delete table ip "$BRIDGE" 2>/dev/null || true
		echo "$forward" >/proc/sys/net/ipv4/ip_forward
	fi
	ip link del "$BRIDGE" 2>/dev/null || true # somebody was faster
	rm -f "$STATE"
}

case $#:${1-} in
1:-* | 0:*) usage ;;
1:up) up ;;
2:up) up "$2" ;;
1:down) down ;;
3:tap | 4:tap)
	[ "${4:-1}" = 1 ] || multi=multi_queue
	# shellcheck disable=SC2086 # nothing, or a word
	ip tuntap add dev "$2" mode tap user "$3" ${multi-}
	ip link set "$2" master "$BRIDGE" up
	;;
1:*) ip link set "$1" master "$BRIDGE" up ;;
*) usage ;;
esac
