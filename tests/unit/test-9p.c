// SPDX-License-Identifier: GPL-2.0-or-later
/* links: 9p/server.c 9p/op-name.c 9p/op-io.c 9p/op-attr.c 9p/fid.c 9p/share.c 9p/wire.c 9p/iov.c 9p/params.c util/options.c util/util.c util/log.c */
/* The 9P server on a real folder: what a Linux client does, and what a hostile one might. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "9p/server.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "p9-client.h"

#define Q(x) ((uint64_t)(x))

struct setup {
	char top[32], path[64]; /* top holds the share and what is outside */
	struct p9_params params;
	struct p9_server *srv;
	struct p9_request req;
	struct cl_msg out, in;
};

/* --- the client --- */

static int send_msg(struct setup *s)
{
	struct iovec out = {s->out.bytes, s->out.len}, in = {s->in.bytes, sizeof(s->in.bytes)};

	s->req.out = &out;
	s->req.in = &in;
	s->req.nr_out = s->req.nr_in = 1;
	p9_request_begin(s->srv, &s->req);
	s->in.len = p9_request_run(s->srv, &s->req);
	p9_request_end(s->srv, &s->req);
	return cl_judge(&s->in, s->out.bytes[4], cl_field(&s->out, 5, 2));
}

static int call(struct setup *s, uint8_t type, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	cl_vbuild(&s->out, type, 7, fmt, ap);
	va_end(ap);
	return send_msg(s);
}

static uint64_t field(struct setup *s, uint32_t off, unsigned int len)
{
	return cl_field(&s->in, P9_HEADER + off, len);
}

static int walk1(struct setup *s, uint32_t from, uint32_t to, const char *name)
{
	return call(s, P9_TWALK, "ddws", from, to, 1, name);
}

/* A new file, open for reading and writing. */
static int create(struct setup *s, uint32_t fid, const char *name)
{
	int ret = call(s, P9_TWALK, "ddw", CL_ROOT, fid, 0);

	return ret ? ret : call(s, P9_TLCREATE, "dsddd", fid, name, O_RDWR | O_EXCL, 0644, 0);
}

static int write_data(struct setup *s, uint32_t fid, uint64_t off, const char *data)
{
	cl_build(&s->out, P9_TWRITE, 7, "dqd", fid, off, (uint32_t)strlen(data));
	cl_bytes(&s->out, data, strlen(data));
	cl_finish(&s->out);
	return send_msg(s);
}

/* What is read must be exactly this. */
static void expect_data(struct setup *s, uint32_t fid, uint64_t off, const char *data)
{
	assert_int_equal(call(s, P9_TREAD, "dqd", fid, off, 4096), 0);
	assert_int_equal(field(s, 0, 4), strlen(data));
	assert_memory_equal(s->in.bytes + P9_RREAD_HEADER, data, strlen(data));
}

static int clunk(struct setup *s, uint32_t fid)
{
	return call(s, P9_TCLUNK, "d", fid);
}

/* --- setting up --- */

static const char *at(struct setup *s, const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", s->path, name);
	return path;
}

static void host_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void start(struct setup *s)
{
	s->srv = p9_server_create(&s->params);
	assert_non_null(s->srv);
	assert_int_equal(call(s, P9_TVERSION, "ds", CL_MSIZE, "9P2000.L"), 0);
	assert_int_equal(call(s, P9_TATTACH, "ddssd", CL_ROOT, P9_NOFID, "", "", 0), 0);
}

static void restart(struct setup *s)
{
	p9_server_destroy(s->srv);
	start(s);
}

static int setup_init(void **state)
{
	struct setup *s = calloc(1, sizeof(*s));
	char path[128];

	strcpy(s->top, "/tmp/test-9p-XXXXXX");
	assert_non_null(mkdtemp(s->top));
	snprintf(s->path, sizeof(s->path), "%s/share", s->top);
	mkdir(s->path, 0755);
	snprintf(path, sizeof(path), "%s/outside", s->top);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/outside/secret", s->top);
	host_write(path, "secret");
	host_write(at(s, "hello"), "hello world");
	mkdir(at(s, "dir"), 0755);
	host_write(at(s, "dir/inner"), "inner");
	s->params = (struct p9_params){.path = s->path, .tag = "x", .mapped = geteuid() != 0};
	start(s);
	*state = s;
	return 0;
}

static int setup_fini(void **state)
{
	struct setup *s = *state;
	char command[64];

	p9_server_destroy(s->srv);
	snprintf(command, sizeof(command), "rm -rf %s", s->top);
	assert_int_equal(system(command), 0);
	free(s);
	return 0;
}

/* --- the session --- */

static void test_version(void **state)
{
	struct setup *s = *state;

	assert_int_equal(call(s, P9_TVERSION, "ds", 0xffffffff, "9P2000.L"), 0);
	assert_int_equal(field(s, 0, 4), 1 << 20);
	assert_int_equal(call(s, P9_TVERSION, "ds", 100, "9P2000.L"), -EMSGSIZE);
	/* The session that was is over. */
	assert_int_equal(call(s, P9_TGETATTR, "dq", CL_ROOT, Q(0x7ff)), -EBADF);
	assert_int_equal(call(s, P9_TVERSION, "ds", 8192, "9P2000"), 0);
	assert_memory_equal(s->in.bytes + P9_HEADER + 6, "unknown", 7);
	assert_int_equal(call(s, P9_TATTACH, "ddssd", CL_ROOT, P9_NOFID, "", "", 0), -EPROTO);
}

static void test_attach(void **state)
{
	struct setup *s = *state;

	assert_int_equal(call(s, P9_TATTACH, "ddssd", 5, P9_NOFID, "", "/dir", 0), 0);
	assert_int_equal(walk1(s, 5, 6, "inner"), 0);
	assert_int_equal(call(s, P9_TATTACH, "ddssd", 5, P9_NOFID, "", "", 0), -EBADF);
	assert_int_equal(call(s, P9_TATTACH, "ddssd", 7, P9_NOFID, "", "../outside", 0), -EXDEV);
	assert_int_equal(call(s, P9_TATTACH, "ddssd", 7, P9_NOFID, "", "hello", 0), -ENOTDIR);
	assert_int_equal(call(s, P9_TATTACH, "ddssd", P9_NOFID, P9_NOFID, "", "", 0), -EBADF);
	assert_int_equal(call(s, P9_TAUTH, "dssd", 9, "", "", 0), -EOPNOTSUPP);
	assert_int_equal(call(s, P9_TFLUSH, "w", 1234), 0);
}

