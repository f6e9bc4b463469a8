// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/transport.h"

#include <errno.h>
#include <string.h>

#include "kvm/util.h"

int transport_parse(const char *word, enum transport *transport)
{
	static const char *const words[] = {
		[TRANSPORT_PCI] = "pci",
		[TRANSPORT_PCI_LEGACY] = "pci-legacy",
		[TRANSPORT_MMIO] = "mmio",
		[TRANSPORT_MMIO_LEGACY] = "mmio-legacy",
	};

	for (unsigned int i = TRANSPORT_PCI; i < ARRAY_SIZE(words); i++) {
		if (!strcmp(word, words[i])) {
			*transport = i;
			return 0;
		}
	}
	return -EINVAL;
}
