// SPDX-License-Identifier: GPL-2.0-or-later
/* links: disk/disk.c disk/raw.c disk/qcow2.c disk/qcow2-open.c disk/qcow2-table.c disk/qcow2-alloc.c disk/qcow2-check.c disk/qcow2-inflate.c util/util.c util/log.c */
/*
 * qcow2 images against qemu-img: what it makes we read, what we write it finds sound and reads
 * back, whatever kind of image it is and wherever the writer was killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/disk.h"
#include "kvm/log.h"
#include "kvm/util.h"

struct box {
	char dir[64], path[96];
	uint8_t *model;
	uint64_t size;
	unsigned int seed;
};

static bool box_have_qemu(void)
{
	return system("qemu-img --version >/dev/null 2>&1") == 0;
}

static int box_init(void **state)
{
	struct box *box = calloc(1, sizeof(*box));

	/* In memory if possible: there are many flushes, and no test cuts the power. */
	strcpy(box->dir, access("/dev/shm", W_OK) ? "/var/tmp/lkvm-qcow2-XXXXXX"
						  : "/dev/shm/lkvm-qcow2-XXXXXX");
	if (!mkdtemp(box->dir))
		return -1;
	snprintf(box->path, sizeof(box->path), "%s/a.qcow2", box->dir);
	box->seed = 11;
	*state = box;
	return 0;
}

static int box_fini(void **state)
{
	struct box *box = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", box->dir);
	if (system(command))
		return -1;
	free(box->model);
	free(box);
	return 0;
}

/* Runs words in the box's folder; the exit status. */
static int __attribute__((format(printf, 2, 3))) box_run(struct box *box, const char *fmt, ...)
{
	char words[512], command[640];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	snprintf(command, sizeof(command), "cd %s && { %s; } >out 2>&1", box->dir, words);
	return WEXITSTATUS(system(command));
}

#define box_must(box, ...) assert_int_equal(box_run(box, __VA_ARGS__), 0)

/* No errors; and no leaks either unless they are allowed. */
static void box_check(struct box *box, bool leaks_ok)
{
	int status = box_run(box, "qemu-img check -f qcow2 a.qcow2");

	if (status == 3 && leaks_ok)
		return;
	assert_int_equal(status, 0);
}

static struct disk *box_open(struct box *box, bool readonly)
{
	const struct disk_params params = {
		.path = box->path, .readonly = readonly, .backing = true};

	return disk_open(&params);
}

static uint8_t *box_model(struct box *box, uint64_t size)
{
	free(box->model);
	box->model = calloc(1, size);
	box->size = size;
	return box->model;
}

static int disk_read(struct disk *disk, void *buf, size_t len, uint64_t off)
{
	struct iovec iov[3] = {
		{buf, len / 3}, {NULL, 0}, {(uint8_t *)buf + len / 3, len - len / 3}};

	return disk->ops->preadv(disk, iov, 3, off);
}

static int disk_write(struct disk *disk, const void *buf, size_t len, uint64_t off)
{
	struct iovec iov[2] = {{(void *)buf, len / 2}, {(uint8_t *)buf + len / 2, len - len / 2}};

	return disk->ops->pwritev(disk, iov, 2, off);
}

/* The whole disk is as the model says. */
static void box_compare(struct box *box, struct disk *disk)
{
	uint8_t *buf = malloc(box->size);

	assert_int_equal(disk->size, box->size);
	assert_int_equal(disk_read(disk, buf, box->size, 0), 0);
	assert_memory_equal(buf, box->model, box->size);
	free(buf);
}

/* And so says qemu-img. */
static void box_compare_qemu(struct box *box)
{
	uint8_t *buf = malloc(box->size);
	char raw[128];
	int fd;

	box_must(box, "qemu-img convert -f qcow2 -O raw a.qcow2 a.raw");
	snprintf(raw, sizeof(raw), "%s/a.raw", box->dir);
	fd = open(raw, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read_full(fd, buf, box->size), 0);
	close(fd);
	assert_memory_equal(buf, box->model, box->size);
	free(buf);
}

