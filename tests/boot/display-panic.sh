# SPDX-License-Identifier: GPL-2.0-or-later
# display-panic.sh: the last words of a kernel on the bochs display, for a viewer and in a screenshot. It
# takes a kernel whose bochs driver knows how to; an older one's console draws into a buffer that nobody
# copies to video RAM any more. vesafb is display-sdl's.
. "$TESTS/boot/lib.sh"
. "$TESTS/boot/display-lib.sh"
port=5943

SCREEN_KERNEL=sid PARAMS=panic=0 screen_start panic '
for m in /modules/screen/*.ko; do
	case $m in
	*-drm.ko) insmod $m panic_screen=kmsg ;;
	*) insmod $m ;;
	esac
done
echo "SCREEN $(cat /proc/fb)"
screen glyphs
read -r _
echo c >/proc/sysrq-trigger
' --vnc=:$((port - 5900)) --vidmode 640x480
wait_line panic '^SCREEN 0 bochs'
wait_line panic '^GLYPHS'
step "bochs"

look() {
	shot panic display-panic-bochs
	convert "$WORK/display-panic-bochs.png" -depth 8 "rgb:$WORK/panic.rgb"
}
see() { look && text "$WORK/panic.rgb" 640 3; }
see_glyphs() { look && learn "$WORK/panic.rgb" 640 3; }
wait_for see_glyphs
go
wait_line panic 'Kernel panic - not syncing'
ROWS=30
# The reason may be above the screen: a call trace follows it, of any length. This follows that.
until_shows 'Kernel Offset: 0x' see
step "panic"
timeout 60 gvnccapture -q "127.0.0.1:$((port - 5900))" "$WORK/display-panic-gvnc.png"
alike "$WORK/display-panic-gvnc.png" "$WORK/display-panic-bochs.png" || fail "a viewer is shown something else"
vm_alive panic || fail "a panic ended the VM although it was not to"
succeeds "$LKVM" stop --force panic
wait_exit panic 0
