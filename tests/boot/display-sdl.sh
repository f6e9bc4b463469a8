# SPDX-License-Identifier: GPL-2.0-or-later
# display-sdl.sh: Debian's console in a window: typed at, and with the mouse that is caught there; at
# last the kernel panics, and one can read why. In 16 bits a pixel, by VESA's number.
. "$TESTS/boot/lib.sh"
. "$TESTS/boot/display-lib.sh"

: >"$WORK/number"
Xvfb -displayfd 3 -screen 0 1024x768x24 3>"$WORK/number" 2>"$WORK/xvfb.out" &
trap "kill $! 2>/dev/null || :" EXIT
wait_for test -s "$WORK/number"
DISPLAY=:$(cat "$WORK/number")
export DISPLAY

PARAMS=panic=0 screen_start window '
echo "SCREEN $(cat /proc/fb)"
need input
screen glyphs
read -r _
screen watch "virtio keyboard"
screen watch "virtio mouse"
screen watch "virtio tablet"
screen shell
read -r _
' --sdl --vidmode 0x111
wait_line window '^SCREEN 0 VESA'
wait_line window '^GLYPHS'
window=$(xdotool search --name 'lkvm: window' | head -n 1)
[ -n "$window" ] || fail "no window"
xdotool getwindowgeometry "$window" | grep -q 640x480 || fail "the window has not the mode's size"
xdotool windowmove --sync "$window" 0 0 windowfocus --sync "$window" || fail "no focus"
step "window"

look() {
	import -window "$window" "$WORK/display-window.png"
	convert "$WORK/display-window.png" -depth 8 "rgb:$WORK/window.rgb"
}
see() { look && text "$WORK/window.rgb" 640 3; }
see_glyphs() { look && learn "$WORK/window.rgb" 640 3; }
type_line() { xdotool key Return type --delay 50 "$1"; xdotool key Return; }
wait_for see_glyphs
go
wait_line window '^SHELL up'
until_said window '^Hello_SDL$' type_line 'uname -sr; echo Hello_SDL >/dev/ttyS0'
wait_line window '^EVENT virtio keyboard'
until_shows '^Linux [0-9]+\.' see
same_picture() { look && shot window display-sdl && alike "$WORK/display-sdl.png" "$WORK/display-window.png"; }
wait_for same_picture
step "typed"

# With a tablet the pointer is not caught until it is asked for; then it moves the mouse.
point() { xdotool mousemove --window "$window" 100 100 mousemove --window "$window" 300 200; }
until_said window '^EVENT virtio tablet' point
refuse_line window '^EVENT virtio mouse'
xdotool key ctrl+alt+g
move() { xdotool mousemove_relative 20 10; }
until_said window '^EVENT virtio mouse' move
step "pointed"

until_said window 'Kernel panic - not syncing' type_line 'echo c >/proc/sysrq-trigger'
ROWS=30
until_shows 'Kernel panic - not syncing: sysrq triggered crash' see
shot window display-panic
[ -z "${LOGS:-}" ] || cp "$WORK/display-window.png" "$LOGS/"
succeeds "$LKVM" stop --force window
wait_exit window '[0-9]+'
