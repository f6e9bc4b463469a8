/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_ARM_GIC_H
#define LKVM_ARM_GIC_H

#include <stdbool.h>
#include <stdint.h>

struct vm;

/* Interrupt controllers, the best last. The M and the ITS take MSIs. */
enum gic_kind { GIC_AUTO, GIC_V2, GIC_V2M, GIC_V3, GIC_V3_ITS };
#define GIC_FIRST GIC_V2
#define GIC_LAST  GIC_V3_ITS

/* As the command line has it; not of GIC_AUTO. */
const char *gic_name(enum gic_kind kind);

static inline bool gic_is_v3(enum gic_kind kind)
{
	return kind >= GIC_V3;
}

/*
 * Makes the controller that the configuration names, or the best one that this host has, and
 * vm->irq; before any vCPU. -ENODEV after an error line: the host does not have it.
 */
int gic_create(struct vm *vm);
/* All vCPUs exist: from now on the controller works. */
int gic_start(struct vm *vm);
void gic_destroy(struct vm *vm);

#endif
