/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_VIRTIO_H
#define LKVM_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm/virtq.h"

struct memory;
struct loop;
struct worker;
struct virtio_device;

/*
 * A virtio device is three parts that do not know each other's insides:
 *
 *   model      what it does (virtio/blk.c, ..): one const descriptor, callbacks below
 *   core       status machine, features, queues (virtio/device.c), virtio 1.2 §2 and §3
 *   transport  how the guest reaches it (virtio/pci.c, virtio/mmio.c), virtio 1.2 §4
 *
 * Threads: registers are read and written on vCPUs under virtio_device.lock. Everything that
 * touches a running queue happens on the device's worker, where all model callbacks but features
 * and config run; so a model needs no lock of its own. Status changes go there too (worker_call).
 */
struct virtio_model {
	const char *name;
	uint16_t id;	       /* virtio 1.2 §5 */
	uint32_t config_size;  /* bytes of device configuration space */
	bool in_order; /* it uses each queue's buffers in the order in which they came (§6.2) */

	/* Device-specific feature bits offered. Any thread, constant for the device's life. */
	uint64_t (*features)(void *dev);
	/*
	 * Which features of the rings (§6) go with it, for devices whose queues somebody else serves.
	 * As above; may be NULL: all that virtq.c has.
	 */
	uint64_t (*ring_features)(void *dev);

	/*
	 * Device configuration (§2.5), off + len within config_size. Any thread, virtio_device.lock
	 * held. Numbers are little-endian. config_write may be NULL: read-only.
	 */
	void (*config_read)(void *dev, uint32_t off, void *buf, uint32_t len);
	void (*config_write)(void *dev, uint32_t off, const void *buf, uint32_t len);

	/*
	 * DRIVER_OK: the features and queues are settled. Negative errno: NEEDS_RESET.
	 * stop undoes it (device reset, or end of the VM) and returns only when no request is in
	 * flight any more; queues are still there in it, and gone after it.
	 */
	int (*start)(void *dev, struct virtio_device *vdev);
	void (*stop)(void *dev);

	/* The driver notified queue q, which is enabled. */
	void (*kick)(void *dev, unsigned int q);

	/*
	 * One queue goes down, the device stays up (queue reset, §2.6.1): what is in flight there is
	 * forgotten. The queue is still there in it. It comes back with a kick. May be NULL.
	 */
	void (*queue_stop)(void *dev, unsigned int q);

	/* Frees the model's state. Called once, by virtio_device_destroy(). */
	void (*destroy)(void *dev);
};

/* Implemented by the transport, called from the worker (any thread is allowed). */
struct virtio_transport {
	void (*raise_queue)(void *transport, unsigned int q);
	void (*raise_config)(void *transport);
	/*
	 * Optional. Lets an eventfd interrupt the driver for queue q without us, as long as KVM can
	 * do all of it (an MSI-X vector that may fire); -1: no longer. At other times nobody takes
	 * what is written to it, and the worker, which watches it, calls raise_queue. Worker only.
	 */
	void (*set_call_fd)(void *transport, unsigned int q, int fd);
};

#define VIRTIO_MAX_QUEUES 64

/* What the driver says of a queue before it runs (registers of the transports). */
enum virtio_area { VIRTIO_AREA_DESC, VIRTIO_AREA_DRIVER, VIRTIO_AREA_DEVICE, VIRTIO_NR_AREAS };

struct virtio_queue_regs {
	uint16_t max_size, size;
	uint64_t area[VIRTIO_NR_AREAS]; /* guest addresses (§2.6) */
	bool enabled;
};

struct virtio_queue {
	struct virtio_device *vdev;
	struct virtio_queue_regs regs; /* under virtio_device.lock */
	/* The driver's notifications: an eventfd written by KVM or by the transport. */
	int kick_fd;
	/* The rest belongs to the worker. */
	struct virtq *vq; /* NULL while not running */
	struct loop_source *source;
	int call_fd; /* -1, unless somebody else serves the queue: see virtio_queue_lend() */
	struct loop_source *call_source;
};

struct virtio_device {
	const struct virtio_model *model;
	void *dev; /* the model's state */
	const char *name; /* for messages: "disk foo.img" */
	const struct memory *mem;
	struct worker *worker;

	/*
	 * Protects transport, acked, legacy, config and queue[].regs. Taken before any lock of the
	 * transport; never held across worker_call().
	 */
	pthread_mutex_t lock;
	const struct virtio_transport *transport; /* NULL until attached */
	void *transport_dev;
	uint64_t acked;	     /* driver features; constant once FEATURES_OK is set */
	atomic_uchar status; /* written on the worker only */
	atomic_bool legacy;  /* the driver uses a legacy interface (§1.3.1) */
	atomic_uchar config_generation;
	uint8_t *config; /* what it was when the driver read last, and room to read it anew */

	bool running;		  /* worker only: model->start succeeded */
	struct loop_source *halt; /* worker only: stops the model after NEEDS_RESET */

	unsigned int nr_queues;
	struct virtio_queue queue[VIRTIO_MAX_QUEUES];
};

/*
 * Makes a device with its worker. Takes over `dev` (frees it by model->destroy, also on error).
 * queue_sizes: nr_queues maxima. NULL after one error line.
 */
struct virtio_device *virtio_device_create(const struct virtio_model *model, void *dev,
					   const char *name, const struct memory *mem,
					   unsigned int nr_queues, const uint16_t *queue_sizes);
/* Resets the device, ends its worker, frees all. The transport must be gone. */
void virtio_device_destroy(struct virtio_device *vdev);
/* NULL detaches, after which nothing is raised any more: the device must have been reset. */
void virtio_device_attach(struct virtio_device *vdev, const struct virtio_transport *transport,
			  void *transport_dev);

