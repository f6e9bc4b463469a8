// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/virtq.c memory.c util/util.c util/log.c */
/*
 * Virtqueues under a fuzzer. The input is a script for a driver that is mostly right: it adds
 * well-formed chains, and now and then, as the script says, spoils a byte of the rings or of a
 * table, an index or a length. Whatever it does, what comes out of virtq_pop() must lie in RAM and
 * obey the limits, and at most the ring's size may be in flight.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "../unit/virtq-driver.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "script.h"

#define FUZZ_TABLES (DRV_GPA + 0x40000ull)

struct fuzz {
	struct drv_ram ram;
	struct drv_queue q;
	struct virtq *vq;
	struct virtq_chain *held[VIRTQ_MAX_SIZE];
	unsigned int nr_held;
	bool spoiled; /* the model driver cannot trust its rings any more */
};

static void fuzz_require(bool ok)
{
	if (!ok)
		abort();
}

static void fuzz_random_buf(struct script *s, struct drv_buf *buf)
{
	uint16_t where = script_take(s, 2);

	*buf = (struct drv_buf){DRV_DATA + (where & 0xfff) * 64, where >> 4 & 0xff};
	if (where >> 12 == 15) {
		buf->gpa = (uint64_t)script_take(s, 4) << 32;
		buf->gpa |= script_take(s, 4);
	}
	if (where >> 12 == 14)
		buf->len = script_take(s, 4);
}

/* A well-formed chain, whose buffers are in RAM but for one in 16. */
static void fuzz_add(struct fuzz *f, struct script *s)
{
	uint8_t shape = script_take(s, 1);
	unsigned int nr_out = shape & 3, nr_in = shape >> 2 & 3;
	struct drv_buf bufs[6];
	uint64_t table = 0;

	if (nr_out + nr_in == 0)
		nr_out = 1;
	for (unsigned int i = 0; i < nr_out + nr_in; i++)
		fuzz_random_buf(s, &bufs[i]);
	if (shape & 0x10 && f->q.cfg.indirect)
		table = FUZZ_TABLES + (shape >> 5) * 0x1000 + (shape >> 7);
	drv_add(&f->q, bufs, nr_out, nr_in, table);
	drv_wants_kick(&f->q);
}

/* One descriptor with any flags, made available next. */
static void fuzz_add_raw(struct fuzz *f, struct script *s)
{
	uint16_t at = script_take(s, 1), flags = script_take(s, 1), other = script_take(s, 1);
	struct drv_desc *d = drv_desc(&f->q, at % f->q.cfg.size);
	struct drv_buf buf;

	fuzz_random_buf(s, &buf);
	if (flags & DRV_F_INDIRECT && at & 0x80)
		buf = (struct drv_buf){FUZZ_TABLES, 16 * (other & 15)};
	*d = (struct drv_desc){.addr = buf.gpa, .len = buf.len};
	if (f->q.cfg.packed) {
		d->a = other;
		d->b = (flags & 0x7f) | (flags & 0x80 ? DRV_F_AVAIL : DRV_F_USED);
		return;
	}
	d->a = flags & 7;
	d->b = other;
	drv_store16(&f->q, f->q.cfg.driver + 4 + 2 * (f->q.avail % f->q.cfg.size), at & 0x7f);
	drv_store16(&f->q, f->q.cfg.driver + 2, ++f->q.avail);
}

static void fuzz_check(const struct fuzz *f, const struct virtq_chain *chain)
{
	const uint8_t *lo = f->ram.hva, *hi = lo + DRV_RAM_SIZE;
	uint64_t out = 0, in = 0;

	fuzz_require(chain->nr_out + chain->nr_in <= VIRTQ_MAX_SIZE);
	for (unsigned int i = 0; i < chain->nr_out + chain->nr_in; i++) {
		const uint8_t *base = chain->iov[i].iov_base;
		size_t len = chain->iov[i].iov_len;

		fuzz_require(len && base >= lo && base < hi && len <= (size_t)(hi - base));
		*(i < chain->nr_out ? &out : &in) += len;
	}
	fuzz_require(out == chain->out_len && in == chain->in_len && out + in <= 4 * GIB);
	fuzz_require(f->nr_held < f->q.cfg.size);
}

