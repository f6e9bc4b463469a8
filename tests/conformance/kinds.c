// SPDX-License-Identifier: GPL-2.0-or-later
/* The devices that are checked, each with a back end in this process, or a stand-in for the kernel. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/fake-ioctl.h"
#include "../unit/vhost-user-back.h"
#include "kvm/9p.h"
#include "kvm/chardev.h"
#include "kvm/disk.h"
#include "kvm/fs.h"
#include "kvm/multiport.h"
#include "kvm/net.h"
#include "kvm/scsi.h"
#include "kvm/seat.h"
#include "kvm/vhost-user.h"
#include "kvm/virtio-models.h"
#include "kvm/vsock.h"
#include "rig.h"

/* --- toy --- */

static uint64_t toy_features(void *dev)
{
	(void)dev;
	return DRV_BIT(TOY_FEATURE) | DRV_BIT(TOY_HIGH);
}

static void toy_config_read(void *dev, uint32_t off, void *buf, uint32_t len)
{
	memcpy(buf, ((struct toy *)dev)->config + off, len);
}

static void toy_config_write(void *dev, uint32_t off, const void *buf, uint32_t len)
{
	memcpy(((struct toy *)dev)->config + off, buf, len);
}

void toy_set_config(struct rig *rig, unsigned int at, uint8_t val)
{
	pthread_mutex_lock(&rig->vdev->lock);
	rig_toy(rig)->config[at] = val;
	pthread_mutex_unlock(&rig->vdev->lock);
	virtio_config_changed(rig->vdev);
}

static int toy_start(void *dev, struct virtio_device *vdev)
{
	struct toy *toy = dev;

	toy->vdev = vdev;
	toy->features = virtio_device_acked(vdev);
	toy->starts++;
	return 0;
}

static void toy_stop(void *dev)
{
	((struct toy *)dev)->held = false;
	((struct toy *)dev)->stops++;
}

static uint32_t toy_handle(void *dev, struct virtq_chain *chain)
{
	((struct toy *)dev)->handled++;
	for (unsigned int i = 0; i < chain->nr_in; i++)
		memset(virtq_chain_in(chain)[i].iov_base, TOY_BYTE,
		       virtq_chain_in(chain)[i].iov_len);
	return chain->in_len;
}

/* Takes one chain, keeps it, and looks at what comes next. */
static void toy_hold(struct toy *toy, struct virtq *vq)
{
	int got = virtq_pop(vq, toy->held ? toy->spare : toy->chain);

	if (got < 0)
		virtio_needs_reset(toy->vdev, "a queue is broken");
	else if (toy->held && got)
		virtq_unpop(vq, toy->spare);
	else if (got)
		toy->held = true;
}

static void toy_kick(void *dev, unsigned int q)
{
	struct toy *toy = dev;

	if (toy->hold) {
		toy_hold(toy, virtio_queue(toy->vdev, q));
		return;
	}
	if (toy->held) {
		virtq_push(virtio_queue(toy->vdev, q), toy->chain, toy_handle(toy, toy->chain));
		virtio_signal_queue(toy->vdev, q);
		toy->held = false;
	}
	virtio_process_queue(toy->vdev, q, toy->chain, toy_handle, toy);
}

static void toy_queue_stop(void *dev, unsigned int q)
{
	(void)q;
	((struct toy *)dev)->held = false;
	((struct toy *)dev)->queue_stops++;
}

static void toy_destroy(void *dev)
{
	virtq_chain_destroy(((struct toy *)dev)->chain);
	virtq_chain_destroy(((struct toy *)dev)->spare);
	free(dev);
}

static const struct virtio_model toy_model = {
	.name = "toy",
	.id = VIRTIO_ID_BLOCK, /* of a kind that has a legacy interface */
	.in_order = true,
	.config_size = TOY_CONFIG_SIZE,
	.features = toy_features,
	.config_read = toy_config_read,
	.config_write = toy_config_write,
	.start = toy_start,
	.stop = toy_stop,
	.kick = toy_kick,
	.queue_stop = toy_queue_stop,
	.destroy = toy_destroy,
};

