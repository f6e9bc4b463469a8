/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_SCSI_H
#define LKVM_SCSI_H

/*
 * Targets of the host's kernel for virtual machines (vhost-scsi, drivers/vhost/scsi.c). Root makes
 * them beneath /sys/kernel/config/target/vhost, where they are called naa.HEX.
 */
#define SCSI_MAX_WWPN 223 /* bytes of a name; the kernel's limit */

struct scsi_params {
	const char *word; /* as typed, "scsi:naa.HEX"; lives as long as the process */
	char wwpn[SCSI_MAX_WWPN + 1];
};

/*
 * "scsi:naa.HEX", or as kvmtool has it "scsi:naa.HEX:TPGT", whose end says nothing as the kernel takes
 * all portal groups of a target. -EINVAL after an error line.
 */
int scsi_params_parse(struct scsi_params *params, const char *word);

/* The kernel's end of one; the caller's. The target must exist. Negative after one error line. */
int scsi_open(const struct scsi_params *params);

/*
 * Connects the queues that the kernel was given with the target, which serves them from then on;
 * clear returns when what is in flight has ended. 0 or a negative errno: -EEXIST if there is no such
 * target or another VM has it.
 */
int scsi_set_endpoint(int fd, const struct scsi_params *params);
int scsi_clear_endpoint(int fd, const struct scsi_params *params);

#endif
