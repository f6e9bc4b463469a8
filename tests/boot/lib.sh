# SPDX-License-Identifier: GPL-2.0-or-later
# What the boot tests share.  Sourced by them; tests/run gives the environment:
# LKVM, WORK, LKVM_RUN_DIR, KERNEL_*, INITRD_*, VMLINUX_GENERIC.
#
# A test starts guests with vm_start, waits for lines on their consoles, and
# ends with 0.  Any failed expectation ends it with status 1 and shows the
# consoles' ends.  Nothing here waits without a limit.
set -eEu -o pipefail

LIMIT=${LIMIT:-240}		# seconds for a guest to come up
declare -A VM_PID=()

fail() {
	local f
	trap - ERR
	echo "FAIL: $*"
	for f in "$WORK"/*.out; do
		[ -f "$f" ] || continue
		echo "--- end of ${f##*/}"
		tail -n 25 "$f" | tr -d '\r'
	done
	for f in "${!VM_PID[@]}"; do threads "$f" "${VM_PID[$f]}"; done
	exit 1
}
# threads NAME PID: where a VM that should have ended stands.
threads() {
	local t
	for t in /proc/"$2"/task/*; do
		[ -d "$t" ] || continue
		echo "--- $1: $(cat "$t/comm"): $(cat "$t/syscall" 2>&1)"
		head -n 6 "$t/stack" 2>/dev/null || true
	done
}
trap 'fail "line $LINENO: $BASH_COMMAND"' ERR
skip() { echo "$*"; exit 77; }
step() { echo "== $* ($SECONDS s)"; }

# Names of kernels as the tests say them -> kernel and initramfs.
kernel_of() {
	case $1 in
	vmlinux) echo "$VMLINUX_GENERIC" ;;
	*) local v=KERNEL_${1^^}; echo "${!v}" ;;
	esac
}
initrd_of() {
	case $1 in
	vmlinux) echo "$INITRD_GENERIC" ;;
	*) local v=INITRD_${1^^}; echo "${!v}" ;;
	esac
}

# guest_words SCRIPT [END]: kernel parameters that make a guest run SCRIPT
# (sh's words; none: a shell on the console) and then END (poweroff).
guest_words() {
	local words=quiet
	[ -z "$1" ] || words+=" lkvm.run=$(printf '%s\n' "$1" | base64 -w0)"
	echo "$words lkvm.end=${2:-poweroff}"
}

# initrd_with KERNEL FILE...: an initramfs like that kernel's, with these files in
# its /bin.  Prints its path.
initrd_with() {
	local out=$WORK/initrd.$1 base
	base=$(initrd_of "$1")
	shift
	mkdir -p "$WORK/more/bin"
	cp "$@" "$WORK/more/bin"
	{ cat "$base"; (cd "$WORK/more" && find bin | cpio --quiet -o -H newc); } >"$out"
	echo "$out"
}

# vm_start NAME KERNEL SCRIPT [OPTION...]: a guest in the background, its output
# in $WORK/NAME.out.  Variables: END, PARAMS (more kernel parameters), INPUT
# (what its console reads; /dev/null), CPUS, MEM.
vm_start() {
	local name=$1 kernel=$2 script=$3
	shift 3
	: >"$WORK/$name.out"
	"$LKVM" run --name "$name" -k "$(kernel_of "$kernel")" -i "$(initrd_of "$kernel")" \
		-c "${CPUS:-1}" -m "${MEM:-256M}" \
		-p "$(guest_words "$script" "${END:-}")${PARAMS:+ $PARAMS}" "$@" \
		<"${INPUT:-/dev/null}" >"$WORK/$name.out" 2>&1 &
	VM_PID[$name]=$!
}

vm_alive() { kill -0 "${VM_PID[$1]}" 2>/dev/null; }

# console NAME: what it has printed, without carriage returns.
console() { tr -d '\r' <"$WORK/$1.out"; }
# Exactly these words may stand in an echoed command line too; hence -E and ^.
# Not by a pipe: grep ends at the first match, and pipefail would tell of tr's end.
said() { grep -aqE -- "$2" <(console "$1"); }

# wait_line NAME REGEX [SECONDS]
wait_line() {
	local until=$((SECONDS + ${3:-$LIMIT}))
	while ! said "$1" "$2"; do
		if [ -n "${VM_PID[$1]:-}" ] && ! vm_alive "$1"; then
			! said "$1" "$2" || return 0
			fail "$1 ended without saying '$2'"
		fi
		[ $SECONDS -lt $until ] || fail "$1 did not say '$2' within ${3:-$LIMIT} s"
		sleep 0.2
	done
}

expect_line() { said "$1" "$2" || fail "$1 never said '$2'"; }
refuse_line() { ! said "$1" "$2" || fail "$1 said $(console "$1" | grep -aE -m1 -- "$2")"; }

# wait_exit NAME STATUS [SECONDS]: it ends by itself, with that exit status.
wait_exit() {
	local until=$((SECONDS + ${3:-$LIMIT})) status=0
	while vm_alive "$1"; do
		[ $SECONDS -lt $until ] || fail "$1 still runs after ${3:-$LIMIT} s"
		sleep 0.2
	done
	wait "${VM_PID[$1]}" || status=$?
	unset "VM_PID[$1]"
	[[ $status =~ ^($2)$ ]] || fail "$1 ended with status $status, not $2"
}

# Whatever the guest did, its kernel may not have complained about the machine.
# Known harmless words are left out by the tests themselves.
no_complaints() {
	refuse_line "$1" 'Kernel panic|BUG:|WARNING: |Call Trace|soft lockup|rcu.*stall|nobody cared|Oops'
}

# host_takes OPTION...: skips where KVM on arm64 lacks them.  In a rig that was made for the test, it may not.
host_takes() {
	[ -n "${LKVM_IN_RIG:-}" ] || "$LKVM" run -k "$IMAGES/flat" --nodefaults -m 64M "$@" </dev/null >/dev/null 2>&1 ||
		skip "this host's KVM has no $*"
}

# nothing_left NAME: no row, no file.
nothing_left() {
	! "$LKVM" list 2>/dev/null | grep -w -- "$1" || fail "lkvm list still shows $1"
	[ -z "$(ls -A "$LKVM_RUN_DIR" 2>/dev/null | grep -F -- "$1" || true)" ] ||
		fail "$LKVM_RUN_DIR still holds $(ls -A "$LKVM_RUN_DIR")"
}

# succeeds/refuses COMMAND...: by exit status; output in $WORK/command.out.
succeeds() {
	local status=0
	"$@" >"$WORK/command.out" 2>&1 || status=$?
	[ $status = 0 ] || fail "'${*//$LKVM/lkvm}' ended with $status"
}
refuses() {
	local status=0
	"$@" >"$WORK/command.out" 2>&1 || status=$?
	[ $status != 0 ] || fail "'${*//$LKVM/lkvm}' was accepted"
}

