# SPDX-License-Identifier: GPL-2.0-or-later
# vhost-user-blk.sh KERNEL: a disk that qemu-storage-daemon serves, with several
# queues.  The guest makes a file system on it, reboots in place, checks it, and
# does so again after a rebind; then the back end is killed, and comes back.
. "$TESTS/boot/lib.sh"
kernel=$1

truncate -s 64M "$WORK/disk"
qemu-img create -q -f qcow2 "$WORK/other.qcow2" 32M

# daemon: both exports.  Its pid is in daemon_pid.
daemon() {
	rm -f "$WORK"/{blk,other}.sock
	qemu-storage-daemon \
		--blockdev "driver=file,node-name=disk,filename=$WORK/disk,discard=unmap" \
		--blockdev "driver=file,node-name=file,filename=$WORK/other.qcow2" \
		--blockdev driver=qcow2,node-name=other,file=file \
		--export "type=vhost-user-blk,id=disk,node-name=disk,addr.type=unix,addr.path=$WORK/blk.sock,writable=on,num-queues=3" \
		--export "type=vhost-user-blk,id=other,node-name=other,addr.type=unix,addr.path=$WORK/other.sock,writable=on" \
		>"$WORK/daemon.out" 2>&1 &
	daemon_pid=$!
	local until=$((SECONDS + LIMIT))
	until [ -S "$WORK/blk.sock" ] && [ -S "$WORK/other.sock" ]; do
		kill -0 "$daemon_pid" || fail "qemu-storage-daemon ended"
		[ $SECONDS -lt $until ] || fail "qemu-storage-daemon has no sockets"
		sleep 0.1
	done
}
trap 'kill -9 "$daemon_pid" 2>/dev/null || :' EXIT
daemon

mkfifo "$WORK/keys"
exec 3<>"$WORK/keys"
# The first life makes the file system and reboots; the second finds it as it was.
INPUT=$WORK/keys CPUS=2 vm_start blk "$kernel" '
echo "QUEUES $(ls /sys/block/vda/mq | wc -l) of $(ls /sys/block/vdb/mq | wc -l)"
need ext4
rebind() {
	for d in /sys/bus/virtio/drivers/virtio_blk/virtio*; do
		echo ${d##*/} >${d%/*}/unbind && echo ${d##*/} >${d%/*}/bind
	done
}
sound() { mount -t ext2 /dev/vda /mnt && (cd /mnt && sha256sum -c sums >/dev/null) && echo "$1"; }
if ! mount -t ext2 /dev/vda /mnt 2>/dev/null; then
	mke2fs -F /dev/vda >/dev/null && mount -t ext2 /dev/vda /mnt && echo "MADE"
	for i in 1 2 3 4; do dd if=/dev/urandom of=/mnt/$i bs=64k count=40 2>/dev/null & done
	wait
	(cd /mnt && sha256sum 1 2 3 4 >sums)
	dd if=/mnt/1 of=/dev/vdb bs=64k seek=100 conv=fsync 2>/dev/null
	sync
	umount /mnt
	echo "REBOOTING"
	reboot -f
fi
umount /mnt
sound SOUND
dd if=/dev/vdb bs=64k skip=100 count=40 2>/dev/null | cmp - /mnt/1 && echo "SAME"
umount /mnt
rebind
sound REBOUND
umount /mnt
read -r line
echo "ALIVE $line"
read -r line
rebind
sound BACK
umount /mnt
dd if=/dev/urandom of=/dev/vdb bs=64k seek=300 count=10 conv=fsync 2>/dev/null && echo "OTHER"
' --disk "vhost-user=$WORK/blk.sock" --disk "vhost-user=$WORK/other.sock,queues=1"
wait_line blk '^REBOOTING'
expect_line blk '^MADE'
wait_line blk '^SOUND'
expect_line blk '^QUEUES 2 of 1'
wait_line blk '^REBOUND'
expect_line blk '^SAME'

refuses "$LKVM" resize --disk 0 --size 96M blk
grep -q 'for its back end to say' "$WORK/command.out" || fail "resize: $(cat "$WORK/command.out")"

step "the back end is killed"
kill -9 "$daemon_pid"
wait "$daemon_pid" || :
wait_line blk 'blk.sock: the back end closed the connection'
wait_line blk 'other.sock: its back end is gone; it stands still until the driver resets it'
echo here >&3
wait_line blk '^ALIVE here'
step "and started again"
daemon
echo go >&3
wait_line blk '^BACK'
wait_line blk '^OTHER'
expect_line blk 'blk.sock: connected anew'
wait_exit blk 0
nothing_left blk
kill -TERM "$daemon_pid"
wait "$daemon_pid" || :
e2fsck -fn "$WORK/disk" >"$WORK/fsck.out" 2>&1 || fail "the file system is not clean"
qemu-img check -q -f qcow2 "$WORK/other.qcow2" || fail "the image is not clean"

step "nobody there"
vm_start none "$kernel" "" --disk "vhost-user=$WORK/no.sock"
wait_exit none '[1-9][0-9]*'
expect_line none 'no.sock: No such file or directory \(is the back end running\?\)'
