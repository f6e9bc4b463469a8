// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Suspend to RAM (PSCI 1.1 §5.20): the one CPU that is still on asks for it. It sleeps within KVM
 * until an interrupt is pending, and then begins anew at the address that it gave. A guest that
 * has left other CPUs on keeps them running; that harms nobody but itself.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arm.h"
#include "kvm/log.h"
#include "kvm/vcpu.h"
#include "kvm/vm.h"

static int suspend_set_state(const struct vcpu *vcpu, uint32_t state)
{
	struct kvm_mp_state args = {.mp_state = state};

	return ioctl(vcpu->fd, KVM_SET_MP_STATE, &args) < 0 ? -errno : 0;
}

/* x1 and x2 of the call: the address to go on at, and what it finds in x0. */
static int suspend_sleep(struct vcpu *vcpu)
{
	uint64_t entry, context;
	int ret = cpu_get_x(vcpu, 1, &entry);

	if (ret == 0)
		ret = cpu_get_x(vcpu, 2, &context);
	if (ret == 0)
		ret = cpu_reset(vcpu);
	if (ret == 0)
		ret = cpu_enter(vcpu, entry, context);
	if (ret == 0)
		ret = suspend_set_state(vcpu, KVM_MP_STATE_SUSPENDED);
	return ret;
}

bool suspend_exit(struct vcpu *vcpu)
{
	int ret;

	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SUSPEND:
		ret = suspend_sleep(vcpu);
		break;
	case KVM_SYSTEM_EVENT_WAKEUP:
		ret = suspend_set_state(vcpu, KVM_MP_STATE_RUNNABLE);
		break;
	default:
		return false;
	}
	if (ret < 0) {
		log_error("vCPU %u: suspend: %s", vcpu->id, strerror(-ret));
		vm_end(vcpu->vm, VM_OUTCOME_KVM_ERROR);
	}
	return true;
}
