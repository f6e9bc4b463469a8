// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/balloon.c virtio/device.c virtio/virtq.c memory.c util/worker.c util/loop.c util/util.c util/log.c */
/* virtio-balloon: an in-process driver whose RAM is a file, as a VM's is; what is given back shows. */
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "virtio-driver.h"

#define QUEUE_SIZE 128
#define PAGE	   4096ull
#define NR_QUEUES  5

enum { INFLATE, DEFLATE, STATS };

#define LIST   (DRV_DATA)		/* page numbers, statistics */
#define PAGES  (DRV_DATA + 0x100000ull) /* pages to give away */
#define PFN(n) ((uint32_t)((PAGES >> 12) + (n)))

struct setup {
	struct drv_ram ram;
	int ram_fd, notify_fd;
	struct drv_transport transport;
	struct drv_queue q[NR_QUEUES];
	struct virtio_device *vdev;
};

static void begin(struct setup *s, uint64_t without)
{
	assert_true(drv_negotiate(s->vdev, virtio_device_features(s->vdev) & ~without));
	for (unsigned int i = 0; i < NR_QUEUES; i++)
		drv_setup_queue(&s->q[i], s->vdev, &s->ram, i, QUEUE_SIZE);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
	for (unsigned int i = 0; i < NR_QUEUES; i++)
		drv_enable_interrupts(&s->q[i], 0);
}

static int setup_init(void **state)
{
	struct setup *s = calloc(1, sizeof(*s));

	s->ram_fd = memfd_create("ram", MFD_CLOEXEC);
	assert_int_equal(ftruncate(s->ram_fd, DRV_RAM_SIZE), 0);
	s->ram.hva = mmap(NULL, DRV_RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->ram_fd, 0);
	assert_ptr_not_equal(s->ram.hva, MAP_FAILED);
	s->ram.mem.nr_banks = 1;
	s->ram.mem.bank[0] = (struct memory_bank){
		.gpa = DRV_GPA, .size = DRV_RAM_SIZE, .hva = s->ram.hva, .fd = s->ram_fd};
	memset(s->ram.hva, 0x5a, DRV_RAM_SIZE);
	s->notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->vdev = balloon_create(&s->ram.mem, "balloon", 3 * PAGE);
	assert_non_null(s->vdev);
	virtio_device_attach(s->vdev, &drv_transport_ops, &s->transport);
	begin(s, 0);
	*state = s;
	return 0;
}

static int setup_fini(void **state)
{
	struct setup *s = *state;

	virtio_device_destroy(s->vdev);
	munmap(s->ram.hva, DRV_RAM_SIZE);
	close(s->ram_fd);
	close(s->notify_fd);
	free(s);
	return 0;
}

/* Pages of RAM that the host has to keep. */
static uint64_t ram_pages(struct setup *s)
{
	struct stat st;

	assert_int_equal(fstat(s->ram_fd, &st), 0);
	return (uint64_t)st.st_blocks * 512 / PAGE;
}

static bool page_is(struct setup *s, uint64_t gpa, uint8_t byte)
{
	uint8_t *page = drv_ptr(&s->ram, gpa);

	for (unsigned int i = 0; i < PAGE; i++)
		if (page[i] != byte)
			return false;
	return true;
}

static void wait_done(struct setup *s, unsigned int q)
{
	uint32_t len;
	int id;

	assert_true(drv_wait_used(&s->q[q], &id, &len));
}

static void send_list(struct setup *s, unsigned int q, const void *list, uint32_t len)
{
	struct drv_buf buf = {LIST, len};

	memcpy(drv_ptr(&s->ram, LIST), list, len);
	assert_true(drv_add(&s->q[q], &buf, 1, 0, 0) >= 0);
	virtio_device_kick(s->vdev, q);
	wait_done(s, q);
}

