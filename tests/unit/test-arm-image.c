// SPDX-License-Identifier: GPL-2.0-or-later
/* links: arm/image.c util/cache.c util/unpack.c util/util.c util/log.c */
/* libs: zlib libzstd liblzma */
#include <errno.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "arm/image.h"
#include "arm/layout.h"
#include "kvm/log.h"
#include "kvm/memory.h"
#include "kvm/util.h"

#define RAM_SIZE (4 * MIB)

#ifdef HAVE_XXHASH
#define CACHE_KEEPS 1
#else
#define CACHE_KEEPS 0
#endif

/* An Image as the kernel's build makes them: header, PE header, one section, then the code. */
#define KERNEL_SIZE 0x3000
#define KERNEL_MEM  0x5000 /* with .bss */
#define KERNEL_PE   0x40
#define KERNEL_TEXT 0x10000

static uint8_t kernel[KERNEL_SIZE];
static struct memory mem;
static uint8_t *ram;

/* memory.c's, which wants KVM. */
void *guest_ptr(const struct memory *m, uint64_t gpa, uint64_t len)
{
	if (!range_contains(m->bank[0].gpa, m->bank[0].size, gpa, len))
		return NULL;
	return (uint8_t *)m->bank[0].hva + (gpa - m->bank[0].gpa);
}

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	ram = calloc(1, RAM_SIZE);
	mem = (struct memory){.nr_banks = 1,
			      .bank = {{.gpa = LAYOUT_RAM, .size = RAM_SIZE, .hva = ram}}};

	for (unsigned int i = 0; i < KERNEL_SIZE; i++)
		kernel[i] = i * 7 + i / 256;
	memcpy(kernel, "MZ", 2);
	le_store(kernel + 8, 8, KERNEL_TEXT);
	le_store(kernel + 16, 8, KERNEL_MEM);
	memcpy(kernel + 56, "ARM\x64", 4);
	le_store(kernel + 60, 4, KERNEL_PE);
	memcpy(kernel + KERNEL_PE, "PE\0\0", 4);
	le_store(kernel + KERNEL_PE + 4, 2, 0xaa64);
	le_store(kernel + KERNEL_PE + 6, 2, 1);	  /* sections */
	le_store(kernel + KERNEL_PE + 20, 2, 16); /* optional header */
	le_store(kernel + KERNEL_PE + 24 + 16 + 16, 4, KERNEL_SIZE - 0x1000);
	le_store(kernel + KERNEL_PE + 24 + 16 + 20, 4, 0x1000);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(ram);
	return 0;
}

static struct image image(const void *bytes, size_t len)
{
	return (struct image){.path = "test", .bytes = bytes, .len = len};
}

/* What is printed on errors is not what is tested here. */
static int quietly_probe(struct image *img, bool is_32)
{
	int saved = dup(STDERR_FILENO), ret;

	assert_non_null(freopen("/dev/null", "w", stderr));
	ret = image_probe(img, is_32);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	return ret;
}

static int quietly_load(struct image *img, uint64_t gpa)
{
	int saved = dup(STDERR_FILENO), ret;

	assert_non_null(freopen("/dev/null", "w", stderr));
	ret = image_load(img, &mem, gpa);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	return ret;
}

static size_t gzip(uint8_t *out, size_t max, const void *in, size_t len)
{
	z_stream z = {.next_in = (Bytef *)in, .avail_in = len, .next_out = out, .avail_out = max};

	assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, 0), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

static void check_loads(const void *bytes, size_t len)
{
	struct image img = image(bytes, len);

	memset(ram, 0, RAM_SIZE);
	assert_int_equal(image_probe(&img, false), 0);
	assert_int_equal(img.text_offset, KERNEL_TEXT);
	assert_int_equal(image_load(&img, &mem, LAYOUT_RAM + img.text_offset), 0);
	assert_int_equal(img.size, KERNEL_MEM);
	assert_memory_equal(ram + KERNEL_TEXT, kernel, KERNEL_SIZE);
}

static void test_plain(void **state)
{
	(void)state;
	check_loads(kernel, sizeof(kernel));
}

static void test_gzip(void **state)
{
	uint8_t packed[2 * KERNEL_SIZE];
	size_t len = gzip(packed, sizeof(packed), kernel, sizeof(kernel));

	(void)state;
	check_loads(packed, len);
	memset(packed + len, 0x55, 100); /* what follows the stream is nobody's business */
	check_loads(packed, len + 100);
}

