// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blk-tool FILE SECONDS: how many requests a second a file does without any guest; a line a cell:
 *
 *	read-4k-1 12345.6	operation, bytes, how many are in flight; requests a second
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tool.h"

#define MAX_DEPTH 32
#define MAX_SIZE  131072

static const struct cell {
	const char *name;
	uint16_t op;
	uint32_t size, depth;
} cells[] = {
	{"read-4k-1", IOCB_CMD_PREAD, 4096, 1},	    {"read-4k-32", IOCB_CMD_PREAD, 4096, 32},
	{"write-4k-1", IOCB_CMD_PWRITE, 4096, 1},   {"write-4k-32", IOCB_CMD_PWRITE, 4096, 32},
	{"read-128k-4", IOCB_CMD_PREAD, 131072, 4}, {"write-128k-4", IOCB_CMD_PWRITE, 131072, 4},
};

static struct iocb iocbs[MAX_DEPTH];
static uint8_t *data;

static void submit(aio_context_t ctx, struct iocb *cb, uint64_t blocks, uint64_t *seed)
{
	/* Numerical Recipes' generator: its upper bits are good enough for places on a disk. */
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	cb->aio_offset = (*seed >> 33) % blocks * cb->aio_nbytes;
	if (syscall(SYS_io_submit, ctx, 1, &cb) != 1)
		die("io_submit");
}

static double run(int fd, const struct cell *cell, uint64_t size, double seconds)
{
	struct io_event events[MAX_DEPTH];
	double begin = now(), end = begin;
	aio_context_t ctx = 0;
	uint64_t done = 0, seed = 1;

	if (syscall(SYS_io_setup, MAX_DEPTH, &ctx))
		die("io_setup");
	for (uint32_t i = 0; i < cell->depth; i++) {
		iocbs[i] = (struct iocb){.aio_lio_opcode = cell->op,
					 .aio_fildes = fd,
					 .aio_buf = (uintptr_t)(data + i * MAX_SIZE),
					 .aio_nbytes = cell->size,
					 .aio_data = i};
		submit(ctx, &iocbs[i], size / cell->size, &seed);
	}
	while (end - begin < seconds) {
		long nr = syscall(SYS_io_getevents, ctx, 1, MAX_DEPTH, events, NULL);

		if (nr < 0)
			die("io_getevents");
		for (long i = 0; i < nr; i++) {
			if (events[i].res != cell->size) {
				errno = events[i].res < 0 ? -events[i].res : EIO;
				die(cell->name);
			}
			submit(ctx, &iocbs[events[i].data], size / cell->size, &seed);
		}
		done += nr;
		end = now();
	}
	syscall(SYS_io_destroy, ctx); /* waits for what is in flight */
	return done / (end - begin);
}

int main(int argc, char **argv)
{
	int64_t size;
	int fd;

	if (argc != 3) {
		fputs("usage: blk-tool FILE SECONDS\n", stderr);
		return 2;
	}
	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	if (size < MAX_SIZE || posix_memalign((void **)&data, 4096, MAX_DEPTH * MAX_SIZE))
		die(argv[1]);
	memset(data, 0x5a, MAX_DEPTH * MAX_SIZE);
	for (unsigned int i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
		printf("%s %.1f\n", cells[i].name, run(fd, &cells[i], size, atof(argv[2])));
		fflush(stdout);
	}
	return 0;
}
