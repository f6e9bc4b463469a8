# SPDX-License-Identifier: GPL-2.0-or-later
# arm64-psci.sh [OPTION...]: PSCI with arguments of all sorts, a CPU that goes on and off, and the
# machine's end by SYSTEM_OFF, SYSTEM_RESET and SYSTEM_RESET2.
. "$TESTS/boot/lib.sh"

more=("$@")
[ $# = 0 ] || host_takes "$@"
# psci NAME OPTION...
psci() {
	: >"$WORK/$1.out"
	"$LKVM" run --name "$1" -k "$IMAGES/psci" -c 2 -m 64M --nodefaults -n none "${@:2}" \
		${more[@]+"${more[@]}"} </dev/null >"$WORK/$1.out" 2>&1 &
	VM_PID[$1]=$!
}
for end in off reset reset2; do
	psci $end --no-reboot -p $end
	wait_exit $end 0
	expect_line $end '^ROUNDS 50$'
	expect_line $end '^PSCI ok$'
	refuse_line $end '^FAIL'
done
# In place, over and over.
psci again -p reset
until [ "$(console again | grep -c '^PSCI ok$')" -ge 3 ]; do
	vm_alive again || fail "it ended"
	[ $SECONDS -lt $LIMIT ] || fail "it does not reboot"
	sleep 0.2
done
refuse_line again '^FAIL'
succeeds "$LKVM" stop --force again
wait_exit again 0 60
nothing_left again
