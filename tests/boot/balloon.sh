# SPDX-License-Identifier: GPL-2.0-or-later
# balloon.sh: memory that the guest frees goes back to the host by itself (free
# page reporting); the balloon takes it from the guest and gives it back; when
# the guest needs it, it comes out by itself (deflate on OOM); lkvm stat tells.
. "$TESTS/boot/lib.sh"

# What the host has to keep of the guest's memory, in MiB.
resident() { awk '/^RssShmem/ { print int($2 / 1024) }' "/proc/${VM_PID[balloon]:-self}/status"; }
stat_of() { "$LKVM" stat --json balloon | jq -r ".[0].$1"; }
# until_true WHAT COMMAND...: within a while.
until_true() {
	local what=$1 until=$((SECONDS + 90))
	shift
	while ! "$@"; do
		[ $SECONDS -lt $until ] || fail "$what: resident $(resident) MiB; $("$LKVM" stat balloon 2>&1 | tr '\n' ' ')"
		sleep 0.5
	done
}
resident_below() { [ "$(resident)" -lt "$1" ]; }
balloon_is() { [ "$(stat_of balloon_actual)" = $(($1 << 20)) ]; }

mkfifo "$WORK/keys"
exec 3<>"$WORK/keys"
INPUT=$WORK/keys MEM=256M vm_start balloon generic '
say() { echo "$1 $(awk "/^MemFree/ { print int(\$2 / 1024) }" /proc/meminfo)"; read -r go; }
fill() { dd if=/dev/zero of=/fill bs=1M count=$1 2>/dev/null && stat -c "FILLED %s" /fill; }
say "GUEST without driver"
need balloon
fill 48
say "GUEST full"
rm /fill
say "GUEST empty"
say "GUEST inflated"
fill $go
rm /fill
say "GUEST recovered"
say "GUEST deflated"
fill 64
' --balloon
wait_line balloon '^GUEST without driver'
refuses "$LKVM" stat -m -n balloon
grep -q 'no balloon driver' "$WORK/command.out" || fail "stat: $(cat "$WORK/command.out")"
refuses "$LKVM" balloon -i 600 balloon
refuses "$LKVM" balloon -d 1 -n balloon
echo >&3

step "the guest fills memory, and frees it"
wait_line balloon '^GUEST full'
full=$(resident)
[ "$full" -gt 48 ] || fail "resident when full: $full MiB"
succeeds "$LKVM" stat -m -n balloon
grep -Eq '^total memory +[0-9]+ KiB$' "$WORK/command.out" || fail "stat: $(cat "$WORK/command.out")"
cat "$WORK/command.out"
echo >&3
wait_line balloon '^GUEST empty'
until_true "reporting" resident_below $((full - 24))
step "resident: $full MiB when full, $(resident) MiB when empty"

free=$(($(stat_of free) >> 20))
succeeds "$LKVM" balloon -i 30 -n balloon
succeeds "$LKVM" balloon -i $((free - 60)) balloon
until_true "inflating" balloon_is $((free - 30))
[ "$(stat_of balloon_target)" = $(((free - 30) << 20)) ] || fail "target: $(stat_of balloon_target)"
inflated=$(($(stat_of free) >> 20))
step "free in the guest: $free MiB, then $inflated MiB; resident $(resident) MiB"
[ "$inflated" -lt 60 ] || fail "the guest still has $inflated MiB"
resident_below $((full - 24)) || fail "resident when inflated: $(resident) MiB"
echo >&3
wait_line balloon '^GUEST inflated'

step "the guest needs more than it has left"
more=$((inflated + 16))
echo $more >&3
wait_line balloon "^FILLED $((more << 20))"
wait_line balloon '^GUEST recovered'
deflated_below() { [ "$(stat_of balloon_actual)" -lt $(($1 << 20)) ]; }
until_true "deflating on OOM" deflated_below $((free - 30 - 8))
refuse_line balloon 'Out of memory|oom-kill'
step "$(($(stat_of balloon_actual) >> 20)) MiB are left in the balloon of $((free - 30)) MiB"

step "and gets it all"
succeeds "$LKVM" balloon --deflate $((free - 30)) balloon
until_true "deflating" balloon_is 0
free_is_back() { [ $(($(stat_of free) >> 20)) -gt $((free - 40)) ]; }
until_true "free after deflating" free_is_back
echo >&3
wait_line balloon '^GUEST deflated'
succeeds "$LKVM" pause balloon
refuses "$LKVM" stat balloon
succeeds "$LKVM" resume balloon
echo >&3
wait_line balloon '^FILLED 67108864'
no_complaints balloon
wait_exit balloon 0

step "a VM without a balloon"
vm_start plain cloud 'sleep 100' -n none
until_true "plain's socket" sh -c '"$0" list | grep -q plain' "$LKVM"
for command in 'stat -m' 'balloon -i 1'; do
	refuses timeout 30 "$LKVM" $command -n plain
	grep -q 'has no balloon' "$WORK/command.out" || fail "$command: $(cat "$WORK/command.out")"
done
succeeds "$LKVM" stop --force plain
wait_exit plain 0 60
