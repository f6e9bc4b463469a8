// SPDX-License-Identifier: GPL-2.0-or-later
/* The interrupt controller in KVM (KVM API, devices/arm-vgic*.rst), and its MSIs. */
#include "gic.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "arm.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/vm.h"
#include "layout.h"

#define GICV2_MAX_CPUS 8 /* one bit each in its registers */

/* KVM's attribute for the PPI by which a guest hypervisor hears of its own guest's interrupts. */
#ifndef KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ
#define KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ 9
#endif

/* Registers of a GICv2m frame (SBSA 3.0 appendix E). */
#define V2M_MSI_TYPER	0x008
#define V2M_MSI_SETSPI	0x040
#define V2M_MSI_IIDR	0xfcc
#define V2M_FIRST_INTID (LAYOUT_SPI_BASE + LAYOUT_SPI_V2M)

const char *gic_name(enum gic_kind kind)
{
	static const char *const names[] = {
		[GIC_V2] = "gicv2",
		[GIC_V2M] = "gicv2m",
		[GIC_V3] = "gicv3",
		[GIC_V3_ITS] = "gicv3-its",
	};

	return names[kind];
}

/* --- GICv2m: MSIs that are SPIs --- */

static uint64_t gic_v2m_read(void *dev, uint64_t off, unsigned int len)
{
	(void)dev;
	if (len == 4 && off == V2M_MSI_TYPER)
		return V2M_FIRST_INTID << 16 | LAYOUT_NR_SPI_V2M;
	return 0;
}

/* Devices' MSIs are routes of their own; this is a CPU that writes one. */
static void gic_v2m_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct vm *vm = dev;
	struct irq_line line;

	if (off != V2M_MSI_SETSPI || len > 4 ||
	    !range_contains(V2M_FIRST_INTID, LAYOUT_NR_SPI_V2M, val, 1))
		return;
	irq_line_init(&line, &vm->irq, val - LAYOUT_SPI_BASE);
	irq_line_pulse(&line);
}

static const struct io_ops gic_v2m_ops = {.read = gic_v2m_read, .write = gic_v2m_write};

/* KVM does not know of the frame: the interrupt that the data names is raised directly. */
static int gic_v2m_route(struct kvm_irq_routing_entry *route)
{
	uint32_t intid = route->u.msi.data;

	if (route->u.msi.address_hi || route->u.msi.address_lo != LAYOUT_GICV2M + V2M_MSI_SETSPI ||
	    !range_contains(V2M_FIRST_INTID, LAYOUT_NR_SPI_V2M, intid, 1))
		return -EINVAL;
	route->type = KVM_IRQ_ROUTING_IRQCHIP;
	route->flags = 0;
	memset(&route->u, 0, sizeof(route->u));
	route->u.irqchip.pin = intid - LAYOUT_SPI_BASE;
	return 0;
}

/* --- KVM's devices --- */

static int gic_set(int fd, uint32_t group, uint64_t attr, const void *value)
{
	struct kvm_device_attr args = {.group = group, .attr = attr, .addr = (uintptr_t)value};

	return ioctl(fd, KVM_SET_DEVICE_ATTR, &args) < 0 ? -errno : 0;
}

static int gic_set_addr(int fd, uint64_t type, uint64_t gpa)
{
	return gic_set(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, type, &gpa);
}

/* The fd of the new device, or whether it could be made (test). */
static int gic_create_device(struct vm *vm, uint32_t type, bool test)
{
	struct kvm_create_device args = {.type = type, .flags = test ? KVM_CREATE_DEVICE_TEST : 0};

	if (ioctl(vm->vm_fd, KVM_CREATE_DEVICE, &args) < 0)
		return -errno;
	return test ? 0 : (int)args.fd;
}

static bool gic_has(struct vm *vm, enum gic_kind kind)
{
	if (kind == GIC_V3_ITS && gic_create_device(vm, KVM_DEV_TYPE_ARM_VGIC_ITS, true) < 0)
		return false;
	return gic_create_device(
		       vm, gic_is_v3(kind) ? KVM_DEV_TYPE_ARM_VGIC_V3 : KVM_DEV_TYPE_ARM_VGIC_V2,
		       true) == 0;
}

static int gic_choose(struct vm *vm)
{
	static const enum gic_kind best_first[] = {GIC_V3_ITS, GIC_V3, GIC_V2M};
	enum gic_kind kind = vm->cfg->arch->irqchip;

	if (kind != GIC_AUTO && !gic_has(vm, kind)) {
		log_error("--irqchip %s: this host's KVM does not have it", gic_name(kind));
		return -ENODEV;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(best_first) && kind == GIC_AUTO; i++)
		if (gic_has(vm, best_first[i]))
			kind = best_first[i];
	if (kind == GIC_AUTO) {
		log_error("this host's KVM has no interrupt controller for guests");
		return -ENODEV;
	}
	if (!gic_is_v3(kind) && vm->cfg->nr_cpus > GICV2_MAX_CPUS) {
		log_error("--cpus %u: a GICv2 takes at most %d", vm->cfg->nr_cpus, GICV2_MAX_CPUS);
		return -EINVAL;
	}
	vm->arch->gic = kind;
	return 0;
}

