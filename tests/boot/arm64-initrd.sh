# SPDX-License-Identifier: GPL-2.0-or-later
# arm64-initrd.sh: an initrd of more than 256 MiB, which is where kvmtool's map ends, arrives whole;
# RAM begins at an odd place.
. "$TESTS/boot/lib.sh"

mkdir "$WORK/more"
truncate -s 300M "$WORK/more/large"
echo "after it" >"$WORK/more/last"
cp "$INITRD_CLOUD" "$WORK/initrd"
(cd "$WORK/more" && printf '%s\n' large last | cpio --quiet -o -H newc) >>"$WORK/initrd"
INITRD_CLOUD=$WORK/initrd MEM=1G@0xfe00000000 vm_start large cloud '
echo "$(stat -c %s /large) $(cat /last)"
grep "System RAM" /proc/iomem
'
wait_exit large 0
expect_line large '^314572800 after it$'
expect_line large '^fe[0-9a-f]{8}-fe3fffffff : System RAM'
no_complaints large
