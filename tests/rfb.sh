# SPDX-License-Identifier: GPL-2.0-or-later
# A VNC viewer of few words (RFC 6143), for scripts: bash is all it needs.

# rfb_open PORT: connects as far as ServerInit; the connection is fd $rfb.
rfb_open() {
	local n
	exec {rfb}<>"/dev/tcp/127.0.0.1/$1" || return 1
	head -c 12 <&$rfb >/dev/null
	printf 'RFB 003.008\n' >&$rfb
	n=$(rfb_number 1)
	head -c "$n" <&$rfb >/dev/null
	printf '\x01' >&$rfb			# no password
	[ "$(rfb_number 4)" = 0 ] || return 1
	printf '\x01' >&$rfb			# others may stay
	rfb_width=$(rfb_number 2) rfb_height=$(rfb_number 2)
	head -c 16 <&$rfb >/dev/null
	n=$(rfb_number 4)
	rfb_name=$(head -c "$n" <&$rfb)
}

rfb_close() { exec {rfb}>&-; }

# rfb_number BYTES: the next big-endian number from the server.
rfb_number() { printf %d "0x$(head -c "$1" <&$rfb | od -An -tx1 | tr -d ' \n')"; }

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
