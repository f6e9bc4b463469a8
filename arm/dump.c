// SPDX-License-Identifier: GPL-2.0-or-later
/* A vCPU's state for people. */
#include <inttypes.h>
#include <linux/kvm.h>
#include <stddef.h>

#include "arm.h"
#include "kvm/memory.h"
#include "kvm/util.h"
#include "kvm/vcpu.h"
#include "kvm/vm.h"

#define DUMP_CORE(member) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(member))
#define DUMP_SCTLR ARM64_SYS_REG(3, 0, 1, 0, 0)
#define DUMP_TTBR0 ARM64_SYS_REG(3, 0, 2, 0, 0)
#define DUMP_TTBR1 ARM64_SYS_REG(3, 0, 2, 0, 1)
#define DUMP_TCR   ARM64_SYS_REG(3, 0, 2, 0, 2)
#define DUMP_ESR   ARM64_SYS_REG(3, 0, 5, 2, 0)
#define DUMP_FAR   ARM64_SYS_REG(3, 0, 6, 0, 0)
#define DUMP_VBAR  ARM64_SYS_REG(3, 0, 12, 0, 0)
#define DUMP_MPIDR ARM64_SYS_REG(3, 0, 0, 0, 5)

#define DUMP_SCTLR_MMU	 1
#define DUMP_CODE_BEFORE 4 /* instructions */
#define DUMP_CODE_AFTER	 4
#define DUMP_NO_ADDRESS	 UINT64_MAX

static uint64_t dump_get(const struct vcpu *vcpu, uint64_t id)
{
	uint64_t val = 0;

	cpu_get_reg(vcpu, id, &val);
	return val;
}

/* --- the stage 1 walk (DDI 0487 D8.2), just enough to find code --- */

/* log2 of the granule, from TCR_EL1.TG0 or TG1, whose encodings differ. */
static unsigned int dump_granule(uint64_t tcr, bool high)
{
	static const unsigned int tg0[] = {12, 16, 14, 0}, tg1[] = {0, 14, 12, 16};

	return high ? tg1[tcr >> 30 & 3] : tg0[tcr >> 14 & 3];
}

static uint64_t dump_translate(const struct vcpu *vcpu, uint64_t va)
{
	uint64_t tcr = dump_get(vcpu, DUMP_TCR);
	bool high = va >> 55 & 1;
	unsigned int granule = dump_granule(tcr, high), bits = 64 - (tcr >> (high ? 16 : 0) & 63);
	uint64_t table = dump_get(vcpu, high ? DUMP_TTBR1 : DUMP_TTBR0) & 0xfffffffffffe;
	unsigned int levels, shift;

	if (!(dump_get(vcpu, DUMP_SCTLR) & DUMP_SCTLR_MMU))
		return va;
	if (!granule || bits <= granule || bits > 52)
		return DUMP_NO_ADDRESS;
	levels = (bits - 4) / (granule - 3);
	va &= (UINT64_C(1) << bits) - 1;
	for (shift = granule + (levels - 1) * (granule - 3);; shift -= granule - 3) {
		uint64_t index = va >> shift & ((UINT64_C(1) << (granule - 3)) - 1);
		const void *p = guest_ptr(&vcpu->vm->mem, table + index * 8, 8);
		uint64_t entry = p ? le_load(p, 8) : 0, size = UINT64_C(1) << shift;

		if (!(entry & 1))
			return DUMP_NO_ADDRESS;
		if (shift == granule || !(entry & 2)) /* a page or a block */
			return (entry & 0xffffffffffff & ~(size - 1)) | (va & (size - 1));
		table = entry & 0xffffffffffff & ~((UINT64_C(1) << granule) - 1);
	}
}

static void dump_code(const struct vcpu *vcpu, uint64_t pc, FILE *out)
{
	fputs("  code", out);
	for (int i = -DUMP_CODE_BEFORE; i < DUMP_CODE_AFTER; i++) {
		uint64_t gpa = dump_translate(vcpu, (pc & ~UINT64_C(3)) + 4 * i);
		const void *p = gpa == DUMP_NO_ADDRESS ? NULL : guest_ptr(&vcpu->vm->mem, gpa, 4);

		if (p)
			fprintf(out, i == 0 ? " <%08x>" : " %08x", (uint32_t)le_load(p, 4));
		else
			fputs(" ????????", out);
	}
	fputc('\n', out);
}

void dump_vcpu(struct vcpu *vcpu, FILE *out)
{
	const struct {
		const char *name;
		uint64_t id;
	} reg[] = {
		{"pc", DUMP_CORE(regs.pc)},  {"pstate", DUMP_CORE(regs.pstate)},
		{"sp", DUMP_CORE(sp_el1)},   {"sp_el0", DUMP_CORE(regs.sp)},
		{"elr", DUMP_CORE(elr_el1)}, {"spsr", DUMP_CORE(spsr[KVM_SPSR_EL1])},
		{"esr", DUMP_ESR},	     {"far", DUMP_FAR},
		{"sctlr", DUMP_SCTLR},	     {"tcr", DUMP_TCR},
		{"ttbr0", DUMP_TTBR0},	     {"ttbr1", DUMP_TTBR1},
		{"vbar", DUMP_VBAR},	     {"mpidr", DUMP_MPIDR},
	};
	uint64_t val;

	if (cpu_get_reg(vcpu, DUMP_CORE(regs.pc), &val) < 0) {
		fprintf(out, "vCPU %u: no registers: %m\n", vcpu->id);
		return;
	}
	fprintf(out, "vCPU %u:\n", vcpu->id);
	for (unsigned int i = 0; i < ARRAY_SIZE(reg); i++)
		fprintf(out, "  %-6s %016" PRIx64 "%s", reg[i].name, dump_get(vcpu, reg[i].id),
			i % 2 ? "\n" : "");
	for (unsigned int i = 0; i < 31; i++) {
		val = 0;
		cpu_get_x(vcpu, i, &val);
		fprintf(out, "  x%-5u %016" PRIx64 "%s", i, val, i % 2 || i == 30 ? "\n" : "");
	}
	dump_code(vcpu, cpu_pc(vcpu), out);
}
