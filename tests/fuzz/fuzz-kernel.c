// SPDX-License-Identifier: GPL-2.0-or-later
/* links: util/boot-file.c x86/bzimage.c x86/elf.c x86/flat.c x86/boot.c x86/params.c x86/cmdline.c x86/layout.c memory.c util/cache.c util/unpack.c util/util.c util/log.c */
/*
 * Kernel images under a fuzzer: a sound bzImage or ELF file with some of its bytes changed, or just
 * any bytes, cut off somewhere, for a guest of some size. What a loader accepts must lie in RAM.
 */
#include <elf.h>
#include <stddef.h>

#include "../../x86/boot.h"
#include "../unit/x86-mem.h"
#include "kvm/log.h"

#define FUZZ_FILE 0x3000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_bzimage(uint8_t *file)
{
	const struct setup_header hdr = {
		.setup_sects = 3,
		.syssize = 0x100,
		.boot_flag = 0xaa55,
		.header = 0x53726448,
		.jump = 0x6aeb,
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047,
		.pref_address = 0x1000000,
		.init_size = 0x800000,
	};

	memcpy(file + 0x1f1, &hdr, sizeof(hdr));
}

static void fuzz_elf(uint8_t *file)
{
	const Elf64_Ehdr ehdr = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_entry = 0x1000010,
		.e_phoff = sizeof(ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2,
	};
	const Elf64_Phdr phdr[2] = {
		{.p_type = PT_LOAD,
		 .p_offset = 0x200,
		 .p_vaddr = 0xffffffff81000000,
		 .p_paddr = 0x1000000,
		 .p_filesz = 0x100,
		 .p_memsz = 0x10000},
		{.p_type = PT_NOTE, .p_offset = 0x180, .p_filesz = 24},
	};
	/* A note that names the PVH entry. */
	const struct {
		Elf64_Nhdr head;
		char name[4];
		uint64_t entry;
	} __attribute__((packed)) note = {{4, 8, 18}, "Xen", 0x1000020};

	memcpy(file, &ehdr, sizeof(ehdr));
	memcpy(file + sizeof(ehdr), phdr, sizeof(phdr));
	memcpy(file + 0x180, &note, sizeof(note));
}

static void fuzz_load(const struct kernel_file *file, const struct memory *mem, uint64_t ram)
{
	struct boot boot = {.cmdline = "console=ttyS0"};
	struct kernel *kernel = &boot.kernel;
	int ret;

	if (bzimage_probe(file))
		ret = bzimage_load(file, mem, kernel);
	else if (elf_probe(file))
		ret = elf_load(file, mem, kernel);
	else
		ret = flat_load(file, mem, kernel);
	if (ret)
		return;
	if (kernel->end > ram && kernel->end > layout_low_ram(ram))
		abort();
	boot.initrd_size = 0x1000;
	boot.initrd = boot_place_initrd(mem, kernel, boot.initrd_size);
	if (boot.initrd && !guest_ptr(mem, boot.initrd, boot.initrd_size))
		abort();
	params_write(&boot, mem, 0);
}

/* size of RAM, format, where the file ends; then offset and byte, again and again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t rams[] = {1, 2, 17, 24, 32, 256, 3000, 5000};
	static uint8_t image[FUZZ_FILE];
	struct kernel_file file;
	struct memory mem;
	uint64_t ram;

	if (size < 4)
		return 0;
	log_set_level(-1);
	memset(image, 0, sizeof(image));
	if (data[1] % 3 == 0)
		fuzz_bzimage(image);
	else if (data[1] % 3 == 1)
		fuzz_elf(image);
	for (size_t i = 4; i + 2 < size; i += 3)
		image[(data[i] << 8 | data[i + 1]) % FUZZ_FILE] = data[i + 2];
	ram = rams[data[0] % ARRAY_SIZE(rams)] * MIB;
	mem_init(&mem, ram);
	file_init(&file, image, sizeof(image),
		  data[2] < 128 ? FUZZ_FILE : (data[2] << 8 | data[3]) % FUZZ_FILE);
	file.unpack = data[1] & 0x80;
	fuzz_load(&file, &mem, ram);
	file_fini(&file);
	mem_fini(&mem);
	return 0;
}
