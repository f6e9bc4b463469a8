// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The order of birth and death. The host's side (files, taps, terminal, control socket) lives as
 * long as the VM; the machine (everything that KVM knows of) is made anew each time the guest
 * reboots, so that a reset leaves nothing behind: no memory, no interrupt, no half-done request.
 */
#include "kvm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "kvm/agent.h"
#include "kvm/arch.h"
#include "kvm/backends.h"
#include "kvm/chardev.h"
#include "kvm/confine.h"
#include "kvm/control.h"
#include "kvm/devices.h"
#include "kvm/display.h"
#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/util.h"
#include "kvm/vcpu.h"

/* For more, malloc() would look into /sys for processors, on whatever thread. */
#define VM_MALLOC_ARENAS	 8
#define VM_POWER_BUTTON_RETRY_NS UINT64_C(1000000000)
#define VM_SIGNAL_TIMEOUT_NS	 UINT64_C(30000000000)

/* --- the machine --- */

int vm_add_device(struct vm *vm, void (*destroy)(void *dev), void *dev)
{
	if (!dev)
		return -ENODEV;
	if (vm->nr_devices == VM_MAX_DEVICES) {
		log_error("more than %d devices", VM_MAX_DEVICES);
		destroy(dev);
		return -ENOSPC;
	}
	vm->device[vm->nr_devices++] = (struct vm_device){destroy, dev};
	return 0;
}

static void vm_destroy_devices(struct vm *vm)
{
	while (vm->nr_devices) {
		struct vm_device *device = &vm->device[--vm->nr_devices];

		device->destroy(device->dev);
	}
}

static void vm_fini_vcpus(struct vm *vm)
{
	while (vm->nr_vcpus)
		vcpu_fini(&vm->vcpu[--vm->nr_vcpus]);
	free(vm->vcpu);
	vm->vcpu = NULL;
}

static int vm_init_vcpus(struct vm *vm)
{
	int ret;

	vm->vcpu = calloc(vm->cfg->nr_cpus, sizeof(vm->vcpu[0]));
	if (!vm->vcpu)
		return -ENOMEM;
	for (unsigned int i = 0; i < vm->cfg->nr_cpus; i++) {
		ret = vcpu_init(&vm->vcpu[i], vm, i);
		if (ret < 0) {
			vm_fini_vcpus(vm);
			return ret;
		}
		vm->nr_vcpus++;
	}
	return 0;
}

static int vm_power_on(struct vm *vm)
{
	unsigned long type;
	int ret;

	atomic_store(&vm->outcome, VM_OUTCOME_NONE);
	ret = arch_vm_type(vm->kvm_fd, vm->cfg, &type);
	if (ret < 0)
		return ret;
	vm->vm_fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, type);
	if (vm->vm_fd < 0) {
		ret = -errno;
		log_error("%s: KVM_CREATE_VM: %m", vm->cfg->kvm_path);
		return ret;
	}
	ret = memory_init(&vm->mem, vm->vm_fd);
	if (ret < 0)
		goto err_close;
	ret = bus_init(&vm->mmio, "mmio");
	if (ret < 0)
		goto err_memory;
	ret = bus_init(&vm->ioport, "ioport");
	if (ret < 0)
		goto err_mmio;
	ret = arch_vm_init(vm);
	if (ret < 0)
		goto err_ioport;
	ret = pci_init(&vm->pci, &vm->mmio, &vm->ioport, &vm->irq, vm->vm_fd);
	if (ret < 0)
		goto err_arch;
	ret = arch_pci_init(vm);
	if (ret == 0)
		ret = arch_create_chips(vm);
	if (ret == 0)
		ret = devices_create(vm);
	if (ret == 0)
		ret = pci_assign_bars(&vm->pci);
	if (ret == 0)
		ret = arch_load(vm);
	if (ret == 0)
		ret = vm_init_vcpus(vm);
	if (ret == 0)
		ret = arch_vm_ready(vm);
	if (ret < 0)
		goto err_devices;
	return 0;