static struct virtio_device *toy_create(struct rig *rig)
{
	static const uint16_t sizes[] = {TOY_QUEUE_SIZE, TOY_QUEUE_SIZE};
	struct toy *toy = calloc(1, sizeof(*toy));

	toy->chain = virtq_chain_create();
	toy->spare = virtq_chain_create();
	for (unsigned int i = 0; i < TOY_CONFIG_SIZE; i++)
		toy->config[i] = 0x10 + i;
	return virtio_device_create(&toy_model, toy, "toy", &rig->m->ram.mem, ARRAY_SIZE(sizes),
				    sizes);
}

/* --- blk, on memory --- */

struct disk_fixture {
	struct disk disk;
	struct disk_params params;
	struct rig_disk seen;
};

static struct disk_fixture *disk_of(struct disk *disk)
{
	return container_of(disk, struct disk_fixture, disk);
}

static int mem_preadv(struct disk *disk, struct iovec *iov, int nr, uint64_t off)
{
	if (disk_of(disk)->seen.delay_us)
		usleep(disk_of(disk)->seen.delay_us);
	for (int i = 0; i < nr; off += iov[i++].iov_len)
		memcpy(iov[i].iov_base, disk_of(disk)->seen.data + off, iov[i].iov_len);
	return 0;
}

static int mem_pwritev(struct disk *disk, struct iovec *iov, int nr, uint64_t off)
{
	disk_of(disk)->seen.writes++;
	for (int i = 0; i < nr; off += iov[i++].iov_len)
		memcpy(disk_of(disk)->seen.data + off, iov[i].iov_base, iov[i].iov_len);
	return 0;
}

static int mem_flush(struct disk *disk)
{
	disk_of(disk)->seen.flushes++;
	return 0;
}

static int mem_discard(struct disk *disk, uint64_t off, uint64_t len)
{
	(void)disk, (void)off, (void)len;
	return 0;
}

static int mem_zeroes(struct disk *disk, uint64_t off, uint64_t len)
{
	memset(disk_of(disk)->seen.data + off, 0, len);
	return 0;
}

static void mem_close(struct disk *disk)
{
	(void)disk;
}

static int mem_resize(struct disk *disk, uint64_t size)
{
	disk->size = size;
	return 0;
}

static const struct disk_ops mem_ops = {
	.preadv = mem_preadv,
	.pwritev = mem_pwritev,
	.flush = mem_flush,
	.discard = mem_discard,
	.write_zeroes = mem_zeroes,
	.close = mem_close,
	.resize = mem_resize,
};

static struct virtio_device *disk_create(struct rig *rig, bool readonly)
{
	struct disk_fixture *f = calloc(1, sizeof(*f));

	f->disk = (struct disk){.ops = &mem_ops,
				.path = "a-disk",
				.size = sizeof(f->seen.data),
				.block_size = 512,
				.readonly = readonly};
	f->seen.disk = &f->disk;
	memset(f->seen.data, 0xd1, sizeof(f->seen.data));
	rig->fixture = f;
	return blk_create(&rig->m->ram.mem, "disk", &f->disk, &f->params);
}

static struct virtio_device *blk_kind(struct rig *rig)
{
	return disk_create(rig, false);
}

static struct virtio_device *blk_ro_kind(struct rig *rig)
{
	return disk_create(rig, true);
}

static void free_fixture(struct rig *rig)
{
	free(rig->fixture);
}

struct rig_disk *rig_disk(struct rig *rig)
{
	return &((struct disk_fixture *)rig->fixture)->seen;
}

/* --- net, with socket pairs as wires --- */

struct net_fixture {
	struct net_backend be;
	int wire[RIG_PAIRS];
};

static int wire_set_offload(struct net_backend *be, unsigned int tun_flags)
{
	(void)be, (void)tun_flags;
	return 0;
}

static int wire_set_number(struct net_backend *be, int nr)
{
	(void)be, (void)nr;
	return 0;
}

