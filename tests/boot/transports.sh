# SPDX-License-Identifier: GPL-2.0-or-later
# transports.sh KERNEL TRANSPORT [PARAMS...]: two disks, a NIC and a source of
# random numbers are there on that transport, more devices than virtio-mmio has
# interrupt lines here, and work; then the transport's driver is unloaded and
# loaded again, and they still do.  A transitional device is used by the modern
# driver first and then by the legacy one.  "mixed" gives every device another.
. "$TESTS/boot/lib.sh"
kernel=$1 transport=$2
shift 2
PARAMS=$*

truncate -s 64M "$WORK/ext4"
truncate -s 16M "$WORK/scratch"
mkfs.ext4 -q -F "$WORK/ext4"
ip link set lo up

mmio='(LNRO0005:0|[0-9a-f]*\.virtio)' # by ACPI, by device tree
options=(--rng --virtio-transport "$transport")
disk=$WORK/ext4 scratch=$WORK/scratch nic=tap
case $transport in
pci-legacy) at='0000:00:0' v1=1 module=virtio_pci again=force_legacy=1 v1_again=0 ;;
mmio) at=$mmio v1=1 module=virtio_mmio again= v1_again=1 ;;
mmio-legacy) at=$mmio v1=0 module=virtio_mmio again= v1_again=0 ;;
mixed)
	at=$mmio v1=1 module=virtio_mmio again= v1_again=1
	options=(--rng) disk+=,trans=mmio scratch+=,trans=pci-legacy nic+=,trans=mmio-legacy
	;;
*) fail "no transport '$transport'" ;;
esac

vm_start t "$kernel" '
need ext4
mkdir -p /mnt
work() {
	for i in $(seq 100); do
		[ -b /dev/vda ] && [ -b /dev/vdb ] && [ -e /sys/class/net/eth0 ] && break
		sleep 0.1
	done
	disk=/dev/vda
	[ $(cat /sys/block/vda/size) = 131072 ] || disk=/dev/vdb
	other=/dev/vda; [ $disk = $other ] && other=/dev/vdb
	sys=$(readlink -f /sys/block/${disk#/dev/}/device)
	echo "$1 AT $sys V1=$(cut -c33 $sys/features)"
	mount -t ext4 $disk /mnt && head -c 1048576 /dev/urandom >/mnt/$1 &&
		sha256sum </mnt/$1 >/mnt/$1.sum && umount /mnt && mount -t ext4 $disk /mnt &&
		[ "$(sha256sum </mnt/$1)" = "$(cat /mnt/$1.sum)" ] && umount /mnt
	echo "$1 DISK $?"
	dd if=/dev/urandom of=$other bs=64k count=16 2>/dev/null && sync
	echo "$1 OTHER $?"
	ip link set eth0 up && ip addr add 192.168.33.15/24 dev eth0 &&
		ping -c 3 -w 20 192.168.33.1 >/dev/null
	echo "$1 PING $?"
	dd if=/dev/zero bs=64k count=8 2>/dev/null | nc 192.168.33.1 777$2
	echo "$1 RNG $(cat /sys/class/misc/hw_random/rng_current) $(head -c 64 /dev/hwrng | wc -c)"
	grep -E "virtio" /proc/interrupts
}
work first 1
rmmod '$module' && insmod /modules/core/*'$module'.ko '"$again"' || echo "RELOAD failed"
work second 2
dmesg | grep -E "I/O error, dev|virtio.*(fail|error|timeout)|nobody cared"
' --disk "$disk" --disk "$scratch" --network "$nic" "${options[@]}"
for i in 1 2; do
	timeout 320 socat -u "TCP-LISTEN:777$i,reuseaddr" "CREATE:$WORK/received$i" &
done
wait_exit t 0 300
expect_line t "^first AT .*/$at.* V1=$v1"
expect_line t "^second AT .*/$at.* V1=$v1_again"
for when in first second; do
	expect_line t "^$when DISK 0"
	expect_line t "^$when OTHER 0"
	expect_line t "^$when PING 0"
	expect_line t "^$when RNG virtio_rng.* 64"
done
refuse_line t 'RELOAD failed|I/O error, dev|nobody cared'
no_complaints t
for i in 1 2; do
	[ "$(stat -c %s "$WORK/received$i")" = 524288 ] || fail "the host did not receive all of $i"
done
e2fsck -fn "$WORK/ext4" >"$WORK/fsck.out" 2>&1 || fail "the file system is not clean"
