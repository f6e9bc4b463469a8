# SPDX-License-Identifier: GPL-2.0-or-later
# --console virtio: a shell on hvc0, in and out, a lot of output included.
. "$TESTS/boot/lib.sh"
mkfifo "$WORK/in"
exec 7<>"$WORK/in"
INPUT=$WORK/in vm_start hvc cloud "" --console virtio
wait_line hvc '^GUEST up'
wait_line hvc '^/ # '
cat >&7 <<'END'
echo "tty=$(cat /sys/class/tty/console/active)"
seq 1 20000 | tr '\n' ' '; echo; echo "DO""NE"
END
wait_line hvc '^DONE'
echo exit >&7
wait_exit hvc 0
expect_line hvc '^tty=.*hvc0'
[ "$(console hvc | grep -a '^1 2 3 .* 19999 20000' | sha256sum)" = "$({ seq 1 20000 | tr '\n' ' '; echo; } | sha256sum)" ] ||
	fail "output was lost on the way"
no_complaints hvc