static int wire_set_pairs(struct net_backend *be, unsigned int nr)
{
	(void)be, (void)nr;
	return 0;
}

static int wire_set_filter(struct net_backend *be, const struct net_filter *filter)
{
	(void)be, (void)filter;
	return 0;
}

static const struct net_backend_ops wire_ops = {0};
static const struct net_backend_ops wires_ops = {
	.set_offload = wire_set_offload,
	.set_hdr_len = wire_set_number,
	.set_pairs = wire_set_pairs,
	.set_filter = wire_set_filter,
};

static struct virtio_device *net_create_pairs(struct rig *rig, struct net_backend be)
{
	static const unsigned char mac[6] = {2, 1, 2, 3, 4, 5};
	struct net_fixture *f = calloc(1, sizeof(*f));

	f->be = be;
	for (unsigned int i = 0; i < be.nr_pairs; i++) {
		int pair[2];

		CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair));
		f->be.fd[i] = pair[0];
		f->wire[i] = pair[1];
	}
	rig->fixture = f;
	return net_create(&rig->m->ram.mem, "network card", &f->be, mac);
}

static struct virtio_device *net_kind(struct rig *rig)
{
	return net_create_pairs(rig, (struct net_backend){.ops = &wire_ops, .nr_pairs = 1});
}

static struct virtio_device *net_pairs_kind(struct rig *rig)
{
	return net_create_pairs(
		rig,
		(struct net_backend){.ops = &wires_ops, .nr_pairs = RIG_PAIRS, .mtu = RIG_MTU});
}

static void net_kind_destroy(struct rig *rig)
{
	struct net_fixture *f = rig->fixture;

	for (unsigned int i = 0; i < f->be.nr_pairs; i++) {
		close(f->be.fd[i]);
		close(f->wire[i]);
	}
	free(f);
}

int rig_wire(struct rig *rig, unsigned int pair)
{
	return ((struct net_fixture *)rig->fixture)->wire[pair];
}

/* --- console, whose terminal takes everything and types what a check puts in --- */

struct chardev {
	const struct chardev_front *front;
	void *arg;
};

void chardev_set_front(struct chardev *chr, const struct chardev_front *front, void *arg)
{
	chr->front = front;
	chr->arg = arg;
}

size_t chardev_write(struct chardev *chr, const void *buf, size_t len)
{
	(void)chr, (void)buf;
	return len;
}

void chardev_accept_input(struct chardev *chr)
{
	(void)chr;
}

bool chardev_winsize(struct chardev *chr, uint16_t *cols, uint16_t *rows)
{
	(void)chr;
	*cols = 132;
	*rows = 43;
	return true;
}

static struct virtio_device *console_kind(struct rig *rig)
{
	rig->fixture = calloc(1, sizeof(struct chardev));
	return console_create(&rig->m->ram.mem, "console", rig->fixture);
}

void rig_type(struct rig *rig, const char *text)
{
	struct chardev *chr = rig->fixture;

	chr->front->input(chr->arg, (const uint8_t *)text, strlen(text));
}

/* --- those without a back end --- */

static struct virtio_device *rng_kind(struct rig *rig)
{
	return rng_create(&rig->m->ram.mem, "rng");
}

static struct virtio_device *balloon_kind(struct rig *rig)
{
	return balloon_create(&rig->m->ram.mem, "balloon", 3 * 4096);
}

static struct virtio_device *input_kind(struct rig *rig, enum input_kind_id id)
{
	struct seat *seat = calloc(1, sizeof(*seat));

	seat_init(seat);
	rig->fixture = seat;
	return input_create(&rig->m->ram.mem, id, seat);
}

static struct virtio_device *keyboard_kind(struct rig *rig)
{
	return input_kind(rig, INPUT_KEYBOARD);
}

static struct virtio_device *mouse_kind(struct rig *rig)
{
	return input_kind(rig, INPUT_MOUSE);
}

static struct virtio_device *tablet_kind(struct rig *rig)
{
	return input_kind(rig, INPUT_TABLET);
}

