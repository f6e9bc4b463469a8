// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ELF kernels: vmlinux, and others that have a PVH entry point (a note that names the address of
 * 32-bit code, Xen's docs/misc/pvh). Without the note an x86-64 file is taken for a vmlinux, which
 * starts like a bzImage that has unpacked itself.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"
#include "kvm/log.h"
#include "kvm/memory.h"
#include "kvm/util.h"
#include "layout.h"

#define ELF_NOTE_PHYS32_ENTRY 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
#define ELF_MAX_NOTES	      (64 * KIB)
#define ELF_CMDLINE_MAX	      2047 /* COMMAND_LINE_SIZE - 1 of x86 Linux */

/* Both classes as one: Elf64 headers, converted when the file's are 32-bit. */
struct elf {
	const struct kernel_file *file;
	Elf64_Ehdr ehdr;
	Elf64_Phdr *phdr;
};

bool elf_probe(const struct kernel_file *file)
{
	return file->head_size >= SELFMAG && memcmp(file->head, ELFMAG, SELFMAG) == 0;
}

static int elf_bad(const struct elf *elf, const char *why)
{
	log_error("kernel %s: %s", elf->file->path, why);
	return -ENOEXEC;
}

static void elf_widen_ehdr(Elf64_Ehdr *to, const Elf32_Ehdr *from)
{
	*to = (Elf64_Ehdr){
		.e_machine = from->e_machine,
		.e_entry = from->e_entry,
		.e_phoff = from->e_phoff,
		.e_phentsize = from->e_phentsize,
		.e_phnum = from->e_phnum,
	};
	memcpy(to->e_ident, from->e_ident, EI_NIDENT);
}

static void elf_widen_phdr(Elf64_Phdr *to, const Elf32_Phdr *from)
{
	*to = (Elf64_Phdr){
		.p_type = from->p_type,
		.p_offset = from->p_offset,
		.p_paddr = from->p_paddr,
		.p_filesz = from->p_filesz,
		.p_memsz = from->p_memsz,
	};
}

static int elf_read_ehdr(struct elf *elf)
{
	const uint8_t *head = elf->file->head;
	Elf32_Ehdr ehdr32;

	if (elf->file->head_size < sizeof(elf->ehdr))
		return elf_bad(elf, "truncated");
	if (head[EI_DATA] != ELFDATA2LSB)
		return elf_bad(elf, "not for x86");
	if (head[EI_CLASS] == ELFCLASS64) {
		memcpy(&elf->ehdr, head, sizeof(elf->ehdr));
	} else {
		memcpy(&ehdr32, head, sizeof(ehdr32));
		elf_widen_ehdr(&elf->ehdr, &ehdr32);
	}
	if (elf->ehdr.e_machine != EM_X86_64 && elf->ehdr.e_machine != EM_386)
		return elf_bad(elf, "not for x86");
	if (elf->ehdr.e_phnum == 0)
		return elf_bad(elf, "no program headers: not a linked kernel");
	return 0;
}

static int elf_read_phdrs(struct elf *elf)
{
	bool wide = elf->ehdr.e_ident[EI_CLASS] == ELFCLASS64;
	size_t entry = wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr), n = elf->ehdr.e_phnum;
	uint8_t *raw;
	int ret;

	if (elf->ehdr.e_phentsize != entry)
		return elf_bad(elf, "program headers of unknown size");
	if (!range_contains(0, elf->file->size, elf->ehdr.e_phoff, n * entry))
		return elf_bad(elf, "truncated");
	raw = malloc(n * entry);
	elf->phdr = calloc(n, sizeof(*elf->phdr));
	ret = raw && elf->phdr ? pread_full(elf->file->fd, raw, n * entry, elf->ehdr.e_phoff)
			       : -ENOMEM;
	for (size_t i = 0; ret == 0 && i < n; i++) {
		if (wide)
			memcpy(&elf->phdr[i], raw + i * entry, entry);
		else
			elf_widen_phdr(&elf->phdr[i], (const Elf32_Phdr *)(raw + i * entry));
	}
	free(raw);
	if (ret < 0)
		log_error("kernel %s: %s", elf->file->path, strerror(-ret));
	return ret;
}

/* Memory behind p_filesz is zero: RAM is new. */
static int elf_load_segments(const struct elf *elf, const struct memory *mem, uint64_t *end)
{
	int ret;

	*end = 0;
	for (unsigned int i = 0; i < elf->ehdr.e_phnum; i++) {
		const Elf64_Phdr *p = &elf->phdr[i];

		if (p->p_type != PT_LOAD || p->p_memsz == 0)
			continue;
		if (p->p_filesz > p->p_memsz)
			return elf_bad(elf, "broken program header");
		if (p->p_paddr < LAYOUT_HIGH_RAM)
			return elf_bad(elf, "wants to be loaded below 1 MiB");
		if (!range_contains(0, mem->bank[0].size, p->p_paddr, p->p_memsz)) {
			log_error("kernel %s: needs RAM up to 0x%" PRIx64, elf->file->path,
				  p->p_paddr + p->p_memsz);
			return -ENOMEM;
		}
		ret = kernel_read(elf->file, mem, p->p_paddr, p->p_filesz, p->p_offset);
		if (ret < 0)
			return ret;
		*end = MAX(*end, p->p_paddr + p->p_memsz);
	}
	return *end ? 0 : elf_bad(elf, "nothing to load");
}

