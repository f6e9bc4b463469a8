#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A firmware image: where it is, which copy of it can be written, what a reset makes of it.
. "$(dirname "$0")/lib.sh"

mkfifo "$WORK/keys"
"$LKVM" run --nodefaults --network none --mem 32 --cpus 2 --firmware "$GUESTS/firmware.bin" \
	<"$WORK/keys" >"$out" 2>"$err" &
vm=$!
exec 3>"$WORK/keys"
starts() { [ "$(grep -c '^ok firmware$' "$out")" = "$1" ] || gone "$vm"; }
for key in r r q; do
	wait_for starts $((n = ${n:-0} + 1)) || fail "start $n did not happen in time"
	printf '%s' "$key" >&3
done
exec 3>&-
reap
expect_status 0
expect_err 'KVM session ended normally\.'
[ "$(grep -c '^ok firmware$' "$out")" = 3 ] || fail "not three starts"
! grep -q '^not ok' "$out" || fail "$(grep '^not ok' "$out")"

# refused WORDS IMAGE...: a clear error that has the words.
refused() {
	status=0
	"$LKVM" run --nodefaults --network none --mem 32 --firmware "$2" "${@:3}" \
		</dev/null >"$out" 2>"$err" || status=$?
	[ "$status" != 0 ] || fail "firmware $2 was accepted"
	expect_err "$1"
}

head -c 15 "$GUESTS/firmware.bin" >"$WORK/short"
refused "firmware $WORK/short: 15 bytes" "$WORK/short"
truncate -s 1G "$WORK/long"
refused "firmware $WORK/long: 1073741824 bytes" "$WORK/long"
refused 'Unable to open firmware /nowhere: No such file' /nowhere
refused "Unable to open firmware $WORK: Is a directory" "$WORK"
refused '[-]-firmware and --kernel exclude each other' "$GUESTS/firmware.bin" -k "$GUESTS/hello.elf"