static void input_kind_destroy(struct rig *rig)
{
	seat_fini(rig->fixture);
	free(rig->fixture);
}

/* --- sockets, behind a path in a folder of its own --- */

struct vsock_fixture {
	char dir[32], path[40];
	struct vsock_uds *uds;
};

static struct virtio_device *vsock_kind(struct rig *rig)
{
	struct vsock_fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/lkvm-vsock-XXXXXX");
	CHECK(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/v", f->dir);
	f->uds = vsock_uds_open(f->path);
	CHECK(f->uds);
	rig->fixture = f;
	return vsock_create(&rig->m->ram.mem, "vsock", RIG_CID, f->uds);
}

static void vsock_kind_destroy(struct rig *rig)
{
	struct vsock_fixture *f = rig->fixture;

	vsock_uds_close(f->uds);
	rmdir(f->dir);
	free(f);
}

/* --- ports: one that nobody is at, and one on a pipe --- */

static struct virtio_device *ports_kind(struct rig *rig)
{
	struct multiport_params *params = calloc(1, sizeof(*params));
	int pair[2];

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair));
	params->nr = 2;
	params->port[0] = (struct port_params){.name = "none", .in_fd = -1, .out_fd = -1};
	params->port[1] = (struct port_params){.name = "pair", .in_fd = pair[0], .out_fd = pair[1]};
	rig->fixture = params;
	return multiport_create(&rig->m->ram.mem, "ports", params);
}

static void ports_kind_destroy(struct rig *rig)
{
	struct multiport_params *params = rig->fixture;

	close(params->port[1].in_fd);
	close(params->port[1].out_fd);
	free(params);
}

/* --- a folder, by 9p --- */

struct p9_fixture {
	char dir[32];
	struct p9_params params;
};

static struct virtio_device *p9_kind(struct rig *rig)
{
	struct p9_fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/lkvm-9p-XXXXXX");
	CHECK(mkdtemp(f->dir));
	f->params = (struct p9_params){.path = f->dir, .tag = RIG_TAG, .mapped = geteuid() != 0};
	rig->fixture = f;
	return p9_create(&rig->m->ram.mem, &f->params);
}

static void p9_kind_destroy(struct rig *rig)
{
	struct p9_fixture *f = rig->fixture;

	CHECK(!rmdir(f->dir));
	free(f);
}

/* --- what a back end serves, over vhost-user --- */

struct vhost_user_fixture {
	struct back *back;
	struct vhost_user *vu;
	struct disk_params disk;
	struct fs_params fs;
};

static int vhost_user_kind_connect(void *arg)
{
	struct vhost_user_fixture *f = arg;
	int fd;

	back_destroy(f->back);
	f->back = back_create(&fd);
	f->back->capacity = RIG_SECTORS;
	back_run(f->back);
	return fd;
}

static struct vhost_user_fixture *vhost_user_kind_open(struct rig *rig, uint32_t config_size)
{
	struct vhost_user_fixture *f = calloc(1, sizeof(*f));
	const struct vhost_user_backend be = {.name = "back end",
					      .config_size = config_size,
					      .connect = vhost_user_kind_connect,
					      .arg = f};

	f->disk = (struct disk_params){.path = "disk", .vhost_user = true, .nr_queues = 2};
	f->fs = (struct fs_params){.name = "fs", .tag = RIG_TAG};
	f->vu = vhost_user_open(&be);
	CHECK(f->vu);
	rig->fixture = f;
	return f;
}

static struct virtio_device *vhost_user_blk_kind(struct rig *rig)
{
	struct vhost_user_fixture *f = vhost_user_kind_open(rig, VHOST_USER_BLK_CONFIG_SIZE);

	return vhost_user_blk_create(&rig->m->ram.mem, f->vu, &f->disk);
}

static struct virtio_device *fs_kind(struct rig *rig)
{
	struct vhost_user_fixture *f = vhost_user_kind_open(rig, 0);

	return fs_create(&rig->m->ram.mem, f->vu, &f->fs);
}

