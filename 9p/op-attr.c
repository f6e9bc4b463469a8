// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests about attributes, plain and extended, and the end of fids. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "9p/server.h"
#include "kvm/util.h"

#define P9_STATS_BASIC 0x7ffull
#define P9_FS_MAGIC    0x01021997 /* what statfs(2) says of 9P */

#define P9_ATTR_MODE	  0x001
#define P9_ATTR_UID	  0x002
#define P9_ATTR_GID	  0x004
#define P9_ATTR_SIZE	  0x008
#define P9_ATTR_ATIME	  0x010
#define P9_ATTR_MTIME	  0x020
#define P9_ATTR_CTIME	  0x040
#define P9_ATTR_ATIME_SET 0x080
#define P9_ATTR_MTIME_SET 0x100

int p9_do_getattr(struct p9_call *c)
{
	struct p9_share *share = &c->srv->share;
	struct p9_fid *fid;
	struct p9_qid qid;
	struct stat st;
	uint64_t mask;
	uint32_t id;
	int ret = p9_parse(&c->in, "dq", &id, &mask);

	if (ret == 0)
		ret = p9_call_file(c, id, &fid);
	if (ret)
		return ret;
	if (fstat(fid->node->fd, &st))
		return -errno;
	if (!p9_share_qid(share, &st, &qid))
		return -ENOMEM;
	p9_put(&c->out, "qQdddqqqqq", (uint64_t)P9_STATS_BASIC, &qid, (uint32_t)st.st_mode,
	       p9_share_uid(share, st.st_uid), p9_share_gid(share, st.st_gid),
	       (uint64_t)st.st_nlink, (uint64_t)st.st_rdev, (uint64_t)st.st_size,
	       (uint64_t)st.st_blksize, (uint64_t)st.st_blocks);
	p9_put(&c->out, "qqqqqq", (uint64_t)st.st_atim.tv_sec, (uint64_t)st.st_atim.tv_nsec,
	       (uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec,
	       (uint64_t)st.st_ctim.tv_sec, (uint64_t)st.st_ctim.tv_nsec);
	/* Time of birth, generation and data version are not among the basic ones. */
	p9_put(&c->out, "qqqq", UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0));
	return 0;
}

struct p9_attrs {
	uint32_t valid, mode, uid, gid;
	uint64_t size, atime, atime_ns, mtime, mtime_ns;
};

static int p9_set_size(const struct p9_fid *fid, uint64_t size)
{
	char path[P9_FD_PATH];

	if (fid->node->type != S_IFREG)
		return fid->node->type == S_IFDIR ? -EISDIR : -EINVAL;
	/* An open file may be writable though its mode is not, by now. */
	if (fid->io_fd >= 0 && ftruncate(fid->io_fd, size) == 0)
		return 0;
	return truncate(p9_fd_path(fid->node->fd, path), size) ? -errno : 0;
}

static struct timespec p9_time(uint32_t valid, uint32_t bit, uint32_t set_bit, uint64_t sec,
			       uint64_t ns)
{
	if (!(valid & bit))
		return (struct timespec){.tv_nsec = UTIME_OMIT};
	if (!(valid & set_bit))
		return (struct timespec){.tv_nsec = UTIME_NOW};
	return (struct timespec){.tv_sec = sec, .tv_nsec = ns};
}

static int p9_set_times(const struct p9_fid *fid, const struct p9_attrs *a)
{
	const struct timespec times[] = {
		p9_time(a->valid, P9_ATTR_ATIME, P9_ATTR_ATIME_SET, a->atime, a->atime_ns),
		p9_time(a->valid, P9_ATTR_MTIME, P9_ATTR_MTIME_SET, a->mtime, a->mtime_ns),
	};
	char path[P9_FD_PATH];

	if ((a->valid & P9_ATTR_ATIME_SET && a->atime_ns > 999999999) ||
	    (a->valid & P9_ATTR_MTIME_SET && a->mtime_ns > 999999999))
		return -EINVAL;
	return utimensat(AT_FDCWD, p9_fd_path(fid->node->fd, path), times, 0) ? -errno : 0;
}

