# SPDX-License-Identifier: GPL-2.0-or-later
# rootfs-user.sh: without root: a network whose addresses come by DHCP, a way in for
# ssh, what is written belongs to the user; a root that `lkvm setup` made; the cloud
# kernel, which has no 9P.
. "$TESTS/boot/lib.sh"
. "$TESTS/rig/lib.sh"
chmod 755 "$WORK"
mkdir -m 777 "$WORK/user"
cp "$LKVM" "${LKVM%/*}"/lkvm-*.so "$WORK"

# for_user FLAVOUR: a kernel and its modules where the user may look: $WORK/FLAVOUR.
for_user() {
	local root version
	root=$(rig_kernel_root "$1") version=$(rig_kernel_version "$1")
	mkdir -p "$WORK/$1"
	cp "$(kernel_of "$1")" "$WORK/$1/bzImage"
	# No 9P in cloud's: modprobe says so, and goes on.
	rig_modules "$root" "$version" virtio_pci virtio_mmio virtio_console virtiofs 9p 9pnet_virtio \
		overlay virtio_net virtio_blk virtio_rng >"$WORK/$1/list" || true
	(cd "$root/lib/modules/$version" && sed "s|.*/$version/||" "$WORK/$1/list" |
		xargs cp --parents -t "$WORK/$1" modules.dep modules.builtin)
	chmod -R a+rX "$WORK/$1"
}
user_lkvm=(env -C "$WORK/user" "HOME=$WORK/user" "LKVM_RUN_DIR=$WORK/user/run" XDG_CACHE_HOME=
	setpriv --reuid 1000 --regid 1000 --clear-groups --bounding-set=-all "$WORK/lkvm")
# as_user NAME FLAVOUR OPTION...: in the background.
as_user() {
	for_user "$2"
	"${user_lkvm[@]}" run -k "$WORK/$2/bzImage" -c 1 -m 512M --name "$1" "${@:3}" \
		</dev/null >"$WORK/$1.out" 2>&1 &
	VM_PID[$1]=$!
}

dropbearkey -t ed25519 -f "$WORK/user/key" >"$WORK/key.out"
chmod 644 "$WORK/user/key"
cat >"$WORK/user/serve" <<'END'
ip -4 -o addr show dev eth0
ip -4 route
cat /etc/resolv.conf
id -u
echo text >file
mkdir -p -m 700 /root/.ssh /etc/dropbear
dropbearkey -y -f key | grep ^ssh- >/root/.ssh/authorized_keys
chown -R 0:0 /root/.ssh
chmod go-w /root /root/.ssh/authorized_keys
dropbear -R -s -p 22
until [ -e /tmp/end ]; do sleep 0.2; done
END
as_user ssh generic --rwdir "$WORK/user" \
	--network user,guest_ip=192.168.33.77,hostfwd=tcp:127.0.0.1:2222-:22 -- sh "$WORK/user/serve"
answer() {
	dbclient -y -i "$WORK/user/key" -p 2222 root@127.0.0.1 'hostname; touch /tmp/end' \
		</dev/null >"$WORK/answer" 2>"$WORK/dbclient.out" && grep -qx ssh "$WORK/answer"
}
wait_for answer
wait_exit ssh 0
expect_line ssh 'inet 192\.168\.33\.77/24'
expect_line ssh '^default via 192\.168\.33\.1'
expect_line ssh '^nameserver 192\.168\.33\.3'
[ "$(stat -c %u "$WORK/user/file")" = 1000 ] || fail "the file is not the user's"
[ -n "$(find "$WORK/user/.cache/lkvm" -type f)" ] || fail "nothing was kept in HOME/.cache"
step "ssh"

# A root of the user's own.
succeeds "${user_lkvm[@]}" setup play
as_user play generic -d play -- sh -ec '
	echo kept >/root/note
	touch /usr/no 2>&1 | cat
	exit 9'
wait_exit play 9
expect_line play 'Read-only'
is "$WORK/user/.lkvm/play/root/note" kept
[ "$(stat -c %u "$WORK/user/.lkvm/play/root/note")" = 1000 ] || fail "the note is not the user's"
step "setup"

# This kernel has no 9P, so it is the user's virtiofsd that serves the host's files: all that
# the user may read, and a copy of them in which the guest's root may do anything.
as_user cloud cloud --rwdir "$WORK/user" -- sh -ec '
	uname -r
	cat /etc/hostname /etc/shadow 2>&1 | cat
	echo more >>/etc/hosts
	chmod 600 /etc/hosts
	chown 7:7 /etc/hosts
	stat -c "%a %u" /etc/hosts
	rm /etc/passwd
	mv /etc/group /etc/passwd
	head -n 1 /etc/passwd
	echo text >other
	exit 42'
wait_exit cloud 42
expect_line cloud "^$(rig_kernel_version cloud)"
expect_line cloud "^$(cat /etc/hostname)"
expect_line cloud '/etc/shadow: Permission denied'
expect_line cloud '^600 7'
expect_line cloud "^$(head -n 1 /etc/group)"
[ "$(stat -c %u "$WORK/user/other")" = 1000 ] || fail "the other file is not the user's"
