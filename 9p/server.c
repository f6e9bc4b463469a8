// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sessions and requests. What each request does is in op-name.c (names and folders), op-io.c
 * (open files) and op-attr.c (attributes); which may change something is in the table below, and
 * there a read-only share says no.
 *
 * Locks: p9_fid.lock, then p9_fids.lock or p9_share.prefix_lock; p9_server.lock stands alone.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "9p/server.h"
#include "kvm/log.h"
#include "kvm/util.h"

#define P9_VERSION   "9P2000.L"
#define P9_MIN_MSIZE 4096
#define P9_MAX_MSIZE (1u << 20)

/* --- fids in calls --- */

int p9_call_fid(struct p9_call *c, uint32_t id, struct p9_fid **fid)
{
	*fid = p9_fids_get(&c->srv->fids, id);
	if (!*fid)
		return -EBADF;
	c->held[c->nr_held++] = *fid;
	return 0;
}

int p9_call_file(struct p9_call *c, uint32_t id, struct p9_fid **fid)
{
	int ret = p9_call_fid(c, id, fid);

	return ret == 0 && (*fid)->xattr ? -EBADF : ret;
}

int p9_call_lookup(struct p9_call *c, int dirfd, const char *name, struct p9_node **node,
		   struct p9_qid *qid)
{
	int fd = p9_open_beneath(dirfd, name, O_PATH, 0);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) || !p9_share_qid(&c->srv->share, &st, qid)) {
		close(fd);
		return -EIO;
	}
	*node = p9_node_create(fd, st.st_mode);
	return *node ? 0 : -ENOMEM;
}

/* --- the session --- */

/* Waits until what came before this request, and has that tag (any if negative), has ended. */
static void p9_wait_for_older(struct p9_call *c, int tag)
{
	struct p9_server *srv = c->srv;
	struct p9_request *older;

	/*
	 * No deadlock: requests wait for older ones only, and those are on threads already, as
	 * threads take requests in the order of arrival.
	 */
	pthread_mutex_lock(&srv->lock);
	for (older = srv->running; older != c->req;) {
		if (tag >= 0 && older->tag != tag) {
			older = older->next;
			continue;
		}
		pthread_cond_wait(&srv->ended, &srv->lock);
		older = srv->running;
	}
	pthread_mutex_unlock(&srv->lock);
}

/* A new session: all that was open is forgotten. */
static int p9_do_version(struct p9_call *c)
{
	uint32_t msize;
	char *version;
	int ret = p9_parse(&c->in, "ds", &msize, &version);

	if (ret)
		return ret;
	if (msize < P9_MIN_MSIZE)
		return -EMSGSIZE;
	p9_wait_for_older(c, -1);
	p9_fids_clear(&c->srv->fids);
	msize = MIN(msize, P9_MAX_MSIZE);
	if (strcmp(version, P9_VERSION)) {
		atomic_store(&c->srv->msize, 0);
		p9_put(&c->out, "ds", msize, "unknown");
		return 0;
	}
	atomic_store(&c->srv->msize, msize);
	p9_put(&c->out, "ds", msize, P9_VERSION);
	return 0;
}

/* A flushed request is not called off, but answered first, which the protocol allows. */
static int p9_do_flush(struct p9_call *c)
{
	uint16_t tag;
	int ret = p9_parse(&c->in, "w", &tag);

	if (ret == 0)
		p9_wait_for_older(c, tag);
	return ret;
}

static int p9_do_auth(struct p9_call *c)
{
	(void)c;
	return -EOPNOTSUPP; /* no authentication is needed */
}

static int p9_do_attach(struct p9_call *c)
{
	uint32_t id, afid, uid;
	char *user, *dir;
	struct p9_fid *fid;
	struct p9_node *node;
	struct p9_qid qid;
	int ret = p9_parse(&c->in, "ddssd", &id, &afid, &user, &dir, &uid);

	if (ret)
		return ret;
	if (afid != P9_NOFID)
		return -EINVAL;
	/* A client may ask for a folder below the share's. */
	dir += strspn(dir, "/");
	ret = p9_call_lookup(c, c->srv->share.root_fd, *dir ? dir : ".", &node, &qid);
	if (ret)
		return ret;
	if (node->type != S_IFDIR) {
		p9_node_put(node);
		return -ENOTDIR;
	}
	fid = p9_fid_create(node, uid == UINT32_MAX ? c->srv->share.host_uid : uid);
	p9_node_put(node);
	ret = fid ? p9_fids_set(&c->srv->fids, id, NULL, fid) : -ENOMEM;
	if (ret == 0)
		p9_put(&c->out, "Q", &qid);
	return ret;
}

/* --- dispatch --- */

