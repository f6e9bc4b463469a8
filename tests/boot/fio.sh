# SPDX-License-Identifier: GPL-2.0-or-later
# fio.sh: what fio writes at random places, many requests at a time and of many sizes, is
# what it reads back: a raw disk, a qcow2 image, and a block device with larger blocks, past
# the page cache; with one queue and with two.
. "$TESTS/boot/lib.sh"

truncate -s 8M "$WORK/raw" "$WORK/blocks"
qemu-img create -q -f qcow2 "$WORK/image.qcow2" 8M
jobs="raw:/dev/vda:512 qcow2:/dev/vdb:512"
disks=(--disk "$WORK/raw" --disk "$WORK/image.qcow2,queues=2")
modprobe loop 2>/dev/null || true
device=$(losetup -f --show -b 4096 "$WORK/blocks" 2>/dev/null || true)
trap '[ -z "$device" ] || losetup -d "$device"' EXIT
if [ -b "$device" ]; then
	jobs+=" blocks:/dev/vdc:4096"
	disks+=(--disk "$device,direct,queues=2")
else
	echo "no loop device: without a block device"
fi

cat >"$WORK/job" <<'END'
[global]
thread
ioengine=libaio
direct=1
rw=randrw
size=8m
iodepth=16
verify=crc32c
verify_fatal=1
verify_backlog=64
fsync=50
randseed=1
END
for job in $jobs; do
	IFS=: read -r name disk block <<<"$job"
	printf '[%s]\nfilename=%s\nbsrange=%s-64k\nblockalign=%s\n' "$name" "$disk" "$block" "$block" >>"$WORK/job"
done
in_guest 0 -c 2 "${disks[@]}" -- \
	sh -c 'fio --minimal --terse-version=3 -; echo "FIO $?"; cat /sys/block/vdc/queue/logical_block_size || :' <"$WORK/job"
# Of each job: its error, and the KiB that were read and written.
while IFS=';' read -r version _ name _ error read rest; do
	[ "$version" = 3 ] || continue
	written=$(cut -d';' -f41 <<<"$rest")
	echo "$name: error $error, $read KiB read, $written KiB written"
	[ "$error" = 0 ] && [ "$read" -gt 1000 ] && [ "$written" -gt 1000 ] || fail "$name"
	jobs=${jobs/$name:/done:}
done <"$WORK/out"
grep -q '^FIO 0' "$WORK/out" || fail "fio: $(cat "$WORK/out" "$WORK/err")"
[[ ! $jobs =~ (raw|qcow2|blocks): ]] || fail "no results of: $jobs"
! grep -q 'I/O error' "$WORK/err" || fail "I/O errors: $(cat "$WORK/err")"
[ ! -b "$device" ] || grep -q '^4096' "$WORK/out" || fail "blocks of another size"
qemu-img check -q -f qcow2 "$WORK/image.qcow2" || fail "the image is not sound"