static void test_walk(void **state)
{
	struct setup *s = *state;
	char name[300];

	assert_int_equal(call(s, P9_TWALK, "ddwss", CL_ROOT, 1, 2, "dir", "inner"), 0);
	assert_int_equal(field(s, 0, 2), 2);
	assert_int_equal(field(s, 2, 1), P9_QT_DIR);
	/* Half the way is told, and no fid made; no way at all is an error. */
	assert_int_equal(call(s, P9_TWALK, "ddwss", CL_ROOT, 2, 2, "dir", "nothing"), 0);
	assert_int_equal(field(s, 0, 2), 1);
	assert_int_equal(clunk(s, 2), -EBADF);
	assert_int_equal(walk1(s, CL_ROOT, 2, "nothing"), -ENOENT);
	assert_int_equal(walk1(s, CL_ROOT, 1, "dir"), -EBADF);
	assert_int_equal(walk1(s, 77, 2, "dir"), -EBADF);
	assert_int_equal(walk1(s, 1, 2, "x"), -ENOTDIR);
	assert_int_equal(walk1(s, CL_ROOT, 2, "dir/inner"), -EINVAL);
	assert_int_equal(walk1(s, CL_ROOT, 2, ""), -EINVAL);
	assert_int_equal(walk1(s, CL_ROOT, 2, "."), -EINVAL);
	memset(name, 'x', sizeof(name));
	name[256] = '\0';
	assert_int_equal(walk1(s, CL_ROOT, 2, name), -ENAMETOOLONG);
	assert_int_equal(call(s, P9_TWALK, "ddw", CL_ROOT, 2, 17), -EINVAL);
	/* In place. */
	assert_int_equal(call(s, P9_TWALK, "ddw", CL_ROOT, 3, 0), 0);
	assert_int_equal(walk1(s, 3, 3, "dir"), 0);
	assert_int_equal(walk1(s, 3, 4, "inner"), 0);
}

static void test_dotdot(void **state)
{
	struct setup *s = *state;
	uint64_t root;

	assert_int_equal(call(s, P9_TGETATTR, "dq", CL_ROOT, Q(0x7ff)), 0);
	root = field(s, 8 + 5, 8);
	assert_int_equal(call(s, P9_TWALK, "ddwssss", CL_ROOT, 1, 4, "..", "..", "..", "hello"), 0);
	assert_int_equal(field(s, 2 + 5, 8), root);
	assert_int_equal(field(s, 2 + 13 + 5, 8), root);
	assert_int_equal(call(s, P9_TWALK, "ddwsss", CL_ROOT, 2, 3, "dir", "..", "hello"), 0);
	assert_int_equal(field(s, 0, 2), 3);
	/* A folder that was moved out of the share has no way back up, let alone further. */
	assert_int_equal(walk1(s, CL_ROOT, 3, "dir"), 0);
	{
		char moved[96];

		snprintf(moved, sizeof(moved), "%s/outside/dir", s->top);
		assert_int_equal(rename(at(s, "dir"), moved), 0);
	}
	assert_int_equal(walk1(s, 3, 4, ".."), -ENOENT);
}

static void test_symlinks(void **state)
{
	struct setup *s = *state;

	assert_int_equal(symlink("/etc/passwd", at(s, "absolute")), 0);
	assert_int_equal(symlink("../outside", at(s, "outside")), 0);
	assert_int_equal(walk1(s, CL_ROOT, 1, "absolute"), 0);
	assert_int_equal(field(s, 2, 1), P9_QT_SYMLINK);
	assert_int_equal(call(s, P9_TLOPEN, "dd", 1, O_RDONLY), -ELOOP);
	assert_int_equal(call(s, P9_TREADLINK, "d", 1), 0);
	assert_int_equal(field(s, 0, 2), 11);
	assert_int_equal(call(s, P9_TWALK, "ddwss", CL_ROOT, 2, 2, "outside", "secret"), 0);
	assert_int_equal(field(s, 0, 2), 1); /* as far as the link */
	assert_int_equal(walk1(s, CL_ROOT, 3, "outside"), 0);
	assert_int_equal(walk1(s, 3, 4, "secret"), -ENOTDIR);
	assert_int_equal(call(s, P9_TMKDIR, "dsdd", 3, "new", 0755, 0), -ENOTDIR);
	assert_int_equal(call(s, P9_TUNLINKAT, "dsd", 3, "secret", 0), -ENOTDIR);
	assert_int_equal(call(s, P9_TLCREATE, "dsddd", 3, "new", O_RDWR, 0644, 0), -ENOTDIR);
	assert_int_equal(call(s, P9_TRENAMEAT, "dsds", 3, "secret", CL_ROOT, "got"), -ENOTDIR);
	/* Neither is a file made through a link, nor the link's target opened. */
	assert_int_equal(call(s, P9_TWALK, "ddw", CL_ROOT, 5, 0), 0);
	assert_int_equal(call(s, P9_TLCREATE, "dsddd", 5, "absolute", O_RDWR, 0644, 0), -ELOOP);
	assert_int_equal(call(s, P9_TSYMLINK, "dssd", CL_ROOT, "made", "../x", 0), 0);
	assert_int_equal(field(s, 0, 1), P9_QT_SYMLINK);
	assert_int_equal(call(s, P9_TATTACH, "ddssd", 9, P9_NOFID, "", "outside", 0), -ENOTDIR);
	assert_int_equal(call(s, P9_TATTACH, "ddssd", 9, P9_NOFID, "", "outside/x", 0), -ELOOP);
}

struct swapper {
	char a[96], b[96];
	atomic_bool end;
};

static void *swap_names(void *arg)
{
	struct swapper *sw = arg;

	while (!sw->end)
		renameat2(AT_FDCWD, sw->a, AT_FDCWD, sw->b, RENAME_EXCHANGE);
	return NULL;
}

/* `dir` is a folder at one moment and a link to the outside at the next. */
static void test_symlink_race(void **state)
{
	struct setup *s = *state;
	unsigned int inside = 0, refused = 0;
	struct swapper sw = {0};
	pthread_t thread;

	assert_int_equal(symlink("../outside", at(s, "link")), 0);
	host_write(at(s, "dir/secret"), "public");
	strcpy(sw.a, at(s, "dir"));
	strcpy(sw.b, at(s, "link"));
	assert_int_equal(pthread_create(&thread, NULL, swap_names, &sw), 0);
	for (unsigned int i = 0; i < 20000 && (i < 2000 || !inside || !refused); i++) {
		int ret = call(s, P9_TWALK, "ddwss", CL_ROOT, 1, 2, "dir", "secret");

		if (ret || field(s, 0, 2) != 2) {
			refused++;
			continue;
		}
		assert_int_equal(call(s, P9_TLOPEN, "dd", 1, O_RDONLY), 0);
		expect_data(s, 1, 0, "public");
		inside++;
		/* By name once more: removal and ".." look at where things are now. */
		assert_int_equal(clunk(s, 1), 0);
		if (walk1(s, CL_ROOT, 1, "dir") == 0) {
			ret = call(s, P9_TWALK, "ddwsss", 1, 2, 3, "..", "outside", "secret");
			assert_true(ret || field(s, 0, 2) < 2);
			assert_int_equal(clunk(s, 1), 0);
		}
	}
	sw.end = true;
	pthread_join(thread, NULL);
	assert_true(inside && refused);
}

/* What each request that changes a folder does to it, by the fid 1 and names in it. */
static void change_folder(struct setup *s, unsigned int how)
{
	switch (how) {
	case 0:
		call(s, P9_TMKDIR, "dsdd", 1, "made", 0755, 0);
		break;
	case 1:
		call(s, P9_TLCREATE, "dsddd", 1, "created", O_RDWR | O_CREAT, 0644, 0);
		break;
	case 2:
		call(s, P9_TSYMLINK, "dssd", 1, "linked", "x", 0);
		break;
	case 3:
		call(s, P9_TUNLINKAT, "dsd", 1, "secret", 0);
		break;
	case 4:
		call(s, P9_TRENAMEAT, "dsds", 1, "secret", 1, "renamed");
		break;
	case 5:
		call(s, P9_TRENAMEAT, "dsds", CL_ROOT, "hello", 1, "moved-in");
		break;
	case 6:
		if (walk1(s, 1, 2, "secret") == 0) {
			call(s, P9_TSETATTR, "dddddqqqqq", 2, 1, 0777, 0, 0, Q(0), Q(0), Q(0), Q(0),
			     Q(0));
			if (call(s, P9_TLOPEN, "dd", 2, O_RDWR | O_TRUNC) == 0)
				write_data(s, 2, 0, "hacked");
			clunk(s, 2);
		}
		break;
	case 7:
		call(s, P9_TMKNOD, "dsdddd", 1, "fifo", S_IFIFO | 0644, 0, 0, 0);
		break;
	}
}

