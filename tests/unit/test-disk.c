// SPDX-License-Identifier: GPL-2.0-or-later
/* links: disk/disk.c disk/raw.c disk/queue.c disk/uring.c disk/limit.c disk/params.c disk/qcow2.c disk/qcow2-open.c disk/qcow2-table.c disk/qcow2-alloc.c disk/qcow2-check.c disk/qcow2-inflate.c util/transport.c util/options.c util/loop.c util/util.c util/log.c */
/* Disk images: what opens and what does not, locks, sizes, padding, direct I/O of any alignment. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/disk.h"
#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/util.h"

#define IMAGE_SIZE (1 * MIB)

/* Each test has a folder of its own; stderr is caught to see what was printed. */
struct box {
	char dir[64], path[96];
	int saved_stderr, caught;
};

static int box_init(void **state)
{
	struct box *box = calloc(1, sizeof(*box));

	/* Not /tmp: that may be a tmpfs, which knows no O_DIRECT. */
	strcpy(box->dir, "/var/tmp/lkvm-disk-XXXXXX");
	if (!mkdtemp(box->dir))
		return -1;
	snprintf(box->path, sizeof(box->path), "%s/foo.img", box->dir);
	box->caught = memfd_create("stderr", MFD_CLOEXEC);
	box->saved_stderr = dup(STDERR_FILENO);
	dup2(box->caught, STDERR_FILENO);
	*state = box;
	return 0;
}

static int box_fini(void **state)
{
	struct box *box = *state;
	char command[128];

	dup2(box->saved_stderr, STDERR_FILENO);
	close(box->saved_stderr);
	close(box->caught);
	snprintf(command, sizeof(command), "rm -rf %s", box->dir);
	if (system(command))
		return -1;
	free(box);
	return 0;
}