/* Owner first, as changing it clears set-id bits; times last, as truncation changes them. */
static int p9_set_attrs(struct p9_call *c, const struct p9_fid *fid, const struct p9_attrs *a)
{
	const struct p9_share *share = &c->srv->share;
	char path[P9_FD_PATH];
	int ret = 0;

	if (a->valid & (P9_ATTR_UID | P9_ATTR_GID | P9_ATTR_CTIME))
		ret = p9_share_chown(share, fid->node->fd,
				     a->valid & P9_ATTR_UID ? a->uid : UINT32_MAX,
				     a->valid & P9_ATTR_GID ? a->gid : UINT32_MAX);
	if (ret == 0 && a->valid & P9_ATTR_MODE &&
	    chmod(p9_fd_path(fid->node->fd, path),
		  p9_share_mode(share, a->mode, fid->node->type == S_IFDIR)))
		ret = -errno;
	if (ret == 0 && a->valid & P9_ATTR_SIZE)
		ret = p9_set_size(fid, a->size);
	if (ret == 0 && a->valid & (P9_ATTR_ATIME | P9_ATTR_MTIME))
		ret = p9_set_times(fid, a);
	return ret;
}

int p9_do_setattr(struct p9_call *c)
{
	struct p9_attrs a;
	struct p9_fid *fid;
	uint32_t id;
	int ret = p9_parse(&c->in, "dddddqqqqq", &id, &a.valid, &a.mode, &a.uid, &a.gid, &a.size,
			   &a.atime, &a.atime_ns, &a.mtime, &a.mtime_ns);

	if (ret == 0)
		ret = p9_call_file(c, id, &fid);
	return ret ? ret : p9_set_attrs(c, fid, &a);
}

int p9_do_statfs(struct p9_call *c)
{
	struct p9_fid *fid;
	struct statfs fs;
	uint64_t fsid;
	uint32_t id;
	int ret = p9_parse(&c->in, "d", &id);

	if (ret == 0)
		ret = p9_call_file(c, id, &fid);
	if (ret)
		return ret;
	if (fstatfs(fid->node->fd, &fs))
		return -errno;
	memcpy(&fsid, &fs.f_fsid, sizeof(fsid));
	p9_put(&c->out, "ddqqqqqqd", P9_FS_MAGIC, (uint32_t)fs.f_bsize, (uint64_t)fs.f_blocks,
	       (uint64_t)fs.f_bfree, (uint64_t)fs.f_bavail, (uint64_t)fs.f_files,
	       (uint64_t)fs.f_ffree, fsid, (uint32_t)fs.f_namelen);
	return 0;
}

/* --- extended attributes --- */

/* Reads the value, or the list of names if `name` is empty: bytes or a negative errno. */
static ssize_t p9_xattr_load(int fd, const char *name, uint8_t buf[P9_REPLY_SIZE])
{
	char path[P9_FD_PATH];
	ssize_t len;

	p9_fd_path(fd, path);
	len = *name ? getxattr(path, name, buf, P9_REPLY_SIZE)
		    : listxattr(path, (char *)buf, P9_REPLY_SIZE);
	return len < 0 ? -errno : len;
}

int p9_do_xattrwalk(struct p9_call *c)
{
	struct p9_fid *file, *fid;
	uint32_t id, new_id;
	ssize_t len;
	char *name;
	int ret = p9_parse(&c->in, "dds", &id, &new_id, &name);

	if (ret == 0)
		ret = p9_call_file(c, id, &file);
	if (ret)
		return ret;
	len = p9_xattr_load(file->node->fd, name, c->req->scratch);
	if (len < 0)
		return len;
	fid = p9_fid_create(file->node, file->uid);
	if (fid)
		fid->xattr = p9_xattr_create(&c->srv->nr_xattrs, len);
	if (!fid || !fid->xattr) {
		p9_fid_put(fid);
		return -ENOMEM;
	}
	memcpy(fid->xattr->value, c->req->scratch, len);
	ret = p9_fids_set(&c->srv->fids, new_id, new_id == id ? file : NULL, fid);
	if (ret == 0)
		p9_put(&c->out, "q", (uint64_t)len);
	return ret;
}

