// SPDX-License-Identifier: GPL-2.0-or-later
/* Configuration space: two doors, holes, sizing, and bytes that are not for the guest to write. */
#include "pci.h"

static void test_host_bridge(void)
{
	ok(pci_exists(0), "host bridge at 00:00.0");
	ok(pci_read32(0, PCI_CLASS_REV) >> 16 == 0x0600, "its class is host bridge");
}

static void test_doors(uint8_t bdf)
{
	unsigned int differ = 0;

	for (unsigned int reg = 0; reg < 256; reg += 4)
		differ += pci_read32(bdf, reg) != cf8_read(bdf, reg, 4);
	ok(!differ, "%02x.%x: both doors agree", bdf >> 3, bdf & 7);
	differ = 0;
	for (unsigned int reg = 0; reg < 64; reg++) {
		uint32_t whole = pci_read32(bdf, reg & ~3u) >> 8 * (reg & 3);

		differ += pci_read8(bdf, reg) != (whole & 0xff);
		differ += cf8_read(bdf, reg, 1) != (whole & 0xff);
		if (reg % 2)
			continue;
		differ += pci_read16(bdf, reg) != (whole & 0xffff);
		differ += cf8_read(bdf, reg, 2) != (whole & 0xffff);
	}
	ok(!differ, "%02x.%x: bytes and words are parts of dwords", bdf >> 3, bdf & 7);
}

static void test_holes(void)
{
	unsigned int answered = 0, scanned = 0;

	for (unsigned int bdf = 0; bdf < 256; bdf++) {
		if (pci_exists(bdf))
			continue;
		scanned++;
		for (unsigned int reg = 0; reg < 64; reg += 4) {
			answered += pci_read32(bdf, reg) != ~0u;
			answered += cf8_read(bdf, reg, 4) != ~0u;
		}
		pci_write32(bdf, PCI_COMMAND, 7);
		cf8_write(bdf, PCI_COMMAND, 2, 7);
	}
	ok(scanned && !answered, "%u absent functions read all ones", scanned);

	outl(0xcf8, 0); /* not enabled, though it points at the host bridge */
	ok(inl(0xcfc) == ~0u, "CF8 without its enable bit reads all ones");
	outl(0xcf8, 1u << 31);
	outb(0xcf8, 0x55); /* not for CF8: only dwords are */
	ok(inl(0xcf8) == 1u << 31, "a byte to CF8 leaves it alone");
	outl(0xcf8, 1u << 31 | 5 << 16);
	ok(inl(0xcfc) == ~0u, "bus 5 reads all ones");
}

/* What a device is must stay; the command register's undefined bits, too. */
static void test_read_only(uint8_t bdf)
{
	uint32_t id = pci_read32(bdf, PCI_VENDOR), rev = pci_read32(bdf, PCI_CLASS_REV);
	uint16_t command = pci_read16(bdf, PCI_COMMAND);
	unsigned int changed = 0, cap = 0;

	pci_write32(bdf, PCI_VENDOR, ~id);
	pci_write8(bdf, PCI_VENDOR, 0x55);
	pci_write32(bdf, PCI_CLASS_REV, ~rev);
	pci_write8(bdf, PCI_CAPABILITIES, 0);
	pci_write8(bdf, PCI_HEADER_TYPE, 0x7f);
	pci_write8(bdf, PCI_INT_PIN, 0x55);
	ok(pci_read32(bdf, PCI_VENDOR) == id && pci_read32(bdf, PCI_CLASS_REV) == rev &&
		   (pci_read8(bdf, PCI_HEADER_TYPE) & 0x7f) == 0 &&
		   pci_read8(bdf, PCI_INT_PIN) <= 4,
	   "%02x.%x: identity is read-only", bdf >> 3, bdf & 7);

	while ((cap = pci_find_capability(bdf, PCI_CAP_VENDOR, cap))) {
		uint32_t head = pci_read32(bdf, cap);

		if (pci_read8(bdf, cap + 3) == 5) /* a window to write into, by design */
			continue;
		pci_write32(bdf, cap, ~head);
		changed += pci_read32(bdf, cap) != head;
	}
	cap = pci_find_capability(bdf, PCI_CAP_MSIX, 0);
	if (cap) {
		uint32_t table = pci_read32(bdf, cap + 4), pba = pci_read32(bdf, cap + 8);

		pci_write32(bdf, cap + 4, ~table);
		pci_write32(bdf, cap + 8, ~pba);
		changed += pci_read32(bdf, cap + 4) != table || pci_read32(bdf, cap + 8) != pba;
		pci_write16(bdf, cap, 0);
		changed += pci_read8(bdf, cap) != PCI_CAP_MSIX;
	}
	ok(!changed, "%02x.%x: capabilities are read-only", bdf >> 3, bdf & 7);

	pci_write16(bdf, PCI_COMMAND, 0xffff);
	ok(!(pci_read16(bdf, PCI_COMMAND) & 0xf800), "%02x.%x: reserved command bits stay 0",
	   bdf >> 3, bdf & 7);
	pci_write16(bdf, PCI_COMMAND, command);
	pci_write8(bdf, PCI_INT_LINE, 0x5a);
	ok(pci_read8(bdf, PCI_INT_LINE) == 0x5a, "%02x.%x: the interrupt line is the guest's",
	   bdf >> 3, bdf & 7);
}

