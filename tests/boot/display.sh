# SPDX-License-Identifier: GPL-2.0-or-later
# display.sh FIRST: Debian's framebuffer console, typed at over VNC, by virtio's keyboard
# with the bochs driver, in its own mode. Before that driver is loaded, the screen is
# FIRST's (VESA: vesafb; arm64 has none).
. "$TESTS/boot/lib.sh"
. "$TESTS/rfb.sh"
first=$1
port=5941

# A shell on the screen, as a login would be; the console says how it goes.
script='
echo "SCREEN $(cat /proc/fb)"
need screen
echo "SCREEN $(cat /proc/fb)"
cat /proc/bus/input/devices | grep ^N:
setsid sh -c "exec sh -i </dev/tty1 >/dev/tty1 2>&1" &
echo "SHELL up"
while [ ! -f /tmp/done ]; do sleep 1; done
echo "TYPED $(cat /tmp/done)"
'
vm_start screen generic "$script" --vnc=:$((port - 5900)) --vidmode 800x600
[ "$first" = none ] || wait_line screen "^SCREEN 0 .*$first"
step "first: $first"
wait_line screen '^SCREEN 0 bochs'
expect_line screen 'lkvm virtio keyboard'
wait_line screen '^SHELL up'
sleep 3
"$LKVM" screenshot screen "$WORK/before.png" || fail "no screenshot"

rfb_open $port || fail "no VNC"
[ "$rfb_width" = 800 ] || fail "the screen is $rfb_width x $rfb_height"
RFB_PAUSE=0.1
rfb_enter # a guest this slow may repeat the first key, while it is busy scrolling
sleep 2
rfb_type 'uname -a; echo Hello_VNC >/dev/ttyS0'
rfb_enter
wait_line screen '^Hello_VNC$' 60
sleep 2
"$LKVM" screenshot screen "$WORK/after.png" || fail "no screenshot"
cp "$WORK/after.png" "${LOGS:-$WORK}/display.png" || :
! cmp -s "$WORK/before.png" "$WORK/after.png" || fail "typing has not changed the picture"
rfb_type 'echo done >/tmp/done'
rfb_enter
wait_line screen '^TYPED done$' 60
rfb_close
wait_exit screen 0
no_complaints screen
