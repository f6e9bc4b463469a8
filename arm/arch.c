// SPDX-License-Identifier: GPL-2.0-or-later
/* The arm64 machine: what is wired to what. Addresses and numbers stand in layout.h. */
#include "kvm/arch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libfdt.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "arm.h"
#include "kvm/cfi-flash.h"
#include "kvm/log.h"
#include "kvm/pl061.h"
#include "kvm/rtc.h"
#include "kvm/serial.h"
#include "kvm/util.h"
#include "kvm/vcpu.h"
#include "kvm/vesa.h"
#include "kvm/virtio-mmio.h"
#include "kvm/vm.h"
#include "layout.h"

const char arch_kernel_image[] = "arch/arm64/boot/Image";

int arch_check_config(const struct vm_config *cfg)
{
	if (cfg->arch->aarch32 && cfg->arch->nested) {
		log_error("--aarch32 and --nested exclude each other");
		return -EINVAL;
	}
	if (cfg->arch->e2h0 && !cfg->arch->nested) {
		log_error("--e2h0: there is no --nested");
		return -EINVAL;
	}
	/* What is chosen where none is named is a GICv3: no KVM without one has EL2 for guests. */
	if (cfg->arch->nested && cfg->arch->irqchip && !gic_is_v3(cfg->arch->irqchip)) {
		log_error(
			"--nested and --irqchip %s exclude each other: a guest's EL2 takes a GICv3",
			gic_name(cfg->arch->irqchip));
		return -EINVAL;
	}
	if (cfg->arch->firmware_address && !cfg->firmware) {
		log_error("--firmware-address: there is no --firmware");
		return -EINVAL;
	}
	return space_check(cfg);
}

int arch_open(struct vm *vm)
{
	const struct arch_config *cfg = vm->cfg->arch;
	struct arch_files *files = calloc(1, sizeof(*files));
	int ret;

	if (!files)
		return -ENOMEM;
	vm->arch_files = files;
	files->dtb_fd = -1;
	if (cfg->flash) {
		ret = cfi_file_open(&files->flash, cfg->flash, LAYOUT_FLASH_MAX_SIZE);
		if (ret < 0)
			return ret;
	}
	if (!cfg->dump_dtb)
		return 0;
	files->dtb_fd = open(cfg->dump_dtb, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (files->dtb_fd >= 0)
		return 0;
	ret = -errno;
	log_error("--dump-dtb %s: %s", cfg->dump_dtb, strerror(-ret));
	return ret;
}

void arch_close(struct vm *vm)
{
	struct arch_files *files = vm->arch_files;

	if (!files)
		return;
	cfi_file_close(&files->flash);
	if (files->dtb_fd >= 0)
		close(files->dtb_fd);
	free(files);
	vm->arch_files = NULL;
}

int arch_vm_type(int kvm_fd, const struct vm_config *cfg, unsigned long *type)
{
	return space_vm_type(kvm_fd, cfg, type);
}

/* --- birth and death --- */

static void arch_enable(struct vm *vm, unsigned int cap)
{
	struct kvm_enable_cap args = {.cap = cap};

	if (ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, cap) > 0)
		ioctl(vm->vm_fd, KVM_ENABLE_CAP, &args);
}

int arch_vm_init(struct vm *vm)
{
	struct arch_vm *arch = calloc(1, sizeof(*arch));
	int ret;

	if (!arch)
		return -ENOMEM;
	vm->arch = arch;
	arch->gic_fd = arch->its_fd = -1;
	arch->ram = space_ram(vm->cfg);
	arch->mem64 = space_mem64(vm->kvm_fd, vm->cfg);
	arch_enable(vm, KVM_CAP_ARM_SYSTEM_SUSPEND);
	arch_enable(vm, KVM_CAP_ARM_NISV_TO_USER);
	mte_enable(vm);
	ret = cpu_check(vm);
	if (ret == 0)
		ret = memory_add_ram(&vm->mem, arch->ram, vm->cfg->ram_size, vm->cfg->hugetlbfs);
	if (ret == 0)
		ret = gic_create(vm);
	if (ret == 0)
		ret = pvtime_create(vm);
	if (ret < 0)
		arch_vm_fini(vm);
	return ret;
}

void arch_vm_fini(struct vm *vm)
{
	gic_destroy(vm); /* the VM may be closed, but for this */
	pvtime_destroy(vm);
	free(vm->arch->cmdline);
	free(vm->arch);
	vm->arch = NULL;
}

/* --- devices --- */

