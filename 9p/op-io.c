// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests about open files: opening, data, folders' entries, locks. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "9p/server.h"
#include "kvm/util.h"

/* Flags of Tlopen and Tlcreate: Linux's numbers on most architectures, but not on all. */
#define P9_O_ACCMODE   03
#define P9_O_EXCL      0200
#define P9_O_TRUNC     01000
#define P9_O_APPEND    02000
#define P9_O_DSYNC     010000
#define P9_O_DIRECTORY 0200000
#define P9_O_SYNC      04000000

/* What remains (O_DIRECT, O_NONBLOCK, ..) concerns the guest's side only. */
static int p9_open_flags(uint32_t flags)
{
	int to = flags & P9_O_ACCMODE;

	to |= flags & P9_O_TRUNC ? O_TRUNC : 0;
	to |= flags & P9_O_APPEND ? O_APPEND : 0;
	to |= flags & P9_O_DSYNC ? O_DSYNC : 0;
	to |= flags & P9_O_SYNC ? O_SYNC : 0;
	to |= flags & P9_O_DIRECTORY ? O_DIRECTORY : 0;
	return to;
}

/* Opens a node for data. Opening a device or a FIFO of the host would do something to the host. */
static int p9_open_node(struct p9_call *c, const struct p9_node *node, uint32_t flags)
{
	bool writes = (flags & P9_O_ACCMODE) != O_RDONLY || flags & P9_O_TRUNC;

	if ((flags & P9_O_ACCMODE) == P9_O_ACCMODE)
		return -EINVAL;
	if (writes && c->srv->share.params->readonly)
		return -EROFS;
	if (node->type == S_IFLNK)
		return -ELOOP;
	if (node->type != S_IFREG && node->type != S_IFDIR)
		return -ENXIO;
	return p9_reopen(node->fd, p9_open_flags(flags));
}

/* Puts an open fid in place of `old`. Takes io_fd over. */
static int p9_set_open(struct p9_call *c, const struct p9_fid *old, struct p9_node *node, int io_fd)
{
	struct p9_fid *fid = p9_fid_create(node, old->uid);

	if (!fid) {
		close(io_fd);
		return -ENOMEM;
	}
	fid->io_fd = io_fd;
	return p9_fids_set(&c->srv->fids, old->id, old, fid);
}

int p9_do_lopen(struct p9_call *c)
{
	struct p9_fid *fid;
	struct p9_qid qid;
	uint32_t id, flags;
	struct stat st;
	int ret = p9_parse(&c->in, "dd", &id, &flags), io_fd;

	if (ret == 0)
		ret = p9_call_file(c, id, &fid);
	if (ret == 0 && fid->io_fd >= 0)
		ret = -EBADF;
	if (ret)
		return ret;
	io_fd = p9_open_node(c, fid->node, flags);
	if (io_fd < 0)
		return io_fd;
	if (fstat(io_fd, &st) || !p9_share_qid(&c->srv->share, &st, &qid)) {
		close(io_fd);
		return -EIO;
	}
	ret = p9_set_open(c, fid, fid->node, io_fd);
	if (ret == 0)
		p9_put(&c->out, "Qd", &qid, 0u); /* iounit 0: as much as a message holds */
	return ret;
}

/*
 * Makes a file and opens it. If it is there already, that one is opened like any other, unless the
 * client wants a new one: never by its name, which could stand for anything by then.
 */
static int p9_create_file(struct p9_call *c, const struct p9_fid *dir, const char *name,
			  uint32_t flags, uint32_t mode)
{
	struct p9_node *node;
	struct p9_qid qid;
	int fd, ret;

	fd = p9_open_beneath(dir->node->fd, name, p9_open_flags(flags) | O_CREAT | O_EXCL,
			     p9_share_mode(&c->srv->share, mode, false));
	if (fd != -EEXIST || flags & P9_O_EXCL)
		return fd;
	ret = p9_call_lookup(c, dir->node->fd, name, &node, &qid);
	if (ret)
		return ret;
	fd = p9_open_node(c, node, flags);
	p9_node_put(node);
	return fd;
}

int p9_do_lcreate(struct p9_call *c)
{
	struct p9_share *share = &c->srv->share;
	uint32_t id, flags, mode, gid;
	struct p9_node *node = NULL;
	struct p9_fid *dir;
	struct p9_qid qid;
	struct stat st;
	char *name;
	int ret = p9_parse(&c->in, "dnddd", &id, &name, &flags, &mode, &gid), io_fd, fd;

	if (ret == 0 && (flags & P9_O_ACCMODE) == P9_O_ACCMODE)
		ret = -EINVAL;
	if (ret == 0)
		ret = p9_call_file(c, id, &dir);
	if (ret == 0 && dir->io_fd >= 0)
		ret = -EBADF;
	if (ret == 0)
		ret = p9_owner_enter(share, dir->uid, gid);
	if (ret)
		return ret;
	io_fd = p9_create_file(c, dir, name, flags, mode);
	p9_owner_leave(share);
	if (io_fd < 0)
		return io_fd;
	fd = p9_reopen(io_fd, O_PATH);
	if (fd >= 0 && fstat(fd, &st) == 0 && p9_share_qid(share, &st, &qid))
		node = p9_node_create(fd, st.st_mode);
	else if (fd >= 0)
		close(fd);
	if (!node) {
		close(io_fd);
		return fd < 0 ? fd : -ENOMEM;
	}
	ret = p9_set_open(c, dir, node, io_fd);
	p9_node_put(node);
	if (ret == 0)
		p9_put(&c->out, "Qd", &qid, 0u);
	return ret;
}

