// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A write load on a disk that is cut off at any moment, life after life: first this life looks
 * whether all is there that earlier ones had flushed, then it writes until it is killed.
 *
 * A life goes on in generations: many requests in flight, then a flush, then a line "flushed N".
 * What is written follows from the life and the generation alone, so the host only has to say how
 * far each life got: life=2 h0=17 h1=40. The last quarter of the disk is for discards, too, and is
 * only to hold what was written for that place.
 */
#include "virtio.h"

#define BLK_DISCARD	 11
#define BLK_WRITE_ZEROES 13
#define F_DISCARD	 (1UL << 13)
#define F_WRITE_ZEROES	 (1UL << 14)

#define BLOCK	   4096
#define SECTORS	   (BLOCK / 512)
#define MAX_BLOCKS 16384
#define LONG	   16 /* blocks of a long write */
#define IN_FLIGHT  16
#define BATCHES	   3 /* in a generation */
#define MAGIC	   0x6b6c6f61645f6b6cUL
#define WAIT_US	   60000000

struct block {
	uint64_t magic, at, generation;
	uint8_t filler[BLOCK - 32];
	uint64_t again; /* the generation */
};

struct request {
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header;
	struct {
		uint64_t sector;
		uint32_t nr, flags;
	} range;
	volatile uint8_t status;
	struct block data[LONG];
};

static struct virtio disk;
static struct request request[IN_FLIGHT];
static uint32_t at_least[MAX_BLOCKS]; /* the generation that was flushed last, by block */
static uint32_t nr_blocks;

static uint32_t generation_of(unsigned int life, unsigned int nr)
{
	return (life + 1) << 16 | nr;
}

/* What request nr of a generation does: a start, a length in blocks, a type. */
static uint32_t plan(uint32_t generation, unsigned int nr, uint32_t *at, uint32_t *len)
{
	uint64_t x = (uint64_t)generation << 32 | nr;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9UL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebUL;
	x ^= x >> 31;
	*len = x % 4 ? 1 : LONG;
	*at = (x >> 8) % (nr_blocks - LONG);
	if (*at < nr_blocks / 4 * 3)
		return BLK_OUT;
	return x >> 48 & 4 ? BLK_OUT : x >> 48 & 1 ? BLK_DISCARD : BLK_WRITE_ZEROES;
}

static bool is_strict(uint32_t at)
{
	/* A long discard begins behind the border. */
	return at < nr_blocks / 4 * 3;
}

static void submit(struct request *r, uint32_t generation, unsigned int nr)
{
	struct buffer buf[3] = {{&r->header, sizeof(r->header)}};
	uint32_t at, len;

	r->header.type = plan(generation, nr, &at, &len);
	r->header.sector = 0;
	r->status = 0xff;
	buf[2] = (struct buffer){(void *)&r->status, 1};
	if (r->header.type == BLK_OUT) {
		r->header.sector = (uint64_t)at * SECTORS;
		buf[1] = (struct buffer){r->data, len * BLOCK};
		for (uint32_t i = 0; i < len; i++) {
			r->data[i].magic = MAGIC;
			r->data[i].at = at + i;
			r->data[i].generation = r->data[i].again = generation;
		}
	} else {
		r->range.sector = (uint64_t)at * SECTORS;
		r->range.nr = len * SECTORS;
		r->range.flags = r->header.type == BLK_WRITE_ZEROES ? nr % 2 : 0;
		buf[1] = (struct buffer){&r->range, sizeof(r->range)};
	}
	vq_add(&disk.vq, buf, 2, 1);
}

static bool finish_batch(unsigned int nr)
{
	bool good = vq_wait(&disk.vq, nr, WAIT_US);

	for (unsigned int i = 0; i < nr && good; i++) {
		vq_take(&disk.vq, NULL);
		good = request[i].status == 0;
	}
	return good;
}

static bool flush(void)
{
	struct request *r = &request[0];
	const struct buffer buf[2] = {{&r->header, sizeof(r->header)}, {(void *)&r->status, 1}};

	r->header.type = BLK_FLUSH;
	r->header.sector = 0;
	r->status = 0xff;
	vq_add(&disk.vq, buf, 1, 1);
	virtio_notify(&disk);
	return finish_batch(1);
}

static bool write_generation(uint32_t generation)
{
	for (unsigned int batch = 0; batch < BATCHES; batch++) {
		for (unsigned int i = 0; i < IN_FLIGHT; i++)
			submit(&request[i], generation, batch * IN_FLIGHT + i);
		virtio_notify(&disk);
		if (!finish_batch(IN_FLIGHT))
			return false;
	}
	return flush();
}

/* --- looking back --- */

static void remember_life(unsigned int life, unsigned int flushed)
{
	uint32_t at, len;

	for (unsigned int nr = 1; nr <= flushed; nr++)
		for (unsigned int i = 0; i < BATCHES * IN_FLIGHT; i++)
			if (plan(generation_of(life, nr), i, &at, &len) == BLK_OUT)
				while (len--)
					at_least[at + len] = generation_of(life, nr);
}

static bool block_is_zero(const struct block *b)
{
	return !b->magic && !b->at && !b->generation && !b->again;
}

static bool block_is_good(const struct block *b, uint32_t at)
{
	if (block_is_zero(b))
		return !at_least[at] || !is_strict(at);
	if (b->magic != MAGIC || b->at != at || b->generation != b->again)
		return false;
	return b->generation >= at_least[at] || !is_strict(at);
}

static unsigned int look_back(void)
{
	struct block *data = request[1].data;
	unsigned int bad = 0;

	for (uint32_t at = 0; at + LONG <= nr_blocks; at += LONG) {
		if (blk_request(&disk, BLK_IN, (uint64_t)at * SECTORS, data, LONG * BLOCK) != 0)
			return bad + 1;
		for (uint32_t i = 0; i < LONG; i++) {
			if (block_is_good(&data[i], at + i))
				continue;
			if (bad++ < 5)
				print("block %u: %lx at %lu of %lx, should be %x\n", at + i,
				      data[i].magic, data[i].at, data[i].generation,
				      at_least[at + i]);
		}
	}
	memset(data, 0, LONG * BLOCK);
	return bad;
}

void test(void)
{
	unsigned int life = option("life", 0), last = option("generations", 60000);
	char key[] = "h0";

	if (!ok(virtio_find(&disk, VIRTIO_BLK, 0), "a disk") ||
	    !ok(virtio_negotiate(&disk,
				 VIRTIO_F_VERSION_1 | 1UL << 9 |
					 (virtio_features(&disk) & (F_DISCARD | F_WRITE_ZEROES))),
		"features"))
		return;
	virtio_setup_queue(&disk, VQ_MAX_SIZE, VIRTIO_NO_VECTOR);
	virtio_set_status(&disk, virtio_status(&disk) | VIRTIO_DRIVER_OK);
	nr_blocks = blk_capacity(&disk) / SECTORS;
	if (!ok(nr_blocks >= 4 * LONG && nr_blocks <= MAX_BLOCKS, "its size"))
		return;
	for (unsigned int i = 0; i < life && i < 10; i++) {
		key[1] = '0' + i;
		remember_life(i, option(key, 0));
	}
	ok(look_back() == 0, "all that was flushed is there");
	print("looked back\n");
	for (unsigned int nr = 1; nr <= last; nr++) {
		if (!write_generation(generation_of(life, nr))) {
			ok(false, "generation %u", nr);
			return;
		}
		print("flushed %u\n", nr);
	}
}