static void random_place(struct box *box, uint64_t *off, uint64_t *len)
{
	*off = rand_r(&box->seed) % (box->size / 512) * 512;
	*len = (1 + rand_r(&box->seed) % (rand_r(&box->seed) % 4 ? 40 : 1000)) * 512;
	*len = MIN(*len, box->size - *off);
}

static void random_ops(struct box *box, struct disk *disk, unsigned int nr)
{
	uint8_t *buf = malloc(1 * MIB);

	for (unsigned int i = 0; i < nr; i++) {
		uint64_t off, len;

		random_place(box, &off, &len);
		switch (rand_r(&box->seed) % 8) {
		case 0 ... 3:
			for (uint64_t j = 0; j < len; j++)
				box->model[off + j] = rand_r(&box->seed) >> 8;
			assert_int_equal(disk_write(disk, box->model + off, len, off), 0);
			break;
		case 4:
			assert_int_equal(disk->ops->write_zeroes(disk, off, len), 0);
			memset(box->model + off, 0, len);
			break;
		case 5:
			assert_int_equal(disk->ops->discard(disk, off, len), 0);
			assert_int_equal(disk_read(disk, box->model + off, len, off), 0);
			break;
		case 6:
			assert_int_equal(disk_read(disk, buf, len, off), 0);
			assert_memory_equal(buf, box->model + off, len);
			break;
		case 7:
			if (rand_r(&box->seed) % 4 == 0)
				assert_int_equal(disk->ops->flush(disk), 0);
			break;
		}
	}
	free(buf);
}

/* Fills a raw file and the model with stretches of noise and of nothing. */
static void box_noise(struct box *box, const char *name)
{
	char path[128];
	int fd;

	for (uint64_t i = 0; i < box->size; i++)
		box->model[i] = i >> 17 & 1 ? rand_r(&box->seed) % 5 : 0;
	snprintf(path, sizeof(path), "%s/%s", box->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write_full(fd, box->model, box->size), 0);
	close(fd);
}

/* Random work on the image there is, closed and opened between. */
static void box_work(struct box *box, unsigned int rounds, unsigned int nr)
{
	for (unsigned int i = 0; i < rounds; i++) {
		struct disk *disk = box_open(box, false);

		assert_non_null(disk);
		box_compare(box, disk);
		random_ops(box, disk, nr);
		box_compare(box, disk);
		disk_close(disk);
		box_check(box, false);
		box_compare_qemu(box);
	}
}

#define NEED_QEMU()                   \
	do {                          \
		if (!box_have_qemu()) \
			skip();       \
	} while (0)

static void test_kinds(void **state)
{
	static const char *const options[] = {
		"compat=1.1",
		"compat=0.10",
		"compat=1.1,cluster_size=512",
		"compat=1.1,cluster_size=4k,refcount_bits=1",
		"compat=1.1,cluster_size=1k,refcount_bits=64",
		"compat=1.1,refcount_bits=8,lazy_refcounts=on",
		"compat=1.1,cluster_size=2M",
		"compat=1.1,preallocation=metadata",
	};
	struct box *box = *state;

	NEED_QEMU();
	for (unsigned int i = 0; i < ARRAY_SIZE(options); i++) {
		box_must(box, "rm -f a.qcow2; qemu-img create -f qcow2 -o %s a.qcow2 12M",
			 options[i]);
		box_model(box, 12 * MIB);
		box_work(box, 2, 120);
	}
}

static void test_compressed(void **state)
{
	static const char *const types[] = {"zlib", "zstd"};
	struct box *box = *state;

	NEED_QEMU();
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		box_model(box, 6 * MIB);
		box_noise(box, "src");
		box_must(box,
			 "qemu-img convert -c -O qcow2 -f raw -o compression_type=%s src a.qcow2",
			 types[i]);
		box_work(box, 3, 60);
	}
}

