# SPDX-License-Identifier: GPL-2.0-or-later
# arm64-mte.sh: a guest has memory tags where the host has them, keeps them, and does without
# by --disable-mte.
. "$TESTS/boot/lib.sh"

if [ -z "${LKVM_IN_RIG:-}" ] && ! grep -qw mte /proc/cpuinfo; then
	skip "this host has no memory tags"
fi
for options in "" --disable-mte; do
	name=tags$options
	# shellcheck disable=SC2086 # none, or a word
	timeout 60 "$LKVM" run --name tags -k "$IMAGES/mte" -m 64M -n none $options \
		</dev/null >"$WORK/$name.out" 2>&1 || fail "$name: status $?"
done
expect_line tags '^MTE [23]$'
expect_line tags '^TAGS 128$'
expect_line tags--disable-mte '^MTE [01]$'
step "Linux"
vm_start linux generic '
echo "FEATURES $(sed -n "s/^Features.*: //p" /proc/cpuinfo | head -n 1) end"
dmesg | grep -i "memory tagging"
'
wait_exit linux 0
expect_line linux '^FEATURES .* mte .*end'
expect_line linux 'Memory Tagging Extension'
no_complaints linux
