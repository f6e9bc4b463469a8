# SPDX-License-Identifier: GPL-2.0-or-later
# display.sh FIRST INPUT MODE [modes]: Debian's console over VNC. First on the screen that is there
# before any driver (FIRST, as the kernel calls it), with the modules of INPUT (ps2, input); then by
# the bochs driver, with virtio's keyboard and tablet. MODE is for --vidmode. "modes": a program in
# the guest sets others, and the viewer's desktop follows.
. "$TESTS/boot/lib.sh"
. "$TESTS/boot/display-lib.sh"
. "$TESTS/rfb.sh"
first=$1 input=$2 mode=$3 modes=
port=5941
case $input in
ps2) mouse='PS.2.*Mouse' ;;
*) mouse='virtio tablet' ;;
esac
if [ "${4:-}" = modes ]; then
	modes='640x480 1024x768 1920x1080'
	INITRD_GENERIC=$(initrd_with generic "${LKVM%/*}/tests/boot/modes-tool")
fi
screen_start screen '
echo "SCREEN $(cat /proc/fb) ($(cut -c-9 /proc/uptime))"
need '"$input"'
screen glyphs
read -r _
screen watch "'"$mouse"'"
screen shell
read -r _
need input
need screen
echo "SCREEN $(cat /proc/fb)"
screen watch "virtio keyboard"
screen watch "virtio tablet"
read -r _
[ -z "'"$modes"'" ] || { modes-tool '"$modes"' && echo "MODES done"; }
read -r _
' --vnc=:$((port - 5900)) --vidmode "$mode"

# What viewer $rfb is shown: $WORK/viewer.raw.
look() {
	local i
	rm -f "$WORK/viewer.raw"
	for i in 1 2; do # an update may be the new size alone
		[ -s "$WORK/viewer.raw" ] && break
		rfb_request
		rfb_update "$WORK/viewer.raw" || return 1
	done
}
see() { look && text "$WORK/viewer.raw" "$rfb_width" 4; }
see_glyphs() { look && learn "$WORK/viewer.raw" "$rfb_width" 4; }
keep() { # NAME: that picture, with the logs
	[ -z "${LOGS:-}" ] || ! can_look || convert -size "${rfb_width}x$rfb_height" -depth 8 \
		"rgba:$WORK/viewer.raw" -alpha off "$LOGS/$1.png"
}
# Typed once more, a line does no harm.
type_line() { rfb_enter; rfb_type "$1"; rfb_enter; }
move() { rfb_pointer 100 100 0; rfb_pointer 200 300 0; }
RFB_PAUSE=0.02

wait_line screen "^SCREEN 0 .*$first"
wait_line screen '^GLYPHS'
step "$first"
rfb_open $port || fail "no VNC"
rfb_encodings -223
width=$rfb_width height=$rfb_height
wait_for see_glyphs
go
wait_line screen '^SHELL up'
until_said screen '^Hello_First$' type_line 'uname -sr;echo Hello_First>/dev/ttyS0'
until_shows '^Linux [0-9]+\.' see
keep "display-$first"
step "typed"
until_said screen '^EVENT' move
step "pointed"
go

wait_line screen '^SCREEN 0 bochs'
step "bochs"
until_said screen '^Hello_VNC$' type_line 'clear;cat /proc/fb;echo Hello_VNC>/dev/ttyS0'
wait_line screen '^EVENT virtio keyboard'
until_said screen '^EVENT virtio tablet' move
until_shows '^0 bochs' see
[ "$rfb_width $rfb_height" = "$width $height" ] || fail "bochs has made it ${rfb_width}x$rfb_height"

# The same picture, whoever looks.
same_picture() {
	shot screen "display-$first-bochs"
	timeout 60 gvnccapture -q "127.0.0.1:$((port - 5900))" "$WORK/display-$first-gvnc.png" &&
		alike "$WORK/display-$first-gvnc.png" "$WORK/display-$first-bochs.png"
}
if can_look; then
	wait_for same_picture
	cp "$WORK/display-$first-gvnc.png" "${LOGS:-$WORK}/" || :
else
	shot screen "display-$first-bochs"
fi
step "same for all"
go

pixel() { od -An -tx1 -j $((4 * ($2 * rfb_width + $1))) -N 3 "$WORK/viewer.raw" | tr -d ' \n'; }
in_mode() { # WxH COLOUR: what modes-tool paints
	look && [ "${rfb_width}x$rfb_height" = "$1" ] || return 1
	[ "$(pixel 0 0) $(pixel $((rfb_width / 2 - 1)) $((rfb_height - 1)))" = "$2 $2" ] || return 1
	[ "$(pixel $((rfb_width / 2)) 0) $(pixel $((rfb_width - 1)) $((rfb_height - 1)))" = 'ffffff ffffff' ]
}
n=0
for mode in $modes; do
	n=$((n + 1))
	wait_line screen "^MODE $mode"
	wait_for in_mode "$mode" "$(printf %06x $((n * 0x102030)))"
	shot screen "display-$mode"
	! can_look || [ "$(identify -format %wx%h "$WORK/display-$mode.png")" = "$mode" ] || fail "not in a screenshot"
	step "$mode"
	go
done
[ -z "$modes" ] || wait_line screen '^MODES done'
until_said screen '^Hello_again$' type_line 'clear;pwd;echo Hello_again>/dev/ttyS0'
until_shows '^/ +$' see
[ "$rfb_width $rfb_height" = "$width $height" ] || fail "the console is ${rfb_width}x$rfb_height"
rfb_close
go
wait_exit screen 0
no_complaints screen
