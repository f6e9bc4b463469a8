// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PCI configuration space, and what follows from it.
 *
 * A guest's write changes bytes under a mask; then pci_sync_bars() makes the buses agree with the
 * bytes, whatever they were before. There is no other path by which a BAR comes, goes or moves, so
 * sizing, 64-bit pairs, decode bits and BARs that overlap for a while need no cases of their own.
 */
#include "kvm/pci.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/ioeventfd.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "pci-internal.h"

#define PCI_CAP_START 0x40
#define PCI_CAP_END   0x100

#define PCI_MULTIFUNCTION 0x80 /* in the Header Type register */

/* An eventfd that follows its BAR. */
struct pci_ioeventfd {
	unsigned int bar;
	uint64_t off;
	struct ioeventfd ev; /* ev.at: where KVM knows it, or PCI_BAR_NOT_DECODED */
	struct pci_ioeventfd *next;
};

static bool pci_bar_is_io(const struct pci_bar *bar)
{
	return bar->layout.type & PCI_BASE_ADDRESS_SPACE_IO;
}

static bool pci_bar_is_64(const struct pci_bar *bar)
{
	return !pci_bar_is_io(bar) && bar->layout.type & PCI_BASE_ADDRESS_MEM_TYPE_64;
}

static unsigned int pci_bar_reg(unsigned int bar)
{
	return PCI_BASE_ADDRESS_0 + 4 * bar;
}

/* --- BARs: from bytes to buses --- */

static void pci_ioeventfd_place(struct pci_function *fn, struct pci_ioeventfd *pe, uint64_t base)
{
	struct ioeventfd *ev = &pe->ev;
	int ret;

	if (ev->at != PCI_BAR_NOT_DECODED)
		ioeventfd_del(fn->pci->vm_fd, ev);
	ev->at = PCI_BAR_NOT_DECODED;
	if (base == PCI_BAR_NOT_DECODED)
		return;
	ev->at = base + pe->off;
	ret = ioeventfd_add(fn->pci->vm_fd, ev);
	if (ret == 0)
		return;
	/* The BAR's write handler does the same, only slower. */
	log_guest("%s: ioeventfd at 0x%" PRIx64 ": %s", fn->name, ev->at, strerror(-ret));
	ev->at = PCI_BAR_NOT_DECODED;
}

static void pci_bar_place(struct pci_function *fn, unsigned int nr, uint64_t base)
{
	struct pci_bar *bar = &fn->bar[nr];
	struct bus *bus = pci_bar_is_io(bar) ? fn->pci->ioport : fn->pci->mmio;

	if (base != PCI_BAR_NOT_DECODED && bar->layout.ops) {
		bar->region =
			bus_insert(bus, fn->name, base, bar->layout.size, bar->layout.ops, fn->dev);
		if (!bar->region) /* a platform device lives there: it was there first */
			return;
	} else if (base == PCI_BAR_NOT_DECODED) {
		bus_remove(bus, bar->region);
		bar->region = NULL;
	}
	bar->base = base;
	for (struct pci_ioeventfd *pe = fn->ioeventfds; pe; pe = pe->next)
		if (pe->bar == nr)
			pci_ioeventfd_place(fn, pe, base);
	if (bar->layout.moved)
		bar->layout.moved(fn->dev, nr, base);
}