int arch_pci_init(struct vm *vm)
{
	struct pci *pci = &vm->pci;

	/* Port 0 makes a BAR look as if it had no address. */
	pci->io = (struct pci_window){.base = LAYOUT_PCI_IO + 0x1000,
				      .size = LAYOUT_PCI_IO_SIZE - 0x1000};
	pci->mem32 = (struct pci_window){.base = LAYOUT_PCI_MEM32, .size = LAYOUT_PCI_MEM32_SIZE};
	pci->mem64 = vm->arch->mem64;
	for (unsigned int i = 0; i < 4; i++) {
		pci->intx_gsi[i] = LAYOUT_SPI_INTX + i;
		pci->intx_line[i] = LAYOUT_SPI_BASE + LAYOUT_SPI_INTX + i;
	}
	vm->nr_virtio_mmio_places = LAYOUT_NR_VIRTIO_MMIO;
	for (unsigned int i = 0; i < LAYOUT_NR_VIRTIO_MMIO; i++)
		vm->virtio_mmio[i] = (struct virtio_mmio_place){
			.base = LAYOUT_VIRTIO_MMIO + i * VIRTIO_MMIO_SIZE,
			.gsi = LAYOUT_SPI_VIRTIO + i,
		};
	/* Ports are memory here. */
	if (!bus_insert(&vm->mmio, "pci-io", LAYOUT_PCI_IO, LAYOUT_PCI_IO_SIZE, &bus_window_ops,
			&vm->ioport))
		return -errno;
	return pci_add_ecam(pci, LAYOUT_ECAM);
}

static void arch_destroy_serial(void *dev)
{
	serial_destroy(dev);
}

static void arch_destroy_rtc(void *dev)
{
	rtc_destroy(dev);
}

static void arch_destroy_gpio(void *dev)
{
	pl061_destroy(dev);
}

static void arch_destroy_flash(void *dev)
{
	cfi_flash_destroy(dev);
}

static int arch_create_uart(struct vm *vm, unsigned int i)
{
	static const char *const names[CONFIG_NR_TTYS] = {"ttyS0", "ttyS1", "ttyS2", "ttyS3"};
	struct fdt_device *node = &vm->arch->fdt.uart[i];

	*node = (struct fdt_device){.base = LAYOUT_UART + i * LAYOUT_UART_STRIDE,
				    .size = SERIAL_SIZE,
				    .spi = LAYOUT_SPI_UART + i};
	vm->arch->serial[i] =
		serial_create(names[i], &vm->mmio, node->base, &vm->irq, node->spi, vm->tty[i]);
	return vm_add_device(vm, arch_destroy_serial, vm->arch->serial[i]);
}

static int arch_create_rtc(struct vm *vm)
{
	struct fdt_device *node = &vm->arch->fdt.rtc;

	*node = (struct fdt_device){.base = LAYOUT_RTC, .size = 2, .spi = LAYOUT_SPI_RTC};
	return vm_add_device(vm, arch_destroy_rtc,
			     rtc_create(vm->loop, &vm->mmio, node->base, 1, &vm->irq, node->spi));
}

static int arch_create_gpio(struct vm *vm)
{
	struct fdt_device *node = &vm->arch->fdt.gpio;

	*node = (struct fdt_device){
		.base = LAYOUT_GPIO, .size = PL061_SIZE, .spi = LAYOUT_SPI_GPIO};
	vm->arch->gpio = pl061_create(vm->loop, &vm->mmio, node->base, &vm->irq, node->spi);
	return vm_add_device(vm, arch_destroy_gpio, vm->arch->gpio);
}

static int arch_create_flash(struct vm *vm)
{
	struct cfi_flash *flash =
		cfi_flash_create(&vm->mmio, &vm->mem, LAYOUT_FLASH, &vm->arch_files->flash);

	if (flash)
		vm->arch->fdt.flash =
			(struct fdt_device){.base = LAYOUT_FLASH, .size = cfi_flash_size(flash)};
	return vm_add_device(vm, arch_destroy_flash, flash);
}

int arch_create_chips(struct vm *vm)
{
	int ret = 0;

	for (unsigned int i = 0; i < CONFIG_NR_TTYS && ret == 0; i++)
		ret = arch_create_uart(vm, i);
	if (ret == 0)
		ret = arch_create_rtc(vm);
	if (ret == 0)
		ret = arch_create_gpio(vm);
	if (ret == 0 && vm->cfg->arch->flash)
		ret = arch_create_flash(vm);
	return ret;
}

/* --- the guest's software, and what it is told --- */

int arch_load(struct vm *vm)
{
	return boot_load(vm);
}

static int arch_dump_dtb(int fd, const char *path, const void *dtb)
{
	int ret;

	/* Again from the start, unless it is a pipe. */
	if (lseek(fd, 0, SEEK_SET) == 0)
		(void)!ftruncate(fd, 0);
	ret = write_full(fd, dtb, fdt_totalsize(dtb));
	if (ret < 0)
		log_error("--dump-dtb %s: %s", path, strerror(-ret));
	return ret;
}

static int arch_random(void *buf, size_t len)
{
	if (getrandom(buf, len, 0) == (ssize_t)len)
		return 0;
	log_error("random numbers for the guest: %m");
	return -EIO;
}

