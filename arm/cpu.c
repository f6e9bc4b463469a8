// SPDX-License-Identifier: GPL-2.0-or-later
/* A vCPU: which features it has, and the state in which it begins. */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arm.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/vcpu.h"
#include "kvm/vm.h"
#include "layout.h"

/* Newer than the headers that lkvm may be built with. */
#ifndef KVM_CAP_ARM_EL2
#define KVM_CAP_ARM_EL2 240
#endif
#ifndef KVM_ARM_VCPU_HAS_EL2
#define KVM_ARM_VCPU_HAS_EL2 7
#endif
#ifndef KVM_CAP_ARM_EL2_E2H0
#define KVM_CAP_ARM_EL2_E2H0 241
#endif
#ifndef KVM_ARM_VCPU_HAS_EL2_E2H0
#define KVM_ARM_VCPU_HAS_EL2_E2H0 8
#endif

#define CPU_CORE_REG(member) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(member))
#define CPU_X(n)	   (CPU_CORE_REG(regs.regs[0]) + 2 * (n)) /* counted in 32 bits */
#define CPU_MPIDR	   ARM64_SYS_REG(3, 0, 0, 0, 5)
#define CPU_MPIDR_AFFINITY UINT64_C(0xff00ffffff)

/* PSTATE (DDI 0487 C5.2): interrupts masked; EL1 or EL2 with its own stack pointer, or SVC. */
#define CPU_PSTATE_DAIF	 0x3c0
#define CPU_PSTATE_EL1H	 0x5
#define CPU_PSTATE_EL2H	 0x9
#define CPU_PSTATE_SVC32 (0x1c0 | 0x13)

int cpu_get_reg(const struct vcpu *vcpu, uint64_t id, uint64_t *val)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)val};

	return ioctl(vcpu->fd, KVM_GET_ONE_REG, &reg) < 0 ? -errno : 0;
}

int cpu_set_reg(const struct vcpu *vcpu, uint64_t id, uint64_t val)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)&val};

	return ioctl(vcpu->fd, KVM_SET_ONE_REG, &reg) < 0 ? -errno : 0;
}

uint64_t cpu_pc(const struct vcpu *vcpu)
{
	uint64_t pc = 0;

	cpu_get_reg(vcpu, CPU_CORE_REG(regs.pc), &pc);
	return pc;
}

int cpu_get_x(const struct vcpu *vcpu, unsigned int n, uint64_t *val)
{
	return cpu_get_reg(vcpu, CPU_X(n), val);
}

int cpu_mpidr(const struct vcpu *vcpu, uint64_t *mpidr)
{
	int ret = cpu_get_reg(vcpu, CPU_MPIDR, mpidr);

	*mpidr &= CPU_MPIDR_AFFINITY;
	return ret;
}

/* --- features --- */

static bool cpu_host_has(const struct vm *vm, unsigned int cap)
{
	return ioctl(vm->vm_fd, KVM_CHECK_EXTENSION, cap) > 0;
}

static void cpu_add_feature(struct kvm_vcpu_init *init, unsigned int feature)
{
	init->features[feature / 32] |= 1u << feature % 32;
}

static bool cpu_has_feature(const struct kvm_vcpu_init *init, unsigned int feature)
{
	return init->features[feature / 32] & 1u << feature % 32;
}

/* What the command line asks for and the host must have. */
struct cpu_wanted {
	bool wanted;
	const char *option;
	unsigned int cap, feature;
};

#define CPU_NR_WANTED 4

static void cpu_list_wanted(const struct arch_config *arch, struct cpu_wanted *list)
{
	list[0] = (struct cpu_wanted){arch->aarch32, "aarch32", KVM_CAP_ARM_EL1_32BIT,
				      KVM_ARM_VCPU_EL1_32BIT};
	list[1] = (struct cpu_wanted){arch->pmu, "pmu", KVM_CAP_ARM_PMU_V3, KVM_ARM_VCPU_PMU_V3};
	list[2] =
		(struct cpu_wanted){arch->nested, "nested", KVM_CAP_ARM_EL2, KVM_ARM_VCPU_HAS_EL2};
	list[3] = (struct cpu_wanted){arch->e2h0, "e2h0", KVM_CAP_ARM_EL2_E2H0,
				      KVM_ARM_VCPU_HAS_EL2_E2H0};
}