static unsigned int names_in(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int nr = 0;

	while (dir && readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

/* The same, with requests that write: whatever they hit, it is never the outside. */
static void test_symlink_race_writes(void **state)
{
	char outside[96], secret[128], got[32] = "", want[32] = "";
	unsigned int names, walks = 0, refused = 0;
	struct setup *s = *state;
	struct swapper sw = {0};
	pthread_t thread;
	struct stat st;
	int fd;

	snprintf(outside, sizeof(outside), "%s/outside", s->top);
	snprintf(secret, sizeof(secret), "%s/secret", outside);
	fd = open(secret, O_RDONLY);
	assert_true(pread(fd, want, sizeof(want) - 1, 0) > 0);
	fstat(fd, &st);
	names = names_in(outside);
	assert_int_equal(symlink("../outside", at(s, "link")), 0);
	strcpy(sw.a, at(s, "dir"));
	strcpy(sw.b, at(s, "link"));
	assert_int_equal(pthread_create(&thread, NULL, swap_names, &sw), 0);
	for (unsigned int i = 0; i < 20000 && (i < 4000 || !walks || !refused); i++) {
		if (walk1(s, CL_ROOT, 1, "dir")) {
			refused++;
			continue;
		}
		refused += field(s, 2, 1) == P9_QT_SYMLINK;
		walks += field(s, 2, 1) == P9_QT_DIR;
		change_folder(s, i % 8);
		clunk(s, 1);
	}
	sw.end = true;
	pthread_join(thread, NULL);
	assert_true(walks && refused);
	assert_int_equal(names_in(outside), names);
	assert_true(pread(fd, got, sizeof(got) - 1, 0) > 0);
	assert_string_equal(got, want);
	close(fd);
	{
		struct stat now;

		assert_int_equal(stat(secret, &now), 0);
		assert_int_equal(now.st_ino, st.st_ino);
		assert_int_equal(now.st_mode, st.st_mode);
	}
}

/* --- files --- */

static void test_files(void **state)
{
	struct setup *s = *state;
	struct stat st;

	assert_int_equal(create(s, 1, "new"), 0);
	assert_int_equal(write_data(s, 1, 0, "some text"), 0);
	assert_int_equal(field(s, 0, 4), 9);
	assert_int_equal(write_data(s, 1, 5, "words"), 0);
	expect_data(s, 1, 0, "some words");
	expect_data(s, 1, 100, "");
	assert_int_equal(call(s, P9_TFSYNC, "dd", 1, 0), 0);
	assert_int_equal(call(s, P9_TFSYNC, "dd", 1, 1), 0);
	assert_int_equal(call(s, P9_TLOPEN, "dd", 1, O_RDONLY), -EBADF); /* is open */
	assert_int_equal(create(s, 2, "new"), -EEXIST);
	assert_int_equal(call(s, P9_TLCREATE, "dsddd", 2, "new", O_RDONLY, 0600, 0), 0);
	expect_data(s, 2, 0, "some words");
	assert_int_equal(write_data(s, 2, 0, "x"), -EBADF);
	assert_int_equal(walk1(s, CL_ROOT, 3, "new"), 0);
	assert_int_equal(call(s, P9_TREAD, "dqd", 3, Q(0), 10), -EBADF); /* is not open */
	assert_int_equal(call(s, P9_TLOPEN, "dd", 3, 3), -EINVAL);
	assert_int_equal(call(s, P9_TLOPEN, "dd", 3, O_WRONLY | O_TRUNC), 0);
	assert_int_equal(stat(at(s, "new"), &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	/* A length that lies, beyond the message and short of it. */
	cl_build(&s->out, P9_TWRITE, 7, "dqd", 3, Q(0), 1000);
	assert_int_equal(send_msg(s), -EBADMSG);
	assert_int_equal(call(s, P9_TWRITE, "dqdq", 3, Q(0), 1, Q(0)), -EBADMSG);
	assert_int_equal(call(s, P9_TREAD, "dqd", 1, UINT64_MAX, 10), -EINVAL);
}

static void test_names(void **state)
{
	struct setup *s = *state;

	assert_int_equal(call(s, P9_TMKDIR, "dsdd", CL_ROOT, "sub", 0750, 0), 0);
	assert_int_equal(field(s, 0, 1), P9_QT_DIR);
	assert_int_equal(call(s, P9_TMKDIR, "dsdd", CL_ROOT, "sub", 0750, 0), -EEXIST);
	assert_int_equal(call(s, P9_TMKDIR, "dsdd", CL_ROOT, "..", 0750, 0), -EINVAL);
	assert_int_equal(call(s, P9_TMKDIR, "dsdd", CL_ROOT, "../outside/x", 0750, 0), -EINVAL);
	assert_int_equal(walk1(s, CL_ROOT, 1, "sub"), 0);
	assert_int_equal(walk1(s, CL_ROOT, 2, "hello"), 0);
	assert_int_equal(call(s, P9_TLINK, "dds", 1, 2, "hard"), 0);
	assert_int_equal(call(s, P9_TLINK, "dds", 1, 2, "../../hard"), -EINVAL);
	assert_int_equal(call(s, P9_TRENAMEAT, "dsds", CL_ROOT, "hello", 1, "moved"), 0);
	assert_int_equal(call(s, P9_TRENAMEAT, "dsds", 1, "moved", CL_ROOT, "../x"), -EINVAL);
	/* The fid is the file, whatever its name is by now. */
	assert_int_equal(call(s, P9_TLOPEN, "dd", 2, O_RDONLY), 0);
	expect_data(s, 2, 0, "hello world");
	assert_int_equal(call(s, P9_TRENAME, "dds", 2, CL_ROOT, "back"), 0);
	assert_int_equal(access(at(s, "back"), F_OK), 0);
	assert_int_equal(call(s, P9_TRENAME, "dds", CL_ROOT, 1, "root"), -EBUSY);
	assert_int_equal(call(s, P9_TUNLINKAT, "dsd", CL_ROOT, "sub", 0), -EISDIR);
	assert_int_equal(call(s, P9_TUNLINKAT, "dsd", CL_ROOT, "sub", 0x200), -ENOTEMPTY);
	assert_int_equal(call(s, P9_TUNLINKAT, "dsd", CL_ROOT, "back", 0x400), -EINVAL);
	assert_int_equal(call(s, P9_TUNLINKAT, "dsd", 1, "hard", 0), 0);
	assert_int_equal(call(s, P9_TREMOVE, "d", 1), 0);
	assert_int_equal(access(at(s, "sub"), F_OK), -1);
	assert_int_equal(clunk(s, 1), -EBADF);
	assert_int_equal(call(s, P9_TREMOVE, "d", CL_ROOT), -EBUSY);
}

static void test_unlinked(void **state)
{
	struct setup *s = *state;

	assert_int_equal(create(s, 1, "gone"), 0);
	assert_int_equal(walk1(s, CL_ROOT, 2, "gone"), 0);
	assert_int_equal(write_data(s, 1, 0, "still here"), 0);
	assert_int_equal(call(s, P9_TUNLINKAT, "dsd", CL_ROOT, "gone", 0), 0);
	/* Another one of the name is another one. */
	host_write(at(s, "gone"), "new");
	for (uint32_t fid = 1; fid <= 2; fid++) {
		assert_int_equal(call(s, P9_TGETATTR, "dq", fid, Q(0x7ff)), 0);
		assert_int_equal(field(s, 8 + 13 + 12, 8), 0);	     /* nlink */
		assert_int_equal(field(s, 8 + 13 + 12 + 16, 8), 10); /* size */
	}
	expect_data(s, 1, 0, "still here");
	assert_int_equal(call(s, P9_TLOPEN, "dd", 2, O_RDWR), 0);
	assert_int_equal(write_data(s, 2, 0, "Still"), 0);
	expect_data(s, 1, 0, "Still here");
	assert_int_equal(
		call(s, P9_TSETATTR, "dddddqqqqq", 2, 8, 0, 0, 0, Q(5), Q(0), Q(0), Q(0), Q(0)), 0);
	expect_data(s, 1, 0, "Still");
	assert_int_equal(call(s, P9_TREMOVE, "d", 2), -ENOENT);
	assert_int_equal(access(at(s, "gone"), F_OK), 0);
}

static void test_readdir(void **state)
{
	struct setup *s = *state;
	bool seen[300] = {0};
	uint64_t off = 0;
	unsigned int nr = 0;

	for (unsigned int i = 0; i < 300; i++) {
		char name[32];

		snprintf(name, sizeof(name), "dir/entry-%u", i);
		host_write(at(s, name), "");
	}
	assert_int_equal(walk1(s, CL_ROOT, 1, "dir"), 0);
	assert_int_equal(call(s, P9_TREADDIR, "dqd", 1, Q(0), 4096), -EBADF);
	assert_int_equal(call(s, P9_TLOPEN, "dd", 1, O_RDONLY | O_DIRECTORY), 0);
	for (;;) {
		uint32_t len, pos = 4;

		assert_int_equal(call(s, P9_TREADDIR, "dqd", 1, off, 777), 0);
		len = field(s, 0, 4);
		assert_true(len <= 777 && s->in.len == P9_HEADER + 4 + len);
		if (!len)
			break;
		while (pos < 4 + len) {
			uint16_t name_len = field(s, pos + 22, 2);
			char name[256] = "";

			off = field(s, pos + 13, 8);
			memcpy(name, s->in.bytes + P9_HEADER + pos + 24, name_len);
			if (!strncmp(name, "entry-", 6)) {
				assert_false(seen[atoi(name + 6)]);
				seen[atoi(name + 6)] = true;
				nr++;
			}
			pos += 24 + name_len;
		}
		assert_int_equal(pos, 4 + len);
	}
	assert_int_equal(nr, 300);
	assert_int_equal(call(s, P9_TREADDIR, "dqd", 1, Q(0), 10), -EINVAL);
	assert_int_equal(walk1(s, CL_ROOT, 2, "hello"), 0);
	assert_int_equal(call(s, P9_TLOPEN, "dd", 2, O_RDONLY), 0);
	assert_int_equal(call(s, P9_TREADDIR, "dqd", 2, Q(0), 4096), -ENOTDIR);
}

/* The root's ".." does not tell what number the folder above has. */
static void test_readdir_root(void **state)
{
	struct setup *s = *state;
	uint64_t root;
	uint32_t len;

	assert_int_equal(call(s, P9_TGETATTR, "dq", CL_ROOT, Q(0x7ff)), 0);
	root = field(s, 8 + 5, 8);
	assert_int_equal(call(s, P9_TWALK, "ddw", CL_ROOT, 1, 0), 0);
	assert_int_equal(call(s, P9_TLOPEN, "dd", 1, O_RDONLY), 0);
	assert_int_equal(call(s, P9_TREADDIR, "dqd", 1, Q(0), 4096), 0);
	len = field(s, 0, 4);
	for (uint32_t pos = 4; pos < 4 + len;) {
		uint16_t name_len = field(s, pos + 22, 2);

		if (name_len == 2 && !memcmp(s->in.bytes + P9_HEADER + pos + 24, "..", 2))
			assert_int_equal(field(s, pos + 5, 8), root);
		pos += 24 + name_len;
	}
}

static void test_special_files(void **state)
{
	struct setup *s = *state;
	uint32_t mode[] = {S_IFCHR, S_IFBLK};

	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(
			call(s, P9_TMKNOD, "dsddddd", CL_ROOT, "dev", mode[i] | 0666, 1, 3, 0),
			-EBADMSG); /* one field too many */
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(
			call(s, P9_TMKNOD, "dsdddd", CL_ROOT, "dev", mode[i] | 0666, 1, 3, 0),
			-EPERM);
	assert_int_equal(access(at(s, "dev"), F_OK), -1);
	assert_int_equal(call(s, P9_TMKNOD, "dsdddd", CL_ROOT, "fifo", S_IFIFO | 0600, 0, 0, 0), 0);
	assert_int_equal(call(s, P9_TMKNOD, "dsdddd", CL_ROOT, "sock", S_IFSOCK | 0600, 0, 0, 0),
			 0);
	assert_int_equal(call(s, P9_TMKNOD, "dsdddd", CL_ROOT, "odd", S_IFLNK | 0600, 0, 0, 0),
			 -EINVAL);
	/* Opening one would do something to the host, or wait for ever. */
	assert_int_equal(walk1(s, CL_ROOT, 1, "fifo"), 0);
	assert_int_equal(call(s, P9_TLOPEN, "dd", 1, O_RDONLY), -ENXIO);
	assert_int_equal(call(s, P9_TWALK, "ddw", CL_ROOT, 2, 0), 0);
	assert_int_equal(call(s, P9_TLCREATE, "dsddd", 2, "fifo", O_RDWR, 0600, 0), -ENXIO);
	if (!geteuid() && !mknod(at(s, "null"), S_IFCHR | 0666, 0x103)) {
		assert_int_equal(walk1(s, CL_ROOT, 3, "null"), 0);
		assert_int_equal(call(s, P9_TLOPEN, "dd", 3, O_RDWR), -ENXIO);
		assert_int_equal(call(s, P9_TLCREATE, "dsddd", 2, "null", O_RDWR, 0600, 0), -ENXIO);
	}
}

/* --- attributes --- */

static int setattr(struct setup *s, uint32_t fid, uint32_t valid, uint32_t mode, uint32_t uid,
		   uint32_t gid, uint64_t size)
{
	return call(s, P9_TSETATTR, "dddddqqqqq", fid, valid, mode, uid, gid, size, Q(1000), Q(1),
		    Q(2000), Q(2));
}

static void test_attributes(void **state)
{
	struct setup *s = *state;
	struct stat st;

	assert_int_equal(walk1(s, CL_ROOT, 1, "hello"), 0);
	assert_int_equal(setattr(s, 1, 1 | 8 | 0x10 | 0x20 | 0x80 | 0x100, 0640, 0, 0, 4), 0);
	assert_int_equal(stat(at(s, "hello"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_size, 4);
	assert_true(st.st_atim.tv_sec == 1000 && st.st_atim.tv_nsec == 1);
	assert_true(st.st_mtim.tv_sec == 2000 && st.st_mtim.tv_nsec == 2);
	assert_int_equal(call(s, P9_TGETATTR, "dq", 1, Q(0x7ff)), 0);
	assert_int_equal(s->in.len, P9_HEADER + 153);
	assert_int_equal(field(s, 0, 8), 0x7ff);
	assert_int_equal(field(s, 21, 4), st.st_mode);
	assert_int_equal(setattr(s, 1, 0x20, 0, 0, 0, 0), 0); /* now */
	assert_int_equal(stat(at(s, "hello"), &st), 0);
	assert_true(st.st_mtim.tv_sec > 2000);
	assert_int_equal(setattr(s, CL_ROOT, 8, 0, 0, 0, 4), -EISDIR);
	assert_int_equal(call(s, P9_TSETATTR, "dddddqqqqq", 1, 0x90, 0, 0, 0, Q(0), Q(0),
			      UINT64_MAX, Q(0), Q(0)),
			 -EINVAL);
	assert_int_equal(setattr(s, 1, 8, 0, 0, 0, UINT64_MAX), -EINVAL);
	assert_int_equal(call(s, P9_TSTATFS, "d", 1), 0);
	assert_int_equal(field(s, 0, 4), 0x01021997);
	if (geteuid())
		return;
	assert_int_equal(setattr(s, 1, 2 | 4, 0, 123, 456, 0), 0);
	assert_int_equal(stat(at(s, "hello"), &st), 0);
	assert_true(st.st_uid == 123 && st.st_gid == 456);
}

/* New things belong to who attached, at once, and no right is lost on the way. */
static void test_owner(void **state)
{
	struct setup *s = *state;
	struct stat st;

	if (geteuid())
		skip();
	chmod(s->path, 0700);
	assert_int_equal(call(s, P9_TATTACH, "ddssd", 1, P9_NOFID, "", "", 1000), 0);
	assert_int_equal(call(s, P9_TMKDIR, "dsdd", 1, "sub", 0755, 1001), 0);
	assert_int_equal(stat(at(s, "sub"), &st), 0);
	assert_true(st.st_uid == 1000 && st.st_gid == 1001 && (st.st_mode & 07777) == 0755);
	assert_int_equal(call(s, P9_TSYMLINK, "dssd", 1, "soft", "x", 1001), 0);
	assert_int_equal(lstat(at(s, "soft"), &st), 0);
	assert_int_equal(st.st_uid, 1000);
	assert_int_equal(call(s, P9_TLCREATE, "dsddd", 1, "file", O_RDWR, 04755, 1001), 0);
	assert_int_equal(stat(at(s, "file"), &st), 0);
	assert_true(st.st_uid == 1000 && st.st_gid == 1001);
	/* Back to root. */
	assert_int_equal(create(s, 2, "roots"), 0);
	assert_int_equal(stat(at(s, "roots"), &st), 0);
	assert_int_equal(st.st_uid, 0);
}

static void test_mapped(void **state)
{
	struct setup *s = *state;
	struct stat st;

	s->params.mapped = true;
	s->params.uid = 500;
	s->params.gid = 600;
	restart(s);
	assert_int_equal(call(s, P9_TATTACH, "ddssd", 9, P9_NOFID, "", "", 1000), 0);
	assert_int_equal(walk1(s, 9, 1, "hello"), 0);
	assert_int_equal(call(s, P9_TGETATTR, "dq", 1, Q(0x7ff)), 0);
	assert_int_equal(field(s, 25, 4), 500);
	assert_int_equal(field(s, 29, 4), 600);
	assert_int_equal(call(s, P9_TLCREATE, "dsddd", 9, "mine", O_RDWR, 06755, 1001), 0);
	assert_int_equal(stat(at(s, "mine"), &st), 0);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(setattr(s, 9, 2 | 4, 0, 500, 600, 0), 0);
	assert_int_equal(setattr(s, 9, 2, 0, 0, 0, 0), -EPERM);
	assert_int_equal(setattr(s, 9, 1, 04755, 0, 0, 0), 0);
	assert_int_equal(stat(at(s, "mine"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(call(s, P9_TXATTRCREATE, "dsqd", 1, "security.x", Q(1), 0), -EOPNOTSUPP);
}

/* --- extended attributes --- */

static int set_xattr(struct setup *s, const char *name, const char *value, uint32_t flags)
{
	int ret = walk1(s, CL_ROOT, 50, "hello"), last;

	assert_int_equal(ret, 0);
	ret = call(s, P9_TXATTRCREATE, "dsqd", 50, name, Q(strlen(value)), flags);
	if (ret == 0 && *value)
		ret = write_data(s, 50, 0, value);
	last = clunk(s, 50);
	return ret ? ret : last;
}

static void test_xattrs(void **state)
{
	struct setup *s = *state;
	char *big = calloc(1, 70000);

	if (setxattr(at(s, "hello"), "user.probe", "x", 1, 0) && errno == EOPNOTSUPP)
		skip();
	removexattr(at(s, "hello"), "user.probe");
	assert_int_equal(set_xattr(s, "user.colour", "blue", 0), 0);
	assert_int_equal(set_xattr(s, "user.colour", "red", XATTR_CREATE), -EEXIST);
	assert_int_equal(set_xattr(s, "user.shape", "round", XATTR_REPLACE), -ENODATA);
	assert_int_equal(walk1(s, CL_ROOT, 1, "hello"), 0);
	assert_int_equal(call(s, P9_TXATTRWALK, "dds", 1, 2, "user.colour"), 0);
	assert_int_equal(field(s, 0, 8), 4);
	expect_data(s, 2, 0, "blue");
	expect_data(s, 2, 2, "ue");
	expect_data(s, 2, UINT64_MAX, "");
	assert_int_equal(write_data(s, 2, 0, "x"), -EBADF);
	assert_int_equal(call(s, P9_TGETATTR, "dq", 2, Q(0x7ff)), -EBADF);
	assert_int_equal(walk1(s, 2, 3, "x"), -EBADF);
	assert_int_equal(call(s, P9_TXATTRWALK, "dds", 1, 3, ""), 0);
	assert_true(field(s, 0, 8) >= sizeof("user.colour"));
	assert_int_equal(call(s, P9_TXATTRWALK, "dds", 1, 4, "user.none"), -ENODATA);
	/* Removal; an empty value is not that. */
	assert_int_equal(set_xattr(s, "user.colour", "", 0), 0);
	assert_int_equal(getxattr(at(s, "hello"), "user.colour", NULL, 0), 0);
	assert_int_equal(set_xattr(s, "user.colour", "", XATTR_REPLACE), 0);
	assert_int_equal(getxattr(at(s, "hello"), "user.colour", NULL, 0), -1);
	/* Limits. */
	assert_int_equal(call(s, P9_TXATTRCREATE, "dsqd", 1, "user.x", Q(65537), 0), -E2BIG);
	assert_int_equal(call(s, P9_TXATTRCREATE, "dsqd", 1, "user.x", UINT64_MAX, 0), -E2BIG);
	assert_int_equal(call(s, P9_TXATTRCREATE, "dsqd", 1, "", Q(1), 0), -ERANGE);
	memset(big, 'x', 300);
	assert_int_equal(call(s, P9_TXATTRCREATE, "dsqd", 1, big, Q(1), 0), -ERANGE);
	assert_int_equal(call(s, P9_TXATTRCREATE, "dsqd", 1, "user.x", Q(4), 0), 0);
	assert_int_equal(write_data(s, 1, 2, "too long"), -ENOSPC);
	assert_int_equal(write_data(s, 1, UINT64_MAX - 1, "wraps"), -ENOSPC);
	assert_int_equal(call(s, P9_TREAD, "dqd", 1, Q(0), 10), -EBADF);
	free(big);
}

static void test_xattr_exhaustion(void **state)
{
	struct setup *s = *state;
	int ret = 0;
	uint32_t i;

	for (i = 1; i < 10000 && ret == 0; i++) {
		assert_int_equal(walk1(s, CL_ROOT, i, "hello"), 0);
		ret = call(s, P9_TXATTRCREATE, "dsqd", i, "user.x", Q(65536), 0);
	}
	assert_int_equal(ret, -ENOMEM);
	assert_true(i > 100);
	restart(s);
	assert_int_equal(walk1(s, CL_ROOT, 1, "hello"), 0);
	assert_int_equal(call(s, P9_TXATTRCREATE, "dsqd", 1, "user.x", Q(65536), 0), 0);
}

/* --- limits --- */

static void test_fid_exhaustion(void **state)
{
	struct setup *s = *state;
	int ret = 0;
	uint32_t i;

	for (i = 1; i <= s->srv->fids.max && ret == 0; i++)
		ret = call(s, P9_TWALK, "ddw", CL_ROOT, i, 0);
	assert_int_equal(ret, -ENFILE);
	assert_int_equal(i, s->srv->fids.max + 1);
	assert_int_equal(clunk(s, 1), 0);
	assert_int_equal(walk1(s, CL_ROOT, 1, "hello"), 0);
	assert_int_equal(walk1(s, CL_ROOT, 2, "hello"), -EBADF);
}

static void test_msize(void **state)
{
	struct setup *s = *state;
	char *name = calloc(1, 10000);

	assert_int_equal(call(s, P9_TVERSION, "ds", 4096, "9P2000.L"), 0);
	assert_int_equal(call(s, P9_TATTACH, "ddssd", CL_ROOT, P9_NOFID, "", "", 0), 0);
	assert_int_equal(walk1(s, CL_ROOT, 1, "hello"), 0);
	assert_int_equal(call(s, P9_TLOPEN, "dd", 1, O_RDWR), 0);
	memset(name, 'x', 5000);
	assert_int_equal(write_data(s, 1, 0, name), -EMSGSIZE);
	name[4000] = '\0';
	assert_int_equal(write_data(s, 1, 0, name), 0);
	assert_int_equal(call(s, P9_TREAD, "dqd", 1, Q(0), 0xffffffff), 0);
	assert_true(s->in.len <= 4096);
	assert_int_equal(call(s, P9_TVERSION, "ds", 65536, "9P2000.L"), 0);
	memset(name, 'x', 9999);
	assert_int_equal(walk1(s, CL_ROOT, 1, name), -EMSGSIZE);
	free(name);
}

/* --- a hostile client --- */

static void test_lying_sizes(void **state)
{
	struct setup *s = *state;
	uint32_t sizes[] = {0, 6, 10, 19, 21, 1000, 0x7fffffff, 0xffffffff};

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint32_t size = htole32(sizes[i]);

		cl_build(&s->out, P9_TWALK, 7, "ddws", CL_ROOT, 1, 1, "hello");
		memcpy(s->out.bytes, &size, 4);
		assert_int_equal(send_msg(s), -EBADMSG);
	}
	assert_int_equal(clunk(s, 1), -EBADF);
}

static void test_lying_strings(void **state)
{
	struct setup *s = *state;
	uint16_t lens[] = {0, 4, 6, 255, 0x7fff, 0x8000, 0xffff};

	for (unsigned int i = 0; i < ARRAY_SIZE(lens); i++) {
		cl_build(&s->out, P9_TMKDIR, 7, "dsdd", CL_ROOT, "zzzzz", 0755, 0);
		memcpy(s->out.bytes + P9_HEADER + 4, &lens[i], 2);
		assert_true(send_msg(s) < 0);
	}
	cl_build(&s->out, P9_TMKDIR, 7, "dsdd", CL_ROOT, "zzzzz", 0755, 0);
	s->out.bytes[P9_HEADER + 4 + 2 + 2] = '\0';
	assert_int_equal(send_msg(s), -EBADMSG);
	assert_int_equal(access(at(s, "zz"), F_OK), -1);
	assert_int_equal(access(at(s, "zzzzz"), F_OK), -1);
}

/* A request of that format about the root, one name in a walk, with "n" in each string; where string nr is. */
static uint32_t build_plain(struct cl_msg *m, uint8_t type, const char *fmt, unsigned int nr)
{
	static const struct {
		char c;
		unsigned int len;
	} ints[] = {{'b', 1}, {'w', 2}, {'d', 4}, {'q', 8}};
	uint32_t at = 0;

	cl_build(m, type, 7, "");
	for (; *fmt; fmt++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(ints); i++)
			if (*fmt == ints[i].c)
				cl_int(m, ints[i].len, *fmt == 'w');
		if (*fmt != 's')
			continue;
		if (!nr--)
			at = m->len;
		cl_int(m, 2, 1);
		cl_bytes(m, "n", 1);
	}
	cl_finish(m);
	return at;
}

/* The same in every request that has strings; the others of it tell the truth. */
static void test_lying_strings_everywhere(void **state)
{
	static const uint16_t lies[] = {0x7fff, 0x8000, 0xfffe, 0xffff};
	static const struct {
		uint8_t type;
		const char *fmt;
	} requests[] = {
		{P9_TVERSION, "ds"},	 {P9_TATTACH, "ddssd"},	    {P9_TLCREATE, "dsddd"},
		{P9_TSYMLINK, "dssd"},	 {P9_TMKNOD, "dsdddd"},	    {P9_TRENAME, "dds"},
		{P9_TXATTRWALK, "dds"},	 {P9_TXATTRCREATE, "dsqd"}, {P9_TLOCK, "dbdqqds"},
		{P9_TGETLOCK, "dbqqds"}, {P9_TLINK, "dds"},	    {P9_TMKDIR, "dsdd"},
		{P9_TRENAMEAT, "dsds"},	 {P9_TUNLINKAT, "dsd"},	    {P9_TWALK, "ddws"},
	};
	struct setup *s = *state;
	uint32_t at;
	int ret;

	for (unsigned int i = 0; i < ARRAY_SIZE(requests); i++) {
		for (unsigned int l = 0; l < 3 * ARRAY_SIZE(lies); l++) {
			at = build_plain(&s->out, requests[i].type, requests[i].fmt, l % 3);
			if (!at)
				continue;
			memcpy(s->out.bytes + at, &lies[l / 3], 2);
			ret = send_msg(s);
			/* The fid of an attach is taken, which may be found out first. */
			assert_true(ret == -EBADMSG ||
				    (ret == -EBADF && requests[i].type == P9_TATTACH));
		}
	}
	assert_int_equal(walk1(s, CL_ROOT, 1, "hello"), 0);
}

/* Every type with bodies of every length: an answer each, and nothing of ours is hurt. */
static void test_any_bytes(void **state)
{
	struct setup *s = *state;
	const uint8_t fill[] = {0x00, 0x01, 0xff, 0x2f};

	for (unsigned int type = 0; type < 256; type++) {
		for (unsigned int len = 0; len < 80; len++) {
			s->out.len = 4;
			cl_int(&s->out, 1, type);
			cl_int(&s->out, 2, 7);
			memset(s->out.bytes + s->out.len, fill[len % 4], len);
			s->out.len += len;
			cl_finish(&s->out);
			assert_int_not_equal(send_msg(s), -9999);
		}
	}
	restart(s);
	assert_int_equal(walk1(s, CL_ROOT, 1, "hello"), 0);
}

static void test_no_room(void **state)
{
	struct setup *s = *state;

	for (unsigned int room = 0; room < 40; room++) {
		struct iovec out = {s->out.bytes, 0}, in = {s->in.bytes, room};

		memset(s->in.bytes, 0xee, 64);
		cl_build(&s->out, P9_TGETATTR, 7, "dq", CL_ROOT, Q(0x7ff));
		out.iov_len = s->out.len;
		s->req.out = &out;
		s->req.in = &in;
		p9_request_begin(s->srv, &s->req);
		s->in.len = p9_request_run(s->srv, &s->req);
		p9_request_end(s->srv, &s->req);
		if (room < P9_RLERROR_SIZE)
			assert_int_equal(s->in.len, 0);
		else
			assert_int_equal(cl_judge(&s->in, P9_TGETATTR, 7), -EMSGSIZE);
		assert_int_equal(s->in.bytes[room], 0xee);
	}
}

/* --- read-only --- */

static void test_readonly(void **state)
{
	struct setup *s = *state;
	struct stat before, after;

	s->params.readonly = true;
	restart(s);
	assert_int_equal(stat(at(s, "hello"), &before), 0);
	assert_int_equal(walk1(s, CL_ROOT, 1, "hello"), 0);
	assert_int_equal(call(s, P9_TLOPEN, "dd", 1, O_RDWR), -EROFS);
	assert_int_equal(call(s, P9_TLOPEN, "dd", 1, O_WRONLY), -EROFS);
	assert_int_equal(call(s, P9_TLOPEN, "dd", 1, O_TRUNC), -EROFS);
	assert_int_equal(call(s, P9_TLCREATE, "dsddd", CL_ROOT, "x", O_RDWR, 0644, 0), -EROFS);
	assert_int_equal(call(s, P9_TMKDIR, "dsdd", CL_ROOT, "x", 0755, 0), -EROFS);
	assert_int_equal(call(s, P9_TSYMLINK, "dssd", CL_ROOT, "x", "y", 0), -EROFS);
	assert_int_equal(call(s, P9_TMKNOD, "dsdddd", CL_ROOT, "x", S_IFIFO, 0, 0, 0), -EROFS);
	assert_int_equal(call(s, P9_TLINK, "dds", CL_ROOT, 1, "x"), -EROFS);
	assert_int_equal(call(s, P9_TRENAME, "dds", 1, CL_ROOT, "x"), -EROFS);
	assert_int_equal(call(s, P9_TRENAMEAT, "dsds", CL_ROOT, "hello", CL_ROOT, "x"), -EROFS);
	assert_int_equal(call(s, P9_TUNLINKAT, "dsd", CL_ROOT, "hello", 0), -EROFS);
	assert_int_equal(setattr(s, 1, 1 | 8, 0600, 0, 0, 0), -EROFS);
	assert_int_equal(call(s, P9_TXATTRCREATE, "dsqd", 1, "user.x", Q(1), 0), -EROFS);
	assert_int_equal(call(s, P9_TLOPEN, "dd", 1, O_RDONLY | O_APPEND), 0);
	assert_int_equal(write_data(s, 1, 0, "x"), -EROFS);
	expect_data(s, 1, 0, "hello world");
	assert_int_equal(walk1(s, CL_ROOT, 2, "hello"), 0);
	assert_int_equal(call(s, P9_TREMOVE, "d", 2), -EROFS);
	assert_int_equal(clunk(s, 2), -EBADF);
	assert_int_equal(stat(at(s, "hello"), &after), 0);
	assert_true(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec &&
		    before.st_ctim.tv_nsec == after.st_ctim.tv_nsec);
}

/* --- locks --- */

static int lock(struct setup *s, uint32_t fid, unsigned int type, uint64_t from, uint64_t len)
{
	int ret = call(s, P9_TLOCK, "dbdqqds", fid, type, 0, from, len, 1, "client");

	return ret ? ret : (int)field(s, 0, 1);
}

static void test_locks(void **state)
{
	struct setup *s = *state;
	struct flock fl = {.l_type = F_WRLCK, .l_len = 5};
	int fd = open(at(s, "hello"), O_RDWR | O_CLOEXEC);

	assert_int_equal(walk1(s, CL_ROOT, 1, "hello"), 0);
	assert_int_equal(lock(s, 1, 1, 0, 0), -EBADF); /* not open */
	assert_int_equal(call(s, P9_TLOPEN, "dd", 1, O_RDONLY), 0);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), 0);
	assert_int_equal(lock(s, 1, 1, 0, 0), 1);
	assert_int_equal(call(s, P9_TGETLOCK, "dbqqds", 1, 1, Q(0), Q(0), 1, "client"), 0);
	assert_int_equal(field(s, 0, 1), 1);
	assert_int_equal(field(s, 9, 8), 5);
	/* Which is how Linux asks (fs/9p/vfs_file.c): for a lock of no type. */
	assert_int_equal(call(s, P9_TGETLOCK, "dbqqds", 1, 2, Q(0), Q(0), 1, "client"), 0);
	assert_int_equal(field(s, 0, 1), 1);
	assert_int_equal(call(s, P9_TGETLOCK, "dbqqds", 1, 2, Q(5), Q(0), 1, "client"), 0);
	assert_int_equal(field(s, 0, 1), 2);
	assert_int_equal(lock(s, 1, 1, 5, 10), 0);
	fl.l_len = 0;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), -1);
	assert_int_equal(lock(s, 1, 2, 5, 10), 0);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), 0);
	assert_int_equal(lock(s, 1, 0, 0, 1), 1);
	fl.l_type = F_UNLCK;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), 0);
	assert_int_equal(lock(s, 1, 0, 0, 1), 0);
	/* It goes with the fid. */
	assert_int_equal(clunk(s, 1), 0);
	fl.l_type = F_WRLCK;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), 0);
	assert_int_equal(create(s, 2, "other"), 0);
	assert_int_equal(lock(s, 2, 9, 0, 0), -EINVAL);
	assert_int_equal(lock(s, 2, 1, UINT64_MAX, 2), -EINVAL);
	close(fd);
}

