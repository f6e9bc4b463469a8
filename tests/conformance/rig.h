/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_CONFORMANCE_RIG_H
#define LKVM_CONFORMANCE_RIG_H

/*
 * A machine without KVM, one virtio device in it, and a driver for the device: what the checks of
 * this folder are made of.
 *
 *	rig.c       the driver's steps (virtio 1.2 §3.1), whatever the transport
 *	ways.c      how they are done on each transport: one struct way each
 *	kinds.c     the devices, with back ends that a check can look into
 *	machine.c   buses, and stand-ins for KVM's interrupts and ioeventfds that remember
 *
 * The driver shares no code with the devices: it is written from the specification, as are the
 * rings in ../unit/virtq-driver.h.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>

#include "../unit/virtio-driver.h"
#include "kvm/bus.h"
#include "kvm/ioeventfd.h"
#include "kvm/irq.h"
#include "kvm/pci.h"
#include "kvm/util.h"
#include "kvm/virtio.h"
#include "suite.h"

#define LEGACY_PAGE	 4096
#define MMIO_QUEUE_RESET 0x0c0 /* virtio 1.2; not in the kernel's header */

#define VERSION_1   DRV_BIT(VIRTIO_F_VERSION_1)
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET

#define RIG_CID	    42	   /* of the vsock devices */
#define RIG_TAG	    "data" /* of the shared folders */
#define RIG_PAIRS   2	   /* of queues, and the MTU, that the larger NIC has */
#define RIG_MTU	    1400
#define RIG_SECTORS 1234 /* that the back end of vhost-user-blk has */

/* --- machine.c --- */

#define MACHINE_MMIO	 0xfeb00000u /* where virtio-mmio devices are */
#define MACHINE_MMIO_GSI 20
#define MACHINE_ECAM	 0xe0000000u
#define MACHINE_IO	 0xc000u
#define MACHINE_MEM32	 0xc0000000u
#define MACHINE_MEM64	 0x100000000u

struct machine {
	struct drv_ram ram;
	int ram_fd;
	struct bus mmio, ioport;
	struct irq_chip irq;
	struct pci pci;
};

void machine_init(struct machine *m);
/* Also checks that no line is up any more, and no ioeventfd registered. */
void machine_fini(struct machine *m);

/* What a guest's CPU does. Where nothing answers: all ones, and nothing. */
uint64_t mem_read(struct machine *m, uint64_t gpa, unsigned int len);
void mem_write(struct machine *m, uint64_t gpa, unsigned int len, uint64_t val);
uint32_t io_read(struct machine *m, uint16_t port, unsigned int len);
void io_write(struct machine *m, uint16_t port, unsigned int len, uint32_t val);
/* Configuration space of slot 1, where the device under test is. */
uint32_t cfg_read(struct machine *m, unsigned int reg, unsigned int len);
void cfg_write(struct machine *m, unsigned int reg, unsigned int len, uint32_t val);
/* The first capability of that id at or behind `at` (0: all of them); 0 when there is none. */
unsigned int cfg_find_cap(struct machine *m, unsigned int at, uint8_t id);

bool line_is_up(unsigned int gsi);
/* Messages (MSI) sent so far, and the data of the last one. */
unsigned int msi_count(void);
uint32_t msi_last_data(void);

/* What was asked of KVM; fd 0: the slot is free. */
#define MACHINE_IOEVENTFDS 256
const struct ioeventfd *ioeventfds(void);
unsigned int nr_ioeventfds(void);

/* --- the rig --- */

struct disk;

#define RIG_QUEUES 8

struct rig {
	struct machine *m;
	const struct way *way;
	const struct kind *kind;
	bool packed; /* the ring format of this run */
	struct virtio_device *vdev;
	void *fixture; /* the kind's: back ends */
	struct drv_queue q[RIG_QUEUES];
	unsigned int first_ring; /* its queues' places in RAM begin here */
	uint64_t features;	 /* as accepted by the last rig_start() */

	/* For rig_settle(): a timer in the device's loop, and how often it has run. */
	struct loop_source *round;
	atomic_uint rounds;

	/* Of the transport. */
	struct virtio_pci *vp;
	struct virtio_mmio *mio;
	uint64_t mmio;		   /* base of its registers */
	unsigned int gsi;	   /* of its interrupt line */
	uint64_t area[RIG_QUEUES]; /* legacy: what queue_set() was told */
	/* PCI, found in configuration space. */
	uint64_t bar[PCI_NR_BARS];
	struct pci_regs {
		unsigned int cap; /* that says so; 0: there are none */
		uint8_t bar;
		uint32_t off, len;
	} common, notify, isr, device;
	unsigned int window, msix; /* capabilities */
	uint32_t notify_step;
	uint16_t port; /* of the legacy registers */
};

