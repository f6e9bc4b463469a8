// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/cfi-flash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/util.h"

#define CFI_WIDTH	 4 /* bytes of the bus: a 16-bit word of each of two chips */
#define CFI_NR_CHIPS	 2
#define CFI_BUFFER_SHIFT 7 /* of both chips */
#define CFI_BUFFER_SIZE	 (1u << CFI_BUFFER_SHIFT)

/* Commands (28F128J3 data sheet, "Command Bus Operations"); the same to both chips at once. */
#define CFI_PROGRAM_ALT	   0x10
#define CFI_ERASE	   0x20
#define CFI_PROGRAM	   0x40
#define CFI_CLEAR_STATUS   0x50
#define CFI_LOCK	   0x60
#define CFI_READ_STATUS	   0x70
#define CFI_READ_ID	   0x90
#define CFI_READ_QUERY	   0x98
#define CFI_CONFIRM	   0xd0 /* also: unlock, resume */
#define CFI_LOCK_SET	   0x01
#define CFI_BUFFER_PROGRAM 0xe8
#define CFI_READ_ARRAY	   0xff

#define CFI_STATUS_LOCKED  0x02
#define CFI_STATUS_PROGRAM 0x10 /* failed */
#define CFI_STATUS_ERASE   0x20 /* failed; with the one above: a bad sequence of commands */
#define CFI_STATUS_READY   0x80

#define CFI_MANUFACTURER 0x89 /* Intel */
#define CFI_DEVICE	 0x18

enum cfi_reads { CFI_READS_ARRAY, CFI_READS_STATUS, CFI_READS_ID, CFI_READS_QUERY };

/* What the next write means. */
enum cfi_writes {
	CFI_WRITES_COMMAND,
	CFI_WRITES_WORD,
	CFI_WRITES_COUNT,
	CFI_WRITES_BUFFER,
	CFI_WRITES_BUFFER_CONFIRM,
	CFI_WRITES_ERASE_CONFIRM,
	CFI_WRITES_LOCK,
};

struct cfi_flash {
	const char *path;
	struct bus *bus;
	struct io_region *region;
	struct memory *mem;
	uint64_t base, size;
	bool readonly;

	pthread_mutex_t lock; /* protects all below */
	uint8_t *bytes;	      /* the file's */
	int slot;	      /* while the guest sees `bytes` directly; -1 otherwise */
	bool dirty;	      /* programmed, but perhaps not on the disk yet */
	enum cfi_reads reads;
	enum cfi_writes writes;
	uint8_t status;
	uint8_t *locked; /* of each block */

	/* A buffered program: bytes still to come, where the first one goes, what is there so far. */
	unsigned int buffer_left, buffer_size;
	bool buffer_placed;
	uint64_t buffer_block, buffer_base;
	uint8_t buffer[CFI_BUFFER_SIZE];
};

/* --- array mode: the guest reads memory --- */

static void cfi_show_array(struct cfi_flash *flash)
{
	if (flash->dirty) {
		/* Only now may the guest count on it. */
		if (msync(flash->bytes, flash->size, MS_SYNC) < 0)
			log_guest("flash %s: %m", flash->path);
		flash->dirty = false;
	}
	flash->reads = CFI_READS_ARRAY;
	if (flash->slot < 0) /* if it fails, every read comes to cfi_read() */
		flash->slot = memory_map_slot(flash->mem, flash->base, flash->size, flash->bytes,
					      KVM_MEM_READONLY);
}

static void cfi_set_reads(struct cfi_flash *flash, enum cfi_reads reads)
{
	if (reads == CFI_READS_ARRAY) {
		cfi_show_array(flash);
		return;
	}
	flash->reads = reads;
	if (flash->slot >= 0)
		memory_unmap_slot(flash->mem, flash->slot);
	flash->slot = -1;
}

/* --- reads: what one chip answers at a word's address --- */

static uint16_t cfi_id_word(const struct cfi_flash *flash, uint64_t word)
{
	const uint64_t block_words = CFI_FLASH_BLOCK / CFI_WIDTH;

	switch (word % block_words) {
	case 0:
		return CFI_MANUFACTURER;
	case 1:
		return CFI_DEVICE;
	case 2:
		return flash->locked[word / block_words];
	default:
		return 0;
	}
}

