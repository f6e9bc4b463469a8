// SPDX-License-Identifier: GPL-2.0-or-later
/* links: util/boot-file.c x86/elf.c x86/bzimage.c x86/flat.c x86/boot.c x86/params.c x86/layout.c memory.c util/cache.c util/unpack.c util/util.c util/log.c */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../x86/boot.h"
#include "x86-mem.h"

/* A kernel of one segment and, maybe, a note that names its PVH entry. */
struct elf64_image {
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr[2];
	struct {
		Elf64_Nhdr head;
		char name[4];
		uint32_t other;
		Elf64_Nhdr head2;
		char name2[4];
		uint64_t entry;
	} __attribute__((packed)) notes;
	uint8_t code[256];
};

static void image_init(struct elf64_image *image, bool pvh)
{
	*image = (struct elf64_image){
		.ehdr = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			 .e_type = ET_EXEC,
			 .e_machine = EM_X86_64,
			 .e_entry = 0x1000010,
			 .e_phoff = offsetof(struct elf64_image, phdr),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = pvh ? 2 : 1},
		.phdr[0] = {.p_type = PT_LOAD,
			    .p_offset = offsetof(struct elf64_image, code),
			    .p_vaddr = 0xffffffff81000000,
			    .p_paddr = 0x1000000,
			    .p_filesz = sizeof(image->code),
			    .p_memsz = 0x10000},
		.phdr[1] = {.p_type = PT_NOTE,
			    .p_offset = offsetof(struct elf64_image, notes),
			    .p_filesz = sizeof(image->notes)},
		.notes = {.head = {4, 4, 6},
			  .name = "Xen",
			  .head2 = {4, 8, 18},
			  .name2 = "Xen",
			  .entry = 0x1000040},
	};
	memset(image->code, 0x90, sizeof(image->code));
}

static int image_load(const void *image, size_t size, uint64_t ram, struct kernel *kernel,
		      struct memory *mem)
{
	struct kernel_file file;
	int ret;

	mem_init(mem, ram);
	file_init(&file, image, size, size);
	assert_true(elf_probe(&file));
	*kernel = (struct kernel){0};
	ret = elf_load(&file, mem, kernel);
	file_fini(&file);
	return ret;
}

static void test_pvh(void **state)
{
	struct elf64_image image;
	struct kernel kernel;
	struct memory mem;
	const uint32_t *info;
	struct boot boot;

	(void)state;
	image_init(&image, true);
	assert_int_equal(image_load(&image, sizeof(image), 64 * MIB, &kernel, &mem), 0);
	assert_int_equal(kernel.protocol, KERNEL_PVH);
	assert_int_equal(kernel.entry.mode, ENTRY_PROTECTED);
	assert_int_equal(kernel.entry.rip, 0x1000040);
	assert_int_equal(kernel.entry.rbx, LAYOUT_START_INFO);
	assert_int_equal(kernel.end, 0x1010000);
	assert_int_equal(((uint8_t *)guest_ptr(&mem, 0x1000000, 256))[255], 0x90);
	assert_int_equal(((uint8_t *)guest_ptr(&mem, 0x1000100, 1))[0], 0);

	boot = (struct boot){.kernel = kernel, .initrd = 0x2000000, .initrd_size = 5};
	params_write(&boot, &mem, 0xe0000);
	info = guest_ptr(&mem, LAYOUT_START_INFO, 0x100);
	assert_int_equal(info[0], 0x336ec578);
	assert_int_equal(info[1], 1);
	assert_int_equal(info[3], 1);
	assert_int_equal(le_load(info + 6, 8), LAYOUT_CMDLINE);
	assert_int_equal(le_load(info + 8, 8), 0xe0000);
	assert_int_equal(info[12], 5); /* memory map */
	info = guest_ptr(&mem, le_load(info + 4, 8), 32);
	assert_int_equal(info[0], 0x2000000);
	assert_int_equal(info[2], 5);
	mem_fini(&mem);
}

static void test_linux(void **state)
{
	struct elf64_image image;
	struct kernel kernel;
	struct memory mem;

	(void)state;
	image_init(&image, false);
	assert_int_equal(image_load(&image, sizeof(image), 64 * MIB, &kernel, &mem), 0);
	assert_int_equal(kernel.protocol, KERNEL_LINUX);
	assert_int_equal(kernel.entry.mode, ENTRY_LONG);
	assert_int_equal(kernel.entry.rip, 0x1000010);
	assert_int_equal(kernel.entry.rsi, LAYOUT_BOOT_PARAMS);
	assert_int_equal(kernel.hdr.header, 0x53726448);
	mem_fini(&mem);
}

/* Every length and number that an ELF file can lie about ends in an error that names the file. */
static void expect_error(const struct elf64_image *image, size_t size, int err, const char *text)
{
	struct kernel kernel;
	struct memory mem;
	struct capture c;
	int ret;

	capture_begin(&c);
	ret = image_load(image, size, 64 * MIB, &kernel, &mem);
	capture_end(&c);
	assert_int_equal(ret, err);
	assert_non_null(strstr(c.text, "kernel some-kernel: "));
	assert_non_null(strstr(c.text, text));
	mem_fini(&mem);
}