err_devices:
	vm_destroy_devices(vm);
	vm_fini_vcpus(vm);
	pci_fini(&vm->pci);
err_arch:
	arch_vm_fini(vm);
err_ioport:
	bus_fini(&vm->ioport);
err_mmio:
	bus_fini(&vm->mmio);
err_memory:
	memory_fini(&vm->mem);
err_close:
	close(vm->vm_fd);
	vm->vm_fd = -1;
	return ret;
}

static void vm_power_off(struct vm *vm)
{
	memory_retire(&vm->mem);
	vm_destroy_devices(vm);
	vm_fini_vcpus(vm);
	pci_fini(&vm->pci);
	/*
	 * Not the mirror of how it came: of a VM that lives on, KVM searches the tables for memory that
	 * goes. Where it has run guests itself, that is, on arm64, all that they could have mapped.
	 */
	close(vm->vm_fd);
	vm->vm_fd = -1;
	arch_vm_fini(vm);
	bus_fini(&vm->ioport);
	bus_fini(&vm->mmio);
	memory_fini(&vm->mem);
}

/* --- running, pausing, ending --- */

static void vm_set_state(struct vm *vm, enum vm_state state)
{
	pthread_mutex_lock(&vm->state_lock);
	atomic_store(&vm->state, state);
	pthread_cond_broadcast(&vm->state_cond);
	pthread_mutex_unlock(&vm->state_lock);
}

const char *vm_state_name(struct vm *vm)
{
	static const char *const names[] = {
		[VM_STOPPED] = "stopped",
		[VM_RUNNING] = "running",
		[VM_PAUSED] = "paused",
		[VM_STOPPING] = "stopping",
	};

	return names[atomic_load(&vm->state)];
}

bool vm_vcpu_may_run(struct vm *vm)
{
	if (atomic_load(&vm->outcome) != VM_OUTCOME_NONE)
		return false;
	if (atomic_load(&vm->state) == VM_RUNNING)
		return true;

	pthread_mutex_lock(&vm->state_lock);
	vm->nr_parked++;
	pthread_cond_broadcast(&vm->state_cond);
	while (atomic_load(&vm->state) == VM_PAUSED)
		pthread_cond_wait(&vm->state_cond, &vm->state_lock);
	vm->nr_parked--;
	pthread_mutex_unlock(&vm->state_lock);
	return atomic_load(&vm->state) == VM_RUNNING;
}

void vm_end(struct vm *vm, enum vm_outcome why)
{
	int none = VM_OUTCOME_NONE;
	int saved_errno = errno;

	if (atomic_compare_exchange_strong(&vm->outcome, &none, why))
		eventfd_write(vm->wake_fd, 1);
	errno = saved_errno;
}

static void vm_kick_all(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		vcpu_kick(&vm->vcpu[i]);
}

int vm_pause(struct vm *vm)
{
	int ret = 0;

	if (atomic_load(&vm->state) == VM_PAUSED)
		return 0;
	if (atomic_load(&vm->state) != VM_RUNNING)
		return -EBUSY;
	vm_set_state(vm, VM_PAUSED);
	vm_kick_all(vm);

	pthread_mutex_lock(&vm->state_lock);
	/* A vCPU that leaves instead of parking has set the outcome first. */
	while (vm->nr_parked < vm->nr_vcpus && atomic_load(&vm->outcome) == VM_OUTCOME_NONE) {
		struct timespec soon;

		clock_gettime(CLOCK_REALTIME, &soon);
		soon.tv_sec++;
		pthread_cond_timedwait(&vm->state_cond, &vm->state_lock, &soon);
	}
	if (atomic_load(&vm->outcome) != VM_OUTCOME_NONE)
		ret = -EBUSY;
	pthread_mutex_unlock(&vm->state_lock);
	if (ret == 0)
		arch_vm_pause(vm);
	return ret;
}

