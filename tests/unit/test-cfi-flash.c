// SPDX-License-Identifier: GPL-2.0-or-later
/* links: hw/cfi_flash.c bus.c util/util.c util/log.c */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/bus.h"
#include "kvm/cfi-flash.h"
#include "kvm/log.h"
#include "kvm/util.h"

#define BASE  UINT64_C(0x2000000)
#define SIZE  (4 * CFI_FLASH_BLOCK)
#define READY UINT32_C(0x00800080)

static char path[] = "/tmp/test-cfi-flash.XXXXXX";
static struct bus bus;
static struct memory mem;
static struct cfi_flash *flash;
static struct cfi_file file;
static bool shown; /* the guest sees the array without exits */

int memory_map_slot(struct memory *m, uint64_t gpa, uint64_t size, void *hva, uint32_t flags)
{
	(void)m, (void)hva, (void)flags;
	assert_int_equal(gpa, BASE);
	assert_int_equal(size, SIZE);
	assert_false(shown);
	shown = true;
	return 7;
}

void memory_unmap_slot(struct memory *m, int slot)
{
	(void)m;
	assert_int_equal(slot, 7);
	assert_true(shown);
	shown = false;
}

static struct cfi_flash *create(void)
{
	if (cfi_file_open(&file, path, 16 * MIB) < 0)
		return NULL;
	return cfi_flash_create(&bus, &mem, BASE, &file);
}

static void destroy(struct cfi_flash *f)
{
	cfi_flash_destroy(f);
	cfi_file_close(&file);
}

static struct cfi_flash *quietly_create(void)
{
	int saved = dup(STDERR_FILENO);
	struct cfi_flash *f;

	assert_non_null(freopen("/dev/null", "w", stderr));
	f = create();
	if (!f)
		cfi_file_close(&file);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	return f;
}

static int setup(void **state)
{
	uint8_t *bytes = malloc(SIZE);
	int fd;

	(void)state;
	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	memset(bytes, 0xff, SIZE);
	memcpy(bytes, "firmware", 8);
	assert_int_equal(write_full(fd, bytes, SIZE), 0);
	free(bytes);
	close(fd);
	bus_init(&bus, "mmio");
	flash = create();
	assert_non_null(flash);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (flash)
		destroy(flash);
	flash = NULL;
	assert_false(shown);
	bus_fini(&bus);
	unlink(path);
	return 0;
}

static uint64_t rd(uint64_t off, unsigned int len)
{
	uint64_t val;

	assert_true(bus_read(&bus, NULL, BASE + off, len, &val));
	return val;
}

static uint32_t rd32(uint64_t off)
{
	return rd(off, 4);
}

static void wr32(uint64_t off, uint32_t val)
{
	assert_true(bus_write(&bus, NULL, BASE + off, 4, val));
}

/* The same command to both chips. */
static void cmd(uint64_t off, uint16_t val)
{
	wr32(off, (uint32_t)val << 16 | val);
}

static void check_file(uint64_t off, const void *want, size_t len)
{
	uint8_t got[256];
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(pread_full(fd, got, len, off), 0);
	assert_memory_equal(got, want, len);
	close(fd);
}

static void test_array(void **state)
{
	(void)state;
	assert_true(shown);
	assert_int_equal(cfi_flash_size(flash), SIZE);
	assert_int_equal(rd32(0), 0x6d726966); /* "firm" */
	assert_int_equal(rd(4, 2), 0x6177);
	assert_int_equal(rd(7, 1), 'e');
	assert_int_equal(rd(0, 8), 0x657261776d726966);
}

