// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio-mmio, both versions (virtio 1.2 §4.2, §4.2.4): a driver that behaves, its interrupt, and
 * one that does not. `version=` on the command line says which version should be there.
 *
 * The device is the first one, or with `announced=N`, where the N words virtio_mmio.device= say that
 * devices are.
 */
#include "virtio.h"

#define VECTOR 0x40

static uint64_t base = 0xfeb00000;
static unsigned int pin = 6;

/* Registers. */
enum {
	MAGIC = 0x00,
	VERSION = 0x04,
	DEVICE_ID = 0x08,
	DEVICE_FEATURES = 0x10,
	DEVICE_FEATURES_SEL = 0x14,
	DRIVER_FEATURES = 0x20,
	DRIVER_FEATURES_SEL = 0x24,
	PAGE_SIZE = 0x28,
	QUEUE_SEL = 0x30,
	QUEUE_NUM_MAX = 0x34,
	QUEUE_NUM = 0x38,
	QUEUE_ALIGN = 0x3c,
	QUEUE_PFN = 0x40,
	QUEUE_READY = 0x44,
	QUEUE_NOTIFY = 0x50,
	INTERRUPT_STATUS = 0x60,
	INTERRUPT_ACK = 0x64,
	STATUS = 0x70,
	QUEUE_DESC = 0x80,
	QUEUE_DRIVER = 0x90,
	QUEUE_DEVICE = 0xa0,
	QUEUE_RESET = 0xc0,
	CONFIG = 0x100,
	SIZE = 0x200,
};

#define QUEUE_SIZE 8
#define PAGE	   4096

/* Laid out as version 1 has it, which version 2 does not mind. */
static struct {
	struct vring_desc desc[QUEUE_SIZE];
	struct {
		uint16_t flags, idx, ring[QUEUE_SIZE], used_event;
	} avail;
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[QUEUE_SIZE];
	} used __attribute__((aligned(PAGE)));
} ring __attribute__((aligned(PAGE)));

static uint8_t bytes[64];
static bool legacy;

static uint32_t r(unsigned int reg)
{
	return read32(base + reg);
}

static void w(unsigned int reg, uint32_t val)
{
	write32(base + reg, val);
}

static void set_area(unsigned int reg, const volatile void *at)
{
	w(reg, (uint64_t)at);
	w(reg + 4, (uint64_t)at >> 32);
}

