// SPDX-License-Identifier: GPL-2.0-or-later
/* links: 9p/server.c 9p/op-name.c 9p/op-io.c 9p/op-attr.c 9p/fid.c 9p/share.c 9p/wire.c 9p/iov.c util/util.c util/log.c */
/*
 * The 9P server under a fuzzer, on a small folder of its own: mostly right messages on a few fids
 * and names, now and then with bytes spoiled. Every reply must be whole, what lies outside must
 * neither be read nor changed, and nothing may be left when the session ends.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../unit/p9-client.h"
#include "9p/server.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "script.h"

#define FUZZ_SECRET "the secret of the outside"

struct fuzz {
	char top[32], path[64];
	struct p9_params params;
	struct p9_server *srv;
	struct p9_request req;
	struct cl_msg out, in;
};

static void fuzz_require(bool ok)
{
	if (!ok)
		abort();
}

/* The fields of each request, as in wire.h; f is a fid. */
static const struct {
	uint8_t type;
	const char *fmt;
} fuzz_messages[] = {
	{P9_TSTATFS, "f"},	{P9_TLOPEN, "fd"},	   {P9_TLCREATE, "fsddd"},
	{P9_TSYMLINK, "fssd"},	{P9_TMKNOD, "fsdddd"},	   {P9_TRENAME, "ffs"},
	{P9_TREADLINK, "f"},	{P9_TGETATTR, "fq"},	   {P9_TSETATTR, "fdddddqqqqq"},
	{P9_TXATTRWALK, "ffs"}, {P9_TXATTRCREATE, "fsqd"}, {P9_TREADDIR, "fqd"},
	{P9_TFSYNC, "fd"},	{P9_TLOCK, "fbdqqds"},	   {P9_TGETLOCK, "fbqqds"},
	{P9_TLINK, "ffs"},	{P9_TMKDIR, "fsdd"},	   {P9_TRENAMEAT, "fsfs"},
	{P9_TUNLINKAT, "fsd"},	{P9_TATTACH, "ffssd"},	   {P9_TFLUSH, "w"},
	{P9_TWALK, "ffW"},	{P9_TREAD, "fqd"},	   {P9_TWRITE, "fqD"},
	{P9_TCLUNK, "f"},	{P9_TREMOVE, "f"},	   {P9_TVERSION, "ds"},
};

static const char *const fuzz_names[] = {
	"a",	  "b",		"dir",	  "link",	    "..",	   ".",	       "",
	"user.x", "../outside", "secret", "outside/secret", "/etc/passwd", "9P2000.L",
};

static void fuzz_string(struct fuzz *f, struct script *s)
{
	const char *name = fuzz_names[script_take(s, 1) % ARRAY_SIZE(fuzz_names)];

	cl_int(&f->out, 2, strlen(name));
	cl_bytes(&f->out, name, strlen(name));
}

/* Small numbers mostly, as flags, ids and lengths are. */
static uint64_t fuzz_number(struct script *s, unsigned int len)
{
	uint8_t how = script_take(s, 1);

	if (how < 128)
		return how;
	return how < 192 ? 1ull << (how & 63) : script_take(s, len);
}

static void fuzz_field(struct fuzz *f, struct script *s, char letter)
{
	uint64_t val;

	switch (letter) {
	case 'f':
		val = script_take(s, 1);
		cl_int(&f->out, 4, val == 255 ? P9_NOFID : val % 6);
		break;
	case 's':
		fuzz_string(f, s);
		break;
	case 'b':
	case 'w':
		cl_int(&f->out, letter == 'b' ? 1 : 2, fuzz_number(s, 2));
		break;
	case 'd':
		cl_int(&f->out, 4, fuzz_number(s, 4));
		break;
	case 'q':
		cl_int(&f->out, 8, fuzz_number(s, 8));
		break;
	case 'W':
		val = script_take(s, 1) % 5;
		cl_int(&f->out, 2, val);
		while (val--)
			fuzz_string(f, s);
		break;
	case 'D':
		val = script_take(s, 1);
		cl_int(&f->out, 4, val);
		for (unsigned int i = 0; i < val; i++)
			cl_int(&f->out, 1, i);
		break;
	}
}

static void fuzz_check_reply(const struct fuzz *f)
{
	int ret = cl_judge(&f->in, f->out.bytes[4], cl_field(&f->out, 5, 2));

	fuzz_require(f->in.len == 0 || ret != -9999);
	fuzz_require(f->in.len <= sizeof(f->in.bytes));
	fuzz_require(!memmem(f->in.bytes, f->in.len, FUZZ_SECRET, strlen(FUZZ_SECRET)));
}

