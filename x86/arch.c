// SPDX-License-Identifier: GPL-2.0-or-later
/* The PC: what is wired to what. Addresses and numbers stand in layout.h. */
#include "kvm/arch.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "acpi.h"
#include "cpuid.h"
#include "kvm/acpi-pm.h"
#include "kvm/i8042.h"
#include "kvm/log.h"
#include "kvm/options.h"
#include "kvm/rtc.h"
#include "kvm/util.h"
#include "kvm/vcpu.h"
#include "kvm/vesa.h"
#include "kvm/vm.h"
#include "layout.h"
#include "mptable.h"
#include "regs.h"
#include "x86.h"

#define ARCH_MIN_RAM (2 * MIB) /* the tables below 1 MiB, and something to run in */
#define ARCH_MAX_RAM (UINT64_C(1) << 52)

const struct option_spec *arch_run_options(struct vm_config *cfg)
{
	static const struct option_spec none[] = {{0}};

	(void)cfg;
	return none;
}

int arch_vm_type(int kvm_fd, const struct vm_config *cfg, unsigned long *type)
{
	(void)kvm_fd;
	(void)cfg;
	*type = 0;
	return 0;
}

int arch_vm_ready(struct vm *vm)
{
	(void)vm;
	return 0;
}

const char arch_kernel_image[] = "arch/x86/boot/bzImage";

int arch_check_config(const struct vm_config *cfg)
{
	if (cfg->ram_size < ARCH_MIN_RAM || cfg->ram_size > ARCH_MAX_RAM) {
		log_error("--mem: %" PRIu64 " bytes of RAM, can be 2 MiB to 4 PiB", cfg->ram_size);
		return -EINVAL;
	}
	if (cfg->ram_base) {
		log_error("--mem: RAM begins at 0 on a PC");
		return -EINVAL;
	}
	if (cfg->ram_size % 0x1000) {
		log_error("--mem: %" PRIu64 " bytes of RAM are no multiple of 4 KiB",
			  cfg->ram_size);
		return -EINVAL;
	}
	if (!cfg->kernel == !cfg->firmware) {
		log_error("either a kernel (-k) or a firmware (-f) must be given");
		return -EINVAL;
	}
	return 0;
}

/* Nothing: all files here are those that every machine has. */
int arch_open(struct vm *vm)
{
	(void)vm;
	return 0;
}

void arch_close(struct vm *vm)
{
	(void)vm;
}

/* --- memory and interrupts --- */

/* How the address space is divided up depends on how far the guest's CPUs can reach. */
static int arch_add_ram(struct vm *vm)
{
	uint64_t size = vm->cfg->ram_size, low = layout_low_ram(size), end = layout_ram_end(size);
	uint64_t reach = UINT64_C(1) << cpuid_phys_bits(vm->arch->cpuid), mem64;
	int ret;

	if (end > reach) {
		log_error("--mem: %" PRIu64 " MiB of RAM, but CPUs here have only %u address bits",
			  size / MIB, cpuid_phys_bits(vm->arch->cpuid));
		return -EINVAL;
	}
	mem64 = ALIGN_UP(MAX(end, LAYOUT_4G), LAYOUT_PCI_MEM64_ALIGN);
	if (mem64 < reach)
		vm->arch->mem64 = (struct pci_window){
			.base = mem64, .size = MIN(LAYOUT_PCI_MEM64_SIZE, reach - mem64)};

	ret = memory_add_ram(&vm->mem, 0, low, vm->cfg->hugetlbfs);
	if (ret == 0 && size > low)
		ret = memory_add_ram(&vm->mem, LAYOUT_4G, size - low, vm->cfg->hugetlbfs);
	return ret;
}

static unsigned int arch_add_pin(struct kvm_irq_routing_entry *pins, unsigned int nr,
				 unsigned int gsi, unsigned int chip, unsigned int pin)
{
	pins[nr] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = {.irqchip = chip, .pin = pin},
	};
	return nr + 1;
}

static unsigned int arch_add_pic_pin(struct kvm_irq_routing_entry *pins, unsigned int nr,
				     unsigned int gsi, unsigned int irq)
{
	return arch_add_pin(pins, nr, gsi, irq < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
			    irq % 8);
}

/*
 * ISA interrupts go to the PIC and to the same pin of the IOAPIC; the timer's to another one. INTx
 * have pins of their own at the IOAPIC and share the PIC's that no ISA device has here.
 */
