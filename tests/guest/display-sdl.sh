#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The window, under Xvfb: the picture, keys, the pointer caught, no screen.
. "$(dirname "$0")/lib.sh"
[ -e "$(dirname "$LKVM")/lkvm-sdl.so" ] || skip "built without SDL"
for tool in Xvfb xdotool import convert; do
	command -v $tool >/dev/null || skip "no $tool"
done

unset DISPLAY WAYLAND_DISPLAY SDL_VIDEODRIVER
run display.elf --sdl
expect_status 1
expect_err 'neither DISPLAY nor WAYLAND_DISPLAY'
DISPLAY=:9999 run display.elf --sdl
expect_status 1
expect_err '^Error: --sdl: '

Xvfb -displayfd 3 -screen 0 1280x1024x24 3>"$WORK/number" 2>/dev/null &
xvfb=$!
trap 'kill $xvfb $vm 2>/dev/null; [ -z "$temporary" ] || rm -rf "$temporary"' EXIT
wait_for test -s "$WORK/number" || fail "Xvfb does not start"
DISPLAY=:$(cat "$WORK/number")
export DISPLAY

start display.elf --name sdl --sdl -p "w=800 h=600 keys=1"
wait_out '^ready'
found() { window=$(xdotool search --name 'lkvm: sdl' | head -n 1); [ -n "$window" ]; }
wait_for found || fail "no window"
resized() { xdotool getwindowgeometry "$window" | grep -q 800x600; }
wait_for resized || fail "the window has not the mode's size"
sleep 0.5
import -window "$window" "$WORK/sdl.png"
"$LKVM" screenshot sdl "$WORK/shot.png"
[ -z "${LOGS:-}" ] || cp "$WORK/sdl.png" "$LOGS/display-sdl.png"
convert "$WORK/sdl.png" -depth 8 "rgb:$WORK/sdl.rgb"
convert "$WORK/shot.png" -depth 8 "rgb:$WORK/shot.rgb"
cmp "$WORK/sdl.rgb" "$WORK/shot.rgb" || fail "the window shows something else"

xdotool windowfocus "$window"
sleep 0.3
xdotool key a shift+F5
wait_out '^key bf'
[ "$(sed -n 's/^key //p' "$out" | paste -sd' ' | cut -c1-17)" = '1e 9e 2a 3f bf aa' ] ||
	[ "$(sed -n 's/^key //p' "$out" | paste -sd' ' | cut -c1-17)" = '1e 9e 2a 3f aa bf' ] ||
	fail "scan codes are not those of the keys"
caught() { xdotool getwindowname "$window" | grep -q 'lets the mouse go'; }
xdotool mousemove 200 200 click 1
wait_for caught || fail "a click does not catch the pointer"
xdotool mousemove_relative 20 10
wait_out '^mouse'
xdotool key ctrl+alt+g
sleep 0.5
! caught || fail "Ctrl-Alt-G does not let the pointer go"
xdotool key Escape
reap
expect_ok
