// SPDX-License-Identifier: GPL-2.0-or-later
#include "image.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "kvm/cache.h"
#include "kvm/log.h"
#include "kvm/memory.h"
#include "kvm/util.h"
#include "layout.h"

/* The header of arm64's Image (booting.rst), by offset. */
#define IMAGE_TEXT_OFFSET 8
#define IMAGE_SIZE	  16
#define IMAGE_MAGIC	  56
#define IMAGE_HEADER_SIZE 64

/* An EFI zboot application (Linux: drivers/firmware/efi/libstub/zboot-header.S). */
#define ZBOOT_MAGIC	    4
#define ZBOOT_OFFSET	    8
#define ZBOOT_SIZE	    12
#define ZBOOT_COMP_TYPE	    24
#define ZBOOT_COMP_TYPE_LEN 32
#define ZBOOT_HEADER_SIZE   64

/* PE/COFF (Microsoft PE format §3, §4): what distinguishes machines and tells a file's length. */
#define PE_POINTER	 0x3c
#define PE_MACHINE	 4
#define PE_NR_SECTIONS	 6
#define PE_OPTIONAL_SIZE 20
#define PE_HEADER_SIZE	 24
#define PE_SECTION_SIZE	 40
#define PE_RAW_SIZE	 16
#define PE_RAW_POINTER	 20
#define PE_MACHINE_ARM64 0xaa64

/* A 32-bit ARM zImage (Linux: arch/arm/boot/compressed/head.S). */
#define ZIMAGE_MAGIC	 36
#define ZIMAGE_START	 40
#define ZIMAGE_END	 44
#define ZIMAGE_MAGIC_VAL 0x016f2818
/* It unpacks itself in front of, or after, where it lies: about this many times its size. */
#define ZIMAGE_ROOM 6

#define X86_HDRS 0x202 /* "HdrS" in a bzImage */

static int image_refuse(const struct image *image, const char *why)
{
	log_error("kernel %s: %s", image->path, why);
	return -ENOEXEC;
}

static bool image_has(const uint8_t *head, size_t len, size_t off, const char *magic,
		      size_t magic_len)
{
	return off + magic_len <= len && !memcmp(head + off, magic, magic_len);
}

/* The PE header, or NULL when there is none. At least PE_HEADER_SIZE bytes of it are there. */
static const uint8_t *image_pe(const uint8_t *head, size_t len)
{
	uint32_t at;

	if (len < PE_POINTER + 4 || memcmp(head, "MZ", 2))
		return NULL;
	at = le_load(head + PE_POINTER, 4);
	if (!range_contains(0, len, at, PE_HEADER_SIZE) || memcmp(head + at, "PE\0\0", 4))
		return NULL;
	return head + at;
}

/* Where the last section's bytes end in the file, as far as the head shows. */
static uint64_t image_pe_end(const uint8_t *head, size_t len)
{
	const uint8_t *pe = image_pe(head, len);
	uint64_t end = 0;
	size_t at;

	if (!pe)
		return 0;
	at = pe - head + PE_HEADER_SIZE + le_load(pe + PE_OPTIONAL_SIZE, 2);
	for (unsigned int i = le_load(pe + PE_NR_SECTIONS, 2); i; i--, at += PE_SECTION_SIZE) {
		if (!range_contains(0, len, at, PE_SECTION_SIZE))
			return end;
		end = MAX(end, le_load(head + at + PE_RAW_POINTER, 4) +
				       le_load(head + at + PE_RAW_SIZE, 4));
	}
	return end;
}

/* --- formats: from the first bytes of what was unpacked --- */

/* Kernels that people mix up; they would only hang. */
static int image_refuse_foreign(const struct image *image, const uint8_t *head, size_t len)
{
	const uint8_t *pe = image_pe(head, len);

	if (image_has(head, len, X86_HDRS, "HdrS", 4))
		return image_refuse(image, "an x86 kernel; this machine is arm64");
	if (pe && le_load(pe + PE_MACHINE, 2) != PE_MACHINE_ARM64)
		return image_refuse(image, "an EFI program for another architecture");
	if (image_has(head, len, 0, "\177ELF", 4))
		return image_refuse(image, "an ELF file; the Image made from it is wanted "
					   "(arch/arm64/boot/Image)");
	return 0;
}

static int image_parse_linux(struct image *image, const uint8_t *head, size_t len)
{
	image->size = le_load(head + IMAGE_SIZE, 8);
	/* Kernels before 3.17 say neither (booting.rst). */
	image->text_offset = image->size ? le_load(head + IMAGE_TEXT_OFFSET, 8) : LAYOUT_KERNEL;
	image->file_size = image_pe_end(head, len);
	if (image->text_offset >= LAYOUT_RAM_ALIGN)
		return image_refuse(image, "the Image header makes no sense: its text_offset is "
					   "2 MiB or more");
	return 0;
}

static int image_parse_zimage(struct image *image, const uint8_t *head)
{
	uint32_t start = le_load(head + ZIMAGE_START, 4), end = le_load(head + ZIMAGE_END, 4);

	if (end < start)
		return image_refuse(image, "the zImage header makes no sense");
	image->text_offset = LAYOUT_KERNEL32;
	image->file_size = end - start;
	image->size = image->file_size * ZIMAGE_ROOM;
	return 0;
}

