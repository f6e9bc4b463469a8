/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_ARM_FDT_H
#define LKVM_ARM_FDT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gic.h"
#include "kvm/config.h"
#include "kvm/vesa.h"
#include "layout.h"

/* Something with one range of registers and at most one interrupt. */
struct fdt_device {
	uint64_t base, size; /* size 0: there is none */
	unsigned int spi;
};

/*
 * What the device tree says, all of it: plain data, taken from the machine once everything in it
 * exists.
 */
struct fdt_machine {
	const char *cmdline;
	uint64_t ram, ram_size;
	uint64_t initrd, initrd_size; /* size 0: none */
	uint64_t kaslr_seed;
	uint8_t rng_seed[32];

	unsigned int nr_cpus;
	const uint64_t *mpidr; /* affinity fields of each */
	bool pmu, nested;
	uint32_t timer_hz; /* 0: the registers tell */

	enum gic_kind gic;
	struct fdt_device uart[CONFIG_NR_TTYS], rtc, gpio, flash;
	unsigned int nr_virtio_mmio;
	struct fdt_device virtio_mmio[LAYOUT_NR_VIRTIO_MMIO];
	uint64_t mem64, mem64_size; /* the 64-bit PCI window; size 0: none */

	/* The picture that is there before any driver is, in a BAR; width 0: none. */
	uint64_t screen;
	struct vesa_mode screen_mode;
};

/*
 * Writes the tree into buf. 0; -ENOSPC when it needs more than size bytes. Nothing is printed.
 * Devicetree Specification v0.4 and the bindings of the Linux kernel.
 */
int fdt_build(const struct fdt_machine *machine, void *buf, size_t size);

#endif
