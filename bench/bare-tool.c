// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bare-tool [-p] [-c CPUS] IMAGE [COMMAND LINE]: the floor of all VMMs, no more than a loop around KVM_RUN.
 * IMAGE is firmware, or an ELF kernel that starts by PVH; it ends this by a reset or by soft-off. -p
 * asks KVM for what a PC has: RAM, interrupt controllers, routes, a timer (always so with a kernel).
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

#define RAM_SIZE     (64u << 20)
#define START_INFO   0x7000
#define COMMAND_LINE 0x7100
#define MAX_CPUS     2
#define MAX_CPUID    256

#define START_MAGIC   0x336ec578 /* struct hvm_start_info, Xen's arch-x86/hvm/start_info.h */
#define PHYS32_ENTRY  18	 /* the note's type */
#define PM_TIMER_HZ   3579545
#define PORT_COM1     0x3f8
#define PORT_COM1_LSR 0x3fd
#define PORT_I8042    0x64
#define PORT_PM_CNT   0x604
#define PORT_PM_TIMER 0x608

static int kvm, vm;
static uint8_t *ram;
static struct kvm_run *runs[MAX_CPUS];
static int vcpus[MAX_CPUS];

static int check(int ret, const char *what)
{
	if (ret < 0)
		die(what);
	return ret;
}

static void map(uint32_t slot, uint64_t gpa, uint64_t size, void *hva)
{
	struct kvm_userspace_memory_region region = {.slot = slot,
						     .guest_phys_addr = gpa,
						     .memory_size = size,
						     .userspace_addr = (uintptr_t)hva};

	check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "memory");
}

static void *map_anonymous(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	check(p == MAP_FAILED ? -1 : 0, "mmap");
	return p;
}

/* --- exits --- */

static uint32_t pm_timer(void)
{
	return (uint64_t)(now() * PM_TIMER_HZ);
}

static _Noreturn void end(int status)
{
	fflush(stdout);
	_exit(status);
}

static void port_exit(struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	bool out = run->io.direction == KVM_EXIT_IO_OUT;
	uint32_t val;

	switch (run->io.port) {
	case PORT_I8042:
		if (out)
			end(0);
		*data = 0;
		break;
	case PORT_COM1:
		if (out)
			putchar(*data);
		break;
	case PORT_COM1_LSR:
		*data = 0x60;
		break;
	case PORT_PM_CNT:
		end(0);
		break;
	case PORT_PM_TIMER:
		val = pm_timer() & 0xffffff;
		memcpy(data, &val, run->io.size);
		break;
	}
}

static void *vcpu_loop(void *arg)
{
	unsigned int cpu = (uintptr_t)arg;
	struct kvm_run *run = runs[cpu];
	int fd = vcpus[cpu];

	for (;;) {
		/* Another CPU that has been started says so by EAGAIN. */
		if (ioctl(fd, KVM_RUN, 0) < 0) {
			check(errno == EAGAIN ? 0 : -1, "KVM_RUN");
			continue;
		}
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			port_exit(run);
			break;
		case KVM_EXIT_MMIO:
			break;
		case KVM_EXIT_SHUTDOWN:
			end(0);
			break;
		default:
			fprintf(stderr, "exit reason %u\n", run->exit_reason);
			end(1);
		}
	}
}

/* --- the kernel --- */

static uint32_t load_elf(const uint8_t *image)
{
	const Elf64_Ehdr *ehdr = (const void *)image;
	const Elf64_Phdr *ph = (const void *)(image + ehdr->e_phoff);
	uint32_t entry = 0;

	for (unsigned int i = 0; i < ehdr->e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD)
			memcpy(ram + ph[i].p_paddr, image + ph[i].p_offset, ph[i].p_filesz);
		if (ph[i].p_type != PT_NOTE)
			continue;
		for (uint64_t at = 0; at < ph[i].p_filesz;) {
			const Elf64_Nhdr *note = (const void *)(image + ph[i].p_offset + at);

			at += sizeof(*note) + ((note->n_namesz + 3) & ~3u);
			if (note->n_type == PHYS32_ENTRY)
				memcpy(&entry, image + ph[i].p_offset + at, sizeof(entry));
			at += (note->n_descsz + 3) & ~3u;
		}
	}
	check(entry ? 0 : -1, "no PVH entry");
	return entry;
}

