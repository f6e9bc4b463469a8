# SPDX-License-Identifier: GPL-2.0-or-later
# What the command-line tests share: kernels of a few bytes, and expectations.
set -eEu -o pipefail

fail() {
	trap - ERR
	echo "FAIL: $*"
	[ ! -s "$WORK/out" ] || sed 's/^/  out: /' "$WORK/out"
	exit 1
}
trap 'fail "line $LINENO: $BASH_COMMAND"' ERR

# idle_kernel FILE: a flat real-mode guest that halts for ever (sti; hlt; jmp).
idle_kernel() { printf '\373\364\353\375' >"$1"; }

# le SIZE NUMBER: a little-endian number as printf's escapes.
le() {
	local i
	for ((i = 0; i < $1; i++)); do printf '\\x%02x' $((($2 >> (8 * i)) & 255)); done
}
# poke FILE OFFSET SIZE NUMBER
poke() { printf "$(le "$3" "$4")" | dd of="$1" bs=1 seek=$(($2)) conv=notrunc status=none; }

# bzimage FILE: a kernel whose header is right (boot protocol 2.15) and whose
# 64-bit entry is a halt.
bzimage() {
	truncate -s 8192 "$1"
	poke "$1" 0x1f1 1 3				# setup sectors, besides the first
	poke "$1" 0x1f4 4 $(((8192 - 2048) / 16))	# size of the rest, in paragraphs
	poke "$1" 0x1fe 2 0xaa55
	poke "$1" 0x200 2 0x6aeb			# jump over the header
	printf HdrS | dd of="$1" bs=1 seek=$((0x202)) conv=notrunc status=none
	poke "$1" 0x206 2 0x020f
	poke "$1" 0x211 1 1				# loaded high
	poke "$1" 0x214 4 0x100000
	poke "$1" 0x22c 4 0x7fffffff			# highest address of an initrd
	poke "$1" 0x230 4 0x200000			# alignment
	poke "$1" 0x234 1 1				# relocatable
	poke "$1" 0x235 1 21
	poke "$1" 0x236 2 1				# has a 64-bit entry
	poke "$1" 0x238 4 2047				# longest command line
	poke "$1" 0x258 8 0x1000000
	poke "$1" 0x260 4 0x100000			# memory it needs
	poke "$1" $((2048 + 512)) 2 0xfdeb
}

# bad REGEX COMMAND...: must be refused within 10 s: a status that is neither 0
# nor a crash's, and words that match REGEX.
bad() {
	local regex=$1 status=0
	shift
	timeout -k 1 10 "$@" </dev/null >"$WORK/out" 2>&1 || status=$?
	case $status in
	0) fail "accepted: ${*//$LKVM/lkvm}" ;;
	124 | 137) fail "did not end: ${*//$LKVM/lkvm}" ;;
	12[6-9] | 13? | 1[4-9]? | 2??) fail "ended with status $status: ${*//$LKVM/lkvm}" ;;
	esac
	grep -aqiE -- "$regex" "$WORK/out" || fail "not the words '$regex': ${*//$LKVM/lkvm}"
	[ "$(wc -l <"$WORK/out")" -le 6 ] || fail "too many words: ${*//$LKVM/lkvm}"
}

# until_ok SECONDS COMMAND...
until_ok() {
	local until=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $until ] || fail "not within its time: $*"
		sleep 0.1
	done
}
