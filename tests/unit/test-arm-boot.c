// SPDX-License-Identifier: GPL-2.0-or-later
/* links: util/boot-file.c arm/boot.c arm/image.c util/cache.c util/unpack.c memory.c util/util.c util/log.c */
/* libs: zlib libzstd liblzma */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arm/arm.h"
#include "arm/layout.h"
#include "kvm/config.h"
#include "kvm/util.h"
#include "kvm/vm.h"

#define TEXT_OFFSET 0x10000
#define IMAGE_SIZE  (30 * MIB) /* with .bss */

int ioctl(int fd, unsigned long request, ...)
{
	(void)fd, (void)request;
	return 0;
}

static char dir[] = "/tmp/lkvm-test-boot.XXXXXX";
static char kernel[64], zimage[64], initrd[64], firmware[64];

/* A file of that size: a hole between its first and its last bytes. */
static void make_file(char *path, size_t max, const char *name, const void *head, size_t len,
		      uint64_t size)
{
	int fd;

	snprintf(path, max, "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(pwrite(fd, head, len, 0), (ssize_t)len);
	assert_int_equal(pwrite(fd, "END", 3, size - 3), 3);
	close(fd);
}

static int setup(void **state)
{
	uint8_t head[64] = {0};

	(void)state;
	assert_non_null(mkdtemp(dir));
	le_store(head + 8, 8, TEXT_OFFSET);
	le_store(head + 16, 8, IMAGE_SIZE);
	memcpy(head + 56, "ARM\x64", 4);
	make_file(kernel, sizeof(kernel), "kernel", head, sizeof(head), 20 * MIB);
	memset(head, 0, sizeof(head));
	le_store(head + 36, 4, 0x016f2818);
	le_store(head + 44, 4, 8 * MIB);
	make_file(zimage, sizeof(zimage), "zimage", head, sizeof(head), 8 * MIB);
	make_file(initrd, sizeof(initrd), "initrd", "BEGIN", 5, 300 * MIB + 5);
	make_file(firmware, sizeof(firmware), "firmware", "BEGIN", 5, 2 * MIB + 5);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(kernel);
	unlink(zimage);
	unlink(initrd);
	unlink(firmware);
	rmdir(dir);
	return 0;
}

/* A machine with that RAM, as far as boot.c looks at it. */
struct machine {
	struct arch_config options;
	struct vm_config cfg;
	struct arch_vm arch;
	struct vm vm;
};

static void begin(struct machine *m, uint64_t ram, uint64_t size)
{
	*m = (struct machine){0};
	m->cfg = (struct vm_config){.arch = &m->options, .kernel = kernel, .ram_size = size};
	m->arch.ram = ram;
	m->vm.cfg = &m->cfg;
	m->vm.arch = &m->arch;
	assert_int_equal(memory_init(&m->vm.mem, 3), 0);
	assert_int_equal(memory_add_ram(&m->vm.mem, ram, size, NULL), 0);
}

static void end(struct machine *m)
{
	free(m->arch.cmdline);
	memory_fini(&m->vm.mem);
}

/* Loads; what is printed on errors is not what is tested here. */
static int load(struct machine *m)
{
	int saved = dup(STDERR_FILENO), ret;

	assert_non_null(freopen("/dev/null", "w", stderr));
	ret = boot_file_open(&m->vm.kernel, "kernel", m->cfg.kernel);
	if (ret == 0)
		ret = boot_file_open(&m->vm.initrd, "initrd", m->cfg.initrd);
	if (ret == 0)
		ret = boot_file_open(&m->vm.firmware, "firmware", m->cfg.firmware);
	if (ret == 0)
		ret = boot_load(&m->vm);
	boot_file_close(&m->vm.firmware);
	boot_file_close(&m->vm.initrd);
	boot_file_close(&m->vm.kernel);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	return ret;
}

/* All that Linux asks for of the places (booting.rst), and nothing lies on anything else. */
static void check_places(const struct machine *m)
{
	const struct boot *boot = &m->arch.boot;
	uint64_t ram = m->arch.ram, ram_end = ram + m->cfg.ram_size;
	uint64_t kernel_end = ram + TEXT_OFFSET + IMAGE_SIZE;
	uint64_t window = ALIGN_DOWN(ram, GIB) + 32 * GIB;
	const char *bytes;

	assert_int_equal(boot->entry, ram + TEXT_OFFSET);
	assert_int_equal(boot->dtb % (2 * MIB), 0);
	assert_true(boot->dtb >= kernel_end && boot->dtb + LAYOUT_FDT_SIZE <= ram_end);
	assert_true(boot->dtb + LAYOUT_FDT_SIZE <= window);
	bytes = guest_ptr(&m->vm.mem, boot->entry + 20 * MIB - 3, 3);
	assert_memory_equal(bytes, "END", 3);
	if (!m->cfg.initrd)
		return;
	assert_int_equal(boot->initrd_size, 300 * MIB + 5);
	assert_true(boot->initrd >= kernel_end);
	assert_true(boot->initrd + boot->initrd_size <= boot->dtb);
	bytes = guest_ptr(&m->vm.mem, boot->initrd, boot->initrd_size);
	assert_non_null(bytes);
	assert_memory_equal(bytes, "BEGIN", 5);
	assert_memory_equal(bytes + 300 * MIB + 2, "END", 3);
}

/* kvmtool puts both into the first 256 MiB, and so knows no larger initrd. */
static void test_large_initrd(void **state)
{
	struct machine m;

	(void)state;
	begin(&m, LAYOUT_RAM, GIB);
	m.cfg.initrd = initrd;
	assert_int_equal(load(&m), 0);
	check_places(&m);
	assert_true(m.arch.boot.initrd > LAYOUT_RAM + 256 * MIB);
	end(&m);
}

static void test_no_room(void **state)
{
	struct machine m;

	(void)state;
	/* Kernel, initrd and device tree, up to the page. */
	begin(&m, LAYOUT_RAM, 336 * MIB);
	m.cfg.initrd = initrd;
	assert_int_equal(load(&m), 0);
	check_places(&m);
	end(&m);
	begin(&m, LAYOUT_RAM, 330 * MIB);
	m.cfg.initrd = initrd;
	assert_int_equal(load(&m), -ENOMEM);
	end(&m);
	begin(&m, LAYOUT_RAM, 30 * MIB);
	assert_int_equal(load(&m), -ENOMEM);
	end(&m);
}

/* RAM beyond what the kernel can reach when it starts, and RAM that begins anywhere. */
static void test_much_ram(void **state)
{
	static const uint64_t base[] = {LAYOUT_RAM, 5 * GIB, 6 * GIB - 2 * MIB, 200 * GIB};
	struct machine m;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(base); i++) {
		begin(&m, base[i], 64 * GIB);
		m.cfg.initrd = initrd;
		assert_int_equal(load(&m), 0);
		check_places(&m);
		end(&m);
	}
}

