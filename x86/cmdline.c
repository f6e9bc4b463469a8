// SPDX-License-Identifier: GPL-2.0-or-later
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"
#include "kvm/config.h"
#include "kvm/util.h"
#include "kvm/virtio-mmio.h"
#include "x86.h"

bool cmdline_has(const char *cmdline, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = cmdline; (p = strstr(p, name)); p += len)
		if ((p == cmdline || p[-1] == ' ') && (!p[len] || strchr(" =", p[len])))
			return true;
	return false;
}

char *cmdline_build(const struct vm_config *cfg)
{
	const char *params = cfg->params ? cfg->params : "";
	/* Messages before the console's driver is there; they say why a kernel stops early. */
	const char *console = cfg->console == CONSOLE_VIRTIO
				      ? " console=hvc0"
				      : " earlyprintk=serial,ttyS0 console=ttyS0";
	/* The last console is the one that init talks to; on the screen it has its own terminals. */
	const char *screen = cfg->display.wanted ? " console=tty0" : "";
	/* What kvmtool's users expect of `lkvm run -d DISK`. */
	bool root = cfg->nr_disks && !cfg->initrd && !cmdline_has(params, "root");

	if (cfg->nodefaults)
		return strdup(params);
	return xasprintf(
		"panic=-1%s%s%s%s%s%s%s",
		/* The kernel otherwise looks for tables that are not there, and complains. */
		cfg->no_acpi ? " acpi=off" : "",
		/* The IOAPIC has 8 bits for a CPU's number: keep its interrupts below. */
		cfg->nr_cpus > X86_XAPIC_MAX_CPUS ? " irqaffinity=0-254" : "", screen, console,
		root ? " root=/dev/vda rw" : "", *params ? " " : "", params);
}

char *cmdline_add_virtio_mmio(char *cmdline, const struct vm_config *cfg,
			      const struct virtio_mmio_place *place, unsigned int nr)
{
	/* In front: after "--" words are for init. Backwards, so that the first device is first. */
	while (cmdline && nr-- && !cfg->nodefaults) {
		char *line = xasprintf("virtio_mmio.device=%d@0x%" PRIx64 ":%u %s",
				       VIRTIO_MMIO_SIZE, place[nr].base, place[nr].gsi, cmdline);

		free(cmdline);
		cmdline = line;
	}
	return cmdline;
}
