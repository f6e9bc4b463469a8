// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Eight CPUs on one device: 0 and 1 toggle memory decode, 2 and 3 move its BAR, 4 to 7 read and
 * notify wherever it may be. "seconds=" says how long.
 */
#include "virtio.h"

#define COMMON_NUM_QUEUES 0x12
#define RNG_QUEUES	  1

static struct virtio rng;
static volatile bool stop;
static volatile uint32_t nr_left, nr_toggles, nr_moves, nr_hits, nr_misses, nr_wrong;

static const uint32_t places[] = {0xd0000000, 0xd0004000, 0xd0100000, 0xcfff0000};

/* On for a while each time, or readers would hardly ever meet the device. */
static void toggle(void)
{
	pci_write16(rng.bdf, PCI_COMMAND, PCI_COMMAND_MASTER);
	pci_write16(rng.bdf, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEM);
	delay_us(1000);
	atomic_add(&nr_toggles, 2);
}

static void move(unsigned int i)
{
	pci_write32(rng.bdf, PCI_BAR(rng.common.bar), places[i % ARRAY_SIZE(places)]);
	atomic_add(&nr_moves, 1);
}

static void look(unsigned int i)
{
	uint64_t base = places[i % ARRAY_SIZE(places)];
	uint16_t queues = read16(base + rng.common.off + COMMON_NUM_QUEUES);

	if (queues == RNG_QUEUES)
		atomic_add(&nr_hits, 1);
	else if (queues == 0xffff)
		atomic_add(&nr_misses, 1);
	else
		atomic_add(&nr_wrong, 1);
	if (i % 4 == 0)
		write16(base + rng.notify.off, 0);
}

static void work(unsigned int cpu)
{
	for (unsigned int i = cpu; !stop; i++) {
		if (cpu < 2)
			toggle();
		else if (cpu < 4)
			move(i);
		else
			look(i);
	}
	atomic_add(&nr_left, 1);
}

/* CPU 0 toggles, too, and looks at the clock. */
static void work_for(uint32_t seconds)
{
	uint32_t last = pm_ticks(), now;

	for (uint64_t left = (uint64_t)seconds * PM_TIMER_HZ; left;) {
		toggle();
		now = pm_ticks();
		left -= left < ((now - last) & 0xffffff) ? left : ((now - last) & 0xffffff);
		last = now;
	}
	stop = true;
}

static bool all_left(void *arg)
{
	return nr_left == *(uint32_t *)arg;
}

void test(void)
{
	uint32_t cpus = option("cpus", 8), others = cpus - 1;
	static uint8_t bytes[64];

	if (!ok(virtio_find(&rng, VIRTIO_RNG, 0) && virtio_start(&rng, VIRTIO_NO_VECTOR),
		"a device is there"))
		return;
	bar_set(rng.bdf, rng.common.bar, places[0]);
	if (!ok(smp_start(cpus, work), "%u CPUs come up", cpus))
		return;
	work_for(option("seconds", 20));
	ok(wait_until(all_left, &others, 3000000), "all CPUs came back");
	print("# %u toggles, %u moves, %u reads of the device, %u of nothing\n", nr_toggles,
	      nr_moves, nr_hits, nr_misses);
	ok(nr_toggles && nr_moves, "the BAR moved");
	ok(nr_hits && nr_misses, "readers met it and missed it");
	ok(!nr_wrong, "and read nothing else");

	pci_write16(rng.bdf, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEM);
	bar_set(rng.bdf, rng.common.bar, places[0]);
	ok(virtio_status(&rng) == 15, "the device is as it was");
	ok(rng_read(&rng, bytes, sizeof(bytes)) == sizeof(bytes), "and works");
}