int vm_resume(struct vm *vm)
{
	if (atomic_load(&vm->state) == VM_RUNNING)
		return 0;
	if (atomic_load(&vm->state) != VM_PAUSED)
		return -EBUSY;
	arch_vm_resume(vm);
	vm_set_state(vm, VM_RUNNING);
	return 0;
}

void vm_panicked(struct vm *vm)
{
	log_warning("the guest panicked");
	if (vm->cfg->no_reboot)
		vm_end(vm, VM_OUTCOME_PANIC);
}

/* The way to ask this guest to end; -EAGAIN: later, -ENOTSUP: there is none. */
static int vm_press_button(struct vm *vm)
{
	return vm->agent ? agent_poweroff(vm->agent) : arch_power_button(vm);
}

/* What follows a press of the button: another, if nobody listened; the end, when time is over. */
static void vm_stop_later(struct vm *vm, int pressed)
{
	uint64_t now = now_ns(), left = vm->stop_deadline - now;

	if (now >= vm->stop_deadline)
		vm_request_stop(vm);
	else
		loop_arm_timer(vm->stop_timer,
			       pressed == -EAGAIN ? MIN(VM_POWER_BUTTON_RETRY_NS, left) : left);
}

static void vm_stop_tick(void *arg, uint32_t events)
{
	struct vm *vm = arg;

	(void)events;
	vm_stop_later(vm, now_ns() < vm->stop_deadline ? vm_press_button(vm) : 0);
}

int vm_request_powerdown(struct vm *vm, uint64_t timeout_ns)
{
	int ret;

	vm->stop_deadline = now_ns() + timeout_ns;
	ret = vm_resume(vm);
	if (ret == 0)
		ret = vm_press_button(vm);
	if (ret == -ENOTSUP) {
		log_info("this guest has no power button: stopping it at once");
		vm_request_stop(vm);
		return 0;
	}
	vm_stop_later(vm, ret);
	return ret == -EAGAIN ? 0 : ret;
}

/* A signal, or a window closed: the first time the guest is asked, then it is at once. */
static void vm_asked_to_end(void *arg)
{
	struct vm *vm = arg;

	if (vm->stop_deadline)
		vm_request_stop(vm);
	else
		vm_request_powerdown(vm, VM_SIGNAL_TIMEOUT_NS);
}

