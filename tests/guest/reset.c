// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Resets itself twice ("how=": 1 by ACPI's register, 2 by the keyboard controller, 3 by port 92h)
 * and counts on the disk. After a reset the machine is like new: RAM, devices, interrupts.
 */
#include "virtio.h"

#define MARK	 0x600dcafe600dcafeUL
#define RAM_LOW	 0x50000UL
#define RAM_HIGH 0x1000000UL

static uint8_t sector[512];

static void write_marks(void)
{
	for (uint64_t at = RAM_HIGH; at < RAM_HIGH + 0x800000; at += 0x10000)
		write64(at, MARK);
	write64(RAM_LOW, MARK);
}

static unsigned int count_marks(void)
{
	unsigned int left = read64(RAM_LOW) != 0;

	for (uint64_t at = RAM_HIGH; at < RAM_HIGH + 0x800000; at += 0x10000)
		left += read64(at) != 0;
	return left;
}

static void start_again(uint64_t how)
{
	if (how == 1)
		outb(PORT_PM_RESET, 6);
	else if (how == 2)
		outb(0x64, 0xfe);
	else
		outb(0x92, 1);
	halt();
}

void test(void)
{
	static struct virtio disk;
	uint64_t home;

	if (option("forever", 0))
		start_again(option("how", 1));
	ok(count_marks() == 0, "RAM is zero");
	if (!ok(virtio_find(&disk, VIRTIO_BLK, 0), "a disk is there"))
		return;
	home = bar_get(disk.bdf, disk.common.bar);
	ok(virtio_status(&disk) == 0, "which nobody has driven yet");
	ok(home != 0xd5550000, "its BAR is at home");
	ok(ioapic_entry(20) & IOAPIC_MASKED, "the IOAPIC is masked");
	if (!ok(virtio_start(&disk, VIRTIO_NO_VECTOR), "it starts") ||
	    !ok(blk_request(&disk, BLK_IN, 0, sector, 512) == 0, "and reads"))
		return;
	sector[0]++;
	ok(blk_request(&disk, BLK_OUT, 0, sector, 512) == 0 &&
		   blk_request(&disk, BLK_FLUSH, 0, NULL, 0) == 0,
	   "and writes");
	print("boot %u\n", sector[0]);
	if (sector[0] >= 3)
		return;
	write_marks();
	bar_set(disk.bdf, disk.common.bar, 0xd5550000);
	ioapic_route(20, 0x99);
	start_again(option("how", 1));
}
