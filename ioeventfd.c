// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/ioeventfd.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

static int ioeventfd_set(int vm_fd, const struct ioeventfd *ev, uint32_t flags)
{
	struct kvm_ioeventfd args = {
		.addr = ev->at,
		.len = ev->len,
		.fd = ev->fd,
		.datamatch = ev->match,
		.flags = flags | (ev->io ? KVM_IOEVENTFD_FLAG_PIO : 0) |
			 (ev->any ? 0 : KVM_IOEVENTFD_FLAG_DATAMATCH),
	};

	return ioctl(vm_fd, KVM_IOEVENTFD, &args) < 0 ? -errno : 0;
}

int ioeventfd_add(int vm_fd, const struct ioeventfd *ev)
{
	return ioeventfd_set(vm_fd, ev, 0);
}

void ioeventfd_del(int vm_fd, const struct ioeventfd *ev)
{
	ioeventfd_set(vm_fd, ev, KVM_IOEVENTFD_FLAG_DEASSIGN);
}
