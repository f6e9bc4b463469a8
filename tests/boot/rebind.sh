# SPDX-License-Identifier: GPL-2.0-or-later
# rebind.sh TRANSPORT: one guest with a device of every kind uses each; then each
# driver is unbound and bound again, and each device used; then the guest reboots in
# place, and uses them all once more. Devices of a legacy transport that never had that
# interface are modern ones.
. "$TESTS/boot/lib.sh"
. "$TESTS/boot/scsi-target.sh"
. "$TESTS/rfb.sh"
transport=$1
port=5951
virtiofsd=/usr/lib/qemu/virtiofsd
devices=(blk net rng balloon 9p vsock port keyboard tablet mouse console)
options=()
reload=: v1=1
case $transport in
pci-legacy) reload='rmmod virtio_pci && insmod /modules/core/*virtio_pci.ko force_legacy=1' v1=0 ;;
mmio-legacy) v1=0 ;;
esac
export INITRD_GENERIC
INITRD_GENERIC=$(initrd_with generic "${LKVM%/*}/tests/boot/vsock-tool")

truncate -s 4M "$WORK/disk"
mkdir "$WORK/share"
echo "hello from the host" >"$WORK/share/hello"
socat -U "UNIX-LISTEN:$WORK/v_7000,fork" "OPEN:$WORK/share/hello,rdonly" &

if [ -x "$virtiofsd" ] && [ "$(id -u)" = 0 ]; then
	devices+=(fs)
	options+=(--fs "tag=fs,dir=$WORK/share")
fi

trap '[ -z "${scsi_unit:-}" ] || scsi_target_remove' EXIT
if scsi_target "$WORK/unit" 4194304; then
	devices+=(scsi)
	options+=(--disk "scsi:$wwpn")
fi