static void box_make(struct box *box, uint64_t size)
{
	int fd = open(box->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static struct disk *box_open(const char *path, bool readonly, bool direct)
{
	const struct disk_params params = {.path = path, .readonly = readonly, .direct = direct};

	return disk_open(&params);
}

/* It cannot be opened, for which one line that has all three words was printed. */
static void box_refused(struct box *box, const char *path, bool readonly, bool direct,
			const char *why)
{
	char line[512] = "";
	ssize_t n;

	assert_int_equal(ftruncate(box->caught, 0), 0);
	lseek(box->caught, 0, SEEK_SET);
	errno = 0;
	assert_null(box_open(path, readonly, direct));
	assert_int_not_equal(errno, 0);
	n = pread(box->caught, line, sizeof(line) - 1, 0);
	assert_true(n > 0);
	assert_ptr_equal(strchr(line, '\n'), line + n - 1);
	assert_non_null(strstr(line, "disk "));
	assert_non_null(strstr(line, path));
	if (!strstr(line, why))
		fail_msg("\"%s\" does not say \"%s\"", line, why);
}

static void test_refused(void **state)
{
	struct box *box = *state;
	char fifo[128];
	int fd;

	box_refused(box, box->path, false, false, "No such file");
	box_refused(box, box->dir, false, false, "folder");
	box_refused(box, box->dir, true, false, "folder");
	box_refused(box, "/dev/null", false, false, "neither a file nor a block device");
	snprintf(fifo, sizeof(fifo), "%s/fifo", box->dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	box_refused(box, fifo, true, false, "neither a file nor a block device");
	box_make(box, 0);
	box_refused(box, box->path, false, false, "empty");

	/* Other formats are not taken for raw. */
	box_make(box, IMAGE_SIZE);
	fd = open(box->path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "QFI\xfb\0\0\0\3", 8, 0), 8);
	close(fd);
	box_refused(box, box->path, false, false, "qcow");
	box_refused(box, box->path, true, true, "qcow");
}

static void test_permission(void **state)
{
	struct box *box = *state;
	pid_t uid = geteuid();

	box_make(box, IMAGE_SIZE);
	assert_int_equal(chmod(box->dir, 0755), 0);
	assert_int_equal(chmod(box->path, 0444), 0);
	if (uid == 0 && seteuid(65534))
		skip();
	box_refused(box, box->path, false, false, "Permission denied");
	disk_close(box_open(box->path, true, false));
	if (uid == 0)
		assert_int_equal(seteuid(0), 0);
}

static void test_locks(void **state)
{
	struct box *box = *state;
	struct disk *a, *b;

	box_make(box, IMAGE_SIZE);
	a = box_open(box->path, true, false);
	b = box_open(box->path, true, false);
	assert_true(a && b);
	box_refused(box, box->path, false, false, "in use by another process");
	disk_close(a);
	box_refused(box, box->path, false, false, "in use");
	disk_close(b);
	a = box_open(box->path, false, false);
	assert_non_null(a);
	box_refused(box, box->path, false, false, "in use");
	box_refused(box, box->path, true, false, "in use");
	disk_close(a);
	disk_close(box_open(box->path, false, false));
	disk_close(NULL);
}

static int disk_read(struct disk *disk, void *buf, size_t len, uint64_t off)
{
	struct iovec iov = {buf, len};

	return disk->ops->preadv(disk, &iov, 1, off);
}

static int disk_write(struct disk *disk, const void *buf, size_t len, uint64_t off)
{
	struct iovec iov = {(void *)buf, len};

	return disk->ops->pwritev(disk, &iov, 1, off);
}

/* The last piece of a file that is no multiple of 512 is there, and grows when it is written. */
static void test_padding(void **state)
{
	struct box *box = *state;
	uint8_t buf[1024], expected[1024] = {0};
	struct stat st;
	struct disk *disk;

	box_make(box, 700);
	disk = box_open(box->path, false, false);
	assert_non_null(disk);
	assert_int_equal(disk->size, 1024);
	assert_int_equal(disk->block_size, 512);
	memset(buf, 0xaa, sizeof(buf));
	assert_int_equal(disk_read(disk, buf, 1024, 0), 0);
	assert_memory_equal(buf, expected, 1024);
	memset(buf, 0xaa, sizeof(buf));
	assert_int_equal(disk_read(disk, buf, 512, 512), 0);
	assert_memory_equal(buf, expected, 512);

	memset(expected + 512, 0x55, 512);
	assert_int_equal(disk_write(disk, expected + 512, 512, 512), 0);
	assert_int_equal(disk_read(disk, buf, 1024, 0), 0);
	assert_memory_equal(buf, expected, 1024);
	disk_close(disk);
	assert_int_equal(stat(box->path, &st), 0);
	assert_int_equal(st.st_size, 1024);

	/* Not so what somebody cut off under us. */
	disk = box_open(box->path, true, false);
	assert_int_equal(truncate(box->path, 512), 0);
	assert_int_equal(disk_read(disk, buf, 1024, 0), -EIO);
	disk_close(disk);
}

/* Random reads and writes, of many odd pieces, against a copy in memory. */
static void random_io(struct box *box, bool direct)
{
	uint8_t *model = calloc(1, IMAGE_SIZE), *mem, *check = malloc(IMAGE_SIZE);
	struct disk *disk;
	unsigned int seed = 7;
	int fd;

	box_make(box, IMAGE_SIZE);
	disk = box_open(box->path, false, direct);
	if (!disk && direct)
		goto out; /* a file system without O_DIRECT */
	assert_non_null(disk);
	mem = aligned_alloc(4096, IMAGE_SIZE + 4096);
	for (unsigned int i = 0; i < 400; i++) {
		uint64_t off = rand_r(&seed) % (IMAGE_SIZE / 512) * 512;
		uint64_t at = rand_r(&seed) % 3 ? 0 : rand_r(&seed) % 1000;
		uint64_t len = (1 + rand_r(&seed) % 200) * 512, left;
		bool write = rand_r(&seed) % 2;
		struct iovec iov[32];
		int nr = 0;

		len = left = MIN(len, IMAGE_SIZE - off);
		for (uint8_t *p = mem + at; left; nr++) {
			size_t n = 1 + rand_r(&seed) % 9000;

			if (rand_r(&seed) % 2)
				n = ALIGN_UP(n, 4096ULL);
			n = nr == 31 ? left : MIN(left, n);
			iov[nr] = (struct iovec){p, n};
			p += n;
			left -= n;
		}
		if (write) {
			for (uint64_t j = 0; j < len; j++)
				mem[at + j] = rand_r(&seed);
			memcpy(model + off, mem + at, len);
			assert_int_equal(disk->ops->pwritev(disk, iov, nr, off), 0);
		} else {
			assert_int_equal(disk->ops->preadv(disk, iov, nr, off), 0);
			assert_memory_equal(mem + at, model + off, len);
		}
	}
	assert_int_equal(disk->ops->flush(disk), 0);
	disk_close(disk);
	fd = open(box->path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read_full(fd, check, IMAGE_SIZE), 0);
	assert_int_equal(read(fd, check, 1), 0); /* and it has not grown */
	close(fd);
	fd = open(box->path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read_full(fd, check, IMAGE_SIZE), 0);
	close(fd);
	assert_memory_equal(check, model, IMAGE_SIZE);
	free(mem);
out:
	free(check);
	free(model);
	if (!disk)
		skip();
}

static void test_buffered(void **state)
{
	random_io(*state, false);
}

static void test_direct(void **state)
{
	random_io(*state, true);
}

static void test_discard_and_zeroes(void **state)
{
	struct box *box = *state;
	uint8_t *buf = malloc(IMAGE_SIZE), *expected = malloc(IMAGE_SIZE);
	struct disk *disk;
	struct stat st;

	box_make(box, IMAGE_SIZE);
	disk = box_open(box->path, false, false);
	memset(expected, 0x77, IMAGE_SIZE);
	assert_int_equal(disk_write(disk, expected, IMAGE_SIZE, 0), 0);

	memset(expected + 4608, 0, 300 * 512);
	assert_int_equal(disk->ops->write_zeroes(disk, 4608, 300 * 512), 0);
	assert_int_equal(disk->ops->write_zeroes(disk, 0, 0), 0);
	assert_int_equal(disk_read(disk, buf, IMAGE_SIZE, 0), 0);
	assert_memory_equal(buf, expected, IMAGE_SIZE);

	assert_int_equal(disk->ops->flush(disk), 0);
	assert_int_equal(disk->ops->discard(disk, 0, IMAGE_SIZE), 0);
	assert_int_equal(disk->ops->discard(disk, 0, 0), 0);
	assert_int_equal(disk->ops->flush(disk), 0);
	assert_int_equal(stat(box->path, &st), 0);
	assert_int_equal(st.st_size, IMAGE_SIZE);
	assert_true(st.st_blocks * 512 < (blkcnt_t)IMAGE_SIZE); /* the space came back */
	disk_close(disk);
	free(buf);
	free(expected);
}

/* A medium that is full: an error, and what was there before still is. */
static void test_host_error(void **state)
{
	struct box *box = *state;
	uint8_t buf[512] = {1};
	struct disk *disk;

	box_make(box, IMAGE_SIZE);
	disk = box_open(box->path, true, false);
	assert_non_null(disk);
	assert_true(disk->readonly);
	assert_int_equal(disk_write(disk, buf, 512, 0), -EBADF);
	assert_int_equal(disk_read(disk, buf, 512, 0), 0);
	assert_int_equal(buf[0], 0);
	assert_int_equal(disk->ops->flush(disk), 0);
	disk_close(disk);
}

/* --- a block device, where the host lets us have one --- */

/* The box's image as a disk with blocks of 4096 bytes, which goes with the last that has it open. */
static int box_loop(struct box *box, char path[32])
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), image, fd = -1;

	for (unsigned int i = 0; i < 20 && control >= 0 && fd < 0; i++) {
		struct loop_config config = {.block_size = 4096,
					     .info.lo_flags = LO_FLAGS_AUTOCLEAR};
		int nr = ioctl(control, LOOP_CTL_GET_FREE);

		snprintf(path, 32, "/dev/loop%d", nr);
		image = open(box->path, O_RDWR | O_CLOEXEC);
		config.fd = image;
		fd = nr < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
		/* Busy: another was faster. */
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config)) {
			close(fd);
			fd = -1;
		}
		close(image);
	}
	if (control >= 0)
		close(control);
	return fd;
}