static void vm_signal(void *arg, uint32_t events)
{
	struct vm *vm = arg;
	struct signalfd_siginfo info;

	(void)events;
	if (read(vm->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH)
		chardev_resized(vm->console);
	else if (vm->cfg->nodefaults) /* whose scripts have patience for a second */
		vm_request_stop(vm);
	else if (!vm->agent)
		vm_asked_to_end(vm);
	else if (!agent_signal(vm->agent, (int)info.ssi_signo))
		vm_request_stop(vm);
}

static void vm_wake(void *arg, uint32_t events)
{
	struct vm *vm = arg;
	eventfd_t count;

	(void)events;
	eventfd_read(vm->wake_fd, &count);
	loop_quit(vm->loop);
}

/* One life of the machine, from its first instruction until somebody ends it. */
static enum vm_outcome vm_run_machine(struct vm *vm)
{
	vm_set_state(vm, VM_RUNNING);
	for (unsigned int i = 0; i < vm->nr_vcpus; i++) {
		if (vcpu_start(&vm->vcpu[i]) < 0) {
			vm_end(vm, VM_OUTCOME_HOST_ERROR);
			break;
		}
	}
	while (atomic_load(&vm->outcome) == VM_OUTCOME_NONE && !atomic_load(&vm->stop_requested)) {
		if (loop_run(vm->loop) < 0)
			vm_end(vm, VM_OUTCOME_HOST_ERROR);
	}
	vm_set_state(vm, VM_STOPPING);
	vm_kick_all(vm);
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		vcpu_stop(&vm->vcpu[i]);
	vm_set_state(vm, VM_STOPPED);
	return atomic_load(&vm->outcome);
}

static enum exit_code vm_exit_code(enum vm_outcome outcome)
{
	switch (outcome) {
	case VM_OUTCOME_PANIC:
		return EXIT_GUEST_PANIC;
	case VM_OUTCOME_TRIPLE_FAULT:
		return EXIT_TRIPLE_FAULT;
	case VM_OUTCOME_KVM_ERROR:
		return EXIT_KVM_ERROR;
	case VM_OUTCOME_HOST_ERROR:
		return EXIT_HOST_ERROR;
	default:
		return EXIT_OK;
	}
}

enum exit_code vm_run(struct vm *vm)
{
	log_debug("the guest starts"); /* bench/enter.sh waits for this */
	for (;;) {
		enum vm_outcome outcome = vm_run_machine(vm);

		/* A guest that was asked to stop and reboots instead has done what it could. */
		if (outcome != VM_OUTCOME_RESET || vm->cfg->no_reboot || vm->stop_deadline ||
		    atomic_load(&vm->stop_requested))
			return vm_exit_code(outcome);
		log_debug("the guest reboots");
		vm_power_off(vm);
		if (boot_file_look(&vm->kernel) < 0 || boot_file_look(&vm->initrd) < 0 ||
		    boot_file_look(&vm->firmware) < 0 || vm_power_on(vm) < 0)
			return EXIT_HOST_ERROR;
	}
}

/* --- the host's side --- */

static int vm_open_kvm(struct vm *vm)
{
	int version, max_vcpus;

	vm->kvm_fd = open(vm->cfg->kvm_path, O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0) {
		log_fatal("Unable to open %s: %m%s", vm->cfg->kvm_path,
			  errno == ENOENT   ? " (is KVM in this kernel, and its module loaded?)"
			  : errno == EACCES ? " (are you in its group?)"
					    : "");
		return -errno;
	}
	version = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION) {
		log_fatal("%s is not KVM: it does not answer with API version %d",
			  vm->cfg->kvm_path, KVM_API_VERSION);
		return -ENODEV;
	}
	max_vcpus = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	if (max_vcpus > 0 && vm->cfg->nr_cpus > (unsigned int)max_vcpus) {
		log_error("--cpus %u: this host's KVM takes at most %d vCPUs", vm->cfg->nr_cpus,
			  max_vcpus);
		return -EINVAL;
	}
	return 0;
}

static void vm_ignore_signal(int signo)
{
	(void)signo;
}

/* Signals become events of the main loop; a vCPU's kick only has to interrupt KVM_RUN. */
static int vm_init_events(struct vm *vm)
{
	const struct sigaction kick = {.sa_handler = vm_ignore_signal};
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t mask;

	sigaction(VCPU_KICK_SIGNAL, &kick, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	if (vm->cfg->rootfs) /* a command's, like the others */
		sigaddset(&mask, SIGQUIT);
	sigaddset(&mask, SIGWINCH);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);

	vm->loop = loop_create();
	vm->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	vm->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!vm->loop || vm->signal_fd < 0 || vm->wake_fd < 0)
		goto err;
	vm->signal_source = loop_add(vm->loop, vm->signal_fd, EPOLLIN, vm_signal, vm);
	vm->wake_source = loop_add(vm->loop, vm->wake_fd, EPOLLIN, vm_wake, vm);
	vm->stop_timer = loop_add_timer(vm->loop, vm_stop_tick, vm);
	if (!vm->signal_source || !vm->wake_source || !vm->stop_timer)
		goto err;
	return 0;
err:
	log_error("event loop: %m");
	return -errno;
}

static int vm_open_files(struct vm *vm)
{
	int ret = boot_file_open(&vm->kernel, "kernel", vm->cfg->kernel);

	if (ret == 0)
		ret = boot_file_open(&vm->initrd, "initrd", vm->cfg->initrd);
	if (ret == 0)
		ret = boot_file_open(&vm->firmware, "firmware", vm->cfg->firmware);
	return ret < 0 ? ret : arch_open(vm);
}

