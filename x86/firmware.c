// SPDX-License-Identifier: GPL-2.0-or-later
#include "firmware.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/mman.h>

#include "kvm/boot-file.h"
#include "kvm/log.h"
#include "kvm/memory.h"
#include "kvm/util.h"
#include "layout.h"

#define FIRMWARE_MIN_SIZE 16 /* the CPU's first instruction is 16 bytes below 4 GiB */

/* The image fills the end of its pages, so that it ends where they end. */
static int firmware_map(struct firmware *fw, int fd, uint64_t file_size)
{
	uint64_t size = ALIGN_UP(file_size, 0x1000);
	void *hva;
	int ret;

	hva = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (hva == MAP_FAILED)
		return -errno;
	ret = pread_full(fd, (uint8_t *)hva + size - file_size, file_size, 0);
	if (ret < 0) {
		munmap(hva, size);
		return ret;
	}
	fw->hva = hva;
	fw->size = size;
	return 0;
}

static int firmware_show(struct firmware *fw, struct memory *mem)
{
	uint64_t low = MIN(fw->size, LAYOUT_FIRMWARE_LOW_SIZE);

	fw->slot = memory_map_slot(mem, LAYOUT_4G - fw->size, fw->size, fw->hva, KVM_MEM_READONLY);
	if (fw->slot < 0)
		return fw->slot;
	/* Firmware that runs from here may write to itself, as it can on a PC with shadow RAM. */
	memcpy(guest_ptr(mem, LAYOUT_HIGH_RAM - low, low), (uint8_t *)fw->hva + fw->size - low,
	       low);
	return 0;
}

int firmware_load(struct firmware *fw, const struct boot_file *file, struct memory *mem)
{
	int ret;

	if (file->size < FIRMWARE_MIN_SIZE || file->size > LAYOUT_FIRMWARE_MAX_SIZE) {
		log_error("firmware %s: %" PRIu64 " bytes, can be %u bytes to %" PRIu64 " MiB",
			  file->path, file->size, FIRMWARE_MIN_SIZE,
			  (uint64_t)(LAYOUT_FIRMWARE_MAX_SIZE / MIB));
		return -EINVAL;
	}
	ret = firmware_map(fw, file->fd, file->size);
	if (ret == 0) {
		ret = firmware_show(fw, mem);
		if (ret < 0)
			firmware_unload(fw, mem);
	}
	if (ret < 0)
		log_error("firmware %s: %s", file->path, strerror(-ret));
	return ret;
}

void firmware_unload(struct firmware *fw, struct memory *mem)
{
	if (!fw->hva)
		return;
	if (fw->slot >= 0)
		memory_unmap_slot(mem, fw->slot);
	munmap(fw->hva, fw->size);
	fw->hva = NULL;
}
