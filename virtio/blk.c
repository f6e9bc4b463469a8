// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio block device (virtio 1.2 §5.2) over a disk image. A request is a header, data and one
 * status byte; where one descriptor ends and the next begins means nothing (§2.7.4).
 *
 * Many requests are in flight and finish in any order. A flush covers what had finished when it was
 * made available (§5.2.6.2), which is what a disk queue promises; so there is nothing to order here.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/disk.h"
#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "kvm/virtio.h"
#include "kvm/worker.h"

#define BLK_QUEUE_SIZE 256
#define BLK_SECTOR     512
/* A request has a header and a status beside its data segments. */
#define BLK_SEG_MAX	(BLK_QUEUE_SIZE - 2)
#define BLK_MAX_RANGES	64	   /* of a discard or write zeroes request */
#define BLK_MAX_SECTORS (1u << 22) /* of one such range: 2 GiB */
#define BLK_BATCH	256	   /* requests of a queue before others get a turn */

#define BLK_RETRY_NS 10000000ULL

#define BLK_HEADER sizeof(struct virtio_blk_outhdr)

struct blk;

/* A request in flight. Its last byte, the status, is what the driver waits for. */
struct blk_request {
	struct disk_request io;
	struct blk *blk;
	struct virtq_chain *chain;
	unsigned int q;
	uint32_t type;
	uint8_t *status;
	uint64_t next_range; /* offset in the chain; of discard and write zeroes */
	struct blk_request *next_free;
};

/* All but capacity is the worker's. */
struct blk {
	struct disk *disk; /* borrowed */
	const struct disk_params *params;
	struct virtio_device *vdev;
	unsigned int nr_queues;
	_Atomic uint64_t capacity; /* sectors */
	bool flush_writes; /* the driver knows of no cache: each write must be on the medium */
	int logged_error;  /* the last host error that was printed */

	struct disk_queue *queue; /* from start to stop, as is the timer */
	struct loop_source *limit_timer;
	struct blk_request *free; /* made when first needed, kept */
	unsigned int nr_requests, in_flight;
	struct disk_limit iops, bps;
	/* Queues, as bits: where requests wait that could not be taken, and where we owe a signal. */
	uint32_t waiting, to_signal;
};

static uint32_t blk_block_size(const struct blk *blk)
{
	return blk->params->block_size ?: blk->disk->block_size;
}

static uint64_t blk_features(void *dev)
{
	struct blk *blk = dev;
	uint64_t features = 1ULL << VIRTIO_BLK_F_SEG_MAX | 1ULL << VIRTIO_BLK_F_BLK_SIZE |
			    1ULL << VIRTIO_BLK_F_FLUSH | 1ULL << VIRTIO_BLK_F_TOPOLOGY;

	if (blk->nr_queues > 1)
		features |= 1ULL << VIRTIO_BLK_F_MQ;
	if (blk->disk->readonly)
		return features | 1ULL << VIRTIO_BLK_F_RO;
	if (blk->disk->ops->discard && !blk->params->no_discard)
		features |= 1ULL << VIRTIO_BLK_F_DISCARD;
	if (blk->disk->ops->write_zeroes)
		features |= 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
	return features;
}

static uint8_t blk_log2(uint32_t power)
{
	return 31 - __builtin_clz(power);
}

static void blk_config_read(void *dev, uint32_t off, void *buf, uint32_t len)
{
	struct blk *blk = dev;
	uint32_t block = blk_block_size(blk);
	uint32_t physical = MAX(blk->disk->physical_block_size, block);
	const struct virtio_blk_config cfg = {
		.capacity = htole64(blk->capacity),
		.seg_max = htole32(BLK_SEG_MAX),
		.blk_size = htole32(block),
		.physical_block_exp = blk_log2(physical / block),
		.min_io_size = htole16(physical / block),
		.opt_io_size = htole32(blk->disk->optimal_io_size / block),
		.num_queues = htole16(blk->nr_queues),
		.max_discard_sectors = htole32(BLK_MAX_SECTORS),
		.max_discard_seg = htole32(BLK_MAX_RANGES),
		.discard_sector_alignment = htole32(physical / BLK_SECTOR),
		.max_write_zeroes_sectors = htole32(BLK_MAX_SECTORS),
		.max_write_zeroes_seg = htole32(BLK_MAX_RANGES),
	};

	memcpy(buf, (const uint8_t *)&cfg + off, len);
}

