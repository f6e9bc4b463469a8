// SPDX-License-Identifier: GPL-2.0-or-later
/* links: util/cache.c util/unpack.c util/util.c util/log.c */
/* Which kernel `lkvm run` takes when none is named. What is said to be below / is in a folder. */
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static char root[] = "/tmp/test-kernel-find.XXXXXX";
#define X86   "arch/x86/boot/bzImage"
#define ARM64 "arch/arm64/boot/Image"
static const char *built; /* this machine's */
static char *unreadable;  /* in all paths that have it in them */

static int fake_access(const char *path, int mode)
{
	bool is_below = *path != '/' || !strncmp(path, root, strlen(root));
	char below[300];

	snprintf(below, sizeof(below), "%s%s", is_below ? "" : root, path);
	return mode == R_OK && unreadable && strstr(path, unreadable) ? -1 : access(below, F_OK);
}

/* What is found is said without the folder, too. */
static int fake_glob(const char *pattern, int flags, int (*err)(const char *, int), glob_t *found)
{
	char below[300];
	int ret;

	snprintf(below, sizeof(below), "%s%s", root, pattern);
	ret = glob(below, flags, err, found);
	for (size_t i = 0; ret == 0 && i < found->gl_pathc; i++)
		memmove(found->gl_pathv[i], found->gl_pathv[i] + strlen(root),
			strlen(found->gl_pathv[i] + strlen(root)) + 1);
	return ret;
}

static int fake_uname(struct utsname *host)
{
	strcpy(host->release, "6.1.0-9");
	return 0;
}

#define access fake_access
#define glob   fake_glob
#define uname  fake_uname
#include "../../rootfs/kernel-find.c"
#undef access
#undef glob
#undef uname

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the above */
#include <cmocka.h>

static int make_root(void **state)
{
	(void)state;
	strcpy(strrchr(root, '.') + 1, "XXXXXX");
	built = X86;
	unreadable = NULL;
	return mkdtemp(root) ? chdir(root) : -1;
}

static int remove_root(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "cd / && rm -rf '%s'", root);
	return system(command);
}

static void put(const char *path)
{
	char command[300];

	snprintf(command, sizeof(command), "mkdir -p '%s%s' && rmdir '%s%s' && : >'%s%s'", root,
		 path, root, path, root, path);
	assert_int_equal(system(command), 0);
}

static void gone(const char *path)
{
	char below[300];

	snprintf(below, sizeof(below), "%s%s", root, path);
	assert_int_equal(unlink(below), 0);
}

static void finds(const char *want)
{
	char *path = kernel_find(built);

	if (want) {
		assert_non_null(path);
		assert_string_equal(path, want);
	} else {
		assert_null(path);
	}
	free(path);
}

/* From the last resort to the first choice. */
static void the_usual_places_in_their_order(void **state)
{
	(void)state;
	finds(NULL);
	put("/usr/lib/modules/5.10/vmlinuz");
	finds("/usr/lib/modules/5.10/vmlinuz");
	put("/usr/lib/modules/5.9/vmlinuz");
	finds("/usr/lib/modules/5.10/vmlinuz");
	put("/boot/vmlinuz-rescue");
	put("/boot/vmlinuz-4.9.0-2");
	put("/boot/vmlinuz-4.19.0-1");
	finds("/boot/vmlinuz-4.19.0-1");
	put("/usr/lib/modules/6.1.0-9/vmlinuz");
	finds("/usr/lib/modules/6.1.0-9/vmlinuz");
	put("/boot/vmlinuz-6.1.0-9");
	finds("/boot/vmlinuz-6.1.0-9");
	put("/arch/x86/boot/bzImage");
	finds("arch/x86/boot/bzImage");
	put("/bzImage");
	finds("bzImage");
	assert_int_equal(chdir("arch/x86"), 0);
	finds("../../arch/x86/boot/bzImage");
}

/* A tree in which both were built; and one that has only the other's. */
static void a_tree_has_kernels_of_other_machines(void **state)
{
	(void)state;
	put("/arch/x86/boot/bzImage");
	put("/boot/vmlinuz-6.1.0-9");
	built = ARM64;
	finds("/boot/vmlinuz-6.1.0-9");
	put("/arch/arm64/boot/Image");
	finds("arch/arm64/boot/Image");
	built = X86;
	finds("arch/x86/boot/bzImage");
	gone("/arch/x86/boot/bzImage");
	finds("/boot/vmlinuz-6.1.0-9");
}

/* As Ubuntu has them: an older one is as good; without one, the error names what is there. */
static void kernels_that_may_not_be_read(void **state)
{
	(void)state;
	put("/boot/vmlinuz-6.1.0-9");
	put("/boot/vmlinuz-5.10.0-1");
	unreadable = "6.1.0-9";
	finds("/boot/vmlinuz-5.10.0-1");
	unreadable = "vmlinuz";
	finds("/boot/vmlinuz-6.1.0-9");
}

/* want: without the folder, if kernel is in there. */
static void modules_are(const char *kernel, const char *release, const char *want)
{
	char *dir = kernel_find_modules(kernel, release);
	bool is_below = dir && !strncmp(dir, root, strlen(root));

	assert_non_null(dir);
	assert_string_equal(is_below ? dir + strlen(root) : dir, want);
	free(dir);
}

/* Those of the running system are the last that are looked at. */
static void modules_beside_the_kernel_are_its_own(void **state)
{
	(void)state;
	assert_null(kernel_find_modules("/boot/vmlinuz-6.1", "6.1"));
	put("/usr/lib/modules/6.1/modules.dep");
	put("/usr/lib/modules/6.2/modules.dep");
	modules_are("/boot/vmlinuz-6.1", "6.1", "/usr/lib/modules/6.1");
	put("/lib/modules/6.1/modules.dep");
	modules_are("/boot/vmlinuz-6.1", "6.1", "/lib/modules/6.1");

	put("/tree/arch/x86/boot/bzImage");
	modules_are("tree/arch/x86/boot/bzImage", "6.1", "/lib/modules/6.1");
	put("/tree/modules.order");
	modules_are("tree/arch/x86/boot/bzImage", "6.1", "/tree/arch/x86/boot/../../..");
	put("/unpacked/boot/vmlinuz");
	put("/unpacked/lib/modules/6.1/modules.dep");
	modules_are("unpacked/boot/vmlinuz", "6.1", "/unpacked/boot/../lib/modules/6.1");
	put("/unpacked/boot/modules.dep");
	modules_are("unpacked/boot/vmlinuz", "6.1", "/unpacked/boot");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_root, remove_root)
	const struct CMUnitTest tests[] = {
		TEST(the_usual_places_in_their_order),
		TEST(a_tree_has_kernels_of_other_machines),
		TEST(kernels_that_may_not_be_read),
		TEST(modules_beside_the_kernel_are_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