/* JESD68.01 table 1, and Intel's extended query from word 0x31. */
static uint16_t cfi_query_word(const struct cfi_flash *flash, uint64_t word)
{
	const uint32_t nr_blocks = flash->size / CFI_FLASH_BLOCK;
	const uint32_t block_units = CFI_FLASH_BLOCK / CFI_NR_CHIPS / 256;
	const uint8_t table[] = {
		[0x10] = 'Q',
		[0x11] = 'R',
		[0x12] = 'Y',
		[0x13] = 0x01, /* Intel's extended command set */
		[0x15] = 0x31, /* where its table is */
		[0x1b] = 0x45,
		[0x1c] = 0x55, /* 4.5 to 5.5 V */
		[0x1f] = 1,
		[0x20] = 1,
		[0x21] = 1, /* 2 us a word, a buffer; 2 ms a block */
		[0x23] = 1,
		[0x24] = 1,
		[0x25] = 1, /* at most twice that */
		[0x27] = __builtin_ctzll(flash->size / CFI_NR_CHIPS),
		[0x28] = 1, /* 16 bits wide */
		[0x2a] = CFI_BUFFER_SHIFT - 1,
		[0x2c] = 1, /* region of blocks that have the same size: */
		[0x2d] = (nr_blocks - 1) & 0xff,
		[0x2e] = (nr_blocks - 1) >> 8,
		[0x2f] = block_units & 0xff,
		[0x30] = block_units >> 8,
		[0x31] = 'P',
		[0x32] = 'R',
		[0x33] = 'I',
		[0x34] = '1',
		[0x35] = '0',
		[0x36] = 0x20, /* blocks can be locked one by one */
		[0x3b] = 0x01, /* and say so in their lock word's bit 0 */
		[0x3d] = 0x50,
		[0x3e] = 0x00, /* 5.0 V; no other voltage is needed to program */
	};

	return word < sizeof(table) ? table[word] : 0;
}

static uint16_t cfi_word(const struct cfi_flash *flash, uint64_t word)
{
	switch (flash->reads) {
	case CFI_READS_ID:
		return cfi_id_word(flash, word);
	case CFI_READS_QUERY:
		return cfi_query_word(flash, word);
	default:
		return flash->status;
	}
}

static uint64_t cfi_read(void *dev, uint64_t off, unsigned int len)
{
	struct cfi_flash *flash = dev;
	uint64_t val = 0;

	pthread_mutex_lock(&flash->lock);
	for (unsigned int i = len; i-- > 0;) {
		uint64_t at = off + i;
		uint8_t byte = flash->bytes[at];

		if (flash->reads != CFI_READS_ARRAY)
			byte = cfi_word(flash, at / CFI_WIDTH) >> (at % 2 ? 8 : 0);
		val = val << 8 | byte;
	}
	pthread_mutex_unlock(&flash->lock);
	return val;
}

/* --- writes --- */

static bool cfi_block_locked(struct cfi_flash *flash, uint64_t off)
{
	if (!flash->locked[off / CFI_FLASH_BLOCK])
		return false;
	flash->status |= CFI_STATUS_LOCKED;
	return true;
}

/* Programming can only clear bits. */
static void cfi_program(struct cfi_flash *flash, uint64_t off, const uint8_t *from, uint64_t len)
{
	/* A word that is not aligned may end in another block. */
	if (cfi_block_locked(flash, off) || cfi_block_locked(flash, off + len - 1)) {
		flash->status |= CFI_STATUS_PROGRAM;
		return;
	}
	for (uint64_t i = 0; i < len; i++)
		flash->bytes[off + i] &= from[i];
	flash->dirty = true;
}

static void cfi_erase(struct cfi_flash *flash, uint64_t off)
{
	if (cfi_block_locked(flash, off)) {
		flash->status |= CFI_STATUS_ERASE;
		return;
	}
	memset(flash->bytes + ALIGN_DOWN(off, CFI_FLASH_BLOCK), 0xff, CFI_FLASH_BLOCK);
	flash->dirty = true;
}

