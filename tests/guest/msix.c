// SPDX-License-Identifier: GPL-2.0-or-later
/* MSI-X: a masked vector waits as a pending bit and fires when unmasked (PCI 3.0 §6.8.3). */
#include "virtio.h"

#define QUEUE_VECTOR	  1
#define COMMON_QUEUE_MSIX 0x1a

static struct virtio rng;
static struct msix msix;

static bool request(void)
{
	static uint8_t bytes[32];

	return rng_read(&rng, bytes, sizeof(bytes)) == sizeof(bytes);
}

static bool quiet(uint8_t vector, uint32_t count)
{
	return !irq_wait(vector, count + 1, 30000);
}

static void test_vector_mask(void)
{
	msix_set(&msix, QUEUE_VECTOR, 0x51);
	ok(request() && quiet(0x51, 0), "a masked vector does not fire");
	ok(msix_pending(&msix, QUEUE_VECTOR), "it is pending");
	msix_mask(&msix, QUEUE_VECTOR, false);
	ok(irq_wait(0x51, 1, 1000000), "and fires when unmasked");
	ok(!msix_pending(&msix, QUEUE_VECTOR), "then it is no longer pending");
	ok(quiet(0x51, 1), "and fires once");
	ok(request() && irq_wait(0x51, 2, 1000000), "an unmasked vector fires");
	ok(!msix_pending(&msix, QUEUE_VECTOR), "and is not pending");
}

static void test_function_mask(void)
{
	msix_control(&msix, true, true);
	ok(request() && quiet(0x51, 2), "a masked function does not fire");
	ok(msix_pending(&msix, QUEUE_VECTOR), "its vector is pending");
	msix_control(&msix, true, false);
	ok(irq_wait(0x51, 3, 1000000), "and fires when the function is unmasked");
	ok(!msix_pending(&msix, QUEUE_VECTOR), "then it is no longer pending");
}

static void test_reprogramming(void)
{
	msix_mask(&msix, QUEUE_VECTOR, true);
	ok(request() && quiet(0x51, 3), "masked again, it is silent");
	msix_set(&msix, QUEUE_VECTOR, 0x52);
	msix_mask(&msix, QUEUE_VECTOR, false);
	ok(irq_wait(0x52, 1, 1000000), "what was pending arrives where it is to go now");
	ok(irq_count[0x51] == 3, "and not where it went before");
	for (unsigned int vector = 0x60; vector < 0xa0; vector++) {
		msix_mask(&msix, QUEUE_VECTOR, true);
		msix_set(&msix, QUEUE_VECTOR, vector);
		msix_mask(&msix, QUEUE_VECTOR, false);
		if (request() && irq_wait(vector, 1, 1000000))
			continue;
		ok(false, "vector 0x%x fires", vector);
		return;
	}
	ok(true, "64 re-programmings, each of which fires");
}

static void test_table(void)
{
	uint64_t table = bar_get(rng.bdf, msix.table_bar) + msix.table_off;
	uint64_t pba = bar_get(rng.bdf, msix.pba_bar) + msix.pba_off;

	ok(read32(table + 12) == 1, "vectors are masked at first");
	write64(table, 0x1122334455667788);
	ok(read32(table) == 0x55667788 && read32(table + 4) == 0x11223344,
	   "64-bit writes are whole");
	ok(read64(table) == 0x1122334455667788, "and so are reads");
	write32(table + 12, ~0u);
	ok(read32(table + 12) == 1, "vector control has one bit");
	write64(pba, ~0UL);
	ok(read64(pba) == 0, "pending bits are read-only");
	write64(table, 0);
}

/* Vectors that are not there (virtio 1.2 §4.1.5.1.2.1), and none. */
static void test_queue_vector(void)
{
	uint64_t reg = virtio_reg(&rng, &rng.common, COMMON_QUEUE_MSIX);

	write16(reg, 0x7ff);
	ok(read16(reg) == VIRTIO_NO_VECTOR, "a vector that is not there is refused");
	ok(request(), "a queue without a vector works silently");
	write16(reg, QUEUE_VECTOR);
	ok(read16(reg) == QUEUE_VECTOR, "and gets it back");
}

void test(void)
{
	if (!ok(virtio_find(&rng, VIRTIO_RNG, 0) && msix_find(&msix, rng.bdf),
		"a device with MSI-X is there"))
		return;
	lapic_enable();
	test_table();
	ok(msix.nr_vectors >= 2, "it has %u vectors", msix.nr_vectors);
	msix_control(&msix, true, false);
	if (!ok(virtio_start(&rng, QUEUE_VECTOR), "it starts"))
		return;
	test_vector_mask();
	test_function_mask();
	test_reprogramming();
	test_queue_vector();
}