static int arch_init_irq(struct vm *vm)
{
	static const uint8_t intx_pic[4] = LAYOUT_INTX_PIC;
	struct kvm_irq_routing_entry pins[2 * LAYOUT_NR_PINS];
	unsigned int nr = 0;
	int ret;

	for (unsigned int gsi = 0; gsi < LAYOUT_NR_PINS; gsi++) {
		if (gsi == 2) /* the PICs' cascade */
			continue;
		nr = arch_add_pin(pins, nr, gsi, KVM_IRQCHIP_IOAPIC,
				  gsi == 0 ? LAYOUT_TIMER_PIN : gsi);
		if (gsi < 16 && !memchr(intx_pic, gsi, sizeof(intx_pic)))
			nr = arch_add_pic_pin(pins, nr, gsi, gsi);
	}
	for (unsigned int i = 0; i < 4; i++)
		nr = arch_add_pic_pin(pins, nr, LAYOUT_GSI_INTX + i, intx_pic[i]);
	ret = irq_init(&vm->irq, vm->vm_fd, pins, nr, LAYOUT_NR_PINS);
	vm->irq.ext_dest_id = vm->cfg->nr_cpus > X86_XAPIC_MAX_CPUS;
	return ret;
}

/* What is no ISA device's is a level at the PIC, too: its ELCR says so, as firmware leaves it. */
static int arch_set_elcr(struct vm *vm, unsigned int chip)
{
	static const uint8_t levels[] = {5, 6, 7, LAYOUT_GSI_SCI, 10, 11, 14, 15};
	struct kvm_irqchip state = {.chip_id = chip};

	if (ioctl(vm->vm_fd, KVM_GET_IRQCHIP, &state) < 0)
		return -errno;
	for (unsigned int i = 0; i < sizeof(levels); i++)
		if (levels[i] / 8 == (chip == KVM_IRQCHIP_PIC_SLAVE))
			state.chip.pic.elcr |= 1u << levels[i] % 8;
	return ioctl(vm->vm_fd, KVM_SET_IRQCHIP, &state) < 0 ? -errno : 0;
}