/* Where the bytes say that the BAR decodes (PCI 3.0 §6.2.5.1). */
static uint64_t pci_bar_wanted(const struct pci_function *fn, unsigned int nr)
{
	const struct pci_bar *bar = &fn->bar[nr];
	uint16_t command = le_load(fn->bytes + PCI_COMMAND, 2);
	uint64_t base = le_load(fn->bytes + pci_bar_reg(nr), 4);

	if (!fn->pci->assigned ||
	    !(command & (pci_bar_is_io(bar) ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return PCI_BAR_NOT_DECODED;
	if (pci_bar_is_64(bar))
		base |= le_load(fn->bytes + pci_bar_reg(nr + 1), 4) << 32;
	base &= ~(bar->layout.size - 1);
	if (base + bar->layout.size - 1 < base)
		return PCI_BAR_NOT_DECODED;
	/* Ports are 16 bits wide here. */
	if (pci_bar_is_io(bar) && base + bar->layout.size > 0x10000)
		return PCI_BAR_NOT_DECODED;
	return base;
}

/* A BAR that is to decode, on its way through pci_sync_bars(). */
struct pci_claim {
	struct pci_function *fn;
	unsigned int nr;
	uint64_t base;
};

static bool pci_claims_overlap(const struct pci_claim *a, const struct pci_claim *b)
{
	const struct pci_bar *x = &a->fn->bar[a->nr], *y = &b->fn->bar[b->nr];

	return pci_bar_is_io(x) == pci_bar_is_io(y) &&
	       ranges_overlap(a->base, x->layout.size, b->base, y->layout.size);
}

/*
 * All BARs with the place that the bytes give them. Software lets BARs overlap for a moment while
 * it assigns them; then the lowest function and BAR number decodes and the others wait. That is a
 * rule on the bytes alone, so the order of writes leaves no trace.
 */
static unsigned int pci_collect_claims(struct pci *pci, struct pci_claim *claims)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(pci->fn); i++) {
		for (unsigned int b = 0; pci->fn[i] && b < PCI_NR_BARS; b++) {
			struct pci_claim claim = {.fn = pci->fn[i], .nr = b};

			if (!claim.fn->bar[b].layout.size)
				continue;
			claim.base = pci_bar_wanted(claim.fn, b);
			for (unsigned int c = 0; c < nr && claim.base != PCI_BAR_NOT_DECODED; c++)
				if (claims[c].base != PCI_BAR_NOT_DECODED &&
				    pci_claims_overlap(&claims[c], &claim))
					claim.base = PCI_BAR_NOT_DECODED;
			claims[nr++] = claim;
		}
	}
	return nr;
}

/* Makes the buses agree with configuration space. Idempotent. pci.lock is held. */
static void pci_sync_bars(struct pci *pci)
{
	struct pci_claim *claims = pci->claims;
	unsigned int nr = pci_collect_claims(pci, claims);

	/* First everybody leaves who has to, so that nobody finds a new place taken. */
	for (unsigned int i = 0; i < nr; i++) {
		struct pci_bar *bar = &claims[i].fn->bar[claims[i].nr];

		if (bar->base != PCI_BAR_NOT_DECODED && bar->base != claims[i].base)
			pci_bar_place(claims[i].fn, claims[i].nr, PCI_BAR_NOT_DECODED);
	}
	for (unsigned int i = 0; i < nr; i++)
		if (claims[i].fn->bar[claims[i].nr].base != claims[i].base)
			pci_bar_place(claims[i].fn, claims[i].nr, claims[i].base);
}

/* --- configuration accesses --- */

static bool pci_access_ok(uint64_t reg, unsigned int len)
{
	return len <= 4 && reg % len == 0;
}

static uint64_t pci_config_read(void *dev, uint64_t reg, unsigned int len)
{
	struct pci_function *fn = dev;

	if (!pci_access_ok(reg, len))
		return UINT64_MAX;
	if (fn->config_read)
		fn->config_read(fn->dev, reg, len);
	return pci_config_get(fn, reg, len);
}

static bool pci_touches(uint64_t reg, unsigned int len, unsigned int at, unsigned int size)
{
	return ranges_overlap(reg, len, at, size);
}

static void pci_config_write(void *dev, uint64_t reg, unsigned int len, uint64_t val)
{
	struct pci_function *fn = dev;
	struct pci *pci = fn->pci;

	if (!pci_access_ok(reg, len))
		return;
	pthread_mutex_lock(&pci->lock);
	for (unsigned int i = 0; i < len; i++, val >>= 8)
		fn->bytes[reg + i] = (fn->bytes[reg + i] & ~fn->mask[reg + i]) |
				     ((uint8_t)val & fn->mask[reg + i]);
	if (pci_touches(reg, len, PCI_COMMAND, 2) ||
	    pci_touches(reg, len, PCI_BASE_ADDRESS_0, 4 * PCI_NR_BARS))
		pci_sync_bars(pci);
	if (pci_touches(reg, len, PCI_COMMAND, 2))
		pci_intx_sync(fn);
	if (fn->msix && pci_touches(reg, len, fn->msix->cap + PCI_MSIX_FLAGS, 2))
		pci_msix_sync(fn);
	pthread_mutex_unlock(&pci->lock);
	if (fn->config_written)
		fn->config_written(fn->dev, reg, len);
}

static const struct io_ops pci_config_ops = {.read = pci_config_read, .write = pci_config_write};

uint32_t pci_config_get(struct pci_function *fn, unsigned int reg, unsigned int len)
{
	uint32_t val;

	pthread_mutex_lock(&fn->pci->lock);
	val = le_load(fn->bytes + reg, len);
	pthread_mutex_unlock(&fn->pci->lock);
	return val;
}

void pci_config_set(struct pci_function *fn, unsigned int reg, unsigned int len, uint32_t val)
{
	pthread_mutex_lock(&fn->pci->lock);
	le_store(fn->bytes + reg, len, val);
	pthread_mutex_unlock(&fn->pci->lock);
}

/* ECAM (PCIe 3.0 §7.2.2): the offset is the configuration bus's address. */
int pci_add_ecam(struct pci *pci, uint64_t gpa)
{
	if (bus_insert(pci->mmio, "pci-ecam", gpa, ARRAY_SIZE(pci->fn) * PCI_CFG_SIZE,
		       &bus_window_ops, &pci->config))
		return 0;
	log_error("PCI ECAM at 0x%" PRIx64 ": %m", gpa);
	return -errno;
}

/* Mechanism #1: the address register at 0xcf8 takes whole dwords only (PCI 3.0 §3.2.2.3.2). */
#define PCI_CF8_ENABLE (1u << 31)

static uint64_t pci_cf8_read(void *dev, uint64_t off, unsigned int len)
{
	struct pci *pci = dev;

	return off == 0 && len == 4 ? atomic_load(&pci->cf8) : UINT64_MAX;
}

static void pci_cf8_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct pci *pci = dev;

	if (off == 0 && len == 4)
		atomic_store(&pci->cf8, val);
}

