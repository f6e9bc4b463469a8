// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The folder that is shared: how to reach what is in it without ever leaving it, and what of it
 * the guest gets to see as ids.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "9p/server.h"
#include "kvm/log.h"
#include "kvm/util.h"

/* A qid's path: this many bits are the inode number's lower ones, above them a prefix's index. */
#define P9_INO_BITS 40

int p9_open_beneath(int dirfd, const char *path, uint64_t flags, uint32_t mode)
{
	const struct open_how how = {
		.flags = flags | O_NOFOLLOW | O_CLOEXEC,
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	int fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

const char *p9_fd_path(int fd, char path[P9_FD_PATH])
{
	snprintf(path, P9_FD_PATH, "/proc/self/fd/%d", fd);
	return path;
}

/* The path is a magic link to the very object that was judged, so nothing can come in between. */
int p9_reopen(int fd, int flags)
{
	char path[P9_FD_PATH];
	int ret = open(p9_fd_path(fd, path), flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	return ret < 0 ? -errno : ret;
}

unsigned int p9_share_max_fids(void)
{
	struct rlimit limit, more = {4 * P9_MAX_FIDS, 4 * P9_MAX_FIDS};

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	/* Only root may raise the hard limit. */
	if (limit.rlim_max < more.rlim_max && setrlimit(RLIMIT_NOFILE, &more))
		more.rlim_max = limit.rlim_max;
	more.rlim_cur = more.rlim_max = MAX(more.rlim_max, limit.rlim_max);
	if (setrlimit(RLIMIT_NOFILE, &more))
		more = limit;
	return MIN(more.rlim_cur / 4, P9_MAX_FIDS);
}

int p9_share_open(struct p9_share *share, const struct p9_params *params)
{
	int ret;

	*share = (struct p9_share){
		.params = params, .root_fd = -1, .host_uid = geteuid(), .host_gid = getegid()};
	if (!params->mapped && share->host_uid) {
		log_error("--9p %s: security=passthrough needs root", params->path);
		return -EPERM;
	}
	share->root_fd = open(params->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (share->root_fd < 0) {
		ret = -errno;
		log_error("--9p %s: %m", params->path);
		return ret;
	}
	ret = p9_open_beneath(share->root_fd, ".", O_RDONLY | O_DIRECTORY, 0);
	if (ret < 0) {
		log_error("--9p %s: %s", params->path,
			  ret == -ENOSYS ? "this host's kernel has no openat2 (Linux 5.6)"
					 : strerror(-ret));
		close(share->root_fd);
		return ret;
	}
	close(ret);
	pthread_mutex_init(&share->prefix_lock, NULL);
	return 0;
}

void p9_share_close(struct p9_share *share)
{
	close(share->root_fd);
	free(share->prefix);
	pthread_mutex_destroy(&share->prefix_lock);
}

/* --- names --- */

static int p9_same_object(int a, int b)
{
	struct stat sa, sb;

	if (fstat(a, &sa) || fstat(b, &sb))
		return -errno;
	return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static int p9_host_path(int fd, char path[PATH_MAX])
{
	char link[P9_FD_PATH];
	ssize_t len = readlink(p9_fd_path(fd, link), path, PATH_MAX);

	if (len < 0)
		return -errno;
	if (len == PATH_MAX)
		return -ENAMETOOLONG;
	path[len] = '\0';
	return len;
}

/*
 * The kernel tells us the path; since that may be out of date, or a lie (a name can end in
 * " (deleted)"), it is looked up anew and believed only if it leads to the same object.
 */
int p9_share_parent(const struct p9_share *share, int fd, char name[NAME_MAX + 1])
{
	char path[PATH_MAX], root[PATH_MAX], *below = path, *slash;
	int ret = p9_host_path(fd, path), root_len = p9_host_path(share->root_fd, root);
	int dirfd, again;

	if (ret < 0 || root_len < 0)
		return MIN(ret, root_len);
	if (p9_same_object(fd, share->root_fd) != 0)
		return -EBUSY;
	/* The host's "/" ends in a slash, other roots do not. */
	if (root_len > 1) {
		if (strncmp(path, root, root_len) || path[root_len] != '/')
			return -ENOENT;
		below += root_len;
	}
	slash = strrchr(below, '/');
	if (!slash || strlen(slash + 1) > NAME_MAX)
		return -ENOENT;
	strcpy(name, slash + 1);
	*slash = '\0';
	dirfd = p9_open_beneath(share->root_fd, slash > below ? below + 1 : ".",
				O_PATH | O_DIRECTORY, 0);
	if (dirfd < 0)
		return dirfd;
	again = p9_open_beneath(dirfd, name, O_PATH, 0);
	ret = again < 0 ? again : p9_same_object(fd, again);
	if (again >= 0)
		close(again);
	if (ret == 1)
		return dirfd;
	close(dirfd);
	return ret < 0 ? ret : -ENOENT;
}

/* --- qids --- */

static uint32_t p9_prefix_slot(const struct p9_share *share, uint64_t dev, uint32_t ino_high)
{
	uint64_t hash = (dev ^ (uint64_t)ino_high << 32) * 0x9e3779b97f4a7c15ULL;
	uint32_t at = hash >> 32 & (share->prefix_size - 1);

	while (share->prefix[at].index &&
	       (share->prefix[at].dev != dev || share->prefix[at].ino_high != ino_high))
		at = (at + 1) & (share->prefix_size - 1);
	return at;
}

/* Keeps the table at most half full. */
static bool p9_prefix_grow(struct p9_share *share)
{
	struct p9_prefix *old = share->prefix;
	uint32_t old_size = share->prefix_size;

	if (2 * (share->nr_prefixes + 1) <= old_size)
		return true;
	share->prefix_size = old_size ? 2 * old_size : 16;
	share->prefix = calloc(share->prefix_size, sizeof(*share->prefix));
	if (!share->prefix) {
		share->prefix = old;
		share->prefix_size = old_size;
		return false;
	}
	for (uint32_t i = 0; i < old_size; i++)
		if (old[i].index)
			share->prefix[p9_prefix_slot(share, old[i].dev, old[i].ino_high)] = old[i];
	free(old);
	return true;
}

/*
 * A qid's path identifies a file for the client, yet 64 bits have to hold a device and an inode
 * number. Inode numbers are rarely above 40 bits, so a device takes one prefix; one whose numbers
 * are hashes of 64 bits takes at most 2^24, which is how many there are: nothing collides.
 */
static bool p9_share_path(struct p9_share *share, uint64_t dev, uint64_t ino, uint64_t *path)
{
	uint32_t high = ino >> P9_INO_BITS;
	struct p9_prefix *prefix;
	bool ok = false;

	pthread_mutex_lock(&share->prefix_lock);
	if (p9_prefix_grow(share)) {
		prefix = &share->prefix[p9_prefix_slot(share, dev, high)];
		if (!prefix->index && share->nr_prefixes < (1u << (64 - P9_INO_BITS)))
			*prefix = (struct p9_prefix){dev, high, ++share->nr_prefixes};
		ok = prefix->index;
		*path = (uint64_t)(prefix->index - 1) << P9_INO_BITS;
		*path |= ino & ((1ULL << P9_INO_BITS) - 1);
	}
	pthread_mutex_unlock(&share->prefix_lock);
	return ok;
}

bool p9_share_entry_qid(struct p9_share *share, uint64_t dev, uint64_t ino, unsigned char d_type,
			struct p9_qid *qid)
{
	*qid = (struct p9_qid){.type = d_type == DT_DIR	  ? P9_QT_DIR
				       : d_type == DT_LNK ? P9_QT_SYMLINK
							  : 0};
	return p9_share_path(share, dev, ino, &qid->path);
}

bool p9_share_qid(struct p9_share *share, const struct stat *st, struct p9_qid *qid)
{
	/* The version changes with the content, and is not 0: that tells Linux not to cache. */
	uint64_t version = (uint64_t)st->st_mtim.tv_sec * 1000000007 + st->st_mtim.tv_nsec;

	if (!p9_share_entry_qid(share, st->st_dev, st->st_ino, IFTODT(st->st_mode), qid))
		return false;
	version ^= (uint64_t)st->st_size << 8;
	qid->version = version ^ version >> 32;
	if (!qid->version)
		qid->version = 1;
	return true;
}

/* --- ids --- */

uint32_t p9_share_uid(const struct p9_share *share, uint32_t host_uid)
{
	return share->params->mapped && host_uid == share->host_uid ? share->params->uid : host_uid;
}

uint32_t p9_share_gid(const struct p9_share *share, uint32_t host_gid)
{
	return share->params->mapped && host_gid == share->host_gid ? share->params->gid : host_gid;
}

uint32_t p9_share_mode(const struct p9_share *share, uint32_t mode, bool dir)
{
	uint32_t dropped = !share->params->mapped ? 0 : dir ? S_ISUID : S_ISUID | S_ISGID;

	return mode & 07777 & ~dropped;
}

int p9_share_chown(const struct p9_share *share, int fd, uint32_t uid, uint32_t gid)
{
	struct stat st;

	if (share->params->mapped) {
		/* There is one owner for all: a change to what is shown already is none. */
		if (fstat(fd, &st))
			return -errno;
		if (uid != UINT32_MAX && uid != p9_share_uid(share, st.st_uid))
			return -EPERM;
		if (gid != UINT32_MAX && gid != p9_share_gid(share, st.st_gid))
			return -EPERM;
		uid = gid = UINT32_MAX;
	}
	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) ? -errno : 0;
}

/*
 * A thread's file system ids are its own. Taking another uid drops capabilities that the guest's
 * own kernel may have counted on when it let this through: they are taken back.
 */
int p9_owner_enter(const struct p9_share *share, uint32_t uid, uint32_t gid)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];

	if (share->params->mapped || (uid == share->host_uid && gid == share->host_gid))
		return 0;
	if (syscall(SYS_capget, &header, caps))
		return -errno;
	setfsgid(gid);
	setfsuid(uid);
	/* They tell the id that is in force, whatever became of the call. */
	if ((uint32_t)setfsgid(gid) == gid && (uint32_t)setfsuid(uid) == uid &&
	    syscall(SYS_capset, &header, caps) == 0)
		return 0;
	p9_owner_leave(share);
	return -EPERM;
}

void p9_owner_leave(const struct p9_share *share)
{
	if (share->params->mapped)
		return;
	setfsuid(share->host_uid);
	setfsgid(share->host_gid);
}
