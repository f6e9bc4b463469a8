/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_ARM_ARM_H
#define LKVM_ARM_ARM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "fdt.h"
#include "gic.h"
#include "kvm/cfi-flash.h"
#include "kvm/pci.h"

struct pl061;
struct serial;
struct vcpu;
struct vm;
struct vm_config;

/* The command line's words that only this architecture knows (options.c); read-only afterwards. */
struct arch_config {
	enum gic_kind irqchip;
	const char *flash, *dump_dtb;
	uint64_t firmware_address; /* 0: the start of RAM */
	bool have_kaslr_seed;
	uint64_t kaslr_seed;
	bool aarch32, pmu, nested, e2h0, no_mte, no_pvtime;
	bool force_pci;	     /* kvmtool's: virtio devices are on PCI anyway */
	uint32_t sve_max_vl; /* bits; 0: what the host has */
	uint32_t timer_hz;
};

/* What the options name, open from arch_open() to arch_close(). */
struct arch_files {
	struct cfi_file flash;
	int dtb_fd; /* -1: none */
};

/* Where in guest memory the kernel or firmware, and what it is given, lie. */
struct boot {
	uint64_t entry;
	uint64_t dtb;		      /* LAYOUT_FDT_SIZE bytes */
	uint64_t initrd, initrd_size; /* size 0: none */
};

/* The machine's own state, from arch_vm_init() to arch_vm_fini(). */
struct arch_vm {
	enum gic_kind gic;
	int gic_fd, its_fd;
	uint64_t ram;
	struct pci_window mem64;
	struct serial *serial[CONFIG_NR_TTYS];
	struct pl061 *gpio; /* the power button */
	void *pvtime;	    /* NULL: no stolen time */
	int pvtime_slot;
	struct boot boot;
	char *cmdline;
	struct fdt_machine fdt; /* filled in by whoever adds a device */
	bool clock_held;
	uint64_t clock; /* the virtual counter when the guest was paused */
};

/* space.c: guest physical addresses */
/* Where RAM begins. */
uint64_t space_ram(const struct vm_config *cfg);
/* Whether RAM can be of that size and there; prints why not. */
int space_check(const struct vm_config *cfg);
/* The 64-bit PCI window: above RAM, as far as this host's guests can reach; size 0: none. */
struct pci_window space_mem64(int kvm_fd, const struct vm_config *cfg);
/* KVM_CREATE_VM's type: as many address bits as that takes, no more. Prints if the host has fewer. */
int space_vm_type(int kvm_fd, const struct vm_config *cfg, unsigned long *type);

/* boot.c: puts the configuration's kernel or firmware, and initrd, into guest memory. */
int boot_load(struct vm *vm);

/* cpu.c */
/* The options ask for nothing that the host lacks; prints what. */
int cpu_check(const struct vm *vm);
int cpu_init(struct vcpu *vcpu);
/* The interrupt controller works: what a vCPU has that needs it. */
int cpu_start(struct vcpu *vcpu);
int cpu_mpidr(const struct vcpu *vcpu, uint64_t *mpidr);
int cpu_get_reg(const struct vcpu *vcpu, uint64_t id, uint64_t *val);
int cpu_set_reg(const struct vcpu *vcpu, uint64_t id, uint64_t val);
uint64_t cpu_pc(const struct vcpu *vcpu);
int cpu_get_x(const struct vcpu *vcpu, unsigned int n, uint64_t *val);
/* As after its creation, but on. */
int cpu_reset(const struct vcpu *vcpu);
/* The access that it just made to a device fails, as on a bus where nobody answers. */
int cpu_abort(const struct vcpu *vcpu);
/* Brings a vCPU to the state in which code begins (PSCI 1.1 §6.4). */
int cpu_enter(struct vcpu *vcpu, uint64_t pc, uint64_t x0);

/* mte.c: gives the machine memory tags, if the host can and the user does not mind. */
void mte_enable(struct vm *vm);

/* pvtime.c */
int pvtime_create(struct vm *vm);
void pvtime_destroy(struct vm *vm);
int pvtime_start(struct vcpu *vcpu);

/* suspend.c: PSCI's SYSTEM_SUSPEND. False: this exit is none of its own. */
bool suspend_exit(struct vcpu *vcpu);

/* dump.c */
void dump_vcpu(struct vcpu *vcpu, FILE *out);

#endif
