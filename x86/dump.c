// SPDX-License-Identifier: GPL-2.0-or-later
/* A vCPU's state for people. */
#include <inttypes.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "kvm/memory.h"
#include "kvm/util.h"
#include "kvm/vcpu.h"
#include "kvm/vm.h"
#include "x86.h"

#define DUMP_CODE_BEFORE 16
#define DUMP_CODE_AFTER	 16 /* the longest instruction has 15 bytes */

static void dump_regs(const struct kvm_regs *r, FILE *out)
{
	const struct {
		const char *name;
		uint64_t val;
	} reg[] = {
		{"rip", r->rip}, {"rflags", r->rflags}, {"rsp", r->rsp}, {"rbp", r->rbp},
		{"rax", r->rax}, {"rbx", r->rbx},	{"rcx", r->rcx}, {"rdx", r->rdx},
		{"rsi", r->rsi}, {"rdi", r->rdi},	{"r8", r->r8},	 {"r9", r->r9},
		{"r10", r->r10}, {"r11", r->r11},	{"r12", r->r12}, {"r13", r->r13},
		{"r14", r->r14}, {"r15", r->r15},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(reg); i++)
		fprintf(out, "  %-6s %016" PRIx64 "%s", reg[i].name, reg[i].val,
			i % 2 && i + 1 < ARRAY_SIZE(reg) ? "\n" : "");
	fputc('\n', out);
}

static void dump_segment(const char *name, const struct kvm_segment *s, FILE *out)
{
	fprintf(out, "  %-4s %04x  base %016" PRIx64 "  limit %08x  type %x%s%s%s%s\n", name,
		s->selector, (uint64_t)s->base, s->limit, s->type, s->s ? " s" : "",
		s->l	? " 64"
		: s->db ? " 32"
			: "",
		s->present ? "" : " absent", s->unusable ? " unusable" : "");
}

static void dump_sregs(const struct kvm_sregs *s, FILE *out)
{
	fprintf(out, "  cr0  %016" PRIx64 "  cr2  %016" PRIx64 "  cr3  %016" PRIx64 "\n",
		(uint64_t)s->cr0, (uint64_t)s->cr2, (uint64_t)s->cr3);
	fprintf(out, "  cr4  %016" PRIx64 "  efer %016" PRIx64 "  apic %016" PRIx64 "\n",
		(uint64_t)s->cr4, (uint64_t)s->efer, (uint64_t)s->apic_base);
	dump_segment("cs", &s->cs, out);
	dump_segment("ss", &s->ss, out);
	dump_segment("ds", &s->ds, out);
	dump_segment("es", &s->es, out);
	dump_segment("fs", &s->fs, out);
	dump_segment("gs", &s->gs, out);
	dump_segment("tr", &s->tr, out);
	dump_segment("ldt", &s->ldt, out);
	fprintf(out, "  gdt  base %016" PRIx64 "  limit %04x\n", (uint64_t)s->gdt.base,
		s->gdt.limit);
	fprintf(out, "  idt  base %016" PRIx64 "  limit %04x\n", (uint64_t)s->idt.base,
		s->idt.limit);
}

/* One byte at a linear address, through the guest's page tables; -1 when it has none in RAM. */
static int dump_byte(struct vcpu *vcpu, uint64_t linear)
{
	struct kvm_translation tr = {.linear_address = linear};
	const uint8_t *p;

	if (ioctl(vcpu->fd, KVM_TRANSLATE, &tr) < 0 || !tr.valid)
		return -1;
	p = guest_ptr(&vcpu->vm->mem, tr.physical_address, 1);
	return p ? *p : -1;
}

static void dump_code(struct vcpu *vcpu, uint64_t linear, FILE *out)
{
	fputs("  code", out);
	for (int i = -DUMP_CODE_BEFORE; i < DUMP_CODE_AFTER; i++) {
		int byte = dump_byte(vcpu, linear + i);

		if (byte < 0)
			fputs(" ??", out);
		else
			fprintf(out, i == 0 ? " <%02x>" : " %02x", byte);
	}
	fputc('\n', out);
}

static uint64_t dump_linear_rip(const struct kvm_regs *regs, const struct kvm_sregs *sregs)
{
	return sregs->cs.l ? regs->rip : (uint32_t)(sregs->cs.base + regs->rip);
}

void dump_vcpu(struct vcpu *vcpu, FILE *out)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ||
	    ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0) {
		fprintf(out, "vCPU %u: no registers: %m\n", vcpu->id);
		return;
	}
	fprintf(out, "vCPU %u:\n", vcpu->id);
	dump_regs(&regs, out);
	dump_sregs(&sregs, out);
	dump_code(vcpu, dump_linear_rip(&regs, &sregs), out);
}

void dump_step(struct vcpu *vcpu, FILE *out)
{
	const struct kvm_debug_exit_arch *debug = &vcpu->run->debug.arch;

	fprintf(out, "vCPU %u: step at 0x%" PRIx64 "\n", vcpu->id, (uint64_t)debug->pc);
}