static void test_inflate(void **state)
{
	struct setup *s = *state;
	const uint32_t up[] = {PFN(0), PFN(1), PFN(2), PFN(7)};
	const uint32_t down[] = {PFN(13), PFN(12), PFN(11), PFN(13)};
	uint64_t before = ram_pages(s);

	send_list(s, INFLATE, up, sizeof(up));
	assert_int_equal(ram_pages(s), before - 4);
	send_list(s, INFLATE, down, sizeof(down));
	assert_int_equal(ram_pages(s), before - 7);
	for (unsigned int i = 0; i < 16; i++) {
		bool gone = i < 3 || i == 7 || (i >= 11 && i <= 13);

		assert_true(page_is(s, PAGES + i * PAGE, gone ? 0 : 0x5a));
	}
	/* That looked at them, and that is all that deflating takes. */
	send_list(s, DEFLATE, up, sizeof(up));
	memset(drv_ptr(&s->ram, PAGES), 1, PAGE);
	assert_true(page_is(s, PAGES, 1));
}

static void test_inflate_hostile(void **state)
{
	struct setup *s = *state;
	const uint32_t bad[] = {
		0,	    UINT32_MAX, (DRV_GPA >> 12) - 1, (DRV_GPA + DRV_RAM_SIZE) >> 12,
		0x80000000, PFN(1)};
	struct drv_buf odd[] = {{LIST, 3}, {LIST + 3, 6}, {LIST + 9, 2}};
	struct drv_buf in = {LIST, 64}, huge = {PAGES, 0x200000};
	uint64_t before = ram_pages(s);

	send_list(s, INFLATE, bad, sizeof(bad));
	assert_int_equal(ram_pages(s), before - 1);
	/* Not a multiple of 4, in pieces that cut numbers; numbers in a buffer of the wrong kind. */
	memcpy(drv_ptr(&s->ram, LIST), (uint32_t[]){PFN(2), PFN(3), PFN(4)}, 12);
	assert_true(drv_add(&s->q[INFLATE], odd, 3, 0, 0) >= 0);
	assert_true(drv_add(&s->q[INFLATE], &in, 0, 1, 0) >= 0);
	/* More numbers than anybody sends; all the same page, the first one aside. */
	for (uint32_t i = 0; i < huge.len / 4; i++)
		((uint32_t *)drv_ptr(&s->ram, PAGES))[i] = PFN(0x1f0);
	before = ram_pages(s);
	assert_true(drv_add(&s->q[INFLATE], &huge, 1, 0, 0) >= 0);
	virtio_device_kick(s->vdev, INFLATE);
	for (unsigned int i = 0; i < 3; i++)
		wait_done(s, INFLATE);
	assert_true(ram_pages(s) < before);
	assert_int_equal(virtio_device_status(s->vdev), DRV_STATUS_RUNNING);
}

/* Free pages are buffers; what is not a whole page of theirs stays. */
static void check_reporting(struct setup *s, unsigned int q)
{
	struct drv_buf bufs[] = {{PAGES, 4 * PAGE}, {PAGES + 8 * PAGE + 100, 3 * PAGE}};
	uint64_t before = ram_pages(s);

	memset(drv_ptr(&s->ram, PAGES), 0x5a, 16 * PAGE);
	assert_true(drv_add(&s->q[q], bufs, 0, 2, 0) >= 0);
	virtio_device_kick(s->vdev, q);
	wait_done(s, q);
	assert_int_equal(ram_pages(s), before - 6);
	for (unsigned int i = 0; i < 16; i++)
		assert_true(page_is(s, PAGES + i * PAGE, i < 4 || i == 9 || i == 10 ? 0 : 0x5a));
}

static void test_reporting(void **state)
{
	check_reporting(*state, 3); /* Linux */
	check_reporting(*state, 4); /* virtio 1.2 §5.5.2 */
}

static void test_reporting_not_negotiated(void **state)
{
	struct setup *s = *state;
	struct drv_buf buf = {PAGES, 4 * PAGE};
	uint64_t before;

	begin(s, DRV_BIT(VIRTIO_BALLOON_F_REPORTING));
	before = ram_pages(s);
	assert_true(drv_add(&s->q[3], &buf, 0, 1, 0) >= 0);
	virtio_device_kick(s->vdev, 3);
	virtio_device_kick(s->vdev, 4);
	send_list(s, DEFLATE, "", 1); /* the worker has seen both by then */
	assert_int_equal(ram_pages(s), before);
}

