// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio entropy device (virtio 1.2 §5.4): fills buffers with random bytes of the host. */
#include <stdlib.h>
#include <sys/random.h>

#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "kvm/virtio.h"

#define RNG_QUEUE_SIZE 64
/* A driver takes what it gets (§5.4.6.2), and nobody waits for gigabytes of entropy. */
#define RNG_MAX_BYTES (64 * KIB)

struct rng {
	struct virtio_device *vdev;
	struct virtq_chain *chain;
};

static uint64_t rng_features(void *dev)
{
	(void)dev;
	return 0;
}

static uint32_t rng_handle(void *dev, struct virtq_chain *chain)
{
	uint32_t written = 0;

	(void)dev;
	for (unsigned int i = 0; i < chain->nr_in && written < RNG_MAX_BYTES; i++) {
		struct iovec *iov = virtq_chain_in(chain) + i;
		size_t want = MIN(iov->iov_len, RNG_MAX_BYTES - written);
		ssize_t n = getrandom(iov->iov_base, want, 0);

		if (n > 0)
			written += n;
		if (n != (ssize_t)want)
			break;
	}
	return written;
}

static void rng_kick(void *dev, unsigned int q)
{
	struct rng *rng = dev;

	virtio_process_queue(rng->vdev, q, rng->chain, rng_handle, rng);
}

static int rng_start(void *dev, struct virtio_device *vdev)
{
	struct rng *rng = dev;

	rng->vdev = vdev;
	return 0;
}

static void rng_stop(void *dev)
{
	(void)dev; /* nothing is ever in flight between two callbacks */
}

static void rng_destroy(void *dev)
{
	struct rng *rng = dev;

	virtq_chain_destroy(rng->chain);
	free(rng);
}

static const struct virtio_model rng_model = {
	.name = "virtio-rng",
	.id = VIRTIO_ID_RNG,
	.in_order = true,
	.features = rng_features,
	.start = rng_start,
	.stop = rng_stop,
	.kick = rng_kick,
	.destroy = rng_destroy,
};

struct virtio_device *rng_create(const struct memory *mem, const char *name)
{
	const uint16_t queue_sizes[] = {RNG_QUEUE_SIZE};
	struct rng *rng = calloc(1, sizeof(*rng));

	if (rng)
		rng->chain = virtq_chain_create();
	if (!rng || !rng->chain) {
		log_error("%s: out of memory", name);
		free(rng);
		return NULL;
	}
	return virtio_device_create(&rng_model, rng, name, mem, ARRAY_SIZE(queue_sizes),
				    queue_sizes);
}
