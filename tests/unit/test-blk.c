// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/blk.c virtio/device.c virtio/virtq.c disk/disk.c disk/raw.c disk/queue.c disk/uring.c disk/limit.c disk/qcow2.c disk/qcow2-open.c disk/qcow2-table.c disk/qcow2-alloc.c disk/qcow2-check.c disk/qcow2-inflate.c memory.c util/worker.c util/loop.c util/util.c util/log.c */
/* virtio-blk: an in-process driver on a real image, and on a disk that fails. */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/disk.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "virtio-driver.h"

#define SECTORS	   2048ull
#define QUEUE_SIZE 256

/* Guest memory of a request. */
#define HEADER (DRV_DATA)
#define STATUS (DRV_DATA + 0x800)
#define DATA   (DRV_DATA + 0x10000)

/* A disk in memory that fails when told to and counts. */
struct fake_disk {
	struct disk disk;
	uint8_t data[SECTORS * 512];
	atomic_int fail;
	atomic_uint flushes, discards, zeroes;
};

static int fake_preadv(struct disk *disk, struct iovec *iov, int nr, uint64_t off)
{
	struct fake_disk *f = container_of(disk, struct fake_disk, disk);

	for (int i = 0; i < nr; i++) {
		assert(range_contains(0, disk->size, off, iov[i].iov_len));
		memcpy(iov[i].iov_base, f->data + off, iov[i].iov_len);
		off += iov[i].iov_len;
	}
	return f->fail;
}

static int fake_pwritev(struct disk *disk, struct iovec *iov, int nr, uint64_t off)
{
	struct fake_disk *f = container_of(disk, struct fake_disk, disk);

	assert(!disk->readonly);
	for (int i = 0; i < nr; i++) {
		assert(range_contains(0, disk->size, off, iov[i].iov_len));
		memcpy(f->data + off, iov[i].iov_base, iov[i].iov_len);
		off += iov[i].iov_len;
	}
	return f->fail;
}

static int fake_flush(struct disk *disk)
{
	struct fake_disk *f = container_of(disk, struct fake_disk, disk);

	f->flushes++;
	return f->fail;
}

static int fake_discard(struct disk *disk, uint64_t off, uint64_t len)
{
	assert(range_contains(0, disk->size, off, len));
	container_of(disk, struct fake_disk, disk)->discards++;
	return 0;
}

static int fake_zeroes(struct disk *disk, uint64_t off, uint64_t len)
{
	struct fake_disk *f = container_of(disk, struct fake_disk, disk);

	assert(range_contains(0, disk->size, off, len));
	memset(f->data + off, 0, len);
	f->zeroes++;
	return 0;
}

static void fake_close(struct disk *disk)
{
	(void)disk;
}

static int fake_resize(struct disk *disk, uint64_t size)
{
	disk->size = size;
	return 0;
}

static const struct disk_ops fake_ops = {fake_preadv, fake_pwritev, fake_flush,	 fake_discard,
					 fake_zeroes, fake_close,   fake_resize, NULL};

struct setup {
	struct drv_ram ram;
	struct drv_transport transport;
	struct drv_queue q;
	struct fake_disk fake;
	struct disk_params params;
	struct virtio_device *vdev;
};

static void setup_device(struct setup *s, struct disk *disk, uint64_t but)
{
	s->vdev = blk_create(&s->ram.mem, "disk", disk, &s->params);
	assert_non_null(s->vdev);
	virtio_device_attach(s->vdev, &drv_transport_ops, &s->transport);
	assert_true(drv_negotiate(s->vdev, virtio_device_features(s->vdev) & ~but));
	drv_setup_queue(&s->q, s->vdev, &s->ram, 0, QUEUE_SIZE);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
	drv_enable_interrupts(&s->q, 0);
}

static int setup_init(void **state)
{
	struct setup *s = calloc(1, sizeof(*s));

	drv_ram_init(&s->ram);
	s->fake.disk = (struct disk){.ops = &fake_ops,
				     .path = "dir/a-name-of-twenty-four-b",
				     .size = sizeof(s->fake.data),
				     .block_size = 512};
	*state = s;
	return 0;
}

static int setup_fini(void **state)
{
	struct setup *s = *state;

	virtio_device_destroy(s->vdev);
	drv_ram_fini(&s->ram);
	free(s);
	return 0;
}