static void test_config(void **state)
{
	struct setup *s = *state;
	unsigned int irqs = s->transport.config_irqs;
	uint8_t config[16];

	virtio_device_config_read(s->vdev, 0, config, sizeof(config));
	assert_int_equal(le_load(config, 4), 3);
	assert_int_equal(le_load(config + 4, 4), 0);
	balloon_set_target(s->vdev, 100 * MIB);
	assert_int_equal(s->transport.config_irqs, irqs + 1);
	virtio_device_config_read(s->vdev, 0, config, 4);
	assert_int_equal(le_load(config, 4), 25600);

	le_store(config, 4, 0x01020304);
	virtio_device_config_write(s->vdev, 4, config, 4);
	virtio_device_config_write(s->vdev, 0, config, 4); /* the target is not the driver's */
	virtio_device_config_write(s->vdev, 6, config, 4); /* beyond the end */
	assert_int_equal(balloon_get_stats(s->vdev).actual, 0x01020304 * PAGE);
	assert_int_equal(balloon_get_stats(s->vdev).target, 100 * MIB);
	virtio_device_config_write(s->vdev, 5, "\xff", 1);
	assert_int_equal(balloon_get_stats(s->vdev).actual, 0x0102ff04 * PAGE);

	/* The next driver's balloon is empty, what is wanted in it stays. */
	begin(s, 0);
	assert_int_equal(balloon_get_stats(s->vdev).actual, 0);
	assert_int_equal(balloon_get_stats(s->vdev).target, 100 * MIB);
	balloon_set_target(s->vdev, UINT64_MAX);
	assert_int_equal(balloon_get_stats(s->vdev).target, (uint64_t)UINT32_MAX * PAGE);
}

/* --- statistics --- */

static void put_stat(struct setup *s, unsigned int i, uint16_t tag, uint64_t val)
{
	uint8_t *at = (uint8_t *)drv_ptr(&s->ram, LIST) + i * 10;

	le_store(at, 2, tag);
	le_store(at + 2, 8, val);
}

static void give_stats(struct setup *s, uint32_t len)
{
	struct drv_buf buf = {LIST, len};

	assert_true(drv_add(&s->q[STATS], &buf, 1, 0, 0) >= 0);
	virtio_device_kick(s->vdev, STATS);
}

static bool notified(struct setup *s, int ms)
{
	struct pollfd pfd = {.fd = s->notify_fd, .events = POLLIN};
	eventfd_t count;

	return poll(&pfd, 1, ms) == 1 && eventfd_read(s->notify_fd, &count) == 0;
}

static void test_stats(void **state)
{
	struct setup *s = *state;
	struct balloon_stats stats;
	uint64_t asked;

	assert_int_equal(balloon_get_stats(s->vdev).when_ns, 0);
	put_stat(s, 0, VIRTIO_BALLOON_S_MEMFREE, 11);
	put_stat(s, 1, VIRTIO_BALLOON_S_MEMTOT, 0x1122334455667788);
	put_stat(s, 2, 0xffff, 5);
	put_stat(s, 3, VIRTIO_BALLOON_S_NR, 6);
	give_stats(s, 40);
	assert_true(DRV_WAIT(balloon_get_stats(s->vdev).when_ns));
	stats = balloon_get_stats(s->vdev);
	assert_true(stats.known[VIRTIO_BALLOON_S_MEMFREE] && stats.known[VIRTIO_BALLOON_S_MEMTOT]);
	assert_false(stats.known[VIRTIO_BALLOON_S_AVAIL]);
	assert_int_equal(stats.value[VIRTIO_BALLOON_S_MEMFREE], 11);
	assert_int_equal(stats.value[VIRTIO_BALLOON_S_MEMTOT], 0x1122334455667788);
	assert_false(notified(s, 0));

	/*
	 * Asked, the device hands the buffer back; asked again meanwhile, it waits, or hands it
	 * back once more if that came after the answer.
	 */
	for (unsigned int i = 0; i < 300; i++) {
		asked = now_ns();
		assert_int_equal(balloon_request_stats(s->vdev, s->notify_fd), 0);
		wait_done(s, STATS);
		assert_int_equal(balloon_request_stats(s->vdev, s->notify_fd), 0);
		put_stat(s, 0, VIRTIO_BALLOON_S_AVAIL, i);
		give_stats(s, 10);
		assert_true(notified(s, 10000));
		stats = balloon_get_stats(s->vdev);
		assert_true(stats.when_ns >= asked);
		assert_int_equal(stats.value[VIRTIO_BALLOON_S_AVAIL], i);
		assert_false(stats.known[VIRTIO_BALLOON_S_MEMFREE]);
	}
}

