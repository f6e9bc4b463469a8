// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests about names: walking, making, renaming and removing folder entries. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "9p/server.h"
#include "kvm/util.h"

#define P9_AT_REMOVEDIR 0x200

/* --- walk --- */

/* One step. ".." leads to where the folder is now, but never above the root. */
static int p9_walk_step(struct p9_call *c, const struct p9_node *from, const char *name,
			struct p9_node **to, struct p9_qid *qid)
{
	char own_name[NAME_MAX + 1];
	int ret, dirfd;

	if (from->type != S_IFDIR)
		return -ENOTDIR;
	if (strcmp(name, "..")) {
		ret = p9_check_name(name);
		return ret ? ret : p9_call_lookup(c, from->fd, name, to, qid);
	}
	dirfd = p9_share_parent(&c->srv->share, from->fd, own_name);
	if (dirfd == -EBUSY)
		return p9_call_lookup(c, from->fd, ".", to, qid);
	if (dirfd < 0)
		return dirfd;
	ret = p9_call_lookup(c, dirfd, ".", to, qid);
	close(dirfd);
	return ret;
}

/* Walks as far as it goes: the number of steps done, their qids in qids[], *node the last. */
static int p9_walk_steps(struct p9_call *c, unsigned int nr, struct p9_node **node,
			 struct p9_qid *qids)
{
	for (unsigned int i = 0; i < nr; i++) {
		struct p9_node *to;
		char *name;
		int ret = p9_parse(&c->in, "s+", &name);

		if (ret == 0)
			ret = p9_walk_step(c, *node, name, &to, &qids[i]);
		/* Only a first step that fails is an error (Plan 9 manual, walk(5)). */
		if (ret)
			return i && ret != -EBADMSG ? (int)i : ret;
		p9_node_put(*node);
		*node = to;
	}
	return nr;
}

int p9_do_walk(struct p9_call *c)
{
	struct p9_qid qids[P9_MAX_WELEM];
	struct p9_fid *from, *fid;
	struct p9_node *node;
	uint32_t id, new_id;
	uint16_t nr;
	int ret = p9_parse(&c->in, "ddw+", &id, &new_id, &nr), done;

	if (ret == 0 && nr > P9_MAX_WELEM)
		ret = -EINVAL;
	if (ret == 0)
		ret = p9_call_file(c, id, &from);
	if (ret)
		return ret;
	node = p9_node_get(from->node);
	done = p9_walk_steps(c, nr, &node, qids);
	ret = done == nr ? p9_parse(&c->in, "") : MIN(done, 0);
	if (done == nr && ret == 0) {
		fid = p9_fid_create(node, from->uid);
		ret = fid ? p9_fids_set(&c->srv->fids, new_id, new_id == id ? from : NULL, fid)
			  : -ENOMEM;
	}
	p9_node_put(node);
	if (ret)
		return ret;
	p9_put(&c->out, "w", (unsigned int)done);
	for (int i = 0; i < done; i++)
		p9_put(&c->out, "Q", &qids[i]);
	return 0;
}

/* --- making --- */

/* What every request that makes something has in common. */
struct p9_new {
	const char *name, *target;
	mode_t mode;
	dev_t dev;
};

static int p9_new_dir(int dirfd, const struct p9_new *new)
{
	return mkdirat(dirfd, new->name, new->mode);
}

static int p9_new_node(int dirfd, const struct p9_new *new)
{
	return mknodat(dirfd, new->name, new->mode, 0);
}

static int p9_new_symlink(int dirfd, const struct p9_new *new)
{
	return symlinkat(new->target, dirfd, new->name);
}

/* Makes it as the fid's user and answers with its qid. */
static int p9_make(struct p9_call *c, uint32_t dir_id, uint32_t gid, const struct p9_new *new,
		   int (*make)(int dirfd, const struct p9_new *new))
{
	struct p9_share *share = &c->srv->share;
	struct p9_node *node;
	struct p9_fid *dir;
	struct p9_qid qid;
	int ret = p9_call_file(c, dir_id, &dir);

	if (ret == 0)
		ret = p9_owner_enter(share, dir->uid, gid);
	if (ret)
		return ret;
	ret = make(dir->node->fd, new) ? -errno : 0;
	p9_owner_leave(share);
	if (ret == 0)
		ret = p9_call_lookup(c, dir->node->fd, new->name, &node, &qid);
	if (ret)
		return ret;
	p9_node_put(node);
	p9_put(&c->out, "Q", &qid);
	return 0;
}

int p9_do_mkdir(struct p9_call *c)
{
	struct p9_new new = {0};
	uint32_t dir, mode, gid;
	int ret = p9_parse(&c->in, "dndd", &dir, &new.name, &mode, &gid);

	if (ret)
		return ret;
	new.mode = p9_share_mode(&c->srv->share, mode, true);
	return p9_make(c, dir, gid, &new, p9_new_dir);
}