static void fuzz_pop(struct fuzz *f, struct script *s)
{
	struct virtq_chain *chain = virtq_chain_create();
	bool was_broken = virtq_broken(f->vq);
	int got = virtq_pop(f->vq, chain);

	fuzz_require(got == 0 || got == 1 || got == -EPROTO);
	fuzz_require(virtq_broken(f->vq) == (got < 0) && !(was_broken && got >= 0));
	if (got == 1) {
		fuzz_check(f, chain);
		if (script_take(s, 1) & 1) {
			f->held[f->nr_held++] = chain;
			return;
		}
		virtq_unpop(f->vq, chain);
	}
	virtq_chain_destroy(chain);
}

static void fuzz_push(struct fuzz *f, struct script *s)
{
	uint8_t how = script_take(s, 1);
	const struct virtq_chain *chains[8];
	uint32_t written[8];
	unsigned int nr = 0;

	while (nr < 1u + (how & 7) && f->nr_held) {
		unsigned int which = script_take(s, 1) % f->nr_held;

		chains[nr] = f->held[which];
		written[nr++] = MIN(f->held[which]->in_len, how);
		f->held[which] = f->held[--f->nr_held];
	}
	virtq_push_batch(f->vq, chains, written, nr);
	while (nr)
		virtq_chain_destroy((struct virtq_chain *)chains[--nr]);
	virtq_needs_signal(f->vq);
}

static void fuzz_collect(struct fuzz *f)
{
	uint32_t len;
	int id;

	while (drv_get_used(&f->q, &id, &len))
		fuzz_require(len <= UINT8_MAX);
}

/* One or two bytes anywhere in the rings or the tables. */
static void fuzz_spoil(struct fuzz *f, struct script *s)
{
	uint32_t how = script_take(s, 4);
	uint64_t areas[] = {f->q.cfg.desc, f->q.cfg.driver, f->q.cfg.device, FUZZ_TABLES};
	uint8_t *p = drv_ptr(&f->ram, areas[how >> 30] + (how >> 16 & 0xfff));

	p[0] ^= how;
	p[1] ^= how >> 8;
	f->spoiled = true;
}

static void fuzz_step(struct fuzz *f, struct script *s)
{
	uint8_t op = script_take(s, 1);

	switch (op % 16) {
	case 0 ... 4:
		if (f->spoiled)
			fuzz_add_raw(f, s);
		else
			fuzz_add(f, s);
		break;
	case 5 ... 8:
		fuzz_pop(f, s);
		break;
	case 9 ... 10:
		fuzz_push(f, s);
		break;
	case 11:
		if (!f->spoiled)
			fuzz_collect(f);
		break;
	case 12:
		virtq_disable_kicks(f->vq);
		break;
	case 13:
		virtq_enable_kicks(f->vq);
		break;
	case 14:
		drv_enable_interrupts(&f->q, op >> 4);
		break;
	case 15:
		fuzz_spoil(f, s);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	uint8_t kind = script_take(&s, 1);
	struct virtq_config cfg = {
		.size = 1 << (kind >> 4 & 7),
		.packed = kind & 1,
		.event_idx = kind & 2,
		.indirect = kind & 4,
	};
	static struct fuzz *f; /* so much memory, for so many inputs */

	log_set_level(LOG_LEVEL_ERROR);
	if (!f) {
		f = calloc(1, sizeof(*f));
		drv_ram_init(&f->ram);
	}
	f->spoiled = false;
	if (cfg.packed)
		cfg.size += kind >> 7;
	memset(drv_ptr(&f->ram, FUZZ_TABLES), 0, 0x9000);
	drv_queue_init(&f->q, &f->ram, 0, &cfg);
	f->vq = virtq_create(&f->ram.mem, &f->q.cfg);
	while (s.left)
		fuzz_step(f, &s);
	while (f->nr_held)
		virtq_chain_destroy(f->held[--f->nr_held]);
	virtq_destroy(f->vq);
	return 0;
}
