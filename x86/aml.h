/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_X86_AML_H
#define LKVM_X86_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Writes AML (ACPI 6.4 §20) front to back into a buffer. What contains other things is opened by
 * aml_begin_*() and closed by aml_end(), which fills in the length that AML wants in front. Names
 * are of four characters, or a path such as "\\_SB_" or "PICF". On overflow nothing more is
 * written and `overflow` stays true.
 */
struct aml {
	uint8_t *buf;
	size_t len, cap;
	bool overflow;
};

typedef size_t aml_mark;

void aml_init(struct aml *aml, void *buf, size_t cap);

aml_mark aml_begin_scope(struct aml *aml, const char *path);
aml_mark aml_begin_device(struct aml *aml, const char *name);
aml_mark aml_begin_method(struct aml *aml, const char *name, unsigned int nr_args);
aml_mark aml_begin_package(struct aml *aml, uint8_t nr_elements);
aml_mark aml_begin_if(struct aml *aml); /* the condition comes next */
void aml_end(struct aml *aml, aml_mark mark);

/* Name (name, ...): the object comes next. */
void aml_name(struct aml *aml, const char *name);
void aml_int(struct aml *aml, uint64_t val);
void aml_string(struct aml *aml, const char *str);
void aml_eisa_id(struct aml *aml, const char *id); /* "PNP0501" */
void aml_ref(struct aml *aml, const char *path);   /* the value of a named object */
void aml_return(struct aml *aml);		   /* the value comes next */
void aml_store_arg(struct aml *aml, unsigned int arg, const char *path);

/*
 * Resource templates (§6.4): Name (_CRS, ResourceTemplate () {...}), between begin and end only
 * the descriptors below.
 */
struct aml_crs {
	aml_mark mark;
	size_t start;
};

struct aml_crs aml_begin_crs(struct aml *aml);
void aml_end_crs(struct aml *aml, struct aml_crs crs);
void aml_crs_io(struct aml *aml, uint16_t port, uint8_t size);
void aml_crs_irq(struct aml *aml, unsigned int irq); /* ISA: edge, active high */
void aml_crs_interrupt(struct aml *aml, unsigned int gsi); /* level, active high, shared */
void aml_crs_memory32(struct aml *aml, uint32_t base, uint32_t size);
/* What a bridge passes on to the bus behind it. */
void aml_crs_bus_window(struct aml *aml, uint16_t first, uint16_t last);
void aml_crs_io_window(struct aml *aml, uint16_t base, uint32_t size);
void aml_crs_memory_window(struct aml *aml, uint64_t base, uint64_t size);

#endif
