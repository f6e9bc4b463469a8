/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_9P_SERVER_H
#define LKVM_9P_SERVER_H

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "9p/wire.h"
#include "kvm/9p.h"

/* --- the folder (9p/share.c) --- */

/* (device, upper bits of inode number) -> the upper bits of a qid's path */
struct p9_prefix {
	uint64_t dev;
	uint32_t ino_high, index; /* index 0: a free place */
};

struct p9_share {
	const struct p9_params *params;
	int root_fd; /* O_PATH */
	uint32_t host_uid, host_gid;
	pthread_mutex_t prefix_lock; /* protects the rest; taken last */
	struct p9_prefix *prefix;    /* a hash table */
	uint32_t nr_prefixes, prefix_size;
};

int p9_share_open(struct p9_share *share, const struct p9_params *params); /* prints */
void p9_share_close(struct p9_share *share);

/*
 * Fids are file descriptors, up to three each, and guests keep many: takes as many as the host
 * lets the process have, and says how many fids a share may use without starving the rest.
 */
unsigned int p9_share_max_fids(void);

/*
 * Opens what is below dirfd, never through a symbolic link and never above it. An fd or a negative
 * errno.
 */
int p9_open_beneath(int dirfd, const char *path, uint64_t flags, uint32_t mode);
/* Opens again, with other flags, what fd stands for, which must be a file or a folder. */
int p9_reopen(int fd, int flags);

/* A path that means what fd stands for, for system calls that take no fd of that sort. */
#define P9_FD_PATH 32
const char *p9_fd_path(int fd, char path[P9_FD_PATH]);

/*
 * Where fd's object is now: an O_PATH fd of its folder, and its name there. -EBUSY for the root,
 * -ENOENT when it is gone, or not below the root any more.
 */
int p9_share_parent(const struct p9_share *share, int fd, char name[NAME_MAX + 1]);

/* False when memory is out. */
bool p9_share_qid(struct p9_share *share, const struct stat *st, struct p9_qid *qid);
/* The same from a directory entry's fields: d_type as of readdir(3). */
bool p9_share_entry_qid(struct p9_share *share, uint64_t dev, uint64_t ino, unsigned char d_type,
			struct p9_qid *qid);

/* Host ids as the guest sees them. */
uint32_t p9_share_uid(const struct p9_share *share, uint32_t host_uid);
uint32_t p9_share_gid(const struct p9_share *share, uint32_t host_gid);
/* The permission bits of `mode` that the guest may set. */
uint32_t p9_share_mode(const struct p9_share *share, uint32_t mode, bool dir);
/* chown(2) as the guest means it; UINT32_MAX leaves an id as it is. */
int p9_share_chown(const struct p9_share *share, int fd, uint32_t uid, uint32_t gid);

/*
 * Between the two, what this thread creates belongs to the guest's uid and gid. Nothing else
 * changes: no right is lost.
 */
int p9_owner_enter(const struct p9_share *share, uint32_t uid, uint32_t gid);
void p9_owner_leave(const struct p9_share *share);

/* --- fids (9p/fid.c) --- */

/* An object of the host, kept even when its last name goes. */
struct p9_node {
	atomic_uint refs;
	int fd;	     /* O_PATH */
	mode_t type; /* S_IFMT */
};

/* The guest decides how many there are and of what size, so they are counted. */
#define P9_MAX_XATTRS 1024

struct p9_xattr {
	atomic_uint *nr;
	bool write; /* filled by the client, set when the fid goes */
	bool remove;
	int flags;
	uint32_t len;
	char name[256];
	uint8_t value[];
};

/*
 * What a fid number stands for. A request that changes what that is (open, create) puts another
 * one in its place, so that requests which run at the same time never see one change. `lock`
 * protects lock_fd, the position of io_fd in a folder and the xattr's value.
 */
struct p9_fid {
	atomic_uint refs;
	uint32_t id, uid;
	struct p9_fid *next; /* in its bucket, under p9_fids.lock */
	struct p9_node *node;
	int io_fd; /* opened by the client, or -1 */
	pthread_mutex_t lock;
	int lock_fd;		/* what record locks hang on, or -1 */
	struct p9_xattr *xattr; /* NULL for files */
};

#define P9_MAX_FIDS    (1u << 18)
#define P9_FID_BUCKETS (1u << 14)

struct p9_fids {
	pthread_mutex_t lock; /* protects the table; no other is taken within */
	unsigned int nr, max;
	struct p9_fid *bucket[P9_FID_BUCKETS];
};

struct p9_node *p9_node_create(int fd, mode_t type); /* takes fd over; NULL: ENOMEM */
struct p9_node *p9_node_get(struct p9_node *node);
void p9_node_put(struct p9_node *node); /* NULL is fine */