static void test_stats_any_length(void **state)
{
	struct setup *s = *state;
	static const uint32_t lengths[] = {1, 9, 10, 11, 99, 101, 4096, 0x200000};

	for (unsigned int i = 0; i < 64; i++)
		put_stat(s, i, i % 12, i);
	give_stats(s, 10);
	assert_true(DRV_WAIT(balloon_get_stats(s->vdev).when_ns));
	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct balloon_stats stats;

		assert_int_equal(balloon_request_stats(s->vdev, s->notify_fd), 0);
		wait_done(s, STATS);
		give_stats(s, lengths[i]);
		assert_true(notified(s, 10000));
		stats = balloon_get_stats(s->vdev);
		assert_int_equal(stats.known[0], lengths[i] >= 10);
		assert_int_equal(stats.known[9], lengths[i] >= 100);
	}
	/* Several buffers at once, and none that is read at all. */
	for (unsigned int i = 0; i < 5; i++) {
		struct drv_buf in = {LIST, 10};

		assert_true(drv_add(&s->q[STATS], &in, 0, 1, 0) >= 0);
	}
	assert_int_equal(balloon_request_stats(s->vdev, s->notify_fd), 0);
	assert_true(notified(s, 10000));
	wait_done(s, STATS);
	assert_int_equal(virtio_device_status(s->vdev), DRV_STATUS_RUNNING);
}

/* Without a driver, or one that does not tell: refused at once. One that never answers, or breaks
 * its queue, or is reset in between: nobody hangs, and the next one is asked all the same. */
static void test_stats_no_answer(void **state)
{
	struct setup *s = *state;
	struct drv_buf bad = {DRV_GPA + DRV_RAM_SIZE, 10};

	assert_int_equal(balloon_request_stats(s->vdev, s->notify_fd), 0);
	assert_false(notified(s, 20));
	begin(s, DRV_BIT(VIRTIO_BALLOON_F_STATS_VQ));
	assert_int_equal(balloon_request_stats(s->vdev, s->notify_fd), -ENOTCONN);
	virtio_device_set_status(s->vdev, 0);
	assert_int_equal(balloon_request_stats(s->vdev, s->notify_fd), -ENOTCONN);

	begin(s, 0);
	assert_int_equal(balloon_request_stats(s->vdev, s->notify_fd), 0);
	give_stats(s, 10);
	assert_true(notified(s, 10000));
	assert_int_equal(balloon_request_stats(s->vdev, s->notify_fd), 0);
	virtio_device_reset_queue(s->vdev, STATS); /* with the buffer here or just gone */
	drv_setup_queue(&s->q[STATS], s->vdev, &s->ram, STATS, QUEUE_SIZE);
	give_stats(s, 10);
	assert_true(notified(s, 10000));

	assert_int_equal(balloon_request_stats(s->vdev, s->notify_fd), 0);
	wait_done(s, STATS);
	assert_true(drv_add(&s->q[STATS], &bad, 1, 0, 0) >= 0);
	virtio_device_kick(s->vdev, STATS);
	assert_true(DRV_WAIT(virtio_device_status(s->vdev) & VIRTIO_CONFIG_S_NEEDS_RESET));
	assert_int_equal(balloon_request_stats(s->vdev, s->notify_fd), -ENOTCONN);
	begin(s, 0);
	give_stats(s, 10);
	assert_true(DRV_WAIT(balloon_get_stats(s->vdev).when_ns));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup_init, setup_fini)
	const struct CMUnitTest tests[] = {
		TEST(test_inflate),	     TEST(test_inflate_hostile),
		TEST(test_reporting),	     TEST(test_reporting_not_negotiated),
		TEST(test_config),	     TEST(test_stats),
		TEST(test_stats_any_length), TEST(test_stats_no_answer),
	};

	log_set_level(LOG_LEVEL_ERROR); /* what the driver does wrong here is on purpose */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