/* Sends a chain and returns its status byte at STATUS (0xee: not written). */
static uint8_t send_bufs(struct setup *s, const struct drv_buf *bufs, unsigned int nr_out,
			 unsigned int nr_in, uint32_t *written)
{
	uint8_t *status = drv_ptr(&s->ram, STATUS);
	uint32_t len = 0;
	int id;

	*status = 0xee;
	assert_true(drv_add(&s->q, bufs, nr_out, nr_in, 0) >= 0);
	virtio_device_kick(s->vdev, 0);
	assert_true(drv_wait_used(&s->q, &id, &len));
	if (written)
		*written = len;
	return *status;
}

static void set_header(struct setup *s, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr header = {.type = type, .sector = sector};

	memcpy(drv_ptr(&s->ram, HEADER), &header, sizeof(header));
}

/* The classic framing: header, data, status. */
static uint8_t request(struct setup *s, uint32_t type, uint64_t sector, uint32_t len)
{
	bool out = type != VIRTIO_BLK_T_IN && type != VIRTIO_BLK_T_GET_ID;
	struct drv_buf bufs[] = {{HEADER, 16}, {DATA, len}, {STATUS, 1}};

	set_header(s, type, sector);
	return send_bufs(s, bufs, out ? 2 : 1, out ? 1 : 2, NULL);
}