static const struct io_ops pci_cf8_ops = {.read = pci_cf8_read, .write = pci_cf8_write};

/* bus:device.function and register, as the configuration bus counts. */
static uint64_t pci_cf8_target(uint32_t cf8, uint64_t off)
{
	return (uint64_t)(cf8 >> 8 & 0xffff) << 12 | (cf8 & 0xfc) | off;
}

static uint64_t pci_cfc_read(void *dev, uint64_t off, unsigned int len)
{
	struct pci *pci = dev;
	uint32_t cf8 = atomic_load(&pci->cf8);
	uint64_t val = UINT64_MAX;

	if (cf8 & PCI_CF8_ENABLE)
		bus_read(&pci->config, NULL, pci_cf8_target(cf8, off), len, &val);
	return val;
}

static void pci_cfc_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct pci *pci = dev;
	uint32_t cf8 = atomic_load(&pci->cf8);

	if (cf8 & PCI_CF8_ENABLE)
		bus_write(&pci->config, NULL, pci_cf8_target(cf8, off), len, val);
}

static const struct io_ops pci_cfc_ops = {.read = pci_cfc_read, .write = pci_cfc_write};

int pci_add_cf8(struct pci *pci)
{
	if (bus_insert(pci->ioport, "pci-cf8", 0xcf8, 4, &pci_cf8_ops, pci) &&
	    bus_insert(pci->ioport, "pci-cfc", 0xcfc, 4, &pci_cfc_ops, pci))
		return 0;
	log_error("PCI ports 0xcf8: %m");
	return -errno;
}

/* --- building a function --- */