/* --- requests: from the pool, and back to the driver --- */

/* NULL: as many are in flight as can be. */
static struct blk_request *blk_get_request(struct blk *blk)
{
	struct blk_request *req = blk->free;

	if (req) {
		blk->free = req->next_free;
		return req;
	}
	if (blk->nr_requests == DISK_QUEUE_DEPTH)
		return NULL;
	req = calloc(1, sizeof(*req));
	if (req && !(req->chain = virtq_chain_create())) {
		free(req);
		req = NULL;
	}
	if (!req) {
		/* Out of memory: there may be nothing in flight that would wake us. */
		loop_arm_timer(blk->limit_timer, BLK_RETRY_NS);
		return NULL;
	}
	req->blk = blk;
	blk->nr_requests++;
	return req;
}

static void blk_put_request(struct blk_request *req)
{
	req->next_free = req->blk->free;
	req->blk->free = req;
}

/* Returns the chain to the driver, `written` bytes of it filled. */
static void blk_return(struct blk_request *req, uint64_t written)
{
	struct blk *blk = req->blk;

	virtq_push(virtio_queue(blk->vdev, req->q), req->chain, MIN(written, UINT32_MAX));
	blk->to_signal |= 1u << req->q;
	blk_put_request(req);
}

static void blk_finish(struct blk_request *req, uint8_t status)
{
	*req->status = status;
	blk_return(req, req->chain->in_len);
}