/* --- requests at the same time --- */

struct flusher {
	struct p9_server *srv;
	struct p9_request req;
	struct cl_msg out, in;
	struct iovec out_iov, in_iov;
	atomic_bool done;
};

static void *run_flush(void *arg)
{
	struct flusher *f = arg;

	f->in.len = p9_request_run(f->srv, &f->req);
	f->done = true;
	p9_request_end(f->srv, &f->req);
	return NULL;
}

static void begin(struct flusher *f, struct p9_server *srv)
{
	f->srv = srv;
	f->out_iov = (struct iovec){f->out.bytes, f->out.len};
	f->in_iov = (struct iovec){f->in.bytes, sizeof(f->in.bytes)};
	f->req.out = &f->out_iov;
	f->req.in = &f->in_iov;
	f->req.nr_out = f->req.nr_in = 1;
	p9_request_begin(srv, &f->req);
}

static void test_flush(void **state)
{
	struct setup *s = *state;
	struct flusher *slow = calloc(3, sizeof(*slow)), *flush = slow + 1, *self = slow + 2;
	pthread_t thread[2];

	cl_build(&slow->out, P9_TSTATFS, 40, "d", CL_ROOT);
	cl_build(&flush->out, P9_TFLUSH, 41, "w", 40);
	cl_build(&self->out, P9_TFLUSH, 42, "w", 42); /* of itself: nothing to wait for */
	begin(slow, s->srv);
	begin(flush, s->srv);
	begin(self, s->srv);
	assert_int_equal(pthread_create(&thread[0], NULL, run_flush, flush), 0);
	assert_int_equal(pthread_create(&thread[1], NULL, run_flush, self), 0);
	pthread_join(thread[1], NULL);
	usleep(20000);
	assert_false(flush->done);
	slow->in.len = p9_request_run(s->srv, &slow->req);
	assert_int_equal(cl_judge(&slow->in, P9_TSTATFS, 40), 0);
	assert_false(flush->done);
	p9_request_end(s->srv, &slow->req);
	pthread_join(thread[0], NULL);
	assert_int_equal(cl_judge(&flush->in, P9_TFLUSH, 41), 0);
	free(slow);
}