static const struct p9_op {
	p9_handler handle;
	bool changes; /* refused on a read-only share; opening has its own check */
} p9_ops[P9_NR_TYPES] = {
	[P9_TSTATFS] = {p9_do_statfs, false},
	[P9_TLOPEN] = {p9_do_lopen, false},
	[P9_TLCREATE] = {p9_do_lcreate, true},
	[P9_TSYMLINK] = {p9_do_symlink, true},
	[P9_TMKNOD] = {p9_do_mknod, true},
	[P9_TRENAME] = {p9_do_rename, true},
	[P9_TREADLINK] = {p9_do_readlink, false},
	[P9_TGETATTR] = {p9_do_getattr, false},
	[P9_TSETATTR] = {p9_do_setattr, true},
	[P9_TXATTRWALK] = {p9_do_xattrwalk, false},
	[P9_TXATTRCREATE] = {p9_do_xattrcreate, true},
	[P9_TREADDIR] = {p9_do_readdir, false},
	[P9_TFSYNC] = {p9_do_fsync, false},
	[P9_TLOCK] = {p9_do_lock, false},
	[P9_TGETLOCK] = {p9_do_getlock, false},
	[P9_TLINK] = {p9_do_link, true},
	[P9_TMKDIR] = {p9_do_mkdir, true},
	[P9_TRENAMEAT] = {p9_do_renameat, true},
	[P9_TUNLINKAT] = {p9_do_unlinkat, true},
	[P9_TVERSION] = {p9_do_version, false},
	[P9_TAUTH] = {p9_do_auth, false},
	[P9_TATTACH] = {p9_do_attach, false},
	[P9_TFLUSH] = {p9_do_flush, false},
	[P9_TWALK] = {p9_do_walk, false},
	[P9_TREAD] = {p9_do_read, false},
	[P9_TWRITE] = {p9_do_write, true},
	[P9_TCLUNK] = {p9_do_clunk, false},
	[P9_TREMOVE] = {p9_do_remove, false}, /* it clunks even then */
};

static int p9_dispatch(struct p9_call *c)
{
	const struct p9_op *op = c->req->type < P9_NR_TYPES ? &p9_ops[c->req->type] : NULL;

	if (!op || !op->handle)
		return -EOPNOTSUPP;
	if (op->changes && c->srv->share.params->readonly)
		return -EROFS;
	return op->handle(c);
}

/* Judges the header, of which only a copy is looked at. */
static int p9_check_message(const struct p9_server *srv, const struct p9_request *req)
{
	uint32_t msize = atomic_load(&srv->msize);

	if (req->err)
		return req->err;
	if (req->type != P9_TVERSION && (!msize || req->size > msize))
		return msize ? -EMSGSIZE : -EPROTO;
	if (req->type != P9_TWRITE && req->size > P9_HEAD_SIZE)
		return -EMSGSIZE;
	return 0;
}

void p9_request_begin(struct p9_server *srv, struct p9_request *req)
{
	uint64_t got;

	req->out_len = p9_iov_len(req->out, req->nr_out);
	req->in_len = p9_iov_len(req->in, req->nr_in);
	req->type = 0;
	req->tag = UINT16_MAX;
	req->next = NULL;
	got = p9_iov_read(req->out, req->nr_out, 0, req->head, P9_HEAD_SIZE);
	req->size = got < P9_HEADER ? 0 : le_load(req->head, 4);
	req->err = req->size < P9_HEADER || req->size > req->out_len ? -EBADMSG : 0;
	if (got >= P9_HEADER) {
		req->type = req->head[4];
		req->tag = le_load(req->head + 5, 2);
	}
	pthread_mutex_lock(&srv->lock);
	*srv->last = req;
	srv->last = &req->next;
	pthread_mutex_unlock(&srv->lock);
}

uint32_t p9_request_run(struct p9_server *srv, struct p9_request *req)
{
	uint8_t *reply = req->reply, type = req->type + 1;
	struct p9_call c = {
		.srv = srv,
		.req = req,
		.in = {req->head + P9_HEADER, req->head + MIN(req->size, P9_HEAD_SIZE)},
		.out = {reply, reply + P9_HEADER, reply + P9_REPLY_SIZE, false},
	};
	int ret = p9_check_message(srv, req);
	uint32_t len;

	if (ret == 0)
		ret = p9_dispatch(&c);
	while (c.nr_held)
		p9_fid_put(c.held[--c.nr_held]);
	if (ret == 0 && (c.out.full || (uint64_t)(c.out.at - reply) > req->in_len))
		ret = -EMSGSIZE;
	if (ret < 0) {
		type = P9_RLERROR;
		c.out.at = reply + P9_HEADER;
		c.data_len = 0;
		p9_put(&c.out, "d", (uint32_t)-ret);
	}
	len = c.out.at - reply;
	if (len > req->in_len)
		return 0;
	le_store(reply, 4, len + c.data_len);
	reply[4] = type;
	le_store(reply + 5, 2, req->tag);
	return p9_iov_write(req->in, req->nr_in, 0, reply, len) + c.data_len;
}

void p9_request_end(struct p9_server *srv, struct p9_request *req)
{
	struct p9_request **link = &srv->running;

	pthread_mutex_lock(&srv->lock);
	while (*link != req)
		link = &(*link)->next;
	*link = req->next;
	if (!*link)
		srv->last = link;
	pthread_cond_broadcast(&srv->ended);
	pthread_mutex_unlock(&srv->lock);
}

/* --- birth and death --- */

int p9_thread_init(void)
{
	/* The umask is part of what threads share unless they ask not to. */
	if (unshare(CLONE_FS))
		return -errno;
	umask(0);
	return 0;
}

struct p9_server *p9_server_create(const struct p9_params *params)
{
	struct p9_server *srv = calloc(1, sizeof(*srv));

	if (!srv) {
		log_error("--9p %s: out of memory", params->path);
		return NULL;
	}
	if (p9_share_open(&srv->share, params)) {
		free(srv);
		return NULL;
	}
	p9_fids_init(&srv->fids, p9_share_max_fids());
	pthread_mutex_init(&srv->lock, NULL);
	pthread_cond_init(&srv->ended, NULL);
	srv->last = &srv->running;
	return srv;
}

void p9_server_destroy(struct p9_server *srv)
{
	if (!srv)
		return;
	p9_fids_clear(&srv->fids);
	p9_share_close(&srv->share);
	pthread_cond_destroy(&srv->ended);
	pthread_mutex_destroy(&srv->lock);
	pthread_mutex_destroy(&srv->fids.lock);
	free(srv);
}
