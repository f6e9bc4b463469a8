// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A disk in use while its BARs move. The image is lines of 16 bytes, "%015u\n" of the line's
 * number, so that every sector says which one it is.
 */
#include "virtio.h"

#define SECTOR	      512
#define BATCH	      12
#define BATCH_SECTORS 4
#define REGS_BAR      (disk.common.bar)

static struct virtio disk;
static struct msix msix;
static uint8_t data[BATCH][BATCH_SECTORS * SECTOR];
static uint64_t next_sector;

static const uint64_t places[] = {
	0xd0000000,  0xd0004000,  0xcfffc000,  0xdfffc000,  0xc0100000, 0x40000000,
	0x100000000, 0x100004000, 0x23fffc000, 0x3c0000000, 0xd1230000, 0xf0000000,
};

/* Whether the 16 bytes are line `nr`. */
static bool line_is(const uint8_t *line, uint64_t nr)
{
	if (line[15] != '\n')
		return false;
	for (int i = 14; i >= 0; i--, nr /= 10)
		if (line[i] != '0' + nr % 10)
			return false;
	return true;
}

static bool sectors_are(const uint8_t *at, uint64_t sector, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++, at += SECTOR)
		if (!line_is(at, (sector + i) * 32) || !line_is(at + 496, (sector + i) * 32 + 31))
			return false;
	return true;
}

static uint64_t take_sectors(unsigned int nr)
{
	uint64_t sector = next_sector;

	next_sector = (next_sector + nr) % (blk_capacity(&disk) - BATCH * BATCH_SECTORS);
	return sector;
}

static bool read_one(void)
{
	uint64_t sector = take_sectors(1);

	memset(data[0], 0, SECTOR);
	return blk_request(&disk, BLK_IN, sector, data[0], SECTOR) == 0 &&
	       sectors_are(data[0], sector, 1);
}

static void move(uint64_t to, bool decode_off)
{
	if (decode_off)
		pci_command(disk.bdf, PCI_COMMAND_MEM, 0);
	bar_set(disk.bdf, REGS_BAR, to);
	if (decode_off)
		pci_command(disk.bdf, 0, PCI_COMMAND_MEM);
}

/* A notification at the old place is nobody's; one at the new place is heard. */
static void test_notify(uint64_t old_notify)
{
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header = {.type = BLK_IN, .sector = take_sectors(1)};
	volatile uint8_t status = 0xff;
	const struct buffer buf[] = {
		{&header, sizeof(header)}, {data[0], SECTOR}, {(void *)&status, 1}};

	vq_add(&disk.vq, buf, 1, 2);
	write16(old_notify, 0);
	ok(!vq_wait(&disk.vq, 1, 3000), "the old place hears no notification");
	virtio_notify(&disk);
	ok(vq_wait(&disk.vq, 1, 2000000) && !status, "the new place does");
	vq_take(&disk.vq, NULL);
	ok(sectors_are(data[0], header.sector, 1), "and the data is right");
}

static void test_place(uint64_t to, bool decode_off)
{
	uint64_t from = bar_get(disk.bdf, REGS_BAR), old_notify = virtio_notify_addr(&disk);

	print("# BAR %u from 0x%lx to 0x%lx%s\n", REGS_BAR, from, to,
	      decode_off ? ", decode off meanwhile" : "");
	move(to, decode_off);
	ok(bar_get(disk.bdf, REGS_BAR) == to, "the BAR reads 0x%lx", to);
	ok(virtio_status(&disk) == 15, "its registers answer there");
	ok(read32(from + disk.common.off) == ~0u, "nobody is at 0x%lx any more", from);
	test_notify(old_notify);
}

/* A batch is under way while the BAR goes to and fro. */
static void test_during(void)
{
	static struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header[BATCH];
	static volatile uint8_t status[BATCH];
	unsigned int bad = 0;

	for (unsigned int i = 0; i < BATCH; i++) {
		const struct buffer buf[] = {{&header[i], sizeof(header[i])},
					     {data[i], sizeof(data[i])},
					     {(void *)&status[i], 1}};

		header[i].sector = take_sectors(BATCH_SECTORS);
		status[i] = 0xff;
		memset(data[i], 0, sizeof(data[i]));
		vq_add(&disk.vq, buf, 1, 2);
		virtio_notify(&disk);
		move(places[i % ARRAY_SIZE(places)], i % 2);
	}
	ok(vq_wait(&disk.vq, BATCH, 2000000), "a batch comes back while the BAR moves");
	for (unsigned int i = 0; i < BATCH; i++) {
		vq_take(&disk.vq, NULL);
		bad += status[i] || !sectors_are(data[i], header[i].sector, BATCH_SECTORS);
	}
	ok(!bad, "all %u are right", BATCH);
}