static void test_backing(void **state)
{
	static const char *const compat[] = {"1.1", "0.10"};
	struct box *box = *state;
	struct disk *disk;

	NEED_QEMU();
	for (unsigned int i = 0; i < ARRAY_SIZE(compat); i++) {
		box_model(box, 7 * MIB);
		box_noise(box, "base");
		/* A backing file that is shorter than what is in front of it. */
		box_must(box,
			 "truncate -s 5M base && rm -f mid a.qcow2 &&"
			 "qemu-img create -f qcow2 -o compat=%s -b base -F raw mid 6M &&"
			 "qemu-img create -f qcow2 -o compat=%s -b mid -F qcow2 a.qcow2 7M",
			 compat[i], compat[i]);
		memset(box->model + 5 * MIB, 0, 2 * MIB);
		box_work(box, 3, 80);
	}
	/* Not without leave. */
	disk = disk_open(&(struct disk_params){.path = box->path});
	assert_null(disk);
}

static void test_snapshots(void **state)
{
	struct box *box = *state;
	uint8_t *old;

	NEED_QEMU();
	box_must(box, "qemu-img create -f qcow2 a.qcow2 8M");
	box_model(box, 8 * MIB);
	box_work(box, 1, 60);
	old = malloc(box->size);
	memcpy(old, box->model, box->size);
	box_must(box, "qemu-img snapshot -c one a.qcow2");
	box_work(box, 2, 100);
	box_must(box, "qemu-img snapshot -c two a.qcow2");
	box_work(box, 1, 100);
	box_must(box, "qemu-img snapshot -a one a.qcow2");
	memcpy(box->model, old, box->size);
	free(old);
	box_check(box, false);
	box_work(box, 1, 50);
	box_must(box, "qemu-img snapshot -d one a.qcow2 && qemu-img snapshot -d two a.qcow2");
	box_work(box, 1, 50);
}

static void test_resize(void **state)
{
	struct box *box = *state;
	struct disk *disk;

	NEED_QEMU();
	box_must(box, "qemu-img create -f qcow2 -o cluster_size=512 a.qcow2 1M");
	box_model(box, 1 * MIB);
	disk = box_open(box, false);
	random_ops(box, disk, 40);
	assert_int_equal(disk->ops->resize(disk, 512 * KIB), -EINVAL);
	assert_int_equal(disk->ops->resize(disk, 6 * MIB), 0);
	box->model = realloc(box->model, 6 * MIB);
	memset(box->model + 1 * MIB, 0, 5 * MIB);
	box->size = 6 * MIB;
	box_compare(box, disk);
	random_ops(box, disk, 40);
	disk_close(disk);
	box_check(box, false);
	box_compare_qemu(box);
	box_work(box, 1, 40);
}

/* --- killed --- */

/* Sector i of the disk, at generation g: g says itself, so a torn or stale sector shows. */
static void sector_fill(uint8_t *sector, uint64_t i, uint64_t g)
{
	for (unsigned int j = 0; j < 512; j += 16) {
		memcpy(sector + j, &i, 8);
		memcpy(sector + j + 8, &g, 8);
	}
}

#define KILL_SECTORS 8192

/* Writes and flushes until it is killed; after each flush says the generation that is safe. */
static void __attribute__((noreturn)) kill_writer(struct box *box, int report, uint64_t from)
{
	struct disk *disk = box_open(box, false);
	unsigned int seed = from * 31 + 1;
	uint8_t buf[16 * 512];

	if (!disk)
		_exit(5);
	for (uint64_t g = from;; g++) {
		for (unsigned int i = 0; i < 12; i++) {
			uint64_t nr = 1 + rand_r(&seed) % 16;
			uint64_t at = rand_r(&seed) % (KILL_SECTORS - nr);

			if (rand_r(&seed) % 6 == 0 && disk->ops->discard(disk, at * 512, nr * 512))
				_exit(2);
			for (uint64_t s = 0; s < nr; s++)
				sector_fill(buf + s * 512, at + s, g);
			if (disk_write(disk, buf, nr * 512, at * 512))
				_exit(3);
		}
		sector_fill(buf, 0, g);
		if (disk_write(disk, buf, 512, 0) || disk->ops->flush(disk) ||
		    write(report, &g, sizeof(g)) != sizeof(g))
			_exit(4);
	}
}