/* Threads that fight over the same few fids. */
static void *run_fight(void *arg)
{
	struct setup *s = calloc(1, sizeof(*s));
	unsigned int seed = (unsigned int)(uintptr_t)&s;

	s->srv = arg;
	for (unsigned int i = 0; i < 3000; i++) {
		uint32_t fid = 1 + rand_r(&seed) % 3;

		switch (rand_r(&seed) % 8) {
		case 0:
			walk1(s, CL_ROOT, fid, "hello");
			break;
		case 1:
			call(s, P9_TLOPEN, "dd", fid, O_RDWR);
			break;
		case 2:
			write_data(s, fid, 0, "x");
			break;
		case 3:
			call(s, P9_TREAD, "dqd", fid, Q(0), 100);
			break;
		case 4:
			clunk(s, fid);
			break;
		case 5:
			call(s, P9_TXATTRCREATE, "dsqd", fid, "user.x", Q(1), 0);
			break;
		case 6:
			call(s, P9_TLOCK, "dbdqqds", fid, 1, 0, Q(0), Q(0), 1, "");
			break;
		case 7:
			call(s, P9_TWALK, "ddws", CL_ROOT, fid, 1, "dir");
			call(s, P9_TREADDIR, "dqd", fid, Q(0), 1000);
			break;
		}
	}
	free(s);
	return NULL;
}