static void vhost_user_kind_destroy(struct rig *rig)
{
	struct vhost_user_fixture *f = rig->fixture;

	vhost_user_close(f->vu);
	back_destroy(f->back);
	free(f);
}

void rig_back_grows(struct rig *rig, uint64_t sectors)
{
	struct back *back = ((struct vhost_user_fixture *)rig->fixture)->back;
	const struct message changed = {.request = 2, .flags = 1};

	back->capacity = sectors;
	CHECK_EQ(send(back->slave_fd, &changed, 12, 0), 12);
}

/* --- what the kernel serves: one that takes all that it is told, and does nothing --- */

#define KERNEL_FD 12345

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	if (fd != KERNEL_FD) {
		errno = EBADF;
		return -1;
	}
	if (request == VHOST_GET_FEATURES)
		*(uint64_t *)arg = VERSION_1 | DRV_BIT(VIRTIO_RING_F_EVENT_IDX) |
				   DRV_BIT(VIRTIO_RING_F_INDIRECT_DESC);
	else if (request == VHOST_GET_VRING_BASE)
		((struct vhost_vring_state *)arg)->num = 0;
	return 0;
}

static struct virtio_device *scsi_kind(struct rig *rig)
{
	struct scsi_params *params = calloc(1, sizeof(*params));

	rig->fixture = params;
	CHECK(!scsi_params_parse(params, "scsi:naa.50014055be4dc1a9"));
	return scsi_create(&rig->m->ram.mem, params, KERNEL_FD);
}

static struct virtio_device *vhost_vsock_kind(struct rig *rig)
{
	return vsock_vhost_create(&rig->m->ram.mem, "vsock", RIG_CID, KERNEL_FD);
}

const struct kind kinds[NR_KINDS] = {
	[TOY] = {"toy", VIRTIO_ID_BLOCK, toy_create, NULL, false},
	[BLK] = {"blk", VIRTIO_ID_BLOCK, blk_kind, free_fixture, false},
	[BLK_RO] = {"blk-readonly", VIRTIO_ID_BLOCK, blk_ro_kind, free_fixture, false},
	[NET] = {"net", VIRTIO_ID_NET, net_kind, net_kind_destroy, false},
	[CONSOLE] = {"console", VIRTIO_ID_CONSOLE, console_kind, free_fixture, false},
	[RNG] = {"rng", VIRTIO_ID_RNG, rng_kind, NULL, false},
	[BALLOON] = {"balloon", VIRTIO_ID_BALLOON, balloon_kind, NULL, false},
	[KEYBOARD] = {"keyboard", VIRTIO_ID_INPUT, keyboard_kind, input_kind_destroy, false},
	[MOUSE] = {"mouse", VIRTIO_ID_INPUT, mouse_kind, input_kind_destroy, false},
	[TABLET] = {"tablet", VIRTIO_ID_INPUT, tablet_kind, input_kind_destroy, false},
	[VSOCK] = {"vsock", VIRTIO_ID_VSOCK, vsock_kind, vsock_kind_destroy, false},
	[PORTS] = {"ports", VIRTIO_ID_CONSOLE, ports_kind, ports_kind_destroy, false},
	[P9] = {"9p", VIRTIO_ID_9P, p9_kind, p9_kind_destroy, false},
	[VHOST_USER_BLK] = {"vhost-user-blk", VIRTIO_ID_BLOCK, vhost_user_blk_kind,
			    vhost_user_kind_destroy, true},
	[FS] = {"fs", VIRTIO_ID_FS, fs_kind, vhost_user_kind_destroy, true},
	[SCSI] = {"scsi", VIRTIO_ID_SCSI, scsi_kind, free_fixture, true},
	[NET_PAIRS] = {"net-pairs", VIRTIO_ID_NET, net_pairs_kind, net_kind_destroy, false},
	[VHOST_VSOCK] = {"vhost-vsock", VIRTIO_ID_VSOCK, vhost_vsock_kind, NULL, true},
};