/* A neighbour of what is written keeps its value. */
static void test_widths(uint8_t bdf, unsigned int bar)
{
	unsigned int reg = PCI_BAR(bar);
	uint32_t old = pci_read32(bdf, reg);

	pci_write32(bdf, reg, 0xc0000000);
	pci_write8(bdf, reg + 2, 0x12);
	ok((pci_read32(bdf, reg) & ~15u) == 0xc0120000, "%02x.%x: a byte changes a byte", bdf >> 3,
	   bdf & 7);
	cf8_write(bdf, reg + 2, 2, 0xc034);
	ok((pci_read32(bdf, reg) & ~15u) == 0xc0340000, "%02x.%x: a word changes a word", bdf >> 3,
	   bdf & 7);
	pci_write32(bdf, reg, old);
}

static void test_bar(uint8_t bdf, unsigned int bar)
{
	uint16_t decode = bar_is_io(bdf, bar) ? PCI_COMMAND_IO : PCI_COMMAND_MEM;
	uint64_t addr = bar_get(bdf, bar), off_size, on_size;
	uint32_t before = 0, after = 0;

	pci_command(bdf, decode, 0);
	off_size = bar_size(bdf, bar);
	ok(off_size && !(off_size & (off_size - 1)), "%02x.%x: BAR %u has 0x%lx bytes%s%s",
	   bdf >> 3, bdf & 7, bar, off_size, bar_is_io(bdf, bar) ? ", I/O" : "",
	   bar_is_64(bdf, bar) ? ", 64-bit" : "");
	ok(!(addr & (off_size - 1)), "%02x.%x: BAR %u is aligned to its size", bdf >> 3, bdf & 7,
	   bar);
	if (!bar_is_io(bdf, bar))
		ok(read32(addr) == ~0u, "%02x.%x: BAR %u not decoded reads all ones", bdf >> 3,
		   bdf & 7, bar);

	pci_command(bdf, 0, decode);
	if (!bar_is_io(bdf, bar))
		before = read32(addr);
	on_size = bar_size(bdf, bar);
	if (!bar_is_io(bdf, bar))
		after = read32(addr);
	ok(on_size == off_size, "%02x.%x: BAR %u sizes the same with decode on", bdf >> 3, bdf & 7,
	   bar);
	ok(bar_get(bdf, bar) == addr && before == after, "%02x.%x: BAR %u is back after sizing",
	   bdf >> 3, bdf & 7, bar);
	if (!bar_is_io(bdf, bar)) {
		ok(after != ~0u, "%02x.%x: BAR %u decoded answers", bdf >> 3, bdf & 7, bar);
		test_widths(bdf, bar);
	}
}

static void test_bars(uint8_t bdf)
{
	for (unsigned int bar = 0; bar < 6; bar++) {
		if (!bar_exists(bdf, bar)) {
			ok(pci_read32(bdf, PCI_BAR(bar)) == 0, "%02x.%x: no BAR %u reads 0",
			   bdf >> 3, bdf & 7, bar);
			continue;
		}
		test_bar(bdf, bar);
		bar += bar_is_64(bdf, bar);
	}
}

void test(void)
{
	unsigned int nr = 0;

	test_host_bridge();
	test_holes();
	for (unsigned int bdf = 0; bdf < 256; bdf++) {
		if (!pci_exists(bdf))
			continue;
		nr++;
		if (bdf & 7)
			ok(pci_read8(bdf & ~7, PCI_HEADER_TYPE) & 0x80,
			   "%02x.0: says that there are more functions", bdf >> 3);
		test_doors(bdf);
		test_read_only(bdf);
		if (bdf)
			test_bars(bdf);
	}
	ok(nr == 1 + option("devices", 0), "%u functions", nr);
}
