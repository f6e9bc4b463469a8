// SPDX-License-Identifier: GPL-2.0-or-later
/* The CPU at the moment a kernel takes over. */
#include "regs.h"

#include <asm/processor-flags.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kernel.h"
#include "kvm/memory.h"
#include "kvm/util.h"
#include "layout.h"

#define REGS_EFER_LME (1u << 8)
#define REGS_EFER_LMA (1u << 10)

/* Selectors that Linux wants (boot.rst, 32-bit and 64-bit protocol); PVH does not mind. */
#define REGS_CODE 0x10
#define REGS_DATA 0x18

#define REGS_PTE_PRESENT (1u << 0)
#define REGS_PTE_WRITE	 (1u << 1)
#define REGS_PTE_LARGE	 (1u << 7)
#define REGS_NR_PD	 4 /* 1 GiB each, in pages of 2 MiB, which every CPU has */

#define REGS_MSR_APIC_BASE     0x1b
#define REGS_X2APIC	       (1u << 10) /* SDM vol. 3A §10.12.1 */
#define REGS_MSR_MISC_ENABLE   0x1a0
#define REGS_FAST_STRINGS      1
#define REGS_MSR_MTRR_DEF_TYPE 0x2ff
#define REGS_MTRR_ENABLE_WB    (1u << 11 | 6)

#define REGS_LAPIC_LVT0	  0x350
#define REGS_LAPIC_LVT1	  0x360
#define REGS_LAPIC_NMI	  0x400 /* delivery modes (SDM vol. 3A §10.5.1) */
#define REGS_LAPIC_EXTINT 0x700

/* Code is 64-bit or 32-bit; otherwise flat, 4 GiB, ring 0. */
static struct kvm_segment regs_code_segment(bool is_64)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = REGS_CODE,
		.type = 0xb, /* execute, read, accessed */
		.present = 1,
		.s = 1,
		.l = is_64,
		.db = !is_64,
		.g = 1,
	};
}

static struct kvm_segment regs_data_segment(void)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = REGS_DATA,
		.type = 0x3, /* read, write, accessed */
		.present = 1,
		.s = 1,
		.db = 1,
		.g = 1,
	};
}

/* The same as a descriptor (SDM vol. 3A §3.4.5), for when it is loaded again from the GDT. */
static uint64_t regs_descriptor(const struct kvm_segment *s)
{
	uint64_t limit = s->limit >> 12;

	return (limit & 0xffff) | (uint64_t)s->type << 40 | (uint64_t)s->s << 44 |
	       (uint64_t)s->present << 47 | (limit >> 16) << 48 | (uint64_t)s->l << 53 |
	       (uint64_t)s->db << 54 | (uint64_t)s->g << 55;
}

static void regs_write_gdt(uint64_t *gdt, bool is_64)
{
	struct kvm_segment code = regs_code_segment(is_64), data = regs_data_segment();

	gdt[REGS_CODE / 8] = regs_descriptor(&code);
	gdt[REGS_DATA / 8] = regs_descriptor(&data);
}

/* The first 4 GiB one to one: kernel, parameters and command line lie there (boot.rst). */
static void regs_write_page_tables(uint64_t *pml4)
{
	uint64_t *pdpt = pml4 + 512, *pd = pdpt + 512;
	uint64_t flags = REGS_PTE_PRESENT | REGS_PTE_WRITE;

	pml4[0] = (LAYOUT_PAGE_TABLES + 0x1000) | flags;
	for (unsigned int i = 0; i < REGS_NR_PD; i++)
		pdpt[i] = (LAYOUT_PAGE_TABLES + 0x2000 + i * 0x1000) | flags;
	for (uint64_t i = 0; i < REGS_NR_PD * 512; i++)
		pd[i] = i << 21 | REGS_PTE_LARGE | flags;
}

void regs_write_tables(const struct entry *entry, const struct memory *mem)
{
	if (entry->mode != ENTRY_PROTECTED && entry->mode != ENTRY_LONG)
		return;
	regs_write_gdt(guest_ptr(mem, LAYOUT_GDT, 0x1000), entry->mode == ENTRY_LONG);
	if (entry->mode == ENTRY_LONG)
		regs_write_page_tables(guest_ptr(mem, LAYOUT_PAGE_TABLES, LAYOUT_PAGE_TABLES_SIZE));
}