/* How a driver reaches a device. Queue numbers and feature words are handed on as they are. */
struct way {
	const char *name;
	bool legacy;
	void (*attach)(struct rig *rig);
	void (*detach)(struct rig *rig);
	uint8_t (*status)(struct rig *rig);
	void (*set_status)(struct rig *rig, uint8_t status);
	uint32_t (*offered)(struct rig *rig, uint32_t word);
	void (*accept)(struct rig *rig, uint32_t word, uint32_t bits);
	/* Before anything is set: the maximum. 0: there is no such queue. */
	uint32_t (*queue_size)(struct rig *rig, uint32_t q);
	void (*queue_set)(struct rig *rig, uint32_t q, const struct virtq_config *cfg);
	void (*queue_enable)(struct rig *rig, uint32_t q);
	bool (*queue_enabled)(struct rig *rig, uint32_t q);
	void (*queue_reset)(struct rig *rig, uint32_t q);   /* §2.6.1; NULL: cannot */
	void (*queue_disable)(struct rig *rig, uint32_t q); /* NULL: cannot */
	void (*notify)(struct rig *rig, uint32_t q);
	uint64_t (*config_read)(struct rig *rig, uint32_t off, unsigned int len);
	void (*config_write)(struct rig *rig, uint32_t off, unsigned int len, uint64_t val);
	uint32_t (*generation)(struct rig *rig); /* NULL: there is none */
	/* Why it interrupted (1: a queue, 2: configuration); acknowledges all of it. */
	uint32_t (*take_isr)(struct rig *rig);
};

extern const struct way ways[NR_WAYS];

/* A device, made anew for each run. */
struct kind {
	const char *name;
	uint16_t id;
	struct virtio_device *(*create)(struct rig *rig); /* may set rig->fixture */
	void (*destroy)(struct rig *rig);		  /* after the device went; may be NULL */
	bool split_only; /* its rings are served by others, who know no packed ones */
};

extern const struct kind kinds[NR_KINDS];

/* Another device of the same machine, on MMIO, that must go on working whatever happens. */
void rig_init(struct rig *rig, struct machine *m, const struct kind *kind, const struct way *way,
	      bool packed);
void rig_init_other(struct rig *other, struct rig *rig);
void rig_fini(struct rig *rig);

/* --- a driver (§3.1.1, §3.1.2) --- */

uint64_t rig_offered(struct rig *rig);
/* Reset, ACKNOWLEDGE, DRIVER. */
void rig_reset(struct rig *rig);
void rig_accept(struct rig *rig, uint64_t features);
/* reset, accept exactly these, FEATURES_OK: whether that stuck. Always, where there is no such bit. */
bool rig_negotiate(struct rig *rig, uint64_t features);
/* Lays out an empty ring of that size (0: the largest up to 16), as negotiated. */
void rig_layout(struct rig *rig, unsigned int q, uint16_t size);
void rig_queue(struct rig *rig, unsigned int q, uint16_t size); /* layout, set, enable */
void rig_driver_ok(struct rig *rig);
/* All of it, with every queue there is. Adds what the interface and the ring format need. */
void rig_start(struct rig *rig, uint64_t features);

/* Makes available, notifies, and waits until it is used: the bytes the device says it wrote. */
uint32_t rig_send(struct rig *rig, unsigned int q, const struct drv_buf *bufs, unsigned int nr_out,
		  unsigned int nr_in);
uint32_t rig_wait(struct rig *rig, unsigned int q);
/* When this returns, the device has dealt with all that it was told before. */
void rig_settle(struct rig *rig);
bool rig_interrupted(struct rig *rig); /* its line is up */
/* Waits for the interrupt and acknowledges it: why. */
uint32_t rig_take_interrupt(struct rig *rig);

/* --- the toy: fills every buffer with TOY_BYTE; has two queues, and a configuration of bytes --- */

#define TOY_FEATURE	5  /* a bit of its own, below 32 */
#define TOY_HIGH	50 /* and above */
#define TOY_CONFIG_SIZE 12
#define TOY_BYTE	0x5a
#define TOY_QUEUE_SIZE	16

struct toy {
	struct virtio_device *vdev;
	struct virtq_chain *chain, *spare;
	uint8_t config[TOY_CONFIG_SIZE];
	atomic_uint starts, stops, queue_stops, handled;
	atomic_uint_fast64_t features; /* as negotiated, at the last start */
	atomic_bool hold;	       /* take one chain and keep it */
	bool held;
};

static inline struct toy *rig_toy(struct rig *rig)
{
	return rig->vdev->dev;
}

/* One buffer there and back through queue q of a toy, with its interrupt. */
void toy_exchange(struct rig *rig, unsigned int q);
/* The device's configuration as its owner changes it, while it works. */
void toy_set_config(struct rig *rig, unsigned int at, uint8_t val);

/* --- the other kinds' back ends --- */

#define RIG_DISK_SECTORS 64
struct rig_disk {
	struct disk *disk;
	uint8_t data[RIG_DISK_SECTORS * 512];
	atomic_uint flushes, writes;
	atomic_uint delay_us; /* how long a read takes */
};
struct rig_disk *rig_disk(struct rig *rig);
void rig_type(struct rig *rig, const char *text); /* at the console */
/* The far end of a NIC, of its nth pair of queues: one frame a read or write. */
int rig_wire(struct rig *rig, unsigned int pair);
/* The back end of a vhost-user device has a new configuration. */
void rig_back_grows(struct rig *rig, uint64_t sectors);

/* Where checks have their buffers. */
#define BUF(n) (DRV_DATA + (n)*0x1000ull)
static inline void *rig_ptr(struct rig *rig, uint64_t gpa)
{
	return drv_ptr(&rig->m->ram, gpa);
}

#endif
