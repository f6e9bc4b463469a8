// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CPUID as the guest's CPUs see it: what KVM supports, with the topology of this machine in place
 * of the host's. Leaves and bits as in Intel's SDM vol. 2A, CPUID, and AMD's APM vol. 3, appendix E.
 * Nothing here depends on the vendor: a leaf is filled in where KVM shows that the CPU has it.
 */
#include "cpuid.h"

#include <asm/kvm_para.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm/log.h"
#include "kvm/util.h"
#include "x86.h"

#define CPUID_1_ECX_TSC_DEADLINE (1u << 24)
#define CPUID_1_ECX_HYPERVISOR	 (1u << 31)
#define CPUID_1_EDX_HTT		 (1u << 28) /* leaf 1 EBX counts more than one CPU */
#define CPUID_6_EAX_ARAT	 (1u << 2)  /* the LAPIC timer runs in deep sleep */
#define CPUID_6_ECX_EPB		 (1u << 3)  /* an MSR that KVM does not have */
#define CPUID_AMD_CMP_LEGACY	 (1u << 1)  /* 8000_0001 ECX: HTT means cores */
#define CPUID_AMD_TOPOEXT	 (1u << 22) /* 8000_0001 ECX: 8000_001D and 8000_001E */
#define CPUID_LEVEL_SMT		 1
#define CPUID_LEVEL_CORE	 2

#define CPUID_MAX_ENTRIES 4096 /* KVM has about a hundred; stop asking somewhere */

struct kvm_cpuid2 *cpuid_supported(int kvm_fd)
{
	for (uint32_t nent = 128; nent <= CPUID_MAX_ENTRIES; nent *= 2) {
		struct kvm_cpuid2 *cpuid;

		cpuid = calloc(1,
			       sizeof(*cpuid) + (nent + CPUID_EXTRA) * sizeof(cpuid->entries[0]));
		if (!cpuid)
			break;
		cpuid->nent = nent;
		if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) == 0)
			return cpuid;
		free(cpuid);
		if (errno != E2BIG)
			break;
	}
	log_error("KVM_GET_SUPPORTED_CPUID: %m");
	return NULL;
}

const struct kvm_cpuid_entry2 *cpuid_find(const struct kvm_cpuid2 *cpuid, uint32_t leaf,
					  uint32_t subleaf)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == leaf &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == subleaf))
			return e;
	}
	return NULL;
}

unsigned int cpuid_phys_bits(const struct kvm_cpuid2 *cpuid)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(cpuid, 0x80000008, 0);
	unsigned int guest;

	if (!e)
		return 36;	     /* the least that long mode implies */
	guest = e->eax >> 16 & 0xff; /* set by KVM when its page tables reach less far */
	return guest ? MIN(guest, e->eax & 0xff) : e->eax & 0xff;
}

bool cpuid_can_do_without_pit(const struct kvm_cpuid2 *cpuid, bool tsc_deadline)
{
	const struct kvm_cpuid_entry2 *power = cpuid_find(cpuid, 6, 0);
	const struct kvm_cpuid_entry2 *kvm = cpuid_find(cpuid, KVM_CPUID_FEATURES, 0);

	return tsc_deadline && power && power->eax & CPUID_6_EAX_ARAT && kvm &&
	       kvm->eax & (1u << KVM_FEATURE_CLOCKSOURCE2);
}

/* Bits of an APIC id that tell the cores of the socket apart. */
static unsigned int cpuid_core_bits(unsigned int nr_cpus)
{
	return nr_cpus > 1 ? 32 - __builtin_clz(nr_cpus - 1) : 0;
}

/*
 * One cache of leaf 4 or 8000_001D: level 3 belongs to the socket, the others to one core each.
 * AMD has the same layout in EAX but for the number of cores.
 */
static void cpuid_set_cache(struct kvm_cpuid_entry2 *e, unsigned int core_bits, bool intel)
{
	unsigned int level = e->eax >> 5 & 7, type = e->eax & 0x1f;
	uint32_t sharing = level >= 3 ? MIN((1u << core_bits) - 1, 0xfffu) : 0;

	if (!type)
		return;
	e->eax = (e->eax & 0x3fff) | sharing << 14;
	if (intel)
		e->eax |= MIN((1u << core_bits) - 1, 0x3fu) << 26;
}