/* Every sector is of its place; and what was flushed is there. */
static void kill_verify(struct box *box, uint64_t safe)
{
	struct disk *disk = box_open(box, false);
	uint8_t sector[512], want[512];
	uint64_t i, g;

	assert_non_null(disk);
	for (i = 0; i < KILL_SECTORS; i++) {
		static const uint8_t zero[512];

		assert_int_equal(disk_read(disk, sector, 512, i * 512), 0);
		memcpy(&g, sector + 8, 8);
		sector_fill(want, i, g);
		if (memcmp(sector, want, 512) != 0)
			assert_memory_equal(sector, zero, 512);
		if (i == 0)
			assert_true(g >= safe);
	}
	disk_close(disk);
}

static void kill_rounds(struct box *box, unsigned int rounds)
{
	uint64_t safe = 0, g = 1;

	for (unsigned int i = 0; i < rounds; i++) {
		struct timespec wait = {0, 1000000 * (2 + rand_r(&box->seed) % 40)};
		int report[2];
		pid_t pid;

		assert_int_equal(pipe(report), 0);
		pid = fork();
		if (pid == 0)
			kill_writer(box, report[1], g);
		close(report[1]);
		nanosleep(&wait, NULL);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		while (read(report[0], &safe, sizeof(safe)) == sizeof(safe))
			g = safe + 1;
		close(report[0]);
		/* At most leaks, and they are gone once the image was open. */
		box_check(box, true);
		if (i % 4 == 3) {
			kill_verify(box, safe);
			box_check(box, false);
		}
	}
}

static void test_killed(void **state)
{
	static const char *const options[] = {"compat=1.1", "compat=0.10",
					      "compat=1.1,cluster_size=512,refcount_bits=64"};
	struct box *box = *state;

	NEED_QEMU();
	for (unsigned int i = 0; i < ARRAY_SIZE(options); i++) {
		box_must(box, "rm -f a.qcow2; qemu-img create -f qcow2 -o %s a.qcow2 %u",
			 options[i], KILL_SECTORS * 512);
		kill_rounds(box, 8);
	}
}

static void test_killed_with_snapshot(void **state)
{
	struct box *box = *state;

	NEED_QEMU();
	box_must(box, "qemu-img create -f qcow2 -o cluster_size=4k a.qcow2 %u", KILL_SECTORS * 512);
	kill_rounds(box, 4);
	box_must(box, "qemu-img snapshot -c one a.qcow2");
	kill_rounds(box, 8);
}

/* --- several threads --- */

struct hammer {
	struct disk *disk;
	uint64_t first; /* each has a part of the disk of its own, not aligned to clusters */
	unsigned int seed;
};

#define HAMMER_PART (700 * 1024ull)

static void *hammer_run(void *arg)
{
	struct hammer *h = arg;
	uint8_t *model = calloc(1, HAMMER_PART), *buf = malloc(HAMMER_PART);

	for (unsigned int i = 0; i < 300; i++) {
		uint64_t at = rand_r(&h->seed) % (HAMMER_PART / 512) * 512;
		uint64_t len = 512ull * (1 + rand_r(&h->seed) % 100);

		len = MIN(len, HAMMER_PART - at);
		memset(model + at, rand_r(&h->seed), len);
		if (disk_write(h->disk, model + at, len, h->first + at))
			return h;
		if (i % 16 == 0 && h->disk->ops->flush(h->disk))
			return h;
		if (i % 8 == 0) {
			memset(model + at, 0, len);
			if (h->disk->ops->write_zeroes(h->disk, h->first + at, len))
				return h;
		}
	}
	if (disk_read(h->disk, buf, HAMMER_PART, h->first) || memcmp(buf, model, HAMMER_PART))
		return h;
	free(model);
	free(buf);
	return NULL;
}