# in_guest STATUS [OPTION...] -- COMMAND...: `lkvm sandbox` (or $VERB) ends with
# that status; output in $WORK/out and $WORK/err.
in_guest() {
	local want=$1 status=0
	shift
	timeout "$LIMIT" "$LKVM" "${VERB:-sandbox}" -k "${KERNEL:-$KERNEL_GENERIC}" -c 1 -m 512M "$@" \
		>"$WORK/out" 2>"$WORK/err" || status=$?
	[ $status = "$want" ] || fail "'$*' ended with $status, not $want: $(tail -n 20 "$WORK/err")"
}
is() { [ "$(tr -d '\r' <"$1")" = "$2" ] || fail "${1##*/} is '$(cat "$1")', not '$2'"; }
# wait_for COMMAND...: until it succeeds.
wait_for() {
	local until=$((SECONDS + LIMIT))
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $until ] || fail "not within $LIMIT s: $*"
		sleep 0.2
	done
}

# outside COMMAND...: on a host outside, that is, in another network namespace.
outside() { nsenter -t "$OUTSIDE" -n "$@"; }
outside_start() {
	# Not for the kernel to load where the root is another, as in the rig.
	modprobe -a veth bridge macvtap dummy nft_chain_nat nft_masq 2>/dev/null || true
	ip link set lo up
	unshare -n sleep 10000 &
	OUTSIDE=$!
	wait_for sh -c "[ \$(readlink /proc/$OUTSIDE/ns/net) != \$(readlink /proc/self/ns/net) ]"
}
# up0: this host's Ethernet, 10.99.0.1, and its way to 10.99.0.2 outside, which
# knows no other of our addresses, and serves a file on port 8001.  Sets sum.
outside_uplink() {
	ip link add up0 type veth peer name wire netns "$OUTSIDE"
	ip addr add 10.99.0.1/24 dev up0
	ip link set up0 up
	ip route add default via 10.99.0.2
	outside ip addr add 10.99.0.2/24 dev wire
	outside ip link set wire up
	head -c 1M /dev/urandom >"$WORK/file"
	sum=$(sha256sum <"$WORK/file" | cut -c1-64)
	outside socat -U TCP-LISTEN:8001,fork,reuseaddr "OPEN:$WORK/file,rdonly" &
}
# For guests' scripts: "lease IFACE" gets an address by DHCP, "fetch NAME ADDRESS PORT"
# says what is served there.
guest_net='
cat >/tmp/dhcp <<END
#!/bin/sh
[ "\$1" = bound ] || exit 0
ip addr add \$ip/\$mask dev \$interface
[ -z "\$router" ] || ip route add default via \$router
echo "LEASE \$ip dns \$dns"
END
chmod +x /tmp/dhcp
lease() {
	ip link set $1 up
	udhcpc -i $1 -n -q -t 20 -s /tmp/dhcp >/tmp/udhcpc 2>&1 || cat /tmp/udhcpc
	grep LEASE /tmp/udhcpc
}
fetch() { echo "$1 $(nc -w 60 $2 $3 </dev/null | sha256sum | cut -c1-64)"; }
'

mkdir -p "$LKVM_RUN_DIR"
chmod 700 "$LKVM_RUN_DIR"
