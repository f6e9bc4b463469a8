# SPDX-License-Identifier: GPL-2.0-or-later
# rootfs-setup.sh: `lkvm setup NAME` and a guest with that root: what it writes
# there stays, this host's programs are its own, read-only.
. "$TESTS/boot/lib.sh"
export HOME=$WORK/home
mkdir "$HOME"
VERB=run

succeeds "$LKVM" setup web
is "$WORK/command.out" "$HOME/.lkvm/web"
refuses "$LKVM" setup web
in_guest 0 -d web -- sh -c 'echo kept >/root/file; id -un; hostname; touch /usr/bin/no 2>&1 || echo ro' </dev/null
grep -qx root "$WORK/out" || fail "not root: $(cat "$WORK/out")"
grep -qx ro "$WORK/out" || fail "the host's programs can be written to"
is "$HOME/.lkvm/web/root/file" kept
step "first boot"
in_guest 0 -d web,ro --name second -- sh -c 'cat /root/file; echo gone >/root/file; hostname' </dev/null
is "$WORK/out" $'kept\nsecond'
is "$HOME/.lkvm/web/root/file" kept
step "read-only"

# In the background, the console and all.
succeeds "$LKVM" run --detach -d web --name web -k "$KERNEL_GENERIC" -c 1 -m 512M -- \
	sh -c 'read line; echo "got $line"; exit 9'
"$LKVM" wait web &
VM_PID[wait]=$!
mkfifo "$WORK/in"
"$LKVM" console web <>"$WORK/in" >"$WORK/console.out" 2>&1 &
VM_PID[console]=$!
succeeds timeout "$LIMIT" "$LKVM" exec web -- cat /root/file
is "$WORK/command.out" kept
echo hello >"$WORK/in"
wait_exit wait 9
wait_line console 'got hello'
nothing_left web
refuses "$LKVM" run -d no-such-folder -k "$KERNEL_GENERIC" -- true
grep -q no-such-folder "$WORK/command.out" || fail "$(cat "$WORK/command.out")"