/* A mapped share keeps to what any user may set: other spaces are the host's own. */
static int p9_xattr_check_name(const struct p9_share *share, const char *name)
{
	if (!*name || strlen(name) >= sizeof(((struct p9_xattr *)NULL)->name))
		return -ERANGE;
	if (share->params->mapped && strncmp(name, "user.", 5) &&
	    strncmp(name, "system.posix_acl_", 17))
		return -EOPNOTSUPP;
	return 0;
}

/*
 * The fid becomes the attribute's; what is written to it is set when the fid is clunked. Linux
 * removes an attribute by setting it to nothing with XATTR_REPLACE.
 */
int p9_do_xattrcreate(struct p9_call *c)
{
	uint32_t id, flags;
	struct p9_fid *file, *fid;
	uint64_t len;
	char *name;
	int ret = p9_parse(&c->in, "dsqd", &id, &name, &len, &flags);

	if (ret == 0)
		ret = p9_call_file(c, id, &file);
	if (ret == 0 && flags & ~(XATTR_CREATE | XATTR_REPLACE))
		ret = -EINVAL;
	if (ret == 0)
		ret = p9_xattr_check_name(&c->srv->share, name);
	if (ret == 0 && len > XATTR_SIZE_MAX)
		ret = -E2BIG;
	if (ret)
		return ret;
	fid = p9_fid_create(file->node, file->uid);
	if (fid)
		fid->xattr = p9_xattr_create(&c->srv->nr_xattrs, len);
	if (!fid || !fid->xattr) {
		p9_fid_put(fid);
		return -ENOMEM;
	}
	fid->xattr->write = true;
	fid->xattr->remove = !len && flags == XATTR_REPLACE;
	fid->xattr->flags = flags;
	strcpy(fid->xattr->name, name);
	return p9_fids_set(&c->srv->fids, id, file, fid);
}

int p9_xattr_read(struct p9_call *c, struct p9_fid *fid, uint64_t off, uint32_t len)
{
	const struct p9_xattr *xattr = fid->xattr;

	if (xattr->write)
		return -EBADF;
	if (off >= xattr->len)
		return 0;
	return p9_iov_write(c->req->in, c->req->nr_in, P9_RREAD_HEADER, xattr->value + off,
			    MIN(len, xattr->len - off));
}

int p9_xattr_write(struct p9_call *c, struct p9_fid *fid, uint64_t off, uint32_t len)
{
	struct p9_xattr *xattr = fid->xattr;

	if (!xattr->write)
		return -EBADF;
	if (!range_contains(0, xattr->len, off, len))
		return -ENOSPC;
	pthread_mutex_lock(&fid->lock);
	p9_iov_read(c->req->out, c->req->nr_out, P9_TWRITE_HEADER, xattr->value + off, len);
	pthread_mutex_unlock(&fid->lock);
	return len;
}

static int p9_xattr_store(struct p9_fid *fid)
{
	const struct p9_xattr *xattr = fid->xattr;
	char path[P9_FD_PATH];
	int ret;

	p9_fd_path(fid->node->fd, path);
	pthread_mutex_lock(&fid->lock);
	if (xattr->remove)
		ret = removexattr(path, xattr->name);
	else
		ret = setxattr(path, xattr->name, xattr->value, xattr->len, xattr->flags);
	ret = ret ? -errno : 0;
	pthread_mutex_unlock(&fid->lock);
	return ret;
}

int p9_do_clunk(struct p9_call *c)
{
	struct p9_fid *fid;
	uint32_t id;
	int ret = p9_parse(&c->in, "d", &id);

	if (ret)
		return ret;
	fid = p9_fids_remove(&c->srv->fids, id);
	if (!fid)
		return -EBADF;
	c->held[c->nr_held++] = fid;
	return fid->xattr && fid->xattr->write ? p9_xattr_store(fid) : 0;
}
