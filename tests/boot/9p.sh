# SPDX-License-Identifier: GPL-2.0-or-later
# 9p.sh: a folder shared by 9p.  The guest does to it what file system tests do,
# the host looks whether it is true; a read-only share is just that; in a mapped
# one lkvm's user is a user of the guest's.
. "$TESTS/boot/lib.sh"

share=$WORK/share
mkdir -p "$share/dir" "$WORK/ro/dir" "$WORK/outside"
echo "from the host" >"$share/hello"
head -c 300K /dev/urandom >"$share/data"
sum=$(sha256sum <"$share/data" | cut -c1-64)
for i in $(seq 1 150); do : >"$share/dir/entry-$i"; done
echo secret >"$WORK/outside/secret"
ln -s "$WORK/outside/secret" "$share/absolute"
ln -s ../outside/secret "$share/relative"
ln -s ../outside "$share/outside"
cp "$share/hello" "$WORK/ro/hello"
mkdir "$WORK/mapped"
echo "ours" >"$WORK/mapped/ours"
echo "others" >"$WORK/mapped/others"
chmod 755 "$WORK/mapped"
chmod 644 "$WORK/mapped/ours" "$WORK/mapped/others"
[ "$(id -u)" != 0 ] || chown 4321:4321 "$WORK/mapped/others"

# Too long for a command line: it comes by the share itself.
cat >"$share/test" <<'END'
bad=0
check() {
	local name=$1
	shift
	if "$@"; then echo "OK $name"; else echo "BAD $name"; bad=$((bad + 1)); fi
}
refuse() {
	local name=$1
	shift
	if "$@" 2>/tmp/error; then echo "BAD $name"; bad=$((bad + 1)); else echo "OK $name: $(cat /tmp/error)"; fi
}
is() { [ "$1" = "$2" ] || { echo "  $1, not $2"; false; }; }
options=trans=virtio,version=9p2000.L,msize=512000
check mount mount -t 9p -o $options kvm_9p /mnt
mkdir /ro
check mount-ro mount -t 9p -o $options,access=any second /ro
cd /mnt

check read is "$(cat hello)" "from the host"
check data is "$(sha256sum <data | cut -c1-64)" $1
check entries is "$(ls dir | wc -l)" 150
check write dd if=data of=copy bs=64k
check same cmp data copy
check append sh -c "echo one >log; echo two >>log; [ \$(wc -l <log) = 2 ]"
check overwrite sh -c "printf XX | dd of=log bs=1 seek=1 conv=notrunc; head -n1 log | grep -q ^oXX"
check truncate sh -c "truncate -s 3 log; [ \$(stat -c %s log) = 3 ]"
check extend sh -c "truncate -s 100000 log; [ \$(stat -c %s log) = 100000 ]"
check mkdir mkdir -p a/b/c
refuse mkdir-again mkdir a
check rename mv copy a/b/moved
check rename-over mv a/b/moved data2
check rename-dir sh -c "mv a/b d && [ -d d/c ]"
refuse rename-into-itself sh -c "mv d d/c/d"
refuse rmdir-full rmdir d
check rmdir sh -c "rmdir d/c d a"
check link sh -c "ln hello hard && [ \$(stat -c %h hello) = 2 ] && [ \$(stat -c %i hello) = \$(stat -c %i hard) ]"
check symlink sh -c "ln -s hello soft && [ \$(readlink soft) = hello ] && cmp hello soft"
check unlink sh -c "rm hard soft && [ \$(stat -c %h hello) = 1 ] && [ ! -e soft ]"
check fifo sh -c "mkfifo fifo && [ -p fifo ] && (echo x >fifo & [ \$(cat fifo) = x ])"
refuse device mknod null c 1 3
check mode sh -c "umask 077; : >m; mkdir md; [ \$(stat -c %a m)\$(stat -c %a md) = 600700 ] && chmod 4751 m && [ \$(stat -c %a m) = 4751 ]"
check owner sh -c "chown 1234:4321 m && [ \$(stat -c %u:%g m) = 1234:4321 ]"
check times sh -c "touch -d '2001-02-03 04:05:06' m && stat -c %y m | grep -q ^2001-02-03.04:05:06"
check as-user sh -c "chmod 777 . && chown 1000:1000 md && echo user:x:1000:1000::/:/bin/sh >/etc/passwd && su user -c \"cd /mnt/md && : >mine && mkdir d\" && [ \$(stat -c %u:%g md/mine) = 1000:1000 ] && [ \$(stat -c %u:%g md/d) = 1000:1000 ]"
check unlinked sh -c "echo data >gone; exec 3<>gone; rm gone; echo more >&3; is() { [ \$1 = \$2 ]; }; [ \$(stat -L -c %h /proc/self/fd/3) = 0 ] && cat /proc/self/fd/3 | grep -q more"
check long sh -c "n=\$(printf %0250d 7); : >\$n && [ -f \$n ] && rm \$n"
refuse too-long sh -c ": >\$(printf %0256d 7)"
refuse absolute cat absolute
refuse relative cat relative
refuse through cat outside/secret
refuse above ls /mnt/../outside
check df sh -c "df /mnt | grep -q kvm_9p"
check parallel sh -c "for i in 1 2 3 4 5 6 7 8; do (dd if=/mnt/data of=/mnt/p\$i bs=64k 2>/dev/null) & done; wait; [ \$(cat p? | wc -c) = 2457600 ] && cmp p3 p8 && rm p?"
check tree sh -c "mkdir t; for i in \$(seq 1 20); do mkdir t/\$i; echo \$i >t/\$i/f; done; [ \$(find t -type f | wc -l) = 20 ] && rm -r t"
check sync sync

