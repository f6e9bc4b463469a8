// SPDX-License-Identifier: GPL-2.0-or-later
/* links: tests/conformance/kinds.c tests/conformance/machine.c tests/conformance/rig.c tests/conformance/ways.c virtio/device.c virtio/lend.c virtio/virtq.c virtio/pci.c virtio/pci-legacy.c virtio/mmio.c virtio/blk.c virtio/net.c virtio/net-pair.c virtio/net-ctrl.c virtio/vhost.c virtio/console.c virtio/rng.c virtio/balloon.c virtio/input.c virtio/vsock.c virtio/vsock-conn.c net/vsock.c util/unix.c util/options.c virtio/multiport.c virtio/multiport-port.c util/stream.c virtio/9p.c 9p/params.c 9p/server.c 9p/op-name.c 9p/op-io.c 9p/op-attr.c 9p/fid.c 9p/share.c 9p/wire.c 9p/iov.c virtio/vhost-user.c virtio/vhost-user-blk.c virtio/fs.c virtio/scsi.c disk/scsi.c virtio/vsock-vhost.c util/device.c pci.c pci-msix.c bus.c memory.c disk/queue.c disk/uring.c disk/limit.c ui/seat.c util/worker.c util/loop.c util/util.c util/log.c */
/*
 * Whole virtio devices behind their transports under a fuzzer, on the conformance suite's machine.
 * The input's first bytes choose device, transport and ring format; the rest is a script for a
 * driver that mostly starts and uses the device as it should, and in between accesses any register,
 * configuration space (BARs move, MSI-X goes on and off), rings and buffers. In the end the device
 * must still obey a reset, and leave no interrupt and no ioeventfd behind.
 */
#include <stdlib.h>
#include <string.h>

#include "../conformance/rig.h"
#include "kvm/log.h"
#include "script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A driver's step that fails, because the device is broken by now, is no failure of the device. */
static jmp_buf step_failed;
static bool stepping;

void check_failed(const char *file, int line, const char *cond)
{
	(void)file, (void)line, (void)cond;
	if (!stepping)
		abort();
	longjmp(step_failed, 1);
}

void check_differ(const char *file, int line, const char *a_is, uint64_t a, const char *b_is,
		  uint64_t b)
{
	(void)a, (void)b_is, (void)b;
	check_failed(file, line, a_is);
}

static struct machine machine;
static struct rig rig;

/* A driver that starts anew finds the device where firmware has put it. */
static struct {
	uint32_t bar[PCI_NR_BARS], command;
} firmware;

static void firmware_save(void)
{
	for (unsigned int i = 0; i < PCI_NR_BARS; i++)
		firmware.bar[i] = cfg_read(&machine, PCI_BASE_ADDRESS_0 + 4 * i, 4);
	firmware.command = cfg_read(&machine, PCI_COMMAND, 2);
}

static void firmware_restore(void)
{
	cfg_write(&machine, PCI_COMMAND, 2, 0);
	for (unsigned int i = 0; i < PCI_NR_BARS; i++)
		cfg_write(&machine, PCI_BASE_ADDRESS_0 + 4 * i, 4, firmware.bar[i]);
	cfg_write(&machine, rig.msix + PCI_MSIX_FLAGS, 2, 0);
	cfg_write(&machine, PCI_COMMAND, 2, firmware.command);
}

static unsigned int nr_queues(void)
{
	unsigned int nr = 0;

	while (nr < RIG_QUEUES && rig.q[nr].ram)
		nr++;
	return nr;
}

/* A buffer in the data area, mostly; the lengths are those that requests have. */
static struct drv_buf fuzz_buf(struct script *s)
{
	static const uint32_t lens[] = {1, 8, 10, 12, 16, 512, 1024, 4096};
	uint16_t where = script_take(s, 2);

	if (where >> 13 == 7)
		return (struct drv_buf){(uint64_t)script_take(s, 4) << 12, script_take(s, 4)};
	return (struct drv_buf){BUF(where & 0x1f) + (where >> 5 & 7), lens[where >> 8 & 7]};
}

