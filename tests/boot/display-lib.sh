# SPDX-License-Identifier: GPL-2.0-or-later
# What the tests of a Linux guest with a screen share. Sourced after boot/lib.sh.

# screen_start NAME SCRIPT OPTION...: a guest that runs these words; what it reads, `go` writes.
screen_start() {
	mkfifo "$WORK/in"
	exec {in}<>"$WORK/in"
	INPUT=$WORK/in vm_start "$1" "${SCREEN_KERNEL:-generic}" "${@:2}"
}
go() { echo >&$in; }

# until_said VM REGEX COMMAND...: repeats the command, every few seconds, until the guest has said it:
# a guest that is busy may lose what is typed, as a person would find out.
until_said() {
	local vm=$1 regex=$2 until=$((SECONDS + LIMIT)) i
	shift 2
	while ! said "$vm" "$regex"; do
		[ $SECONDS -lt $until ] || fail "$vm did not say '$regex' after '$*'"
		"$@"
		for i in $(seq 50); do
			! said "$vm" "$regex" || return 0
			sleep 0.2
		done
	done
}

# Text in pictures: a console's characters are all 8 x 16 pixels, light on dark. A picture is a file
# of pixels here, three or four bytes each, the first of them red.

# cells FILE WIDTH BYTES: each character's pixels, as a word of 0 and 1; a line for each of the rows at
# the top, as looking takes its time in a rig.
ROWS=8
cells() {
	head -c $(($2 * $3 * 16 * ROWS)) "$1" | LC_ALL=C tr '\000-\143' 0 | LC_ALL=C tr '\144-\377' 1 | fold -b -w $(($2 * $3)) |
		awk -v n=$(($2 / 8)) -v w=$((8 * $3)) '
			{ for (i = 0; i < n; i++) cell[i] = cell[i] substr($0, i * w + 1, w) }
			NR % 16 == 0 {
				for (i = 0; i < n; i++) { printf "%s ", cell[i]; cell[i] = "" }
				print ""
			}'
}

# learn FILE WIDTH BYTES: what characters look like, from a picture of `screen glyphs`. False: it is none.
learn() {
	cells "$@" | awk '
		NR == 1 { for (i = 1; i <= 48; i++) print $i, i + 31 }
		NR == 2 { for (i = 1; i <= 47; i++) print $i, i + 79 }' >"$WORK/glyphs.$3"
	[ "$(cut -d' ' -f1 "$WORK/glyphs.$3" | sort -u | wc -l)" = 95 ]
}

# text FILE WIDTH BYTES: the text in a picture. What is no character is a space.
text() {
	cells "$@" | awk -v table="$WORK/glyphs.$3" '
		BEGIN { while ((getline line <table) > 0) {
			split(line, f, " "); glyph[f[1]] = sprintf("%c", f[2] + 0) } }
		{ for (i = 1; i <= NF; i++) printf "%s", $i in glyph ? glyph[$i] : " "; print "" }'
}

# The tools that look at pictures are not in the arm64 rig.
can_look() { command -v convert compare identify >/dev/null; }

# shot VM NAME: `lkvm screenshot` as $WORK/NAME.png, and in the test's log folder.
shot() {
	"$LKVM" screenshot "$1" "$WORK/$2.png" || fail "no screenshot"
	[ -z "${LOGS:-}" ] || cp "$WORK/$2.png" "$LOGS/"
}
# alike FILE FILE: two pictures have the same pixels.
alike() { [ "$(compare -metric AE "$1" "$2" null: 2>&1)" = 0 ]; }

# until_shows REGEX LOOK...: until there is such a line in the picture that LOOK takes and reads out.
until_shows() {
	local regex=$1 until=$((SECONDS + LIMIT))
	shift
	until "$@" >"$WORK/text" && grep -qE -- "$regex" "$WORK/text"; do
		[ $SECONDS -lt $until ] || fail "the screen does not show '$regex' but $(cat "$WORK/text")"
		sleep 0.5
	done
}