/* --- data --- */

/* Between the client's buffers and the file, without a copy here: nobody looks at the data. */
int p9_do_read(struct p9_call *c)
{
	struct p9_request *req = c->req;
	uint32_t id, len, room = MIN(req->in_len, atomic_load(&c->srv->msize));
	struct p9_fid *fid;
	uint64_t off;
	ssize_t n;
	int ret = p9_parse(&c->in, "dqd", &id, &off, &len);

	if (ret == 0)
		ret = p9_call_fid(c, id, &fid);
	if (ret)
		return ret;
	if (room < P9_RREAD_HEADER || (!fid->xattr && fid->io_fd < 0))
		return room < P9_RREAD_HEADER ? -EMSGSIZE : -EBADF;
	len = MIN(len, room - P9_RREAD_HEADER);
	if (fid->xattr)
		n = p9_xattr_read(c, fid, off, len);
	else
		n = preadv(fid->io_fd, req->iov,
			   p9_iov_slice(req->in, req->nr_in, P9_RREAD_HEADER, len, req->iov), off);
	if (n < 0)
		return fid->xattr ? (int)n : -errno;
	p9_put(&c->out, "d", (uint32_t)n);
	c->data_len = n;
	return 0;
}

int p9_do_write(struct p9_call *c)
{
	struct p9_request *req = c->req;
	struct p9_fid *fid;
	uint32_t id, len;
	uint64_t off;
	ssize_t n;
	int ret = p9_parse(&c->in, "dqd+", &id, &off, &len);

	if (ret == 0 && len != req->size - P9_TWRITE_HEADER)
		ret = -EBADMSG;
	if (ret == 0)
		ret = p9_call_fid(c, id, &fid);
	if (ret)
		return ret;
	if (fid->xattr)
		n = p9_xattr_write(c, fid, off, len);
	else if (fid->io_fd >= 0)
		n = pwritev(fid->io_fd, req->iov,
			    p9_iov_slice(req->out, req->nr_out, P9_TWRITE_HEADER, len, req->iov),
			    off);
	else
		return -EBADF;
	if (n < 0)
		return fid->xattr ? (int)n : -errno;
	p9_put(&c->out, "d", (uint32_t)n);
	return 0;
}

int p9_do_fsync(struct p9_call *c)
{
	struct p9_fid *fid;
	uint32_t id, datasync;
	int ret = p9_parse(&c->in, "dd", &id, &datasync);

	if (ret == 0)
		ret = p9_call_file(c, id, &fid);
	if (ret == 0 && fid->io_fd < 0)
		ret = -EBADF;
	if (ret)
		return ret;
	return (datasync ? fdatasync(fid->io_fd) : fsync(fid->io_fd)) ? -errno : 0;
}

/* --- folders --- */