/* The PVH entry among the notes in buf, or 0. All numbers come from the file. */
static uint64_t elf_scan_notes(const uint8_t *buf, uint64_t size)
{
	for (uint64_t off = 0; range_contains(0, size, off, sizeof(Elf64_Nhdr));) {
		Elf64_Nhdr note; /* the same in both classes */
		uint64_t name = off + sizeof(note), desc;

		memcpy(&note, buf + off, sizeof(note));
		desc = name + ALIGN_UP((uint64_t)note.n_namesz, 4);
		if (!range_contains(0, size, desc, note.n_descsz))
			return 0;
		if (note.n_type == ELF_NOTE_PHYS32_ENTRY && note.n_namesz == 4 &&
		    memcmp(buf + name, "Xen", 4) == 0 && note.n_descsz >= 4)
			return le_load(buf + desc, 4);
		off = desc + ALIGN_UP((uint64_t)note.n_descsz, 4);
	}
	return 0;
}

static int elf_find_pvh(const struct elf *elf, uint64_t *entry)
{
	*entry = 0;
	for (unsigned int i = 0; i < elf->ehdr.e_phnum && !*entry; i++) {
		const Elf64_Phdr *p = &elf->phdr[i];
		uint8_t *buf;
		int ret;

		if (p->p_type != PT_NOTE || p->p_filesz > ELF_MAX_NOTES)
			continue;
		if (!range_contains(0, elf->file->size, p->p_offset, p->p_filesz))
			return elf_bad(elf, "truncated");
		buf = malloc(p->p_filesz + 1);
		ret = buf ? pread_full(elf->file->fd, buf, p->p_filesz, p->p_offset) : -ENOMEM;
		if (ret == 0)
			*entry = elf_scan_notes(buf, p->p_filesz);
		free(buf);
		if (ret < 0) {
			log_error("kernel %s: %s", elf->file->path, strerror(-ret));
			return ret;
		}
	}
	return 0;
}

/* What a bzImage would have said of itself. */
static void elf_set_linux(struct kernel *kernel, uint64_t entry)
{
	kernel->protocol = KERNEL_LINUX;
	kernel->entry = (struct entry){.mode = ENTRY_LONG, .rip = entry, .rsi = LAYOUT_BOOT_PARAMS};
	kernel->hdr = (struct setup_header){
		.boot_flag = 0xaa55,
		.header = 0x53726448,
		.version = 0x020c,
		.loadflags = LOADED_HIGH,
		.kernel_alignment = 0x1000000,
		.cmdline_size = ELF_CMDLINE_MAX,
	};
	kernel->initrd_end = UINT64_MAX;
}

int elf_load_vmlinux(const struct kernel_file *file, const struct memory *mem, uint64_t *end,
		     uint64_t *entry)
{
	struct elf elf = {.file = file};
	int ret;

	ret = elf_read_ehdr(&elf);
	if (ret == 0)
		ret = elf_read_phdrs(&elf);
	if (ret == 0)
		ret = elf_load_segments(&elf, mem, end);
	if (ret == 0)
		*entry = elf.ehdr.e_entry;
	free(elf.phdr);
	return ret;
}

int elf_load(const struct kernel_file *file, const struct memory *mem, struct kernel *kernel)
{
	struct elf elf = {.file = file};
	uint64_t pvh = 0;
	int ret;

	ret = elf_read_ehdr(&elf);
	if (ret == 0)
		ret = elf_read_phdrs(&elf);
	if (ret == 0)
		ret = elf_load_segments(&elf, mem, &kernel->end);
	if (ret == 0)
		ret = elf_find_pvh(&elf, &pvh);
	if (ret < 0)
		goto out;

	kernel->cmdline_max = ELF_CMDLINE_MAX;
	if (pvh) {
		kernel->protocol = KERNEL_PVH;
		kernel->entry = (struct entry){
			.mode = ENTRY_PROTECTED, .rip = pvh, .rbx = LAYOUT_START_INFO};
		kernel->initrd_end = LAYOUT_4G; /* its code starts with 32-bit pointers */
	} else if (elf.ehdr.e_machine == EM_X86_64) {
		elf_set_linux(kernel, elf.ehdr.e_entry);
	} else {
		ret = elf_bad(&elf, "a 32-bit ELF file without a PVH entry; use its bzImage");
	}
out:
	free(elf.phdr);
	return ret;
}