/* The zboot application's payload is the image then. */
static int image_enter_zboot(struct image *image)
{
	static const struct {
		const char *name;
		enum unpack_format format;
	} known[] = {
		{"gzip", UNPACK_GZIP}, {"zstd22", UNPACK_ZSTD}, {"zstd", UNPACK_ZSTD},
		{"xzkern", UNPACK_XZ}, {"xz", UNPACK_XZ},	{"lzma", UNPACK_LZMA},
	};
	uint32_t off = le_load(image->bytes + ZBOOT_OFFSET, 4);
	uint32_t size = le_load(image->bytes + ZBOOT_SIZE, 4);
	char name[ZBOOT_COMP_TYPE_LEN + 1] = {0};

	memcpy(name, image->bytes + ZBOOT_COMP_TYPE, ZBOOT_COMP_TYPE_LEN);
	if (!range_contains(0, image->len, off, size))
		return image_refuse(image, "truncated: the kernel in this EFI zboot image is not "
					   "all there");
	for (unsigned int i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(name, known[i].name))
			continue;
		image->bytes += off;
		image->len = size;
		image->format = known[i].format;
		return 0;
	}
	log_error("kernel %s: an EFI zboot image compressed by '%s' (gzip, zstd, xz or lzma are "
		  "known)",
		  image->path, name);
	return -ENOEXEC;
}

static int image_bad_stream(const struct image *image, int err)
{
	if (err == -ENOTSUP)
		return image_refuse(image, "compressed in a way that this lkvm was built without "
					   "(see `lkvm version`)");
	if (err == -EINVAL)
		return image_refuse(image, "truncated or damaged: it does not unpack");
	log_error("kernel %s: cannot unpack it: %s", image->path, strerror(-err));
	return err;
}

int image_probe(struct image *image, bool is_32)
{
	uint8_t head[IMAGE_HEAD_SIZE];
	ssize_t len;
	int ret;

	image->format = UNPACK_STORED;
	if (image->len >= ZBOOT_HEADER_SIZE && image_has(image->bytes, image->len, 0, "MZ", 2) &&
	    image_has(image->bytes, image->len, ZBOOT_MAGIC, "zimg", 4))
		ret = image_enter_zboot(image);
	else {
		image->format = unpack_detect(image->bytes, image->len);
		ret = 0;
	}
	if (ret < 0)
		return ret;
	len = unpack(image->format, image->bytes, image->len, head, sizeof(head));
	if (len < 0)
		return image_bad_stream(image, len);

	/* Before the rest: a zImage may be an EFI program, too, for 32-bit machines. */
	if (len >= ZIMAGE_END + 4 && le_load(head + ZIMAGE_MAGIC, 4) == ZIMAGE_MAGIC_VAL)
		return is_32 ? image_parse_zimage(image, head)
			     : image_refuse(image, "a 32-bit ARM zImage, which needs --aarch32");
	ret = image_refuse_foreign(image, head, len);
	if (ret < 0)
		return ret;
	if (len >= IMAGE_HEADER_SIZE && image_has(head, len, IMAGE_MAGIC, "ARM\x64", 4))
		return is_32 ? image_refuse(image, "a 64-bit kernel, and --aarch32")
			     : image_parse_linux(image, head, len);
	image->text_offset = is_32 ? LAYOUT_KERNEL32 : LAYOUT_KERNEL;
	image->size = image->file_size = 0;
	return 0;
}

/* RAM from gpa to the end of its bank. */
static uint64_t image_room(const struct memory *mem, uint64_t gpa)
{
	for (unsigned int i = 0; i < mem->nr_banks; i++)
		if (range_contains(mem->bank[i].gpa, mem->bank[i].size, gpa, 1))
			return mem->bank[i].size - (gpa - mem->bank[i].gpa);
	return 0;
}

/* As unpack(). */
static ssize_t image_unpack(const struct image *image, void *to, uint64_t room)
{
	uint64_t len = 0;
	int fd, ret;

	if (!image->keep || image->format == UNPACK_STORED)
		return unpack(image->format, image->bytes, image->len, to, room);
	fd = cache_unpack(image->format, image->bytes, image->len, image->size, room - 1, &len);
	if (fd == -EFBIG)
		return (ssize_t)room;
	if (fd < 0)
		return fd;
	len = MIN(len, room); /* one that was kept knows nothing of this room */
	ret = pread_full(fd, to, len, 0);
	close(fd);
	return ret < 0 ? ret : (ssize_t)len;
}

int image_load(struct image *image, const struct memory *mem, uint64_t gpa)
{
	uint64_t room = image_room(mem, gpa);
	ssize_t len = 0;

	if (room && room >= image->size) {
		len = image_unpack(image, guest_ptr(mem, gpa, room), room);
		if (len < 0)
			return image_bad_stream(image, len);
		if ((uint64_t)len < image->file_size)
			return image_refuse(image, "truncated");
	}
	if (!len || (uint64_t)len == room) { /* full: there may be more of it */
		log_error("kernel %s: does not fit into the VM's RAM", image->path);
		return -ENOMEM;
	}
	image->size = MAX(image->size, (uint64_t)len);
	return 0;
}