/* A 32-bit kernel maps no more than its first MiBs when it looks for the device tree. */
static void test_32_bits(void **state)
{
	struct machine m;

	(void)state;
	begin(&m, LAYOUT_RAM, 2 * GIB);
	m.options.aarch32 = true;
	m.cfg.kernel = zimage;
	assert_int_equal(load(&m), 0);
	assert_int_equal(m.arch.boot.entry, LAYOUT_RAM + LAYOUT_KERNEL32);
	assert_true(m.arch.boot.dtb + LAYOUT_FDT_SIZE <= LAYOUT_RAM + 256 * MIB);
	end(&m);
}

/* At the start of RAM or where the user says; the device tree is at the next 2 MiB. */
static void test_firmware(void **state)
{
	struct machine m;

	(void)state;
	begin(&m, LAYOUT_RAM, 64 * MIB);
	m.cfg.firmware = firmware;
	assert_int_equal(load(&m), 0);
	assert_int_equal(m.arch.boot.entry, LAYOUT_RAM);
	assert_int_equal(m.arch.boot.dtb, LAYOUT_RAM + 4 * MIB);
	assert_memory_equal(guest_ptr(&m.vm.mem, LAYOUT_RAM, 5), "BEGIN", 5);
	assert_string_equal(m.arch.cmdline, "");
	free(m.arch.cmdline);

	m.options.firmware_address = LAYOUT_RAM + 16 * MIB + 0x123000;
	assert_int_equal(load(&m), 0);
	assert_int_equal(m.arch.boot.entry, m.options.firmware_address);
	assert_int_equal(m.arch.boot.dtb, LAYOUT_RAM + 20 * MIB);
	free(m.arch.cmdline);

	/* Not all of it, or nothing of it, in RAM; or no room for the device tree. */
	m.options.firmware_address = LAYOUT_RAM + 62 * MIB;
	assert_int_equal(load(&m), -EINVAL);
	free(m.arch.cmdline);
	m.options.firmware_address = 0x1000;
	assert_int_equal(load(&m), -EINVAL);
	free(m.arch.cmdline);
	m.options.firmware_address = LAYOUT_RAM + 61 * MIB;
	assert_int_equal(load(&m), -ENOMEM);
	end(&m);
}

static void test_bad_files(void **state)
{
	struct machine m;

	(void)state;
	begin(&m, LAYOUT_RAM, 64 * MIB);
	m.cfg.kernel = "/nonexistent";
	assert_int_equal(load(&m), -ENOENT);
	free(m.arch.cmdline);
	m.cfg.kernel = dir;
	assert_int_equal(load(&m), -EISDIR);
	free(m.arch.cmdline);
	m.cfg.kernel = "/dev/null";
	assert_int_equal(load(&m), -ESPIPE);
	free(m.arch.cmdline);
	m.cfg.kernel = kernel;
	m.cfg.initrd = "/nonexistent";
	assert_int_equal(load(&m), -ENOENT);
	end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_large_initrd), cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_much_ram),     cmocka_unit_test(test_32_bits),
		cmocka_unit_test(test_firmware),     cmocka_unit_test(test_bad_files),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