int cpu_check(const struct vm *vm)
{
	struct cpu_wanted list[CPU_NR_WANTED];

	cpu_list_wanted(vm->cfg->arch, list);
	for (unsigned int i = 0; i < CPU_NR_WANTED; i++) {
		if (!list[i].wanted || cpu_host_has(vm, list[i].cap))
			continue;
		log_error("--%s: this host's KVM does not have it", list[i].option);
		return -ENOTSUP;
	}
	return 0;
}

static void cpu_add_wanted(const struct vm *vm, struct kvm_vcpu_init *init)
{
	struct cpu_wanted list[CPU_NR_WANTED];

	cpu_list_wanted(vm->cfg->arch, list);
	for (unsigned int i = 0; i < CPU_NR_WANTED; i++)
		if (list[i].wanted)
			cpu_add_feature(init, list[i].feature);
}

/* What is always good to have. */
static void cpu_add_available(const struct vm *vm, struct kvm_vcpu_init *init)
{
	if (cpu_host_has(vm, KVM_CAP_ARM_PSCI_0_2))
		cpu_add_feature(init, KVM_ARM_VCPU_PSCI_0_2);
	if (vm->cfg->arch->aarch32)
		return;
	if (cpu_host_has(vm, KVM_CAP_ARM_SVE))
		cpu_add_feature(init, KVM_ARM_VCPU_SVE);
	/* KVM takes both or none. */
	if (cpu_host_has(vm, KVM_CAP_ARM_PTRAUTH_ADDRESS) &&
	    cpu_host_has(vm, KVM_CAP_ARM_PTRAUTH_GENERIC)) {
		cpu_add_feature(init, KVM_ARM_VCPU_PTRAUTH_ADDRESS);
		cpu_add_feature(init, KVM_ARM_VCPU_PTRAUTH_GENERIC);
	}
}

/* Bit n of the map stands for vectors of (n + 1) x 128 bits (KVM API §4.68). */
static int cpu_limit_sve(const struct vcpu *vcpu, uint32_t max_bits)
{
	uint64_t vls[KVM_ARM64_SVE_VLS_WORDS];
	struct kvm_one_reg reg = {.id = KVM_REG_ARM64_SVE_VLS, .addr = (uintptr_t)vls};

	if (!max_bits)
		return 0;
	if (ioctl(vcpu->fd, KVM_GET_ONE_REG, &reg) < 0)
		return -errno;
	for (unsigned int n = max_bits / 128; n < ARRAY_SIZE(vls) * 64; n++)
		vls[n / 64] &= ~(UINT64_C(1) << n % 64);
	return ioctl(vcpu->fd, KVM_SET_ONE_REG, &reg) < 0 ? -errno : 0;
}

static int cpu_finalize_sve(const struct vcpu *vcpu, const struct kvm_vcpu_init *init)
{
	uint32_t max_vl = vcpu->vm->cfg->arch->sve_max_vl;
	int feature = KVM_ARM_VCPU_SVE, ret;

	if (!cpu_has_feature(init, KVM_ARM_VCPU_SVE)) {
		if (!max_vl)
			return 0;
		log_error("--sve-max-vl %u: this host's KVM has no SVE", max_vl);
		return -ENOTSUP;
	}
	ret = cpu_limit_sve(vcpu, max_vl);
	if (ret == 0 && ioctl(vcpu->fd, KVM_ARM_VCPU_FINALIZE, &feature) < 0)
		ret = -errno;
	if (ret < 0)
		log_error("vCPU %u: SVE: %s", vcpu->id, strerror(-ret));
	return ret;
}

static int cpu_choose(const struct vcpu *vcpu, struct kvm_vcpu_init *init)
{
	int ret;

	if (ioctl(vcpu->vm->vm_fd, KVM_ARM_PREFERRED_TARGET, init) < 0) {
		ret = -errno;
		log_error("vCPU %u: KVM has no CPU for guests: %m", vcpu->id);
		return ret;
	}
	cpu_add_wanted(vcpu->vm, init);
	cpu_add_available(vcpu->vm, init);
	return 0;
}

