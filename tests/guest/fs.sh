#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --fs: virtiofsd is found, started with the options of its kind, and ended with the VM, however
# that ends; what it says is heard; what is wrong is said. No guest looks at the share here.
. "$(dirname "$0")/lib.sh"

mkdir "$WORK/share"
# A stand-in: of the later kind, or (BE=qemu) of QEMU's. It says how it was called, and fails.
cat >"$WORK/virtiofsd" <<'EOF'
#!/bin/sh
if [ "$1" = --version ]; then
	echo "virtiofsd 1.10.0"
	[ "$BE" != qemu ] || echo "using FUSE kernel interface version 7.36"
	exit
fi
echo "called as $*" >&2
[ "$BE" != deaf ] || exec sleep 100
exit 3
EOF
chmod 755 "$WORK/virtiofsd"

fs=tag=x,dir=$WORK/share,virtiofsd=$WORK/virtiofsd
run hello.elf --fs "$fs,cache=none,sandbox=none"
expect_status 1
expect_err 'Error: --fs tag=x,.*: the back end closed the connection'
expect_err "virtiofsd: called as --fd=3 --shared-dir=$WORK/share --cache=none --sandbox=none --log-level=error --xattr$"
BE=qemu run hello.elf --fs "$fs,sandbox=chroot,xattr=off"
expect_status 1
expect_err "virtiofsd: called as --fd=3 -osource=$WORK/share -ocache=auto -osandbox=chroot -olog_level=err -ono_xattr$"

BE=qemu run hello.elf --fs "tag=x,dir=/,virtiofsd=$WORK/virtiofsd,ro"
expect_status 1
expect_err 'virtiofsd: called as --fd=3 -osource=/ -ocache=auto -osandbox=chroot -olog_level=err -oxattr$'

refuse() {
	run hello.elf "${@:2}"
	[ "$status" = 1 ] || [ "$status" = 2 ] || fail "${*:2}: status $status"
	expect_err "Error: --fs.*$1"
}
refuse 'needs tag=' --fs "dir=$WORK/share"
refuse 'needs either' --fs tag=x
refuse 'needs either' --fs "tag=x,dir=$WORK/share,socket=s"
refuse "'cache' goes with dir=" --fs tag=x,socket=s,cache=none
refuse 'cache=odd.*auto, always or none' --fs tag=x,dir=.,cache=odd
refuse "unknown key 'odd'" --fs tag=x,dir=.,odd=1
refuse '1 to 36 bytes' --fs tag=0123456789012345678901234567890123456,dir=.
refuse "'ro=odd.*on or off" --fs tag=x,dir=.,ro=odd
refuse "'ro' goes with dir=" --fs tag=x,socket=s,ro
refuse "'x' is taken" --fs tag=x,dir=. --fs tag=x,dir=/
refuse 'gone: No such file' --fs "tag=x,dir=$WORK/gone"
refuse 'is no folder' --fs "tag=x,dir=$WORK/virtiofsd"
refuse 'that is no virtiofsd' --fs tag=x,dir=.,virtiofsd=/bin/true
refuse 'no.sock|back end running' --fs "tag=x,socket=$WORK/no.sock"
ln -s /nowhere "$WORK/broken"
refuse 'broken: No such file' --fs "tag=x,dir=.,virtiofsd=$WORK/broken"

[ -x /usr/lib/qemu/virtiofsd ] && [ "$(id -u)" = 0 ] || skip "neither virtiofsd of QEMU nor root: the rest is skipped"
children() { pgrep -P "$vm" -x virtiofsd || :; }
up() { [ -n "$(children)" ] && grep -q spinning "$out"; }
start spin.elf --name fs --fs "tag=x,dir=$WORK/share,ro" --fs "tag=y,dir=$WORK"
wait_for up || fail "no virtiofsd"
pids=$(children)
[ "$(echo "$pids" | wc -l)" = 2 ] || fail "not two virtiofsd: $pids"
# Whatever it does, the host's kernel lets it write nowhere, or where it may.
modes=$(for pid in $pids; do awk '{ print substr($6, 1, 2) }' "/proc/$pid/mountinfo" | sort -u | xargs; done | sort)
case $modes in ro*rw*) ;; *) fail "mounts of the two are '$modes'" ;; esac
"$LKVM" stop fs --force || fail "stop: status $?"
for pid in $pids; do gone "$pid" || fail "virtiofsd $pid is still there"; done
reap
expect_status 0
! grep -q Warning "$err" || fail "somebody complains"

# lkvm has no say in it: the end of the connection is enough.
start spin.elf --name fs --fs "tag=x,dir=$WORK/share"
wait_for up || fail "no virtiofsd"
pids=$(children)
kill -KILL "$vm"
reap
ended() { [ ! -e "/proc/$pids" ] || grep -q '^State:.Z' "/proc/$pids/status"; }
wait_for ended || fail "virtiofsd outlives lkvm"

# An ordinary user's is root in a namespace with that user alone, where it may write or not.
command -v setpriv >/dev/null && mknod "$WORK/kvm" c 10 232 2>/dev/null && : <>"$WORK/kvm" || exit 0
chmod 711 "$WORK"
chmod 666 "$WORK/kvm"
mkdir -m 777 "$WORK/user"
cp "$LKVM" "$GUESTS/spin.elf" "$WORK/user"
for mode in ro rw; do
	: >"$out" >"$err"
	# exec: the process that setpriv becomes is the VM.
	(cd "$WORK/user" && LKVM_RUN_DIR=$WORK/user/run exec setpriv --reuid 1000 --regid 1000 --clear-groups \
		./lkvm run --nodefaults --network none --mem 32 --cpus 1 --kernel ./spin.elf --dev "$WORK/kvm" \
		--fs "tag=x,dir=/,ro=$([ $mode = rw ] && echo off || echo on)" </dev/null >"$out" 2>"$err") &
	vm=$!
	wait_for up || fail "no virtiofsd for a user"
	# It has one of its own, for its namespaces.
	pid=$(children | tail -n 1)
	[ "$(xargs <"/proc/$pid/uid_map")" = "0 1000 1" ] || fail "its users are $(cat "/proc/$pid/uid_map")"
	awk '$5 == "/" { print substr($6, 1, 2) }' "/proc/$pid/mountinfo" | grep -qx $mode || fail "its root is not $mode"
	kill -KILL "$vm"
	reap
done
