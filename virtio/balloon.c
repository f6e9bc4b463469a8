// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio memory balloon (virtio 1.2 §5.5). Pages in the balloon, and free pages that the driver
 * reports, are holes in the file behind RAM: the host has them back until the guest touches them
 * again, when they are zeroes. So nothing has to be done for a page that leaves the balloon, and
 * the driver need not tell before it uses one (MUST_TELL_HOST is not offered).
 */
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/memory.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "kvm/virtio.h"
#include "kvm/worker.h"

#define BALLOON_QUEUE_SIZE 128
#define BALLOON_PAGE_SIZE  (UINT64_C(1) << VIRTIO_BALLOON_PFN_SHIFT)
/* Of one request: Linux sends 256 at a time. More are left in place, lest they take all day. */
#define BALLOON_MAX_PFNS  4096
#define BALLOON_MAX_STATS 64

_Static_assert(BALLOON_NR_STATS == VIRTIO_BALLOON_S_NR, "statistics");

/*
 * §5.5.2. A queue exists only if its feature was negotiated, and drivers differ in whether those
 * behind it move up: reporting_vq is queue 4 of the specification and, as FREE_PAGE_HINT is not
 * offered, queue 3 of Linux. Both work here; no other use of either is possible.
 */
enum { BALLOON_INFLATE, BALLOON_DEFLATE, BALLOON_STATS, BALLOON_REPORTING, BALLOON_NR_QUEUES = 5 };

struct balloon {
	const struct memory *mem;
	uint64_t ram_page; /* bytes that the host can take back at a time */

	/* The worker's. */
	struct virtio_device *vdev;
	struct virtq_chain *chain, *stats_chain;
	bool stats_held; /* stats_chain is here, until somebody asks for new ones */
	bool stats_sent; /* the driver has got its first buffer back */
	struct loop_source *ask;

	pthread_mutex_t lock;	 /* protects what follows; a leaf */
	uint32_t target, actual; /* pages, as in the configuration space (§5.5.4) */
	int notify_fd;		 /* who asked is told here; -1: nobody did */
	struct balloon_stats stats;
};

static uint64_t balloon_features(void *dev)
{
	(void)dev;
	return UINT64_C(1) << VIRTIO_BALLOON_F_STATS_VQ |
	       UINT64_C(1) << VIRTIO_BALLOON_F_DEFLATE_ON_OOM |
	       UINT64_C(1) << VIRTIO_BALLOON_F_REPORTING;
}

/* --- configuration space: target, actual; little-endian for legacy drivers, too (§5.5.4.1) --- */

#define BALLOON_CONFIG_SIZE 8

static void balloon_config_read(void *dev, uint32_t off, void *buf, uint32_t len)
{
	struct balloon *balloon = dev;
	uint8_t config[BALLOON_CONFIG_SIZE];

	pthread_mutex_lock(&balloon->lock);
	le_store(config, 4, balloon->target);
	le_store(config + 4, 4, balloon->actual);
	pthread_mutex_unlock(&balloon->lock);
	memcpy(buf, config + off, len);
}

static void balloon_config_write(void *dev, uint32_t off, const void *buf, uint32_t len)
{
	struct balloon *balloon = dev;
	uint8_t config[BALLOON_CONFIG_SIZE];

	pthread_mutex_lock(&balloon->lock);
	le_store(config + 4, 4, balloon->actual);
	memcpy(config + off, buf, len);
	balloon->actual = le_load(config + 4, 4); /* the target is not the driver's */
	pthread_mutex_unlock(&balloon->lock);
}

/* --- giving memory back --- */

/*
 * RAM is a shared mapping of a file, where MADV_DONTNEED would unmap pages and keep them; REMOVE
 * makes the hole. Only whole pages of the file can go. Of a failure the guest sees nothing.
 */
static void balloon_discard(const struct balloon *balloon, uint8_t *hva, uint64_t len)
{
	uintptr_t start = ALIGN_UP((uintptr_t)hva, balloon->ram_page);
	uintptr_t end = ALIGN_DOWN((uintptr_t)hva + len, balloon->ram_page);

	if (start < end && madvise((void *)start, end - start, MADV_REMOVE))
		log_guest("balloon: the host does not take memory back: %m");
}

/* One request of the inflate queue: page numbers (§5.5.6). Neighbours go together. */
static uint32_t balloon_inflate(void *dev, struct virtq_chain *chain)
{
	struct balloon *balloon = dev;
	uint8_t *run = NULL, pfn[4];
	uint64_t run_len = 0, nr = MIN(chain->out_len / sizeof(pfn), (uint64_t)BALLOON_MAX_PFNS);

	for (uint64_t i = 0; i < nr; i++) {
		uint8_t *page;

		virtq_chain_read(chain, i * sizeof(pfn), pfn, sizeof(pfn));
		page = guest_ptr(balloon->mem, le_load(pfn, 4) * BALLOON_PAGE_SIZE,
				 BALLOON_PAGE_SIZE);
		if (!page) {
			log_guest("balloon: page 0x%x is not in RAM",
				  (unsigned int)le_load(pfn, 4));
			continue;
		}
		if (run && page == run + run_len) {
			run_len += BALLOON_PAGE_SIZE;
		} else if (run && page + BALLOON_PAGE_SIZE == run) {
			run = page;
			run_len += BALLOON_PAGE_SIZE;
		} else {
			balloon_discard(balloon, run, run_len);
			run = page;
			run_len = BALLOON_PAGE_SIZE;
		}
	}
	balloon_discard(balloon, run, run_len);
	return 0;
}

