# SPDX-License-Identifier: GPL-2.0-or-later
# A guest with the NICs that the other tests do not have: a macvtap by its name, whose
# address the guest changes; one that was inherited as a descriptor; a tap whose
# script and downscript know its name; and passt with a port forwarded to the guest.
. "$TESTS/boot/lib.sh"

# Hosts outside: 10.96.0.2 and 10.97.0.2, each on the other end of a macvtap's Ethernet.
outside_start
for n in 96 97; do
	ip link add vm$n type veth peer name out$n netns $OUTSIDE
	ip link set vm$n up
	outside ip addr add 10.$n.0.2/24 dev out$n
	outside ip link set out$n up
	ip link add link vm$n name mac$n type macvtap mode bridge || skip "no macvtap"
	ip link set mac$n up
done
# /sys may be another network namespace's.
mac_of() { ip -o link show dev "$1" | sed 's,.*link/ether \([^ ]*\).*,\1,'; }
device=/dev/tap$(ip -o link show dev mac97 | cut -d: -f1)
[ -c "$device" ] || skip "no $device for macvtap"

# What passt takes as its way to the outside, and gives to the guest.
outside_uplink
passt=(--network passt,hostfwd=tcp:10.99.0.1:2222-:22)
if ! unshare -U true 2>/dev/null; then # as in the rig, whose root is a chroot
	step "no user namespaces for passt here: without it"
	passt=()
fi

printf '#!/bin/sh\necho up $1 >>"%s"; ip addr add 10.95.0.2/24 dev $1; ip link set $1 up\n' \
	"$WORK/scripts" >"$WORK/up"
printf '#!/bin/sh\necho down $1 >>"%s"\n' "$WORK/scripts" >"$WORK/down"
chmod +x "$WORK/up" "$WORK/down"

exec 9<>"$device"
first=$(mac_of mac96)
mkfifo "$WORK/keys"
exec 8<>"$WORK/keys"
INPUT=$WORK/keys vm_start nics cloud "$guest_net"'
for n in 0 1 2; do
	ip link set eth$n up
	ip addr add 10.$((95 + n)).0.15/24 dev eth$n
done
for n in 95 96 97; do ping -c 2 -w 60 10.$n.0.2 >/dev/null; echo "PING $n $?"; done
ip link set eth1 down
ip link set eth1 address 02:00:00:00:00:77
ip link set eth1 up
ping -c 2 -w 60 10.96.0.2 >/dev/null; echo "OTHER $?"
read -r go
[ -e /sys/class/net/eth3 ] || exit 0
lease eth3
# What the passt of Debian 12 cannot do: once a client has sent its FIN it no longer reads what it
# acknowledges, and to a server that speaks first it does not acknowledge the SYN.
mkfifo /tmp/open
fetch() { echo "$1 $(nc -w 60 $2 $3 <>/tmp/open | sha256sum | cut -c1-64)"; }
fetch FAR 10.99.0.2 8001
nc -l -p 22 <>/tmp/open | sha256sum | cut -c1-64 >/tmp/sum &
until netstat -ltn | grep -q :22; do sleep 0.1; done
echo "LISTENS"
wait
echo "FILE $(cat /tmp/sum)"
' --network "mode=tap,script=$WORK/up,downscript=$WORK/down" --network tapif=mac96 \
	--network "fd=9,guest_mac=$(mac_of mac97)" "${passt[@]}"
exec 9<&-
wait_line nics '^OTHER'
for n in 95 96 97; do expect_line nics "^PING $n 0"; done
expect_line nics '^OTHER 0'
[ "$(mac_of mac96)" = 02:00:00:00:00:77 ] || fail "the macvtap keeps its address"
echo >&8
if [ ${#passt[@]} -gt 0 ]; then
	wait_line nics '^LISTENS'
	expect_line nics '^LEASE 10\.99\.0\.1'
	expect_line nics "^FAR $sum"
	outside timeout 120 socat -u "OPEN:$WORK/file,rdonly" TCP:10.99.0.1:2222
	wait_line nics "^FILE $sum"
fi
wait_exit nics 0
no_complaints nics
tap=$(sed -n 's/^up //p' "$WORK/scripts")
[ "$(cat "$WORK/scripts")" = "$(printf 'up %s\ndown %s' "$tap" "$tap")" ] || fail "scripts: $(cat "$WORK/scripts")"
! ip link show dev "$tap" >/dev/null 2>&1 || fail "$tap is left"
[ "$(mac_of mac96)" = "$first" ] || fail "the macvtap has its guest's address still"
ip link show dev mac97 >/dev/null || fail "a macvtap went"
! pgrep -x passt --ns $$ --nslist net || fail "passt is left"
