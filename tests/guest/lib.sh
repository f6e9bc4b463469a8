# SPDX-License-Identifier: GPL-2.0-or-later
# What the scripts beside this file share. tests/run gives them LKVM, GUESTS, WORK and
# LKVM_RUN_DIR; by hand `LKVM=dir/lkvm tests/guest/NAME.sh` is enough.

set -eu
LKVM=$(realpath "${LKVM:-$(dirname "$0")/../../lkvm}")
GUESTS=${GUESTS:-$(dirname "$LKVM")/tests/guest}
nodefaults=--nodefaults # or empty
vm=
temporary=
[ -n "${WORK:-}" ] || WORK=$(mktemp -d) temporary=$WORK
trap '[ -z "$vm" ] || kill -KILL "$vm" 2>/dev/null || :; [ -z "$temporary" ] || rm -rf "$temporary"' EXIT
export LKVM_RUN_DIR=${LKVM_RUN_DIR:-$WORK/run}
out=$WORK/out err=$WORK/err status=

fail() {
	echo "FAILED: $*"
	for f in "$out" "$err"; do
		[ ! -s "$f" ] || { echo "--- ${f##*/}"; tail -n 30 "$f"; }
	done
	exit 1
}

skip() {
	echo "$*"
	exit 77
}

# The machine that all of them use; more options follow.
lkvm_run() {
	local image=$GUESTS/$1
	shift
	"$LKVM" run --nodefaults --network none --mem 32 --cpus 1 --kernel "$image" "$@"
}

# run IMAGE [OPTION...]: to its end, with an empty input; output in $out and $err.
run() {
	status=0
	lkvm_run "$@" </dev/null >"$out" 2>"$err" || status=$?
}

# start IMAGE [OPTION...]: in the background, pid in $vm; input from $input, if set.
# $vm is lkvm itself, not a shell around it, so that signals reach it.
start() {
	local image=$GUESTS/$1
	shift
	: >"$out" >"$err"	# now, lest an earlier VM's words are taken for this one's
	# shellcheck disable=SC2086 # a word or none
	"$LKVM" run $nodefaults --network none --mem 32 --cpus 1 --kernel "$image" "$@" \
		<"${input:-/dev/null}" >"$out" 2>"$err" &
	vm=$!
}

# reap: waits for what start began.
reap() {
	status=0
	wait "$vm" || status=$?
	vm=
}

expect_status() { [ "$status" = "$1" ] || fail "exit status $status, not $1"; }
expect_out() { grep -Eq -- "$1" "$out" || fail "no '$1' in the output"; }
expect_err() { grep -Eq -- "$1" "$err" || fail "no '$1' on stderr"; }

# The guest's own checks all held, and it reached its end (lib/lib.h).
expect_ok() {
	expect_status 0
	! grep -q '^not ok' "$out" || fail "the guest found something wrong"
	expect_out '^end [0-9]+ passed, 0 failed'
}

# wait_for COMMAND...: until it succeeds, a minute at most.
wait_for() {
	local i
	for i in $(seq 600); do
		! "$@" || return 0
		sleep 0.1
	done
	return 1
}

# What a background VM says; it is no use to wait when it has gone.
said_or_gone() { grep -Eqs -- "$1" "$out" || gone "$vm"; }
wait_out() {
	wait_for said_or_gone "$1" && grep -Eqs -- "$1" "$out" || fail "no '$1' in the output in time"
}
gone() { ! kill -0 "$1" 2>/dev/null; }

# No thread of the VM that runs wakes for a while.
switches() { cat /proc/"$vm"/task/*/status | awk '/^voluntary/ { n += $2 } END { print n }'; }
sleeps() {
	local before
	before=$(switches)
	sleep 2
	[ "$(switches)" = "$before" ]
}

# KVM with virtualisation hardware behind it, as opposed to KVM that emulates instructions.
kvm_is_hardware() { grep -qwE 'vmx|svm' /proc/cpuinfo; }

milliseconds() { echo $(($(date +%s%N) / 1000000)); }