static void fuzz_chain(struct script *s)
{
	unsigned int nr = nr_queues(), q;
	struct drv_buf bufs[4];
	uint8_t shape = script_take(s, 1);

	if (!nr)
		return;
	q = script_take(s, 1) % nr;
	for (unsigned int i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = fuzz_buf(s);
	nr = 1 + (shape & 3);
	shape = (shape >> 2) % (nr + 1);
	drv_add(&rig.q[q], bufs, shape, nr - shape, 0);
	rig.way->notify(&rig, q);
}

/* Any register of any BAR, or of the MMIO window; and of configuration space. */
static void fuzz_access(struct script *s)
{
	uint8_t how = script_take(s, 1);
	unsigned int len = 1u << (how & 3), bar = how >> 2 & 7;
	uint32_t off = script_take(s, 2), val = script_take(s, 4);
	bool write = how & 0x80;

	if (rig.mio) {
		if (write)
			mem_write(&machine, rig.mmio + off % 0x200, len, val);
		else
			mem_read(&machine, rig.mmio + off % 0x200, len);
	} else if (bar == 7) {
		len = len == 8 ? 4 : len;
		off = (off & 0xfff) / len * len;
		if (write)
			cfg_write(&machine, off, len, val);
		else
			cfg_read(&machine, off, len);
	} else if (bar == 6) {
		len = len == 8 ? 4 : len;
		if (write)
			io_write(&machine, rig.port + off % 64, len, val);
		else
			io_read(&machine, rig.port + off % 64, len);
	} else {
		uint64_t at = rig.bar[bar % PCI_NR_BARS] + off % 0x4000;

		if (write)
			mem_write(&machine, at, len, val);
		else
			mem_read(&machine, at, len);
	}
}

/* Guest memory: where the rings are, or the buffers. */
static void fuzz_poke(struct script *s)
{
	uint32_t off = script_take(s, 2), val = script_take(s, 2);
	uint8_t where = script_take(s, 1);
	uint64_t gpa = where & 0x80 ? BUF(0) + off
				    : DRV_RINGS + (where & 3) * DRV_RING_STEP +
					      (where & 4 ? 0x8000 : 0) + (off & 0xff);

	memcpy(drv_ptr(&machine.ram, gpa), &val, 2);
}

static void fuzz_step(struct script *s)
{
	uint8_t op = script_take(s, 1);
	uint64_t features;

	switch (op % 8) {
	case 0:
		features = (uint64_t)script_take(s, 1) << 24 | script_take(s, 3);
		if (rig.vp)
			firmware_restore();
		rig_start(&rig, features & rig_offered(&rig) & ~DRV_BIT(VIRTIO_F_RING_PACKED));
		break;
	case 1:
	case 2:
		fuzz_chain(s);
		break;
	case 3:
	case 4:
		fuzz_access(s);
		break;
	case 5:
		fuzz_poke(s);
		break;
	case 6:
		if (nr_queues())
			rig.way->notify(&rig, op >> 3);
		rig_settle(&rig);
		break;
	case 7:
		if (rig.way->status(&rig) == 0xff)
			break; /* not there; its queue's reset would never be over */
		if (rig.way->queue_reset && op & 0x80)
			rig.way->queue_reset(&rig, op >> 3 & 3);
		else if (op & 0x40)
			rig.way->set_status(&rig, script_take(s, 1));
		else
			virtio_config_changed(rig.vdev);
		break;
	}
}

static void fuzz_run(struct script *s)
{
	while (s->left) {
		stepping = true;
		if (!setjmp(step_failed))
			fuzz_step(s);
		stepping = false;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, MIN(size, 512)};
	unsigned int kind = script_take(&s, 1) % NR_KINDS, way = script_take(&s, 1);
	bool packed = way & 0x80;

	log_set_level(-1);
	way %= NR_WAYS;
	if (kind >= KEYBOARD && BIT_OF(way) & (LEGACY_WAYS | BIT_OF(PCI_BOTH)))
		way = MMIO;
	if (BIT_OF(way) & LEGACY_WAYS || kinds[kind].split_only)
		packed = false;
	machine_init(&machine);
	rig_init(&rig, &machine, &kinds[kind], &ways[way], packed);
	if (rig.vp)
		firmware_save();
	rig_start(&rig, 0);
	fuzz_run(&s);
	virtio_device_set_status(rig.vdev, 0);
	if (virtio_device_status(rig.vdev))
		abort();
	rig_fini(&rig);
	machine_fini(&machine);
	return 0;
}