/* Everything that KVM lists under one number, adapted to one CPU. */
static void cpuid_adapt(struct kvm_cpuid_entry2 *e, unsigned int id, unsigned int nr_cpus,
			bool tsc_deadline)
{
	unsigned int core_bits = cpuid_core_bits(nr_cpus);

	switch (e->function) {
	case 1:
		e->ebx = (e->ebx & 0xffff) | MIN(1u << core_bits, 255u) << 16 | (id & 0xff) << 24;
		e->ecx |= CPUID_1_ECX_HYPERVISOR;
		e->ecx &= ~CPUID_1_ECX_TSC_DEADLINE;
		if (tsc_deadline)
			e->ecx |= CPUID_1_ECX_TSC_DEADLINE;
		e->edx &= ~CPUID_1_EDX_HTT;
		if (nr_cpus > 1)
			e->edx |= CPUID_1_EDX_HTT;
		break;
	case 4:
		cpuid_set_cache(e, core_bits, true);
		break;
	case 6:
		e->ecx &= ~CPUID_6_ECX_EPB;
		break;
	case KVM_CPUID_FEATURES:
		/* KVM leaves it to us, who route the MSIs (irq.c), to offer 15-bit APIC ids. */
		if (nr_cpus > X86_XAPIC_MAX_CPUS)
			e->eax |= 1u << KVM_FEATURE_MSI_EXT_DEST_ID;
		break;
	case 0x80000001:
		if (nr_cpus == 1)
			e->ecx &= ~CPUID_AMD_CMP_LEGACY;
		break;
	case 0x8000001d:
		cpuid_set_cache(e, core_bits, false);
		break;
	case 0x8000001e: /* one node, one thread a core */
		e->eax = id;
		e->ebx = id & 0xff;
		e->ecx = 0;
		break;
	}
}

static struct kvm_cpuid_entry2 *cpuid_append(struct kvm_cpuid2 *cpuid, uint32_t leaf,
					     uint32_t subleaf)
{
	struct kvm_cpuid_entry2 *e = &cpuid->entries[cpuid->nent++];

	*e = (struct kvm_cpuid_entry2){
		.function = leaf, .index = subleaf, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX};
	return e;
}

/* Extended topology, leaf 0BH or 1FH: threads of a core, cores of the socket, and an end mark. */
static void cpuid_append_topology(struct kvm_cpuid2 *cpuid, uint32_t leaf, unsigned int id,
				  unsigned int nr_cpus)
{
	for (uint32_t sub = 0; sub < 3; sub++) {
		struct kvm_cpuid_entry2 *e = cpuid_append(cpuid, leaf, sub);

		e->ecx = sub;
		e->edx = id; /* x2APIC id */
		if (sub == 0) {
			e->ebx = 1;
			e->ecx |= CPUID_LEVEL_SMT << 8;
		} else if (sub == 1) {
			e->eax = cpuid_core_bits(nr_cpus);
			e->ebx = nr_cpus;
			e->ecx |= CPUID_LEVEL_CORE << 8;
		}
	}
}

/* AMD's count of cores; on Intel's CPUs ECX is reserved. */
static void cpuid_set_amd_cores(struct kvm_cpuid2 *cpuid, unsigned int nr_cpus)
{
	const struct kvm_cpuid_entry2 *ext = cpuid_find(cpuid, 0x80000001, 0);

	if (!ext || !(ext->ecx & (CPUID_AMD_CMP_LEGACY | CPUID_AMD_TOPOEXT)))
		return;
	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == 0x80000008)
			cpuid->entries[i].ecx = MIN(nr_cpus - 1, 255u) | cpuid_core_bits(nr_cpus)
										 << 12;
}

void cpuid_for_vcpu(struct kvm_cpuid2 *to, const struct kvm_cpuid2 *from, unsigned int id,
		    unsigned int nr_cpus, bool tsc_deadline)
{
	const struct kvm_cpuid_entry2 *basic = cpuid_find(from, 0, 0);
	uint32_t max_leaf = basic ? basic->eax : 0;

	to->nent = 0;
	to->padding = 0;
	for (uint32_t i = 0; i < from->nent; i++) {
		if (from->entries[i].function == 0xb || from->entries[i].function == 0x1f)
			continue; /* the host's topology */
		to->entries[to->nent] = from->entries[i];
		cpuid_adapt(&to->entries[to->nent++], id, nr_cpus, tsc_deadline);
	}
	if (max_leaf >= 0xb)
		cpuid_append_topology(to, 0xb, id, nr_cpus);
	if (max_leaf >= 0x1f)
		cpuid_append_topology(to, 0x1f, id, nr_cpus);
	cpuid_set_amd_cores(to, nr_cpus);
}
