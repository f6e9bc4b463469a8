// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/vhost.c virtio/lend.c virtio/device.c virtio/virtq.c util/worker.c util/loop.c util/util.c util/log.c memory.c */
/*
 * Queues that the kernel serves, with a kernel that is ours: what it is told of memory and rings,
 * that notifications and interrupts pass by, and that nothing stays with it when it is stopped.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <linux/vhost.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake-ioctl.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/vhost.h"
#include "kvm/worker.h"
#include "virtio-driver.h"

#define RINGS	 3 /* of the kernel */
#define FIRST	 1 /* the device's queue 0 is its own */
#define QUEUES	 (FIRST + RINGS)
#define SIZE	 16
#define EXTRA	 27 /* VHOST_NET_F_VIRTIO_NET_HDR: not the driver's business */
#define VHOST_FD 12345

static struct {
	bool owned;
	uint64_t features;
	struct vhost_memory_region region;
	unsigned int nregions;
	struct {
		unsigned int num, base;
		struct vhost_vring_addr addr;
		int kick, call, err;
	} ring[RINGS];
	unsigned long fails; /* the request that fails */
} kernel;

static int kernel_set_fd(int *to, const struct vhost_vring_file *file)
{
	assert_true(file->index < RINGS);
	*to = file->fd;
	return 0;
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	assert_int_equal(fd, VHOST_FD);
	if (request == kernel.fails) {
		errno = ENOMEM;
		return -1;
	}
	switch (request) {
	case VHOST_SET_OWNER:
		errno = EBUSY;
		if (kernel.owned)
			return -1;
		kernel.owned = true;
		return 0;
	case VHOST_GET_FEATURES:
		*(uint64_t *)arg = DRV_BIT(VIRTIO_F_VERSION_1) | DRV_BIT(EXTRA) |
				   DRV_BIT(VIRTIO_RING_F_EVENT_IDX);
		return 0;
	case VHOST_SET_FEATURES:
		kernel.features = *(uint64_t *)arg;
		return 0;
	case VHOST_SET_MEM_TABLE:
		kernel.nregions = ((struct vhost_memory *)arg)->nregions;
		kernel.region = ((struct vhost_memory *)arg)->regions[0];
		return 0;
	case VHOST_SET_VRING_NUM:
		kernel.ring[((struct vhost_vring_state *)arg)->index].num =
			((struct vhost_vring_state *)arg)->num;
		return 0;
	case VHOST_SET_VRING_BASE:
		kernel.ring[((struct vhost_vring_state *)arg)->index].base =
			((struct vhost_vring_state *)arg)->num;
		return 0;
	case VHOST_GET_VRING_BASE:
		((struct vhost_vring_state *)arg)->num =
			kernel.ring[((struct vhost_vring_state *)arg)->index].base;
		return 0;
	case VHOST_SET_VRING_ADDR:
		kernel.ring[((struct vhost_vring_addr *)arg)->index].addr =
			*(struct vhost_vring_addr *)arg;
		return 0;
	case VHOST_SET_VRING_KICK:
		return kernel_set_fd(&kernel.ring[((struct vhost_vring_file *)arg)->index].kick,
				     arg);
	case VHOST_SET_VRING_CALL:
		return kernel_set_fd(&kernel.ring[((struct vhost_vring_file *)arg)->index].call,
				     arg);
	case VHOST_SET_VRING_ERR:
		return kernel_set_fd(&kernel.ring[((struct vhost_vring_file *)arg)->index].err,
				     arg);
	default:
		fail_msg("ioctl %#lx", request);
		return -1;
	}
}

/* --- a device on it --- */

struct setup {
	struct drv_ram ram;
	struct drv_queue q[QUEUES];
	struct drv_transport transport;
	atomic_int call_fd[QUEUES]; /* as the transport was told */
	struct virtio_device *vdev;
	struct vhost vhost;
	atomic_uint kicks; /* of queues that are not the kernel's */
};

