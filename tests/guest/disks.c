// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Disks as the command line asks for them:
 *
 *	disks=N		N disks, each with its number in the first sector; the guest
 *			writes it into the last one, too, with requests of all disks in flight
 *	ops=N bytes=N	so many requests of so many bytes each, and how long they took
 *	grow=1		says its size, and again when that changes, and uses the new end
 *	write=N		writes N into the first sector
 */
#include "virtio.h"

#define SECTOR	  512
#define WAIT_US	  60000000
#define MAX_DISKS 64
#define MAX_BYTES 65536

static struct virtio disk[MAX_DISKS];
static uint8_t data[MAX_BYTES];

static struct request {
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header;
	volatile uint8_t status;
	uint32_t sector[SECTOR / 4];
} request[MAX_DISKS];

static bool start(unsigned int nr)
{
	return virtio_find(&disk[nr], VIRTIO_BLK, nr) && virtio_start(&disk[nr], VIRTIO_NO_VECTOR);
}

/* The number, in all words of a sector. */
static void begin_stamp(unsigned int nr)
{
	struct request *r = &request[nr];
	const struct buffer buf[] = {
		{&r->header, sizeof(r->header)}, {r->sector, SECTOR}, {(void *)&r->status, 1}};

	r->header.type = BLK_OUT;
	r->header.sector = blk_capacity(&disk[nr]) - 1;
	r->status = 0xff;
	for (unsigned int i = 0; i < SECTOR / 4; i++)
		r->sector[i] = nr;
	vq_add(&disk[nr].vq, buf, 2, 1);
	virtio_notify(&disk[nr]);
}

static void many(unsigned int nr_disks)
{
	unsigned int found = 0, right = 0, done = 0;

	for (unsigned int i = 0; i < nr_disks && start(i); i++)
		found++;
	ok(found == nr_disks && pci_find(VIRTIO_VENDOR, VIRTIO_BLK, nr_disks) < 0, "%u disks",
	   found);
	for (unsigned int i = 0; i < found; i++)
		right += blk_request(&disk[i], BLK_IN, 0, data, SECTOR) == 0 &&
			 *(uint32_t *)data == i;
	ok(right == nr_disks, "%u of them in their order", right);
	for (unsigned int i = 0; i < found; i++)
		begin_stamp(i);
	for (unsigned int i = 0; i < found; i++)
		done += vq_wait(&disk[i].vq, 1, WAIT_US) && request[i].status == 0;
	ok(done == nr_disks, "%u written at the same time", done);
}

/* One by one; the time by the PM timer, whose 24 bits are counted on meanwhile. */
static void timed(unsigned int ops, unsigned int bytes)
{
	uint32_t last = pm_ticks(), now;
	uint64_t ticks = 0;
	unsigned int good = 0;

	for (unsigned int i = 0; i < ops; i++) {
		good += blk_request(&disk[0], BLK_IN, 0, data, bytes) == 0;
		now = pm_ticks();
		ticks += (now - last) & 0xffffff;
		last = now;
	}
	ok(good == ops, "%u requests", good);
	print("took %lu ms\n", ticks * 1000 / PM_TIMER_HZ);
}

static bool has_grown(void *size)
{
	return blk_capacity(&disk[0]) != *(uint64_t *)size;
}

/* Bit 1: the configuration changed (§4.1.4.5). */
static bool is_told(void *arg)
{
	(void)arg;
	return read8(virtio_reg(&disk[0], &disk[0].isr, 0)) & 2;
}

static void grow(void)
{
	uint64_t size = blk_capacity(&disk[0]);

	ok(blk_request(&disk[0], BLK_IN, size, data, SECTOR) == 1, "an error behind its end");
	print("size %lu\n", size);
	if (!ok(wait_until(has_grown, &size, WAIT_US), "it grows"))
		return;
	ok(wait_until(is_told, NULL, WAIT_US), "and is told so");
	size = blk_capacity(&disk[0]);
	print("size %lu\n", size);
	memset(data, 0x5a, SECTOR);
	ok(blk_request(&disk[0], BLK_OUT, size - 1, data, SECTOR) == 0, "the new end is there");
	ok(blk_request(&disk[0], BLK_IN, size, data, SECTOR) == 1, "an error behind it");
}

static void write_once(uint32_t what)
{
	for (unsigned int i = 0; i < SECTOR / 4; i++)
		((uint32_t *)data)[i] = what;
	ok(blk_request(&disk[0], BLK_OUT, 0, data, SECTOR) == 0, "written");
}

void test(void)
{
	if (option("disks", 0)) {
		many(option("disks", 0));
		return;
	}
	if (!ok(start(0), "a disk"))
		return;
	if (option("ops", 0))
		timed(option("ops", 0), option("bytes", SECTOR));
	if (option("grow", 0))
		grow();
	if (option("write", 0))
		write_once(option("write", 0));
}
