// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The core of a virtio device: status machine, features and queues (virtio 1.2 §2, §3), between a
 * model that knows what the device does and a transport that knows how the guest reaches it.
 *
 *	         FEATURES_OK         DRIVER_OK            rules broken, or start failed
 *	reset ---------------> ready ----------> running ------------------> halted
 *	  ^                      |                  |        NEEDS_RESET        |
 *	  +----------------------+------------------+---------------------------+  status = 0
 *
 * A driver that uses a legacy interface (§1.3.1) knows neither FEATURES_OK nor VERSION_1: its
 * features are settled by DRIVER_OK, or by its first notification if that comes before (§3.1.2).
 */
#include "device-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/virtio_ring.h>

#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/util.h"
#include "kvm/worker.h"

#define VIRTIO_BIT(n) (1ULL << (n))

/* What the core and virtq.c do for every model. */
#define VIRTIO_CORE_FEATURES                                                             \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_RING_PACKED) |             \
	 VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) | \
	 VIRTIO_BIT(VIRTIO_F_RING_RESET))

#define VIRTIO_DRIVER_STATUS                                                                  \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FAILED)

/* Feature words above the first one, and what is only of the legacy interface (§6.3). */
#define VIRTIO_LEGACY_MASK     UINT32_MAX
#define VIRTIO_LEGACY_FEATURES VIRTIO_BIT(VIRTIO_F_ANY_LAYOUT)

/* Chains that virtio_process_queue() handles before other queues get a turn. */
#define VIRTIO_BATCH 256

/* --- queues, on the worker --- */

static void virtio_start(struct virtio_device *vdev);

static void virtio_queue_kicked(void *arg, uint32_t events)
{
	struct virtio_queue *queue = arg;
	struct virtio_device *vdev = queue->vdev;

	(void)events;
	if (!eventfd_take(queue->kick_fd))
		return;
	if (!vdev->running && vdev->legacy && !(vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET))
		virtio_start(vdev);
	if (vdev->running)
		vdev->model->kick(vdev->dev, queue - vdev->queue);
}

int virtio_queue_watch(struct virtio_queue *queue)
{
	if (!queue->source)
		queue->source = loop_add(virtio_loop(queue->vdev), queue->kick_fd, EPOLLIN,
					 virtio_queue_kicked, queue);
	return queue->source ? 0 : -errno;
}

static void virtio_queue_down(struct virtio_queue *queue)
{
	/* What was notified in this life says nothing in the next one. */
	eventfd_take(queue->kick_fd);
	loop_remove(queue->source);
	queue->source = NULL;
	virtq_destroy(queue->vq);
	queue->vq = NULL;
}

/* 0 also when the driver has not enabled the queue. */
static int virtio_queue_up(struct virtio_device *vdev, unsigned int q)
{
	struct virtio_queue *queue = &vdev->queue[q];
	struct virtio_queue_regs regs = virtio_device_queue_regs(vdev, q);
	struct virtq_config cfg = {
		.name = vdev->name,
		.size = regs.size,
		.desc = regs.area[VIRTIO_AREA_DESC],
		.driver = regs.area[VIRTIO_AREA_DRIVER],
		.device = regs.area[VIRTIO_AREA_DEVICE],
		.packed = virtio_has_feature(vdev, VIRTIO_F_RING_PACKED),
		.event_idx = virtio_has_feature(vdev, VIRTIO_RING_F_EVENT_IDX),
		.indirect = virtio_has_feature(vdev, VIRTIO_RING_F_INDIRECT_DESC),
	};
	int err;

	if (!regs.enabled || queue->vq)
		return 0;
	queue->vq = virtq_create(vdev->mem, &cfg);
	if (!queue->vq)
		return -errno;
	err = virtio_queue_watch(queue);
	if (err) {
		virtio_queue_down(queue);
		return err;
	}
	/* What the driver made available before counts as notified. */
	virtio_device_kick(vdev, q);
	return 0;
}

/* --- the status machine, on the worker --- */

static void virtio_stop(struct virtio_device *vdev)
{
	if (vdev->running)
		vdev->model->stop(vdev->dev);
	vdev->running = false;
	for (unsigned int q = 0; q < vdev->nr_queues; q++)
		virtio_queue_down(&vdev->queue[q]);
}

