# SPDX-License-Identifier: GPL-2.0-or-later
# The commands' words: help, versions, unknown ones, and what scripts grep for.
. "$TESTS/cli/lib.sh"
commands='run list stop pause resume link debug console version help'

"$LKVM" --help >"$WORK/out" 2>&1 || fail "--help ended with $?"
grep -q 'The most commonly used' "$WORK/out" || fail "--help lacks 'The most commonly used'"
for c in $commands; do
	grep -qwE -- "^ *$c" "$WORK/out" || fail "--help does not list $c"
	"$LKVM" "$c" --help >"$WORK/help.$c" 2>&1 || fail "$c --help ended with $?"
	[ -s "$WORK/help.$c" ] || fail "$c --help is silent"
	"$LKVM" help "$c" >"$WORK/out2" 2>&1 || fail "help $c ended with $?"
done
for o in kernel initrd params cpus mem disk network name no-reboot no-acpi console rng detach \
	run-dir nodefaults tty dev hugetlbfs firmware loglevel debug-mmio debug-ioport; do
	grep -q -- "--$o" "$WORK/help.run" || fail "run --help lacks --$o"
done
"$LKVM" version >"$WORK/out" || fail "version"
"$LKVM" --version >"$WORK/out" || fail "--version"
"$LKVM" version --build-options >"$WORK/out" || fail "version --build-options"
grep -qi slirp "$WORK/out" || fail "version --build-options does not mention libslirp"

bad 'frobnicate' "$LKVM" frobnicate
bad 'frob' "$LKVM" list --frob
bad 'frob' "$LKVM" list frob
bad 'frob' "$LKVM" version frob
bad '.' "$LKVM" stop
bad 'nobody' "$LKVM" stop -n nobody
bad 'nobody' "$LKVM" pause nobody
bad 'nobody' "$LKVM" resume nobody
bad 'nobody' "$LKVM" debug -n nobody --dump
bad 'nobody' "$LKVM" console nobody
bad 'nobody' "$LKVM" link --down nobody
bad '--up' "$LKVM" link nobody
bad '--up' "$LKVM" link --up --down nobody
bad 'frob' "$LKVM" link --up --nic frob nobody
bad 'frob' "$LKVM" stop --all --timeout frob
bad '\.\./x' "$LKVM" stop ../x

# Listing makes no folder.
"$LKVM" list --run-dir "$WORK/none" >"$WORK/out" || fail "list of no folder"
[ "$("$LKVM" list --json --run-dir "$WORK/none" | tr -d ' \n')" = '[]' ] || fail "list --json of none"
[ ! -e "$WORK/none" ] || fail "list made $WORK/none"

# A full disk or a closed pipe is not a success.
bad '.' sh -c '"$1" version >/dev/full' sh "$LKVM"