static void cfi_bad_sequence(struct cfi_flash *flash)
{
	flash->status |= CFI_STATUS_PROGRAM | CFI_STATUS_ERASE;
	flash->writes = CFI_WRITES_COMMAND;
}

/* How many words each chip gets, less one. */
static void cfi_buffer_begin(struct cfi_flash *flash, uint64_t off, uint16_t count)
{
	flash->buffer_size = (count + 1u) * CFI_WIDTH;
	if (flash->buffer_size > CFI_BUFFER_SIZE) {
		cfi_bad_sequence(flash);
		return;
	}
	flash->buffer_left = flash->buffer_size;
	flash->buffer_placed = false;
	flash->buffer_block = off / CFI_FLASH_BLOCK;
	memset(flash->buffer, 0xff, sizeof(flash->buffer));
	flash->writes = CFI_WRITES_BUFFER;
}

static void cfi_buffer_add(struct cfi_flash *flash, uint64_t off, unsigned int len, uint64_t val)
{
	uint64_t block = flash->buffer_block * CFI_FLASH_BLOCK;

	if (!flash->buffer_placed) {
		flash->buffer_base = off;
		flash->buffer_placed = true;
		if (!range_contains(block, CFI_FLASH_BLOCK, off, flash->buffer_size)) {
			cfi_bad_sequence(flash);
			return;
		}
	}
	if (!range_contains(flash->buffer_base, flash->buffer_size, off, len) ||
	    len > flash->buffer_left) {
		cfi_bad_sequence(flash);
		return;
	}
	le_store(flash->buffer + (off - flash->buffer_base), len, val);
	flash->buffer_left -= len;
	if (!flash->buffer_left)
		flash->writes = CFI_WRITES_BUFFER_CONFIRM;
}

static void cfi_command(struct cfi_flash *flash, uint8_t command)
{
	enum cfi_reads reads = CFI_READS_STATUS;

	switch (command) {
	case CFI_READ_ARRAY:
		reads = CFI_READS_ARRAY;
		break;
	case CFI_READ_ID:
		reads = CFI_READS_ID;
		break;
	case CFI_READ_QUERY:
		reads = CFI_READS_QUERY;
		break;
	case CFI_CLEAR_STATUS:
		flash->status = CFI_STATUS_READY;
		return;
	case CFI_PROGRAM:
	case CFI_PROGRAM_ALT:
		flash->writes = CFI_WRITES_WORD;
		break;
	case CFI_BUFFER_PROGRAM:
		flash->writes = CFI_WRITES_COUNT;
		break;
	case CFI_ERASE:
		flash->writes = CFI_WRITES_ERASE_CONFIRM;
		break;
	case CFI_LOCK:
		flash->writes = CFI_WRITES_LOCK;
		break;
	default: /* status, and suspending or resuming what takes no time here */
		break;
	}
	cfi_set_reads(flash, reads);
}

static void cfi_set_lock(struct cfi_flash *flash, uint64_t off, uint8_t command)
{
	uint8_t *locked = &flash->locked[off / CFI_FLASH_BLOCK];

	if (command == CFI_CONFIRM)
		*locked = flash->readonly;
	else if (command == CFI_LOCK_SET)
		*locked = 1;
	else
		cfi_bad_sequence(flash);
}

static void cfi_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct cfi_flash *flash = dev;
	enum cfi_writes writes;
	uint8_t bytes[8];

	pthread_mutex_lock(&flash->lock);
	writes = flash->writes;
	flash->writes = CFI_WRITES_COMMAND;
	switch (writes) {
	case CFI_WRITES_COMMAND:
		cfi_command(flash, val);
		break;
	case CFI_WRITES_WORD:
		le_store(bytes, len, val);
		cfi_program(flash, off, bytes, len);
		break;
	case CFI_WRITES_COUNT:
		cfi_buffer_begin(flash, off, val);
		break;
	case CFI_WRITES_BUFFER:
		flash->writes = CFI_WRITES_BUFFER;
		cfi_buffer_add(flash, off, len, val);
		break;
	case CFI_WRITES_BUFFER_CONFIRM:
		if ((uint8_t)val == CFI_CONFIRM)
			cfi_program(flash, flash->buffer_base, flash->buffer, flash->buffer_size);
		else
			cfi_bad_sequence(flash);
		break;
	case CFI_WRITES_ERASE_CONFIRM:
		if ((uint8_t)val == CFI_CONFIRM)
			cfi_erase(flash, off);
		else
			cfi_bad_sequence(flash);
		break;
	case CFI_WRITES_LOCK:
		cfi_set_lock(flash, off, val);
		break;
	}
	pthread_mutex_unlock(&flash->lock);
}

