// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio 9P transport (its own specification of device 9; virtio 1.2 §5 only reserves the id): one
 * queue, each chain a request and room for its reply.
 *
 * Requests run at the same time, as some take long, on a few threads of the device's own. The ring
 * is their work queue: a thread takes a chain, does it, gives it back, under `lock` but for the
 * doing. The worker only wakes them and, when they found the ring broken, says so.
 */
#include <errno.h>
#include <linux/virtio_9p.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/9p.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "kvm/virtio.h"

#define P9_QUEUE_SIZE  128
#define P9_THREADS     4
#define P9_CONFIG_SIZE (sizeof(struct virtio_9p_config) + P9_MAX_TAG)

struct p9;

struct p9_thread {
	struct p9 *p9;
	pthread_t thread;
	struct virtq_chain *chain;
	struct p9_request *req;
};

struct p9 {
	const struct p9_params *params;
	struct p9_server *srv;
	struct virtio_device *vdev;

	/* Protects the rest, and the queue while there are threads. */
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	struct virtq *vq; /* NULL: nothing is to be taken */
	bool quit, broken;
	unsigned int nr_idle, nr_busy;

	unsigned int nr_threads; /* worker only */
	struct p9_thread thread[P9_THREADS];
};

/* --- threads --- */

/*
 * Takes a chain. As long as a thread is idle the driver is to tell of more; when none is, each
 * looks at the ring itself before it rests.
 */
static bool p9_take(struct p9 *p9, struct virtq_chain *chain)
{
	int got = 0;

	while (p9->vq && (got = virtq_pop(p9->vq, chain)) == 0)
		if (!virtq_enable_kicks(p9->vq))
			return false;
	if (!p9->vq)
		return false;
	if (got < 0) {
		p9->vq = NULL;
		p9->broken = true;
		virtio_device_kick(p9->vdev, 0); /* the worker's to handle */
		return false;
	}
	if (!p9->nr_idle)
		virtq_disable_kicks(p9->vq);
	else if (virtq_enable_kicks(p9->vq))
		pthread_cond_signal(&p9->work);
	return true;
}

/* With the lock, which is let go of meanwhile. */
static void p9_serve(struct p9 *p9, struct p9_thread *thread)
{
	struct virtq_chain *chain = thread->chain;
	struct p9_request *req = thread->req;
	struct virtq *vq = p9->vq;
	uint32_t written;

	req->out = chain->iov;
	req->nr_out = chain->nr_out;
	req->in = virtq_chain_in(chain);
	req->nr_in = chain->nr_in;
	p9_request_begin(p9->srv, req);
	p9->nr_busy++;
	pthread_mutex_unlock(&p9->lock);

	written = p9_request_run(p9->srv, req);

	pthread_mutex_lock(&p9->lock);
	virtq_push(vq, chain, written); /* it stays until nobody is busy */
	virtio_signal_queue(p9->vdev, 0);
	p9_request_end(p9->srv, req);
	if (!--p9->nr_busy)
		pthread_cond_broadcast(&p9->done);
}

static void *p9_main(void *arg)
{
	struct p9_thread *thread = arg;
	struct p9 *p9 = thread->p9;
	int ret = p9_thread_init();

	pthread_setname_np(pthread_self(), "9p-io");
	if (ret)
		log_warning("%s: new files get lkvm's umask: unshare: %s", p9->params->path,
			    strerror(-ret));
	pthread_mutex_lock(&p9->lock);
	while (!p9->quit) {
		if (p9_take(p9, thread->chain)) {
			p9_serve(p9, thread);
			continue;
		}
		p9->nr_idle++;
		pthread_cond_wait(&p9->work, &p9->lock);
		p9->nr_idle--;
	}
	pthread_mutex_unlock(&p9->lock);
	return NULL;
}

static void p9_thread_fini(struct p9_thread *thread)
{
	virtq_chain_destroy(thread->chain);
	free(thread->req);
}

