// SPDX-License-Identifier: GPL-2.0-or-later
/* links: util/boot-file.c x86/bzimage.c x86/elf.c x86/flat.c x86/boot.c x86/params.c x86/cmdline.c x86/layout.c memory.c util/cache.c util/unpack.c util/util.c util/log.c */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>
#ifdef HAVE_ZLIB
#include <elf.h>
#include <zlib.h>
#endif

#include "../../x86/boot.h"
#include "kvm/boot-file.h"
#include "kvm/config.h"
#include "x86-mem.h"

#define SECTS	     3
#define SETUP_SIZE   ((SECTS + 1) * 512)
#define PAYLOAD_SIZE 4096

/* A bzImage as Linux 5 and later have it: relocatable, with a 64-bit entry. */
struct image {
	uint8_t bytes[SETUP_SIZE + PAYLOAD_SIZE];
};

static struct setup_header *image_hdr(struct image *image)
{
	return (struct setup_header *)(image->bytes + 0x1f1);
}

static void image_init(struct image *image)
{
	memset(image, 0, sizeof(*image));
	memset(image->bytes + SETUP_SIZE, 0x5a, PAYLOAD_SIZE);
	*image_hdr(image) = (struct setup_header){
		.setup_sects = SECTS,
		.syssize = PAYLOAD_SIZE / 16,
		.boot_flag = 0xaa55,
		.header = 0x53726448,
		.jump = 0x6aeb, /* the header ends at 0x202 + 0x6a */
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047,
		.pref_address = 0x1000000,
		.init_size = 0x800000,
	};
}

static int image_load(struct image *image, uint64_t size, uint64_t ram, struct kernel *kernel)
{
	struct kernel_file file;
	struct memory mem;
	int ret;

	mem_init(&mem, ram);
	file_init(&file, image->bytes, sizeof(image->bytes), size);
	assert_true(bzimage_probe(&file));
	*kernel = (struct kernel){0};
	ret = bzimage_load(&file, &mem, kernel);
	if (ret == 0) {
		const uint8_t *p = guest_ptr(&mem, kernel->hdr.code32_start, PAYLOAD_SIZE);

		assert_int_equal(p[0], 0x5a);
		assert_int_equal(p[PAYLOAD_SIZE - 1], 0x5a);
	}
	file_fini(&file);
	mem_fini(&mem);
	return ret;
}

static void test_entry_64(void **state)
{
	struct kernel kernel;
	struct image image;

	(void)state;
	image_init(&image);
	assert_int_equal(image_load(&image, sizeof(image), 256 * MIB, &kernel), 0);
	assert_int_equal(kernel.protocol, KERNEL_LINUX);
	assert_int_equal(kernel.entry.mode, ENTRY_LONG);
	assert_int_equal(kernel.entry.rip, 0x1000200);
	assert_int_equal(kernel.entry.rsi, LAYOUT_BOOT_PARAMS);
	assert_int_equal(kernel.end, 0x1800000);
	assert_int_equal(kernel.initrd_end, 0x80000000);
	assert_int_equal(kernel.cmdline_max, 2047);
}

#ifdef HAVE_ZLIB
/* An ELF file with one segment of `size` bytes 0x77 at pref_address, gzipped as the payload. */
static void image_pack_vmlinux(struct image *image, unsigned char class, size_t size)
{
	static uint8_t vmlinux[0x2000];
	z_stream z = {.next_in = vmlinux,
		      .avail_in = (uInt)(0x1000 + size),
		      .next_out = image->bytes + SETUP_SIZE + 64,
		      .avail_out = PAYLOAD_SIZE - 64};

	memset(vmlinux, 0, sizeof(vmlinux));
	memset(vmlinux + 0x1000, 0x77, size);
	*(Elf64_Ehdr *)vmlinux = (Elf64_Ehdr){
		.e_ident = {0x7f, 'E', 'L', 'F', class, ELFDATA2LSB, EV_CURRENT},
		.e_machine = EM_X86_64,
		.e_entry = 0x1000040,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
	};
	*(Elf64_Phdr *)(vmlinux + sizeof(Elf64_Ehdr)) = (Elf64_Phdr){.p_type = PT_LOAD,
								     .p_offset = 0x1000,
								     .p_paddr = 0x1000000,
								     .p_filesz = size,
								     .p_memsz = 0x900000};
	/* The trailer of gzip is the size, as the protocol wants it. */
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	image_hdr(image)->payload_offset = 64;
	image_hdr(image)->payload_length = (uint32_t)z.total_out;
	deflateEnd(&z);
}