static void fuzz_send(struct fuzz *f, struct script *s)
{
	uint8_t shape = script_take(s, 1);
	struct iovec out[2] = {{f->out.bytes, f->out.len}, {NULL, 0}};
	struct iovec in[2] = {{f->in.bytes, sizeof(f->in.bytes)}, {NULL, 0}};

	/* Buffers are cut anywhere; now and then there is little room for the reply. */
	if (shape & 1) {
		out[0].iov_len = shape >> 3 < (int)f->out.len ? shape >> 3 : f->out.len;
		out[1].iov_base = f->out.bytes + out[0].iov_len;
		out[1].iov_len = f->out.len - out[0].iov_len;
	}
	if (shape & 2) {
		in[0].iov_len = shape >> 3;
		in[1].iov_base = f->in.bytes + in[0].iov_len;
		in[1].iov_len = shape & 4 ? 5 : sizeof(f->in.bytes) - in[0].iov_len;
	}
	f->req.out = out;
	f->req.in = in;
	f->req.nr_out = f->req.nr_in = 2;
	p9_request_begin(f->srv, &f->req);
	f->in.len = p9_request_run(f->srv, &f->req);
	p9_request_end(f->srv, &f->req);
}

static void fuzz_step(struct fuzz *f, struct script *s)
{
	unsigned int which = script_take(s, 1);
	const char *fmt;

	f->out.len = 4;
	cl_int(&f->out, 1, fuzz_messages[which % ARRAY_SIZE(fuzz_messages)].type);
	cl_int(&f->out, 2, 7);
	for (fmt = fuzz_messages[which % ARRAY_SIZE(fuzz_messages)].fmt; *fmt; fmt++)
		fuzz_field(f, s, *fmt);
	cl_finish(&f->out);
	if (which > 200) {
		f->out.bytes[script_take(s, 1) % f->out.len] ^= script_take(s, 1);
		f->out.len -= which > 240 ? script_take(s, 1) % f->out.len : 0;
	}
	fuzz_send(f, s);
	/* A spoiled header may have changed what the reply is to. */
	if (which <= 200)
		fuzz_check_reply(f);
}

static void fuzz_message(struct fuzz *f, uint8_t type, const char *fmt, ...)
{
	struct script none = {NULL, 0};
	va_list ap;

	va_start(ap, fmt);
	cl_vbuild(&f->out, type, 7, fmt, ap);
	va_end(ap);
	fuzz_send(f, &none);
}

static void fuzz_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	fuzz_require(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static int fuzz_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

/* A fresh folder for each input, and one beside it that nobody may touch. */
static void fuzz_start(struct fuzz *f)
{
	char path[96];

	strcpy(f->top, "/tmp/fuzz-9p-XXXXXX");
	fuzz_require(mkdtemp(f->top));
	snprintf(path, sizeof(path), "%s/outside", f->top);
	fuzz_require(mkdir(path, 0755) == 0);
	snprintf(path, sizeof(path), "%s/outside/secret", f->top);
	fuzz_write(path, FUZZ_SECRET);
	snprintf(f->path, sizeof(f->path), "%s/share", f->top);
	fuzz_require(mkdir(f->path, 0755) == 0);
	snprintf(path, sizeof(path), "%s/dir", f->path);
	fuzz_require(mkdir(path, 0755) == 0);
	snprintf(path, sizeof(path), "%s/a", f->path);
	fuzz_write(path, "content");
	snprintf(path, sizeof(path), "%s/link", f->path);
	fuzz_require(symlink("../outside", path) == 0);
	f->params = (struct p9_params){.path = f->path, .tag = "t", .mapped = true};
	f->srv = p9_server_create(&f->params);
	fuzz_require(f->srv);
	fuzz_message(f, P9_TVERSION, "ds", 65536u, "9P2000.L");
	fuzz_message(f, P9_TATTACH, "ddssd", 0u, P9_NOFID, "", "", 0u);
}

static void fuzz_end(struct fuzz *f)
{
	char path[96], secret[64] = "";
	int fd;

	fuzz_message(f, P9_TVERSION, "ds", 65536u, "9P2000.L");
	fuzz_require(!f->srv->fids.nr && !f->srv->nr_xattrs && !f->srv->running);
	p9_server_destroy(f->srv);
	snprintf(path, sizeof(path), "%s/outside/secret", f->top);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	fuzz_require(fd >= 0 && read(fd, secret, sizeof(secret)) == (ssize_t)strlen(FUZZ_SECRET));
	fuzz_require(!strcmp(secret, FUZZ_SECRET));
	close(fd);
	nftw(f->top, fuzz_remove, 16, FTW_DEPTH | FTW_PHYS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz *f; /* so much memory, for so many inputs */
	struct script s = {data, size};

	log_set_level(LOG_LEVEL_ERROR);
	if (!f) {
		f = calloc(1, sizeof(*f));
		fuzz_require(f && p9_thread_init() == 0);
	}
	fuzz_start(f);
	for (unsigned int steps = 0; s.left && steps < 200; steps++)
		fuzz_step(f, &s);
	fuzz_end(f);
	return 0;
}