void pci_set_writable(struct pci_function *fn, unsigned int reg, unsigned int len, uint32_t mask)
{
	le_store(fn->mask + reg, len, mask);
}

void pci_function_init(struct pci_function *fn, struct pci *pci, const char *name, void *dev,
		       const struct pci_id *id)
{
	*fn = (struct pci_function){.pci = pci, .name = name, .dev = dev, .cap_end = PCI_CAP_START};
	for (unsigned int i = 0; i < PCI_NR_BARS; i++)
		fn->bar[i].base = PCI_BAR_NOT_DECODED;

	le_store(fn->bytes + PCI_VENDOR_ID, 2, id->vendor);
	le_store(fn->bytes + PCI_DEVICE_ID, 2, id->device);
	le_store(fn->bytes + PCI_CLASS_REVISION, 4, id->class_code << 8 | id->revision);
	le_store(fn->bytes + PCI_SUBSYSTEM_VENDOR_ID, 2, id->subsystem_vendor);
	le_store(fn->bytes + PCI_SUBSYSTEM_ID, 2, id->subsystem);

	pci_set_writable(fn, PCI_COMMAND, 2,
			 PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
				 PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	pci_set_writable(fn, PCI_CACHE_LINE_SIZE, 1, 0xff);
	pci_set_writable(fn, PCI_LATENCY_TIMER, 1, 0xff);
	pci_set_writable(fn, PCI_INTERRUPT_LINE, 1, 0xff);
}

static int pci_check_layout(const struct pci_function *fn, unsigned int nr,
			    const struct pci_bar_layout *layout)
{
	bool io = layout->type & PCI_BASE_ADDRESS_SPACE_IO;
	bool wide = !io && layout->type & PCI_BASE_ADDRESS_MEM_TYPE_64;

	if (nr + wide >= PCI_NR_BARS || fn->bar[nr].layout.size ||
	    (nr && pci_bar_is_64(&fn->bar[nr - 1])))
		return -EINVAL;
	if (!is_power_of_two(layout->size) || layout->size < (io ? 4 : 16))
		return -EINVAL;
	if (layout->size > (io ? 256 : wide ? UINT64_C(1) << 62 : 2 * GIB))
		return -EINVAL;
	return 0;
}

int pci_add_bar(struct pci_function *fn, unsigned int nr, const struct pci_bar_layout *layout)
{
	uint64_t mask = ~(layout->size - 1);

	if (pci_check_layout(fn, nr, layout) < 0) {
		log_error("PCI %s: BAR %u of 0x%" PRIx64 " bytes, type 0x%x, makes no sense",
			  fn->name, nr, layout->size, layout->type);
		return -EINVAL;
	}
	fn->bar[nr].layout = *layout;
	le_store(fn->bytes + pci_bar_reg(nr), 4, layout->type);
	pci_set_writable(fn, pci_bar_reg(nr), 4, mask);
	if (pci_bar_is_64(&fn->bar[nr]))
		pci_set_writable(fn, pci_bar_reg(nr + 1), 4, mask >> 32);
	return 0;
}

int pci_add_capability(struct pci_function *fn, uint8_t id, const void *body, unsigned int len)
{
	unsigned int at = fn->cap_end;

	if (len < 2 || at + len > PCI_CAP_END) {
		log_error("PCI %s: no room for capability 0x%x", fn->name, id);
		return -ENOSPC;
	}
	if (body)
		memcpy(fn->bytes + at + 2, body, len - 2);
	fn->bytes[at + PCI_CAP_LIST_ID] = id;
	fn->bytes[fn->last_cap ? fn->last_cap + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST] = at;
	fn->bytes[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	fn->last_cap = at;
	fn->cap_end = ALIGN_UP(at + len, 4);
	return at;
}

int pci_add_ioeventfd(struct pci_function *fn, unsigned int bar, const struct ioeventfd *ev)
{
	struct pci_ioeventfd *pe = malloc(sizeof(*pe));

	if (!pe)
		return -ENOMEM;
	*pe = (struct pci_ioeventfd){.bar = bar, .off = ev->at, .ev = *ev, .next = fn->ioeventfds};
	pe->ev.io = pci_bar_is_io(&fn->bar[bar]);
	pe->ev.at = PCI_BAR_NOT_DECODED;
	fn->ioeventfds = pe;
	return 0;
}

/* --- placing a function --- */

static int pci_choose_bdf(struct pci_function *fn, int bdf)
{
	struct pci *pci = fn->pci;

	if (bdf >= 0) {
		if (bdf < (int)ARRAY_SIZE(pci->fn) && !pci->fn[bdf])
			return bdf;
		log_error("PCI %s: 00:%02x.%x is taken", fn->name, (unsigned)bdf >> 3, bdf & 7);
		return -EBUSY;
	}
	for (bdf = PCI_BDF(1, 0); bdf < (int)ARRAY_SIZE(pci->fn); bdf += pci->crowded ? 1 : 8)
		if (!pci->fn[bdf])
			return bdf;
	/* More than was thought: the other functions of slots that have the first. */
	for (bdf = PCI_BDF(1, 0); bdf < (int)ARRAY_SIZE(pci->fn); bdf++)
		if (!pci->fn[bdf])
			return bdf;
	log_error("PCI %s: all %d slots are taken", fn->name, PCI_MAX_SLOTS);
	return -ENOSPC;
}

/* Software looks at functions 1 to 7 only when function 0 says that they may exist. */
static void pci_mark_multifunction(struct pci *pci, uint8_t bdf)
{
	struct pci_function *first = pci->fn[bdf & ~7];

	if (bdf & 7 && first)
		first->bytes[PCI_HEADER_TYPE] |= PCI_MULTIFUNCTION;
}

/* INTA# of every function; neighbours in slots use different lines (PCI 3.0 §2.2.6). */
static void pci_wire_intx(struct pci_function *fn)
{
	struct pci *pci = fn->pci;
	unsigned int line = (fn->bdf >> 3) % ARRAY_SIZE(pci->intx_gsi);

	fn->bytes[PCI_INTERRUPT_PIN] = 1;
	fn->bytes[PCI_INTERRUPT_LINE] = pci->intx_line[line];
	irq_line_init(&fn->intx, pci->irq, pci->intx_gsi[line]);
}

int pci_function_add(struct pci_function *fn, int bdf)
{
	struct pci *pci = fn->pci;
	int ret = pci_choose_bdf(fn, bdf);

	if (ret < 0)
		return ret;
	fn->bdf = ret;
	if (fn != &pci->host_bridge)
		pci_wire_intx(fn);
	fn->config_region = bus_insert(&pci->config, fn->name, (uint64_t)fn->bdf << 12,
				       PCI_CFG_SIZE, &pci_config_ops, fn);
	if (!fn->config_region)
		return -errno;
	pthread_mutex_lock(&pci->lock);
	pci->fn[fn->bdf] = fn;
	fn->added = true;
	pci_mark_multifunction(pci, fn->bdf);
	pci_sync_bars(pci);
	pthread_mutex_unlock(&pci->lock);
	return 0;
}

void pci_function_remove(struct pci_function *fn)
{
	struct pci *pci = fn->pci;

	pthread_mutex_lock(&pci->lock);
	if (fn->added) {
		for (unsigned int i = 0; i < PCI_NR_BARS; i++)
			if (fn->bar[i].base != PCI_BAR_NOT_DECODED)
				pci_bar_place(fn, i, PCI_BAR_NOT_DECODED);
		fn->intx_asserted = false;
		pci_intx_sync(fn);
		pci->fn[fn->bdf] = NULL;
		fn->added = false;
		pci_sync_bars(pci); /* somebody may have waited for its place */
	}
	pthread_mutex_unlock(&pci->lock);
	bus_remove(&pci->config, fn->config_region);
	fn->config_region = NULL;

	while (fn->ioeventfds) {
		struct pci_ioeventfd *pe = fn->ioeventfds;

		fn->ioeventfds = pe->next;
		free(pe);
	}
	pci_msix_fini(fn);
}

/* --- addresses --- */

static int pci_compare_sizes(const void *a, const void *b)
{
	const struct pci_claim *x = a, *y = b;
	uint64_t x_size = x->fn->bar[x->nr].layout.size, y_size = y->fn->bar[y->nr].layout.size;

	if (x_size != y_size)
		return x_size > y_size ? -1 : 1;
	if (x->fn->bdf != y->fn->bdf)
		return (int)x->fn->bdf - (int)y->fn->bdf;
	return (int)x->nr - (int)y->nr;
}

/* Takes a BAR's place from the start of what is left of its window. */
static int pci_assign_bar(struct pci_function *fn, unsigned int nr, struct pci_window *left)
{
	uint64_t size = fn->bar[nr].layout.size, at = ALIGN_UP(left->base, size);

	if (at < left->base || !range_contains(left->base, left->size, at, size)) {
		log_error("PCI %s: no address space left for BAR %u of 0x%" PRIx64 " bytes",
			  fn->name, nr, size);
		return -ENOSPC;
	}
	left->size -= at + size - left->base;
	left->base = at + size;
	le_store(fn->bytes + pci_bar_reg(nr), 4, (uint32_t)at | fn->bar[nr].layout.type);
	if (pci_bar_is_64(&fn->bar[nr]))
		le_store(fn->bytes + pci_bar_reg(nr + 1), 4, at >> 32);
	return 0;
}

int pci_assign_bars(struct pci *pci)
{
	struct pci_window io = pci->io, mem32 = pci->mem32, mem64 = pci->mem64;
	unsigned int nr;
	int ret = 0;

	pthread_mutex_lock(&pci->lock);
	nr = pci_collect_claims(pci, pci->claims);
	qsort(pci->claims, nr, sizeof(pci->claims[0]), pci_compare_sizes);
	for (unsigned int i = 0; i < nr && ret == 0; i++) {
		const struct pci_claim *claim = &pci->claims[i];
		const struct pci_bar *bar = &claim->fn->bar[claim->nr];

		ret = pci_assign_bar(claim->fn, claim->nr,
				     pci_bar_is_io(bar)			     ? &io
				     : pci_bar_is_64(bar) && pci->mem64.size ? &mem64
									     : &mem32);
	}
	if (ret == 0) {
		pci->assigned = true;
		pci_sync_bars(pci);
	}
	pthread_mutex_unlock(&pci->lock);
	return ret;
}

int pci_init(struct pci *pci, struct bus *mmio, struct bus *ioport, struct irq_chip *irq, int vm_fd)
{
	const struct pci_id host_bridge = {
		/* Red Hat's generic PCIe host bridge, which guests know from elsewhere. */
		.vendor = 0x1b36,	    .device = 0x0008,	 .class_code = 0x060000,
		.subsystem_vendor = 0x1af4, .subsystem = 0x1100,
	};
	int ret;

	*pci = (struct pci){.mmio = mmio, .ioport = ioport, .irq = irq, .vm_fd = vm_fd};
	pci->claims = calloc(ARRAY_SIZE(pci->fn) * PCI_NR_BARS, sizeof(pci->claims[0]));
	if (!pci->claims)
		return -ENOMEM;
	ret = bus_init(&pci->config, "pci-config");
	if (ret < 0) {
		free(pci->claims);
		return ret;
	}
	pthread_mutex_init(&pci->lock, NULL);
	pci_function_init(&pci->host_bridge, pci, "pci-host", NULL, &host_bridge);
	ret = pci_function_add(&pci->host_bridge, PCI_BDF(0, 0));
	if (ret < 0)
		pci_fini(pci);
	return ret;
}

void pci_fini(struct pci *pci)
{
	pci_function_remove(&pci->host_bridge);
	pthread_mutex_destroy(&pci->lock);
	bus_fini(&pci->config);
	free(pci->claims);
}