static const struct io_ops cfi_ops = {.read = cfi_read, .write = cfi_write};

/* --- birth and death --- */

static int cfi_file_check(struct cfi_file *file, uint64_t max_size)
{
	struct stat st;

	if (file->fd < 0 || fstat(file->fd, &st) < 0) {
		log_error("flash %s: %m", file->path);
		return -errno;
	}
	if (!S_ISREG(st.st_mode)) {
		log_error("flash %s: not a regular file", file->path);
		return -EINVAL;
	}
	file->size = st.st_size;
	if (is_power_of_two(file->size) && file->size >= CFI_FLASH_BLOCK && file->size <= max_size)
		return 0;
	log_error("flash %s: %" PRIu64 " bytes; must be a power of two from %u KiB to %" PRIu64
		  " MiB (truncate -s)",
		  file->path, file->size, CFI_FLASH_BLOCK / 1024, (uint64_t)(max_size / MIB));
	return -EINVAL;
}

int cfi_file_open(struct cfi_file *file, const char *path, uint64_t max_size)
{
	*file = (struct cfi_file){.path = path};
	file->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (file->fd < 0 && (errno == EACCES || errno == EROFS || errno == EPERM)) {
		file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		file->readonly = true;
	}
	return cfi_file_check(file, max_size);
}

void cfi_file_close(struct cfi_file *file)
{
	if (file->path && file->fd >= 0)
		close(file->fd);
	file->path = NULL;
}

static int cfi_map(struct cfi_flash *flash, int fd)
{
	flash->bytes = mmap(NULL, flash->size, PROT_READ | PROT_WRITE,
			    flash->readonly ? MAP_PRIVATE : MAP_SHARED, fd, 0);
	if (flash->bytes == MAP_FAILED) {
		flash->bytes = NULL;
		log_error("flash %s: %m", flash->path);
		return -errno;
	}
	flash->locked = calloc(flash->size / CFI_FLASH_BLOCK, 1);
	if (!flash->locked)
		return -ENOMEM;
	memset(flash->locked, flash->readonly, flash->size / CFI_FLASH_BLOCK);
	return 0;
}

struct cfi_flash *cfi_flash_create(struct bus *bus, struct memory *mem, uint64_t base,
				   const struct cfi_file *file)
{
	struct cfi_flash *flash = calloc(1, sizeof(*flash));

	if (!flash)
		return NULL;
	*flash = (struct cfi_flash){.path = file->path,
				    .bus = bus,
				    .mem = mem,
				    .base = base,
				    .size = file->size,
				    .readonly = file->readonly,
				    .slot = -1,
				    .status = CFI_STATUS_READY};
	pthread_mutex_init(&flash->lock, NULL);
	if (cfi_map(flash, file->fd) < 0)
		goto err;
	flash->region = bus_insert(bus, "flash", base, flash->size, &cfi_ops, flash);
	if (!flash->region) {
		log_error("flash %s: at 0x%" PRIx64 ": %m", file->path, base);
		goto err;
	}
	cfi_show_array(flash);
	return flash;
err:
	cfi_flash_destroy(flash);
	return NULL;
}

void cfi_flash_destroy(struct cfi_flash *flash)
{
	bus_remove(flash->bus, flash->region);
	if (flash->slot >= 0)
		memory_unmap_slot(flash->mem, flash->slot);
	if (flash->bytes) {
		if (flash->dirty && msync(flash->bytes, flash->size, MS_SYNC) < 0)
			log_error("flash %s: %m", flash->path);
		munmap(flash->bytes, flash->size);
	}
	pthread_mutex_destroy(&flash->lock);
	free(flash->locked);
	free(flash);
}

uint64_t cfi_flash_size(const struct cfi_flash *flash)
{
	return flash->size;
}