static uint64_t model_features(void *dev)
{
	(void)dev;
	return 0;
}

static uint64_t model_ring_features(void *dev)
{
	return vhost_ring_features(&((struct setup *)dev)->vhost);
}

static int model_start(void *dev, struct virtio_device *vdev)
{
	return vhost_start(&((struct setup *)dev)->vhost, vdev, DRV_BIT(EXTRA));
}

static void model_stop(void *dev)
{
	vhost_stop(&((struct setup *)dev)->vhost);
}

static void model_kick(void *dev, unsigned int q)
{
	struct setup *s = dev;

	if (!vhost_has_queue(&s->vhost, q))
		s->kicks++;
	else
		assert_int_equal(vhost_start_queue(&s->vhost, q), 0);
}

static void model_queue_stop(void *dev, unsigned int q)
{
	vhost_stop_queue(&((struct setup *)dev)->vhost, q);
}

static void model_destroy(void *dev)
{
	vhost_fini(&((struct setup *)dev)->vhost);
}

static const struct virtio_model model = {
	.name = "vhost",
	.id = VIRTIO_ID_NET,
	.features = model_features,
	.ring_features = model_ring_features,
	.start = model_start,
	.stop = model_stop,
	.kick = model_kick,
	.queue_stop = model_queue_stop,
	.destroy = model_destroy,
};

static void setup_set_call_fd(void *transport, unsigned int q, int fd)
{
	struct setup *s = container_of(transport, struct setup, transport);

	s->call_fd[q] = fd;
}

static const struct virtio_transport setup_transport = {
	.raise_queue = drv_raise_queue,
	.raise_config = drv_raise_config,
	.set_call_fd = setup_set_call_fd,
};

static int setup_init(void **state)
{
	static const uint16_t sizes[QUEUES] = {SIZE, SIZE, SIZE, SIZE};
	struct setup *s = calloc(1, sizeof(*s));

	memset(&kernel, 0, sizeof(kernel));
	drv_ram_init(&s->ram);
	assert_int_equal(vhost_init(&s->vhost, VHOST_FD, FIRST, RINGS), 0);
	s->vdev = virtio_device_create(&model, s, "vhost", &s->ram.mem, QUEUES, sizes);
	assert_non_null(s->vdev);
	virtio_device_attach(s->vdev, &setup_transport, &s->transport);
	for (unsigned int q = 0; q < QUEUES; q++)
		s->call_fd[q] = -1;
	*state = s;
	return 0;
}

static void assert_let_go(struct setup *s)
{
	for (unsigned int i = 0; i < RINGS; i++) {
		assert_true(kernel.ring[i].kick <= 0);
		assert_true(kernel.ring[i].call <= 0);
		assert_true(kernel.ring[i].err <= 0);
		assert_int_equal(s->call_fd[FIRST + i], -1);
	}
}

static int setup_fini(void **state)
{
	struct setup *s = *state;

	kernel.fails = 0;
	virtio_device_destroy(s->vdev);
	assert_let_go(s);
	drv_ram_fini(&s->ram);
	free(s);
	return 0;
}

/* All queues but the last one. */
static void setup_run(struct setup *s)
{
	assert_true(drv_negotiate(s->vdev,
				  DRV_BIT(VIRTIO_F_VERSION_1) | DRV_BIT(VIRTIO_RING_F_EVENT_IDX)));
	for (unsigned int q = 0; q < QUEUES - 1; q++)
		drv_setup_queue(&s->q[q], s->vdev, &s->ram, q, SIZE / 2);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
}

