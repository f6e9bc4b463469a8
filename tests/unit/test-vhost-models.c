// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/vsock-vhost.c virtio/scsi.c disk/scsi.c util/device.c virtio/vhost.c virtio/lend.c virtio/device.c virtio/virtq.c util/worker.c util/loop.c util/util.c util/log.c memory.c */
/*
 * The devices whose queues are the kernel's, with a kernel that is ours: it is told where the queues
 * lead when it has all of them, and before any is taken away that they lead nowhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_scsi.h>
#include <linux/virtio_vsock.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake-ioctl.h"
#include "kvm/log.h"
#include "kvm/scsi.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "virtio-driver.h"

#define SIZE	 16
#define QUEUES	 3
#define VHOST_FD 12345
#define CID	 42

static struct {
	int kick[QUEUES];
	unsigned int nr_queues; /* that lead somewhere */
	atomic_bool leads;
	unsigned int nr_starts;
	int fails; /* errno of the next start */
	char wwpn[224];
} kernel;

static int kernel_lead(bool leads)
{
	for (unsigned int i = 0; i < kernel.nr_queues && leads; i++)
		assert_true(kernel.kick[i] >= 0);
	if (leads && kernel.fails) {
		errno = kernel.fails;
		return -1;
	}
	kernel.leads = leads;
	kernel.nr_starts += leads;
	return 0;
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	struct vhost_vring_file *file = arg;

	assert_int_equal(fd, VHOST_FD);
	switch (request) {
	case VHOST_SET_VRING_KICK:
		/* Nothing may be taken away, or added, behind its back. */
		assert_false(kernel.leads);
		assert_true(file->index < kernel.nr_queues);
		kernel.kick[file->index] = file->fd;
		return 0;
	case VHOST_GET_FEATURES:
		*(uint64_t *)arg = DRV_BIT(VIRTIO_F_VERSION_1) | DRV_BIT(VIRTIO_RING_F_EVENT_IDX) |
				   DRV_BIT(VIRTIO_SCSI_F_HOTPLUG);
		return 0;
	case VHOST_VSOCK_SET_RUNNING:
		return kernel_lead(*(int *)arg);
	case VHOST_SCSI_SET_ENDPOINT:
		memcpy(kernel.wwpn, ((struct vhost_scsi_target *)arg)->vhost_wwpn, 224);
		return kernel_lead(true);
	case VHOST_SCSI_CLEAR_ENDPOINT:
		assert_string_equal(kernel.wwpn, ((struct vhost_scsi_target *)arg)->vhost_wwpn);
		return kernel_lead(false);
	}
	return 0;
}

struct setup {
	struct drv_ram ram;
	struct drv_queue q[QUEUES];
	struct drv_transport transport;
	struct virtio_device *vdev;
	struct scsi_params params;
	unsigned int nr_lent;
};

static void bring_up(struct setup *s)
{
	assert_true(drv_negotiate(s->vdev, virtio_device_features(s->vdev)));
	for (unsigned int q = 0; q < QUEUES; q++)
		drv_setup_queue(&s->q[q], s->vdev, &s->ram, q, SIZE);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
}

static struct setup *setup_common(void **state, unsigned int nr)
{
	struct setup *s = calloc(1, sizeof(*s));

	log_set_level(LOG_LEVEL_ERROR);
	memset(&kernel, 0, sizeof(kernel));
	memset(kernel.kick, -1, sizeof(kernel.kick));
	kernel.nr_queues = nr;
	drv_ram_init(&s->ram);
	*state = s;
	return s;
}

static int setup_vsock(void **state)
{
	struct setup *s = setup_common(state, 2);

	s->vdev = vsock_vhost_create(&s->ram.mem, "vsock", CID, VHOST_FD);
	virtio_device_attach(s->vdev, &drv_transport_ops, &s->transport);
	return 0;
}

static int setup_scsi(void **state)
{
	struct setup *s = setup_common(state, 3);

	assert_int_equal(scsi_params_parse(&s->params, "scsi:naa.50014055be4dc1a9"), 0);
	s->vdev = scsi_create(&s->ram.mem, &s->params, VHOST_FD);
	virtio_device_attach(s->vdev, &drv_transport_ops, &s->transport);
	return 0;
}