static int load_packed(struct image *image, bool unpack, struct kernel *kernel, uint8_t *first)
{
	struct kernel_file file;
	struct memory mem;
	int ret;

	mem_init(&mem, 256 * MIB);
	file_init(&file, image->bytes, sizeof(image->bytes), sizeof(image->bytes));
	file.unpack = unpack;
	*kernel = (struct kernel){0};
	ret = bzimage_load(&file, &mem, kernel);
	*first = *(uint8_t *)guest_ptr(&mem, 0x1000000, 1);
	file_fini(&file);
	mem_fini(&mem);
	return ret;
}

/* The kernel inside is entered; the second time it comes from the cache, unless that is damaged. */
static void test_unpacked(void **state)
{
	char dir[] = "/tmp/test-bzimage.XXXXXX", command[200];
	struct kernel kernel;
	struct image image;
	uint8_t first;

	(void)state;
	assert_non_null(mkdtemp(dir));
	setenv("XDG_CACHE_HOME", dir, 1);
	image_init(&image);
	image_pack_vmlinux(&image, ELFCLASS64, 0x800);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(load_packed(&image, true, &kernel, &first), 0);
		assert_int_equal(first, 0x77);
		assert_int_equal(kernel.entry.mode, ENTRY_LONG);
		assert_int_equal(kernel.entry.rip, 0x1000040);
		assert_int_equal(kernel.end, 0x1900000);
		assert_int_equal(kernel.hdr.version, 0x020f);
		snprintf(command, sizeof(command), "truncate -s 1000 %s/lkvm/unpacked/*", dir);
		if (i == 1)
			assert_int_equal(system(command), 0);
	}
	/* Only where that was asked for. */
	assert_int_equal(load_packed(&image, false, &kernel, &first), 0);
	assert_int_equal(kernel.entry.rip, 0x1000200);
	/* What is not a 64-bit kernel unpacks itself, and so does one whose stream is broken. */
	image_pack_vmlinux(&image, ELFCLASS32, 0x800);
	assert_int_equal(load_packed(&image, true, &kernel, &first), 0);
	assert_int_equal(kernel.entry.rip, 0x1000200);
	image_pack_vmlinux(&image, ELFCLASS64, 0x800);
	image_hdr(&image)->payload_length -= 8;
	assert_int_equal(load_packed(&image, true, &kernel, &first), 0);
	assert_int_equal(kernel.entry.rip, 0x1000200);
	image_hdr(&image)->payload_length = 0xfffffff0;
	assert_int_equal(load_packed(&image, true, &kernel, &first), 0);
	assert_int_equal(kernel.entry.rip, 0x1000200);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}
#endif

static void test_entry_32(void **state)
{
	struct kernel kernel;
	struct image image;

	(void)state;
	image_init(&image);
	image_hdr(&image)->xloadflags = 0;
	assert_int_equal(image_load(&image, sizeof(image), 256 * MIB, &kernel), 0);
	assert_int_equal(kernel.entry.mode, ENTRY_PROTECTED);
	assert_int_equal(kernel.entry.rip, 0x1000000);

	/* Not relocatable: to 1 MiB, but it will unpack to pref_address. */
	image_hdr(&image)->relocatable_kernel = 0;
	assert_int_equal(image_load(&image, sizeof(image), 256 * MIB, &kernel), 0);
	assert_int_equal(kernel.entry.rip, 0x100000);
	assert_int_equal(kernel.end, 0x1800000);

	/* 2.06 has neither pref_address nor xloadflags: what stands there means nothing. */
	image_hdr(&image)->version = 0x206;
	image_hdr(&image)->relocatable_kernel = 1;
	image_hdr(&image)->xloadflags = 0xffff;
	image_hdr(&image)->init_size = 0;
	assert_int_equal(image_load(&image, sizeof(image), 256 * MIB, &kernel), 0);
	assert_int_equal(kernel.entry.mode, ENTRY_PROTECTED);
	assert_int_equal(kernel.entry.rip, 0x100000);
}

static void test_bad(void **state)
{
	struct kernel kernel;
	struct capture c;
	struct image image;
	int ret;

	(void)state;
	image_init(&image);
	capture_begin(&c);
	ret = image_load(&image, sizeof(image) - 1, 256 * MIB, &kernel);
	capture_end(&c);
	assert_int_equal(ret, -EINVAL);
	assert_non_null(strstr(c.text, "kernel some-kernel: truncated\n"));
	capture_begin(&c);
	ret = image_load(&image, 0x210, 256 * MIB, &kernel);
	capture_end(&c);
	assert_int_equal(ret, -EINVAL);
	assert_non_null(strstr(c.text, "kernel some-kernel: truncated\n"));
	capture_begin(&c);
	ret = image_load(&image, sizeof(image), 16 * MIB, &kernel);
	capture_end(&c);
	assert_int_equal(ret, -ENOMEM);
	assert_non_null(strstr(c.text, "kernel some-kernel: needs"));

	image_hdr(&image)->init_size = UINT32_MAX;
	capture_begin(&c);
	ret = image_load(&image, sizeof(image), 4 * GIB, &kernel);
	capture_end(&c);
	assert_int_equal(ret, -ENOMEM);
	image_init(&image);
	image_hdr(&image)->pref_address = UINT64_MAX - 0xfff;
	capture_begin(&c);
	ret = image_load(&image, sizeof(image), 256 * MIB, &kernel);
	capture_end(&c);
	assert_int_equal(ret, -ENOMEM);
	image_init(&image);
	image_hdr(&image)->version = 0x205;
	capture_begin(&c);
	ret = image_load(&image, sizeof(image), 256 * MIB, &kernel);
	capture_end(&c);
	assert_int_equal(ret, -ENOEXEC);
	assert_non_null(strstr(c.text, "2.05"));
}

