/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_VIRTIO_DEVICE_INTERNAL_H
#define LKVM_VIRTIO_DEVICE_INTERNAL_H

/* What virtio/device.c and virtio/lend.c share. */
#include "kvm/virtio.h"

/* The worker takes the queue's notifications to the model. 0 or a negative errno. */
int virtio_queue_watch(struct virtio_queue *queue);

#endif