/* Everything exists by now: the device tree describes it. */
static int arch_describe(struct vm *vm)
{
	const struct arch_config *cfg = vm->cfg->arch;
	struct fdt_machine *m = &vm->arch->fdt;
	void *dtb = guest_ptr(&vm->mem, vm->arch->boot.dtb, LAYOUT_FDT_SIZE);
	uint64_t *mpidr = calloc(vm->nr_vcpus, sizeof(*mpidr));
	int ret = mpidr ? 0 : -ENOMEM;

	for (unsigned int i = 0; i < vm->nr_vcpus && ret == 0; i++)
		ret = cpu_mpidr(&vm->vcpu[i], &mpidr[i]);
	m->cmdline = vm->arch->cmdline;
	m->ram = vm->arch->ram;
	m->ram_size = vm->cfg->ram_size;
	m->initrd = vm->arch->boot.initrd;
	m->initrd_size = vm->arch->boot.initrd_size;
	m->nr_cpus = vm->nr_vcpus;
	m->mpidr = mpidr;
	m->pmu = cfg->pmu;
	m->nested = cfg->nested;
	m->timer_hz = cfg->timer_hz;
	m->gic = vm->arch->gic;
	m->nr_virtio_mmio = vm->nr_virtio_mmio;
	for (unsigned int i = 0; i < vm->nr_virtio_mmio; i++)
		m->virtio_mmio[i] = (struct fdt_device){.base = vm->virtio_mmio[i].base,
							.size = VIRTIO_MMIO_SIZE,
							.spi = vm->virtio_mmio[i].gsi};
	m->mem64 = vm->arch->mem64.base;
	m->mem64_size = vm->arch->mem64.size;
	/* Firmware gives BARs places of its own, and finds the display by its driver. */
	if (vm->vesa && !vm->cfg->firmware)
		m->screen = vesa_framebuffer(vm->vesa, &m->screen_mode);
	if (ret == 0)
		ret = arch_random(&m->kaslr_seed, sizeof(m->kaslr_seed));
	if (ret == 0)
		ret = arch_random(m->rng_seed, sizeof(m->rng_seed));
	if (cfg->have_kaslr_seed)
		m->kaslr_seed = cfg->kaslr_seed;
	if (ret == 0) {
		ret = fdt_build(m, dtb, LAYOUT_FDT_SIZE);
		if (ret < 0)
			log_error("device tree: larger than %llu KiB", LAYOUT_FDT_SIZE / 1024);
	}
	if (ret == 0 && cfg->dump_dtb)
		ret = arch_dump_dtb(vm->arch_files->dtb_fd, cfg->dump_dtb, dtb);
	free(mpidr);
	return ret;
}

int arch_vcpu_init(struct vcpu *vcpu)
{
	return cpu_init(vcpu);
}

int arch_vm_ready(struct vm *vm)
{
	int ret = gic_start(vm);

	for (unsigned int i = 0; i < vm->nr_vcpus && ret == 0; i++) {
		ret = cpu_start(&vm->vcpu[i]);
		if (ret == 0)
			ret = pvtime_start(&vm->vcpu[i]);
	}
	return ret < 0 ? ret : arch_describe(vm);
}

/* --- while it runs --- */

bool arch_vcpu_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_SYSTEM_EVENT:
		return suspend_exit(vcpu);
	case KVM_EXIT_ARM_NISV:
		log_guest("vCPU %u: the guest accessed a device at 0x%" PRIx64
			  " by an instruction of "
			  "which the CPU does not tell what it did (a pair, a vector, write-back)",
			  vcpu->id, (uint64_t)vcpu->run->arm_nisv.fault_ipa);
		return cpu_abort(vcpu) == 0;
	case KVM_EXIT_DEBUG:
		fprintf(stderr, "vCPU %u: step at 0x%" PRIx64 "\n", vcpu->id, cpu_pc(vcpu));
		return true;
	default:
		return false;
	}
}

void arch_vcpu_dump(struct vcpu *vcpu, FILE *out)
{
	dump_vcpu(vcpu, out);
}

/* The virtual counter is one for all vCPUs; setting it back hides the pause. */
void arch_vm_pause(struct vm *vm)
{
	vm->arch->clock_held =
		cpu_get_reg(&vm->vcpu[0], KVM_REG_ARM_TIMER_CNT, &vm->arch->clock) == 0;
}

void arch_vm_resume(struct vm *vm)
{
	if (vm->arch->clock_held &&
	    cpu_set_reg(&vm->vcpu[0], KVM_REG_ARM_TIMER_CNT, vm->arch->clock) < 0)
		log_warning("the guest's clock could not be set back by the time of the pause");
	vm->arch->clock_held = false;
}

int arch_power_button(struct vm *vm)
{
	return pl061_press(vm->arch->gpio, LAYOUT_GPIO_POWER);
}

int arch_nmi(struct vm *vm, unsigned int cpu)
{
	(void)vm;
	(void)cpu;
	return -ENOTSUP;
}

int arch_sysrq(struct vm *vm, char key)
{
	serial_sysrq(vm->arch->serial[0], key);
	return 0;
}