static void test_bad(void **state)
{
	struct elf64_image image;

	(void)state;
	image_init(&image, true);
	expect_error(&image, offsetof(struct elf64_image, code) + 255, -EINVAL, "truncated");
	expect_error(&image, sizeof(image.ehdr) + 8, -ENOEXEC, "truncated");
	expect_error(&image, 20, -ENOEXEC, "truncated");
	image.ehdr.e_machine = EM_AARCH64;
	expect_error(&image, sizeof(image), -ENOEXEC, "not for x86");
	image_init(&image, true);
	image.ehdr.e_phoff = UINT64_MAX - 8;
	expect_error(&image, sizeof(image), -ENOEXEC, "truncated");
	image_init(&image, true);
	image.ehdr.e_phnum = 0;
	expect_error(&image, sizeof(image), -ENOEXEC, "program headers");
	image_init(&image, true);
	image.ehdr.e_phentsize = 1;
	expect_error(&image, sizeof(image), -ENOEXEC, "program headers");
	image_init(&image, true);
	image.phdr[0].p_memsz = UINT64_MAX;
	expect_error(&image, sizeof(image), -ENOMEM, "needs RAM");
	image_init(&image, true);
	image.phdr[0].p_filesz = 0x10001;
	expect_error(&image, sizeof(image), -ENOEXEC, "broken");
	image_init(&image, true);
	image.phdr[0].p_paddr = 0x1000;
	expect_error(&image, sizeof(image), -ENOEXEC, "below 1 MiB");
	image_init(&image, true);
	image.phdr[0].p_type = PT_NULL;
	expect_error(&image, sizeof(image), -ENOEXEC, "nothing to load");
	image_init(&image, true);
	image.phdr[1].p_offset = UINT64_MAX - 3;
	expect_error(&image, sizeof(image), -ENOEXEC, "truncated");
}

/* Notes that end early or name absurd sizes are no PVH notes. */
static void test_bad_notes(void **state)
{
	struct elf64_image image;
	struct kernel kernel;
	struct memory mem;

	(void)state;
	for (uint32_t size = 0; size < sizeof(image.notes); size++) {
		image_init(&image, true);
		image.phdr[1].p_filesz = size;
		assert_int_equal(image_load(&image, sizeof(image), 64 * MIB, &kernel, &mem), 0);
		assert_int_equal(kernel.protocol, KERNEL_LINUX);
		mem_fini(&mem);
	}
	image_init(&image, true);
	image.notes.head.n_namesz = UINT32_MAX;
	assert_int_equal(image_load(&image, sizeof(image), 64 * MIB, &kernel, &mem), 0);
	assert_int_equal(kernel.protocol, KERNEL_LINUX);
	mem_fini(&mem);
	image_init(&image, true);
	image.notes.head.n_descsz = UINT32_MAX - 2;
	assert_int_equal(image_load(&image, sizeof(image), 64 * MIB, &kernel, &mem), 0);
	assert_int_equal(kernel.protocol, KERNEL_LINUX);
	mem_fini(&mem);
}

static void test_elf32(void **state)
{
	struct {
		Elf32_Ehdr ehdr;
		Elf32_Phdr phdr[2];
		Elf32_Nhdr head;
		char name[4];
		uint32_t entry;
		uint8_t code[64];
	} image = {
		.ehdr = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
			 .e_machine = EM_386,
			 .e_phoff = sizeof(Elf32_Ehdr),
			 .e_phentsize = sizeof(Elf32_Phdr),
			 .e_phnum = 2},
		.head = {4, 4, 18},
		.name = "Xen",
		.entry = 0x100000,
	};
	struct kernel kernel;
	struct memory mem;
	struct capture c;
	int ret;

	(void)state;
	image.phdr[0] = (Elf32_Phdr){.p_type = PT_LOAD,
				     .p_offset = (uint8_t *)image.code - (uint8_t *)&image,
				     .p_paddr = 0x100000,
				     .p_filesz = 64,
				     .p_memsz = 64};
	image.phdr[1] = (Elf32_Phdr){.p_type = PT_NOTE,
				     .p_offset = (uint8_t *)&image.head - (uint8_t *)&image,
				     .p_filesz = 20};
	image.code[63] = 0xcc;
	assert_int_equal(image_load(&image, sizeof(image), 4 * MIB, &kernel, &mem), 0);
	assert_int_equal(kernel.protocol, KERNEL_PVH);
	assert_int_equal(kernel.entry.rip, 0x100000);
	assert_int_equal(*(uint8_t *)guest_ptr(&mem, 0x10003f, 1), 0xcc);
	mem_fini(&mem);

	image.ehdr.e_phnum = 1;
	capture_begin(&c);
	ret = image_load(&image, sizeof(image), 4 * MIB, &kernel, &mem);
	capture_end(&c);
	assert_int_equal(ret, -ENOEXEC);
	assert_non_null(strstr(c.text, "PVH"));
	mem_fini(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pvh),   cmocka_unit_test(test_linux),
		cmocka_unit_test(test_bad),   cmocka_unit_test(test_bad_notes),
		cmocka_unit_test(test_elf32),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