static void test_decode_off(void)
{
	pci_command(disk.bdf, PCI_COMMAND_MEM, 0);
	ok(read32(bar_get(disk.bdf, REGS_BAR)) == ~0u, "nothing decodes with memory decode off");
	ok(read32(bar_get(disk.bdf, msix.table_bar)) == ~0u, "nor does the MSI-X table");
	pci_command(disk.bdf, 0, PCI_COMMAND_MEM);
	ok(read_one(), "and all is well with it on again");
}

/* The small BAR on top of the large one for a while, as Linux does when it assigns them. */
static void test_overlap(void)
{
	uint64_t table = bar_get(disk.bdf, msix.table_bar), regs = 0xd0000000;

	move(regs, false);
	bar_set(disk.bdf, msix.table_bar, regs + 0x1000);
	ok(bar_get(disk.bdf, msix.table_bar) == regs + 0x1000, "two BARs overlap");
	ok(bar_get(disk.bdf, REGS_BAR) == regs, "and both keep their address");
	ok(read32(regs + 0x1000 + msix.table_off + 12) == 1, "the lower one decodes");
	bar_set(disk.bdf, msix.table_bar, table);
	ok(read_one(), "the large one decodes when the small one has gone on");
	bar_set(disk.bdf, msix.table_bar, regs);
	move(0xd8000000, false);
	ok(read_one(), "the large one gets away from under the small one");
	ok(read32(regs + 12) == 1, "which is where it was put");
	bar_set(disk.bdf, msix.table_bar, table);
}

/* Two devices in one place: the one in the lower slot works, the other waits for its turn. */
static void test_two_devices(void)
{
	static struct virtio rng;
	uint64_t home;

	if (!ok(virtio_find(&rng, VIRTIO_RNG, 0) && virtio_start(&rng, VIRTIO_NO_VECTOR),
		"a second device is there"))
		return;
	home = bar_get(rng.bdf, rng.common.bar);
	bar_set(rng.bdf, rng.common.bar, bar_get(disk.bdf, REGS_BAR));
	ok(read_one(), "the first one works with the second one on top of it");
	move(0xd9000000, true);
	ok(read_one() && virtio_status(&rng) == 15, "when the first one has gone, both do");
	bar_set(rng.bdf, rng.common.bar, home);
	ok(rng_read(&rng, data, 64) == 64, "and the second one does at home");
}

static void test_table_moves(void)
{
	uint64_t table = bar_get(disk.bdf, msix.table_bar);

	msix_set(&msix, 1, 0x77);
	bar_set(disk.bdf, msix.table_bar, 0xd4440000);
	ok(read32(0xd4440000 + msix.table_off + 16 + 8) == 0x77, "the MSI-X table moves whole");
	ok(read32(table) == ~0u, "and leaves nothing");
	bar_set(disk.bdf, msix.table_bar, table);
}

/* Where others live: whoever wins there, nothing breaks and the BAR comes back. */
static void test_foreign_places(void)
{
	static const struct {
		uint64_t at;
		const char *what;
	} foreign[] = {
		{0x1000000, "RAM"},
		{ECAM_BASE, "ECAM"},
		{ECAM_BASE + 0xfc000, "ECAM's end"},
		{LAPIC_BASE, "the LAPIC"},
		{IOAPIC_BASE, "the IOAPIC"},
		{0, "0"},
		{0xffffffffffffc000, "the end of all addresses"},
	};
	unsigned int id = apic_id();

	*(volatile uint32_t *)0x1000000 = 0x12345678;
	for (unsigned int i = 0; i < ARRAY_SIZE(foreign); i++) {
		move(foreign[i].at, false);
		ok(pci_exists(disk.bdf) && apic_id() == id && read32(0x1000000) == 0x12345678,
		   "a BAR on %s harms nobody", foreign[i].what);
		move(places[0], false);
		ok(read_one(), "and comes back");
	}
}

void test(void)
{
	if (!ok(virtio_find(&disk, VIRTIO_BLK, 0) && virtio_start(&disk, VIRTIO_NO_VECTOR),
		"a disk is there") ||
	    !ok(msix_find(&msix, disk.bdf), "with MSI-X") || !ok(read_one(), "and can be read"))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++)
		test_place(places[i], i % 2);
	for (unsigned int i = ARRAY_SIZE(places) - 1; i-- > 0;)
		test_place(places[i], !(i % 2));
	test_decode_off();
	for (unsigned int i = 0; i < 10; i++)
		test_during();
	test_overlap();
	test_two_devices();
	test_table_moves();
	test_foreign_places();
	ok(read_one(), "the disk still works");
}