static int setup_fini(void **state)
{
	struct setup *s = *state;

	virtio_device_destroy(s->vdev);
	assert_false(kernel.leads);
	for (unsigned int i = 0; i < QUEUES; i++)
		assert_int_equal(kernel.kick[i], -1);
	drv_ram_fini(&s->ram);
	free(s);
	return 0;
}

/* The same for both. */
static void test_life(void **state)
{
	struct setup *s = *state;

	assert_false(kernel.leads);
	bring_up(s);
	assert_true(kernel.leads);
	virtio_device_set_status(s->vdev, 0);
	assert_false(kernel.leads);
	bring_up(s);
	assert_int_equal(kernel.nr_starts, 2);
	/* A queue goes, and comes back. */
	virtio_device_reset_queue(s->vdev, 1);
	assert_false(kernel.leads);
	drv_setup_queue(&s->q[1], s->vdev, &s->ram, 1, SIZE);
	assert_true(DRV_WAIT(kernel.leads));
	assert_int_equal(kernel.nr_starts, 3);
	assert_int_equal(virtio_device_status(s->vdev), DRV_STATUS_RUNNING);
}

static void test_refused(void **state)
{
	struct setup *s = *state;

	kernel.fails = EEXIST;
	bring_up(s);
	assert_true(virtio_device_status(s->vdev) & VIRTIO_CONFIG_S_NEEDS_RESET);
	kernel.fails = 0;
	virtio_device_set_status(s->vdev, 0);
	bring_up(s);
	assert_true(kernel.leads);
}

static void test_vsock_config(void **state)
{
	struct setup *s = *state;
	uint64_t cid;

	virtio_device_config_read(s->vdev, 0, &cid, sizeof(cid));
	assert_int_equal(cid, CID);
	assert_false(virtio_device_features(s->vdev) & DRV_BIT(VIRTIO_F_RING_PACKED));
}

static void test_scsi_config(void **state)
{
	struct setup *s = *state;
	struct virtio_scsi_config cfg;

	virtio_device_config_read(s->vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(cfg.num_queues, 1);
	assert_int_equal(cfg.sense_size, 96);
	assert_int_equal(cfg.cdb_size, 32);
	assert_true(virtio_device_features(s->vdev) & DRV_BIT(VIRTIO_SCSI_F_HOTPLUG));
	assert_true(virtio_device_has_legacy(s->vdev));
	bring_up(s);
	assert_string_equal(kernel.wwpn, "naa.50014055be4dc1a9");
}

static void test_scsi_words(void **state)
{
	static const char *const bad[] = {
		"scsi:",	"scsi:naa.",   "scsi:naa.xyz", "scsi:50014055be4dc1a9",
		"scsi:naa.1:x", "scsi:naa.1:", "scsi:na",      "scsi:naa.1,ro"};
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), err = dup(2);
	struct scsi_params params;
	char word[300];

	(void)state;
	assert_int_equal(scsi_params_parse(&params, "scsi:naa.1f:0"), 0);
	assert_string_equal(params.wwpn, "naa.1f");
	dup2(null, 2);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(scsi_params_parse(&params, bad[i]), -EINVAL);
	memset(word, '1', sizeof(word));
	memcpy(word, "scsi:naa.", 9);
	word[299] = 0;
	assert_int_equal(scsi_params_parse(&params, word), -EINVAL);
	dup2(err, 2);
	close(err);
	close(null);
}

int main(void)
{
#define WITH_VSOCK(fn) cmocka_unit_test_setup_teardown(fn, setup_vsock, setup_fini)
#define WITH_SCSI(fn)  cmocka_unit_test_setup_teardown(fn, setup_scsi, setup_fini)
	const struct CMUnitTest tests[] = {
		WITH_VSOCK(test_life),
		WITH_SCSI(test_life),
		WITH_VSOCK(test_refused),
		WITH_SCSI(test_refused),
		WITH_VSOCK(test_vsock_config),
		WITH_SCSI(test_scsi_config),
		cmocka_unit_test(test_scsi_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