static int cpu_create(const struct vcpu *vcpu)
{
	struct kvm_vcpu_init init;
	int ret = cpu_choose(vcpu, &init);

	if (ret < 0)
		return ret;
	if (vcpu->id)
		cpu_add_feature(&init, KVM_ARM_VCPU_POWER_OFF);
	if (ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init) < 0) {
		ret = -errno;
		log_error("vCPU %u: KVM_ARM_VCPU_INIT: %m", vcpu->id);
		return ret;
	}
	return cpu_finalize_sve(vcpu, &init);
}

int cpu_reset(const struct vcpu *vcpu)
{
	struct kvm_vcpu_init init;
	int ret = cpu_choose(vcpu, &init);

	if (ret == 0 && ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init) < 0)
		ret = -errno;
	return ret;
}

/* --- state --- */

static uint64_t cpu_entry_pstate(const struct arch_config *arch)
{
	if (arch->aarch32)
		return CPU_PSTATE_SVC32;
	return CPU_PSTATE_DAIF | (arch->nested ? CPU_PSTATE_EL2H : CPU_PSTATE_EL1H);
}

int cpu_abort(const struct vcpu *vcpu)
{
	struct kvm_vcpu_events events = {.exception.ext_dabt_pending = 1};

	return ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events) < 0 ? -errno : 0;
}

int cpu_enter(struct vcpu *vcpu, uint64_t pc, uint64_t x0)
{
	int ret =
		cpu_set_reg(vcpu, CPU_CORE_REG(regs.pstate), cpu_entry_pstate(vcpu->vm->cfg->arch));

	for (unsigned int i = 0; i < 4 && ret == 0; i++)
		ret = cpu_set_reg(vcpu, CPU_X(i), i ? 0 : x0);
	if (ret == 0)
		ret = cpu_set_reg(vcpu, CPU_CORE_REG(regs.pc), pc);
	return ret;
}

/* What a kernel expects of its first CPU (booting.rst; arm/booting.rst for 32 bits). */
static int cpu_enter_kernel(struct vcpu *vcpu)
{
	const struct boot *boot = &vcpu->vm->arch->boot;
	int ret;

	if (!vcpu->vm->cfg->arch->aarch32)
		return cpu_enter(vcpu, boot->entry, boot->dtb);
	ret = cpu_enter(vcpu, boot->entry, 0);
	if (ret == 0) /* no machine number */
		ret = cpu_set_reg(vcpu, CPU_X(1), UINT32_MAX);
	if (ret == 0)
		ret = cpu_set_reg(vcpu, CPU_X(2), boot->dtb);
	return ret;
}

static int cpu_set_single_step(struct vcpu *vcpu)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP,
	};

	if (!vcpu->vm->cfg->debug_single_step)
		return 0;
	return ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug) < 0 ? -errno : 0;
}

int cpu_init(struct vcpu *vcpu)
{
	int ret = cpu_create(vcpu);

	if (ret < 0)
		return ret;
	if (vcpu->id == 0)
		ret = cpu_enter_kernel(vcpu);
	if (ret == 0)
		ret = cpu_set_single_step(vcpu);
	if (ret < 0)
		log_error("vCPU %u: registers: %s", vcpu->id, strerror(-ret));
	return ret;
}

static int cpu_set_attr(const struct vcpu *vcpu, uint32_t group, uint64_t attr, const void *value)
{
	struct kvm_device_attr args = {.group = group, .attr = attr, .addr = (uintptr_t)value};

	return ioctl(vcpu->fd, KVM_SET_DEVICE_ATTR, &args) < 0 ? -errno : 0;
}

static int cpu_start_pmu(struct vcpu *vcpu)
{
	int irq = LAYOUT_PPI_BASE + LAYOUT_PPI_PMU, ret;

	ret = cpu_set_attr(vcpu, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_IRQ, &irq);
	if (ret == 0)
		ret = cpu_set_attr(vcpu, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_INIT, NULL);
	if (ret < 0)
		log_error("--pmu: vCPU %u: %s", vcpu->id, strerror(-ret));
	return ret;
}

int cpu_start(struct vcpu *vcpu)
{
	return vcpu->vm->cfg->arch->pmu ? cpu_start_pmu(vcpu) : 0;
}
