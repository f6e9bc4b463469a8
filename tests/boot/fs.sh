# SPDX-License-Identifier: GPL-2.0-or-later
# fs.sh: a virtio-fs share that lkvm starts virtiofsd for, and one whose back end
# is there already.  The guest reboots in place with both mounted, rebinds the
# driver, and goes on after virtiofsd was killed.
. "$TESTS/boot/lib.sh"

virtiofsd=/usr/lib/qemu/virtiofsd
[ -x "$virtiofsd" ] || skip "no $virtiofsd"
mkdir "$WORK/share" "$WORK/other"
head -c 3M /dev/urandom >"$WORK/share/data"
echo "from the other" >"$WORK/other/hello"

"$virtiofsd" --socket-path="$WORK/fs.sock" -o source="$WORK/other" -o log_level=warn \
	>"$WORK/virtiofsd.out" 2>&1 &
other_pid=$!
trap 'kill "$other_pid" 2>/dev/null || :' EXIT
until_time=$((SECONDS + LIMIT))
until [ -S "$WORK/fs.sock" ]; do
	kill -0 "$other_pid" || fail "virtiofsd ended"
	[ $SECONDS -lt $until_time ] || fail "virtiofsd has no socket"
	sleep 0.1
done
# The processes of the virtiofsd that lkvm started.
children() { pgrep -P "${VM_PID[fs]}" -x virtiofsd; }

mkfifo "$WORK/keys"
exec 3<>"$WORK/keys"
INPUT=$WORK/keys vm_start fs generic '
need fs
rebind() {
	for d in /sys/bus/virtio/drivers/virtiofs/virtio*; do
		echo ${d##*/} >${d%/*}/unbind && echo ${d##*/} >${d%/*}/bind
	done
}
mkdir /other
mount -t virtiofs share /mnt && echo "MOUNTED $(cat /sys/bus/virtio/drivers/virtiofs/virtio*/device | head -n 1)"
mount -t virtiofs other /other
cat /other/hello
if [ ! -f /mnt/copy ]; then
	cp /mnt/data /mnt/copy
	echo once >>/other/lives
	sync
	echo "REBOOTING"
	reboot -f
fi
cmp /mnt/data /mnt/copy && echo "SAME"
echo twice >>/other/lives
umount /mnt /other
rebind
mount -t virtiofs share /mnt && cmp /mnt/data /mnt/copy && echo "REBOUND"
umount /mnt
mount -t virtiofs none /mnt 2>&1 || echo "NO SUCH TAG"
read -r line
echo "ALIVE $line"
rebind
mount -t virtiofs share /mnt && cmp /mnt/data /mnt/copy && echo "AFRESH"
umount /mnt
' --fs "tag=share,dir=$WORK/share,cache=none" --fs "tag=other,socket=$WORK/fs.sock"
wait_line fs '^REBOOTING'
wait_line fs '^SAME'
wait_line fs '^NO SUCH TAG'
expect_line fs '^MOUNTED 0x001a'
expect_line fs '^from the other'
expect_line fs '^REBOUND'
[ "$(cat "$WORK/other/lives")" = "$(printf 'once\ntwice')" ] || fail "lives: $(cat "$WORK/other/lives")"
cmp "$WORK/share/data" "$WORK/share/copy" || fail "the copy is not what was written"

step "virtiofsd is killed"
pid=$(children)
kill -9 $pid
wait_line fs 'tag=share.*: the back end closed the connection'
echo here >&3
wait_line fs '^ALIVE here'
wait_line fs '^AFRESH'
expect_line fs 'connected anew'
wait_exit fs 0
no_complaints fs
nothing_left fs
! pgrep -f "source=$WORK/share" >/dev/null || fail "virtiofsd still runs"
