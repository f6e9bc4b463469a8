# SPDX-License-Identifier: GPL-2.0-or-later
# What the rig's scripts share: where things are kept, and what this host can do.
# Sourced, never run.  All names begin with rig_.

RIG_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
RIG_CACHE=${LKVM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/lkvm}

# Kernels by flavour: "architecture meta-package [suite]".  The meta-package depends on
# the real one, whose name holds the version.
declare -A RIG_FLAVOURS=(
	[generic]="amd64 linux-image-amd64"
	[cloud]="amd64 linux-image-cloud-amd64"
	[i386]="i386 linux-image-686"
	[trixie]="amd64 linux-image-amd64 trixie"
	[sid]="amd64 linux-image-amd64 sid"
	[arm64]="arm64 linux-image-arm64"
	[arm64cloud]="arm64 linux-image-cloud-arm64"
	[arm64trixie]="arm64 linux-image-arm64 trixie"
	[arm64sid]="arm64 linux-image-arm64 sid"
	[armhf]="armhf linux-image-armmp-lpae"
)

rig_say() { printf '%s\n' "$*" >&2; }
rig_die() { rig_say "${0##*/}: $*"; exit 1; }

# Root of an unpacked kernel package; its version; its image.
rig_kernel_root() { printf '%s\n' "$RIG_CACHE/kernel/$1"; }
rig_kernel_version() { local d=("$RIG_CACHE/kernel/$1"/lib/modules/*); printf '%s\n' "${d[0]##*/}"; }
rig_kernel_image() {
	local root=$RIG_CACHE/kernel/$1 version
	version=$(rig_kernel_version "$1")
	[ -f "$root/boot/vmlinuz-$version" ] || { echo "$root/lib/modules/$version/vmlinuz"; return; }
	printf '%s\n' "$root/boot/vmlinuz-$version"
}
# The ELF kernel inside it: QEMU starts that without unpacking it in emulation.
rig_kernel_elf() { printf '%s\n' "$RIG_CACHE/kernel/$1/boot/vmlinux-$(rig_kernel_version "$1")"; }

# Where this host has Debian's packages from.
rig_mirror() {
	local mirror
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | awk '/\/debian\/*$/ && !n++') || mirror=
	printf '%s\n' "${mirror:-http://deb.debian.org/debian}"
}

# This machine, as tests and build call it.
rig_arch() { uname -m | sed 's/^aarch64$/arm64/'; }

# The prefix of tools for arm64's programs and modules; nothing where they are this
# machine's own.
rig_arm64_tools() { [ "$(rig_arch)" = arm64 ] || echo aarch64-linux-gnu-; }

# What goes into the initramfs of a flavour: its busybox, and its modules.
rig_busybox() {
	case $1 in
	arm64*) [ "$(rig_arch)" = arm64 ] || { echo "$("$RIG_DIR/arm64-sysroot")/bin/busybox"; return; } ;;
	i386 | armhf) echo "$RIG_CACHE/pkg/busybox-static_$1/bin/busybox"; return ;;
	esac
	command -v busybox
}
rig_strip() {
	case $1 in arm*) "$(rig_arm64_tools)strip" "${@:2}" ;; *) strip "${@:2}" ;; esac
}

# rig_copy_module FLAVOUR MODULE PREFIX: to PREFIX-NAME.ko, unpacked, without debugging
# data and signature (whose check takes long in emulation).
rig_copy_module() {
	local to=$3-${2##*/}
	case $2 in
	*.xz)
		to=${to%.xz}
		xz -dc "$2" >"$to.whole"
		rig_strip "$1" -g -o "$to" "$to.whole"
		rm "$to.whole"
		;;
	*) rig_strip "$1" -g -o "$to" "$2" ;;
	esac
}

# rig_kvm_kind: what /dev/kvm is, in one word.
#   none      absent, or not ours to open
#   emulated  present, with no virtualisation in the CPU: tiny guests only
#   hardware  a stock kernel runs directly
# This judges where tests run.  lkvm itself never looks at CPUID.
rig_kvm_kind() {
	if [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ] || ! (: <>/dev/kvm) 2>/dev/null; then
		echo none
	elif [ "$(rig_arch)" = arm64 ] || grep -qwE 'vmx|svm' /proc/cpuinfo; then
		echo hardware
	else
		echo emulated
	fi
}

# rig_is_direct: can Linux guests run here?  Says so in one line on stderr.
rig_is_direct() {
	local kind
	kind=$(rig_kvm_kind)
	case $kind in
	hardware) rig_say "rig: /dev/kvm runs stock kernels here: no nesting"; return 0 ;;
	emulated) rig_say "rig: /dev/kvm has no virtualisation hardware behind it: stock kernels run in the nested rig (QEMU TCG)" ;;
	none) rig_say "rig: no usable /dev/kvm: stock kernels run in the nested rig (QEMU TCG)" ;;
	esac
	return 1
}

# rig_modules ROOT VERSION MODULE...: paths of the modules and all they need, in
# the order of loading, each once.  Names that are built in give nothing.
rig_modules() {
	local root=$1 version=$2
	shift 2
	modprobe -d "$root" -S "$version" --show-depends --ignore-install -a "$@" 2>/dev/null |
		awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

# rig_pack DIR FILE: DIR as an initramfs, made whole before it gets its name.
rig_pack() {
	local tmp
	tmp=$(mktemp "$2.XXXXXX")
	(cd "$1" && find . -mindepth 1 | LC_ALL=C sort |
		cpio --quiet -o -H newc -R 0:0 --reproducible) >"$tmp"
	chmod 644 "$tmp"
	mv "$tmp" "$2"
}

# rig_key FILE|WORD...: a short name for these inputs' content.
rig_key() {
	local i
	for i in "$@"; do
		if [ -f "$i" ]; then cat "$i"; else printf '%s\n' "$i"; fi
	done | sha256sum | cut -c1-16
}