static void test_block_device(void **state)
{
	struct box *box = *state;
	uint8_t a[8192], b[8192];
	char path[32];
	int fd;

	box_make(box, IMAGE_SIZE);
	fd = box_loop(box, path);
	if (fd < 0)
		skip();
	for (unsigned int i = 0; i < sizeof(a); i++)
		a[i] = i % 251 + 1;
	for (unsigned int direct = 0; direct < 2; direct++) {
		struct disk *disk = box_open(path, false, direct);

		assert_non_null(disk);
		assert_int_equal(disk->size, IMAGE_SIZE);
		assert_int_equal(disk->block_size, 4096);
		assert_true(disk->physical_block_size >= 4096);
		/* Whole blocks, and what a driver that takes it for one of 512 would do. */
		assert_int_equal(disk_write(disk, a, sizeof(a), 65536), 0);
		assert_int_equal(disk_write(disk, a, 1536, 512), 0);
		assert_int_equal(disk_read(disk, b, 1536, 512), 0);
		assert_memory_equal(a, b, 1536);
		assert_int_equal(disk_read(disk, b, 8192, 65536), 0);
		assert_memory_equal(a, b, 8192);
		assert_int_equal(disk->ops->flush(disk), 0);
		assert_int_equal(disk->ops->discard(disk, 65536, 4096), 0);
		assert_int_equal(disk->ops->discard(disk, 66048, 512), 0);
		for (unsigned int len = 512; len <= 4096; len *= 8) {
			assert_int_equal(disk->ops->write_zeroes(disk, 69632, len), 0);
			assert_int_equal(disk_read(disk, b, 8192, 65536), 0);
			for (unsigned int i = 4096; i < 4096 + len; i++)
				assert_int_equal(b[i], 0);
			assert_memory_equal(a + 4096 + len, b + 4096 + len, 4096 - len);
		}
		/* Its size is what it is. */
		assert_int_equal(disk->ops->resize(disk, 2 * IMAGE_SIZE), -EINVAL);
		assert_int_equal(truncate(box->path, 2 * IMAGE_SIZE), 0);
		assert_int_equal(ioctl(fd, LOOP_SET_CAPACITY), 0);
		assert_int_equal(disk->ops->resize(disk, 2 * IMAGE_SIZE), 0);
		assert_int_equal(disk->size, 2 * IMAGE_SIZE);
		assert_int_equal(truncate(box->path, IMAGE_SIZE), 0);
		assert_int_equal(ioctl(fd, LOOP_SET_CAPACITY), 0);
		disk_close(disk);
	}
	close(fd);
}