static bool negotiate(void)
{
	w(STATUS, 0);
	w(STATUS, VIRTIO_ACKNOWLEDGE);
	w(STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	w(DRIVER_FEATURES_SEL, 0);
	w(DRIVER_FEATURES, 0);
	if (legacy)
		return true;
	w(DRIVER_FEATURES_SEL, 1);
	w(DRIVER_FEATURES, 1);
	w(STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
	return r(STATUS) & VIRTIO_FEATURES_OK;
}

static bool start(void)
{
	if (!negotiate())
		return false;
	memset(&ring, 0, sizeof(ring));
	w(QUEUE_SEL, 0);
	w(QUEUE_NUM, QUEUE_SIZE);
	if (legacy) {
		w(PAGE_SIZE, PAGE);
		w(QUEUE_ALIGN, PAGE);
		w(QUEUE_PFN, (uint64_t)&ring / PAGE);
	} else {
		set_area(QUEUE_DESC, ring.desc);
		set_area(QUEUE_DRIVER, &ring.avail);
		set_area(QUEUE_DEVICE, &ring.used);
		w(QUEUE_READY, 1);
	}
	w(STATUS, r(STATUS) | VIRTIO_DRIVER_OK);
	return !(r(STATUS) & VIRTIO_NEEDS_RESET);
}

static bool used(void *arg)
{
	(void)arg;
	return __atomic_load_n(&ring.used.idx, __ATOMIC_ACQUIRE) == ring.avail.idx;
}

/* 64 bytes of entropy. */
static bool request(void)
{
	uint16_t idx = ring.avail.idx;

	ring.desc[0] = (struct vring_desc){(uint64_t)bytes, sizeof(bytes), VRING_WRITE, 0};
	ring.avail.ring[idx % QUEUE_SIZE] = 0;
	__atomic_store_n(&ring.avail.idx, idx + 1, __ATOMIC_RELEASE);
	w(QUEUE_NOTIFY, 0);
	return wait_until(used, NULL, 2000000) && ring.used.ring[idx % QUEUE_SIZE].len == 64;
}

static bool works(void)
{
	return start() && request() && request();
}

static bool needs_reset(void *arg)
{
	(void)arg;
	return r(STATUS) & VIRTIO_NEEDS_RESET;
}

/* Interrupts with a reason; a level may come once more than it should (intx.c). */
static volatile uint32_t nr_acked;

static void acknowledge(void)
{
	uint32_t why = r(INTERRUPT_STATUS);

	nr_acked += why == 1;
	w(INTERRUPT_ACK, why);
}

static bool is_acked(void *n)
{
	return nr_acked == *(uint32_t *)n;
}

static void test_interrupt(void)
{
	bool all = true;

	exceptions_init();
	lapic_enable();
	irq_handler[VECTOR] = acknowledge;
	start(); /* which takes back what was raised and not acknowledged */
	ioapic_route(pin, VECTOR | IOAPIC_LEVEL);
	for (uint32_t i = 1; i <= 20; i++) {
		all = all && request();
		interrupts_on();
		all = all && wait_until(is_acked, &i, 2000000);
		interrupts_off();
	}
	ok(all, "an interrupt for each of 20 requests");
	ok(r(INTERRUPT_STATUS) == 0, "and nothing is left after the last");
	ioapic_route(pin, VECTOR | IOAPIC_LEVEL | IOAPIC_MASKED);
}

static void test_queues(void)
{
	static const uint32_t numbers[] = {1, 63, 64, 65535, 65536, 0x80000000, 0xffffffff};
	bool none = true;

	start();
	for (unsigned int i = 0; i < ARRAY_SIZE(numbers); i++) {
		w(QUEUE_SEL, numbers[i]);
		none = none && r(QUEUE_NUM_MAX) == 0;
		w(QUEUE_NUM, QUEUE_SIZE);
		w(QUEUE_ALIGN, PAGE);
		w(QUEUE_PFN, 1);
		set_area(QUEUE_DESC, &ring);
		w(QUEUE_READY, 1);
		w(QUEUE_READY, 0);
		w(QUEUE_RESET, 1);
		none = none && r(QUEUE_READY) == 0 && r(QUEUE_PFN) == 0;
		w(QUEUE_NOTIFY, numbers[i]);
	}
	ok(none, "queues that are not there read 0");
	ok(request() && !needs_reset(NULL), "and one that is there works on");
}

static void test_config(void)
{
	bool zero = true;

	for (unsigned int reg = CONFIG; reg < SIZE; reg++) {
		zero = zero && read8(base + reg) == 0;
		write8(base + reg, 0xff);
	}
	for (unsigned int reg = CONFIG; reg < SIZE; reg += 8) {
		zero = zero && read64(base + reg) == 0;
		write64(base + reg, ~0UL);
	}
	ok(zero, "configuration that is not there reads 0");
	ok(read32(base + SIZE) == 0xffffffff, "and behind it is nobody");
	write32(base + SIZE, 1);
}

static void test_registers(void)
{
	for (unsigned int reg = 0; reg < CONFIG; reg++) {
		read8(base + reg);
		write8(base + reg, 0xff);
		read16(base + reg);
		write16(base + reg, 0xffff);
		read32(base + reg);
		if (reg % 4)
			write32(base + reg, 0xffffffff);
		read64(base + reg);
		write64(base + reg, ~0UL);
	}
	for (unsigned int reg = 0; reg < CONFIG; reg += 4) {
		w(reg, 0xffffffff);
		w(reg, 0);
		w(reg, 1);
	}
	ok(r(MAGIC) == 0x74726976 && works(), "every register with every width");
}

static void test_bad_queues(void)
{
	static const struct {
		uint32_t page, num, pfn;
	} bad[] = {
		{PAGE, QUEUE_SIZE, 0x40000},
		{PAGE, QUEUE_SIZE, 0xffffffff},
		{0xffffffff, 8, 0xffffffff},
		{PAGE, QUEUE_SIZE, 0xfeb00000 / PAGE},
		{PAGE, 7, 0x200},
		{PAGE, 0, 0x200},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t at = (uint64_t)bad[i].page * bad[i].pfn;

		negotiate();
		w(QUEUE_SEL, 0);
		w(QUEUE_NUM, bad[i].num);
		w(PAGE_SIZE, bad[i].page);
		w(QUEUE_ALIGN, PAGE);
		w(QUEUE_PFN, bad[i].pfn);
		set_area(QUEUE_DESC, (void *)at);
		set_area(QUEUE_DRIVER, (void *)(at + PAGE));
		set_area(QUEUE_DEVICE, (void *)(at + 2 * PAGE));
		w(QUEUE_READY, 1);
		w(STATUS, r(STATUS) | VIRTIO_DRIVER_OK);
		ok(wait_until(needs_reset, NULL, 1000000), "a queue at %lx of %u: NEEDS_RESET", at,
		   bad[i].num);
		w(QUEUE_NOTIFY, 0);
		ok(works(), "after a reset it works");
	}
	start();
	ring.avail.idx += 1000;
	w(QUEUE_NOTIFY, 0);
	ok(wait_until(needs_reset, NULL, 1000000) && works(), "an index that jumps, likewise");
}

static unsigned int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

static uint64_t number(const char **at)
{
	unsigned int radix = strncmp(*at, "0x", 2) ? 10 : 16;
	uint64_t val = 0;

	for (*at += radix == 16 ? 2 : 0; digit(**at) < radix; (*at)++)
		val = val * radix + digit(**at);
	return val;
}

/* As Linux' driver reads them: virtio_mmio.device=SIZE@ADDRESS:INTERRUPT */
static void find_announced(void)
{
	static const char word[] = "virtio_mmio.device=";
	unsigned int nr = 0;

	for (const char *p = command_line; *p; p++) {
		const char *word_at = p;
		uint64_t size, at;

		if (strncmp(p, word, sizeof(word) - 1))
			continue;
		word_at += sizeof(word) - 1;
		size = number(&word_at);
		if (!ok(size == SIZE && *word_at++ == '@', "a size"))
			continue;
		at = number(&word_at);
		if (!ok(*word_at++ == ':' && read32(at + MAGIC) == 0x74726976, "and a place"))
			continue;
		nr++;
		if (read32(at + DEVICE_ID) != 4)
			continue;
		base = at;
		pin = number(&word_at);
	}
	ok(nr == option("announced", 0), "%u devices are announced; entropy at %lx, pin %u", nr,
	   base, pin);
}

void test(void)
{
	if (option("announced", 0))
		find_announced();
	if (!ok(r(MAGIC) == 0x74726976 && r(DEVICE_ID) == 4, "an entropy device"))
		return;
	legacy = r(VERSION) == 1;
	ok(r(VERSION) == option("version", 2), "of version %u", r(VERSION));
	w(DEVICE_FEATURES_SEL, 1);
	ok((r(DEVICE_FEATURES) & 1) == !legacy, "which says so in its features, too");
	ok(works(), "it works");
	test_interrupt();
	test_queues();
	test_config();
	test_registers();
	test_bad_queues();
}
