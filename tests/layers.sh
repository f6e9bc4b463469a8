#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The layers of docs/reading.md: which headers the files of a layer may not include.
# Usage: tests/layers.sh (from the root of the tree)
set -eu
status=0

# forbid FILES... -- HEADERS...: no file may include kvm/HEADER.h
forbid()
{
	files=
	while [ "$1" != -- ]; do
		files="$files $1"
		shift
	done
	shift
	for header; do
		# shellcheck disable=SC2086 # a list of files
		if grep -n "#include \"kvm/$header\.h\"" $files /dev/null; then
			echo "layers: the files above may not include kvm/$header.h" >&2
			status=1
		fi
	done
}

top="vm vcpu arch backends devices control builtin"
chips="serial i8042 rtc acpi-pm cfi-flash pl061"
transports="virtio-pci virtio-mmio"

# Layer 0 knows nothing of VMs.
forbid util/*.c disk/*.c net/*.c ui/*.c 9p/*.c fs/*.c -- $top $chips $transports virtio virtio-models virtq \
	pci mmio ioport bus irq memory config
# Layer 1.
forbid mmio.c ioport.c ioeventfd.c bus.c irq.c memory.c virtio/virtq*.c -- $top $chips $transports virtio \
	virtio-models pci config
# The bus is a data structure: no kernel header either.
if grep -n '#include <linux\|ioctl' bus.c; then
	echo "layers: bus.c must not know KVM" >&2
	status=1
fi
# Layer 2.
forbid pci.c pci-msix.c -- $top $chips $transports virtio virtio-models virtq config
# Layer 3.
forbid virtio/device.c virtio/lend.c virtio/pci*.[ch] virtio/mmio.c -- $top $chips virtio-models config
# Layer 4: models do not see how the guest reaches them; nobody sees the VM.
forbid virtio/blk.c virtio/net*.[ch] virtio/console.c virtio/multiport*.[ch] virtio/rng.c virtio/balloon.c \
	virtio/9p.c virtio/input.c virtio/vhost*.c virtio/fs.c virtio/vsock*.[ch] virtio/scsi.c \
	-- $top $chips $transports pci mmio ioport bus irq config
forbid hw/*.c -- $top $transports virtio virtio-models config
# What makes a folder the guest's root knows configurations; of the VM only agent.c.
# shellcheck disable=SC2046 # a list of files
forbid $(ls rootfs/*.[ch] | grep -v agent) -- $top $chips $transports virtio virtio-models virtq \
	pci mmio ioport bus irq memory
# Of the chips, the display alone is on the PCI bus.
# shellcheck disable=SC2046 # a list of files
forbid $(ls hw/*.c | grep -v vesa) -- pci
# Only layer 6 is a client or a server of people.
forbid vm.c vcpu.c backends.c devices.c x86/*.c arm/*.c -- builtin

# Nobody asks which machine this is, nor looks into an architecture's folder.
if grep -rn 'CONFIG_ARM\|__aarch64__\|__arm__\|CONFIG_X86\|__x86_64__\|#include ".*\(arm\|x86\)/\|KVM_\([A-Z]*_\)*ARM' \
	--include='*.[ch]' . |
	grep -v '^./arm/\|^./x86/\|^./tests/'; then
	echo "layers: architecture conditionals belong into arm/ and x86/" >&2
	status=1
fi
# No mutable state at file scope, and no extern, outside the commands.
if grep -n '^extern ' ./*.c */*.c; then
	echo "layers: no extern in .c files" >&2
	status=1
fi
exit $status
