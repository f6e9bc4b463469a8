#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# VNC: the picture that a viewer gets, keys, pointers, and viewers that mean harm.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../rfb.sh"
[ -e "$(dirname "$LKVM")/lkvm-vnc.so" ] || skip "built without libvncserver"
number=$((100 + $$ % 500))
while (exec 9<>"/dev/tcp/127.0.0.1/$((5900 + number))") 2>/dev/null; do number=$((number + 1)); done
port=$((5900 + number))

refused() { # and leaves the output of the VM that runs alone
	local out=$WORK/refused.out
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
refused --sdl --vnc
expect_err '--vnc: there is --sdl already'

start display.elf --name vnc --vnc=:$number -p "w=800 h=600 keys=1"
wait_out '^ready'
! (exec 9<>"/dev/tcp/$(hostname -I 2>/dev/null | cut -d' ' -f1)/$port") 2>/dev/null ||
	fail "it listens beyond this machine"
refused --name second --vnc=:$number
expect_err 'Address already in use'

# What a viewer sees is what is there.
timeout 60 gvnccapture -q "127.0.0.1:$number" "$WORK/vnc.png" || fail "gvnccapture"
"$LKVM" screenshot vnc "$WORK/shot.png"
convert "$WORK/vnc.png" -alpha off -depth 8 "rgb:$WORK/vnc.rgb"
convert "$WORK/shot.png" -depth 8 "rgb:$WORK/shot.rgb"
cmp "$WORK/vnc.rgb" "$WORK/shot.rgb" || fail "the viewer saw something else"

# What viewer $rfb is shown, in FILE, is what `lkvm screenshot` sees.
same_picture() {
	rm -f "$1"
	rfb_request
	rfb_update "$1" || fail "no update"
	if [ ! -s "$1" ]; then # that was the new size alone
		rfb_request
		rfb_update "$1" || fail "no update"
	fi
	"$LKVM" screenshot vnc "$WORK/shot.png"
	[ "$(identify -format %wx%h "$WORK/shot.png")" = "${rfb_width}x$rfb_height" ] || return 1
	convert "$WORK/shot.png" -depth 8 "rgb:$WORK/shot.rgb"
	convert -size "${rfb_width}x$rfb_height" -depth 8 "rgba:$1" -alpha off "rgb:$1.rgb"
	cmp -s "$1.rgb" "$WORK/shot.rgb"
}
# The guest may still be painting what it has been sent.
picture() {
	local i
	for i in $(seq 20); do
		! same_picture "$1" || return 0
		sleep 0.5
	done
	fail "a viewer is shown something else"
}

rfb_open $port || fail "no VNC"
[ "$rfb_width" = 800 ] && [ "$rfb_height" = 600 ] && [ "$rfb_name" = vnc ] || fail "ServerInit"
good=$rfb

# Two viewers, while the guest changes modes; RFC 6143 §7.8.2 tells them of it.
rfb_open $port || fail "no place for a second viewer"
second=$rfb
rfb_encodings -223
rfb=$good
rfb_encodings -223
for mode in 640x480 1024x768 1920x1080; do
	rfb=$good
	rfb_type m
	wait_out "^shown $mode"
	for rfb in $good $second; do
		rfb_width=0 rfb_height=0
		picture "$WORK/$rfb.raw"
		[ "${rfb_width}x$rfb_height" = $mode ] || fail "a viewer was not told of $mode"
	done
	[ -z "${LOGS:-}" ] || convert -size $mode -depth 8 "rgba:$WORK/$second.raw" -alpha off \
		"$LOGS/display-vnc-$mode.png"
done
rfb=$second
rfb_close

# A viewer that stops reading, one in the middle of a message, and one in the handshake hold up
# nobody: the good one is served before they go on.
next_mode() { # WxH
	cp "$out" "$out.seen"
	"$LKVM" sendkey vnc m || fail "sendkey"
	grew() { [ "$(grep -c "^shown $1" "$out")" -gt "$(grep -c "^shown $1" "$out.seen")" ]; }
	wait_for grew "$1" || fail "no mode $1"
}
next_mode 640x480
rfb=$good
rfb_close # an update that it has not read, as large as the last mode, could hold it up
rfb_open $port || fail "no place for another viewer"
good=$rfb
rfb_encodings -223
rfb_open $port
silent=$rfb
for i in $(seq 20); do rfb_request; done
rfb_open $port
slow=$rfb
printf '\x04\x01\0' >&$slow
exec {shy}<>"/dev/tcp/127.0.0.1/$port"
printf 'RFB 0' >&$shy
rfb=$good
picture "$WORK/good.raw"
printf '\0\0\0\0\x62' >&$slow
wait_out '^key 30'
printf '03.008\n' >&$shy
[ "$(head -c 12 <&$shy)" = 'RFB 003.008' ] || fail "a slow handshake fails"
printf '\x04\0\0\0\0\0\0\x62' >&$slow
wait_out '^key b0'
exec {shy}>&- {slow}>&-
rfb=$silent
rfb_update /dev/null || fail "who took a rest from reading is not served any more"

# It rests again, and misses that the screen grows and shrinks; whether it is served in the end depends
# on how long that took.
for i in $(seq 20); do rfb_request; done
for mode in 1024x768 1920x1080 640x480; do next_mode $mode; done
cat <&$silent >/dev/null &
drain=$!
rfb=$good
picture "$WORK/good.raw"
! gone "$vm" || fail "a viewer that missed a mode ended the VM"
exec {silent}>&-

# Keys beyond those of a typewriter. One after the other: a keyboard keeps few.
rfb=$good
wait_out '^key b0'
codes() { sed -n 's/^key //p' "$out" | tail -n +"$((before + 1))" | paste -sd' '; }
pressed() { [ "$(codes)" = "$1" ]; }
while IFS=: read -r key want; do
	before=$(grep -c '^key' "$out")
	rfb_key $key 1
	rfb_key $key 0
	wait_for pressed "$want" || fail "keysym $key arrives as $(codes), not $want"
done <<-'end'
	ff13:e1 1d 45 e1 9d c5
	ff61:e0 37 e0 b7
	ff52:e0 48 e0 c8
	ff8d:e0 1c e0 9c
	ffe4:e0 1d e0 9d
	ffeb:e0 5b e0 db
	ff67:e0 5d e0 dd
	ffc9:58 d8
	ffaf:e0 35 e0 b5
end

kill $drain 2>/dev/null || :
wait $drain 2>/dev/null || :

# Viewers that disturb, while a good one stays.
harm() { # a viewer of its own, that may be thrown out at any moment
	( trap '' PIPE; set +e; rfb_open $port && "$@"; exit 0 ) 2>/dev/null
}
not_rfb() { exec {raw}<>"/dev/tcp/127.0.0.1/$port"; head -c 100000 /dev/urandom >&$raw; }
noise() { head -c 100000 /dev/urandom >&$rfb; }
cut_text() { printf '\x06\0\0\0\xff\xff\xff\xff' >&$rfb; head -c 3000000 /dev/zero >&$rfb; }
encodings() { printf '\x02\0\xff\xff\0\0' >&$rfb; } # 65535 of them, that never come
scale() { printf '\x08\x02\0\0' >&$rfb; rfb_request; rfb_number 1; }
hold_b() { for i in $(seq 2000); do rfb_key 0062 1; done; }
drag() { for i in $(seq 500); do rfb_pointer $((i * 131 % 65536)) $i 7; done; }
crowd() { for i in $(seq 40); do rfb_open $port || break; done; }

harm rfb_request # gone in the middle of a frame
for i in 1 2 3; do
	harm not_rfb
	harm noise
done
harm cut_text
harm encodings
harm scale
harm hold_b
harm drag
harm crowd
! gone "$vm" || fail "a viewer ended the VM"

# Connections that say nothing hold all places: the oldest of them makes room.
waiting=()
for i in $(seq 16); do
	exec {knock}<>"/dev/tcp/127.0.0.1/$port"
	waiting+=("$knock")
done
trap '' PIPE # of a connection that is closed at once
rfb_open $port || fail "who says nothing keeps others out"
trap - PIPE
picture "$WORK/crowded.raw"
rfb_close
for knock in "${waiting[@]}"; do exec {knock}>&-; done

# A page in somebody's browser may connect to this port.
exec {web}<>"/dev/tcp/127.0.0.1/$port"
printf '%s\r\n' 'GET / HTTP/1.1' 'Host: localhost' 'Upgrade: websocket' 'Connection: Upgrade' \
	'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' 'Origin: http://example.org' \
	'Sec-WebSocket-Version: 13' '' >&$web
timeout 25 cat <&$web >/dev/null || fail "a browser is let in"
exec {web}>&-

# Text to paste is read and forgotten; what comes behind it counts.
rfb=$good
printf '\x06\0\0\0\0\x20\0\0' >&$rfb
head -c $((0x200000)) /dev/zero >&$rfb
rfb_type n
wait_out '^key 31'
picture "$WORK/good.raw"
wait_for grep -q '^key b0' "$out" || fail "a key is still held by a viewer that is gone"
rfb_close
rfb_open $port || fail "no place for a viewer any more"
rfb_encodings -223

# A reset, in place: the viewer stays, and sees the machine start again.
rfb_type r
is_ready_again() { [ "$(grep -c '^ready' "$out")" = 2 ]; }
wait_for is_ready_again || fail "a reset did not start the guest again"
picture "$WORK/again.raw"
[ "${rfb_width}x$rfb_height" = 800x600 ] || fail "after a reset it is ${rfb_width}x$rfb_height"

# Video RAM moves while the guest paints.
rfb_type v
wait_out '^moved'
picture "$WORK/moved.raw"
rfb_type c
wait_out '^key 2e'
rfb_key ff1b 1
reap
expect_status 0

# A password, a Unix socket.
echo secret >"$WORK/password"
LD_DEBUG=bindings LD_DEBUG_OUTPUT=$WORK/bindings start display.elf --name pass --vnc=0.0.0.0:$number,password-file="$WORK/password" -p "keys=1"
wait_out '^ready'
! rfb_open $port wrong || fail "a wrong password is let in"
rfb_close
! rfb_open $port || fail "no password is let in"
rfb_close
rfb_open $port secret || fail "the password is refused"
# The library's own challenge could be foretold.
grep -q 'libvncserver.* to .*lkvm-vnc.so.*rfbRandomBytes' "$WORK"/bindings.* ||
	fail "the challenge is the library's"
rfb_type a
wait_out '^key 1e'
rfb_close
"$LKVM" stop --force pass
reap
start display.elf --name unix --vnc=unix="$WORK/vnc.sock" -p "hold=1"
wait_out '^painted'
wait_for sleeps || fail "a server without viewers does not sleep"
[ "$(stat -c %a "$WORK/vnc.sock")" = 600 ] || fail "the socket's mode"
[ "$(head -c 4 < <(exec socat -u "UNIX:$WORK/vnc.sock" -))" = 'RFB ' ] || fail "no RFB on the socket"
wait_for sleeps || fail "a viewer that has gone keeps the server awake"
"$LKVM" stop --force unix
reap
[ ! -e "$WORK/vnc.sock" ] || fail "the socket is still there"