int p9_do_symlink(struct p9_call *c)
{
	struct p9_new new = {0};
	uint32_t dir, gid;
	int ret = p9_parse(&c->in, "dnsd", &dir, &new.name, &new.target, &gid);

	return ret ? ret : p9_make(c, dir, gid, &new, p9_new_symlink);
}

/* Devices of the host are no business of a guest, and neither are their numbers. */
int p9_do_mknod(struct p9_call *c)
{
	struct p9_new new = {0};
	uint32_t dir, mode, major, minor, gid;
	int ret = p9_parse(&c->in, "dndddd", &dir, &new.name, &mode, &major, &minor, &gid);

	if (ret)
		return ret;
	switch (mode & S_IFMT) {
	case S_IFCHR:
	case S_IFBLK:
		return -EPERM;
	case 0:
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		new.mode = (mode & S_IFMT) | p9_share_mode(&c->srv->share, mode, false);
		return p9_make(c, dir, gid, &new, p9_new_node);
	default:
		return -EINVAL;
	}
}

int p9_do_link(struct p9_call *c)
{
	char path[P9_FD_PATH], *name;
	struct p9_fid *dir, *fid;
	uint32_t dir_id, id;
	int ret = p9_parse(&c->in, "ddn", &dir_id, &id, &name);

	if (ret == 0)
		ret = p9_call_file(c, dir_id, &dir);
	if (ret == 0)
		ret = p9_call_file(c, id, &fid);
	if (ret)
		return ret;
	/* Follows the magic link to what the fid is, which may be a symbolic link itself. */
	if (linkat(AT_FDCWD, p9_fd_path(fid->node->fd, path), dir->node->fd, name,
		   AT_SYMLINK_FOLLOW))
		return -errno;
	return 0;
}

/* --- renaming and removing --- */

int p9_do_renameat(struct p9_call *c)
{
	struct p9_fid *from, *to;
	uint32_t from_id, to_id;
	char *old, *new;
	int ret = p9_parse(&c->in, "dndn", &from_id, &old, &to_id, &new);

	if (ret == 0)
		ret = p9_call_file(c, from_id, &from);
	if (ret == 0)
		ret = p9_call_file(c, to_id, &to);
	if (ret)
		return ret;
	return renameat(from->node->fd, old, to->node->fd, new) ? -errno : 0;
}

int p9_do_rename(struct p9_call *c)
{
	char old[NAME_MAX + 1], *new;
	struct p9_fid *fid, *dir;
	uint32_t id, dir_id;
	int ret = p9_parse(&c->in, "ddn", &id, &dir_id, &new), dirfd;

	if (ret == 0)
		ret = p9_call_file(c, id, &fid);
	if (ret == 0)
		ret = p9_call_file(c, dir_id, &dir);
	if (ret)
		return ret;
	dirfd = p9_share_parent(&c->srv->share, fid->node->fd, old);
	if (dirfd < 0)
		return dirfd;
	ret = renameat(dirfd, old, dir->node->fd, new) ? -errno : 0;
	close(dirfd);
	return ret;
}

int p9_do_unlinkat(struct p9_call *c)
{
	struct p9_fid *dir;
	uint32_t id, flags;
	char *name;
	int ret = p9_parse(&c->in, "dnd", &id, &name, &flags);

	if (ret == 0 && flags & ~P9_AT_REMOVEDIR)
		ret = -EINVAL;
	if (ret == 0)
		ret = p9_call_file(c, id, &dir);
	if (ret)
		return ret;
	return unlinkat(dir->node->fd, name, flags ? AT_REMOVEDIR : 0) ? -errno : 0;
}

/* Removes what the fid is by the name that it has now; the fid goes in any case. */
int p9_do_remove(struct p9_call *c)
{
	struct p9_server *srv = c->srv;
	char name[NAME_MAX + 1];
	struct p9_fid *fid;
	uint32_t id;
	int ret = p9_parse(&c->in, "d", &id), dirfd;

	if (ret)
		return ret;
	fid = p9_fids_remove(&srv->fids, id);
	if (!fid)
		return -EBADF;
	c->held[c->nr_held++] = fid;
	if (srv->share.params->readonly)
		return -EROFS;
	if (fid->xattr)
		return -EBADF;
	dirfd = p9_share_parent(&srv->share, fid->node->fd, name);
	if (dirfd < 0)
		return dirfd;
	ret = unlinkat(dirfd, name, fid->node->type == S_IFDIR ? AT_REMOVEDIR : 0) ? -errno : 0;
	close(dirfd);
	return ret;
}

int p9_do_readlink(struct p9_call *c)
{
	char target[PATH_MAX];
	struct p9_fid *fid;
	ssize_t len;
	uint32_t id;
	int ret = p9_parse(&c->in, "d", &id);

	if (ret == 0)
		ret = p9_call_file(c, id, &fid);
	if (ret)
		return ret;
	if (fid->node->type != S_IFLNK)
		return -EINVAL;
	len = readlinkat(fid->node->fd, "", target, sizeof(target) - 1);
	if (len < 0)
		return -errno;
	target[len] = '\0';
	p9_put(&c->out, "s", target);
	return 0;
}
