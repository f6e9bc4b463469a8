/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_9P_H
#define LKVM_9P_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

/*
 * A server of 9P2000.L that shows one folder of the host to a guest. It knows nothing of virtio:
 * a request is bytes in, bytes out.
 *
 * Nothing outside the folder can be reached: a fid is a file descriptor (O_PATH), a name is one
 * component and is looked up in such a descriptor by openat2() without following symbolic links;
 * links are the guest's to follow. Device nodes are neither made nor opened. The guest's kernel
 * decides which of its users may do what; the host grants it what lkvm's user may do.
 *
 * Ids: `passthrough` (root only) shows the host's and creates with the guest's. `mapped` does
 * everything as lkvm's user: what belongs to him appears as uid:gid in the guest, and set-id bits
 * are dropped, as they would lend his rights to others.
 */
#define P9_MAX_TAG 32

struct p9_params {
	const char *path, *tag;
	bool readonly;
	bool mapped;
	uint32_t uid, gid; /* in the guest, for what is lkvm's user's; mapped only */
};

#define P9_DEFAULT_TAG "kvm_9p"

/*
 * Parses the words of `--9p`: DIR[,TAG][,tag=TAG][,ro][,security=passthrough|mapped][,uid=N]
 * [,gid=N]; a comma in a name is written "\,". params points into `words`, which is written to.
 * -EINVAL after an error line with the bad word.
 */
int p9_params_parse(struct p9_params *params, char *words);

struct p9_server;

/* NULL after one error line that names the folder. params must live as long as the server. */
struct p9_server *p9_server_create(const struct p9_params *params);
void p9_server_destroy(struct p9_server *srv); /* no request is under way; NULL is fine */

/*
 * Each thread that calls p9_request_run() calls this once before: it gets a umask of its own, 0,
 * as the guest applies its users'. A negative errno if the host refuses.
 */
int p9_thread_init(void);

#define P9_HEAD_SIZE  8192  /* all of a request but the data of a write */
#define P9_REPLY_SIZE 65536 /* all of a reply but the data of a read */

/* A request under way. Large; keep it, one a thread. */
struct p9_request {
	/* Set by the caller: the request, and where the reply goes. Both may change under us. */
	const struct iovec *out, *in;
	unsigned int nr_out, nr_in;

	/* The server's. */
	struct p9_request *next;
	uint64_t out_len, in_len;
	uint32_t size; /* of the message */
	uint8_t type;
	uint16_t tag;
	int err;
	uint8_t head[P9_HEAD_SIZE];
	uint8_t reply[P9_REPLY_SIZE];
	uint8_t scratch[P9_REPLY_SIZE] __attribute__((aligned(8)));
	struct iovec iov[1024];
};

/*
 * begin: takes the request in; called in the order of arrival (a flush waits for what came before
 * it). run: does it and returns the bytes of reply written to `in`, 0 if not even an error has
 * room there. Many may run at once. end: the reply is where the client sees it.
 */
void p9_request_begin(struct p9_server *srv, struct p9_request *req);
uint32_t p9_request_run(struct p9_server *srv, struct p9_request *req);
void p9_request_end(struct p9_server *srv, struct p9_request *req);

#endif