static void test_query(void **state)
{
	(void)state;
	cmd(0x55 * 4, 0x98);
	assert_false(shown);
	assert_int_equal(rd32(0x10 * 4), 'Q' << 16 | 'Q');
	assert_int_equal(rd32(0x11 * 4), 'R' << 16 | 'R');
	assert_int_equal(rd32(0x12 * 4), 'Y' << 16 | 'Y');
	assert_int_equal(rd(0x27 * 4, 1), 17); /* each chip: 128 KiB */
	assert_int_equal(rd(0x2d * 4, 1) | rd(0x2e * 4, 1) << 8, 3);
	/* Blocks of both chips together. */
	assert_int_equal((rd(0x2f * 4, 1) | rd(0x30 * 4, 1) << 8) * 256 * 2, CFI_FLASH_BLOCK);
	assert_int_equal(rd32(SIZE - 4), 0);
	cmd(0, 0xff);
	assert_true(shown);
	assert_int_equal(rd32(0), 0x6d726966);
}

static void test_id(void **state)
{
	(void)state;
	cmd(0, 0x90);
	assert_int_equal(rd32(0), 0x00890089);
	assert_int_equal(rd32(CFI_FLASH_BLOCK + 8), 0); /* not locked */
	cmd(CFI_FLASH_BLOCK, 0x60);
	cmd(CFI_FLASH_BLOCK, 0x01);
	cmd(0, 0x90);
	assert_int_equal(rd32(CFI_FLASH_BLOCK + 8), 0x00010001);
	assert_int_equal(rd32(8), 0);
}

static void test_program_word(void **state)
{
	(void)state;
	cmd(0x100, 0x40);
	wr32(0x100, 0x12345678);
	assert_int_equal(rd32(0x100), READY);
	cmd(0, 0xff);
	assert_int_equal(rd32(0x100), 0x12345678);
	check_file(0x100, "\x78\x56\x34\x12\xff", 5);
	/* Bits can only be cleared. */
	cmd(0x100, 0x10);
	wr32(0x100, 0xffff0000);
	cmd(0, 0xff);
	assert_int_equal(rd32(0x100), 0x12340000);
}