static bool readable(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

static void test_set_up(void **state)
{
	struct setup *s = *state;

	setup_run(s);
	assert_int_equal(virtio_device_status(s->vdev), DRV_STATUS_RUNNING);
	assert_true(kernel.owned);
	assert_int_equal(kernel.features, DRV_BIT(VIRTIO_F_VERSION_1) | DRV_BIT(EXTRA) |
						  DRV_BIT(VIRTIO_RING_F_EVENT_IDX));
	assert_int_equal(kernel.nregions, 1);
	assert_int_equal(kernel.region.guest_phys_addr, DRV_GPA);
	assert_int_equal(kernel.region.memory_size, DRV_RAM_SIZE);
	assert_int_equal(kernel.region.userspace_addr, (uintptr_t)s->ram.hva);
	for (unsigned int i = 0; i < RINGS - 1; i++) {
		const struct virtq_config *cfg = &s->q[FIRST + i].cfg;

		assert_int_equal(kernel.ring[i].num, SIZE / 2);
		assert_int_equal(kernel.ring[i].base, 0);
		assert_ptr_equal((void *)(uintptr_t)kernel.ring[i].addr.desc_user_addr,
				 drv_ptr(&s->ram, cfg->desc));
		assert_ptr_equal((void *)(uintptr_t)kernel.ring[i].addr.avail_user_addr,
				 drv_ptr(&s->ram, cfg->driver));
		assert_ptr_equal((void *)(uintptr_t)kernel.ring[i].addr.used_user_addr,
				 drv_ptr(&s->ram, cfg->device));
		assert_int_equal(kernel.ring[i].call, s->call_fd[FIRST + i]);
	}
	assert_int_equal(kernel.ring[RINGS - 1].num, 0); /* the driver did not enable it */
	assert_int_equal(s->call_fd[0], -1);
}

static void test_features(void **state)
{
	struct setup *s = *state;
	uint64_t features = virtio_device_features(s->vdev);

	/* The kernel's vhost has neither packed rings nor, in this one, indirect descriptors. */
	assert_false(features & DRV_BIT(VIRTIO_F_RING_PACKED));
	assert_false(features & DRV_BIT(VIRTIO_RING_F_INDIRECT_DESC));
	assert_false(features & DRV_BIT(EXTRA));
	assert_true(features & DRV_BIT(VIRTIO_RING_F_EVENT_IDX));
	assert_true(features & DRV_BIT(VIRTIO_F_RING_RESET));
}

static void test_events(void **state)
{
	struct setup *s = *state;

	setup_run(s);
	assert_true(DRV_WAIT(s->kicks == 1)); /* its own queue's, once enabled */
	for (unsigned int i = 0; i < RINGS - 1; i++)
		assert_true(readable(kernel.ring[i].kick)); /* what was there before counts */
	virtio_device_kick(s->vdev, FIRST);
	virtio_device_kick(s->vdev, 0);
	assert_true(DRV_WAIT(s->kicks == 2));
	assert_true(readable(kernel.ring[0].kick)); /* and no worker took it */
	assert_false(readable(kernel.ring[1].kick));

	/* KVM does not take this one. */
	eventfd_write(kernel.ring[1].call, 1);
	assert_true(DRV_WAIT(s->transport.queue_irqs[FIRST + 1] == 1));
	assert_int_equal(s->transport.queue_irqs[FIRST], 0);
}

static void test_reset(void **state)
{
	struct setup *s = *state;

	for (unsigned int round = 0; round < 3; round++) {
		setup_run(s);
		assert_true(kernel.ring[0].kick > 0);
		kernel.ring[0].base = 7; /* of a life that ends here */
		virtio_device_set_status(s->vdev, 0);
		assert_let_go(s);
	}
	/* The machine's next life, on the same descriptor. */
	vhost_fini(&s->vhost);
	assert_int_equal(vhost_init(&s->vhost, VHOST_FD, FIRST, RINGS), 0);
	setup_run(s);
	assert_int_equal(kernel.ring[0].base, 0);
	assert_true(kernel.ring[0].kick > 0);
}

static void test_queue_reset(void **state)
{
	struct setup *s = *state;

	assert_true(
		drv_negotiate(s->vdev, DRV_BIT(VIRTIO_F_VERSION_1) | DRV_BIT(VIRTIO_F_RING_RESET)));
	drv_setup_queue(&s->q[1], s->vdev, &s->ram, 1, SIZE);
	drv_setup_queue(&s->q[2], s->vdev, &s->ram, 2, SIZE);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
	virtio_device_reset_queue(s->vdev, 1);
	assert_int_equal(kernel.ring[0].kick, -1);
	assert_int_equal(kernel.ring[0].call, -1);
	assert_true(kernel.ring[1].kick > 0);
	drv_setup_queue(&s->q[1], s->vdev, &s->ram, 1, SIZE / 4);
	assert_true(DRV_WAIT(*(volatile int *)&kernel.ring[0].kick > 0));
	assert_int_equal(kernel.ring[0].num, SIZE / 4);
}

static void lend_again(void *arg)
{
	struct setup *s = arg;
	struct virtio_queue_regs *regs = &s->vdev->queue[FIRST].regs;

	vhost_stop_queue(&s->vhost, FIRST);
	*regs = (struct virtio_queue_regs){.max_size = SIZE, .size = SIZE};
	regs->area[VIRTIO_AREA_DEVICE] = DRV_GPA + DRV_RAM_SIZE - 1;
	assert_int_equal(vhost_start_queue(&s->vhost, FIRST), 0);
}

/*
 * A driver that takes a queue back may write its registers before the worker hears of it. The
 * kernel never sees those: nobody has judged them.
 */
static void test_registers_changed(void **state)
{
	struct setup *s = *state;

	setup_run(s);
	worker_call(s->vdev->worker, lend_again, s);
	assert_int_equal(kernel.ring[0].num, SIZE / 2);
	assert_ptr_equal((void *)(uintptr_t)kernel.ring[0].addr.used_user_addr,
			 drv_ptr(&s->ram, s->q[FIRST].cfg.device));
	assert_true(kernel.ring[0].kick > 0);
}

static void test_ring_error(void **state)
{
	struct setup *s = *state;

	setup_run(s);
	eventfd_write(kernel.ring[1].err, 1);
	assert_true(DRV_WAIT(virtio_device_status(s->vdev) & VIRTIO_CONFIG_S_NEEDS_RESET));
	assert_true(DRV_WAIT(*(volatile int *)&kernel.ring[1].kick == -1));
	virtio_device_set_status(s->vdev, 0);
	assert_let_go(s);
	setup_run(s);
	assert_int_equal(virtio_device_status(s->vdev), DRV_STATUS_RUNNING);
}

/* Whatever the kernel refuses: the device needs a reset, and nothing is left with the kernel. */
static void test_refusals(void **state)
{
	static const unsigned long requests[] = {
		VHOST_SET_FEATURES,   VHOST_SET_MEM_TABLE,  VHOST_SET_VRING_NUM,
		VHOST_SET_VRING_BASE, VHOST_SET_VRING_ADDR, VHOST_SET_VRING_ERR,
		VHOST_SET_VRING_CALL, VHOST_SET_VRING_KICK,
	};
	struct setup *s = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(requests); i++) {
		kernel.fails = requests[i];
		setup_run(s);
		kernel.fails = 0;
		assert_true(virtio_device_status(s->vdev) & VIRTIO_CONFIG_S_NEEDS_RESET);
		for (unsigned int q = FIRST; q < QUEUES; q++)
			assert_int_equal(s->call_fd[q], -1);
		setup_run(s);
		assert_int_equal(virtio_device_status(s->vdev), DRV_STATUS_RUNNING);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup_init, setup_fini)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_set_up),   TEST(test_features),	   TEST(test_events),
		TEST(test_reset),    TEST(test_queue_reset),	   TEST(test_ring_error),
		TEST(test_refusals), TEST(test_registers_changed),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
