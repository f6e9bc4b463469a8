/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_CONFORMANCE_SUITE_H
#define LKVM_CONFORMANCE_SUITE_H

/*
 * What a check is: a clause of virtio 1.2 (VIRTIO v1.2 csd01) that a device must keep, in a few
 * words of ours, and a function that tries it. main.c runs each over every transport, ring format
 * and device that it names.
 */
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

struct rig;

enum {
	PCI,	    /* the modern interface */
	PCI_WINDOW, /* the same by way of VIRTIO_PCI_CAP_PCI_CFG alone */
	PCI_BOTH,   /* the modern interface of a transitional device */
	PCI_LEGACY, /* and the other one of it */
	MMIO,
	MMIO_LEGACY, /* version 1 */
	NR_WAYS,
};

enum { TOY, BLK, BLK_RO, NET, CONSOLE, RNG, BALLOON, KEYBOARD, MOUSE, TABLET,
       VSOCK, PORTS, P9, VHOST_USER_BLK, FS, SCSI, VHOST_VSOCK, NET_PAIRS, NR_KINDS };

enum { SPLIT, PACKED, NR_RINGS };

#define BIT_OF(n)   (1u << (n))
#define ALL_WAYS    (BIT_OF(NR_WAYS) - 1)
#define ALL_KINDS   (BIT_OF(NR_KINDS) - 1)
#define LEGACY_WAYS (BIT_OF(PCI_LEGACY) | BIT_OF(MMIO_LEGACY))
#define MODERN_WAYS (ALL_WAYS & ~LEGACY_WAYS)
#define PCI_WAYS    (BIT_OF(PCI) | BIT_OF(PCI_WINDOW) | BIT_OF(PCI_BOTH))
#define BOTH_RINGS  (BIT_OF(SPLIT) | BIT_OF(PACKED))

struct check {
	const char *section, *what;
	unsigned int ways;
	unsigned int rings; /* 0: rings do not matter, split is used */
	unsigned int kinds;
	void (*run)(struct rig *rig);
};

/* Tables end with an entry whose run is NULL. */
extern const struct check core_checks[], ring_checks[], pci_checks[], legacy_checks[],
	mmio_checks[], device_checks[], hostile_checks[], thread_checks[];

/* Ends the check, if it does not hold. */
#define CHECK(cond) ((cond) ? (void)0 : check_failed(__FILE__, __LINE__, #cond))
#define CHECK_EQ(a, b)                                                    \
	({                                                                \
		uint64_t a_ = (a), b_ = (b);                              \
		if (a_ != b_)                                             \
			check_differ(__FILE__, __LINE__, #a, a_, #b, b_); \
	})
void check_failed(const char *file, int line, const char *cond) __attribute__((noreturn));
void check_differ(const char *file, int line, const char *a_is, uint64_t a, const char *b_is,
		  uint64_t b) __attribute__((noreturn));

#endif
