// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/vcpu.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm/arch.h"
#include "kvm/confine.h"
#include "kvm/ioport.h"
#include "kvm/log.h"
#include "kvm/mmio.h"
#include "kvm/util.h"
#include "kvm/vm.h"

int vcpu_init(struct vcpu *vcpu, struct vm *vm, unsigned int id)
{
	int size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0), ret;

	*vcpu = (struct vcpu){.vm = vm, .id = id};
	vcpu->fd = ioctl(vm->vm_fd, KVM_CREATE_VCPU, (unsigned long)id);
	if (size < 0 || vcpu->fd < 0) {
		ret = -errno;
		log_error("vCPU %u: %m", id);
		return ret;
	}
	vcpu->run_size = size;
	vcpu->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		ret = -errno;
		log_error("vCPU %u: mmap: %m", id);
		close(vcpu->fd);
		return ret;
	}
	ret = arch_vcpu_init(vcpu);
	if (ret < 0)
		vcpu_fini(vcpu);
	return ret;
}

void vcpu_fini(struct vcpu *vcpu)
{
	munmap(vcpu->run, vcpu->run_size);
	close(vcpu->fd);
}

void vcpu_kick(struct vcpu *vcpu)
{
	if (!vcpu->thread_started)
		return;
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(vcpu->thread, VCPU_KICK_SIGNAL);
}

static const char *vcpu_exit_name(uint32_t reason)
{
	switch (reason) {
	case KVM_EXIT_UNKNOWN:
		return "unknown";
	case KVM_EXIT_EXCEPTION:
		return "exception";
	case KVM_EXIT_HYPERCALL:
		return "hypercall";
	case KVM_EXIT_HLT:
		return "hlt";
	case KVM_EXIT_FAIL_ENTRY:
		return "failed entry";
	case KVM_EXIT_INTERNAL_ERROR:
		return "internal error";
	default:
		return "unexpected";
	}
}

/* The instruction that KVM's emulator gave up on, where KVM tells (KVM API §5). */
static void vcpu_print_failed_insn(FILE *out, const struct kvm_run *run)
{
	const struct kvm_run *r = run;

#ifdef KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES
	if (r->emulation_failure.suberror != KVM_INTERNAL_ERROR_EMULATION ||
	    r->emulation_failure.ndata < 3 ||
	    !(r->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return;
	fputs("  instruction:", out);
	for (unsigned int i = 0;
	     i < MIN(r->emulation_failure.insn_size, sizeof(r->emulation_failure.insn_bytes)); i++)
		fprintf(out, " %02x", r->emulation_failure.insn_bytes[i]);
	fputc('\n', out);
#endif
}

/* KVM cannot go on with this vCPU: say all that a person needs to find out why. */
static void vcpu_report_fatal(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;

	log_error("vCPU %u: KVM exit %u (%s) that lkvm cannot handle", vcpu->id, run->exit_reason,
		  vcpu_exit_name(run->exit_reason));
	if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		fprintf(stderr, "  hardware entry failure reason: 0x%" PRIx64 "\n",
			(uint64_t)run->fail_entry.hardware_entry_failure_reason);
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR) {
		fprintf(stderr, "  suberror: %u%s\n", run->internal.suberror,
			run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION
				? " (KVM could not emulate an instruction)"
				: "");
		vcpu_print_failed_insn(stderr, run);
	}
	arch_vcpu_dump(vcpu, stderr);
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		fprintf(stderr,
			"  Where /dev/kvm has no hardware behind it, KVM emulates guest code and "
			"knows only part of it;\n  a stock kernel needs hardware, or the nested "
			"rig (tests/rig, docs/testing.md).\n");
}

static void vcpu_system_event(struct vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		vm_end(vcpu->vm, VM_OUTCOME_POWEROFF);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		vm_end(vcpu->vm, VM_OUTCOME_RESET);
		break;
	case KVM_SYSTEM_EVENT_CRASH:
		vm_panicked(vcpu->vm);
		break;
	default:
		if (arch_vcpu_exit(vcpu))
			break;
		log_error("vCPU %u: unknown system event %u", vcpu->id,
			  vcpu->run->system_event.type);
		vm_end(vcpu->vm, VM_OUTCOME_KVM_ERROR);
	}
}

static void vcpu_handle_exit(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_MMIO:
		mmio_exit(&vm->mmio, &vcpu->mmio_cache, vcpu->run, vm->cfg->debug_mmio);
		break;
	case KVM_EXIT_IO:
		ioport_exit(&vm->ioport, &vcpu->ioport_cache, vcpu->run, vm->cfg->debug_ioport);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	case KVM_EXIT_SHUTDOWN:
		log_error("vCPU %u: triple fault", vcpu->id);
		arch_vcpu_dump(vcpu, stderr);
		vm_end(vm, VM_OUTCOME_TRIPLE_FAULT);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		vcpu_system_event(vcpu);
		break;
	default:
		if (arch_vcpu_exit(vcpu))
			break;
		vcpu_report_fatal(vcpu);
		vm_end(vm, VM_OUTCOME_KVM_ERROR);
	}
}

/*
 * A kick sets immediate_exit after it changed the VM's state; clearing it here before looking at
 * the state is what makes no kick get lost.
 */
static bool vcpu_may_run(struct vcpu *vcpu)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	return vm_vcpu_may_run(vcpu->vm);
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;

	if (confine_enter(vcpu->vm->vcpu_confinement) < 0)
		vm_end(vcpu->vm, VM_OUTCOME_HOST_ERROR);
	while (vcpu_may_run(vcpu)) {
		if (ioctl(vcpu->fd, KVM_RUN, 0) == 0) {
			vcpu_handle_exit(vcpu);
		} else if (errno != EINTR && errno != EAGAIN) {
			log_error("vCPU %u: KVM_RUN: %m", vcpu->id);
			arch_vcpu_dump(vcpu, stderr);
			vm_end(vcpu->vm, VM_OUTCOME_KVM_ERROR);
		}
	}
	bus_cache_drop(&vcpu->mmio_cache);
	bus_cache_drop(&vcpu->ioport_cache);
	return NULL;
}

int vcpu_start(struct vcpu *vcpu)
{
	char name[16];
	int ret = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);

	if (ret) {
		log_error("vCPU %u: thread: %s", vcpu->id, strerror(ret));
		return -ret;
	}
	vcpu->thread_started = true;
	if (vcpu->vm->cfg->have_affinity)
		ret = pthread_setaffinity_np(vcpu->thread, sizeof(cpu_set_t),
					     &vcpu->vm->cfg->affinity);
	if (ret) {
		log_error("--vcpu-affinity: %s", strerror(ret));
		return -ret;
	}
	snprintf(name, sizeof(name), "vcpu-%u", vcpu->id);
	pthread_setname_np(vcpu->thread, name);
	return 0;
}

void vcpu_stop(struct vcpu *vcpu)
{
	if (!vcpu->thread_started)
		return;
	vcpu_kick(vcpu);
	pthread_join(vcpu->thread, NULL);
	vcpu->thread_started = false;
}
