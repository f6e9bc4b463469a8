#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# VNC: the picture that a viewer gets, keys, pointers, and viewers that mean harm.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../rfb.sh"
[ -e "$(dirname "$LKVM")/lkvm-vnc.so" ] || skip "built without libvncserver"
port=$((5900 + 100 + $$ % 500)) number=$((port - 5900))

refused() {
	run display.elf "$@"
	[ "$status" != 0 ] || fail "$* was accepted"
	[ "$(grep -c Error "$err")" = 1 ] || fail "$*: not one line of error"
}
refused --vnc=0.0.0.0:$number
expect_err 'give a password-file'
refused --vnc=[::]:$number
refused --vnc=:$number,password-file=/nonexistent
expect_err '/nonexistent'
: >"$WORK/empty"
refused --vnc=:$number,password-file="$WORK/empty"
refused --vnc=nonsense
refused --vnc=:$number,nonsense=1
refused --vnc=:70000
refused --vnc --sdl
expect_err '--sdl: there is --vnc already'

start display.elf --name vnc --vnc=:$number -p "w=800 h=600 keys=1"
wait_out '^ready'
! (exec 9<>"/dev/tcp/$(hostname -I 2>/dev/null | cut -d' ' -f1)/$port") 2>/dev/null ||
	fail "it listens beyond this machine"
refused --name second --vnc=:$number
expect_err 'Address already in use'
out=$WORK/out err=$WORK/err

# What a viewer sees is what is there.
if command -v gvnccapture convert >/dev/null; then
	timeout 20 gvnccapture -q "127.0.0.1:$number" "$WORK/vnc.png" || fail "gvnccapture"
	"$LKVM" screenshot vnc "$WORK/shot.png"
	convert "$WORK/vnc.png" -alpha off -depth 8 "rgb:$WORK/vnc.rgb"
	convert "$WORK/shot.png" -depth 8 "rgb:$WORK/shot.rgb"
	cmp "$WORK/vnc.rgb" "$WORK/shot.rgb" || fail "the viewer saw something else"
fi

# Viewers that disturb, while a good one stays.
rfb_open $port || fail "no VNC"
[ "$rfb_width" = 800 ] && [ "$rfb_height" = 600 ] && [ "$rfb_name" = vnc ] || fail "ServerInit"
good=$rfb
harm() { # a viewer of its own, that may be thrown out at any moment
	( trap '' PIPE; set +e; rfb_open $port && "$@"; exit 0 ) 2>/dev/null
}
not_rfb() { exec {raw}<>"/dev/tcp/127.0.0.1/$port"; head -c 100000 /dev/urandom >&$raw; }
noise() { head -c 100000 /dev/urandom >&$rfb; }
cut_text() { printf '\x06\0\0\0\xff\xff\xff\xff' >&$rfb; head -c 3000000 /dev/zero >&$rfb; }
encodings() { printf '\x02\0\xff\xff\0\0' >&$rfb; } # 65535 of them, that never come
hold_b() { for i in $(seq 2000); do rfb_key 0062 1; done; }
point() { for i in $(seq 500); do rfb_pointer $((i * 131 % 65536)) $i 7; done; }
crowd() { for i in $(seq 40); do rfb_open $port || break; done; }

harm rfb_request # gone in the middle of a frame
for i in 1 2 3; do
	harm not_rfb
	harm noise
done
harm cut_text
harm encodings
harm hold_b
harm point
harm crowd
! gone "$vm" || fail "a viewer ended the VM"

rfb=$good
rfb_request
[ "$(rfb_number 1)" = 0 ] || fail "the good viewer gets no picture any more"
rfb_close
wait_for grep -q '^key b0' "$out" || fail "a key is still held by a viewer that is gone"
rfb_open $port || fail "no place for a viewer any more"
rfb_type c
wait_out '^key 2e'
rfb_key ff1b 1
reap
expect_status 0

# A password, a Unix socket.
echo secret >"$WORK/password"
start display.elf --name pass --vnc=:$number,password-file="$WORK/password" -p "keys=1"
wait_out '^ready'
exec {rfb}<>"/dev/tcp/127.0.0.1/$port"
head -c 12 <&$rfb >/dev/null
printf 'RFB 003.008\n' >&$rfb
[ "$(rfb_number 2)" = $((0x0102)) ] || fail "security types are not VNC authentication alone"
rfb_close
"$LKVM" stop --force pass
reap
start display.elf --name unix --vnc=unix="$WORK/vnc.sock" -p "keys=1"
wait_out '^ready'
[ "$(stat -c %a "$WORK/vnc.sock")" = 600 ] || fail "the socket's mode"
[ -z "$(command -v socat)" ] || [ "$(socat -u -T1 "UNIX:$WORK/vnc.sock" - | head -c 4)" = 'RFB ' ] ||
	fail "no RFB on the socket"
"$LKVM" stop --force unix
reap
[ ! -e "$WORK/vnc.sock" ] || fail "the socket is still there"