static void test_threads(void **state)
{
	struct box *box = *state;
	struct hammer hammer[4];
	pthread_t thread[4];
	struct disk *disk;
	void *bad;

	NEED_QEMU();
	box_must(box, "qemu-img create -f qcow2 a.qcow2 4M");
	disk = box_open(box, false);
	for (unsigned int i = 0; i < 4; i++) {
		hammer[i] = (struct hammer){disk, i * HAMMER_PART, i};
		assert_int_equal(pthread_create(&thread[i], NULL, hammer_run, &hammer[i]), 0);
	}
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(thread[i], &bad), 0);
		assert_null(bad);
	}
	disk_close(disk);
	box_check(box, false);
}

/* --- hostile --- */

static void box_poke(struct box *box, uint64_t at, uint64_t val, unsigned int bytes)
{
	int fd = open(box->path, O_WRONLY | O_CLOEXEC);
	uint8_t be[8];

	for (unsigned int i = 0; i < bytes; i++)
		be[i] = val >> 8 * (bytes - 1 - i);
	assert_int_equal(pwrite_full(fd, be, bytes, at), 0);
	close(fd);
}

static void test_refused(void **state)
{
	static const struct {
		uint64_t at, val;
		unsigned int bytes;
	} pokes[] = {
		{0, 0x514649fc, 4},  {4, 1, 4},		  {4, 4, 4},
		{8, 100, 8},	     {20, 8, 4},	  {20, 22, 4},
		{20, 0xffffffff, 4}, {24, 0, 8},	  {24, UINT64_MAX, 8},
		{32, 1, 4},	     {32, 2, 4},	  {36, 0, 4},
		{36, 0xffffffff, 4}, {40, 12345, 8},	  {40, 1ull << 60, 8},
		{48, 3, 8},	     {48, 1ull << 62, 8}, {56, 0, 4},
		{56, 0xffffffff, 4}, {60, 0xffffffff, 4}, {72, 2, 8},
		{72, 4, 8},	     {72, 1ull << 63, 8}, {96, 7, 4},
		{96, 0xffffffff, 4}, {100, 103, 4},	  {100, 0xffffffff, 4},
	};
	struct box *box = *state;

	NEED_QEMU();
	for (unsigned int i = 0; i < ARRAY_SIZE(pokes); i++) {
		box_must(box, "qemu-img create -f qcow2 a.qcow2 8M");
		if (pokes[i].at == 8)
			box_poke(box, 16, 0xffff, 4);
		box_poke(box, pokes[i].at, pokes[i].val, pokes[i].bytes);
		if (box_open(box, false))
			fail_msg("%llu at %llu is taken", (unsigned long long)pokes[i].val,
				 (unsigned long long)pokes[i].at);
	}
}

/* A map that says that the tables are data: what is written must not become tables. */
static void test_tables_as_data(void **state)
{
	struct box *box = *state;
	uint8_t buf[512] = {0};
	struct disk *disk;

	NEED_QEMU();
	for (uint64_t host = 0; host < 4 * 65536; host += 65536) {
		box_must(box, "qemu-img create -f qcow2 a.qcow2 8M &&"
			      "qemu-io -c 'write 0 64k' a.qcow2");
		box_poke(box, 4 * 65536, host | 1ull << 63, 8); /* L2 entry 0 */
		disk = box_open(box, false);
		assert_non_null(disk);
		/* The refcount block, at 2, is caught no sooner than by its content. */
		if (host != 2 * 65536)
			assert_int_equal(disk_write(disk, buf, 512, 0), host ? -EIO : 0);
		disk_close(disk);
	}
	box_must(box, "truncate -s 1000 a.qcow2");
	disk = box_open(box, false);
	if (disk)
		disk_write(disk, buf, 512, 0);
	disk_close(disk);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, box_init, box_fini)
	const struct CMUnitTest tests[] = {
		TEST(test_kinds),
		TEST(test_compressed),
		TEST(test_backing),
		TEST(test_snapshots),
		TEST(test_resize),
		TEST(test_killed),
		TEST(test_killed_with_snapshot),
		TEST(test_threads),
		TEST(test_refused),
		TEST(test_tables_as_data),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
