# SPDX-License-Identifier: GPL-2.0-or-later
# A VNC viewer of few words (RFC 6143), for scripts: bash is all it needs.

# rfb_open PORT [PASSWORD]: connects as far as ServerInit; the connection is fd $rfb.
rfb_open() {
	local n
	exec {rfb}<>"/dev/tcp/127.0.0.1/$1" || return 1
	head -c 12 <&$rfb >/dev/null
	printf 'RFB 003.008\n' >&$rfb
	n=$(rfb_number 1)
	head -c "$n" <&$rfb >/dev/null
	if [ $# = 1 ]; then
		printf '\x01' >&$rfb		# no password
	else
		printf '\x02' >&$rfb
		rfb_answer "$2" >&$rfb
	fi
	[ "$(rfb_number 4)" = 0 ] || return 1
	printf '\x01' >&$rfb			# others may stay
	rfb_width=$(rfb_number 2) rfb_height=$(rfb_number 2)
	head -c 16 <&$rfb >/dev/null
	n=$(rfb_number 4)
	rfb_name=$(head -c "$n" <&$rfb)
}

# rfb_answer PASSWORD: to the challenge that comes; DES with the password's bits mirrored.
rfb_answer() {
	local key= byte i bit n
	for ((i = 0; i < 8; i++)); do
		printf -v n %d "'${1:i:1}"
		for ((byte = 0, bit = 0; bit < 8; bit++)); do
			((byte = byte << 1 | (n >> bit & 1))) || :
		done
		printf -v key '%s%02x' "$key" $byte
	done
	head -c 16 <&$rfb | openssl enc -provider legacy -provider default -des-ecb -nopad -K "$key"
}

rfb_close() { exec {rfb}>&-; }

# rfb_number BYTES: the next big-endian number from the server; -1: it has closed the connection.
rfb_number() {
	local hex
	hex=$(head -c "$1" <&$rfb | od -An -tx1 | tr -d ' \n')
	[ -n "$hex" ] && echo $((16#$hex)) || echo -1
}

# rfb_key KEYSYM 1|0: in hexadecimal, four digits.
rfb_key() { printf "\\x04\\x0$2\\0\\0\\0\\0\\x${1:0:2}\\x${1:2:2}" >&$rfb; }

# rfb_type TEXT: letters of a US keyboard, each with Shift when it needs it.
rfb_type() {
	local i c hex shift
	for ((i = 0; i < ${#1}; i++)); do
		c=${1:i:1}
		printf -v hex '00%02x' "'$c"
		case $c in [A-Z\!@#\$%^\&*\(\)_+{}\|:\"\<\>?~]) shift=1 ;; *) shift= ;; esac
		[ -z "$shift" ] || rfb_key ffe1 1
		rfb_key "$hex" 1
		rfb_key "$hex" 0
		[ -z "$shift" ] || rfb_key ffe1 0
		sleep "${RFB_PAUSE:-0.02}"
	done
}
rfb_enter() { rfb_key ff0d 1; rfb_key ff0d 0; }

# rfb_pointer X Y BUTTONS
rfb_pointer() {
	local x y
	printf -v x '\\x%02x\\x%02x' $(($1 >> 8)) $(($1 & 255))
	printf -v y '\\x%02x\\x%02x' $(($2 >> 8)) $(($2 & 255))
	printf "\\x05\\x0$3$x$y" >&$rfb
}

# rfb_request: asks for the whole picture.
rfb_request() { printf '\x03\0\0\0\0\0\x20\0\x20\0' >&$rfb; }

# rfb_encodings NUMBER...: that the viewer understands, beside Raw.
rfb_encodings() {
	local hex n
	printf "\\x02\\0\\0\\x$(printf %02x $#)" >&$rfb
	for n; do
		printf -v hex %08x $((n & 0xffffffff))
		printf "\\x${hex:0:2}\\x${hex:2:2}\\x${hex:4:2}\\x${hex:6:2}" >&$rfb
	done
}

# rfb_update FILE: reads an update in Raw; its pixels, 4 bytes each, are appended to FILE. A new
# size of the desktop goes into $rfb_width and $rfb_height.
rfb_update() {
	local nr w h encoding
	[ "$(rfb_number 1)" = 0 ] || return 1
	head -c 1 <&$rfb >/dev/null
	nr=$(rfb_number 2)
	while ((nr-- > 0)); do
		head -c 4 <&$rfb >/dev/null
		w=$(rfb_number 2) h=$(rfb_number 2) encoding=$(rfb_number 4)
		if [ "$encoding" = $((0xffffff21)) ]; then
			rfb_width=$w rfb_height=$h
		else
			head -c $((w * h * 4)) <&$rfb >>"$1"
		fi
	done
}