static uint32_t balloon_deflate(void *dev, struct virtq_chain *chain)
{
	(void)dev;
	(void)chain;
	return 0;
}

/* The buffers are the free pages themselves (§5.5.6.7); virtq.c found them to be in RAM. */
static uint32_t balloon_report(void *dev, struct virtq_chain *chain)
{
	struct balloon *balloon = dev;

	for (unsigned int i = 0; i < chain->nr_in; i++) {
		struct iovec *iov = virtq_chain_in(chain) + i;

		balloon_discard(balloon, iov->iov_base, iov->iov_len);
	}
	return 0;
}

/* --- statistics (§5.5.6.3): the driver leaves a buffer here; handed back, it comes anew --- */

/* Takes over what the driver says of tags that we know, and tells who asked. */
static void balloon_read_stats(struct balloon *balloon)
{
	const struct virtq_chain *chain = balloon->stats_chain;
	struct balloon_stats stats = {0};
	uint8_t stat[sizeof(struct virtio_balloon_stat)];

	for (unsigned int i = 0; i < BALLOON_MAX_STATS; i++) {
		uint64_t tag;

		if (virtq_chain_read(chain, i * sizeof(stat), stat, sizeof(stat)) != sizeof(stat))
			break;
		tag = le_load(stat, 2);
		if (tag >= BALLOON_NR_STATS)
			continue;
		stats.known[tag] = true;
		stats.value[tag] = le_load(stat + 2, 8);
	}
	stats.when_ns = now_ns();
	pthread_mutex_lock(&balloon->lock);
	balloon->stats = stats;
	if (balloon->notify_fd >= 0)
		eventfd_write(balloon->notify_fd, 1);
	balloon->notify_fd = -1;
	pthread_mutex_unlock(&balloon->lock);
}

static void balloon_take_stats(struct balloon *balloon)
{
	struct virtq *vq = virtio_queue(balloon->vdev, BALLOON_STATS);
	int got;

	if (!vq || balloon->stats_held)
		return;
	do {
		got = virtq_pop(vq, balloon->stats_chain);
	} while (!got && virtq_enable_kicks(vq));
	if (got < 0) {
		virtio_needs_reset(balloon->vdev, "a queue is broken");
	} else if (got) {
		balloon->stats_held = true;
		/* §5.5.6.3.3: what a legacy driver sends first it has never filled. */
		if (balloon->stats_sent || virtio_has_feature(balloon->vdev, VIRTIO_F_VERSION_1))
			balloon_read_stats(balloon);
	}
}

/* The time to ask the driver has come; a buffer that is not here is on its way already. */
static void balloon_ask(void *arg, uint32_t events)
{
	struct balloon *balloon = arg;

	(void)events;
	if (!balloon->stats_held)
		return;
	balloon->stats_held = false;
	balloon->stats_sent = true;
	virtq_push(virtio_queue(balloon->vdev, BALLOON_STATS), balloon->stats_chain, 0);
	virtio_signal_queue(balloon->vdev, BALLOON_STATS);
	balloon_take_stats(balloon);
}

int balloon_request_stats(struct virtio_device *vdev, int notify_fd)
{
	struct balloon *balloon = vdev->dev;
	uint8_t status = virtio_device_status(vdev);

	if (!(status & VIRTIO_CONFIG_S_DRIVER_OK) || status & VIRTIO_CONFIG_S_NEEDS_RESET ||
	    !(virtio_device_acked(vdev) & UINT64_C(1) << VIRTIO_BALLOON_F_STATS_VQ))
		return -ENOTCONN;
	pthread_mutex_lock(&balloon->lock);
	balloon->notify_fd = notify_fd;
	pthread_mutex_unlock(&balloon->lock);
	loop_arm_timer(balloon->ask, 1); /* on the worker, and now */
	return 0;
}

struct balloon_stats balloon_get_stats(struct virtio_device *vdev)
{
	struct balloon *balloon = vdev->dev;
	struct balloon_stats stats;

	pthread_mutex_lock(&balloon->lock);
	stats = balloon->stats;
	stats.target = balloon->target * BALLOON_PAGE_SIZE;
	stats.actual = balloon->actual * BALLOON_PAGE_SIZE;
	pthread_mutex_unlock(&balloon->lock);
	return stats;
}

/* --- life --- */

