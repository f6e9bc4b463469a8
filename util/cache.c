// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_XXHASH
#define XXH_INLINE_ALL
#include <xxhash.h>
#endif

#include "kvm/log.h"
#include "kvm/util.h"

#define CACHE_MAGIC   "lkvm-ok\n"
#define CACHE_UNUSED  (30 * 24 * 3600) /* seconds */
#define CACHE_ABANDON 3600	       /* a temporary file's age when its writer is dead */
#define CACHE_FRESH   (24 * 3600)      /* times of use are no finer than that */

/* What a file ends with, behind the result. */
struct cache_tail {
	uint64_t len; /* of the result */
	char magic[8];
};

#ifdef HAVE_XXHASH
void cache_key(struct cache_key *key, const char *kind, const void *data, size_t len)
{
	XXH128_hash_t hash = XXH3_128bits_withSeed(data, len, XXH3_64bits(kind, strlen(kind)));

	*key = (struct cache_key){{hash.high64, hash.low64}};
}

/* "$XDG_CACHE_HOME", which must be absolute to count, or "$HOME/.cache"; malloc'ed. */
static char *cache_home(void)
{
	const char *dir = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

	if (dir && dir[0] == '/')
		return strdup(dir);
	return home && home[0] == '/' ? xasprintf("%s/.cache", home) : NULL;
}

/* The folder, made if it is not there; -1: there is none to be had. */
static int cache_open_dir(bool make)
{
	static const char *const below[] = {"lkvm", "unpacked"};
	char *path = cache_home();
	int fd, next;

	if (!path)
		return -1;
	if (make)
		mkdir(path, 0700);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(path);
	for (size_t i = 0; i < ARRAY_SIZE(below) && fd >= 0; i++) {
		if (make)
			mkdirat(fd, below[i], 0700);
		next = openat(fd, below[i],
			      (i + 1 < ARRAY_SIZE(below) ? O_PATH : O_RDONLY) | O_DIRECTORY |
				      O_CLOEXEC);
		close(fd);
		fd = next;
	}
	return fd;
}

static void cache_name(char name[40], const struct cache_key *key)
{
	snprintf(name, 40, "%016" PRIx64 "%016" PRIx64, key->part[0], key->part[1]);
}

/* Whether the file is all there, and our own: with sudo, the folder may be another user's. */
static bool cache_is_whole(int fd, uint64_t *len)
{
	struct cache_tail tail;
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    st.st_size < (off_t)sizeof(tail) ||
	    pread_full(fd, &tail, sizeof(tail), st.st_size - (off_t)sizeof(tail)))
		return false;
	*len = (uint64_t)st.st_size - sizeof(tail);
	/* Its time is when it was last of use. */
	if (st.st_mtime < time(NULL) - CACHE_FRESH)
		futimens(fd, NULL);
	return tail.len == *len && !memcmp(tail.magic, CACHE_MAGIC, sizeof(tail.magic));
}

int cache_find(const struct cache_key *key, uint64_t *len)
{
	int dir = cache_open_dir(false), fd = -1;
	char name[40];

	if (dir < 0)
		return -ENOENT;
	cache_name(name, key);
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && !cache_is_whole(fd, len)) {
		log_debug("cache: %s is damaged", name);
		unlinkat(dir, name, 0);
		close(fd);
		fd = -1;
	}
	close(dir);
	return fd < 0 ? -ENOENT : fd;
}

/* Takes over dir. */
static void cache_prune(int dir)
{
	DIR *list = fdopendir(dir);
	struct dirent *entry;
	struct stat st;

	if (!list) {
		close(dir);
		return;
	}
	while ((entry = readdir(list))) {
		time_t age = entry->d_name[0] == '.' ? CACHE_ABANDON : CACHE_UNUSED;

		if (!fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode) &&
		    st.st_mtime < time(NULL) - age)
			unlinkat(dir, entry->d_name, 0);
	}
	closedir(list);
}

/* To the disk, too: a name that outlives a crash must not stand for nothing. */
static int cache_write(int fd, const void *data, size_t len)
{
	struct cache_tail tail = {.len = len, .magic = CACHE_MAGIC};
	int ret = write_full(fd, data, len);

	if (ret == 0)
		ret = write_full(fd, &tail, sizeof(tail));
	if (ret == 0 && fdatasync(fd))
		ret = -errno;
	if (close(fd) && ret == 0)
		ret = -errno;
	return ret;
}

int cache_add(const struct cache_key *key, const void *data, size_t len)
{
	int dir = cache_open_dir(true), fd, ret;
	char name[40], temp[96];

	if (dir < 0)
		return -ENOENT;
	cache_name(name, key);
	/* Process numbers are not enough: containers may share a home. */
	snprintf(temp, sizeof(temp), ".%s.%d.%" PRIx64, name, (int)getpid(), now_ns());
	fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ret = fd < 0 ? -errno : cache_write(fd, data, len);
	if (ret == 0 && renameat(dir, temp, dir, name))
		ret = -errno;
	if (ret < 0) {
		log_debug("cache: %s: %s", name, strerror(-ret));
		if (fd >= 0)
			unlinkat(dir, temp, 0);
	}
	cache_prune(dir);
	return ret;
}
#else
void cache_key(struct cache_key *key, const char *kind, const void *data, size_t len)
{
	(void)kind;
	(void)data;
	(void)len;
	*key = (struct cache_key){{0}};
}

int cache_find(const struct cache_key *key, uint64_t *len)
{
	(void)key;
	(void)len;
	return -ENOENT;
}

int cache_add(const struct cache_key *key, const void *data, size_t len)
{
	(void)key;
	(void)data;
	(void)len;
	return -ENOTSUP;
}
#endif

/* --- what it is for --- */

/* All of it in memory, mapped: *room bytes, of which *len count. A negative errno. */
static int cache_unpack_all(enum unpack_format format, const void *in, size_t in_len, size_t max,
			    size_t *room, void **out, size_t *len)
{
	for (;; *room *= 2) {
		ssize_t n;

		if (*room > max + 1)
			*room = max + 1;
		/* A mapping, so that what is not needed of it costs nothing. */
		*out = mmap(NULL, *room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);
		if (*out == MAP_FAILED)
			return -ENOMEM;
		n = unpack(format, in, in_len, *out, *room);
		if (n >= 0 && (size_t)n < *room) {
			*len = (size_t)n;
			return 0;
		}
		munmap(*out, *room);
		if (n < 0)
			return (int)n;
		if (*room > max)
			return -EFBIG;
	}
}

static int cache_to_memory(const void *data, size_t len)
{
	int fd = memfd_create("unpacked", MFD_CLOEXEC);
	int ret = fd < 0 ? -errno : write_full(fd, data, len);

	if (ret < 0 && fd >= 0)
		close(fd);
	return ret < 0 ? ret : fd;
}

int cache_unpack(enum unpack_format format, const void *in, size_t in_len, size_t hint, size_t max,
		 uint64_t *len)
{
	size_t room = (hint && hint <= max ? hint : 8 * in_len) + 1, n = 0;
	struct cache_key key;
	void *out;
	int ret;

	cache_key(&key, "unpacked 1", in, in_len);
	ret = cache_find(&key, len);
	if (ret >= 0)
		return ret;
	ret = cache_unpack_all(format, in, in_len, max, &room, &out, &n);
	if (ret < 0)
		return ret;
	*len = n;
	if (cache_add(&key, out, n) == 0)
		ret = cache_find(&key, len);
	else
		ret = -ENOENT;
	if (ret < 0)
		ret = cache_to_memory(out, n);
	munmap(out, room);
	return ret;
}