static void test_fight(void **state)
{
	struct setup *s = *state;
	pthread_t thread[4];

	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, run_fight, s->srv), 0);
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	assert_null(s->srv->running);
	assert_int_equal(call(s, P9_TVERSION, "ds", CL_MSIZE, "9P2000.L"), 0);
	assert_int_equal(s->srv->fids.nr, 0);
	assert_int_equal(s->srv->nr_xattrs, 0);
}

/* --- parts --- */

static void test_qids(void **state)
{
	struct setup *s = *state;
	struct p9_qid a, b, c;

	for (uint64_t dev = 1; dev < 200; dev++) {
		assert_true(p9_share_entry_qid(&s->srv->share, dev, 42, 0, &a));
		assert_true(p9_share_entry_qid(&s->srv->share, dev + 1, 42, 0, &b));
		assert_true(p9_share_entry_qid(&s->srv->share, dev, 42 | dev << 40, 0, &c));
		assert_true(a.path != b.path && a.path != c.path && b.path != c.path);
		assert_true(p9_share_entry_qid(&s->srv->share, dev, 42, 0, &c));
		assert_int_equal(a.path, c.path);
	}
	assert_true(p9_share_entry_qid(&s->srv->share, 1, UINT64_MAX, 0, &a));
	assert_true(p9_share_entry_qid(&s->srv->share, 1, UINT64_MAX >> 1, 0, &b));
	assert_true(a.path != b.path);
}