/* --- many at once --- */

#define QUEUE_REQUESTS 200

struct queue_test {
	struct loop *loop;
	struct disk_queue *queue;
	unsigned int done;
};

/* Takes what there is; the last one ends the loop. */
static void queue_take(void *arg)
{
	struct queue_test *test = arg;
	struct disk_request *r;

	while ((r = disk_queue_complete(test->queue))) {
		assert_int_equal(r->result, 0);
		test->done++;
	}
	if (test->done == QUEUE_REQUESTS)
		loop_quit(test->loop);
}

/* Half of the tests wait by themselves, as a device does that has to stop. */
static void queue_io(struct disk *disk, enum disk_op op, uint8_t *mem, bool by_loop)
{
	static struct disk_request req[QUEUE_REQUESTS];
	static struct iovec iov[QUEUE_REQUESTS][2];
	struct queue_test test = {.loop = loop_create()};
	struct disk_queue *queue;

	assert_non_null(test.loop);
	queue = test.queue = disk_queue_create(disk, test.loop, queue_take, &test);
	assert_non_null(queue);
	for (unsigned int i = 0; i < QUEUE_REQUESTS; i++) {
		uint8_t *at = mem + (uint64_t)i * 4096;

		iov[i][0] = (struct iovec){at, 1000};
		iov[i][1] = (struct iovec){at + 1000, 3096};
		req[i] = (struct disk_request){.op = op,
					       .iov = iov[i],
					       .nr = 2,
					       .off = (QUEUE_REQUESTS - 1 - i) * 4096ull,
					       .len = 4096,
					       .result = 77};
		disk_queue_submit(queue, &req[i]);
	}
	disk_queue_start(queue);
	if (by_loop)
		assert_int_equal(loop_run(test.loop), 0);
	while (test.done < QUEUE_REQUESTS) {
		disk_queue_wait(queue);
		queue_take(&test);
	}
	assert_null(disk_queue_complete(queue));
	disk_queue_destroy(queue);
	loop_destroy(test.loop);
}