cd /ro
check ro-read is "$(cat hello)" "from the host"
refuse ro-create touch new
refuse ro-write sh -c "echo x >>hello"
refuse ro-unlink rm -f hello
refuse ro-mkdir mkdir new
refuse ro-rename mv hello other
refuse ro-link ln hello other
refuse ro-symlink ln -s hello other
refuse ro-chmod chmod 700 hello
refuse ro-truncate sh -c ">hello"
refuse ro-times touch hello
grep -q " /ro 9p rw," /proc/mounts && echo "GUEST believes ro is rw"

mkdir /mapped
check mount-mapped mount -t 9p -o $options third /mapped
cd /mapped
check mapped-owner is $(stat -c %u:%g . ours others | tr "\n" " " | tr -d " ") 1000:10001000:10004321:4321
check mapped-user su user -c "cd /mapped && echo mine >mine && chmod 600 mine && mkdir dir && echo more >>ours && [ \$(stat -c %u:%g:%a mine) = 1000:1000:600 ]"
refuse mapped-other su user -c "echo x >>/mapped/others"
refuse mapped-chown chown 4321 ours
check mapped-setuid sh -c "cp /bin/busybox b && chmod 4755 b; [ \$(stat -c %a b) = 755 ]"
check mapped-same sh -c "chown 1000:1000 ours"

cd /
check umount umount /mnt /ro /mapped
check cached mount -t 9p -o $options,cache=mmap kvm_9p /mnt
check cached-exec sh -c "cp /bin/busybox /mnt/busybox && cmp /bin/busybox /mnt/busybox && /mnt/busybox true"
check umount-again umount /mnt
for d in /sys/bus/virtio/drivers/9pnet_virtio/virtio*; do
	echo ${d##*/} >${d%/*}/unbind && echo ${d##*/} >${d%/*}/bind && echo "REBOUND"
done
check rebound mount -t 9p -o $options kvm_9p /mnt
check rebound-read cmp /mnt/data /mnt/data2
echo "GUEST 9p bad=$bad"
END
vm_start share generic '
need 9p
mount -t 9p -o trans=virtio,version=9p2000.L kvm_9p /mnt
cp /mnt/test /tmp/test
umount /mnt
sh /tmp/test '"$sum"\
	--9p "$share" --9p "$WORK/ro,second,ro" \
	--9p "$WORK/mapped,third,security=mapped,uid=1000,gid=1000"
wait_line share '^GUEST 9p bad=' 400
console share | grep -a '^BAD' || :
expect_line share '^GUEST 9p bad=0$'
expect_line share '^GUEST believes ro is rw'
expect_line share '^REBOUND'
no_complaints share
wait_exit share 0

step "what the host sees"
cmp "$share/data" "$share/data2" || fail "data2 is not what was written"
# Changing the owner took the set-user-id bit away, as on any disk.
[ "$(stat -c %a:%u:%g "$share/m")" = 751:1234:4321 ] || fail "m: $(stat -c %a:%u:%g "$share/m")"
[ "$(stat -c %u:%g "$share/md/mine")" = 1000:1000 ] || fail "md/mine has the wrong owner"
[ -p "$share/fifo" ] || fail "no fifo"
[ ! -e "$share/null" ] || fail "a device node was made"
[ "$(cat "$WORK/outside/secret")" = secret ] || fail "the outside was written to"
[ "$(ls "$WORK/ro")" = "$(printf 'dir\nhello')" ] || fail "the read-only share was changed"
[ "$(cat "$WORK/ro/hello")" = "from the host" ] || fail "the read-only file was changed"
[ "$(cat "$WORK/mapped/ours")" = "$(printf 'ours\nmore')" ] || fail "mapped/ours: $(cat "$WORK/mapped/ours")"
[ "$(stat -c %u:%a "$WORK/mapped/mine")" = "$(id -u):600" ] || fail "mapped/mine: $(stat "$WORK/mapped/mine")"
[ "$(cat "$WORK/mapped/others")" = others ] || fail "mapped/others was written to"