static void regs_set_flat(struct kvm_sregs *sregs, bool is_64)
{
	sregs->cs = regs_code_segment(is_64);
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = regs_data_segment();
	sregs->gdt = (struct kvm_dtable){.base = LAYOUT_GDT, .limit = REGS_DATA + 7};
	sregs->idt = (struct kvm_dtable){.limit = 0}; /* interrupts are off until it has one */
	sregs->cr0 = X86_CR0_PE | X86_CR0_ET;
	sregs->cr4 = 0;
	if (!is_64)
		return;
	sregs->cr0 |= X86_CR0_PG;
	sregs->cr3 = LAYOUT_PAGE_TABLES;
	sregs->cr4 = X86_CR4_PAE;
	sregs->efer |= REGS_EFER_LME | REGS_EFER_LMA;
}

static void regs_set_real(struct kvm_sregs *sregs, uint64_t rip)
{
	struct kvm_segment *segment[] = {&sregs->cs, &sregs->ds, &sregs->es,
					 &sregs->fs, &sregs->gs, &sregs->ss};

	for (unsigned int i = 0; i < ARRAY_SIZE(segment); i++) {
		segment[i]->base = rip;
		segment[i]->selector = rip >> 4;
	}
}

void regs_set_entry(const struct entry *entry, struct kvm_regs *regs, struct kvm_sregs *sregs)
{
	if (entry->mode == ENTRY_RESET)
		return;
	*regs = (struct kvm_regs){
		.rflags = X86_EFLAGS_FIXED,
		.rip = entry->rip,
		.rbx = entry->rbx,
		.rsi = entry->rsi,
	};
	if (entry->mode == ENTRY_REAL) {
		regs->rip = 0;
		regs->rsp = 0x8000;
		regs_set_real(sregs, entry->rip);
	} else {
		regs_set_flat(sregs, entry->mode == ENTRY_LONG);
	}
}

int regs_enter(int vcpu_fd, const struct entry *entry)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0 || ioctl(vcpu_fd, KVM_GET_REGS, &regs) < 0)
		return -errno;
	regs_set_entry(entry, &regs, &sregs);
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}

/* Sets bits of an MSR. One that this KVM does not have is no loss. */
static int regs_msr_or(int vcpu_fd, uint32_t index, uint64_t bits)
{
	struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + sizeof(msrs->entries[0]));

	if (!msrs)
		return -ENOMEM;
	msrs->nmsrs = 1;
	msrs->entries[0].index = index;
	if (ioctl(vcpu_fd, KVM_GET_MSRS, msrs) == 1) {
		msrs->entries[0].data |= bits;
		ioctl(vcpu_fd, KVM_SET_MSRS, msrs);
	}
	free(msrs);
	return 0;
}

int regs_init_firmware(int vcpu_fd, bool first, bool x2apic)
{
	struct kvm_lapic_state lapic;

	/* Without it Linux on Intel gives up `rep movsb`; and RAM is write-back from the start. */
	if (regs_msr_or(vcpu_fd, REGS_MSR_MISC_ENABLE, REGS_FAST_STRINGS) < 0 ||
	    regs_msr_or(vcpu_fd, REGS_MSR_MTRR_DEF_TYPE, REGS_MTRR_ENABLE_WB) < 0)
		return -ENOMEM;
	/* Linux takes no APIC id from the MADT that the mode which it finds cannot have. */
	if (x2apic && regs_msr_or(vcpu_fd, REGS_MSR_APIC_BASE, REGS_X2APIC) < 0)
		return -ENOMEM;

	if (ioctl(vcpu_fd, KVM_GET_LAPIC, &lapic) < 0)
		return -errno;
	le_store(lapic.regs + REGS_LAPIC_LVT1, 4, REGS_LAPIC_NMI);
	if (first) /* virtual wire mode: the PIC's interrupts (MP 1.4 §3.6.2.2) */
		le_store(lapic.regs + REGS_LAPIC_LVT0, 4, REGS_LAPIC_EXTINT);
	return ioctl(vcpu_fd, KVM_SET_LAPIC, &lapic) < 0 ? -errno : 0;
}
