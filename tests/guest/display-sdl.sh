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

start_x() {
	: >"$WORK/number"
	Xvfb -displayfd 3 -screen 0 1920x1200x24 3>"$WORK/number" 2>/dev/null &
	xvfb=$!
	wait_for test -s "$WORK/number" || fail "Xvfb does not start"
	DISPLAY=:$(cat "$WORK/number")
	export DISPLAY
}
xvfb=
trap 'kill $xvfb $vm 2>/dev/null; [ -z "$temporary" ] || rm -rf "$temporary"' EXIT
start_x

start display.elf --name sdl --sdl -p "w=800 h=600 keys=1"
wait_out '^ready'
found() { window=$(xdotool search --name 'lkvm: sdl' | head -n 1); [ -n "$window" ]; }
wait_for found || fail "no window"
xdotool windowmove "$window" 0 0 # nobody manages windows here, and all of it is to be on the screen
has_size() { xdotool getwindowgeometry "$window" | grep -q "$1"; }
wait_for has_size 800x600 || fail "the window has not the mode's size"
# same_window: it shows what `lkvm screenshot` sees. The guest's picture takes a moment to arrive.
same_window() {
	"$LKVM" screenshot sdl "$WORK/shot.png" && import -window "$window" "$WORK/sdl.png" &&
		convert "$WORK/sdl.png" -depth 8 "rgb:$WORK/sdl.rgb" &&
		convert "$WORK/shot.png" -depth 8 "rgb:$WORK/shot.rgb" &&
		cmp -s "$WORK/sdl.rgb" "$WORK/shot.rgb"
}
wait_for same_window || fail "the window shows something else"
xdotool getwindowname "$window" | grep -q 'Ctrl-Alt-G.*Ctrl-Alt-F' || fail "no hot keys in the title"

xdotool windowfocus --sync "$window"
xdotool key a shift+F5
wait_out '^key bf'
[ "$(sed -n 's/^key //p' "$out" | paste -sd' ' | cut -c1-17)" = '1e 9e 2a 3f bf aa' ] ||
	[ "$(sed -n 's/^key //p' "$out" | paste -sd' ' | cut -c1-17)" = '1e 9e 2a 3f aa bf' ] ||
	fail "scan codes are not those of the keys"
caught() { xdotool getwindowname "$window" | grep -q 'lets the mouse go'; }
free() { ! caught; }
free || fail "the pointer is caught from the start"
xdotool mousemove --window "$window" 200 200 click 1
wait_for caught || fail "a click does not catch the pointer"
xdotool mousemove_relative 20 10
wait_out '^mouse 14' # 20 to the right: relative
xdotool key ctrl+alt+g
wait_for free || fail "Ctrl-Alt-G does not let the pointer go"

for mode in 640x480 1024x768 1920x1080; do
	xdotool key m
	wait_out "^shown $mode"
	wait_for has_size $mode || fail "the window has not become $mode"
	wait_for same_window || fail "$mode: the window shows something else"
	[ -z "${LOGS:-}" ] || cp "$WORK/sdl.png" "$LOGS/display-sdl-$mode.png"
done

# All there is on a keyboard: pause, print, those of the key pad and on the sides (105: Control_R, for
# which xdotool by its name presses Control_L, too).
codes() { sed -n 's/^key //p' "$out" | tail -n +"$((before + 1))" | paste -sd' '; }
pressed() { [ "$(codes)" = "$1" ]; }
while IFS=: read -r key want; do
	before=$(grep -c '^key' "$out")
	xdotool key $key
	wait_for pressed "$want" || fail "$key arrives as $(codes), not $want"
done <<-'end'
	Pause:e1 1d 45 e1 9d c5
	Print:e0 37 e0 b7
	Up:e0 48 e0 c8
	KP_Enter:e0 1c e0 9c
	105:e0 1d e0 9d
	Super_L:e0 5b e0 db
	Menu:e0 5d e0 dd
	F12:58 d8
	KP_Divide:e0 35 e0 b5
	Delete:e0 53 e0 d3
end

# The X server goes away: the VM does not, and needs no window to end well.
kill $xvfb
wait $xvfb 2>/dev/null || :
xvfb=
lost() { grep -q 'the X server is gone' "$err"; }
wait_for lost || fail "it does not notice that the X server is gone"
"$LKVM" screenshot sdl "$WORK/shot.png" || fail "no screenshot any more"
"$LKVM" sendkey sdl esc || fail "no keys any more"
reap
expect_ok

# Closing the window presses the power button. This is what a window manager does (ICCCM §4.2.8.1).
cc -x c -o "$WORK/x-close" - -lX11 <<-'end'
	#include <X11/Xlib.h>
	#include <stdlib.h>
	int main(int argc, char **argv)
	{
		Display *x = XOpenDisplay(NULL);
		XEvent event = {.type = ClientMessage};

		if (!x || argc != 2)
			return 1;
		event.xclient.window = strtoul(argv[1], NULL, 10);
		event.xclient.message_type = XInternAtom(x, "WM_PROTOCOLS", False);
		event.xclient.format = 32;
		event.xclient.data.l[0] = XInternAtom(x, "WM_DELETE_WINDOW", False);
		XSendEvent(x, event.xclient.window, False, NoEventMask, &event);
		return XCloseDisplay(x);
	}
end
start_x
start power-button.elf --name close --sdl
wait_out '^ready'
found_close() { window=$(xdotool search --name 'lkvm: close' | head -n 1); [ -n "$window" ]; }
wait_for found_close || fail "no window"
"$WORK/x-close" "$window"
wait_out '^button'
reap
expect_status 0

# A guest that does not go is not asked again.
start power-button.elf --name close --sdl -p ignore=1
wait_out '^ready'
wait_for found_close || fail "no window"
"$WORK/x-close" "$window"
asked_twice() { "$WORK/x-close" "$window"; gone "$vm"; }
wait_for asked_twice || fail "the window cannot be closed"
reap
expect_status 0
