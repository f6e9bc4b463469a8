// SPDX-License-Identifier: GPL-2.0-or-later
/* links: disk/disk.c disk/raw.c disk/qcow2.c disk/qcow2-open.c disk/qcow2-table.c disk/qcow2-alloc.c disk/qcow2-check.c disk/qcow2-inflate.c util/util.c util/log.c */
/*
 * qcow2 images under a fuzzer. The input pokes holes into a small sound image (an offset and a few
 * bytes at a time), opens it, and reads, writes, discards and flushes as it says. Nothing may
 * crash, hang or read and write outside the image; what comes back of it is an error or data.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm/disk.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "script.h"

/* Clusters of 512 bytes: header, refcount table, refcount block, L1, L2, data. */
#define FUZZ_CLUSTER 512ull
#define FUZZ_SIZE    (64 * FUZZ_CLUSTER * 4) /* which is four L2 tables */

static void fuzz_be(uint8_t *at, uint64_t val, unsigned int bytes)
{
	while (bytes--) {
		at[bytes] = val;
		val >>= 8;
	}
}

static void fuzz_sound_image(uint8_t *image, unsigned int version)
{
	fuzz_be(image, 0x514649fb, 4);
	fuzz_be(image + 4, version, 4);
	fuzz_be(image + 20, 9, 4);
	fuzz_be(image + 24, FUZZ_SIZE, 8);
	fuzz_be(image + 36, 4, 4);
	fuzz_be(image + 40, 3 * FUZZ_CLUSTER, 8);
	fuzz_be(image + 48, 1 * FUZZ_CLUSTER, 8);
	fuzz_be(image + 56, 1, 4);
	fuzz_be(image + 96, 4, 4);
	fuzz_be(image + 100, version == 3 ? 104 : 0, 4);
	fuzz_be(image + 1 * FUZZ_CLUSTER, 2 * FUZZ_CLUSTER, 8);
	for (unsigned int i = 0; i < 8; i++)
		fuzz_be(image + 2 * FUZZ_CLUSTER + 2 * i, 1, 2);
	fuzz_be(image + 3 * FUZZ_CLUSTER, 4 * FUZZ_CLUSTER | 1ull << 63, 8);
	fuzz_be(image + 4 * FUZZ_CLUSTER, 5 * FUZZ_CLUSTER | 1ull << 63, 8);
	fuzz_be(image + 4 * FUZZ_CLUSTER + 8, 6 * FUZZ_CLUSTER | 1ull << 63, 8);
	fuzz_be(image + 4 * FUZZ_CLUSTER + 16, (7 * FUZZ_CLUSTER) | 1ull << 62, 8);
}

static void fuzz_io(struct disk *disk, struct script *s)
{
	static uint8_t buf[64 * 1024];
	uint8_t op = script_take(s, 1);
	uint64_t sectors = disk->size / 512, at = script_take(s, 2) % sectors;
	uint64_t len = MIN(1 + script_take(s, 1) % 100ull, sectors - at);
	struct iovec iov[2] = {{buf, len * 256}, {buf + len * 256, len * 256}};

	at *= 512;
	len *= 512;
	switch (op % 8) {
	case 0 ... 1:
		disk->ops->preadv(disk, iov, 2, at);
		break;
	case 2 ... 4:
		disk->ops->pwritev(disk, iov, 2, at);
		break;
	case 5:
		disk->ops->flush(disk);
		break;
	case 6:
		disk->ops->discard(disk, at, len);
		break;
	case 7:
		if (op & 0x80)
			disk->ops->resize(disk, disk->size + len);
		else
			disk->ops->write_zeroes(disk, at, len);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	uint8_t image[16 * FUZZ_CLUSTER] = {0}, kind = script_take(&s, 1);
	unsigned int pokes = kind >> 3;
	struct disk_params params = {.format = DISK_FORMAT_QCOW2, .readonly = (kind & 6) == 6};
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	char path[32];
	struct disk *disk;

	log_set_level(-1);
	fuzz_sound_image(image, kind & 1 ? 3 : 2);
	while (pokes-- && s.left) {
		uint32_t how = script_take(&s, 2), at = how & 0xfff, nr = 1 + (how >> 12) % 8;

		while (nr--)
			image[at++] = script_take(&s, 1);
	}
	if (write_full(fd, image, sizeof(image)))
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	params.path = path;
	disk = disk_open(&params);
	for (unsigned int i = 0; disk && i < 200 && s.left; i++)
		fuzz_io(disk, &s);
	disk_close(disk);
	close(fd);
	return 0;
}