static void test_queue(void **state)
{
	struct box *box = *state;
	uint8_t *a = malloc(QUEUE_REQUESTS * 4096), *b = malloc(QUEUE_REQUESTS * 4096);
	unsigned int seed = 5;

	for (unsigned int i = 0; i < QUEUE_REQUESTS * 4096; i++)
		a[i] = rand_r(&seed) >> 7;
	for (unsigned int way = 0; way < 4; way++) {
		bool direct = way % 2;
		struct disk_ops threads_only;
		struct disk *disk;

		/* The last read is behind what there is: padding, which the kernel does not know. */
		box_make(box, QUEUE_REQUESTS * 4096 - (direct ? 0 : 100));
		disk = box_open(box->path, false, direct);
		if (!disk)
			continue;
		/* As where there is no io_uring. */
		threads_only = *disk->ops;
		threads_only.request_fd = NULL;
		if (way >= 2)
			disk->ops = &threads_only;
		memset(b, 1, QUEUE_REQUESTS * 4096);
		queue_io(disk, DISK_READ, b, true);
		for (unsigned int i = 0; i < QUEUE_REQUESTS * 4096; i++)
			assert_int_equal(b[i], 0);
		queue_io(disk, DISK_WRITE, a, false);
		queue_io(disk, DISK_FLUSH, a, true);
		queue_io(disk, DISK_READ, b, true);
		assert_memory_equal(a, b, QUEUE_REQUESTS * 4096);
		disk_close(disk);
	}
	free(a);
	free(b);
}

static void test_limit(void **state)
{
	const uint64_t ms = 1000000;
	struct disk_limit limit;
	uint64_t now = 5, passed = 0;

	(void)state;
	disk_limit_init(&limit, 0, now);
	disk_limit_pay(&limit, UINT64_MAX);
	assert_int_equal(disk_limit_wait(&limit, now), 0);

	/* Three simulated seconds: what passes is the rate, and a burst of a tenth of it. */
	disk_limit_init(&limit, 1000, now);
	while (now < 3000 * ms) {
		uint64_t wait = disk_limit_wait(&limit, now);

		if (!wait) {
			disk_limit_pay(&limit, 1);
			passed++;
		}
		now += wait;
	}
	assert_in_range(passed, 3090, 3110);

	/* One that is larger than a second's worth passes, and is paid for. */
	disk_limit_init(&limit, 1000, now);
	disk_limit_pay(&limit, 5100);
	assert_in_range(disk_limit_wait(&limit, now), 4999 * ms, 5001 * ms);
	assert_int_equal(disk_limit_wait(&limit, now + 5001 * ms), 0);
	disk_limit_init(&limit, UINT64_MAX, now);
	disk_limit_pay(&limit, UINT64_MAX);
	assert_int_not_equal(disk_limit_wait(&limit, now), 0);
	assert_int_equal(disk_limit_wait(&limit, UINT64_MAX / 2), 0);
}

