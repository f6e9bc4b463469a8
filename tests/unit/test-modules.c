// SPDX-License-Identifier: GPL-2.0-or-later
/* links: rootfs/modules.c rootfs/kernel-find.c util/cache.c util/unpack.c util/util.c util/log.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the above */
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/kernel-find.h"
#include "kvm/log.h"
#include "kvm/modules.h"
#include "kvm/util.h"

/* A folder of modules: what is of interest to us in them is strings. */
static int make_folder(void **state)
{
	static char dir[] = "/tmp/test-modules.XXXXXX";

	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	*state = mkdtemp(dir);
	setenv("XDG_CACHE_HOME", dir, 1);
	log_set_level(LOG_LEVEL_ERROR);
	return *state ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf '%s'", (char *)*state);
	return system(command);
}

static void put(const char *dir, const char *name, const void *data, size_t len)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, data, len), 0);
	close(fd);
}
#define PUT(dir, name, text) put(dir, name, text, sizeof(text) - 1)

static void put_module(const char *dir, const char *file, const char *depends)
{
	char data[200];
	int len = snprintf(data, sizeof(data),
			   "ELF%clicense=GPL%cdepends=%s%cvermagic=6.1.0-9-x SMP %c", 0, 0, depends,
			   0, 0);

	put(dir, file, data, (size_t)len);
}

static void expect_order(const struct modules *mods, const char *const *names, unsigned int nr)
{
	assert_int_equal(mods->nr, nr);
	for (unsigned int i = 0; i < nr; i++)
		assert_string_equal(mods->module[i].name, names[i]);
}

static void what_is_needed_comes_first_and_once(void **state)
{
	static const char *const order[] = {"ring", "virtio", "virtio_net", "virtio_blk"};
	struct modules mods;
	char *release;

	PUT(*state, "modules.dep", "virtio-net.ko: x\nring.ko:\nvirtio.ko: a\nvirtio_blk.ko:\n");
	PUT(*state, "modules.builtin", "kernel/drivers/failover.ko\n");
	put_module(*state, "virtio-net.ko", "failover,virtio,ring");
	put_module(*state, "virtio_blk.ko", "virtio,ring");
	put_module(*state, "virtio.ko", "ring");
	put_module(*state, "ring.ko", "");
	assert_int_equal(modules_open(&mods, *state), 0);
	assert_int_equal(modules_add(&mods, "failover"), 0);
	assert_int_equal(mods.nr, 0);
	assert_true(modules_has(&mods, "failover"));
	assert_true(modules_has(&mods, "virtio_net"));
	assert_false(modules_has(&mods, "virtio_ne"));
	assert_int_equal(modules_add(&mods, "virtio_net"), 0);
	assert_int_equal(modules_add(&mods, "virtio_blk"), 0);
	assert_int_equal(modules_add(&mods, "ring"), 0);
	assert_int_equal(modules_add(&mods, "vir"), -ENOENT);
	expect_order(&mods, order, ARRAY_SIZE(order));
	release = module_release(&mods.module[0]);
	assert_string_equal(release, "6.1.0-9-x");
	free(release);
	modules_close(&mods);
}

/* What is printed of a module's is no way to the terminal. */
static void releases_are_plain(void **state)
{
	static const char data[] = "ELF\0vermagic=6.1\033[2Jx SMP \0depends=\0",
			  odd[] = "ELF\0vermagic=\033\0depends=\0";
	struct modules mods;
	char *release;

	PUT(*state, "modules.dep", "a.ko:\nb.ko:\n");
	PUT(*state, "a.ko", data);
	PUT(*state, "b.ko", odd);
	assert_int_equal(modules_open(&mods, *state), 0);
	assert_int_equal(modules_add(&mods, "a"), 0);
	assert_int_equal(modules_add(&mods, "b"), 0);
	release = module_release(&mods.module[0]);
	assert_string_equal(release, "6.1");
	free(release);
	assert_null(module_release(&mods.module[1]));
	modules_close(&mods);
}

static void bad_folders_are_refused(void **state)
{
	struct modules mods;

	assert_int_equal(modules_open(&mods, *state), -ENOENT);
	PUT(*state, "modules.order", "a.o\nb.o\ngone.ko\nlost.ko");
	put_module(*state, "a.ko", "b");
	put_module(*state, "b.ko", "a");
	put_module(*state, "lost.ko", "nowhere");
	assert_int_equal(modules_open(&mods, *state), 0);
	assert_int_equal(modules_add(&mods, "a"), -ELOOP);
	assert_int_equal(modules_add(&mods, "gone"), -ENOENT);
	assert_int_equal(modules_add(&mods, "lost"), -EINVAL);
	assert_int_equal(mods.nr, 0);
	modules_close(&mods);
}

/* However it is packed, the module in memory is the same; a damaged one is an error. */
static void packed_modules_are_unpacked(void **state)
{
	static const char *const tools[][2] = {{"gzip", "gz"}, {"xz", "xz"}, {"zstd -q", "zst"}};
	char command[300], list[100], path[200];
	struct modules mods;

	for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
		snprintf(list, sizeof(list), "m.ko.%s:\n", tools[i][1]);
		put(*state, "modules.dep", list, strlen(list));
		put_module(*state, "m.ko", "");
		snprintf(command, sizeof(command), "cd %s && %s -c m.ko >m.ko.%s 2>/dev/null",
			 (char *)*state, tools[i][0], tools[i][1]);
		if (system(command))
			continue;
		assert_int_equal(modules_open(&mods, *state), 0);
		assert_int_equal(modules_add(&mods, "m"), 0);
		assert_memory_equal(mods.module[0].data, "ELF\0license=GPL\0depends=", 25);
		modules_close(&mods);

		snprintf(path, sizeof(path), "%s/m.ko.%s", (char *)*state, tools[i][1]);
		assert_int_equal(truncate(path, 20), 0);
		assert_int_equal(modules_open(&mods, *state), 0);
		assert_true(modules_add(&mods, "m") < 0);
		modules_close(&mods);
	}
}

static void releases_of_kernels(void **state)
{
	char image[0x800] = "", path[200], *release;

	snprintf(path, sizeof(path), "%s/kernel", (char *)*state);
	assert_null(kernel_release(path));
	memcpy(image + 0x202, "HdrS", 4);
	le_store(image + 0x20e, 2, 0x300);
	strcpy(image + 0x500, "6.1.0-9-amd64 (debian) #1");
	put(*state, "kernel", image, sizeof(image));
	release = kernel_release(path);
	assert_string_equal(release, "6.1.0-9-amd64");
	free(release);

	/* A pointer that leaves the file. */
	le_store(image + 0x20e, 2, 0xfff0);
	put(*state, "kernel", image, sizeof(image));
	assert_null(kernel_release(path));

	memset(image, 0, sizeof(image));
	strcpy(image + 100, "Linux version 5.4 (gcc)");
	put(*state, "kernel", image, sizeof(image));
	release = kernel_release(path);
	assert_string_equal(release, "5.4");
	free(release);

	memcpy(image, "MZ\0\0zimg\xff\xff\xff\xff\xff\xff\xff\xff", 16);
	put(*state, "kernel", image, sizeof(image));
	release = kernel_release(path);
	assert_string_equal(release, "5.4");
	free(release);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		TEST(what_is_needed_comes_first_and_once),
		TEST(releases_are_plain),
		TEST(bad_folders_are_refused),
		TEST(packed_modules_are_unpacked),
		TEST(releases_of_kernels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