/* --- for transports, on vCPUs --- */
/* All that is offered; by a legacy interface, only bits 0 to 31 are. */
uint64_t virtio_device_features(struct virtio_device *vdev);
/* Whether devices of this kind had an interface before virtio 1.0 (§5). */
bool virtio_device_has_legacy(const struct virtio_device *vdev);
/*
 * Which interface the driver uses. The first one after a reset counts: once the status is not 0,
 * this is ignored. Models need not ask: such a driver never has VIRTIO_F_VERSION_1.
 */
void virtio_device_set_legacy(struct virtio_device *vdev, bool legacy);
uint64_t virtio_device_acked(struct virtio_device *vdev);
/* Word 0 holds bits 0 to 31 and so on. Ignored after FEATURES_OK. */
void virtio_device_ack_features(struct virtio_device *vdev, unsigned int word, uint32_t bits);
uint8_t virtio_device_status(struct virtio_device *vdev);
/*
 * Runs the status machine (§2.1) on the worker; returns when it has taken effect, 0 (reset)
 * included. Bits are only ever added, but for a reset. Not on the worker, no lock held.
 */
void virtio_device_set_status(struct virtio_device *vdev, uint8_t status);
uint8_t virtio_device_config_generation(struct virtio_device *vdev);
/* What lies beyond the configuration space reads 0; a write that leaves it is dropped. */
void virtio_device_config_read(struct virtio_device *vdev, uint32_t off, void *buf, uint32_t len);
void virtio_device_config_write(struct virtio_device *vdev, uint32_t off, const void *buf,
				uint32_t len);

/* Queue registers. A queue that does not exist reads as all 0 and ignores writes. */
struct virtio_queue_regs virtio_device_queue_regs(struct virtio_device *vdev, unsigned int q);
/*
 * Both are ignored while the queue is enabled; `high` selects the upper half of the address. A size
 * above the maximum, or without packed rings not a power of two, becomes 0, which cannot start.
 */
void virtio_device_set_queue_size(struct virtio_device *vdev, unsigned int q, uint32_t size);
void virtio_device_set_queue_area(struct virtio_device *vdev, unsigned int q,
				  enum virtio_area area, bool high, uint32_t val);
/*
 * These return when it has taken effect, as virtio_device_set_status() does. disable gives the
 * queue back to the driver; reset is the same, for drivers that negotiated it (§2.6.1).
 */
void virtio_device_enable_queue(struct virtio_device *vdev, unsigned int q);
void virtio_device_disable_queue(struct virtio_device *vdev, unsigned int q);
void virtio_device_reset_queue(struct virtio_device *vdev, unsigned int q);
/*
 * The same for legacy interfaces, where all of a queue lies at one address: descriptors, available
 * ring, and at the next multiple of align (a power of two) the used ring (§2.7.2). 0 disables it.
 */
void virtio_device_set_legacy_queue(struct virtio_device *vdev, unsigned int q, uint64_t gpa,
				    uint32_t align);
/* The notification path of last resort: writes the kick_fd. Bad numbers are ignored. */
void virtio_device_kick(struct virtio_device *vdev, unsigned int q);

/* --- for models, on the worker --- */
struct virtq *virtio_queue(struct virtio_device *vdev, unsigned int q); /* NULL if not enabled */
bool virtio_has_feature(const struct virtio_device *vdev, unsigned int bit);
struct loop *virtio_loop(struct virtio_device *vdev);
/* After virtq_push: interrupts the driver if it asked for that. */
void virtio_signal_queue(struct virtio_device *vdev, unsigned int q);
/* The configuration changed: interrupts the driver. Any thread, no lock held. */
void virtio_config_changed(struct virtio_device *vdev);
/*
 * The driver broke the rules: DEVICE_NEEDS_RESET (§2.1.2). From now on virtq_pop() fails on every
 * queue; once the calling callback has returned, the model is stopped, until the driver resets.
 */
void virtio_needs_reset(struct virtio_device *vdev, const char *why);

/*
 * Lending a queue: somebody else serves it, the kernel (virtio/vhost.c) or another process. From the
 * model's start or kick until its stop or queue_stop, for queues that run (virtio_queue() != NULL).
 * In between the model's kick is not called for it and its virtq is not to be touched.
 */
struct virtio_loan {
	struct virtq_areas ring; /* not the registers, which the driver may have changed since */
	uint16_t base;		 /* where the ring stands: virtq_last_avail() */
	/*
	 * Eventfds, which stay the queue's: the driver's notifications, whatever the transport and
	 * wherever its registers are moved; and what to write when the driver wants an interrupt.
	 */
	int kick_fd, call_fd;
};

/* 0 or a negative errno. What the driver made available before counts as notified. */
int virtio_queue_lend(struct virtio_device *vdev, unsigned int q, struct virtio_loan *loan);
/*
 * The borrower has let go of queue and eventfds, with all buffers before `base` returned to the
 * driver. Nothing happens to a queue that is not lent.
 */
void virtio_queue_return(struct virtio_device *vdev, unsigned int q, uint16_t base);
bool virtio_queue_lent(const struct virtio_device *vdev, unsigned int q);

/*
 * What most models do on a kick: pop every chain, let `handle` fill it and return the bytes it
 * wrote, push, signal; NEEDS_RESET when the ring is broken. After many chains it lets the loop
 * look at other queues and goes on later.
 */
typedef uint32_t (*virtio_handle_fn)(void *dev, struct virtq_chain *chain);
void virtio_process_queue(struct virtio_device *vdev, unsigned int q, struct virtq_chain *chain,
			  virtio_handle_fn handle, void *dev);

#endif