static void test_resize(void **state)
{
	struct box *box = *state;
	uint8_t buf[512] = {7};
	struct disk *disk;
	struct stat st;

	box_make(box, IMAGE_SIZE);
	disk = box_open(box->path, false, false);
	assert_int_equal(disk->ops->resize(disk, IMAGE_SIZE - 512), -EINVAL);
	assert_int_equal(disk->ops->resize(disk, IMAGE_SIZE + 100), -EINVAL);
	assert_int_equal(disk->ops->resize(disk, 2 * IMAGE_SIZE), 0);
	assert_int_equal(disk->size, 2 * IMAGE_SIZE);
	assert_int_equal(disk_write(disk, buf, 512, 2 * IMAGE_SIZE - 512), 0);
	disk_close(disk);
	assert_int_equal(stat(box->path, &st), 0);
	assert_int_equal(st.st_size, 2 * IMAGE_SIZE);
}

static void test_words(void **state)
{
	static const char *const bad[] = {
		"",
		"ro=on",
		"f,ro=maybe",
		"f,format=vmdk",
		"f,format",
		"f,serial=",
		"f,block-size=8192",
		"f,block-size=1000",
		"f,queues=0",
		"f,queues=17",
		"f,queues=2x",
		"f,iops=0",
		"f,bps=-1",
		"f,backing",
		"f,backing=on",
		"f,",
		"f,bogus",
		"f,discard=2",
		"f,serial=123456789012345678901",
	};
	struct disk_params p;
	char word[] = "a\\,b,ro,direct=off,format=qcow2,backing=allow,serial=12345678901234567890,"
		      "block-size=4K,queues=16,iops=100,bps=2M,discard=off";

	(void)state;
	assert_int_equal(disk_params_parse(&p, word), 0);
	assert_string_equal(p.path, "a,b");
	assert_true(p.readonly && !p.direct && p.backing && p.no_discard);
	assert_int_equal(p.format, DISK_FORMAT_QCOW2);
	assert_string_equal(p.serial, "12345678901234567890");
	assert_int_equal(p.block_size, 4096);
	assert_int_equal(p.nr_queues, 16);
	assert_int_equal(p.iops, 100);
	assert_int_equal(p.bps, 2 * MIB);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		char copy[128];

		strcpy(copy, bad[i]);
		if (disk_params_parse(&p, copy) != -EINVAL)
			fail_msg("'%s' is taken", bad[i]);
	}
}

/* Whether it is raw says the user, and never the content. */
static void test_format(void **state)
{
	struct disk_params params = {0};
	struct box *box = *state;
	char qcow2[128];
	int fd;

	box_make(box, IMAGE_SIZE);
	params.path = box->path;
	params.format = DISK_FORMAT_QCOW2;
	assert_null(disk_open(&params));
	fd = open(box->path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "QFI\xfb\0\0\0\3", 8, 0), 8);
	close(fd);
	assert_null(disk_open(&params)); /* it has no more than the first words */
	params.format = DISK_FORMAT_RAW;
	disk_close(disk_open(&params));
	params.format = DISK_FORMAT_BY_NAME;
	box_refused(box, box->path, false, false, "format=qcow2");
	snprintf(qcow2, sizeof(qcow2), "%s/b.qcow2", box->dir);
	assert_int_equal(rename(box->path, qcow2), 0);
	box_refused(box, qcow2, false, false, "does not exist");
	params = (struct disk_params){.path = qcow2, .format = DISK_FORMAT_RAW, .block_size = 4096};
	disk_close(disk_open(&params));
	assert_int_equal(truncate(qcow2, IMAGE_SIZE + 512), 0);
	assert_null(disk_open(&params));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, box_init, box_fini)
	const struct CMUnitTest tests[] = {
		TEST(test_refused),
		TEST(test_permission),
		TEST(test_locks),
		TEST(test_padding),
		TEST(test_buffered),
		TEST(test_direct),
		TEST(test_discard_and_zeroes),
		TEST(test_host_error),
		TEST(test_block_device),
		TEST(test_queue),
		TEST(test_limit),
		TEST(test_resize),
		TEST(test_words),
		TEST(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