/* 32-bit protected mode, flat, ebx = start info. */
static void enter(uint32_t entry, const char *words)
{
	struct kvm_segment code = {.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1};
	struct kvm_regs regs = {.rip = entry, .rbx = START_INFO, .rflags = 2};
	uint32_t info[14] = {START_MAGIC, 1};
	struct kvm_segment data;
	struct kvm_sregs sregs;

	info[6] = COMMAND_LINE;
	memcpy(ram + START_INFO, info, sizeof(info));
	strcpy((char *)ram + COMMAND_LINE, words);
	check(ioctl(vcpus[0], KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	code.db = code.s = code.g = 1;
	data = code;
	data.type = 3;
	data.selector = 16;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.ss = data;
	sregs.cr0 |= 1;
	check(ioctl(vcpus[0], KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	check(ioctl(vcpus[0], KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

static void set_cpuid(int fd)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[MAX_CPUID];
	} cpuid;

	cpuid.head.nent = MAX_CPUID;
	check(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid), "KVM_GET_SUPPORTED_CPUID");
	check(ioctl(fd, KVM_SET_CPUID2, &cpuid), "KVM_SET_CPUID2");
}

/* --- life --- */

static void create_pc(void)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry pins[24];
	} routes = {.head.nr = 24};
	struct kvm_pit_config pit = {.flags = 0};

	check(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000ul), "KVM_SET_TSS_ADDR");
	check(ioctl(vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
	for (unsigned int i = 0; i < 24; i++) {
		routes.pins[i].gsi = i;
		routes.pins[i].type = KVM_IRQ_ROUTING_IRQCHIP;
		routes.pins[i].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		routes.pins[i].u.irqchip.pin = i;
	}
	check(ioctl(vm, KVM_SET_GSI_ROUTING, &routes), "KVM_SET_GSI_ROUTING");
	check(ioctl(vm, KVM_CREATE_PIT2, &pit), "KVM_CREATE_PIT2");
}

static const uint8_t *read_image(const char *path, size_t *size)
{
	int fd = check(open(path, O_RDONLY | O_CLOEXEC), path);
	struct stat st;
	void *p;

	check(fstat(fd, &st), path);
	*size = st.st_size;
	p = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	check(p == MAP_FAILED ? -1 : 0, path);
	close(fd);
	return p;
}

int main(int argc, char **argv)
{
	unsigned int nr_cpus = 1;
	bool pc = false, kernel;
	const uint8_t *image;
	pthread_t thread;
	size_t size;
	int opt;

	while ((opt = getopt(argc, argv, "pc:")) != -1) {
		if (opt == 'p')
			pc = true;
		else
			nr_cpus = opt == 'c' ? strtoul(optarg, NULL, 10) : 0;
	}
	if (optind >= argc || nr_cpus < 1 || nr_cpus > MAX_CPUS) {
		fprintf(stderr, "usage: bare-tool [-p] [-c CPUS] IMAGE [COMMAND LINE]\n");
		return 2;
	}
	image = read_image(argv[optind], &size);
	kernel = !memcmp(image, ELFMAG, SELFMAG);
	kvm = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	vm = check(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	if (pc || kernel) {
		ram = map_anonymous(RAM_SIZE);
		map(0, 0, RAM_SIZE, ram);
	}
	if (!kernel)
		map(1, (UINT64_C(1) << 32) - size, size, (void *)image);
	if (pc || kernel)
		create_pc();
	for (unsigned int i = 0; i < nr_cpus; i++) {
		vcpus[i] = check(ioctl(vm, KVM_CREATE_VCPU, i), "KVM_CREATE_VCPU");
		runs[i] = mmap(NULL, check(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "size"),
			       PROT_READ | PROT_WRITE, MAP_SHARED, vcpus[i], 0);
		check(runs[i] == MAP_FAILED ? -1 : 0, "kvm_run");
		if (pc || kernel)
			set_cpuid(vcpus[i]);
	}
	if (kernel)
		enter(load_elf(image), optind + 1 < argc ? argv[optind + 1] : "");
	if (nr_cpus > 1)
		pthread_create(&thread, NULL, vcpu_loop, (void *)1);
	vcpu_loop(NULL);
	return 0;
}
