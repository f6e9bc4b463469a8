#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The display device: its registers, its modes, its video RAM that moves, and the picture that
# `lkvm screenshot` takes of it.
. "$(dirname "$0")/lib.sh"
[ -e "$(dirname "$LKVM")/lkvm-png.so" ] || skip "built without libpng"
command -v convert >/dev/null || skip "no ImageMagick to look at pictures"

# pixel X Y: of $WORK/shot.png, as RRGGBB.
pixel() { convert "$WORK/shot.png" -depth 8 -crop "1x1+$1+$2" rgb:- | od -An -tx1 | tr -d ' \n'; }
expect_pixel() { [ "$(pixel "$1" "$2")" = "$3" ] || fail "$mode: $1,$2 is $(pixel "$1" "$2")"; }

expect_card() {
	local w=$1 h=$2 bars=(ffffff ffff00 00ffff 00ff00 ff00ff ff0000 0000ff 000000) i
	[ "$(identify -format %wx%h "$WORK/shot.png")" = "${w}x$h" ] || fail "$mode: wrong size"
	for i in 0 3 7; do expect_pixel $((i * w / 8)) $((h / 2)) "${bars[i]}"; done
	expect_pixel $((w / 8 * 4 - 1)) 0 00ff00
	expect_pixel $((w / 2)) $((h * 3 / 4 - 1)) ff00ff
	[ "$3" = 16 ] || expect_pixel $((w - 1)) $((h - 1)) 123456
	expect_pixel $((w - 9)) $((h - 1)) ffffff
}

run display.elf --vidmode 640x480 -p move=1
expect_ok
expect_err 'video RAM cannot be at 0x0'
run display.elf --vidmode 0x118
expect_ok
expect_out '^mode 1024x768x32'

# Numbers as kvmtool takes them; modes that there cannot be.
for words in 0x312:640x480x32 279:1024x768x16; do
	run display.elf --vidmode "${words%:*}"
	expect_ok
	expect_out "^mode ${words#*:}"
done
for mode in 4096x2160 8193x1 0x0 640x480x8 640 0x999 99999999999x1; do
	run display.elf --vidmode $mode
	[ "$status" = 2 ] || fail "--vidmode $mode: status $status"
	expect_err "^Error: --vidmode"
	[ "$(grep -c Error "$err")" = 1 ] || fail "--vidmode $mode: not one line of error"
done

for mode in 640x480x32 1024x768x32 1920x1080x32 800x600x16 400x300x24; do
	IFS=x read -r w h bpp <<<"$mode"
	rm -f "$out"
	start display.elf --name card --vidmode 640x480 -p "w=$w h=$h bpp=$bpp hold=1"
	wait_out '^painted'
	"$LKVM" screenshot card "$WORK/shot.png" || fail "$mode: no screenshot"
	expect_card "$w" "$h" "$bpp"
	wait_for sleeps || fail "$mode: a screen that stands still keeps lkvm awake"
	[ -z "${LOGS:-}" ] || cp "$WORK/shot.png" "$LOGS/display-$mode.png"
	! grep -q 'libpng\|libslirp\|libSDL\|vncserver' "/proc/$vm/maps" || fail "the VM maps display libraries"
	"$LKVM" stop --force card
	reap
	expect_status 0
done

# Keys by the control socket arrive at the PS/2 keyboard: set 1 codes, down and up.
start display.elf --name keys --vidmode 640x480 -p keys=1
wait_out '^ready'
"$LKVM" sendkey keys a ctrl-alt-f2 || fail "sendkey"
! "$LKVM" sendkey keys nonsense 2>"$err" || fail "a key that there is not was pressed"
expect_err nonsense
"$LKVM" sendkey keys esc || fail "sendkey"
reap
expect_ok
[ "$(sed -n 's/^key //p' "$out" | paste -sd' ')" = '1e 9e 1d 38 3c bc b8 9d 01' ] ||
	fail "scan codes are not those of the keys"

# Without a display, nothing that has to do with one is in the process.
start echo.elf --name none
wait_out '^ready'
! grep 'lkvm-[a-z]*\.so\|libslirp\|libglib\|libSDL\|libX11\|libwayland\|vncserver\|libpng\|libjpeg' "/proc/$vm/maps" ||
	fail "the VM maps display libraries"
! "$LKVM" screenshot none "$WORK/none.png" 2>"$err" || fail "a picture without a display"
expect_err 'no display'
"$LKVM" stop --force none
reap
