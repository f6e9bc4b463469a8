# SPDX-License-Identifier: GPL-2.0-or-later
# arm64-firmware.sh: firmware at the start of RAM, or elsewhere, with a flash that holds what it
# stored; a power cut of the host loses nothing that the firmware had announced.
. "$TESTS/boot/lib.sh"

# The flash is in a file system on a disk of its own, which can be looked at as it would be found
# after a power cut: what only the host's memory knows is not on it.
modprobe loop 2>/dev/null || :
modprobe ext4 2>/dev/null || :
truncate -s 32M "$WORK/disk"
mkfs.ext4 -q -F "$WORK/disk"
mkdir "$WORK/mnt" "$WORK/cut"
mount -o loop "$WORK/disk" "$WORK/mnt" || skip "no loop devices here"
trap 'umount -l "$WORK/mnt" "$WORK/cut" 2>/dev/null || :' EXIT
head -c 1M /dev/zero | tr '\0' '\377' >"$WORK/mnt/flash"
sync "$WORK/mnt/flash"

# firmware NAME RECORDS FLASH [OPTION...]
firmware() {
	local name=$1 records=$2 flash=$3
	shift 3
	: >"$WORK/$name.out"
	"$LKVM" run --name "$name" -f "$IMAGES/firmware" -F "$flash" -c 1 -m 64M -n none \
		-p "$records" "$@" </dev/null >"$WORK/$name.out" 2>&1 &
	VM_PID[$name]=$!
}

firmware first 20 "$WORK/mnt/flash"
wait_exit first 0 60
expect_line first '^FIRMWARE at 2048$'
expect_line first '^FOUND 0$'
expect_line first '^FIRMWARE ok'
firmware second 25 "$WORK/mnt/flash" --firmware-address 0x81000000
wait_exit second 0 60
expect_line second '^FIRMWARE at 2064$'
expect_line second '^FOUND 20$'
expect_line second '^TORN 0$'
expect_line second '^FIRMWARE ok'
step "stored"

firmware cut 8000 "$WORK/mnt/flash"
wait_line cut '^WRITTEN 60$' 120
kill -STOP "${VM_PID[cut]}"
# It stands still once its state says so; what it announced so far must be on the disk.
until grep -q '^State:.*T' "/proc/${VM_PID[cut]}/status"; do sleep 0.1; done
cp "$WORK/disk" "$WORK/disk.cut"
kill -KILL "${VM_PID[cut]}"
wait "${VM_PID[cut]}" 2>/dev/null || :
unset 'VM_PID[cut]'
announced=$(console cut | sed -n 's/^WRITTEN //p' | grep '^[0-9]*$' | tail -n 1)
mount -o loop "$WORK/disk.cut" "$WORK/cut"
firmware after 0 "$WORK/cut/flash"
wait_exit after 0 60
found=$(console after | sed -n 's/^FOUND //p')
step "announced $announced, found $found"
expect_line after '^FIRMWARE ok'
# One more may have been on its way to the console.
[ "$found" -ge "$announced" ] && [ "$found" -le $((announced + 2)) ] || fail "the flash has $found records"
umount "$WORK/cut"

