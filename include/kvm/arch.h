/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_ARCH_H
#define LKVM_ARCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct option_spec;
struct vcpu;
struct vm;
struct vm_config;

/*
 * What an architecture (x86/, arm/) provides. Called by vm.c and vcpu.c in this order, on the main
 * thread unless said otherwise. All return 0 or a negative errno after one error line.
 */

/*
 * The options of `lkvm run` that only this architecture has, ended as all such tables are; they set
 * cfg->arch. Both live as long as the process. NULL: out of memory.
 */
const struct option_spec *arch_run_options(struct vm_config *cfg);

/* Where a kernel's build leaves the image to boot, in its tree. */
extern const char arch_kernel_image[];

/* Judges the configuration before anything is opened: limits of RAM and vCPUs, options. */
int arch_check_config(const struct vm_config *cfg);

/*
 * Opens what the architecture's options name, once: it stays open in vm->arch_files, which may be
 * NULL, while the guest starts again and again. arch_close() undoes what there is of it.
 */
int arch_open(struct vm *vm);
void arch_close(struct vm *vm);

/* What KVM_CREATE_VM is to make for this configuration. */
int arch_vm_type(int kvm_fd, const struct vm_config *cfg, unsigned long *type);

/* vm->vm_fd exists: adds RAM banks, makes vm->arch, the interrupt controller and vm->irq. */
int arch_vm_init(struct vm *vm);
/* The VM may be closed already, if its memory is retired: asks nothing of it. */
void arch_vm_fini(struct vm *vm);

/*
 * PCI exists and is empty, no window is set: fills in windows and INTx, adds ECAM (and CF8). Also
 * the places for virtio-mmio devices; those that are taken are announced by arch_load().
 */
int arch_pci_init(struct vm *vm);

/* Creates the platform's chips: UARTs, RTC, power. Registers them by vm_add_device(). */
int arch_create_chips(struct vm *vm);

/* All devices exist: loads kernel, initrd or firmware, and writes the tables (ACPI, MP, FDT). */
int arch_load(struct vm *vm);

/* The vCPU exists: CPUID or features, and registers for the entry point or for waiting. */
int arch_vcpu_init(struct vcpu *vcpu);

/* All vCPUs exist: what had to wait for them. */
int arch_vm_ready(struct vm *vm);

/* An exit, or a system event, that only the architecture knows. On the vCPU thread. false: unknown to it, too. */
bool arch_vcpu_exit(struct vcpu *vcpu);

/* Registers and the code around the program counter, for people. On the vCPU thread, or any
 * thread while the vCPU stands still. */
void arch_vcpu_dump(struct vcpu *vcpu, FILE *out);

/* All vCPUs stand still; the guest's clocks shall not see the time until arch_vm_resume(). */
void arch_vm_pause(struct vm *vm);
void arch_vm_resume(struct vm *vm);

/* -ENOTSUP: there is none; -EAGAIN: the guest does not listen yet. Any thread. */
int arch_power_button(struct vm *vm);
int arch_nmi(struct vm *vm, unsigned int cpu);
int arch_sysrq(struct vm *vm, char key);

#endif