static void virtio_halt(void *arg, uint32_t events)
{
	struct virtio_device *vdev = arg;

	(void)events;
	if (vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		virtio_stop(vdev);
}

/* §3.1.2: what a legacy driver has accepted by now is all that it will. */
static void virtio_settle_legacy_features(struct virtio_device *vdev)
{
	uint64_t offered = virtio_device_features(vdev);

	pthread_mutex_lock(&vdev->lock);
	vdev->acked &= offered;
	vdev->status |= VIRTIO_CONFIG_S_FEATURES_OK;
	pthread_mutex_unlock(&vdev->lock);
}

static void virtio_start(struct virtio_device *vdev)
{
	if (vdev->legacy)
		virtio_settle_legacy_features(vdev);
	for (unsigned int q = 0; q < vdev->nr_queues; q++) {
		if (virtio_queue_up(vdev, q)) {
			virtio_needs_reset(vdev, "a queue is not set up as it must be");
			virtio_stop(vdev);
			return;
		}
	}
	if (vdev->model->start(vdev->dev, vdev)) {
		virtio_needs_reset(vdev, "it could not be started");
		virtio_stop(vdev);
		return;
	}
	vdev->running = true;
}

static void virtio_reset_queue_regs(struct virtio_queue *queue)
{
	queue->regs = (struct virtio_queue_regs){
		.max_size = queue->regs.max_size,
		.size = queue->regs.max_size,
	};
}

static void virtio_reset(struct virtio_device *vdev)
{
	virtio_stop(vdev);
	loop_arm_timer(vdev->halt, 0);
	pthread_mutex_lock(&vdev->lock);
	vdev->acked = 0;
	for (unsigned int q = 0; q < vdev->nr_queues; q++)
		virtio_reset_queue_regs(&vdev->queue[q]);
	vdev->status = 0;
	pthread_mutex_unlock(&vdev->lock);
}

/* §3.1.1 step 5: the features are settled, unless the device cannot work with them (§2.2.2). */
static void virtio_settle_features(struct virtio_device *vdev)
{
	uint64_t offered = virtio_device_features(vdev);

	pthread_mutex_lock(&vdev->lock);
	if (vdev->acked & ~offered)
		log_guest("%s: the driver wants features that are not offered: %#llx", vdev->name,
			  (unsigned long long)(vdev->acked & ~offered));
	else if (!(vdev->acked & VIRTIO_BIT(VIRTIO_F_VERSION_1)))
		log_guest("%s: the driver did not accept VERSION_1", vdev->name);
	else
		vdev->status |= VIRTIO_CONFIG_S_FEATURES_OK;
	pthread_mutex_unlock(&vdev->lock);
}

struct virtio_call {
	struct virtio_device *vdev;
	unsigned int arg; /* a status, or a queue number */
};

static void virtio_do_set_status(void *arg)
{
	struct virtio_call *call = arg;
	struct virtio_device *vdev = call->vdev;
	uint8_t added = call->arg & VIRTIO_DRIVER_STATUS & ~vdev->status;

	if (!call->arg) {
		virtio_reset(vdev);
		return;
	}
	vdev->status |= added & ~(VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	if (added & VIRTIO_CONFIG_S_FEATURES_OK && !vdev->legacy)
		virtio_settle_features(vdev);
	if (!(added & VIRTIO_CONFIG_S_DRIVER_OK) || vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	if (!(vdev->status & VIRTIO_CONFIG_S_FEATURES_OK) && !vdev->legacy) {
		virtio_needs_reset(vdev, "DRIVER_OK without FEATURES_OK");
		return;
	}
	vdev->status |= VIRTIO_CONFIG_S_DRIVER_OK;
	if (!vdev->running)
		virtio_start(vdev);
}

static void virtio_do_enable_queue(void *arg)
{
	struct virtio_call *call = arg;
	struct virtio_device *vdev = call->vdev;
	int err = 0;

	if (vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	/* A legacy driver's first notification may come before DRIVER_OK. */
	if (vdev->running)
		err = virtio_queue_up(vdev, call->arg);
	else if (vdev->legacy)
		err = virtio_queue_watch(&vdev->queue[call->arg]);
	if (err)
		virtio_needs_reset(vdev, "a queue is not set up as it must be");
}

static void virtio_do_reset_queue(void *arg)
{
	struct virtio_call *call = arg;
	struct virtio_device *vdev = call->vdev;
	struct virtio_queue *queue = &vdev->queue[call->arg];

	if (vdev->running && queue->vq && vdev->model->queue_stop)
		vdev->model->queue_stop(vdev->dev, call->arg);
	virtio_queue_down(queue);
	pthread_mutex_lock(&vdev->lock);
	virtio_reset_queue_regs(queue);
	pthread_mutex_unlock(&vdev->lock);
}

/* --- life --- */

static int virtio_device_init_queues(struct virtio_device *vdev, const uint16_t *sizes)
{
	for (unsigned int q = 0; q < vdev->nr_queues; q++) {
		struct virtio_queue *queue = &vdev->queue[q];

		queue->vdev = vdev;
		queue->regs.max_size = sizes[q];
		virtio_reset_queue_regs(queue);
		queue->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (queue->kick_fd < 0)
			return -errno;
	}
	return 0;
}

static void virtio_do_add_halt(void *arg)
{
	struct virtio_device *vdev = arg;

	vdev->halt = loop_add_timer(virtio_loop(vdev), virtio_halt, vdev);
}

struct virtio_device *virtio_device_create(const struct virtio_model *model, void *dev,
					   const char *name, const struct memory *mem,
					   unsigned int nr_queues, const uint16_t *queue_sizes)
{
	struct virtio_device *vdev = calloc(1, sizeof(*vdev));

	if (!vdev) {
		log_error("%s: %s", name, strerror(ENOMEM));
		model->destroy(dev);
		return NULL;
	}
	vdev->model = model;
	vdev->dev = dev;
	vdev->name = name;
	vdev->mem = mem;
	vdev->nr_queues = nr_queues;
	vdev->config = calloc(2, model->config_size);
	for (unsigned int q = 0; q < nr_queues; q++)
		vdev->queue[q].kick_fd = vdev->queue[q].call_fd = -1;
	pthread_mutex_init(&vdev->lock, NULL);
	if (!vdev->config && model->config_size)
		goto fail;
	if (virtio_device_init_queues(vdev, queue_sizes))
		goto fail;
	vdev->worker = worker_create(model->name);
	if (!vdev->worker)
		goto fail;
	worker_call(vdev->worker, virtio_do_add_halt, vdev);
	if (!vdev->halt)
		goto fail;
	return vdev;

fail:
	log_error("%s: cannot make the device: %s", name, strerror(errno));
	virtio_device_destroy(vdev);
	return NULL;
}

void virtio_device_destroy(struct virtio_device *vdev)
{
	if (!vdev)
		return;
	if (vdev->halt)
		virtio_device_set_status(vdev, 0);
	worker_destroy(vdev->worker);
	vdev->model->destroy(vdev->dev);
	for (unsigned int q = 0; q < vdev->nr_queues; q++)
		if (vdev->queue[q].kick_fd >= 0)
			close(vdev->queue[q].kick_fd);
	pthread_mutex_destroy(&vdev->lock);
	free(vdev->config);
	free(vdev);
}

void virtio_device_attach(struct virtio_device *vdev, const struct virtio_transport *transport,
			  void *transport_dev)
{
	pthread_mutex_lock(&vdev->lock);
	vdev->transport = transport;
	vdev->transport_dev = transport_dev;
	pthread_mutex_unlock(&vdev->lock);
}

/* --- for transports --- */

uint64_t virtio_device_features(struct virtio_device *vdev)
{
	const struct virtio_model *model = vdev->model;
	uint64_t rings = model->ring_features ? model->ring_features(vdev->dev) : UINT64_MAX;
	uint64_t core = VIRTIO_CORE_FEATURES, features;

	if (model->in_order)
		core |= VIRTIO_BIT(VIRTIO_F_IN_ORDER);
	features = model->features(vdev->dev) | (rings & core);
	return vdev->legacy ? (features & VIRTIO_LEGACY_MASK) | VIRTIO_LEGACY_FEATURES : features;
}

bool virtio_device_has_legacy(const struct virtio_device *vdev)
{
	switch (vdev->model->id) {
	case VIRTIO_ID_NET:
	case VIRTIO_ID_BLOCK:
	case VIRTIO_ID_CONSOLE:
	case VIRTIO_ID_RNG:
	case VIRTIO_ID_BALLOON:
	case VIRTIO_ID_SCSI:
	case VIRTIO_ID_9P:
		return true;
	default:
		return false;
	}
}

void virtio_device_set_legacy(struct virtio_device *vdev, bool legacy)
{
	pthread_mutex_lock(&vdev->lock);
	if (!vdev->status)
		vdev->legacy = legacy;
	pthread_mutex_unlock(&vdev->lock);
}

uint64_t virtio_device_acked(struct virtio_device *vdev)
{
	uint64_t acked;

	pthread_mutex_lock(&vdev->lock);
	acked = vdev->acked;
	pthread_mutex_unlock(&vdev->lock);
	return acked;
}

void virtio_device_ack_features(struct virtio_device *vdev, unsigned int word, uint32_t bits)
{
	unsigned int shift = word * 32;

	if (word > 1)
		return;
	pthread_mutex_lock(&vdev->lock);
	if (!(vdev->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
		vdev->acked &= ~((uint64_t)UINT32_MAX << shift);
		vdev->acked |= (uint64_t)bits << shift;
	}
	pthread_mutex_unlock(&vdev->lock);
}

uint8_t virtio_device_status(struct virtio_device *vdev)
{
	/* FEATURES_OK is our own note, where the driver knows nothing of it. */
	return vdev->legacy ? vdev->status & ~VIRTIO_CONFIG_S_FEATURES_OK : vdev->status;
}

void virtio_device_set_status(struct virtio_device *vdev, uint8_t status)
{
	struct virtio_call call = {.vdev = vdev, .arg = status};

	worker_call(vdev->worker, virtio_do_set_status, &call);
}

uint8_t virtio_device_config_generation(struct virtio_device *vdev)
{
	return vdev->config_generation;
}

/*
 * The generation changes when a driver reads something that is not as it was at the last read
 * (§4.1.4.3.1), not when the model says so: that may be after the driver has read half of it, and
 * 256 changes in a row would look like none.
 */
void virtio_device_config_read(struct virtio_device *vdev, uint32_t off, void *buf, uint32_t len)
{
	uint32_t size = vdev->model->config_size;
	uint8_t *now = vdev->config + size;

	memset(buf, 0, len);
	if (off >= size)
		return;
	pthread_mutex_lock(&vdev->lock);
	vdev->model->config_read(vdev->dev, 0, now, size);
	if (memcmp(now, vdev->config, size))
		vdev->config_generation++;
	memcpy(vdev->config, now, size);
	memcpy(buf, now + off, MIN(len, size - off));
	pthread_mutex_unlock(&vdev->lock);
}

void virtio_device_config_write(struct virtio_device *vdev, uint32_t off, const void *buf,
				uint32_t len)
{
	if (!vdev->model->config_write || !range_contains(0, vdev->model->config_size, off, len))
		return;
	pthread_mutex_lock(&vdev->lock);
	vdev->model->config_write(vdev->dev, off, buf, len);
	pthread_mutex_unlock(&vdev->lock);
}

struct virtio_queue_regs virtio_device_queue_regs(struct virtio_device *vdev, unsigned int q)
{
	struct virtio_queue_regs regs = {0};

	if (q >= vdev->nr_queues)
		return regs;
	pthread_mutex_lock(&vdev->lock);
	regs = vdev->queue[q].regs;
	pthread_mutex_unlock(&vdev->lock);
	return regs;
}

/* A size that cannot be becomes 0 (§4.1.4.3.1), with which the queue will not start. */
void virtio_device_set_queue_size(struct virtio_device *vdev, unsigned int q, uint32_t size)
{
	struct virtio_queue_regs *regs;
	bool any;

	if (q >= vdev->nr_queues)
		return;
	regs = &vdev->queue[q].regs;
	pthread_mutex_lock(&vdev->lock);
	any = vdev->acked & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	if (!regs->enabled)
		regs->size = size <= regs->max_size && (any || is_power_of_two(size)) ? size : 0;
	pthread_mutex_unlock(&vdev->lock);
}

void virtio_device_set_queue_area(struct virtio_device *vdev, unsigned int q, enum virtio_area area,
				  bool high, uint32_t val)
{
	unsigned int shift = high ? 32 : 0;
	struct virtio_queue_regs *regs;

	if (q >= vdev->nr_queues)
		return;
	regs = &vdev->queue[q].regs;
	pthread_mutex_lock(&vdev->lock);
	if (!regs->enabled) {
		regs->area[area] &= ~((uint64_t)UINT32_MAX << shift);
		regs->area[area] |= (uint64_t)val << shift;
	}
	pthread_mutex_unlock(&vdev->lock);
}

void virtio_device_enable_queue(struct virtio_device *vdev, unsigned int q)
{
	struct virtio_call call = {.vdev = vdev, .arg = q};

	if (q >= vdev->nr_queues)
		return;
	pthread_mutex_lock(&vdev->lock);
	vdev->queue[q].regs.enabled = true;
	pthread_mutex_unlock(&vdev->lock);
	/* After DRIVER_OK this is the end of a queue reset (§2.6.1). */
	if (vdev->status & VIRTIO_CONFIG_S_DRIVER_OK || vdev->legacy)
		worker_call(vdev->worker, virtio_do_enable_queue, &call);
}

void virtio_device_set_legacy_queue(struct virtio_device *vdev, unsigned int q, uint64_t gpa,
				    uint32_t align)
{
	struct virtio_queue_regs *regs;

	if (q >= vdev->nr_queues || !vdev->legacy)
		return;
	if (!gpa) {
		virtio_device_disable_queue(vdev, q);
		return;
	}
	regs = &vdev->queue[q].regs;
	pthread_mutex_lock(&vdev->lock);
	if (!regs->enabled) {
		uint64_t driver = gpa + sizeof(struct vring_desc) * regs->size;
		/* flags, idx, ring[size], used_event */
		uint64_t driver_end = driver + sizeof(uint16_t) * (3 + regs->size);

		regs->area[VIRTIO_AREA_DESC] = gpa;
		regs->area[VIRTIO_AREA_DRIVER] = driver;
		regs->area[VIRTIO_AREA_DEVICE] = ALIGN_UP(driver_end, align);
	}
	pthread_mutex_unlock(&vdev->lock);
	virtio_device_enable_queue(vdev, q);
}

void virtio_device_disable_queue(struct virtio_device *vdev, unsigned int q)
{
	struct virtio_call call = {.vdev = vdev, .arg = q};

	if (q < vdev->nr_queues)
		worker_call(vdev->worker, virtio_do_reset_queue, &call);
}

void virtio_device_reset_queue(struct virtio_device *vdev, unsigned int q)
{
	if (virtio_device_acked(vdev) & VIRTIO_BIT(VIRTIO_F_RING_RESET))
		virtio_device_disable_queue(vdev, q);
}

void virtio_device_kick(struct virtio_device *vdev, unsigned int q)
{
	if (q < vdev->nr_queues)
		eventfd_give(vdev->queue[q].kick_fd);
}

/* --- for models --- */

struct virtq *virtio_queue(struct virtio_device *vdev, unsigned int q)
{
	return q < vdev->nr_queues ? vdev->queue[q].vq : NULL;
}

bool virtio_has_feature(const struct virtio_device *vdev, unsigned int bit)
{
	return vdev->acked & VIRTIO_BIT(bit);
}

struct loop *virtio_loop(struct virtio_device *vdev)
{
	return worker_loop(vdev->worker);
}

void virtio_signal_queue(struct virtio_device *vdev, unsigned int q)
{
	struct virtq *vq = virtio_queue(vdev, q);

	if (vq && virtq_needs_signal(vq))
		vdev->transport->raise_queue(vdev->transport_dev, q);
}

/* §4.1.5.3: the driver is told, once it is there to hear. */
void virtio_config_changed(struct virtio_device *vdev)
{
	pthread_mutex_lock(&vdev->lock);
	if (vdev->transport && vdev->status & VIRTIO_CONFIG_S_DRIVER_OK)
		vdev->transport->raise_config(vdev->transport_dev);
	pthread_mutex_unlock(&vdev->lock);
}

void virtio_needs_reset(struct virtio_device *vdev, const char *why)
{
	if (vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	log_guest("%s: %s; it stands still until the driver resets it", vdev->name, why);
	vdev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	for (unsigned int q = 0; q < vdev->nr_queues; q++)
		if (vdev->queue[q].vq)
			virtq_break(vdev->queue[q].vq);
	/* Not from here: the model's own callback may be our caller. */
	loop_arm_timer(vdev->halt, 1);
	virtio_config_changed(vdev); /* as §2.1.2 has it */
}

void virtio_process_queue(struct virtio_device *vdev, unsigned int q, struct virtq_chain *chain,
			  virtio_handle_fn handle, void *dev)
{
	struct virtq *vq = virtio_queue(vdev, q);
	unsigned int left = VIRTIO_BATCH;
	int got = 0;

	if (!vq)
		return;
	do {
		virtq_disable_kicks(vq);
		while (left && (got = virtq_pop(vq, chain)) > 0) {
			virtq_push(vq, chain, handle(dev, chain));
			virtio_signal_queue(vdev, q);
			left--;
		}
		if (got < 0) {
			virtio_needs_reset(vdev, "a queue is broken");
			return;
		}
		if (!left) {
			virtio_device_kick(vdev, q);
			return;
		}
	} while (virtq_enable_kicks(vq));
}
