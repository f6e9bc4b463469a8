// SPDX-License-Identifier: GPL-2.0-or-later
/* The options of `lkvm run` that only this architecture has. */
#include "kvm/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arm.h"
#include "kvm/arch.h"
#include "kvm/config.h"
#include "kvm/log.h"
#include "kvm/util.h"

static int options_set_irqchip(const struct option_spec *opt, const char *word)
{
	enum gic_kind *kind = opt->value;

	for (enum gic_kind i = GIC_FIRST; i <= GIC_LAST; i++) {
		if (strcmp(word, gic_name(i)))
			continue;
		*kind = i;
		return 0;
	}
	log_error("--irqchip %s: should be gicv2, gicv2m, gicv3 or gicv3-its", word);
	return -EINVAL;
}

static int options_set_u64(const struct option_spec *opt, const char *word)
{
	if (parse_u64(word, opt->value) == 0)
		return 0;
	log_error("--%s %s: not a number", opt->long_name, word);
	return -EINVAL;
}

static int options_set_kaslr_seed(const struct option_spec *opt, const char *word)
{
	struct arch_config *arch = opt->value;

	arch->have_kaslr_seed = true;
	if (parse_u64(word, &arch->kaslr_seed) == 0)
		return 0;
	log_error("--kaslr-seed %s: not a number", word);
	return -EINVAL;
}

static int options_set_sve_max_vl(const struct option_spec *opt, const char *word)
{
	uint32_t *bits = opt->value;

	if (parse_u32(word, bits) == 0 && is_power_of_two(*bits) && *bits >= 128 && *bits <= 2048)
		return 0;
	log_error("--sve-max-vl %s: should be a power of two from 128 to 2048", word);
	return -EINVAL;
}

const struct option_spec *arch_run_options(struct vm_config *cfg)
{
	struct arch_config *arch = calloc(1, sizeof(*arch));
	struct option_spec *table;

	if (!arch)
		return NULL;
	cfg->arch = arch;
	const struct option_spec options[] = {
		{OPTION_GROUP, 0, "Arm:", 0, 0, 0, 0},
		{OPTION_CALL, 0, "irqchip", &arch->irqchip, "KIND",
		 "gicv2, gicv2m, gicv3 or gicv3-its (the best there is)", options_set_irqchip},
		{OPTION_STRING, 'F', "flash", &arch->flash, "FILE",
		 "a parallel flash with this content", 0},
		{OPTION_CALL, 0, "firmware-address", &arch->firmware_address, "ADDR",
		 "where the firmware goes (start of RAM)", options_set_u64},
		{OPTION_FLAG, 0, "aarch32", &arch->aarch32, 0, "a 32-bit guest", 0},
		{OPTION_FLAG, 0, "pmu", &arch->pmu, 0, "performance counters (PMUv3)", 0},
		{OPTION_FLAG, 0, "nested", &arch->nested, 0, "a guest that can run guests (EL2)",
		 0},
		{OPTION_FLAG, 0, "e2h0", &arch->e2h0, 0, "with --nested: an EL2 without VHE", 0},
		{OPTION_CALL, 0, "sve-max-vl", &arch->sve_max_vl, "BITS",
		 "longest SVE vectors (the host's)", options_set_sve_max_vl},
		{OPTION_FLAG, 0, "disable-mte", &arch->no_mte, 0, "no memory tagging", 0},
		{OPTION_FLAG, 0, "no-pvtime", &arch->no_pvtime, 0, "no stolen time", 0},
		{OPTION_CALL, 0, "kaslr-seed", arch, "N", "for the kernel (random)",
		 options_set_kaslr_seed},
		{OPTION_FLAG, 0, "force-pci", &arch->force_pci, 0, "nothing: as it is anyway", 0},
		{OPTION_STRING, 0, "dump-dtb", &arch->dump_dtb, "FILE",
		 "also write the device tree there", 0},
		{OPTION_U32, 0, "override-bad-firmware-cntfrq", &arch->timer_hz, "HZ",
		 "timer frequency, where the CPU's register is wrong", 0},
		{0},
	};

	table = malloc(sizeof(options));
	if (table)
		memcpy(table, options, sizeof(options));
	return table;
}
