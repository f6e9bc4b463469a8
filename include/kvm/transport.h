/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_TRANSPORT_H
#define LKVM_TRANSPORT_H

/*
 * How a guest reaches a virtio device, as --virtio-transport and the trans= keys of disks and NICs
 * say it. pci-legacy is the transitional device, which drivers from before virtio 1.0 can use as
 * well as later ones; mmio-legacy is version 1 of the registers in memory.
 */
enum transport {
	TRANSPORT_DEFAULT, /* not said */
	TRANSPORT_PCI,
	TRANSPORT_PCI_LEGACY,
	TRANSPORT_MMIO,
	TRANSPORT_MMIO_LEGACY,
};

#define TRANSPORT_WORDS "pci, pci-legacy, mmio or mmio-legacy"

/* -EINVAL: none of the words. Nothing is printed. */
int transport_parse(const char *word, enum transport *transport);

#endif