static void test_config(void **state)
{
	struct setup *s = *state;
	struct virtio_blk_config cfg;
	uint64_t features;

	setup_device(s, &s->fake.disk, 0);
	features = virtio_device_features(s->vdev);
	assert_true(features & DRV_BIT(VIRTIO_BLK_F_FLUSH));
	assert_true(features & DRV_BIT(VIRTIO_BLK_F_SEG_MAX));
	assert_true(features & DRV_BIT(VIRTIO_BLK_F_DISCARD));
	assert_false(features & DRV_BIT(VIRTIO_BLK_F_RO));
	virtio_device_config_read(s->vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(cfg.capacity, SECTORS);
	assert_int_equal(cfg.blk_size, 512);
	assert_int_equal(cfg.seg_max, QUEUE_SIZE - 2);
	assert_true(cfg.max_discard_sectors && cfg.max_discard_seg);
}

static void test_requests(void **state)
{
	struct setup *s = *state;
	char id[21] = "";

	setup_device(s, &s->fake.disk, 0);
	memset(drv_ptr(&s->ram, DATA), 0x5a, 8192);
	assert_int_equal(request(s, VIRTIO_BLK_T_OUT, 3, 8192), VIRTIO_BLK_S_OK);
	assert_int_equal(s->fake.data[3 * 512 - 1], 0);
	assert_int_equal(s->fake.data[3 * 512], 0x5a);
	assert_int_equal(s->fake.data[3 * 512 + 8191], 0x5a);
	assert_int_equal(s->fake.data[3 * 512 + 8192], 0);
	assert_int_equal(s->fake.flushes, 0);
	assert_int_equal(request(s, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(s->fake.flushes, 1);
	assert_int_equal(request(s, VIRTIO_BLK_T_IN, 2, 1024), VIRTIO_BLK_S_OK);
	assert_int_equal(*(uint8_t *)drv_ptr(&s->ram, DATA + 511), 0);
	assert_int_equal(*(uint8_t *)drv_ptr(&s->ram, DATA + 512), 0x5a);
	assert_int_equal(request(s, VIRTIO_BLK_T_GET_ID, 0, 20), VIRTIO_BLK_S_OK);
	memcpy(id, drv_ptr(&s->ram, DATA), 20);
	assert_string_equal(id, "a-name-of-twenty-fou");
	memset(drv_ptr(&s->ram, DATA), 0x11, 20);
	assert_int_equal(request(s, VIRTIO_BLK_T_GET_ID, 0, 3), VIRTIO_BLK_S_OK);
	assert_memory_equal(drv_ptr(&s->ram, DATA), "a-n\x11", 4);
	assert_int_equal(request(s, 77, 0, 512), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(request(s, VIRTIO_BLK_T_SECURE_ERASE, 0, 16), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(request(s, VIRTIO_BLK_T_SCSI_CMD, 0, 16), VIRTIO_BLK_S_UNSUPP);
	assert_true(s->transport.queue_irqs[0] > 0);
}

static void test_bounds(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
		uint8_t status;
	} cases[] = {
		{0, 512, VIRTIO_BLK_S_OK},
		{SECTORS - 1, 512, VIRTIO_BLK_S_OK},
		{SECTORS - 1, 1024, VIRTIO_BLK_S_IOERR},
		{SECTORS, 512, VIRTIO_BLK_S_IOERR},
		{SECTORS, 0, VIRTIO_BLK_S_OK},
		{SECTORS + 1, 0, VIRTIO_BLK_S_IOERR},
		{UINT64_MAX, 512, VIRTIO_BLK_S_IOERR},
		{UINT64_MAX / 512, 1024, VIRTIO_BLK_S_IOERR},
		{1ull << 55, 512, VIRTIO_BLK_S_IOERR}, /* times 512 is 2^64 */
		{(1ull << 55) + 1, 512, VIRTIO_BLK_S_IOERR},
		{0, 511, VIRTIO_BLK_S_IOERR},
		{0, 513, VIRTIO_BLK_S_IOERR},
	};
	struct setup *s = *state;

	setup_device(s, &s->fake.disk, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(request(s, VIRTIO_BLK_T_IN, cases[i].sector, cases[i].len),
				 cases[i].status);
		assert_int_equal(request(s, VIRTIO_BLK_T_OUT, cases[i].sector, cases[i].len),
				 cases[i].status);
	}
}

/* The framing is the driver's business: header, data and status in any pieces (§2.7.4). */
static void test_framing(void **state)
{
	struct setup *s = *state;
	unsigned int seed = 3;

	setup_device(s, &s->fake.disk, 0);
	for (unsigned int i = 0; i < 500; i++) {
		bool write = i % 2;
		uint32_t sectors = 1 + rand_r(&seed) % 4, n;
		uint64_t sector = rand_r(&seed) % (SECTORS - 4);
		uint32_t out = 16 + (write ? sectors * 512 : 0), in = write ? 0 : sectors * 512;
		struct drv_buf bufs[64];
		unsigned int nr_out = 0, nr_in = 0;
		uint64_t at = DATA;
		uint32_t written;
		uint8_t *status;

		/* All in one stretch of memory: header, data; then data, status. */
		for (uint32_t left = out; left; left -= n, at += n) {
			n = 1 + rand_r(&seed) % 300;
			n = MIN(n, left);
			bufs[nr_out++] = (struct drv_buf){at, n};
		}
		for (uint32_t left = in + 1; left; left -= n, at += n) {
			n = 1 + rand_r(&seed) % 300;
			n = MIN(n, left);
			bufs[nr_out + nr_in++] = (struct drv_buf){at, n};
		}
		set_header(s, write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, sector);
		memcpy(drv_ptr(&s->ram, DATA), drv_ptr(&s->ram, HEADER), 16);
		if (write)
			memset(drv_ptr(&s->ram, DATA + 16), i, sectors * 512);
		status = drv_ptr(&s->ram, at - 1);
		*status = 0xee;
		send_bufs(s, bufs, nr_out, nr_in, &written);
		assert_int_equal(*status, VIRTIO_BLK_S_OK);
		assert_int_equal(written, in + 1);
		assert_memory_equal(drv_ptr(&s->ram, DATA + 16), s->fake.data + sector * 512,
				    sectors * 512);
	}
}

/* Chains that are no requests come back too. */
static void test_malformed(void **state)
{
	const struct drv_buf only_header[] = {{HEADER, 16}};
	const struct drv_buf only_status[] = {{STATUS, 1}};
	const struct drv_buf short_header[] = {{HEADER, 15}, {STATUS, 1}};
	const struct drv_buf nothing[] = {{HEADER, 0}, {STATUS, 0}};
	struct setup *s = *state;
	uint32_t written;

	setup_device(s, &s->fake.disk, 0);
	set_header(s, VIRTIO_BLK_T_IN, 0);
	assert_int_equal(send_bufs(s, only_header, 1, 0, &written), 0xee);
	assert_int_equal(written, 0);
	assert_int_equal(send_bufs(s, nothing, 1, 1, &written), 0xee);
	assert_int_equal(written, 0);
	assert_int_equal(send_bufs(s, only_status, 0, 1, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(send_bufs(s, short_header, 1, 1, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(s, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(virtio_device_status(s->vdev), DRV_STATUS_RUNNING);
}

static uint8_t ranges(struct setup *s, uint32_t type, uint64_t sector, uint32_t nr, uint32_t flags,
		      uint32_t len)
{
	struct virtio_blk_discard_write_zeroes range = {sector, nr, flags};

	memcpy(drv_ptr(&s->ram, DATA), &range, sizeof(range));
	return request(s, type, 0, len);
}

static void test_discard(void **state)
{
	const uint32_t discard = VIRTIO_BLK_T_DISCARD, zeroes = VIRTIO_BLK_T_WRITE_ZEROES;
	struct setup *s = *state;

	setup_device(s, &s->fake.disk, 0);
	assert_int_equal(ranges(s, discard, 1, SECTORS - 1, 0, 16), VIRTIO_BLK_S_OK);
	assert_int_equal(s->fake.discards, 1);
	assert_int_equal(ranges(s, discard, 1, SECTORS, 0, 16), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ranges(s, discard, UINT64_MAX, 1, 0, 16), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ranges(s, discard, 0, UINT32_MAX, 0, 16), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ranges(s, discard, 1ull << 55, 1, 0, 16), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ranges(s, discard, 0, 1, 1, 16), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(ranges(s, discard, 0, 1, 0, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ranges(s, discard, 0, 1, 0, 17), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ranges(s, discard, 0, 1, 0, 65 * 16), VIRTIO_BLK_S_IOERR);
	assert_int_equal(s->fake.discards, 1);
	memset(s->fake.data, 9, 2048);
	assert_int_equal(ranges(s, zeroes, 1, 2, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP, 16),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(s->fake.data[511], 9);
	assert_int_equal(s->fake.data[512] | s->fake.data[1535], 0);
	assert_int_equal(s->fake.data[1536], 9);
	assert_int_equal(ranges(s, zeroes, 1, 2, 2, 16), VIRTIO_BLK_S_UNSUPP);
}

static void test_readonly(void **state)
{
	struct setup *s = *state;

	s->fake.disk.readonly = true;
	setup_device(s, &s->fake.disk, 0);
	assert_true(virtio_device_features(s->vdev) & DRV_BIT(VIRTIO_BLK_F_RO));
	assert_false(virtio_device_features(s->vdev) & DRV_BIT(VIRTIO_BLK_F_DISCARD));
	assert_int_equal(request(s, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(request(s, VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ranges(s, VIRTIO_BLK_T_DISCARD, 0, 1, 0, 16), VIRTIO_BLK_S_IOERR);
	assert_int_equal(s->fake.discards, 0);
}

static void test_errors(void **state)
{
	struct setup *s = *state;

	setup_device(s, &s->fake.disk, 0);
	s->fake.fail = -ENOSPC;
	assert_int_equal(request(s, VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(s, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(s, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_IOERR);
	s->fake.fail = 0;
	assert_int_equal(request(s, VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_OK);
}

/* A driver that has no FLUSH relies on each write (§5.2.6.2). */
static void test_write_through(void **state)
{
	struct setup *s = *state;

	setup_device(s, &s->fake.disk, DRV_BIT(VIRTIO_BLK_F_FLUSH));
	assert_int_equal(request(s, VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(s->fake.flushes, 1);
}

/* Sectors of a pattern that says where they belong, read and written with many in flight. */
static void many_in_flight(struct setup *s, unsigned int nr_queues, unsigned int rounds)
{
	struct drv_queue q[DISK_MAX_QUEUES];
	unsigned int todo = 0;
	uint32_t len;
	int id;

	assert_true(drv_negotiate(s->vdev, virtio_device_features(s->vdev)));
	for (unsigned int i = 0; i < nr_queues; i++)
		drv_setup_queue(&q[i], s->vdev, &s->ram, i, QUEUE_SIZE);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
	for (unsigned int round = 0; round < rounds; round++) {
		bool write = round % 2 == 0;

		for (unsigned int i = 0; i < 64; i++) {
			uint64_t base = DATA + i * 0x1000;
			struct virtio_blk_outhdr header = {
				.type = write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
				.sector = i * 4 + round / 2 * 64 * 4 % SECTORS};
			struct drv_buf bufs[] = {{base, 16}, {base + 16, 2048}, {base + 0xfff, 1}};

			memcpy(drv_ptr(&s->ram, base), &header, sizeof(header));
			*(uint8_t *)drv_ptr(&s->ram, base + 0xfff) = 0xee;
			memset(drv_ptr(&s->ram, base + 16), write ? i + round : 0xaa, 2048);
			assert_true(drv_add(&q[i % nr_queues], bufs, write ? 2 : 1, write ? 1 : 2,
					    0) >= 0);
			todo++;
		}
		for (unsigned int i = 0; i < nr_queues; i++)
			virtio_device_kick(s->vdev, i);
		assert_true(DRV_WAIT(({
			for (unsigned int i = 0; i < nr_queues; i++)
				while (drv_get_used(&q[i], &id, &len))
					todo--;
			!todo;
		})));
		for (unsigned int i = 0; i < 64; i++) {
			uint8_t *data = drv_ptr(&s->ram, DATA + i * 0x1000);

			assert_int_equal(data[0xfff], VIRTIO_BLK_S_OK);
			assert_int_equal(data[16], (uint8_t)(i + round - !write));
			assert_int_equal(data[16 + 2047], (uint8_t)(i + round - !write));
		}
	}
}

static struct disk *image_open(char *path, struct disk_params *params)
{
	int fd = mkostemp(path, O_CLOEXEC);
	struct disk *disk;

	assert_int_equal(ftruncate(fd, SECTORS * 512), 0);
	close(fd);
	params->path = path;
	disk = disk_open(params);
	unlink(path);
	return disk;
}

static void test_queues(void **state)
{
	char path[] = "/var/tmp/lkvm-blk-XXXXXX";
	struct setup *s = *state;
	struct disk *disk = image_open(path, &s->params);
	struct virtio_blk_config cfg;

	assert_non_null(disk);
	s->params.nr_queues = 4;
	s->vdev = blk_create(&s->ram.mem, "disk", disk, &s->params);
	virtio_device_attach(s->vdev, &drv_transport_ops, &s->transport);
	assert_true(virtio_device_features(s->vdev) & DRV_BIT(VIRTIO_BLK_F_MQ));
	virtio_device_config_read(s->vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(cfg.num_queues, 4);
	many_in_flight(s, 4, 40);
	virtio_device_set_status(s->vdev, 0);
	many_in_flight(s, 1, 40);
	virtio_device_destroy(s->vdev);
	/* The same by threads: a disk that has nothing for the kernel to do. */
	s->params.nr_queues = 2;
	s->vdev = blk_create(&s->ram.mem, "disk", &s->fake.disk, &s->params);
	virtio_device_attach(s->vdev, &drv_transport_ops, &s->transport);
	many_in_flight(s, 2, 40);
	virtio_device_destroy(s->vdev);
	s->vdev = NULL;
	disk_close(disk);
}

/* A queue goes down and comes back while requests of it and of another are in flight (§2.6.1). */
static void test_queue_reset(void **state)
{
	char path[] = "/var/tmp/lkvm-blk-XXXXXX";
	struct setup *s = *state;
	struct disk *disk = image_open(path, &s->params);
	struct drv_buf bufs[] = {{HEADER, 16}, {DATA, 4096}, {STATUS, 1}};

	s->params.nr_queues = 2;
	setup_device(s, disk, 0);
	for (unsigned int i = 0; i < 50; i++) {
		set_header(s, VIRTIO_BLK_T_IN, 0);
		while (drv_add(&s->q, bufs, 1, 2, 0) >= 0)
			;
		virtio_device_kick(s->vdev, 0);
		virtio_device_reset_queue(s->vdev, 0);
		drv_setup_queue(&s->q, s->vdev, &s->ram, 0, QUEUE_SIZE);
	}
	assert_int_equal(request(s, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	virtio_device_destroy(s->vdev);
	s->vdev = NULL;
	disk_close(disk);
}

static void test_params(void **state)
{
	struct setup *s = *state;
	struct virtio_blk_config cfg;
	char id[21] = "";

	s->params = (struct disk_params){.serial = "S123", .block_size = 1024, .no_discard = true};
	s->fake.disk.physical_block_size = 4096;
	s->fake.disk.optimal_io_size = 65536;
	setup_device(s, &s->fake.disk, 0);
	assert_false(virtio_device_features(s->vdev) & DRV_BIT(VIRTIO_BLK_F_DISCARD));
	assert_false(virtio_device_features(s->vdev) & DRV_BIT(VIRTIO_BLK_F_MQ));
	assert_true(virtio_device_features(s->vdev) & DRV_BIT(VIRTIO_BLK_F_TOPOLOGY));
	virtio_device_config_read(s->vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(cfg.blk_size, 1024);
	assert_int_equal(cfg.physical_block_exp, 2);
	assert_int_equal(cfg.opt_io_size, 64);
	assert_int_equal(request(s, VIRTIO_BLK_T_GET_ID, 0, 20), VIRTIO_BLK_S_OK);
	memcpy(id, drv_ptr(&s->ram, DATA), 20);
	assert_string_equal(id, "S123");
	assert_int_equal(ranges(s, VIRTIO_BLK_T_DISCARD, 0, 1, 0, 16), VIRTIO_BLK_S_UNSUPP);
}

/* 400 requests a second: a tenth of a second's worth at once, then at that pace. */
static void test_limits(void **state)
{
	struct setup *s = *state;
	uint64_t start, ms;

	s->params.iops = 400;
	setup_device(s, &s->fake.disk, 0);
	start = now_ns();
	for (unsigned int i = 0; i < 160; i++)
		assert_int_equal(request(s, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	ms = (now_ns() - start) / 1000000;
	assert_in_range(ms, 250, 1500);
}

static void test_resize(void **state)
{
	struct setup *s = *state;
	struct virtio_blk_config cfg;

	setup_device(s, &s->fake.disk, 0);
	assert_int_equal(blk_resize(s->vdev, SECTORS * 512 - 1), -EINVAL);
	assert_int_equal(blk_resize(s->vdev, SECTORS * 512 / 2), 0);
	assert_int_equal(s->transport.config_irqs, 1);
	virtio_device_config_read(s->vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(cfg.capacity, SECTORS / 2);
	assert_int_equal(request(s, VIRTIO_BLK_T_IN, SECTORS / 2, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(s, VIRTIO_BLK_T_IN, SECTORS / 2 - 1, 512), VIRTIO_BLK_S_OK);
	s->fake.disk.readonly = true;
	assert_int_equal(blk_resize(s->vdev, SECTORS * 512), -EROFS);
}

/* On an image, with every kind of ring, reset while requests are in flight. */
static void test_image(void **state)
{
	static const uint64_t kinds[] = {
		0,
		DRV_BIT(VIRTIO_F_RING_PACKED),
		DRV_BIT(VIRTIO_RING_F_EVENT_IDX),
		DRV_BIT(VIRTIO_F_RING_PACKED) | DRV_BIT(VIRTIO_RING_F_EVENT_IDX),
	};
	char path[] = "/var/tmp/lkvm-blk-XXXXXX";
	const struct disk_params params = {.path = path};
	struct setup *s = *state;
	int fd = mkostemp(path, O_CLOEXEC);
	struct disk *disk;

	assert_int_equal(ftruncate(fd, SECTORS * 512), 0);
	close(fd);
	disk = disk_open(&params);
	assert_non_null(disk);
	for (unsigned int k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct drv_buf bufs[] = {{HEADER, 16}, {DATA, 4096}, {STATUS, 1}};

		setup_device(s, disk, kinds[k]);
		memset(drv_ptr(&s->ram, DATA), k + 1, 4096);
		assert_int_equal(request(s, VIRTIO_BLK_T_OUT, k * 8, 4096), VIRTIO_BLK_S_OK);
		memset(drv_ptr(&s->ram, DATA), 0, 4096);
		assert_int_equal(request(s, VIRTIO_BLK_T_IN, k * 8, 4096), VIRTIO_BLK_S_OK);
		assert_int_equal(*(uint8_t *)drv_ptr(&s->ram, DATA + 4095), k + 1);
		for (unsigned int i = 0; i < 20; i++) {
			set_header(s, VIRTIO_BLK_T_IN, 0);
			while (drv_add(&s->q, bufs, 1, 2, 0) >= 0)
				;
			virtio_device_kick(s->vdev, 0);
			if (i % 2)
				drv_pause();
			virtio_device_set_status(s->vdev, 0);
			assert_true(drv_negotiate(s->vdev, virtio_device_features(s->vdev)));
			drv_setup_queue(&s->q, s->vdev, &s->ram, 0, QUEUE_SIZE);
			virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
		}
		assert_int_equal(request(s, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
		virtio_device_destroy(s->vdev);
		s->vdev = NULL;
	}
	disk_close(disk);
	unlink(path);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_init, setup_fini)
	const struct CMUnitTest tests[] = {
		TEST(test_config),   TEST(test_requests),  TEST(test_bounds),
		TEST(test_framing),  TEST(test_malformed), TEST(test_discard),
		TEST(test_readonly), TEST(test_errors),	   TEST(test_write_through),
		TEST(test_image),    TEST(test_queues),	   TEST(test_queue_reset),
		TEST(test_params),   TEST(test_limits),	   TEST(test_resize),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