static void balloon_kick(void *dev, unsigned int q)
{
	struct balloon *balloon = dev;
	virtio_handle_fn handle = balloon_report;

	if (q == BALLOON_STATS) {
		balloon_take_stats(balloon);
		return;
	}
	if (q == BALLOON_INFLATE)
		handle = balloon_inflate;
	else if (q == BALLOON_DEFLATE)
		handle = balloon_deflate;
	else if (!virtio_has_feature(balloon->vdev, VIRTIO_BALLOON_F_REPORTING))
		return;
	virtio_process_queue(balloon->vdev, q, balloon->chain, handle, balloon);
}

static int balloon_start(void *dev, struct virtio_device *vdev)
{
	struct balloon *balloon = dev;

	balloon->vdev = vdev;
	return 0;
}

/* Of the statistics queue's reset, too: the buffer that waits here is forgotten. */
static void balloon_queue_stop(void *dev, unsigned int q)
{
	struct balloon *balloon = dev;

	if (q == BALLOON_STATS)
		balloon->stats_held = false;
}

/* A driver that comes next begins with an empty balloon. */
static void balloon_stop(void *dev)
{
	struct balloon *balloon = dev;

	balloon->stats_held = balloon->stats_sent = false;
	pthread_mutex_lock(&balloon->lock);
	balloon->actual = 0;
	pthread_mutex_unlock(&balloon->lock);
}

static void balloon_destroy(void *dev)
{
	struct balloon *balloon = dev;

	virtq_chain_destroy(balloon->chain);
	virtq_chain_destroy(balloon->stats_chain);
	pthread_mutex_destroy(&balloon->lock);
	free(balloon);
}

static const struct virtio_model balloon_model = {
	.name = "virtio-balloon",
	.id = VIRTIO_ID_BALLOON,
	.in_order = true,
	.config_size = BALLOON_CONFIG_SIZE,
	.features = balloon_features,
	.config_read = balloon_config_read,
	.config_write = balloon_config_write,
	.start = balloon_start,
	.stop = balloon_stop,
	.kick = balloon_kick,
	.queue_stop = balloon_queue_stop,
	.destroy = balloon_destroy,
};

void balloon_set_target(struct virtio_device *vdev, uint64_t bytes)
{
	struct balloon *balloon = vdev->dev;

	pthread_mutex_lock(&balloon->lock);
	balloon->target = MIN(bytes / BALLOON_PAGE_SIZE, (uint64_t)UINT32_MAX);
	pthread_mutex_unlock(&balloon->lock);
	virtio_config_changed(vdev);
}

/* Timers are added on the loop's own thread. It goes with the loop. */
static void balloon_do_add_ask(void *arg)
{
	struct virtio_device *vdev = arg;
	struct balloon *balloon = vdev->dev;

	balloon->ask = loop_add_timer(virtio_loop(vdev), balloon_ask, balloon);
}

/* That of the host, or with hugetlbfs a larger one. */
static uint64_t balloon_find_ram_page(const struct memory *mem)
{
	uint64_t size = (uint64_t)sysconf(_SC_PAGESIZE);
	struct statfs fs;

	for (unsigned int i = 0; i < mem->nr_banks; i++)
		if (!fstatfs(mem->bank[i].fd, &fs))
			size = MAX(size, (uint64_t)fs.f_bsize);
	return size;
}

struct virtio_device *balloon_create(const struct memory *mem, const char *name, uint64_t target)
{
	static const uint16_t queue_sizes[BALLOON_NR_QUEUES] = {
		BALLOON_QUEUE_SIZE, BALLOON_QUEUE_SIZE, BALLOON_QUEUE_SIZE,
		BALLOON_QUEUE_SIZE, BALLOON_QUEUE_SIZE,
	};
	struct balloon *balloon = calloc(1, sizeof(*balloon));
	struct virtio_device *vdev;

	if (!balloon) {
		log_error("%s: out of memory", name);
		return NULL;
	}
	pthread_mutex_init(&balloon->lock, NULL);
	balloon->mem = mem;
	balloon->ram_page = balloon_find_ram_page(mem);
	balloon->notify_fd = -1;
	balloon->target = MIN(target / BALLOON_PAGE_SIZE, (uint64_t)UINT32_MAX);
	balloon->chain = virtq_chain_create();
	balloon->stats_chain = virtq_chain_create();
	if (!balloon->chain || !balloon->stats_chain) {
		log_error("%s: out of memory", name);
		balloon_destroy(balloon);
		return NULL;
	}
	vdev = virtio_device_create(&balloon_model, balloon, name, mem, BALLOON_NR_QUEUES,
				    queue_sizes);
	if (!vdev)
		return NULL;
	worker_call(vdev->worker, balloon_do_add_ask, vdev);
	if (!balloon->ask) {
		log_error("%s: %s", name, strerror(errno));
		virtio_device_destroy(vdev);
		return NULL;
	}
	return vdev;
}