/* A fid with one reference, not in a table yet. Takes a reference of node of its own. */
struct p9_fid *p9_fid_create(struct p9_node *node, uint32_t uid);
void p9_fid_put(struct p9_fid *fid); /* NULL is fine */

struct p9_xattr *p9_xattr_create(atomic_uint *nr, uint32_t len); /* NULL: too many, or ENOMEM */
void p9_xattr_destroy(struct p9_xattr *xattr);			 /* NULL is fine */

void p9_fids_init(struct p9_fids *fids, unsigned int max); /* all zero before */
void p9_fids_clear(struct p9_fids *fids);
struct p9_fid *p9_fids_get(struct p9_fids *fids, uint32_t id); /* a reference, or NULL */
/*
 * Gives fid the number id. `old`: what stands there now and is replaced, NULL when the number must
 * be free. Takes over the caller's reference, also on error: -EBADF when id is something else by
 * now, -ENFILE when there are too many.
 */
int p9_fids_set(struct p9_fids *fids, uint32_t id, const struct p9_fid *old, struct p9_fid *fid);
/* Frees the number; the reference of the table is the caller's. NULL when there is none. */
struct p9_fid *p9_fids_remove(struct p9_fids *fids, uint32_t id);

/* --- requests (9p/server.c and 9p/op-*.c) --- */

struct p9_server {
	struct p9_share share;
	struct p9_fids fids;
	atomic_uint msize; /* 0: no version yet */
	atomic_uint nr_xattrs;
	pthread_mutex_t lock; /* protects the list */
	pthread_cond_t ended;
	struct p9_request *running, **last; /* in the order of arrival */
};

/* One request in a handler's hands. */
struct p9_call {
	struct p9_server *srv;
	struct p9_request *req;
	struct p9_reader in;
	struct p9_writer out;
	uint32_t data_len; /* bytes of a read that are in place behind `out` */
	unsigned int nr_held;
	struct p9_fid *held[2]; /* put when the handler is done */
};

/*
 * Looks a fid up and holds it for the rest of the call. -EBADF for numbers not in use, and with
 * p9_call_file for a fid of an extended attribute.
 */
int p9_call_fid(struct p9_call *c, uint32_t id, struct p9_fid **fid);
int p9_call_file(struct p9_call *c, uint32_t id, struct p9_fid **fid);
/* An O_PATH fd on a name in a folder, its node and qid. */
int p9_call_lookup(struct p9_call *c, int dirfd, const char *name, struct p9_node **node,
		   struct p9_qid *qid);

typedef int (*p9_handler)(struct p9_call *c); /* 0 or a negative errno */

int p9_do_walk(struct p9_call *c);
int p9_do_lopen(struct p9_call *c);
int p9_do_lcreate(struct p9_call *c);
int p9_do_symlink(struct p9_call *c);
int p9_do_readlink(struct p9_call *c);
int p9_do_link(struct p9_call *c);
int p9_do_mknod(struct p9_call *c);
int p9_do_mkdir(struct p9_call *c);
int p9_do_rename(struct p9_call *c);
int p9_do_renameat(struct p9_call *c);
int p9_do_unlinkat(struct p9_call *c);
int p9_do_remove(struct p9_call *c);
int p9_do_read(struct p9_call *c);
int p9_do_write(struct p9_call *c);
int p9_do_readdir(struct p9_call *c);
int p9_do_fsync(struct p9_call *c);
int p9_do_lock(struct p9_call *c);
int p9_do_getlock(struct p9_call *c);
int p9_do_getattr(struct p9_call *c);
int p9_do_setattr(struct p9_call *c);
int p9_do_statfs(struct p9_call *c);
int p9_do_xattrwalk(struct p9_call *c);
int p9_do_xattrcreate(struct p9_call *c);
int p9_do_clunk(struct p9_call *c);

/* Reads and writes of an xattr fid; bytes or a negative errno. */
int p9_xattr_read(struct p9_call *c, struct p9_fid *fid, uint64_t off, uint32_t len);
int p9_xattr_write(struct p9_call *c, struct p9_fid *fid, uint64_t off, uint32_t len);

/* Part [off, off + len) of a list of buffers; the number of vectors in `to`. */
unsigned int p9_iov_slice(const struct iovec *from, unsigned int nr, uint64_t off, uint64_t len,
			  struct iovec *to);
uint64_t p9_iov_len(const struct iovec *iov, unsigned int nr);
/* Copy at a byte offset; return bytes. */
uint64_t p9_iov_read(const struct iovec *iov, unsigned int nr, uint64_t off, void *buf,
		     uint64_t len);
uint64_t p9_iov_write(const struct iovec *iov, unsigned int nr, uint64_t off, const void *buf,
		      uint64_t len);

#endif