static int gic_create_v2(struct vm *vm, int fd)
{
	int ret = gic_set_addr(fd, KVM_VGIC_V2_ADDR_TYPE_DIST, LAYOUT_GIC_DIST);

	if (ret == 0)
		ret = gic_set_addr(fd, KVM_VGIC_V2_ADDR_TYPE_CPU, LAYOUT_GICV2_CPU);
	if (ret < 0 || vm->arch->gic != GIC_V2M)
		return ret;
	return bus_insert(&vm->mmio, "gicv2m", LAYOUT_GICV2M, LAYOUT_GICV2M_SIZE, &gic_v2m_ops, vm)
		       ? 0
		       : -errno;
}

static int gic_create_its(struct vm *vm)
{
	int fd = gic_create_device(vm, KVM_DEV_TYPE_ARM_VGIC_ITS, false), ret;

	if (fd < 0)
		return fd;
	vm->arch->its_fd = fd;
	ret = gic_set_addr(fd, KVM_VGIC_ITS_ADDR_TYPE, layout_gicv3_its(vm->cfg->nr_cpus));
	if (ret == 0)
		ret = gic_set(fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	return ret;
}

static int gic_create_v3(struct vm *vm, int fd)
{
	uint32_t maintenance = LAYOUT_PPI_BASE + LAYOUT_PPI_MAINTENANCE;
	int ret = gic_set_addr(fd, KVM_VGIC_V3_ADDR_TYPE_DIST, LAYOUT_GIC_DIST);

	if (ret == 0)
		ret = gic_set_addr(fd, KVM_VGIC_V3_ADDR_TYPE_REDIST,
				   layout_gicv3_redist(vm->cfg->nr_cpus));
	if (ret == 0 && vm->cfg->arch->nested)
		ret = gic_set(fd, KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ, 0, &maintenance);
	if (ret == 0 && vm->arch->gic == GIC_V3_ITS)
		ret = gic_create_its(vm);
	return ret;
}

/* GSI n is the controller's pin n, which is SPI n. */
static int gic_init_irq(struct vm *vm)
{
	struct kvm_irq_routing_entry pins[LAYOUT_NR_SPIS];
	int ret;

	for (unsigned int i = 0; i < LAYOUT_NR_SPIS; i++)
		pins[i] = (struct kvm_irq_routing_entry){
			.gsi = i,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = {.irqchip = 0, .pin = i},
		};
	ret = irq_init(&vm->irq, vm->vm_fd, pins, LAYOUT_NR_SPIS, LAYOUT_NR_SPIS);
	if (ret < 0)
		return ret;
	vm->irq.line_base = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | LAYOUT_SPI_BASE;
	if (vm->arch->gic == GIC_V2M)
		vm->irq.route_msi = gic_v2m_route;
	return 0;
}

int gic_create(struct vm *vm)
{
	uint32_t nr_irqs = LAYOUT_SPI_BASE + LAYOUT_NR_SPIS;
	int ret = gic_choose(vm), fd;

	if (ret < 0)
		return ret;
	fd = gic_create_device(
		vm, gic_is_v3(vm->arch->gic) ? KVM_DEV_TYPE_ARM_VGIC_V3 : KVM_DEV_TYPE_ARM_VGIC_V2,
		false);
	if (fd < 0) {
		ret = fd;
		goto err;
	}
	vm->arch->gic_fd = fd;
	ret = gic_is_v3(vm->arch->gic) ? gic_create_v3(vm, fd) : gic_create_v2(vm, fd);
	if (ret == 0)
		ret = gic_set(fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nr_irqs);
	if (ret == 0)
		return gic_init_irq(vm);
err:
	log_error("interrupt controller %s: KVM: %s", gic_name(vm->arch->gic), strerror(-ret));
	return ret;
}

int gic_start(struct vm *vm)
{
	int ret = gic_set(vm->arch->gic_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT,
			  NULL);

	if (ret < 0)
		log_error("interrupt controller %s: KVM: %s", gic_name(vm->arch->gic),
			  strerror(-ret));
	return ret;
}

void gic_destroy(struct vm *vm)
{
	irq_fini(&vm->irq);
	if (vm->arch->its_fd >= 0)
		close(vm->arch->its_fd);
	if (vm->arch->gic_fd >= 0)
		close(vm->arch->gic_fd);
}
