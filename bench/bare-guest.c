// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bare-guest: a tiny guest that exits to its VMM as fast as it can, by reads of a port and of memory
 * that a device is behind; on one CPU, then on two at once, each with a device of its own. It runs
 * under any VMM that starts guests by PVH, and says how long it took by the processor's counter:
 *
 *	cell port-1 20000 4800000	what, on how many CPUs; reads in all; ticks
 *
 * exits=N: reads of a CPU. cpus=N: 1 or 2. mmio=N: where there is virtio over MMIO; else no such cells.
 * reset=1: resets the machine at once instead.
 */
#include "driver.h"

#define PORT_I8042  0x64 /* status */
#define PORT_COM2   0x2fd
#define MMIO_STEP   0x200
#define SPARE_TURNS 100

static uint64_t mmio;
static uint32_t exits;
static volatile uint32_t turn, done; /* what the other CPU is to begin, and has done */
static volatile bool by_mmio;

static void read_all(unsigned int cpu, bool memory, uint32_t nr)
{
	uint16_t port = cpu ? PORT_COM2 : PORT_I8042;
	uint64_t at = mmio + cpu * MMIO_STEP;

	while (nr--) {
		if (memory)
			read32(at);
		else
			inb(port);
	}
}

static void other_cpu(unsigned int cpu)
{
	for (uint32_t seen = 0;;) {
		while (turn == seen)
			pause_cpu();
		seen = turn;
		read_all(cpu, by_mmio, exits);
		done = seen;
	}
}

static void cell(const char *name, unsigned int cpus, bool memory)
{
	uint64_t start;

	read_all(0, memory, SPARE_TURNS);
	start = bench_ticks();
	by_mmio = memory;
	if (cpus > 1)
		turn++;
	read_all(0, memory, exits);
	while (cpus > 1 && done != turn)
		pause_cpu();
	print("cell %s-%u %u %lu\n", name, cpus, cpus * exits, bench_ticks() - start);
}

void test(void)
{
	unsigned int cpus = option("cpus", 1);

	if (option("reset", 0)) {
		outb(PORT_I8042, 0xfe);
		halt();
	}
	exits = option("exits", 20000);
	mmio = option("mmio", 0);
	for (unsigned int nr = 1; nr <= cpus; nr++) {
		if (nr == 2 && !ok(smp_start(2, other_cpu), "the other CPU starts"))
			break;
		cell("port", nr, false);
		if (mmio)
			cell("mmio", nr, true);
	}
}