cat >"$WORK/share/test" <<'END'
say() { echo "$now $*"; }
until_true() { n=0; until "$@" 2>/dev/null; do n=$((n + 1)); [ $n -lt 1000 ] || return 1; sleep 0.1; done; }
disk() {
	until_true [ -b $1 ] &&
		dd if=/dev/urandom of=/tmp/x bs=64k count=2 2>/dev/null &&
		dd if=/tmp/x of=$1 bs=64k seek=2 oflag=direct 2>/dev/null &&
		dd if=$1 bs=64k skip=2 count=2 iflag=direct 2>/dev/null | cmp - /tmp/x
}
blk() { disk /dev/vda; }
scsi() { disk /dev/sda; }
net() {
	until_true [ -e /sys/class/net/eth0 ] && ip link set eth0 up &&
		ip addr add 192.168.33.15/24 dev eth0 && ping -c 1 -w 60 192.168.33.1 >/dev/null
}
rng() {
	grep -q virtio_rng /sys/class/misc/hw_random/rng_available && [ "$(head -c 64 /dev/hwrng | wc -c)" = 64 ]
}
balloon_is() { [ $(awk '/^balloon_inflate/ { i = $2 } /^balloon_deflate/ { d = $2 } END { print i - d }' /proc/vmstat) = $1 ]; }
balloon() { until_true balloon_is 2048; }
files() { mount -t $1 -o "$2" $3 /mnt && grep -q "hello from the host" /mnt/hello && umount /mnt; }
p9() { files 9p trans=virtio,version=9p2000.L share; }
fs() { files virtiofs rw fs; }
vsock() { [ "$(vsock-tool connect 2 7000 </dev/null)" = "hello from the host" ]; }
port_is() {
	for p in /sys/class/virtio-ports/*; do
		[ "$(cat $p/name)" != org.lkvm.test ] || echo "port $now" >/dev/${p##*/}
	done
	[ -n "$p" ]
}
port() { until_true [ -e /sys/class/virtio-ports ] && until_true port_is; }
event_of() {
	for e in /sys/class/input/event*; do
		[ "$(cat $e/device/name)" != "$1" ] || echo /dev/input/${e##*/}
	done
}
there() { [ -n "$(event_of "$1")" ]; }
# The host presses, or moves, until something comes.
event() {
	until_true there "$1" || return 1
	say WANTS $2
	timeout 200 head -c 24 $(event_of "$1") | wc -c >/tmp/events
	say HAS $2
	[ "$(cat /tmp/events)" = 24 ]
}
keyboard() { event "lkvm virtio keyboard" key; }
tablet() { event "lkvm virtio tablet" pointer; }
mouse() { until_true there "lkvm virtio mouse"; }
console() {
	until_true [ -c /dev/hvc0 ] || return 1
	echo "hvc0 $now" >/dev/hvc0
	say WANTS line
	read -r line </dev/hvc0
	[ "$line" = "typed $now" ]
}
use_all() {
	now=$1
	say V1 $(cut -c33 /sys/block/vda/device/features)
	for device in $DEVICES; do
		[ $device != 9p ] || device=p9
		if $device; then say $device ok; else say $device BAD; fi
	done
	say DONE
}
rebind_all() {
	now=bind
	for d in /sys/bus/virtio/devices/*; do
		driver=$(readlink -f $d/driver) name=${d##*/}
		say UNBIND $name ${driver##*/}
		echo $name >$driver/unbind && [ ! -e $d/driver ] && echo $name >$driver/bind &&
			[ -e $d/driver ] && say REBOUND ${driver##*/}
	done
}
if [ "$(dd if=/dev/vda bs=1 count=6 2>/dev/null)" = second ]; then
	use_all rebooted
	poweroff -f
fi
use_all first
rebind_all
use_all second
printf second | dd of=/dev/vda conv=notrunc 2>/dev/null
sync
reboot -f
END

mkfifo "$WORK/keys"
exec 3<>"$WORK/keys"
# Init is on a serial port: Linux' hvc driver hangs up those who have a console open when it goes, and
# writing to its successor is EIO until they have closed it (so it is with QEMU's virtconsole).
INPUT=$WORK/keys PARAMS=console=ttyS0 vm_start all generic '
for m in 9p fs balloon vsock scsi input screen; do need $m; done
'"$reload"' || echo "RELOAD failed"
mount -t 9p -o trans=virtio,version=9p2000.L share /mnt && cp /mnt/test /tmp/test
umount /mnt
DEVICES="'"${devices[*]}"'" sh /tmp/test
' --console virtio --tty 0 --virtio-transport "$transport" --disk "$WORK/disk" --network user --rng --balloon \
	--9p "$WORK/share,share" --vsock "7,uds=$WORK/v" --port "org.lkvm.test,file=$WORK/port" \
	--vnc=:$((port - 5900)) "${options[@]}"
wait_line all '^Info: serial port 0 is'
pty=$(console all | sed -n 's/^Info: serial port 0 is //p')
[ -c "$pty" ] || fail "no pty"
stty -F "$pty" raw -echo
cat "$pty" >"$WORK/serial.out" &
wait_line serial '^GUEST up'
succeeds "$LKVM" balloon -i 8 -n all
rfb_open $port || fail "no VNC"

x=1
# until_has TIME WHAT COMMAND...: again and again, until the guest says that it has one.
until_has() {
	local until=$((SECONDS + LIMIT)) time=$1 what=$2
	shift 2
	wait_line serial "^$time WANTS $what"
	until said serial "^$time HAS $what"; do
		[ $SECONDS -lt $until ] || fail "$time: no $what came to the guest"
		"$@"
		sleep 0.3
	done
}
move() { rfb_pointer $((100 + x++ % 50)) 80 0; }
used() {
	local d
	until_has "$1" key "$LKVM" sendkey all a
	until_has "$1" pointer move
	wait_line serial "^$1 WANTS line"
	echo "typed $1" >&3
	wait_line serial "^$1 DONE"
	for d in "${devices[@]/9p/p9}"; do expect_line serial "^$1 $d ok"; done
	expect_line all "^hvc0 $1"
	refuse_line serial "^$1 [a-z0-9]* BAD"
	expect_line serial "^$1 V1 $v1"
	step "$1: ${devices[*]}"
}
used first
used second
for driver in virtio_blk virtio_net virtio_rng virtio_balloon 9pnet_virtio vmw_vsock_virtio_transport \
	virtio_console virtio_input; do
	expect_line serial "^bind REBOUND $driver"
done
used rebooted
wait_exit all 0
rfb_close
no_complaints serial
no_complaints all
nothing_left all
[ "$(cat "$WORK/port")" = "$(printf 'port %s\n' first second rebooted)" ] || fail "the port's file has: $(cat "$WORK/port")"
