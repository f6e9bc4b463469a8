// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Queues that somebody else serves: the kernel (virtio/vhost.c), or another process over a socket.
 *
 *	             notifications                      interrupts
 *	of our own   kick_fd -> worker -> model         worker -> transport->raise_queue
 *	lent         kick_fd -> borrower                call_fd -> KVM
 *	  if masked, or not by MSI-X:                   call_fd -> worker -> transport->raise_queue
 *
 * The eventfd of notifications is the queue's for life, so whatever writes it (KVM at the register's
 * address, wherever a BAR is moved, or a transport that was trapped) need not know who reads it.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "device-internal.h"
#include "kvm/loop.h"
#include "kvm/util.h"

/* KVM does not deliver this one: the transport knows why, and what to do. */
static void virtio_queue_called(void *arg, uint32_t events)
{
	struct virtio_queue *queue = arg;
	struct virtio_device *vdev = queue->vdev;

	(void)events;
	if (eventfd_take(queue->call_fd))
		vdev->transport->raise_queue(vdev->transport_dev, queue - vdev->queue);
}

bool virtio_queue_lent(const struct virtio_device *vdev, unsigned int q)
{
	return vdev->queue[q].call_fd >= 0;
}

int virtio_queue_lend(struct virtio_device *vdev, unsigned int q, struct virtio_loan *loan)
{
	struct virtio_queue *queue = &vdev->queue[q];
	int fd, err;

	if (!queue->vq || virtio_queue_lent(vdev, q))
		return -EINVAL;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	queue->call_source = loop_add(virtio_loop(vdev), fd, EPOLLIN, virtio_queue_called, queue);
	if (!queue->call_source) {
		err = -errno;
		close(fd);
		return err;
	}
	queue->call_fd = fd;
	loop_remove(queue->source);
	queue->source = NULL;
	*loan = (struct virtio_loan){
		.ring = virtq_areas(queue->vq),
		.base = virtq_last_avail(queue->vq),
		.kick_fd = queue->kick_fd,
		.call_fd = fd,
	};
	if (vdev->transport->set_call_fd)
		vdev->transport->set_call_fd(vdev->transport_dev, q, fd);
	virtio_device_kick(vdev, q);
	return 0;
}

void virtio_queue_return(struct virtio_device *vdev, unsigned int q, uint16_t base)
{
	struct virtio_queue *queue = &vdev->queue[q];

	if (!virtio_queue_lent(vdev, q))
		return;
	if (vdev->transport->set_call_fd)
		vdev->transport->set_call_fd(vdev->transport_dev, q, -1);
	virtio_queue_called(queue, 0); /* what was written last */
	loop_remove(queue->call_source);
	close(queue->call_fd);
	queue->call_fd = -1;
	queue->call_source = NULL;
	virtq_set_last_avail(queue->vq, base);
	if (virtio_queue_watch(queue))
		virtio_needs_reset(vdev, "a queue cannot be watched");
	else
		virtio_device_kick(vdev, q);
}