static void test_erase(void **state)
{
	(void)state;
	cmd(0x40, 0x20);
	cmd(0x40, 0xd0);
	assert_int_equal(rd32(0), READY);
	cmd(0, 0xff);
	assert_int_equal(rd32(0), 0xffffffff);
	check_file(0, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	/* Something else than the confirmation: nothing happens, but an error. */
	cmd(0x40, 0x40);
	wr32(0x40, 0);
	cmd(0x40, 0x20);
	cmd(0x40, 0xff);
	cmd(0, 0x70);
	assert_int_equal(rd32(0), READY | 0x00300030);
	cmd(0, 0x50);
	assert_int_equal(rd32(0), READY);
	cmd(0, 0xff);
	assert_int_equal(rd32(0x40), 0);
}

static void test_program_buffer(void **state)
{
	uint8_t want[128];

	(void)state;
	cmd(0x200, 0xe8);
	assert_int_equal(rd32(0x200), READY);
	cmd(0x200, 31);
	for (unsigned int i = 0; i < 32; i++)
		wr32(0x200 + 4 * i, i * 0x01010101);
	cmd(0x200, 0xd0);
	assert_int_equal(rd32(0x200), READY);
	cmd(0, 0xff);
	for (unsigned int i = 0; i < 128; i++)
		want[i] = i / 4;
	check_file(0x200, want, 128);
}

static void bad_buffer(uint64_t block, uint16_t count, uint64_t first, uint64_t second)
{
	cmd(0, 0x50);
	cmd(block, 0xe8);
	cmd(block, count);
	wr32(first, 0);
	wr32(second, 0);
	cmd(block, 0xd0);
	cmd(0, 0x70);
	assert_int_equal(rd32(0) & 0x00300030, 0x00300030);
	cmd(0, 0xff);
}

static void test_bad_buffers(void **state)
{
	(void)state;
	bad_buffer(0, 32, 0x100, 0x104); /* more than there is */
	bad_buffer(0, 0xffff, 0x100, 0x104);
	bad_buffer(0, 1, 0x100, 0x108); /* a word that was not announced */
	bad_buffer(0, 1, 0x100, 0xfc);
	bad_buffer(0, 1, CFI_FLASH_BLOCK, CFI_FLASH_BLOCK + 4); /* another block */
	bad_buffer(0, 1, CFI_FLASH_BLOCK - 4, CFI_FLASH_BLOCK); /* over a block's end */
	bad_buffer(SIZE - CFI_FLASH_BLOCK, 31, SIZE - 4, SIZE - 4);
	check_file(0x100, "\xff\xff\xff\xff", 4);
	check_file(CFI_FLASH_BLOCK - 4, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
}

static void test_locked(void **state)
{
	(void)state;
	cmd(0, 0x60);
	cmd(0, 0x01);
	cmd(0x20, 0x40);
	wr32(0x20, 0);
	assert_int_equal(rd32(0), READY | 0x00120012);
	cmd(0, 0x50);
	cmd(0, 0x20);
	cmd(0, 0xd0);
	assert_int_equal(rd32(0), READY | 0x00220022);
	check_file(0, "firmware", 8);
	cmd(0, 0x50);
	cmd(0, 0x60);
	cmd(0, 0xd0);
	cmd(0, 0x20);
	cmd(0, 0xd0);
	assert_int_equal(rd32(0), READY);
	check_file(0, "\xff\xff", 2);
}

/* An access that is not aligned does not reach into a locked block. */
static void test_locked_neighbour(void **state)
{
	(void)state;
	cmd(CFI_FLASH_BLOCK, 0x60);
	cmd(CFI_FLASH_BLOCK, 0x01);
	cmd(CFI_FLASH_BLOCK - 2, 0x40);
	wr32(CFI_FLASH_BLOCK - 2, 0);
	assert_int_equal(rd32(0), READY | 0x00120012);
	check_file(CFI_FLASH_BLOCK - 2, "\xff\xff\xff\xff", 4);
}

/* What was programmed is in the file even if nobody went back to array mode. */
static void test_saved_at_the_end(void **state)
{
	(void)state;
	cmd(0x30, 0x40);
	wr32(0x30, 0x11223344);
	destroy(flash);
	flash = NULL;
	check_file(0x30, "\x44\x33\x22\x11", 4);
}

static void test_sizes(void **state)
{
	static const off_t bad[] = {
		0, 1, CFI_FLASH_BLOCK / 2, SIZE - 1, SIZE + CFI_FLASH_BLOCK, 32 * MIB};

	(void)state;
	destroy(flash);
	flash = NULL;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(truncate(path, bad[i]), 0);
		assert_null(quietly_create());
	}
	unlink(path);
	assert_null(quietly_create());
}

/* Any sequence of accesses: nothing is touched outside, and array mode still works afterwards. */
static void test_nonsense(void **state)
{
	static const uint8_t cmds[] = {0x01, 0x10, 0x20, 0x40, 0x50, 0x60,
				       0x70, 0x90, 0x98, 0xd0, 0xe8, 0xff};
	unsigned int seed = 3;

	(void)state;
	for (unsigned int i = 0; i < 100000; i++) {
		unsigned int len = 1u << rand_r(&seed) % 4;
		uint64_t off = ALIGN_DOWN((uint64_t)rand_r(&seed) % SIZE, len);
		uint32_t val = rand_r(&seed) % 3 ? cmds[rand_r(&seed) % sizeof(cmds)] * 0x10001u
						 : (uint32_t)rand_r(&seed);

		if (val % 256 == 0xff && rand_r(&seed) % 64)
			continue; /* each costs an msync */
		if (rand_r(&seed) % 2)
			rd(off, len);
		else
			assert_true(bus_write(&bus, NULL, BASE + off, len, val));
	}
	for (unsigned int i = 0; i < 40; i++)
		cmd(0, 0xff);
	assert_true(shown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_array, setup, teardown),
		cmocka_unit_test_setup_teardown(test_query, setup, teardown),
		cmocka_unit_test_setup_teardown(test_id, setup, teardown),
		cmocka_unit_test_setup_teardown(test_program_word, setup, teardown),
		cmocka_unit_test_setup_teardown(test_erase, setup, teardown),
		cmocka_unit_test_setup_teardown(test_program_buffer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_buffers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked_neighbour, setup, teardown),
		cmocka_unit_test_setup_teardown(test_saved_at_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
