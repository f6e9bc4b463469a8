# SPDX-License-Identifier: GPL-2.0-or-later
# disk-load.sh KERNEL: a raw and a qcow2 disk under parallel writes, which are
# read back and compared, with several queues; one disk is made larger meanwhile;
# the image is sound afterwards, and there are 34 disks in all, in their order.
. "$TESTS/boot/lib.sh"
kernel=$1
command -v qemu-img >/dev/null || skip "no qemu-img"

truncate -s 64M "$WORK/raw"
qemu-img create -q -f qcow2 "$WORK/a.qcow2" 64M
head -c 8M /dev/urandom >"$WORK/base"
qemu-img create -q -f qcow2 -b base -F raw "$WORK/b.qcow2" 8M
sum=$(sha256sum <"$WORK/base" | cut -c1-64)
more=()
for i in $(seq 4 34); do
	truncate -s 1M "$WORK/more$i"
	more+=(--disk "$WORK/more$i,serial=more$i")
done

CPUS=2 vm_start load "$kernel" '
echo "DISKS $(ls -d /sys/block/vd* | wc -l)"
echo "QUEUES $(ls /sys/block/vda/mq | wc -l)"
for d in /sys/block/vd[d-z] /sys/block/vda[a-h]; do echo "$(cat $d/serial)"; done >/tmp/serials
echo "SERIALS" $(cat /tmp/serials)
echo "BLOCK $(cat /sys/block/vda/queue/logical_block_size) $(cat /sys/block/vda/queue/physical_block_size)"
echo "BACKING $(sha256sum </dev/vdc | cut -c1-64)"
dd if=/dev/urandom of=/data bs=64k count=16 2>/dev/null
want=$(sha256sum </data)
for d in vda vdb; do
	for i in 0 1 2 3; do
		dd if=/data of=/dev/$d bs=64k seek=$((i * 65)) conv=fsync 2>/dev/null &
	done
done
wait
echo "LOADED"
echo 3 >/proc/sys/vm/drop_caches
for d in vda vdb; do
	for i in 0 1 2 3; do
		dd if=/dev/$d bs=64k skip=$((i * 65)) count=16 2>/dev/null | cmp - /data ||
			echo "WRONG $d $i"
	done
done
dd if=/data of=/dev/vdc bs=4096 seek=3 count=100 conv=fsync 2>/dev/null
dd if=/data of=/dev/vdb bs=64k seek=700 conv=fsync 2>/dev/null
sync
echo "WRITTEN $(echo $want | cut -c1-64)"
while [ "$(cat /sys/block/vda/size)" = 131072 ] || [ "$(cat /sys/block/vdb/size)" = 131072 ]; do sleep 1; done
echo "RESIZED $(cat /sys/block/vda/size) $(cat /sys/block/vdb/size)"
dd if=/data of=/dev/vdb bs=64k seek=1440 conv=fsync 2>/dev/null && echo "GROWN"
dmesg | grep -E "I/O error, dev vd"
while :; do sleep 1; done
' --disk "$WORK/raw,queues=2,block-size=512" --disk "$WORK/a.qcow2,queues=2" \
	--disk "$WORK/b.qcow2,backing=allow" "${more[@]}"
wait_line load '^WRITTEN '
expect_line load '^DISKS 34'
expect_line load '^QUEUES 2'
expect_line load "^SERIALS $(echo $(seq -f more%g 4 34))\$"
expect_line load '^BLOCK 512 4096'
expect_line load "^BACKING $sum"
refuse_line load '^WRONG'
step "resize"
succeeds "$LKVM" resize --disk 0 --size 96M load
succeeds "$LKVM" resize --disk "$WORK/a.qcow2" --size 128M load
wait_line load '^GROWN'
expect_line load '^RESIZED 196608 262144'
refuse_line load 'I/O error, dev vd'
step "stop"
succeeds "$LKVM" stop -n load
nothing_left load
wait_exit load 0 60
step "check"
for i in a b; do
	qemu-img check -q -f qcow2 "$WORK/$i.qcow2" || fail "$i.qcow2 is not clean"
done
[ "$(stat -c %s "$WORK/raw")" = $((96 << 20)) ] || fail "the raw disk did not grow"
[ "$(sha256sum <"$WORK/base" | cut -c1-64)" = "$sum" ] || fail "the backing file was written to"
qemu-img convert -f qcow2 -O raw "$WORK/a.qcow2" "$WORK/a.raw"
want=$(console load | sed -n 's/^WRITTEN //p')
for at in 0 65 130 195 700 1440; do
	[ "$(dd if="$WORK/a.raw" bs=64k skip=$at count=16 2>/dev/null | sha256sum | cut -c1-64)" = "$want" ] ||
		fail "a.qcow2 holds something else at $at"
done