static int p9_thread_start(struct p9 *p9, struct p9_thread *thread)
{
	sigset_t all, old;
	int ret = ENOMEM;

	thread->p9 = p9;
	thread->chain = virtq_chain_create();
	thread->req = malloc(sizeof(*thread->req));
	if (thread->chain && thread->req) {
		/* Signals are the main thread's. */
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		ret = pthread_create(&thread->thread, NULL, p9_main, thread);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (ret)
		p9_thread_fini(thread);
	return -ret;
}

/* --- the model --- */

/* Takes the queue from the threads and waits until they have answered all that they took. */
static void p9_release_queue(struct p9 *p9)
{
	pthread_mutex_lock(&p9->lock);
	p9->vq = NULL;
	while (p9->nr_busy)
		pthread_cond_wait(&p9->done, &p9->lock);
	pthread_mutex_unlock(&p9->lock);
}

static void p9_stop(void *dev)
{
	struct p9 *p9 = dev;

	p9_release_queue(p9);
	pthread_mutex_lock(&p9->lock);
	p9->quit = true;
	pthread_cond_broadcast(&p9->work);
	pthread_mutex_unlock(&p9->lock);
	while (p9->nr_threads) {
		struct p9_thread *thread = &p9->thread[--p9->nr_threads];

		pthread_join(thread->thread, NULL);
		p9_thread_fini(thread);
	}
}

static int p9_start(void *dev, struct virtio_device *vdev)
{
	struct p9 *p9 = dev;
	int ret;

	p9->vdev = vdev;
	p9->quit = p9->broken = false;
	p9->vq = virtio_queue(vdev, 0);
	while (p9->nr_threads < P9_THREADS) {
		ret = p9_thread_start(p9, &p9->thread[p9->nr_threads]);
		if (ret) {
			p9_stop(p9);
			return ret;
		}
		p9->nr_threads++;
	}
	return 0;
}

static void p9_kick(void *dev, unsigned int q)
{
	struct p9 *p9 = dev;
	bool broken;

	pthread_mutex_lock(&p9->lock);
	broken = p9->broken;
	if (!broken) {
		p9->vq = virtio_queue(p9->vdev, q);
		pthread_cond_signal(&p9->work);
	}
	pthread_mutex_unlock(&p9->lock);
	if (broken)
		virtio_needs_reset(p9->vdev, "the queue is broken");
}

static void p9_queue_stop(void *dev, unsigned int q)
{
	(void)q;
	p9_release_queue(dev);
}

static uint64_t p9_features(void *dev)
{
	(void)dev;
	return 1ULL << VIRTIO_9P_MOUNT_TAG;
}

static void p9_config_read(void *dev, uint32_t off, void *buf, uint32_t len)
{
	const char *tag = ((struct p9 *)dev)->params->tag;
	uint8_t config[P9_CONFIG_SIZE] = {0};

	le_store(config, 2, strlen(tag));
	memcpy(config + sizeof(struct virtio_9p_config), tag, strlen(tag));
	memcpy(buf, config + off, len);
}

static void p9_destroy(void *dev)
{
	struct p9 *p9 = dev;

	p9_server_destroy(p9->srv);
	pthread_cond_destroy(&p9->work);
	pthread_cond_destroy(&p9->done);
	pthread_mutex_destroy(&p9->lock);
	free(p9);
}

static const struct virtio_model p9_model = {
	.name = "9p",
	.id = VIRTIO_ID_9P,
	.config_size = P9_CONFIG_SIZE,
	.features = p9_features,
	.config_read = p9_config_read,
	.start = p9_start,
	.stop = p9_stop,
	.kick = p9_kick,
	.queue_stop = p9_queue_stop,
	.destroy = p9_destroy,
};

struct virtio_device *p9_create(const struct memory *mem, const struct p9_params *params)
{
	static const uint16_t sizes[] = {P9_QUEUE_SIZE};
	struct p9 *p9 = calloc(1, sizeof(*p9));

	if (!p9) {
		log_error("--9p %s: out of memory", params->path);
		return NULL;
	}
	p9->params = params;
	p9->srv = p9_server_create(params);
	if (!p9->srv) {
		free(p9);
		return NULL;
	}
	pthread_mutex_init(&p9->lock, NULL);
	pthread_cond_init(&p9->work, NULL);
	pthread_cond_init(&p9->done, NULL);
	return virtio_device_create(&p9_model, p9, params->path, mem, ARRAY_SIZE(sizes), sizes);
}