/* Success, or the error that the host gave; printed once until it changes. */
static uint8_t blk_status(struct blk *blk, int err)
{
	if (err && err != blk->logged_error)
		log_error("disk %s: %s", blk->disk->path, strerror(-err));
	if (err)
		blk->logged_error = err;
	return err ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

static void blk_signal(struct blk *blk)
{
	while (blk->to_signal) {
		unsigned int q = __builtin_ctz(blk->to_signal);

		blk->to_signal &= blk->to_signal - 1;
		virtio_signal_queue(blk->vdev, q);
	}
}

/* --- judging and starting: each returns a status, or that the request is in flight now --- */

#define BLK_IN_FLIGHT 0xff

static uint8_t blk_submit(struct blk_request *req, enum disk_op op)
{
	req->io.op = op;
	req->blk->in_flight++;
	disk_queue_submit(req->blk->queue, &req->io);
	return BLK_IN_FLIGHT;
}

/* Whether `len` bytes from `sector` on are whole sectors of the disk. */
static bool blk_range_ok(const struct blk *blk, uint64_t sector, uint64_t len)
{
	return len % BLK_SECTOR == 0 && range_contains(0, blk->capacity, sector, len / BLK_SECTOR);
}

static uint8_t blk_transfer(struct blk_request *req, enum disk_op op, uint64_t sector,
			    struct iovec *iov, unsigned int nr, uint64_t len)
{
	if (!blk_range_ok(req->blk, sector, len))
		return VIRTIO_BLK_S_IOERR;
	if (!len)
		return VIRTIO_BLK_S_OK;
	req->io.iov = iov;
	req->io.nr = nr;
	req->io.off = sector * BLK_SECTOR;
	req->io.len = len;
	disk_limit_pay(&req->blk->bps, len);
	return blk_submit(req, op);
}

/* The next range of a discard or write zeroes request (§5.2.6.2). */
static uint8_t blk_next_range(struct blk_request *req)
{
	struct virtio_blk_discard_write_zeroes range;
	struct blk *blk = req->blk;
	bool discard = req->type == VIRTIO_BLK_T_DISCARD;
	uint32_t allowed = discard ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	uint64_t sector, len;

	virtq_chain_read(req->chain, req->next_range, &range, sizeof(range));
	req->next_range += sizeof(range);
	sector = le64toh(range.sector);
	len = (uint64_t)le32toh(range.num_sectors) * BLK_SECTOR;
	if (le32toh(range.flags) & ~allowed)
		return VIRTIO_BLK_S_UNSUPP;
	if (len > (uint64_t)BLK_MAX_SECTORS * BLK_SECTOR || !blk_range_ok(blk, sector, len))
		return VIRTIO_BLK_S_IOERR;
	req->io.off = sector * BLK_SECTOR;
	req->io.len = len;
	return blk_submit(req, discard ? DISK_DISCARD : DISK_WRITE_ZEROES);
}

static uint8_t blk_ranges(struct blk_request *req)
{
	struct blk *blk = req->blk;
	uint64_t size = sizeof(struct virtio_blk_discard_write_zeroes);
	uint64_t len = req->chain->out_len - BLK_HEADER;
	bool can = req->type == VIRTIO_BLK_T_DISCARD
			   ? blk->disk->ops->discard && !blk->params->no_discard
			   : !!blk->disk->ops->write_zeroes;

	if (!can)
		return VIRTIO_BLK_S_UNSUPP;
	if (blk->disk->readonly || !len || len % size || len / size > BLK_MAX_RANGES)
		return VIRTIO_BLK_S_IOERR;
	req->next_range = BLK_HEADER;
	return blk_next_range(req);
}

/* The serial number, unterminated if it is full (§5.2.6.1). */
static uint8_t blk_get_id(const struct blk_request *req)
{
	const struct blk *blk = req->blk;
	char id[VIRTIO_BLK_ID_BYTES] = {0};
	const char *slash = strrchr(blk->disk->path, '/');
	const char *name = blk->params->serial;

	if (!name)
		name = slash ? slash + 1 : blk->disk->path;
	memcpy(id, name, MIN(strlen(name), sizeof(id)));
	virtq_chain_write(req->chain, 0, id, MIN(req->chain->in_len - 1, sizeof(id)));
	return VIRTIO_BLK_S_OK;
}

/* Empties the header out of what the device reads: leaves the data, maybe behind empty buffers. */
static void blk_skip_header(struct virtq_chain *chain)
{
	size_t left = BLK_HEADER;

	for (struct iovec *iov = chain->iov; left; iov++) {
		size_t part = MIN(left, iov->iov_len);

		iov->iov_base = (uint8_t *)iov->iov_base + part;
		iov->iov_len -= part;
		left -= part;
	}
}

static uint8_t blk_begin_type(struct blk_request *req)
{
	struct virtq_chain *chain = req->chain;
	struct virtio_blk_outhdr header;
	uint64_t sector;

	if (virtq_chain_read(chain, 0, &header, BLK_HEADER) != BLK_HEADER)
		return VIRTIO_BLK_S_IOERR;
	req->type = le32toh(header.type);
	sector = le64toh(header.sector);
	switch (req->type) {
	case VIRTIO_BLK_T_IN:
		return blk_transfer(req, DISK_READ, sector, virtq_chain_in(chain), chain->nr_in,
				    chain->in_len - 1);
	case VIRTIO_BLK_T_OUT:
		if (req->blk->disk->readonly)
			return VIRTIO_BLK_S_IOERR;
		blk_skip_header(chain);
		return blk_transfer(req, DISK_WRITE, sector, chain->iov, chain->nr_out,
				    chain->out_len - BLK_HEADER);
	case VIRTIO_BLK_T_FLUSH:
		return blk_submit(req, DISK_FLUSH);
	case VIRTIO_BLK_T_GET_ID:
		return blk_get_id(req);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return blk_ranges(req);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

static void blk_begin(struct blk_request *req, unsigned int q)
{
	struct virtq_chain *chain = req->chain;
	struct iovec *last;
	uint8_t status;

	req->q = q;
	disk_limit_pay(&req->blk->iops, 1);
	/* Without a place for the status all that can be returned is the chain. */
	if (!chain->in_len) {
		blk_return(req, 0);
		return;
	}
	/* The status is the very last byte; what is before it is data. */
	last = virtq_chain_in(chain) + chain->nr_in - 1;
	last->iov_len--;
	req->status = (uint8_t *)last->iov_base + last->iov_len;
	status = blk_begin_type(req);
	if (status != BLK_IN_FLIGHT)
		blk_finish(req, status);
}

/* --- completion --- */

/* What was in flight is done: what comes next for this request, if anything. */
static uint8_t blk_go_on(struct blk_request *req)
{
	struct blk *blk = req->blk;
	bool ranges = req->type == VIRTIO_BLK_T_DISCARD || req->type == VIRTIO_BLK_T_WRITE_ZEROES;
	uint8_t status = blk_status(blk, req->io.result);

	if (status != VIRTIO_BLK_S_OK)
		return status;
	if (ranges && req->io.op != DISK_FLUSH && req->next_range < req->chain->out_len)
		return blk_next_range(req);
	if (blk->flush_writes && (req->io.op == DISK_WRITE || ranges) && req->io.op != DISK_FLUSH)
		return blk_submit(req, DISK_FLUSH);
	return VIRTIO_BLK_S_OK;
}

/* Whether there was any. */
static bool blk_complete(struct blk *blk)
{
	struct disk_request *io;
	bool any = false;
	uint8_t status;

	while ((io = disk_queue_complete(blk->queue))) {
		struct blk_request *req = container_of(io, struct blk_request, io);

		any = true;
		blk->in_flight--;
		status = blk_go_on(req);
		if (status != BLK_IN_FLIGHT)
			blk_finish(req, status);
	}
	return any;
}

/* --- taking requests --- */

/* Whether the limits let another request pass; if not, a timer will look again. */
static bool blk_within_limits(struct blk *blk)
{
	uint64_t wait, now;

	if (!blk->iops.rate && !blk->bps.rate)
		return true;
	now = now_ns();
	wait = MAX(disk_limit_wait(&blk->iops, now), disk_limit_wait(&blk->bps, now));
	if (wait)
		loop_arm_timer(blk->limit_timer, wait);
	return !wait;
}

/*
 * Takes what queue q has. False when something is left there for which there is no room or no
 * leave: the queue is `waiting`, without kicks, until a completion or the timer.
 */
static bool blk_take(struct blk *blk, struct virtq *vq, unsigned int q, unsigned int *budget)
{
	struct blk_request *req;
	int got = 1;

	while (*budget && got > 0) {
		req = blk_within_limits(blk) ? blk_get_request(blk) : NULL;
		if (!req) {
			blk->waiting |= 1u << q;
			return false;
		}
		got = virtq_pop(vq, req->chain);
		if (got > 0)
			blk_begin(req, q);
		else
			blk_put_request(req);
		(*budget)--;
	}
	if (got < 0)
		virtio_needs_reset(blk->vdev, "a queue is broken");
	return got == 0;
}

static void blk_run(struct blk *blk, unsigned int q)
{
	struct virtq *vq = virtio_queue(blk->vdev, q);
	unsigned int budget = BLK_BATCH;
	bool emptied;

	if (!vq)
		return;
	blk->waiting &= ~(1u << q);
	do {
		virtq_disable_kicks(vq);
		emptied = blk_take(blk, vq, q, &budget);
	} while (emptied && virtq_enable_kicks(vq));
	if (!budget)
		virtio_device_kick(blk->vdev, q); /* ourselves, after the other events */
}

/* Starts what was taken. The kernel may be done with it at once; then nobody has to wake us. */
static void blk_start_taken(struct blk *blk)
{
	disk_queue_start(blk->queue);
	if (blk_complete(blk)) {
		disk_queue_start(blk->queue); /* what follows from it */
		if (blk->waiting)
			loop_arm_timer(blk->limit_timer, 1); /* there is room now */
	}
	blk_signal(blk);
}

static void blk_resume(struct blk *blk)
{
	for (uint32_t waiting = blk->waiting; waiting; waiting &= waiting - 1)
		blk_run(blk, __builtin_ctz(waiting));
	blk_start_taken(blk);
}

static void blk_kick(void *dev, unsigned int q)
{
	blk_run(dev, q);
	blk_start_taken(dev);
}

static void blk_done(void *arg)
{
	struct blk *blk = arg;

	blk_complete(blk);
	blk_resume(blk);
}

static void blk_limit_over(void *arg, uint32_t events)
{
	(void)events;
	blk_resume(arg);
}

/* --- life --- */

/* Returns when nothing is in flight. */
static void blk_drain(struct blk *blk)
{
	while (blk->in_flight) {
		disk_queue_wait(blk->queue);
		blk_complete(blk);
	}
	blk_signal(blk);
}

static void blk_stop(void *dev)
{
	struct blk *blk = dev;

	if (blk->queue)
		blk_drain(blk);
	loop_remove(blk->limit_timer);
	disk_queue_destroy(blk->queue);
	blk->limit_timer = NULL;
	blk->queue = NULL;
	blk->waiting = 0;
}

static void blk_queue_stop(void *dev, unsigned int q)
{
	struct blk *blk = dev;

	blk_drain(blk);
	blk->waiting &= ~(1u << q);
	/* Others may have been waiting for what was in flight here. */
	loop_arm_timer(blk->limit_timer, 1);
}

static int blk_start(void *dev, struct virtio_device *vdev)
{
	struct blk *blk = dev;
	struct loop *loop = virtio_loop(vdev);
	int err;

	blk->vdev = vdev;
	blk->flush_writes = !virtio_has_feature(vdev, VIRTIO_BLK_F_FLUSH);
	disk_limit_init(&blk->iops, blk->params->iops, now_ns());
	disk_limit_init(&blk->bps, blk->params->bps, now_ns());
	blk->queue = disk_queue_create(blk->disk, loop, blk_done, blk);
	if (blk->queue)
		blk->limit_timer = loop_add_timer(loop, blk_limit_over, blk);
	if (blk->limit_timer)
		return 0;
	err = -errno;
	blk_stop(blk);
	return err;
}

static void blk_destroy(void *dev)
{
	struct blk *blk = dev;
	struct blk_request *req;

	while ((req = blk->free)) {
		blk->free = req->next_free;
		virtq_chain_destroy(req->chain);
		free(req);
	}
	free(blk);
}

static const struct virtio_model blk_model = {
	.name = "virtio-blk",
	.id = VIRTIO_ID_BLOCK,
	.config_size = offsetof(struct virtio_blk_config, max_secure_erase_sectors),
	.features = blk_features,
	.config_read = blk_config_read,
	.start = blk_start,
	.stop = blk_stop,
	.kick = blk_kick,
	.queue_stop = blk_queue_stop,
	.destroy = blk_destroy,
};

struct virtio_device *blk_create(const struct memory *mem, const char *name, struct disk *disk,
				 const struct disk_params *params)
{
	uint16_t queue_sizes[DISK_MAX_QUEUES];
	struct blk *blk = calloc(1, sizeof(*blk));

	if (!blk) {
		log_error("%s: out of memory", name);
		return NULL;
	}
	blk->disk = disk;
	blk->params = params;
	blk->nr_queues = params->nr_queues ?: 1;
	blk->capacity = disk->size / BLK_SECTOR;
	for (unsigned int q = 0; q < blk->nr_queues; q++)
		queue_sizes[q] = BLK_QUEUE_SIZE;
	return virtio_device_create(&blk_model, blk, name, mem, blk->nr_queues, queue_sizes);
}

struct blk_resize {
	struct blk *blk;
	uint64_t size;
	int err;
};

static void blk_do_resize(void *arg)
{
	struct blk_resize *resize = arg;
	struct blk *blk = resize->blk;

	if (blk->queue)
		blk_drain(blk);
	resize->err = blk->disk->ops->resize(blk->disk, resize->size);
	if (!resize->err)
		blk->capacity = blk->disk->size / BLK_SECTOR;
	if (blk->queue)
		loop_arm_timer(blk->limit_timer, 1); /* those that waited for what was in flight */
}

int blk_resize(struct virtio_device *vdev, uint64_t size)
{
	struct blk_resize resize = {.blk = vdev->dev, .size = size};

	if (resize.blk->disk->readonly)
		return -EROFS;
	if (!resize.blk->disk->ops->resize)
		return -EOPNOTSUPP;
	if (size % MAX(blk_block_size(resize.blk), BLK_SECTOR))
		return -EINVAL;
	worker_call(vdev->worker, blk_do_resize, &resize);
	if (!resize.err)
		virtio_config_changed(vdev); /* §5.2.4: capacity is read anew */
	return resize.err;
}
