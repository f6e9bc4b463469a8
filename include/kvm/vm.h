/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_VM_H
#define LKVM_VM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm/boot-file.h"
#include "kvm/bus.h"
#include "kvm/config.h"
#include "kvm/exit-code.h"
#include "kvm/irq.h"
#include "kvm/memory.h"
#include "kvm/multiport.h"
#include "kvm/pci.h"
#include "kvm/seat.h"
#include "kvm/virtio-mmio.h"

struct agent;
struct arch_files;
struct arch_vm;
struct chardev;
struct confinement;
struct control;
struct display;
struct loop;
struct loop_source;
struct vcpu;
struct vesa;
struct vhost_user;
struct virtio_device;
struct virtiofsd;

/*
 *             power_on            pause
 *   STOPPED ------------> RUNNING <------> PAUSED
 *      ^                     |    resume     |
 *      |      power_off      v               |
 *      +------------------ STOPPING <--------+
 */
enum vm_state { VM_STOPPED, VM_RUNNING, VM_PAUSED, VM_STOPPING };

/* Why a machine came to its end; the first reason given wins. */
enum vm_outcome {
	VM_OUTCOME_NONE,
	VM_OUTCOME_POWEROFF,	 /* the guest turned itself off */
	VM_OUTCOME_STOPPED,	 /* somebody outside wanted it */
	VM_OUTCOME_RESET,	 /* the guest wants to start again */
	VM_OUTCOME_PANIC,
	VM_OUTCOME_TRIPLE_FAULT,
	VM_OUTCOME_KVM_ERROR,
	VM_OUTCOME_HOST_ERROR,
};

#define VM_MAX_DEVICES 320 /* two a virtio device: itself and its way to the guest */

/* Something that was created for this machine and goes with it, in reverse order. */
struct vm_device {
	void (*destroy)(void *dev);
	void *dev;
};

struct vm {
	const struct vm_config *cfg;

	/* The host's side, from vm_create() to vm_destroy(); a reboot of the guest keeps it. */
	int kvm_fd;
	struct boot_file kernel, initrd, firmware; /* as cfg names them */
	struct arch_files *arch_files;
	struct confinement *vcpu_confinement; /* what is left to vCPU threads */
	struct loop *loop; /* the main thread's */
	struct control *control;
	struct agent *agent; /* with cfg->rootfs */
	struct chardev *console; /* what `lkvm console` attaches to */
	struct chardev *tty[CONFIG_NR_TTYS]; /* behind the UARTs, NULL: nothing; may be console */
	struct display *display; /* NULL: none */
	uint64_t balloon_target; /* bytes; stays when the guest reboots */
	struct seat seat; /* keyboard and pointer; the machine's devices come and go */
	struct disk *disk[CONFIG_MAX_DISKS]; /* NULL where a back end is */
	struct vhost_user *disk_backend[CONFIG_MAX_DISKS];
	struct virtiofsd *virtiofsd[CONFIG_MAX_SHARES]; /* of fs[]; NULL: not started by us */
	struct vhost_user *fs[CONFIG_MAX_SHARES];
	struct net_backend *nic[CONFIG_MAX_NICS];
	uint8_t mac[CONFIG_MAX_NICS][6];
	bool link_down[CONFIG_MAX_NICS]; /* stays when the guest reboots */
	struct port_host *port[CONFIG_MAX_PORTS];
	struct multiport_params ports; /* of port[], as the device wants them */
	/* --vsock: one of the two, or neither. */
	struct vsock_uds *vsock_uds;
	int vsock_fd; /* vhost-vsock; -1: none */
	unsigned int nr_scsi;
	int scsi_fd[CONFIG_MAX_SCSI];
	struct loop_source *signal_source, *wake_source, *stop_timer;
	int signal_fd, wake_fd;
	uint64_t start_ns; /* now_ns() at vm_create() */

	/* The machine, from power-on to power-off. */
	int vm_fd;
	struct memory mem;
	struct bus mmio, ioport;
	struct irq_chip irq;
	struct pci pci;
	struct vesa *vesa; /* NULL without a display */
	struct virtio_device *balloon; /* NULL: none */
	struct virtio_device *blk[CONFIG_MAX_DISKS]; /* of disk[] */
	struct virtio_device *net[CONFIG_MAX_NICS];  /* of nic[] */
	struct arch_vm *arch; /* the architecture's own: chips, tables, entry point */
	unsigned int nr_vcpus;
	struct vcpu *vcpu;
	/* virtio-mmio: arch_pci_init() says what places there are, devices take them in order. */
	unsigned int nr_virtio_mmio_places, nr_virtio_mmio;
	struct virtio_mmio_place virtio_mmio[VM_MAX_DEVICES];
	unsigned int nr_devices;
	struct vm_device device[VM_MAX_DEVICES];

	pthread_mutex_t state_lock; /* protects changes of state, nr_parked */
	pthread_cond_t state_cond;
	atomic_int state; /* enum vm_state; vCPUs look at it without the lock */
	unsigned int nr_parked; /* vCPUs that stand still */
	atomic_int outcome;	/* enum vm_outcome */
	atomic_bool stop_requested; /* for good: a reset is none any more */
	uint64_t stop_deadline; /* now_ns() at which a graceful stop gives up; 0: none asked */
};

/*
 * Opens everything that the configuration names and wires the machine, up to but not including its
 * first instruction. NULL after one error line.
 */
struct vm *vm_create(const struct vm_config *cfg);
/* Runs the guest, as often as it reboots, until it ends for good. */
enum exit_code vm_run(struct vm *vm);
void vm_destroy(struct vm *vm);

/* --- requests; any thread, and from a signal's or a vCPU's context, never blocking --- */

/* Ends the machine: wakes the main loop, which leaves by the one door. Async-signal-safe. */
void vm_end(struct vm *vm, enum vm_outcome why);
static inline void vm_request_stop(struct vm *vm)
{
	/* If the guest resets at this very moment, vm_end() is its. */
	atomic_store(&vm->stop_requested, true);
	vm_end(vm, VM_OUTCOME_STOPPED);
}

/*
 * The guest says that its kernel panicked. That ends the machine under --no-reboot; else what comes
 * next is the guest's choice, most often a reset. Prints.
 */
void vm_panicked(struct vm *vm);

/* --- requests; main loop only --- */

/*
 * Asks the guest to power off (resuming it first if it is paused) and ends it after timeout_ns.
 * 0, or a negative errno when it cannot be asked; the time-out runs all the same.
 */
int vm_request_powerdown(struct vm *vm, uint64_t timeout_ns);
int vm_pause(struct vm *vm); /* returns when every vCPU stands still; 0 when already so */
int vm_resume(struct vm *vm);
const char *vm_state_name(struct vm *vm); /* "running", "paused", "stopping" */

/*
 * For power-on code: registers what power-off has to undo. dev NULL, as a failed constructor
 * returns it, is -ENODEV; a full table is -ENOSPC and destroys dev.
 */
int vm_add_device(struct vm *vm, void (*destroy)(void *dev), void *dev);

/* --- vCPU threads --- */

/* Stands still while the VM is paused; false when it is time to end the thread. */
bool vm_vcpu_may_run(struct vm *vm);

#endif
