# SPDX-License-Identifier: GPL-2.0-or-later
# A folder as the guest's root, as far as it shows without Linux: what is wrong
# with kernel, modules and words is said; what ends lkvm before the guest's init
# has spoken.  The kernels here halt, or crash, at once.
. "$TESTS/cli/lib.sh"
cd "$WORK"
export XDG_CACHE_HOME=$WORK/cache

# kernel FILE RELEASE CODE: a bzImage of that release, whose 64-bit entry is CODE.
kernel() {
	bzimage "$1"
	poke "$1" 0x20e 2 0x200
	printf '%s (us) #1\0' "$2" | dd of="$1" bs=1 seek=$((0x400)) conv=notrunc status=none
	printf "$3" | dd of="$1" bs=1 seek=$((2048 + 512)) conv=notrunc status=none
}
kernel halts 6.1-test '\364\353\375'		# hlt; jmp
kernel crashes 6.1-test '\017\001\030\017\013'	# lidt [rax]; ud2

# --- kernels and modules that do not do ---

# modules DIR RELEASE NAME...: a folder of modules, of which only the words matter.
modules() {
	local dir=$1 release=$2 name
	shift 2
	mkdir -p "$dir"
	: >"$dir/modules.dep"
	for name in "$@"; do
		echo "$name.ko:" >>"$dir/modules.dep"
		printf 'ELF\0depends=\0vermagic=%s SMP \0' "$release" >"$dir/$name.ko"
	done
}
base='virtio_pci virtio_mmio virtio_console'
modules no-overlay 6.1-test $base virtiofs 9p 9pnet_virtio
modules no-files 6.1-test $base overlay
modules no-virtio 6.1-test overlay 9p 9pnet_virtio
modules no-9p 6.1-test $base overlay virtiofs
modules other 6.2-other $base overlay 9p 9pnet_virtio
mkdir empty
# refused REGEX OPTION...; accepted OPTION...: as far as to the KVM device, which is none.
refused() { bad "$1" "$LKVM" run --dev /nonexistent -k halts "${@:2}" -- true; }
accepted() { refused 'open /nonexistent' "$@"; }

accepted
refused 'kernel halts .*lacks CONFIG_OVERLAY_FS, and no-overlay has no module .overlay' --modules no-overlay
accepted --modules no-overlay --rw
refused 'lacks CONFIG_NET_9P_VIRTIO, and no-files' --modules no-files
refused 'lacks CONFIG_VIRTIO_FS, and no-files' --modules no-files --files virtiofs
refused 'lacks CONFIG_VIRTIO_PCI, and no-virtio' --modules no-virtio
refused 'modules in other are for 6\.2-other, kernel halts is 6\.1-test' --modules other
refused '--modules empty: no modules for kernel 6\.1-test' --modules empty
refused '--modules gone: no modules for kernel 6\.1-test' --modules gone
accepted --modules no-9p --files virtiofs
refused 'lacks CONFIG_NET_9P_VIRTIO, .*it has virtiofs' --modules no-9p --files 9p
# A host without virtiofsd.
cat >hide <<'END'
#!/bin/sh
for file in /usr/libexec/virtiofsd /usr/lib/virtiofsd /usr/lib/virtiofsd/virtiofsd /usr/lib/qemu/virtiofsd; do
	[ ! -f $file ] || mount --bind /dev/null $file || exit 1
done
exec "$@"
END
chmod +x hide
if unshare -m true 2>/dev/null; then
	bad 'it has virtiofs, but there is no virtiofsd on this host' unshare -m ./hide \
		"$LKVM" run --dev /nonexistent -k halts --modules no-9p -- true
fi
printf 'ELF\0depends=gone\0vermagic=6.1-test SMP \0' >no-9p/overlay.ko
refused 'no-9p: module overlay needs gone, which is not there' --modules no-9p --files virtiofs
rm no-9p/overlay.ko
refused 'module no-9p/overlay\.ko: No such file' --modules no-9p --files virtiofs

# --- words ---

refused '--files nfs: should be 9p or virtiofs' --files nfs
refused '--rodir gone: No such file' --rodir gone
refused '--rodir /: .* is the root itself.*--rw' --rodir /
refused '--rwdir gone: No such file' --rwdir gone
refused "--user nobdy: there is no such user in /etc/passwd" --user nobdy
refused 'disk plya: No such file .*lkvm setup' -d plya
mkdir home
HOME=$WORK/home "$LKVM" setup play >out
[ "$(cat out)" = "$WORK/home/.lkvm/play" ] || fail "setup said $(cat out)"
HOME=$WORK/home bad '\.lkvm/play: File exists' "$LKVM" setup play
HOME=$WORK/home accepted -d play
HOME=$WORK/home refused "no such user in $WORK/home/.lkvm/play/etc/passwd" -d play --user nobdy
bad 'a command' "$LKVM" run --
bad 'a command' "$LKVM" sandbox --
bad 'kernel uname: No such file.*-- uname' "$LKVM" run uname

# --- how it ends ---

# start NAME: a command in a guest that does not get there, in the background.  Sets pid.
start() {
	"$LKVM" sandbox -k halts -c 1 -m 64M --name "$1" -- true </dev/null >"$1.out" 2>&1 &
	pid=$!
	until_ok 30 runs "$1"
}
runs() { "$LKVM" list | grep -w "$1"; }
# ends STATUS
ends() {
	local status=0
	until_ok 30 bash -c "! kill -0 $pid 2>/dev/null"
	wait "$pid" || status=$?
	[ $status = "$1" ] || { cat ./*.out; fail "ended with $status, not $1"; }
	[ -z "$(ls -A "$LKVM_RUN_DIR")" ] || fail "left: $(ls -A "$LKVM_RUN_DIR")"
}
# In the middle of the boot, when there is no command yet that could be told.
for signal in INT:130 QUIT:131 TERM:143 HUP:129; do
	start ${signal%:*}
	kill -${signal%:*} "$pid"
	ends ${signal#*:}
done
# A terminal that closes.
mkfifo in
script -qefc "'$LKVM' run -k halts -c 1 -m 64M --name terminal" /dev/null <>in >terminal.out 2>&1 &
pid=$!
until_ok 30 runs terminal
kill -KILL "$pid"
gone() { [ -z "$(ls -A "$LKVM_RUN_DIR")" ]; }
until_ok 30 gone
start stopped
"$LKVM" stop -f stopped
ends 137
status=0
"$LKVM" sandbox -k crashes -c 1 -m 64M -- true </dev/null >out 2>&1 || status=$?
[ $status = 255 ] || fail "a crash is $status, not 255"
grep -q 'ended without a status' out || fail "no word of the crash"