static void test_initrd_place(void **state)
{
	struct kernel kernel = {.end = 0x1800000, .initrd_end = 0x80000000};
	struct memory mem;

	(void)state;
	mem_init(&mem, 256 * MIB);
	assert_int_equal(boot_place_initrd(&mem, &kernel, 0x1001), 256 * MIB - 0x2000);
	assert_int_equal(boot_place_initrd(&mem, &kernel, 256 * MIB - 0x1800000), 0x1800000);
	assert_int_equal(boot_place_initrd(&mem, &kernel, 256 * MIB - 0x1800000 + 1), 0);
	assert_int_equal(boot_place_initrd(&mem, &kernel, UINT64_MAX), 0);
	mem_fini(&mem);

	mem_init(&mem, 6 * GIB);
	assert_int_equal(boot_place_initrd(&mem, &kernel, 0x1000), 0x7ffff000);
	kernel.initrd_end = UINT64_MAX;
	assert_int_equal(boot_place_initrd(&mem, &kernel, 0x1000), 7 * GIB - 0x1000);
	/* As large as the upper bank, then larger: it goes below, unless it is too large there. */
	assert_int_equal(boot_place_initrd(&mem, &kernel, 3 * GIB), 4 * GIB);
	assert_int_equal(boot_place_initrd(&mem, &kernel, 3 * GIB + 1), 0);
	mem_fini(&mem);
}

static const char *write_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
	return path;
}

static int open_and_load(struct boot *boot, const struct vm_config *cfg, const char *cmdline,
			 const struct memory *mem)
{
	struct boot_file image, initrd = {0};
	int ret = boot_file_open(&image, "kernel", cfg->kernel);

	if (ret == 0)
		ret = boot_file_open(&initrd, "initrd", cfg->initrd);
	if (ret == 0)
		ret = boot_load(boot, cfg, &image, &initrd, cmdline, mem);
	boot_file_close(&initrd);
	boot_file_close(&image);
	return ret;
}

static void test_boot(void **state)
{
	char dir[] = "/tmp/lkvm-test-XXXXXX", kernel[64], initrd[64], cmdline[3000];
	struct vm_config cfg = {.kernel = kernel, .initrd = initrd, .nr_cpus = 1};
	struct boot_params *bp;
	struct capture c;
	struct image image;
	struct memory mem;
	struct boot boot;
	int ret;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(kernel, sizeof(kernel), "%s/kernel", dir);
	snprintf(initrd, sizeof(initrd), "%s/initrd", dir);
	image_init(&image);
	write_file(kernel, &image, sizeof(image));
	write_file(initrd, "an initrd", 9);
	mem_init(&mem, 64 * MIB);

	assert_int_equal(open_and_load(&boot, &cfg, "console=ttyS0 x=y", &mem), 0);
	params_write(&boot, &mem, 0xe0000);
	bp = guest_ptr(&mem, LAYOUT_BOOT_PARAMS, sizeof(*bp));
	assert_int_equal(bp->hdr.type_of_loader, 0xff);
	assert_int_equal(bp->hdr.cmd_line_ptr, LAYOUT_CMDLINE);
	assert_string_equal(guest_ptr(&mem, LAYOUT_CMDLINE, 32), "console=ttyS0 x=y");
	assert_int_equal(bp->hdr.ramdisk_size, 9);
	assert_memory_equal(guest_ptr(&mem, bp->hdr.ramdisk_image, 9), "an initrd", 9);
	assert_int_equal(bp->acpi_rsdp_addr, 0xe0000);
	assert_int_equal(bp->e820_entries, 5);
	assert_int_equal(bp->sentinel, 0);

	/* A long command line is refused, not cut. */
	memset(cmdline, 'a', sizeof(cmdline));
	cmdline[2048] = '\0';
	capture_begin(&c);
	ret = open_and_load(&boot, &cfg, cmdline, &mem);
	capture_end(&c);
	assert_int_equal(ret, -E2BIG);
	assert_non_null(strstr(c.text, "2048 characters, this kernel takes 2047"));
	cmdline[2047] = '\0';
	assert_int_equal(open_and_load(&boot, &cfg, cmdline, &mem), 0);

	assert_int_equal(truncate(initrd, 64 * MIB), 0);
	capture_begin(&c);
	ret = open_and_load(&boot, &cfg, "", &mem);
	capture_end(&c);
	assert_int_equal(ret, -ENOMEM);
	assert_non_null(strstr(c.text, initrd));

	assert_int_equal(truncate(initrd, 0), 0);
	capture_begin(&c);
	ret = open_and_load(&boot, &cfg, "", &mem);
	capture_end(&c);
	assert_int_equal(ret, -ENODATA);
	assert_non_null(strstr(c.text, "File is empty"));

	cfg.kernel = dir;
	capture_begin(&c);
	ret = open_and_load(&boot, &cfg, "", &mem);
	capture_end(&c);
	assert_int_equal(ret, -EISDIR);
	assert_non_null(strstr(c.text, "Fatal: Unable to open kernel /tmp/lkvm-test-"));
	cfg.kernel = "/nonexistent";
	capture_begin(&c);
	ret = open_and_load(&boot, &cfg, "", &mem);
	capture_end(&c);
	assert_int_equal(ret, -ENOENT);
	assert_non_null(strstr(c.text, "Fatal: Unable to open kernel /nonexistent: No such"));

	unlink(kernel);
	unlink(initrd);
	rmdir(dir);
	mem_fini(&mem);
}