static int parse(struct p9_params *params, const char *words)
{
	static char copy[128]; /* params point into it */

	return p9_params_parse(params, strcpy(copy, words));
}

static void test_params(void **state)
{
	struct p9_params p;

	(void)state;
	assert_int_equal(parse(&p, "/srv"), 0);
	assert_string_equal(p.path, "/srv");
	assert_string_equal(p.tag, "kvm_9p");
	assert_false(p.readonly);
	assert_int_equal(p.mapped, geteuid() != 0);
	assert_int_equal(parse(&p, "/a\\,b,mytag,ro"), 0);
	assert_string_equal(p.path, "/a,b");
	assert_string_equal(p.tag, "mytag");
	assert_true(p.readonly);
	assert_int_equal(parse(&p, "/srv,ro,tag=t,security=mapped,uid=1,gid=2"), 0);
	assert_true(p.readonly && p.mapped && p.uid == 1 && p.gid == 2);
	assert_string_equal(p.tag, "t");
	assert_int_equal(parse(&p, "/srv,ro=off,security=passthrough"), 0);
	assert_false(p.readonly || p.mapped);
	assert_int_equal(parse(&p, ""), -EINVAL);
	assert_int_equal(parse(&p, "tag=x"), -EINVAL);
	assert_int_equal(parse(&p, "/srv,tag="), -EINVAL);
	assert_int_equal(parse(&p, "/srv,tag=123456789012345678901234567890123"), -EINVAL);
	assert_int_equal(parse(&p, "/srv,t,u"), -EINVAL);
	assert_int_equal(parse(&p, "/srv,ro=maybe"), -EINVAL);
	assert_int_equal(parse(&p, "/srv,security=none"), -EINVAL);
	assert_int_equal(parse(&p, "/srv,security=mapped,uid=1x"), -EINVAL);
	assert_int_equal(parse(&p, "/srv,security=passthrough,uid=1"), -EINVAL);
	assert_int_equal(parse(&p, "/srv,colour=red"), -EINVAL);
}

