// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/kernel-find.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kvm/cache.h"
#include "kvm/util.h"

#define KERNEL_MAX_SIZE (512 * MIB)

/* --- where it is --- */

/* Takes over path; NULL when access() says no to that mode. */
static char *kernel_if_there(char *path, int mode)
{
	if (path && access(path, mode) == 0)
		return path;
	free(path);
	return NULL;
}

/* By the version in the last part of the path that differs; Debian's and Fedora's places. */
static char *kernel_newest(const char *pattern, int mode)
{
	char *best = NULL;
	glob_t found;

	if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			if (access(found.gl_pathv[i], mode) == 0 &&
			    (!best || strverscmp(found.gl_pathv[i], best) > 0))
				best = found.gl_pathv[i];
		best = best ? strdup(best) : NULL;
		globfree(&found);
	}
	return best;
}

/* Of a kernel tree: one stands in the image's folder, in the tree's root, or two folders below it. */
static char *kernel_in_tree(const char *image, int mode)
{
	char *path = kernel_if_there(strdup(strrchr(image, '/') + 1), mode);

	if (!path)
		path = kernel_if_there(strdup(image), mode);
	if (!path)
		path = kernel_if_there(xasprintf("../../%s", image), mode);
	return path;
}

static char *kernel_find_for(const char *image, int mode)
{
	char *path = kernel_in_tree(image, mode);
	struct utsname host;

	if (!path && uname(&host) == 0) {
		path = kernel_if_there(xasprintf("/boot/vmlinuz-%s", host.release), mode);
		if (!path)
			path = kernel_if_there(
				xasprintf("/usr/lib/modules/%s/vmlinuz", host.release), mode);
	}
	if (!path)
		path = kernel_newest("/boot/vmlinuz-[0-9]*", mode);
	if (!path)
		path = kernel_newest("/usr/lib/modules/*/vmlinuz", mode);
	return path;
}

char *kernel_find(const char *image)
{
	char *path = kernel_find_for(image, R_OK);

	return path ? path : kernel_find_for(image, F_OK);
}

/* --- what it is --- */

/* "Linux version RELEASE (..." is in every kernel's text. */
static char *kernel_release_in_text(const uint8_t *image, size_t len)
{
	static const char text[] = "Linux version ";
	const char *at = memmem(image, len, text, sizeof(text) - 1);
	size_t left, n;

	if (!at)
		return NULL;
	at += sizeof(text) - 1;
	left = len - (size_t)(at - (const char *)image);
	for (n = 0; n < left && at[n] > ' ' && at[n] <= '~'; n++)
		;
	return n ? strndup(at, n) : NULL;
}

/* x86 boot protocol: kernel_version at 0x20e is where the text is, less 0x200. */
static char *kernel_release_of_bzimage(const uint8_t *image, size_t len)
{
	size_t at, n;

	if (len < 0x210 || memcmp(image + 0x202, "HdrS", 4))
		return NULL;
	at = le_load(image + 0x20e, 2) + 0x200;
	for (n = at; n < len && image[n] > ' ' && image[n] <= '~'; n++)
		;
	return n > at ? strndup((const char *)image + at, n - at) : NULL;
}

/* A packed image as a whole, or one inside an EFI program (zboot: its header says where). */
static char *kernel_release_of_packed(const uint8_t *image, size_t len)
{
	enum unpack_format format;
	char *release = NULL;
	uint64_t size;
	void *out;
	int fd;

	if (len >= 64 && !memcmp(image, "MZ\0\0zimg", 8)) {
		uint64_t off = le_load(image + 8, 4);

		size = le_load(image + 12, 4);
		if (!range_contains(0, len, off, size))
			return NULL;
		image += off;
		len = size;
	}
	format = unpack_detect(image, len);
	if (format == UNPACK_STORED)
		return NULL;
	fd = cache_unpack(format, image, len, 0, KERNEL_MAX_SIZE, &size);
	if (fd < 0)
		return NULL;
	out = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (out != MAP_FAILED) {
		release = kernel_release_in_text(out, size);
		munmap(out, size);
	}
	close(fd);
	return release;
}

char *kernel_release(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *release = NULL;
	struct stat st;
	uint8_t *image;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size &&
	    (uint64_t)st.st_size <= KERNEL_MAX_SIZE) {
		image = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (image != MAP_FAILED) {
			release = kernel_release_of_bzimage(image, (size_t)st.st_size);
			if (!release)
				release = kernel_release_of_packed(image, (size_t)st.st_size);
			if (!release)
				release = kernel_release_in_text(image, (size_t)st.st_size);
			munmap(image, (size_t)st.st_size);
		}
	}
	close(fd);
	return release;
}

/* --- its modules --- */

/* One of the lists that modules_open() reads. */
static bool modules_are_in(const char *dir)
{
	static const char *const lists[] = {"modules.dep", "modules.order"};
	bool there = false;

	for (unsigned int i = 0; i < ARRAY_SIZE(lists) && !there; i++) {
		char *list = xasprintf("%s/%s", dir, lists[i]);

		there = list && access(list, R_OK) == 0;
		free(list);
	}
	return there;
}

static char *modules_if_there(char *dir)
{
	if (dir && modules_are_in(dir))
		return dir;
	free(dir);
	return NULL;
}

/* Beside the kernel first: what was unpacked or built together belongs together. */
char *kernel_find_modules(const char *path, const char *release)
{
	char real[PATH_MAX], *slash, *dir = NULL;

	if (realpath(path, real)) {
		slash = strrchr(real, '/');
		*slash = '\0';
		dir = modules_if_there(strdup(*real ? real : "/"));
		if (!dir)
			dir = modules_if_there(xasprintf("%s/../lib/modules/%s", real, release));
		/* TREE/arch/x86/boot/bzImage, TREE/vmlinux */
		if (!dir)
			dir = modules_if_there(xasprintf("%s/../../..", real));
	}
	if (!dir)
		dir = modules_if_there(xasprintf("/lib/modules/%s", release));
	if (!dir)
		dir = modules_if_there(xasprintf("/usr/lib/modules/%s", release));
	return dir;
}
