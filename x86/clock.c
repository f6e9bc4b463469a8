// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's time stands still while it is paused: kvmclock, the TSC, which Linux prefers where it
 * is stable, and the PIT. All move together, so none is found to run at another's expense.
 * (KVM API §4.29, §4.30; Documentation/virt/kvm/devices/vcpu.rst §4.1)
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <x86intrin.h>

#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/vcpu.h"
#include "kvm/vm.h"
#include "x86.h"

static int clock_tsc_offset(int vcpu_fd, unsigned long request, uint64_t *offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};

	return ioctl(vcpu_fd, request, &attr) < 0 ? -errno : 0;
}

static void clock_hold_tsc(struct vm *vm, struct clock_state *clock)
{
	clock->tsc_offset = calloc(vm->nr_vcpus, sizeof(clock->tsc_offset[0]));
	for (unsigned int i = 0; clock->tsc_offset && i < vm->nr_vcpus; i++) {
		if (clock_tsc_offset(vm->vcpu[i].fd, KVM_GET_DEVICE_ATTR, &clock->tsc_offset[i])) {
			free(clock->tsc_offset);
			clock->tsc_offset = NULL;
		}
	}
}

void clock_hold(struct vm *vm)
{
	struct clock_state *clock = &vm->arch->clock;
	struct kvm_clock_data data;

	if (clock->held || ioctl(vm->vm_fd, KVM_GET_CLOCK, &data) < 0)
		return;
	clock->held = true;
	clock->kvmclock_ns = data.clock;
	/* The TSC of the same instant, if this KVM knows it. */
	clock->host_tsc = data.flags & KVM_CLOCK_HOST_TSC ? data.host_tsc : __rdtsc();
	clock_hold_tsc(vm, clock);
	if (vm->arch->has_pit && ioctl(vm->vm_fd, KVM_GET_PIT2, &clock->pit) < 0)
		log_warning("KVM_GET_PIT2: %m");
}

static void clock_release_tsc(struct vm *vm, struct clock_state *clock)
{
	uint64_t away = __rdtsc() - clock->host_tsc;

	for (unsigned int i = 0; clock->tsc_offset && i < vm->nr_vcpus; i++) {
		uint64_t offset = clock->tsc_offset[i] - away;

		if (clock_tsc_offset(vm->vcpu[i].fd, KVM_SET_DEVICE_ATTR, &offset) < 0)
			log_warning("vCPU %u: its TSC went on while it was paused", i);
	}
	free(clock->tsc_offset);
	clock->tsc_offset = NULL;
}

void clock_release(struct vm *vm)
{
	struct clock_state *clock = &vm->arch->clock;
	struct kvm_clock_data data = {.clock = clock->kvmclock_ns};

	if (!clock->held)
		return;
	clock->held = false;
	clock_release_tsc(vm, clock);
	if (ioctl(vm->vm_fd, KVM_SET_CLOCK, &data) < 0)
		log_warning("KVM_SET_CLOCK: %m");
	/* Loads the counters anew, so ticks that were due meanwhile are not made up for. */
	if (vm->arch->has_pit && ioctl(vm->vm_fd, KVM_SET_PIT2, &clock->pit) < 0)
		log_warning("KVM_SET_PIT2: %m");
	/* Lets the guest's watchdog know; EINVAL: it has no kvmclock. */
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		if (ioctl(vm->vcpu[i].fd, KVM_KVMCLOCK_CTRL, 0) < 0 && errno != EINVAL)
			log_warning("vCPU %u: KVM_KVMCLOCK_CTRL: %m", i);
}