static void test_flat(void **state)
{
	struct kernel_file file;
	struct kernel kernel;
	struct memory mem;
	struct capture c;
	uint8_t code[64] = {0xf4};
	int ret;

	(void)state;
	mem_init(&mem, 2 * MIB);
	file_init(&file, code, sizeof(code), sizeof(code));
	assert_false(bzimage_probe(&file));
	assert_false(elf_probe(&file));
	assert_int_equal(flat_load(&file, &mem, &kernel), 0);
	assert_int_equal(kernel.entry.mode, ENTRY_REAL);
	assert_int_equal(kernel.entry.rip, 0x10000);
	assert_int_equal(*(uint8_t *)guest_ptr(&mem, 0x10000, 1), 0xf4);
	file_fini(&file);

	memcpy(code + 0x38, "ARM\x64", 4);
	file_init(&file, code, sizeof(code), sizeof(code));
	capture_begin(&c);
	ret = flat_load(&file, &mem, &kernel);
	capture_end(&c);
	assert_int_equal(ret, -ENOEXEC);
	assert_non_null(strstr(c.text, "some-kernel: this is an arm64 kernel image"));
	file_fini(&file);

	memset(code, 0, sizeof(code));
	file_init(&file, code, sizeof(code), LAYOUT_LOW_RAM_END - LAYOUT_FLAT + 1);
	capture_begin(&c);
	ret = flat_load(&file, &mem, &kernel);
	capture_end(&c);
	assert_int_equal(ret, -ENOEXEC);
	assert_non_null(strstr(c.text, "some-kernel"));
	file_fini(&file);
	mem_fini(&mem);
}

static void test_cmdline(void **state)
{
	struct vm_config cfg = {.nr_cpus = 1, .params = "root=/dev/vdb quiet", .nr_disks = 1};
	char *line = cmdline_build(&cfg);

	(void)state;
	assert_non_null(line);
	assert_true(cmdline_has(line, "console"));
	assert_true(cmdline_has(line, "console=ttyS0"));
	assert_true(cmdline_has(line, "quiet"));
	assert_false(cmdline_has(line, "qui"));
	assert_false(cmdline_has(line, "ttyS0"));
	assert_null(strstr(line, "root=/dev/vda"));
	assert_string_equal(line + strlen(line) - 19, "root=/dev/vdb quiet");
	free(line);

	cfg.params = "norooted=1 rooted";
	line = cmdline_build(&cfg);
	assert_non_null(strstr(line, " root=/dev/vda rw"));
	assert_false(cmdline_has(line, "acpi"));
	free(line);

	cfg.initrd = "x";
	cfg.no_acpi = true;
	cfg.console = CONSOLE_VIRTIO;
	line = cmdline_build(&cfg);
	assert_null(strstr(line, "root=/dev/vda"));
	assert_true(cmdline_has(line, "acpi=off"));
	assert_true(cmdline_has(line, "console=hvc0"));
	free(line);

	cfg.nodefaults = true;
	line = cmdline_build(&cfg);
	assert_string_equal(line, "norooted=1 rooted");
	free(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entry_64),
#ifdef HAVE_ZLIB
		cmocka_unit_test(test_unpacked),
#endif
		cmocka_unit_test(test_entry_32),     cmocka_unit_test(test_bad),
		cmocka_unit_test(test_initrd_place), cmocka_unit_test(test_boot),
		cmocka_unit_test(test_flat),	     cmocka_unit_test(test_cmdline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
