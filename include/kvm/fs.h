/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_FS_H
#define LKVM_FS_H

#include <stdbool.h>

#include "kvm/transport.h"

/*
 * virtio-fs shares: what --fs says, and virtiofsd, the program that serves them, for those shares
 * where lkvm starts it itself. Knows nothing of VMs.
 */
#define FS_MAX_TAG 36

struct loop;

struct fs_params {
	const char *name; /* "--fs" and what was typed, for messages */
	const char *tag;
	const char *socket; /* of a back end that runs; NULL: virtiofsd is started for dir */
	const char *dir;
	const char *program; /* virtiofsd's; NULL: looked for */
	const char *cache, *sandbox;
	bool no_xattr;
	bool readonly; /* kept by the host's kernel, whatever virtiofsd and the guest do */
	enum transport transport;
};

/*
 * Parses the words of --fs: tag=TAG,socket=PATH or tag=TAG,dir=DIR[,KEY=VALUE..]; a comma in a name
 * is written "\,". params points into `words`, which is written to, and both live as long as the
 * process. -EINVAL after an error line.
 */
int fs_params_parse(struct fs_params *params, char *words);

/*
 * virtiofsd, not yet running; what it prints becomes warnings, by way of the loop, which is the
 * caller's thread's. NULL after one error line when there is no such program or folder. params and
 * the loop must outlive it.
 */
struct virtiofsd;

/* Whether there is such a program on this host. */
bool virtiofsd_is_there(void);
/* Whether it could do all that it does for root: keep owners, and lock itself in. */
bool virtiofsd_may_all(void);
struct virtiofsd *virtiofsd_create(const struct fs_params *params, struct loop *loop);
/*
 * Starts it, ending the one before: a connection to it, non-blocking, or a negative errno after an
 * error line. Any one thread.
 */
int virtiofsd_connect(struct virtiofsd *vfsd);
/* Ends it, at once or within seconds by force; what it had to say is printed. NULL is fine. */
void virtiofsd_destroy(struct virtiofsd *vfsd);

#endif