static unsigned int nr_kept(const char *dir)
{
	char pattern[100];
	glob_t found;
	unsigned int n;

	snprintf(pattern, sizeof(pattern), "%s/lkvm/unpacked/*", dir);
	n = glob(pattern, 0, NULL, &found) == 0 ? (unsigned int)found.gl_pathc : 0;
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(truncate(found.gl_pathv[i], 1000), 0);
	globfree(&found);
	return n;
}

/* Where asked for, unpacked once; what is kept may be damaged, or too large for this machine. */
static void test_kept(void **state)
{
	char dir[] = "/tmp/test-arm-image.XXXXXX", command[100];
	uint8_t packed[2 * KERNEL_SIZE];
	size_t len = gzip(packed, sizeof(packed), kernel, sizeof(kernel));
	struct image img;

	(void)state;
	assert_non_null(mkdtemp(dir));
	setenv("XDG_CACHE_HOME", dir, 1);
	check_loads(packed, len);
	assert_int_equal(nr_kept(dir), 0);
	for (int i = 0; i < 4; i++) {
		memset(ram, 0, RAM_SIZE);
		img = image(packed, len);
		img.keep = true;
		assert_int_equal(image_probe(&img, false), 0);
		assert_int_equal(image_load(&img, &mem, LAYOUT_RAM + KERNEL_TEXT), 0);
		assert_int_equal(img.size, KERNEL_MEM);
		assert_memory_equal(ram + KERNEL_TEXT, kernel, KERNEL_SIZE);
		if (i == 1)
			assert_int_equal(nr_kept(dir), CACHE_KEEPS);
	}
	img.size = 0; /* as if it did not say */
	assert_int_equal(quietly_load(&img, LAYOUT_RAM + RAM_SIZE - KERNEL_SIZE), -ENOMEM);
	assert_int_equal(quietly_load(&img, LAYOUT_RAM + RAM_SIZE - KERNEL_SIZE - 1), 0);
	img.len -= 8;
	assert_int_equal(quietly_load(&img, LAYOUT_RAM), -ENOEXEC);
	img = image(kernel, sizeof(kernel)); /* nothing is gained by keeping this */
	img.keep = true;
	assert_int_equal(image_probe(&img, false), 0);
	assert_int_equal(image_load(&img, &mem, LAYOUT_RAM), 0);
	assert_int_equal(nr_kept(dir), CACHE_KEEPS);
	unsetenv("XDG_CACHE_HOME");
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

static size_t zboot(uint8_t *out, const char *type, const void *payload, size_t len)
{
	memset(out, 0, 0x200);
	memcpy(out, "MZ\0\0zimg", 8);
	le_store(out + 8, 4, 0x200);
	le_store(out + 12, 4, len);
	strcpy((char *)out + 24, type);
	memcpy(out + 0x200, payload, len);
	return 0x200 + len;
}

static void test_zboot(void **state)
{
	uint8_t packed[2 * KERNEL_SIZE], file[3 * KERNEL_SIZE];
	size_t len = gzip(packed, sizeof(packed), kernel, sizeof(kernel));
	struct image img;

	(void)state;
	check_loads(file, zboot(file, "gzip", packed, len));

	img = image(file, zboot(file, "lzo", packed, len));
	assert_int_equal(quietly_probe(&img, false), -ENOEXEC);
	img = image(file, zboot(file, "gzip", packed, len) - 1);
	assert_int_equal(quietly_probe(&img, false), -ENOEXEC);
	zboot(file, "gzip", packed, len);
	le_store(file + 8, 4, 0xfffffff0);
	img = image(file, 0x200 + len);
	assert_int_equal(quietly_probe(&img, false), -ENOEXEC);
}

static void test_old_kernel(void **state)
{
	struct image img;

	(void)state;
	le_store(kernel + 16, 8, 0);
	img = image(kernel, sizeof(kernel));
	assert_int_equal(image_probe(&img, false), 0);
	assert_int_equal(img.text_offset, LAYOUT_KERNEL);
	assert_int_equal(image_load(&img, &mem, LAYOUT_RAM + img.text_offset), 0);
	assert_int_equal(img.size, KERNEL_SIZE);
}

static void test_flat(void **state)
{
	uint8_t code[] = {0x00, 0x00, 0x00, 0x14};
	struct image img = image(code, sizeof(code));

	(void)state;
	assert_int_equal(image_probe(&img, false), 0);
	assert_int_equal(img.text_offset, 0x80000);
	assert_int_equal(image_load(&img, &mem, LAYOUT_RAM + img.text_offset), 0);
	assert_int_equal(img.size, 4);
	img = image(code, sizeof(code));
	assert_int_equal(image_probe(&img, true), 0);
	assert_int_equal(img.text_offset, 0x8000);
}

static void test_truncated(void **state)
{
	uint8_t packed[2 * KERNEL_SIZE];
	size_t len = gzip(packed, sizeof(packed), kernel, sizeof(kernel));
	struct image img = image(kernel, sizeof(kernel) - 1);

	(void)state;
	assert_int_equal(image_probe(&img, false), 0);
	assert_int_equal(quietly_load(&img, LAYOUT_RAM), -ENOEXEC);
	img = image(packed, len - 8);
	assert_int_equal(image_probe(&img, false), 0); /* its beginning is fine */
	assert_int_equal(quietly_load(&img, LAYOUT_RAM), -ENOEXEC);
	img = image(packed, 20);
	assert_int_equal(quietly_probe(&img, false), -ENOEXEC);
}

static void test_no_room(void **state)
{
	struct image img = image(kernel, sizeof(kernel));

	(void)state;
	assert_int_equal(image_probe(&img, false), 0);
	assert_int_equal(quietly_load(&img, LAYOUT_RAM + RAM_SIZE - KERNEL_MEM + 1), -ENOMEM);
	assert_int_equal(quietly_load(&img, LAYOUT_RAM + RAM_SIZE), -ENOMEM);
	assert_int_equal(quietly_load(&img, 0), -ENOMEM);
	assert_int_equal(quietly_load(&img, LAYOUT_RAM + RAM_SIZE - KERNEL_MEM), 0);
}

static void test_foreign(void **state)
{
	uint8_t x86[0x300] = "MZ", elf[64] = "\177ELF";
	struct image img = image(x86, sizeof(x86));

	(void)state;
	memcpy(x86 + 0x202, "HdrS", 4);
	assert_int_equal(quietly_probe(&img, false), -ENOEXEC);
	img = image(elf, sizeof(elf));
	assert_int_equal(quietly_probe(&img, false), -ENOEXEC);
	img = image(kernel, sizeof(kernel));
	le_store(kernel + KERNEL_PE + 4, 2, 0x8664);
	assert_int_equal(quietly_probe(&img, false), -ENOEXEC);
	le_store(kernel + KERNEL_PE + 4, 2, 0xaa64);
	assert_int_equal(quietly_probe(&img, true), -ENOEXEC);
}

static void test_zimage(void **state)
{
	uint8_t z[0x200] = "MZ";
	struct image img = image(z, sizeof(z));

	(void)state;
	le_store(z + 36, 4, 0x016f2818);
	le_store(z + 44, 4, sizeof(z));
	/* With an EFI stub, as distributions' have. */
	le_store(z + 0x3c, 4, 0x80);
	memcpy(z + 0x80, "PE\0\0", 4);
	le_store(z + 0x84, 2, 0x01c2);
	assert_int_equal(quietly_probe(&img, false), -ENOEXEC);
	assert_int_equal(image_probe(&img, true), 0);
	assert_int_equal(img.text_offset, 0x8000);
	assert_int_equal(image_load(&img, &mem, LAYOUT_RAM + img.text_offset), 0);
	assert_true(img.size >= 4 * sizeof(z)); /* it needs room to unpack itself */
	img = image(z, sizeof(z) - 1);
	assert_int_equal(image_probe(&img, true), 0);
	assert_int_equal(quietly_load(&img, LAYOUT_RAM + img.text_offset), -ENOEXEC);
}

/* No header, however strange, may lead outside of the file. */
static void test_nonsense(void **state)
{
	unsigned int seed = 1;

	(void)state;
	for (unsigned int round = 0; round < 3000; round++) {
		size_t len = 1 + rand_r(&seed) % 4096;
		uint8_t *bytes = malloc(len); /* of just that size: the sanitizer watches its end */
		struct image img = image(bytes, len);

		memcpy(bytes, kernel, len);
		for (unsigned int i = 0; i < 8; i++)
			bytes[rand_r(&seed) % MIN(len, 128)] = rand_r(&seed);
		if (round % 3 == 0 && len > 8)
			memcpy(bytes, "MZ\0\0zimg", 8);
		if (quietly_probe(&img, round % 2) == 0)
			quietly_load(&img, LAYOUT_RAM + img.text_offset);
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gzip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_zboot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_kernel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flat, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
		cmocka_unit_test_setup_teardown(test_zimage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
