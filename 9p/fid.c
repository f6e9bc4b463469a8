// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "9p/server.h"

struct p9_node *p9_node_create(int fd, mode_t type)
{
	struct p9_node *node = malloc(sizeof(*node));

	if (!node) {
		close(fd);
		return NULL;
	}
	atomic_init(&node->refs, 1);
	node->fd = fd;
	node->type = type & S_IFMT;
	return node;
}

struct p9_node *p9_node_get(struct p9_node *node)
{
	atomic_fetch_add(&node->refs, 1);
	return node;
}

void p9_node_put(struct p9_node *node)
{
	if (node && atomic_fetch_sub(&node->refs, 1) == 1) {
		close(node->fd);
		free(node);
	}
}

struct p9_fid *p9_fid_create(struct p9_node *node, uint32_t uid)
{
	struct p9_fid *fid = calloc(1, sizeof(*fid));

	if (!fid)
		return NULL;
	atomic_init(&fid->refs, 1);
	fid->uid = uid;
	fid->node = p9_node_get(node);
	fid->io_fd = fid->lock_fd = -1;
	pthread_mutex_init(&fid->lock, NULL);
	return fid;
}

void p9_fid_put(struct p9_fid *fid)
{
	if (!fid || atomic_fetch_sub(&fid->refs, 1) != 1)
		return;
	if (fid->io_fd >= 0)
		close(fid->io_fd);
	if (fid->lock_fd >= 0)
		close(fid->lock_fd);
	p9_node_put(fid->node);
	pthread_mutex_destroy(&fid->lock);
	p9_xattr_destroy(fid->xattr);
	free(fid);
}

struct p9_xattr *p9_xattr_create(atomic_uint *nr, uint32_t len)
{
	struct p9_xattr *xattr = NULL;

	if (atomic_fetch_add(nr, 1) < P9_MAX_XATTRS)
		xattr = calloc(1, sizeof(*xattr) + len);
	if (!xattr) {
		atomic_fetch_sub(nr, 1);
		return NULL;
	}
	xattr->nr = nr;
	xattr->len = len;
	return xattr;
}

void p9_xattr_destroy(struct p9_xattr *xattr)
{
	if (xattr)
		atomic_fetch_sub(xattr->nr, 1);
	free(xattr);
}

/* --- the table --- */

static struct p9_fid **p9_fids_find(struct p9_fids *fids, uint32_t id)
{
	struct p9_fid **link = &fids->bucket[id * 2654435761u >> 18 & (P9_FID_BUCKETS - 1)];

	while (*link && (*link)->id != id)
		link = &(*link)->next;
	return link;
}

void p9_fids_init(struct p9_fids *fids, unsigned int max)
{
	fids->max = max;
	pthread_mutex_init(&fids->lock, NULL);
}

/* The references are dropped without the lock: closing a file may take its time. */
void p9_fids_clear(struct p9_fids *fids)
{
	struct p9_fid *all = NULL, *fid;

	pthread_mutex_lock(&fids->lock);
	for (unsigned int i = 0; i < P9_FID_BUCKETS; i++) {
		while ((fid = fids->bucket[i])) {
			fids->bucket[i] = fid->next;
			fid->next = all;
			all = fid;
		}
	}
	fids->nr = 0;
	pthread_mutex_unlock(&fids->lock);
	while ((fid = all)) {
		all = fid->next;
		p9_fid_put(fid);
	}
}

struct p9_fid *p9_fids_get(struct p9_fids *fids, uint32_t id)
{
	struct p9_fid *fid;

	pthread_mutex_lock(&fids->lock);
	fid = *p9_fids_find(fids, id);
	if (fid)
		atomic_fetch_add(&fid->refs, 1);
	pthread_mutex_unlock(&fids->lock);
	return fid;
}

int p9_fids_set(struct p9_fids *fids, uint32_t id, const struct p9_fid *old, struct p9_fid *fid)
{
	struct p9_fid **link, *gone = fid;
	int ret = 0;

	pthread_mutex_lock(&fids->lock);
	link = p9_fids_find(fids, id);
	if (*link != old || id == P9_NOFID) {
		ret = -EBADF;
	} else if (!old && fids->nr >= fids->max) {
		ret = -ENFILE;
	} else {
		gone = *link;
		fids->nr += !gone;
		fid->id = id;
		fid->next = gone ? gone->next : NULL;
		*link = fid;
	}
	pthread_mutex_unlock(&fids->lock);
	p9_fid_put(gone);
	return ret;
}

struct p9_fid *p9_fids_remove(struct p9_fids *fids, uint32_t id)
{
	struct p9_fid **link, *fid;

	pthread_mutex_lock(&fids->lock);
	link = p9_fids_find(fids, id);
	fid = *link;
	if (fid) {
		*link = fid->next;
		fids->nr--;
	}
	pthread_mutex_unlock(&fids->lock);
	return fid;
}
