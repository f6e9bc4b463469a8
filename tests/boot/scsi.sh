# SPDX-License-Identifier: GPL-2.0-or-later
# scsi.sh: a target of the host's kernel as the guest's disk.  What the guest
# writes is in the image; the driver is unbound and bound again, and the guest
# rebooted, and read it still.  A target that is not there, or is another VM's, is
# an error.
. "$TESTS/boot/lib.sh"
. "$TESTS/boot/scsi-target.sh"

trap '[ -z "${scsi_unit:-}" ] || scsi_target_remove' EXIT
scsi_target "$WORK/image" 16777216 || skip "no vhost-scsi"

refuses timeout 60 "$LKVM" run -k "$(kernel_of cloud)" -n none --disk scsi:naa.5001405000000000
grep -q 'naa.5001405000000000: this host has no such target' "$WORK/command.out" ||
	fail "a target that is not there: $(cat "$WORK/command.out")"

vm_start scsi cloud '
need scsi
wait_sda() {
	n=0
	until [ -b /dev/sda ] || [ $n = 300 ]; do sleep 0.1; n=$((n + 1)); done
	echo "$1 SIZE $(cat /sys/block/sda/size) $(cat /sys/block/sda/device/vendor)"
}
read_it() { echo "$1 READ $(dd if=/dev/sda bs=64k count=64 iflag=direct 2>/dev/null | sha256sum)"; }

wait_sda now
if dd if=/dev/sda bs=512 count=1 skip=20000 2>/dev/null | grep -q "second life"; then
	read_it second
	exit
fi
dd if=/dev/urandom of=/dev/sda bs=64k count=64 oflag=direct 2>/dev/null
echo "second life" | dd of=/dev/sda bs=512 seek=20000 conv=sync 2>/dev/null
sync
read_it first
driver=/sys/bus/virtio/drivers/virtio_scsi
device=$(ls $driver | grep -m1 virtio)
echo $device >$driver/unbind
[ -b /dev/sda ] && echo ODD
echo $device >$driver/bind
wait_sda again
read_it again
echo "MARK"
sleep 20
reboot -f
' --disk "scsi:$wwpn" -n none
wait_line scsi '^MARK'
sum=$(head -c 4194304 "$WORK/image" | sha256sum)
step "the guest's data is in the image"
expect_line scsi "^now SIZE 32768 LIO-ORG"
expect_line scsi "^first READ $sum"
expect_line scsi "^again SIZE 32768 LIO-ORG"
expect_line scsi "^again READ $sum"
refuses timeout 60 "$LKVM" run -k "$(kernel_of cloud)" -n none --disk "scsi:$wwpn"
grep -q 'it is in use' "$WORK/command.out" || fail "a target of another VM: $(cat "$WORK/command.out")"
wait_line scsi "^second READ $sum"
wait_exit scsi 0
refuse_line scsi '^ODD'
no_complaints scsi
