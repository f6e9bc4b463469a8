# SPDX-License-Identifier: GPL-2.0-or-later
# disk.sh KERNEL [PARAMS...]: the guest writes file systems on its disks; after
# `lkvm stop` they are clean and hold what was written.  With PARAMS, the kernel
# gets these: ways to make Linux assign the BARs anew.
. "$TESTS/boot/lib.sh"
kernel=$1
shift
PARAMS=$*

truncate -s 64M "$WORK/ext4" "$WORK/ext2"
mkfs.ext4 -q -F "$WORK/ext4"
head -c 1M /dev/urandom >"$WORK/ro"
sum=$(sha256sum <"$WORK/ro" | cut -c1-64)

PARAMS=$PARAMS vm_start disk "$kernel" '
need ext4
ls -d /sys/block/vd?
mount -t ext4 /dev/vda /mnt && echo "MOUNTED ext4"
mke2fs -F /dev/vdb >/dev/null && mkdir /b && mount -t ext2 /dev/vdb /b && echo "MOUNTED ext2"
echo "RO sum=$(sha256sum /dev/vdc | cut -c1-64) ro=$(cat /sys/block/vdc/ro)"
dd if=/dev/zero of=/dev/vdc bs=512 count=1 2>/dev/null; sync; echo "RO write status $?"
head -c 8388608 /dev/urandom >/mnt/data
sha256sum /mnt/data | cut -c1-64 >/mnt/sum
cp /mnt/data /mnt/sum /b
sync
umount /b
echo "WRITTEN $(cat /mnt/sum)"
dmesg | grep -iE "pci.*(fail|no space|can.t|error)"; dmesg | grep -E "I/O error, dev vd[ab]"
while :; do sleep 1; done
' --disk "$WORK/ext4" --disk "$WORK/ext2" --disk "$WORK/ro,ro" --network user
wait_line disk '^WRITTEN '
expect_line disk '^MOUNTED ext4'
expect_line disk '^MOUNTED ext2'
expect_line disk "^RO sum=$sum ro=1"
refuse_line disk 'I/O error, dev vd[ab]'
step "stop"
succeeds "$LKVM" stop -n disk
nothing_left disk
wait_exit disk 0 60
expect_line disk '^GUEST power button'
no_complaints disk
step "fsck"
for fs in ext4 ext2; do
	e2fsck -fn "$WORK/$fs" >"$WORK/fsck.out" 2>&1 || fail "$fs is not clean"
	debugfs -R "dump /data $WORK/data" "$WORK/$fs" >/dev/null 2>&1
	debugfs -R "dump /sum $WORK/sum" "$WORK/$fs" >/dev/null 2>&1
	[ "$(sha256sum <"$WORK/data" | cut -c1-64)" = "$(cat "$WORK/sum")" ] || fail "$fs: wrong data"
done
[ "$(sha256sum <"$WORK/ro" | cut -c1-64)" = "$sum" ] || fail "the read-only disk was written to"
