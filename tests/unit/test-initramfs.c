// SPDX-License-Identifier: GPL-2.0-or-later
/* links: rootfs/initramfs.c util/util.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the above */
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/initramfs.h"
#include "kvm/util.h"

#define HEAD_SIZE 110 /* of a "newc" entry */

struct entry {
	const char *name;
	uint32_t mode, size;
	const uint8_t *data;
};

static uint32_t field(const uint8_t *head, unsigned int nr)
{
	char hex[9] = "";

	memcpy(hex, head + 6 + 8 * nr, 8);
	return (uint32_t)strtoul(hex, NULL, 16);
}

/* As the kernel reads it; returns the next entry's offset. */
static size_t next_entry(const uint8_t *cpio, size_t len, size_t at, struct entry *entry)
{
	const uint8_t *head = cpio + at;
	uint32_t name_size;

	assert_true(at + HEAD_SIZE <= len);
	assert_memory_equal(head, "070701", 6);
	name_size = field(head, 11);
	entry->mode = field(head, 1);
	entry->size = field(head, 6);
	entry->name = (const char *)head + HEAD_SIZE;
	assert_int_equal(strlen(entry->name) + 1, name_size);
	at = ALIGN_UP(at + HEAD_SIZE + name_size, 4);
	entry->data = cpio + at;
	at = ALIGN_UP(at + entry->size, 4);
	assert_true(at <= len);
	return at;
}

static uint8_t *finish(struct initramfs *rd, size_t *len)
{
	int fd = initramfs_finish(rd);
	struct stat st;
	uint8_t *cpio;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*len = (size_t)st.st_size;
	cpio = malloc(*len);
	assert_non_null(cpio);
	assert_int_equal(pread_full(fd, cpio, *len, 0), 0);
	close(fd);
	return cpio;
}

static void entries_come_out_as_they_went_in(void **state)
{
	/* Lengths that need each amount of padding, and none at all. */
	static const char *const texts[] = {"", "a", "ab", "abc", "abcd", "abcde"};
	struct initramfs rd;
	struct entry entry;
	uint8_t *cpio;
	size_t len, at = 0;

	(void)state;
	initramfs_init(&rd);
	initramfs_add_folder(&rd, "dev");
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		initramfs_add_file(&rd, texts[5 - i][0] ? texts[5 - i] : "x", 0640, texts[i],
				   strlen(texts[i]));
	cpio = finish(&rd, &len);

	at = next_entry(cpio, len, at, &entry);
	assert_string_equal(entry.name, "dev");
	assert_int_equal(entry.mode, S_IFDIR | 0755);
	assert_int_equal(entry.size, 0);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		at = next_entry(cpio, len, at, &entry);
		assert_string_equal(entry.name, texts[5 - i][0] ? texts[5 - i] : "x");
		assert_int_equal(entry.mode, S_IFREG | 0640);
		assert_int_equal(entry.size, strlen(texts[i]));
		assert_memory_equal(entry.data, texts[i], entry.size);
	}
	at = next_entry(cpio, len, at, &entry);
	assert_string_equal(entry.name, "TRAILER!!!");
	assert_int_equal(at, len);
	free(cpio);
}

static void a_name_that_is_too_long_fails_at_the_end(void **state)
{
	struct initramfs rd;
	char name[600];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	initramfs_init(&rd);
	initramfs_add_file(&rd, name, 0600, "", 0);
	initramfs_add_file(&rd, "good", 0600, "", 0);
	assert_int_equal(initramfs_finish(&rd), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_come_out_as_they_went_in),
		cmocka_unit_test(a_name_that_is_too_long_fails_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
