# SPDX-License-Identifier: GPL-2.0-or-later
# tutorial.sh: docs/tutorial.md, as a newcomer would follow it: every line behind
# a $ is run, in one shell, and has to succeed.
. "$TESTS/boot/lib.sh"
[ -n "${LKVM_IN_RIG:-}" ] || [ -e "/boot/vmlinuz-$(uname -r)" ] || skip "no kernel in /boot"

# What only the rig lacks: the kernel in its place, sudo, and a compiler's time.
if [ -n "${LKVM_IN_RIG:-}" ]; then
	mkdir -p /boot
	cp "$KERNEL_GENERIC" "/boot/vmlinuz-$(uname -r)"
fi
mkdir "$WORK/bin" "$WORK/home"
cp "$LKVM" "$WORK/bin/lkvm"
cp "${LKVM%/*}"/lkvm-*.so "$WORK/bin/" 2>/dev/null || true
export PATH=$WORK/bin:$PATH HOME=$WORK/home
{
	echo 'sudo() { "$@"; }'
	echo 'make() { grep -q "^${1:-all}:" "$TESTS/../Makefile"; }'
	sed -n 's/^    \$ //p' "$TESTS/../docs/tutorial.md" | while IFS= read -r line; do
		# With /dev/null a shell ends at once.
		printf 'echo %q\n{ %s\n} </dev/null || { echo "STATUS $?"; exit 1; }\n' "\$ $line" "$line"
	done
} >"$WORK/script"
[ "$(grep -c '^echo' "$WORK/script")" -gt 20 ] || fail "the tutorial's lines were not found"
export TESTS
status=0
timeout 800 bash "$WORK/script" >"$WORK/tutorial.out" 2>&1 &
tail -n +1 -f --pid=$! "$WORK/tutorial.out"
wait $! || status=$?
[ $status = 0 ] || fail "it ended with $status"
expect_line tutorial '^it never was'
expect_line tutorial '^HELLO'
expect_line tutorial '^status 42'
expect_line tutorial '^kept'
expect_line tutorial '^it ended with 7'
[ -s "$HOME/out/made-in-there" ] && [ -s "$HOME/out/screen.png" ] || fail "nothing in ~/out"
[ -z "$("$LKVM" list | sed 1d)" ] || fail "still running: $("$LKVM" list)"
