# SPDX-License-Identifier: GPL-2.0-or-later
# files.sh 9p|fs: what Linux programs rely on a file system for (files-tool.c), in a
# folder shared by 9p or by virtio-fs.
. "$TESTS/boot/lib.sh"
files=${LKVM%/*}/tests/boot/files-tool

mkdir "$WORK/share" "$WORK/share/t"
chmod 755 "$WORK/share"
cp "$files" "$WORK/share/files"
words=
"$files" -xattr "$WORK/share" || words+=" -noxattr"
case $1 in
9p)
	words+=" -9p"
	mount="-t 9p -o trans=virtio,version=9p2000.L,msize=512000 share"
	set -- --9p "$WORK/share,share"
	;;
fs)
	mount="-t virtiofs share"
	set -- --fs "tag=share,dir=$WORK/share"
	;;
esac
vm_start files generic "
need 9p
need fs
mount $mount /mnt && cp /mnt/files /tmp/files && /tmp/files /mnt/t$words
echo \"FILES \$?\"
umount /mnt && echo UNMOUNTED
" "$@"
wait_line files '^UNMOUNTED' 400
console files | grep -aE '^(BAD|files: [0-9])' || :
expect_line files '^FILES 0'
no_complaints files
wait_exit files 0
# The host sees the same.
[ "$(stat -c %u:%g:%a "$WORK/share/t/mode/a")" = 1234:0:600 ] || fail "mode/a: $(stat "$WORK/share/t/mode/a")"
cmp "$files" "$WORK/share/t/exec/run" || fail "exec/run is not what was written"
[ "$(ls -A "$WORK/share/t/readdir")" = "" ] || fail "readdir is not empty"
