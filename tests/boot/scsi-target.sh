# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced: targets of the host's kernel for virtual machines (vhost-scsi).

# scsi_target IMAGE BYTES: a target whose only unit is that file, made as large; its name
# is in $wwpn.  False where the kernel has none.  scsi_target_remove takes it away.
scsi_target() {
	modprobe -a target_core_mod target_core_file vhost_scsi 2>/dev/null || true
	mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config 2>/dev/null || true
	local target=/sys/kernel/config/target
	[ -c /dev/vhost-scsi ] && [ -d $target ] || return 1
	wwpn=naa.5001405$(head -c 4 /dev/urandom | od -An -tx4 | tr -d ' ')a
	scsi_unit=$target/core/fileio_$((RANDOM + 1))/lkvm
	scsi_group=$target/vhost/$wwpn/tpgt_1
	truncate -s "$2" "$1"
	mkdir -p $target/vhost "$scsi_unit"
	echo "fd_dev_name=$1,fd_dev_size=$2,fd_buffered_io=1" >"$scsi_unit/control"
	echo 1 >"$scsi_unit/enable"
	mkdir -p "$scsi_group/lun/lun_0"
	echo "${wwpn%a}b" >"$scsi_group/nexus"
	ln -s "$scsi_unit" "$scsi_group/lun/lun_0/disk"
}

scsi_target_remove() {
	rm -f "$scsi_group/lun/lun_0/disk"
	rmdir "$scsi_group/lun/lun_0" "$scsi_group" "${scsi_group%/*}" \
		"$scsi_unit" "${scsi_unit%/*}" 2>/dev/null || true
}