struct p9_dirent {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

/* Appends an entry to the reply. False when it has no room there. */
static bool p9_put_entry(struct p9_call *c, uint64_t dev, uint64_t ino,
			 const struct p9_dirent *entry)
{
	struct p9_qid qid;

	if (p9_room(&c->out) < P9_QID_SIZE + 8 + 1 + 2 + strlen(entry->d_name))
		return false;
	if (!p9_share_entry_qid(&c->srv->share, dev, ino, entry->d_type, &qid))
		return false;
	p9_put(&c->out, "Qqbs", &qid, (uint64_t)entry->d_off, (unsigned int)entry->d_type,
	       entry->d_name);
	return true;
}

/* Bytes of entries read from position `off` on into the scratch buffer. */
static long p9_read_entries(struct p9_call *c, struct p9_fid *fid, uint64_t off, size_t len)
{
	long n = -1;

	pthread_mutex_lock(&fid->lock);
	if (lseek(fid->io_fd, off, SEEK_SET) >= 0)
		n = syscall(SYS_getdents64, fid->io_fd, c->req->scratch, len);
	n = n < 0 ? -errno : n;
	pthread_mutex_unlock(&fid->lock);
	return n;
}

int p9_do_readdir(struct p9_call *c)
{
	uint32_t id, len, room = MIN(c->req->in_len, atomic_load(&c->srv->msize));
	struct stat dir, root;
	struct p9_fid *fid;
	uint8_t *count = c->out.at;
	uint64_t off, ino;
	bool at_root;
	long n, at = 0;
	int ret = p9_parse(&c->in, "dqd", &id, &off, &len);

	if (ret == 0)
		ret = p9_call_file(c, id, &fid);
	if (ret == 0 && (fid->io_fd < 0 || fid->node->type != S_IFDIR))
		ret = fid->io_fd < 0 ? -EBADF : -ENOTDIR;
	if (ret == 0 && room < P9_RREAD_HEADER)
		ret = -EMSGSIZE;
	if (ret)
		return ret;
	len = MIN(len, MIN(room, P9_REPLY_SIZE) - P9_RREAD_HEADER);
	if (fstat(fid->io_fd, &dir) || fstat(c->srv->share.root_fd, &root))
		return -errno;
	at_root = dir.st_dev == root.st_dev && dir.st_ino == root.st_ino;
	n = p9_read_entries(c, fid, off, len);
	if (n < 0)
		return n;
	p9_put(&c->out, "d", 0u);
	c->out.end = c->out.at + len;
	while (at < n) {
		const struct p9_dirent *entry = (void *)(c->req->scratch + at);

		/* What is above the root is not to be seen: it is its own parent. */
		ino = at_root && !strcmp(entry->d_name, "..") ? dir.st_ino : entry->d_ino;
		if (!p9_put_entry(c, dir.st_dev, ino, entry))
			break;
		at += entry->d_reclen;
	}
	/* Nothing would be the end of the folder. */
	if (n && !at)
		return -EINVAL;
	le_store(count, 4, c->out.at - count - 4);
	return 0;
}

/* --- record locks --- */

#define P9_LOCK_SUCCESS 0
#define P9_LOCK_BLOCKED 1
#define P9_LOCK_ERROR	2

#define P9_RDLCK 0
#define P9_WRLCK 1
#define P9_UNLCK 2

/*
 * The guest's kernel has settled what its own processes contend for before it asks; what the host
 * adds is the other users of the share. So a lock is one of the fid's open file description, which
 * goes with the fid. It hangs on a description of its own, as locking for writing takes one that
 * is open for that, whatever the client's is.
 */
static int p9_lock_fd(struct p9_call *c, struct p9_fid *fid)
{
	bool readonly = c->srv->share.params->readonly;
	int fd;

	pthread_mutex_lock(&fid->lock);
	if (fid->lock_fd < 0) {
		fd = readonly ? -EROFS : p9_reopen(fid->node->fd, O_RDWR);
		fid->lock_fd = fd < 0 ? p9_reopen(fid->node->fd, O_RDONLY) : fd;
	}
	fd = fid->lock_fd;
	pthread_mutex_unlock(&fid->lock);
	return fd;
}

static int p9_lock_range(struct flock *lock, uint8_t type, uint64_t start, uint64_t len)
{
	static const short types[] = {
		[P9_RDLCK] = F_RDLCK, [P9_WRLCK] = F_WRLCK, [P9_UNLCK] = F_UNLCK};

	if (type >= ARRAY_SIZE(types) || start > INT64_MAX || len > INT64_MAX - start)
		return -EINVAL;
	*lock = (struct flock){
		.l_type = types[type], .l_whence = SEEK_SET, .l_start = start, .l_len = len};
	return 0;
}

/* Never waits: the client asks again. */
int p9_do_lock(struct p9_call *c)
{
	uint32_t id, flags, proc;
	struct p9_fid *fid;
	struct flock lock;
	uint64_t start, len;
	uint8_t type, status = P9_LOCK_SUCCESS;
	char *client;
	int ret = p9_parse(&c->in, "dbdqqds", &id, &type, &flags, &start, &len, &proc, &client);
	int fd;

	if (ret == 0)
		ret = p9_call_file(c, id, &fid);
	if (ret == 0)
		ret = p9_lock_range(&lock, type, start, len);
	if (ret == 0 && fid->io_fd < 0)
		ret = -EBADF;
	if (ret)
		return ret;
	fd = p9_lock_fd(c, fid);
	if (fd < 0)
		return fd;
	if (fcntl(fd, F_OFD_SETLK, &lock)) {
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
		status = P9_LOCK_BLOCKED;
	}
	p9_put(&c->out, "b", (unsigned int)status);
	return 0;
}

int p9_do_getlock(struct p9_call *c)
{
	struct p9_fid *fid;
	struct flock lock;
	uint32_t id, proc;
	uint64_t start, len;
	uint8_t type;
	char *client;
	int ret = p9_parse(&c->in, "dbqqds", &id, &type, &start, &len, &proc, &client), fd;

	if (ret == 0)
		ret = p9_call_file(c, id, &fid);
	if (ret == 0)
		ret = p9_lock_range(&lock, type, start, len);
	if (ret == 0 && fid->io_fd < 0)
		ret = -EINVAL;
	if (ret)
		return ret;
	/* Linux does not say which lock it would set: all that are in the way of one or the other. */
	if (type == P9_UNLCK)
		lock.l_type = F_WRLCK;
	fd = p9_lock_fd(c, fid);
	if (fd < 0)
		return fd;
	if (fcntl(fd, F_OFD_GETLK, &lock))
		return -errno;
	type = lock.l_type == F_UNLCK ? P9_UNLCK : lock.l_type == F_RDLCK ? P9_RDLCK : P9_WRLCK;
	p9_put(&c->out, "bqqds", (unsigned int)type, (uint64_t)lock.l_start, (uint64_t)lock.l_len,
	       proc, client);
	return 0;
}
