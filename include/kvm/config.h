/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_CONFIG_H
#define LKVM_CONFIG_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm/9p.h"
#include "kvm/disk.h"
#include "kvm/display.h"
#include "kvm/fs.h"
#include "kvm/net.h"
#include "kvm/port.h"
#include "kvm/scsi.h"
#include "kvm/transport.h"
#include "kvm/vsock.h"

/*
 * What the user asked for: filled in by run-options.c, read-only afterwards. Strings live as long
 * as the process.
 */
#define CONFIG_MAX_DISKS  64
#define CONFIG_MAX_SCSI	  8
#define CONFIG_MAX_NICS	  16
#define CONFIG_MAX_SHARES 16
#define CONFIG_MAX_PORTS  16
#define CONFIG_NR_TTYS	  4

enum console_kind { CONSOLE_SERIAL, CONSOLE_VIRTIO };

struct arch_config;
struct rootfs;

struct vm_config {
	const char *name;
	uint32_t nr_cpus;
	bool have_affinity;
	cpu_set_t affinity; /* the host CPUs that vCPUs run on, with have_affinity */
	uint64_t ram_size;  /* bytes */
	uint64_t ram_base;  /* 0: where the architecture has it */
	const char *hugetlbfs;
	const char *kvm_path; /* --dev */

	const char *kernel, *initrd, *firmware;
	const char *params; /* -p, appended to the generated command line; may be NULL */
	bool nodefaults, no_acpi, no_reboot, detach;

	/* The embedded init runs one command (rootfs/rootfs.c, rootfs/agent.c). */
	const struct rootfs *rootfs; /* NULL: a guest that brings its own */
	bool pipes;		     /* its streams are lkvm's own; the console is a log */

	enum console_kind console;
	const char *log_file;	  /* a copy of the console's output; NULL: none */
	bool tty[CONFIG_NR_TTYS]; /* UART n goes to a new pty */

	enum transport transport; /* of virtio devices that do not say themselves; default: PCI */
	unsigned int nr_disks, nr_nics;
	struct disk_params disk[CONFIG_MAX_DISKS];
	struct nic_params nic[CONFIG_MAX_NICS];
	unsigned int nr_scsi;
	struct scsi_params scsi[CONFIG_MAX_SCSI];
	unsigned int nr_shares;
	struct p9_params share[CONFIG_MAX_SHARES];
	unsigned int nr_fs;
	struct fs_params fs[CONFIG_MAX_SHARES];
	bool rng, balloon;
	struct vsock_params vsock;
	unsigned int nr_ports;
	struct port_option port[CONFIG_MAX_PORTS];
	struct display_params display;

	bool debug_mmio, debug_ioport, debug_single_step;

	const struct arch_config *arch; /* the architecture's own options */
};

#endif