static int vm_open_agent(struct vm *vm)
{
	if (!vm->cfg->rootfs)
		return 0;
	vm->agent = agent_create(vm);
	return vm->agent ? 0 : -EIO;
}

static int vm_open_display(struct vm *vm)
{
	if (!vm->cfg->display.wanted)
		return 0;
	vm->display = display_create(&vm->cfg->display, vm->loop, &vm->seat, vm_asked_to_end, vm);
	return vm->display ? 0 : -EIO;
}

/* Who is started with rights of ours, while the guest runs or after it, keeps us from giving them up. */
static bool vm_starts_programs(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->cfg->nr_fs; i++)
		if (vm->virtiofsd[i])
			return true;
	for (unsigned int i = 0; i < vm->cfg->nr_nics; i++)
		if (vm->cfg->nic[i].downscript)
			return true;
	return false;
}

/* All is open. From here on, this thread and those of the machine have what running it takes. */
static int vm_confine(struct vm *vm)
{
	unsigned int needs = CONFINE_THREADS | CONFINE_FILES | CONFINE_SOCKETS;

	mallopt(M_ARENA_MAX, VM_MALLOC_ARENAS);
	vm->vcpu_confinement = confine_prepare(0);
	if (!vm->vcpu_confinement)
		return -EIO;
	if (vm_starts_programs(vm)) {
		log_debug("lkvm keeps its rights, for the programs that it starts");
		return 0;
	}
	if (vm->cfg->nr_shares)
		needs |= CONFINE_SHARES;
	for (unsigned int i = 0; i < vm->cfg->nr_nics; i++)
		if (vm->cfg->nic[i].mode == NIC_PASST)
			needs |= CONFINE_CHILDREN;
	return confine(needs);
}

struct vm *vm_create(const struct vm_config *cfg)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return NULL;
	*vm = (struct vm){.cfg = cfg,
			  .kvm_fd = -1,
			  .vm_fd = -1,
			  .vsock_fd = -1,
			  .signal_fd = -1,
			  .wake_fd = -1,
			  .start_ns = now_ns()};
	pthread_mutex_init(&vm->state_lock, NULL);
	pthread_cond_init(&vm->state_cond, NULL);
	seat_init(&vm->seat);

	if (arch_check_config(cfg) < 0 || vm_open_kvm(vm) < 0 || vm_init_events(vm) < 0)
		goto err;
	/* The name comes first: a second VM of the same name must not touch a disk or a tap. */
	vm->control = control_create(vm, vm->loop, cfg->name);
	if (!vm->control || vm_open_files(vm) < 0 || backends_open(vm) < 0 ||
	    vm_open_agent(vm) < 0 || vm_open_display(vm) < 0 || vm_confine(vm) < 0 ||
	    vm_power_on(vm) < 0)
		goto err;
	return vm;
err:
	vm_destroy(vm);
	return NULL;
}

void vm_destroy(struct vm *vm)
{
	if (vm->vm_fd >= 0)
		vm_power_off(vm);
	display_destroy(vm->display);
	agent_destroy(vm->agent);
	backends_close(vm);
	confine_discard(vm->vcpu_confinement);
	arch_close(vm);
	boot_file_close(&vm->firmware);
	boot_file_close(&vm->initrd);
	boot_file_close(&vm->kernel);
	/* The socket's end is what `lkvm stop` waits for: everything else is done by now. */
	if (vm->control)
		control_destroy(vm->control);
	loop_remove(vm->stop_timer);
	loop_remove(vm->wake_source);
	loop_remove(vm->signal_source);
	if (vm->wake_fd >= 0)
		close(vm->wake_fd);
	if (vm->signal_fd >= 0)
		close(vm->signal_fd);
	if (vm->loop)
		loop_destroy(vm->loop);
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
	seat_fini(&vm->seat);
	pthread_cond_destroy(&vm->state_cond);
	pthread_mutex_destroy(&vm->state_lock);
	free(vm);
}