static int arch_create_irqchip(struct vm *vm)
{
	struct kvm_enable_cap x2apic = {
		.cap = KVM_CAP_X2APIC_API,
		.args = {KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK},
	};
	uint64_t identity_map = LAYOUT_IDENTITY_MAP;
	int ret = 0;

	if (ioctl(vm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0 ||
	    ioctl(vm->vm_fd, KVM_SET_TSS_ADDR, LAYOUT_TSS) < 0 ||
	    ioctl(vm->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
		ret = -errno;
	/* APIC ids beyond 8 bits, also in MSI routes. */
	if (ret == 0 && vm->cfg->nr_cpus > X86_XAPIC_MAX_CPUS &&
	    ioctl(vm->vm_fd, KVM_ENABLE_CAP, &x2apic) < 0)
		ret = -errno;
	if (ret == 0)
		ret = arch_set_elcr(vm, KVM_IRQCHIP_PIC_MASTER);
	if (ret == 0)
		ret = arch_set_elcr(vm, KVM_IRQCHIP_PIC_SLAVE);
	if (ret < 0)
		log_error("KVM cannot make an interrupt controller: %s", strerror(-ret));
	return ret;
}

int arch_vm_init(struct vm *vm)
{
	int ret;

	vm->arch = calloc(1, sizeof(*vm->arch));
	if (!vm->arch)
		return -ENOMEM;
	vm->arch->tsc_deadline =
		ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	vm->arch->cpuid = cpuid_supported(vm->kvm_fd);
	ret = vm->arch->cpuid ? arch_add_ram(vm) : -ENOMEM;
	if (ret == 0)
		ret = arch_create_irqchip(vm);
	if (ret == 0)
		ret = arch_init_irq(vm);
	if (ret < 0)
		arch_vm_fini(vm);
	return ret;
}

void arch_vm_fini(struct vm *vm)
{
	struct arch_vm *arch = vm->arch;

	irq_fini(&vm->irq);
	firmware_unload(&arch->firmware, &vm->mem);
	free(arch->clock.tsc_offset);
	free(arch->cmdline);
	free(arch->cpuid);
	free(arch);
	vm->arch = NULL;
}

static void arch_place_virtio_mmio(struct vm *vm)
{
	static const uint8_t gsis[] = LAYOUT_VIRTIO_MMIO_GSIS;

	vm->nr_virtio_mmio_places =
		MIN(ARRAY_SIZE(vm->virtio_mmio), LAYOUT_VIRTIO_MMIO_SIZE / VIRTIO_MMIO_SIZE);
	for (unsigned int i = 0; i < vm->nr_virtio_mmio_places; i++)
		vm->virtio_mmio[i] = (struct virtio_mmio_place){
			.base = LAYOUT_VIRTIO_MMIO + i * VIRTIO_MMIO_SIZE,
			.gsi = gsis[i % ARRAY_SIZE(gsis)],
		};
}

int arch_pci_init(struct vm *vm)
{
	static const uint8_t intx_pic[4] = LAYOUT_INTX_PIC;
	struct pci *pci = &vm->pci;
	int ret;

	pci->io = (struct pci_window){.base = LAYOUT_PCI_IO, .size = LAYOUT_PCI_IO_SIZE};
	pci->mem32 = (struct pci_window){.base = LAYOUT_PCI_MEM32, .size = LAYOUT_PCI_MEM32_SIZE};
	pci->mem64 = vm->arch->mem64;
	for (unsigned int i = 0; i < 4; i++)
		pci->intx_gsi[i] = LAYOUT_GSI_INTX + i;
	memcpy(pci->intx_line, intx_pic, sizeof(intx_pic));

	arch_place_virtio_mmio(vm);

	ret = pci_add_cf8(pci);
	if (ret == 0)
		ret = pci_add_ecam(pci, LAYOUT_ECAM);
	return ret;
}

/* --- chips --- */

static void arch_request_reset(void *arg)
{
	vm_end(arg, VM_OUTCOME_RESET);
}

static void arch_request_soft_off(void *arg)
{
	vm_end(arg, VM_OUTCOME_POWEROFF);
}

static void arch_report_panic(void *arg)
{
	vm_panicked(arg);
}

static void arch_destroy_serial(void *dev)
{
	serial_destroy(dev);
}

static void arch_destroy_i8042(void *dev)
{
	i8042_destroy(dev);
}

static void arch_destroy_rtc(void *dev)
{
	rtc_destroy(dev);
}

static void arch_destroy_acpi_pm(void *dev)
{
	acpi_pm_destroy(dev);
}

/* The keyboard and the mouse of a PC, for guests without drivers for anything better. */
static void arch_ps2_key(void *dev, unsigned int code, bool down)
{
	i8042_key(dev, code, down);
}

static void arch_ps2_move(void *dev, int dx, int dy, int dz, unsigned int buttons)
{
	i8042_mouse(dev, dx, dy, dz, buttons);
}

static void arch_leave_seat(void *arg)
{
	struct vm *vm = arg;

	seat_remove(&vm->seat, vm->arch->kbc);
}

static int arch_create_i8042(struct vm *vm)
{
	static const struct seat_receiver ps2 = {.key = arch_ps2_key, .move = arch_ps2_move};
	int ret;

	vm->arch->kbc = i8042_create(&vm->ioport, &vm->irq, LAYOUT_GSI_KBD, LAYOUT_GSI_MOUSE,
				     arch_request_reset, vm);
	ret = vm_add_device(vm, arch_destroy_i8042, vm->arch->kbc);
	if (ret == 0)
		ret = seat_add(&vm->seat, &ps2, vm->arch->kbc);
	if (ret == 0)
		ret = vm_add_device(vm, arch_leave_seat, vm);
	return ret;
}

static int arch_create_uarts(struct vm *vm)
{
	static const struct {
		const char *name;
		uint16_t port;
		unsigned int gsi;
	} uart[CONFIG_NR_TTYS] = {
		{"serial0", LAYOUT_COM1, LAYOUT_GSI_COM13},
		{"serial1", LAYOUT_COM2, LAYOUT_GSI_COM24},
		{"serial2", LAYOUT_COM3, LAYOUT_GSI_COM13},
		{"serial3", LAYOUT_COM4, LAYOUT_GSI_COM24},
	};
	int ret = 0;

	for (unsigned int i = 0; i < CONFIG_NR_TTYS && ret == 0; i++) {
		vm->arch->serial[i] = serial_create(uart[i].name, &vm->ioport, uart[i].port,
						    &vm->irq, uart[i].gsi, vm->tty[i]);
		ret = vm_add_device(vm, arch_destroy_serial, vm->arch->serial[i]);
	}
	return ret;
}

int arch_create_chips(struct vm *vm)
{
	static const struct acpi_pm_events events = {
		.soft_off = arch_request_soft_off,
		.reset = arch_request_reset,
		.panic = arch_report_panic,
	};
	int ret;

	ret = ports_create(vm);
	if (ret == 0)
		ret = arch_create_uarts(vm);
	if (ret == 0)
		ret = arch_create_i8042(vm);
	if (ret == 0)
		ret = vm_add_device(
			vm, arch_destroy_rtc,
			rtc_create(vm->loop, &vm->ioport, LAYOUT_RTC, 1, &vm->irq, LAYOUT_GSI_RTC));
	if (ret < 0 || vm->cfg->no_acpi)
		return ret;
	vm->arch->pm =
		acpi_pm_create(&vm->ioport, LAYOUT_ACPI_PM, &vm->irq, LAYOUT_GSI_SCI, &events, vm);
	return vm_add_device(vm, arch_destroy_acpi_pm, vm->arch->pm);
}

/* --- the kernel, and what it is told --- */

/* Parameters by which Linux is told to do without what replaces the PIT. */
static bool arch_cmdline_wants_pit(const char *cmdline)
{
	static const char *const words[] = {"noapic", "nolapic",     "nolapic_timer",
					    "lapic",  "no-kvmclock", "no-kvmclock-vsyscall",
					    "acpi"};

	for (unsigned int i = 0; i < ARRAY_SIZE(words); i++)
		if (cmdline_has(cmdline, words[i]))
			return true;
	return false;
}

/* Only of Linux is it known that it looks for better clocks first. */
static int arch_create_pit(struct vm *vm)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	struct arch_vm *arch = vm->arch;

	if (!vm->cfg->firmware && !vm->cfg->no_acpi && arch->boot.kernel.protocol == KERNEL_LINUX &&
	    cpuid_can_do_without_pit(arch->cpuid, arch->tsc_deadline) &&
	    !arch_cmdline_wants_pit(arch->cmdline))
		return ports_create_port_b(vm);

	if (ioctl(vm->vm_fd, KVM_CREATE_PIT2, &pit) < 0) {
		log_error("KVM_CREATE_PIT2: %m");
		return -errno;
	}
	arch->has_pit = true;
	return 0;
}

static int arch_write_acpi(struct vm *vm, uint64_t *rsdp)
{
	struct acpi_config cfg = {
		.nr_cpus = vm->cfg->nr_cpus,
		.io = vm->pci.io,
		.mem32 = vm->pci.mem32,
		.mem64 = vm->pci.mem64,
		.nr_virtio_mmio = vm->nr_virtio_mmio,
		.virtio_mmio = vm->virtio_mmio,
	};

	memcpy(cfg.intx_gsi, vm->pci.intx_gsi, sizeof(cfg.intx_gsi));
	memcpy(cfg.intx_pic, vm->pci.intx_line, sizeof(cfg.intx_pic));
	*rsdp = acpi_build(&cfg, guest_ptr(&vm->mem, LAYOUT_ACPI, LAYOUT_ACPI_SIZE),
			   LAYOUT_ACPI_SIZE, LAYOUT_ACPI);
	if (*rsdp)
		return 0;
	log_error("ACPI tables for %u vCPUs do not fit", vm->cfg->nr_cpus);
	return -ENOSPC;
}

static int arch_write_mptable(struct vm *vm)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(vm->arch->cpuid, 1, 0);

	if (mptable_build(vm->cfg->nr_cpus, e ? e->eax : 0, e ? e->edx : 0, vm->pci.intx_gsi,
			  guest_ptr(&vm->mem, LAYOUT_MPTABLE, LAYOUT_MPTABLE_SIZE),
			  LAYOUT_MPTABLE_SIZE, LAYOUT_MPTABLE))
		return 0;
	log_error("the MP table does not fit");
	return -ENOSPC;
}

static int arch_load_kernel(struct vm *vm)
{
	struct arch_vm *arch = vm->arch;
	struct vesa_mode mode;
	uint64_t rsdp = 0;
	int ret;

	arch->cmdline = cmdline_build(vm->cfg);
	if (vm->cfg->no_acpi)
		arch->cmdline = cmdline_add_virtio_mmio(arch->cmdline, vm->cfg, vm->virtio_mmio,
							vm->nr_virtio_mmio);
	if (!arch->cmdline)
		return -ENOMEM;
	log_debug("kernel command line: %s", arch->cmdline);
	ret = boot_load(&arch->boot, vm->cfg, &vm->kernel, &vm->initrd, arch->cmdline, &vm->mem);
	if (ret == 0)
		ret = vm->cfg->no_acpi ? arch_write_mptable(vm) : arch_write_acpi(vm, &rsdp);
	if (ret < 0)
		return ret;
	params_write(&arch->boot, &vm->mem, rsdp);
	if (vm->vesa)
		params_write_screen(&arch->boot, &vm->mem, vesa_framebuffer(vm->vesa, &mode),
				    &mode);
	regs_write_tables(&arch->boot.kernel.entry, &vm->mem);
	return 0;
}

int arch_load(struct vm *vm)
{
	int ret;

	if (vm->cfg->firmware) {
		vm->arch->boot.kernel.entry.mode = ENTRY_RESET;
		ret = firmware_load(&vm->arch->firmware, &vm->firmware, &vm->mem);
	} else {
		ret = arch_load_kernel(vm);
	}
	return ret < 0 ? ret : arch_create_pit(vm);
}

/* --- vCPUs --- */

static int arch_set_cpuid(struct vcpu *vcpu)
{
	const struct arch_vm *arch = vcpu->vm->arch;
	struct kvm_cpuid2 *cpuid;
	int ret;

	cpuid = calloc(1, sizeof(*cpuid) +
				  (arch->cpuid->nent + CPUID_EXTRA) * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return -ENOMEM;
	cpuid_for_vcpu(cpuid, arch->cpuid, vcpu->id, vcpu->vm->cfg->nr_cpus, arch->tsc_deadline);
	ret = ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0 ? -errno : 0;
	free(cpuid);
	return ret;
}

/* The first vCPU starts at the entry; the others wait for its INIT and SIPI, as KVM makes them. */
int arch_vcpu_init(struct vcpu *vcpu)
{
	const struct entry *entry = &vcpu->vm->arch->boot.kernel.entry;
	struct kvm_guest_debug step = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
	int ret;

	ret = arch_set_cpuid(vcpu);
	if (ret == 0 && entry->mode != ENTRY_RESET)
		ret = regs_init_firmware(vcpu->fd, vcpu->id == 0,
					 vcpu->vm->cfg->nr_cpus > X86_XAPIC_MAX_CPUS);
	if (ret == 0 && vcpu->id == 0)
		ret = regs_enter(vcpu->fd, entry);
	if (ret == 0 && vcpu->vm->cfg->debug_single_step &&
	    ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &step) < 0)
		ret = -errno;
	if (ret < 0)
		log_error("vCPU %u: set-up: %s", vcpu->id, strerror(-ret));
	return ret;
}

bool arch_vcpu_exit(struct vcpu *vcpu)
{
	if (vcpu->run->exit_reason != KVM_EXIT_DEBUG)
		return false;
	dump_step(vcpu, stderr);
	return true;
}

void arch_vcpu_dump(struct vcpu *vcpu, FILE *out)
{
	dump_vcpu(vcpu, out);
}

/* --- requests --- */

void arch_vm_pause(struct vm *vm)
{
	clock_hold(vm);
}

void arch_vm_resume(struct vm *vm)
{
	clock_release(vm);
}

int arch_power_button(struct vm *vm)
{
	return vm->arch->pm ? acpi_pm_power_button(vm->arch->pm) : -ENOTSUP;
}

/* An MSI can be sent while the vCPU runs; KVM_NMI would wait until it does not (KVM API §4.64). */
int arch_nmi(struct vm *vm, unsigned int cpu)
{
	struct kvm_msi msi = {
		.address_lo = LAYOUT_LAPIC | (cpu & 0xff) << 12,
		.address_hi = cpu & ~0xffu,
		.data = 0x400, /* delivery mode NMI (SDM vol. 3A §10.11.2) */
	};

	if (cpu >= vm->nr_vcpus)
		return -EINVAL;
	return ioctl(vm->vm_fd, KVM_SIGNAL_MSI, &msi) < 0 ? -errno : 0;
}

int arch_sysrq(struct vm *vm, char key)
{
	serial_sysrq(vm->arch->serial[0], key);
	return 0;
}