static void test_no_folder(void **state)
{
	const struct p9_params missing = {.path = "/no/such/folder", .mapped = true};
	const struct p9_params file = {.path = "/etc/passwd", .mapped = true};

	(void)state;
	assert_null(p9_server_create(&missing));
	assert_null(p9_server_create(&file));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup_init, setup_fini)
	const struct CMUnitTest tests[] = {
		T(test_version),
		T(test_attach),
		T(test_walk),
		T(test_dotdot),
		T(test_symlinks),
		T(test_symlink_race),
		T(test_symlink_race_writes),
		T(test_files),
		T(test_names),
		T(test_unlinked),
		T(test_readdir),
		T(test_readdir_root),
		T(test_special_files),
		T(test_attributes),
		T(test_owner),
		T(test_mapped),
		T(test_xattrs),
		T(test_xattr_exhaustion),
		T(test_fid_exhaustion),
		T(test_msize),
		T(test_lying_sizes),
		T(test_lying_strings),
		T(test_lying_strings_everywhere),
		T(test_any_bytes),
		T(test_no_room),
		T(test_readonly),
		T(test_locks),
		T(test_flush),
		T(test_fight),
		T(test_qids),
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_no_folder),
	};

	log_set_level(LOG_LEVEL_ERROR);
	umask(022);
	if (p9_thread_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
