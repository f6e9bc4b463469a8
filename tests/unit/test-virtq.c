// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/virtq.c memory.c util/util.c util/log.c */
/*
 * Virtqueues: random traffic against a model driver, checked byte by byte and event by event, and
 * a table of what hostile drivers do.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "kvm/log.h"
#include "kvm/util.h"
#include "virtq-driver.h"

/* --- random traffic --- */

#define STEPS	 20000
#define MAX_BUFS 6
#define SLOT	 0x1000ull /* guest bytes a chain's buffers have */
#define TABLES	 (DRV_GPA + 0x80000ull)

struct sent {
	bool used; /* by the driver: a chain is out */
	unsigned int nr_out, nr_in;
	uint64_t out_len, in_len;
	uint32_t written;
	uint8_t seed;
};

struct traffic {
	struct drv_ram ram;
	struct drv_queue *q;
	struct virtq *vq;
	struct sent sent[VIRTQ_MAX_SIZE]; /* by place of its buffers */
	int place_of_id[65536];
	struct virtq_chain *held[VIRTQ_MAX_SIZE];
	unsigned int nr_held, seed;
	uint64_t pushed, asked; /* entries or slots, ever; as of the last needs_signal */
	bool interrupts_on;
	bool kicks_on, kicks_off; /* what must be so; neither: anything goes */
	uint64_t event;
};

static unsigned int traffic_rand(struct traffic *t, unsigned int below)
{
	return rand_r(&t->seed) % below;
}

static uint64_t traffic_split_len(struct traffic *t, struct drv_buf *bufs, unsigned int nr,
				  uint64_t *gpa)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < nr; i++) {
		bufs[i] = (struct drv_buf){*gpa, traffic_rand(t, 8) ? 1 + traffic_rand(t, 300) : 0};
		*gpa += bufs[i].len;
		sum += bufs[i].len;
	}
	return sum;
}

static void traffic_add(struct traffic *t)
{
	unsigned int place = traffic_rand(t, t->q->cfg.size);
	uint64_t gpa = DRV_DATA + place * SLOT / 2;
	struct sent *s = &t->sent[place];
	struct drv_buf bufs[2 * MAX_BUFS];
	uint64_t table = 0;
	bool wanted;
	int id;

	if (s->used)
		return;
	s->nr_out = traffic_rand(t, MAX_BUFS / 2 + 1);
	s->nr_in = traffic_rand(t, MAX_BUFS / 2 + 1);
	if (!s->nr_out && !s->nr_in)
		s->nr_in = 1;
	s->seed = traffic_rand(t, 256);
	s->out_len = traffic_split_len(t, bufs, s->nr_out, &gpa);
	s->in_len = traffic_split_len(t, bufs + s->nr_out, s->nr_in, &gpa);
	for (uint64_t i = 0; i < s->out_len; i++)
		*(uint8_t *)drv_ptr(&t->ram, DRV_DATA + place * SLOT / 2 + i) = s->seed + i;
	if (t->q->cfg.indirect && traffic_rand(t, 2)) /* tables need no alignment */
		table = TABLES + place * 0x80 + place % 8;
	id = drv_add(t->q, bufs, s->nr_out, s->nr_in, table);
	if (id < 0)
		return;
	s->used = true;
	t->place_of_id[id] = place;
	wanted = drv_wants_kick(t->q);
	if (t->kicks_on)
		assert_true(wanted);
	if (t->kicks_off)
		assert_false(wanted);
	/* An event index asks once; a stale one may ask again, laps later. */
	t->kicks_on = t->kicks_on && !t->q->cfg.event_idx;
}

static void traffic_check_chain(struct traffic *t, const struct virtq_chain *chain)
{
	struct sent *s = &t->sent[t->place_of_id[chain->id]];
	uint8_t buf[4096];

	assert_true(s->used);
	assert_int_equal(chain->out_len, s->out_len);
	assert_int_equal(chain->in_len, s->in_len);
	assert_int_equal(virtq_chain_read(chain, 0, buf, sizeof(buf)), s->out_len);
	for (uint64_t i = 0; i < s->out_len; i++)
		assert_int_equal(buf[i], (uint8_t)(s->seed + i));
	/* A piece from the middle. */
	if (s->out_len > 10) {
		assert_int_equal(virtq_chain_read(chain, 7, buf, 3), 3);
		assert_int_equal(buf[2], (uint8_t)(s->seed + 9));
	}
	s->written = s->in_len ? traffic_rand(t, s->in_len + 1) : 0;
	for (uint32_t i = 0; i < s->written; i++)
		buf[i] = ~(s->seed + i);
	assert_int_equal(virtq_chain_write(chain, 0, buf, s->written), s->written);
}

static void traffic_pop(struct traffic *t)
{
	struct virtq_chain *chain = virtq_chain_create();
	int got = virtq_pop(t->vq, chain);

	assert_true(got >= 0);
	if (got && traffic_rand(t, 10) == 0) {
		virtq_unpop(t->vq, chain);
		got = 0;
	}
	if (!got) {
		virtq_chain_destroy(chain);
		return;
	}
	traffic_check_chain(t, chain);
	t->held[t->nr_held++] = chain;
}

static void traffic_push(struct traffic *t)
{
	const struct virtq_chain *chains[8];
	uint32_t written[8];
	unsigned int most = 1 + traffic_rand(t, 8), nr = MIN(most, t->nr_held);
	bool signal, expected, stale;

	for (unsigned int i = 0; i < nr; i++) {
		unsigned int which = traffic_rand(t, t->nr_held);

		chains[i] = t->held[which];
		t->held[which] = t->held[--t->nr_held];
		written[i] = t->sent[t->place_of_id[chains[i]->id]].written;
		t->pushed += t->q->cfg.packed ? chains[i]->nr_descs : 1;
	}
	if (nr == 1)
		virtq_push(t->vq, chains[0], written[0]);
	else
		virtq_push_batch(t->vq, chains, written, nr);
	for (unsigned int i = 0; i < nr; i++)
		virtq_chain_destroy((struct virtq_chain *)chains[i]);
	if (traffic_rand(t, 3) == 0) /* several pushes, one question */
		return;
	signal = virtq_needs_signal(t->vq);
	expected = t->interrupts_on && t->pushed != t->asked;
	if (t->q->cfg.event_idx)
		expected = expected && drv_event_passed(t->event, t->asked, t->pushed);
	/*
	 * One too many does no harm, and happens with stale events: split ones cannot be off,
	 * packed ones recur after laps, and look passed when a lap was pushed without asking.
	 */
	stale = t->q->cfg.event_idx && !t->q->cfg.packed && !t->interrupts_on;
	if (t->q->cfg.event_idx && t->q->cfg.packed && t->interrupts_on)
		stale = t->pushed > t->event + t->q->cfg.size ||
			t->pushed > t->asked + t->q->cfg.size;
	if (expected || !stale)
		assert_int_equal(signal, expected);
	t->asked = t->pushed;
}

static void traffic_collect(struct traffic *t)
{
	uint32_t len;
	int id;

	drv_disable_interrupts(t->q);
	t->interrupts_on = false;
	while (traffic_rand(t, 10) && drv_get_used(t->q, &id, &len)) {
		int place = t->place_of_id[id];
		struct sent *s = &t->sent[place];
		uint8_t *in = drv_ptr(&t->ram, DRV_DATA + place * SLOT / 2 + s->out_len);

		assert_true(s->used);
		assert_int_equal(len, s->written);
		for (uint32_t i = 0; i < len; i++)
			assert_int_equal(in[i], (uint8_t) ~(s->seed + i));
		s->used = false;
	}
	if (traffic_rand(t, 2)) {
		t->event = drv_enable_interrupts(t->q, traffic_rand(t, t->q->cfg.size));
		t->interrupts_on = true;
	}
}

static void traffic_kicks(struct traffic *t)
{
	if (traffic_rand(t, 2)) {
		virtq_disable_kicks(t->vq);
		t->kicks_on = false;
		t->kicks_off = t->q->cfg.packed || !t->q->cfg.event_idx;
	} else {
		uint64_t popped = t->pushed;

		for (unsigned int i = 0; i < t->nr_held; i++)
			popped += t->q->cfg.packed ? t->held[i]->nr_descs : 1;
		assert_int_equal(virtq_enable_kicks(t->vq), popped != t->q->added);
		t->kicks_on = popped == t->q->added || !t->q->cfg.event_idx;
		t->kicks_off = false;
	}
}

static void traffic_run(const struct virtq_config *cfg, unsigned int seed)
{
	struct traffic *t = calloc(1, sizeof(*t));

	drv_ram_init(&t->ram);
	t->q = malloc(sizeof(*t->q));
	t->seed = seed;
	drv_queue_init(t->q, &t->ram, 0, cfg);
	t->vq = virtq_create(&t->ram.mem, &t->q->cfg);
	assert_non_null(t->vq);
	drv_disable_interrupts(t->q);
	assert_false(virtq_enable_kicks(t->vq));
	t->kicks_on = true;
	for (unsigned int i = 0; i < STEPS; i++) {
		switch (traffic_rand(t, 8)) {
		case 0 ... 2:
			traffic_add(t);
			break;
		case 3 ... 4:
			traffic_pop(t);
			break;
		case 5:
			if (t->nr_held)
				traffic_push(t);
			break;
		case 6:
			traffic_collect(t);
			break;
		case 7:
			traffic_kicks(t);
			break;
		}
	}
	assert_false(virtq_broken(t->vq));
	assert_true(t->q->taken > STEPS / 100);
	while (t->nr_held)
		virtq_chain_destroy(t->held[--t->nr_held]);
	virtq_destroy(t->vq);
	drv_ram_fini(&t->ram);
	free(t->q);
	free(t);
}

static void test_traffic(void **state)
{
	static const uint16_t sizes[] = {2, 8, 64, 256, 1024, 7, 100};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes) * 8; i++) {
		struct virtq_config cfg = {
			.size = sizes[i / 8],
			.packed = i & 1,
			.event_idx = i & 2,
			.indirect = i & 4,
		};

		if (cfg.packed || is_power_of_two(cfg.size))
			traffic_run(&cfg, 1 + i);
	}
}

/* The 16-bit counters of a split ring wrap; nothing else happens. */
static void test_wraparound(void **state)
{
	struct virtq_config cfg = {.size = 4, .event_idx = true};
	struct virtq_chain *chain = virtq_chain_create();
	struct drv_queue *q = malloc(sizeof(*q));
	struct drv_buf buf = {DRV_DATA, 16};
	struct drv_ram ram;
	struct virtq *vq;

	(void)state;
	for (unsigned int packed = 0; packed < 2; packed++) {
		cfg.packed = packed;
		drv_ram_init(&ram);
		drv_queue_init(q, &ram, 0, &cfg);
		vq = virtq_create(&ram.mem, &q->cfg);
		for (unsigned int i = 0; i < 70000; i++) {
			uint32_t len;
			int id;

			drv_enable_interrupts(q, 0);
			assert_true(drv_add(q, &buf, 0, 1, 0) >= 0);
			assert_int_equal(virtq_pop(vq, chain), 1);
			assert_int_equal(virtq_pop(vq, chain), 0);
			assert_false(virtq_enable_kicks(vq));
			virtq_push(vq, chain, 3);
			assert_true(virtq_needs_signal(vq));
			assert_false(virtq_needs_signal(vq));
			assert_true(drv_get_used(q, &id, &len));
			assert_int_equal(len, 3);
			assert_false(drv_get_used(q, &id, &len));
		}
		virtq_destroy(vq);
		drv_ram_fini(&ram);
	}
	virtq_chain_destroy(chain);
	free(q);
}

/* --- set-up --- */

static void test_create(void **state)
{
	const struct virtq_config good = {.size = 256,
					  .desc = DRV_GPA,
					  .driver = DRV_GPA + 0x8000,
					  .device = DRV_GPA + 0xa000};
	struct virtq_config cfg;
	struct drv_ram ram;

	(void)state;
	drv_ram_init(&ram);

#define REFUSED(change)                                    \
	do {                                               \
		cfg = good;                                \
		change;                                    \
		errno = 0;                                 \
		assert_null(virtq_create(&ram.mem, &cfg)); \
		assert_int_equal(errno, EINVAL);           \
	} while (0)
#define TAKEN(change)                               \
	do {                                        \
		struct virtq *vq_;                  \
		cfg = good;                         \
		change;                             \
		vq_ = virtq_create(&ram.mem, &cfg); \
		assert_non_null(vq_);               \
		virtq_destroy(vq_);                 \
	} while (0)

	TAKEN((void)cfg);
	TAKEN(cfg.size = VIRTQ_MAX_SIZE);
	TAKEN(cfg.size = 1);
	TAKEN(cfg.packed = true; cfg.size = 100);
	REFUSED(cfg.size = 0);
	REFUSED(cfg.size = 100);
	REFUSED(cfg.size = 2048);
	REFUSED(cfg.packed = true; cfg.size = VIRTQ_MAX_SIZE + 1);
	REFUSED(cfg.desc = DRV_GPA + 8);
	REFUSED(cfg.driver |= 1);
	REFUSED(cfg.device |= 2);
	REFUSED(cfg.packed = true; cfg.driver |= 2);
	REFUSED(cfg.desc = 0);
	REFUSED(cfg.desc = DRV_GPA - 16);
	REFUSED(cfg.driver = DRV_GPA + DRV_RAM_SIZE);
	/* One byte too far, for each area. */
	TAKEN(cfg.desc = DRV_GPA + DRV_RAM_SIZE - 256 * 16);
	REFUSED(cfg.desc = DRV_GPA + DRV_RAM_SIZE - 255 * 16);
	TAKEN(cfg.driver = DRV_GPA + DRV_RAM_SIZE - (6 + 2 * 256));
	REFUSED(cfg.driver = DRV_GPA + DRV_RAM_SIZE - (4 + 2 * 256));
	TAKEN(cfg.device = DRV_GPA + DRV_RAM_SIZE - (8 + 8 * 256));
	REFUSED(cfg.device = DRV_GPA + DRV_RAM_SIZE - (4 + 8 * 256));
	REFUSED(cfg.desc = UINT64_MAX - 15);
	REFUSED(cfg.device = UINT64_MAX - 3);
	drv_ram_fini(&ram);
}

/* --- hostile drivers --- */

#define BAD_SIZE 8

struct bad {
	struct drv_ram ram;
	struct drv_queue *q;
	struct virtq *vq;
	struct virtq_chain *chain;
};

/* Puts descriptor i there raw: for split rings flags and next, for packed id and flags. */
static void bad_desc(struct bad *b, unsigned int i, uint64_t addr, uint32_t len, uint16_t flags,
		     uint16_t other)
{
	struct drv_desc *d = drv_desc(b->q, i);

	*d = (struct drv_desc){.addr = addr, .len = len};
	d->a = b->q->cfg.packed ? other : flags;
	d->b = b->q->cfg.packed ? flags | DRV_F_AVAIL : other;
}

static void bad_avail(struct bad *b, uint16_t idx, uint16_t head)
{
	drv_store16(b->q, b->q->cfg.driver + 4, head);
	drv_store16(b->q, b->q->cfg.driver + 2, idx);
}

static void bad_table(struct bad *b, unsigned int i, uint64_t addr, uint32_t len, uint16_t flags,
		      uint16_t next)
{
	struct drv_desc d = {.addr = addr, .len = len};

	d.a = b->q->cfg.packed ? next : flags;
	d.b = b->q->cfg.packed ? flags : next;
	memcpy(drv_ptr(&b->ram, TABLES + i * 16), &d, 16);
}

static void bad_loop_self(struct bad *b)
{
	bad_desc(b, 0, DRV_DATA, 8, DRV_F_NEXT, 0);
	bad_avail(b, 1, 0);
}

/* Nothing is added to the chain by empty buffers: the loop must be noticed all the same. */
static void bad_loop_empty(struct bad *b)
{
	bad_desc(b, 0, 0, 0, DRV_F_NEXT, 0);
	bad_avail(b, 1, 0);
}

static void bad_head(struct bad *b)
{
	bad_avail(b, 1, BAD_SIZE);
}

static void bad_next(struct bad *b)
{
	bad_desc(b, 0, DRV_DATA, 8, DRV_F_NEXT, BAD_SIZE);
	bad_avail(b, 1, 0);
}

static void bad_avail_jump(struct bad *b)
{
	bad_desc(b, 0, DRV_DATA, 8, 0, 0);
	bad_avail(b, BAD_SIZE + 1, 0);
}

static void bad_avail_back(struct bad *b)
{
	bad_desc(b, 0, DRV_DATA, 8, 0, 0);
	bad_avail(b, UINT16_MAX, 0);
}

static void bad_order(struct bad *b)
{
	bad_desc(b, 0, DRV_DATA, 8, DRV_F_NEXT | DRV_F_WRITE, 1);
	bad_desc(b, 1, DRV_DATA, 8, 0, 0);
	bad_avail(b, 1, 0);
}

static void bad_outside(struct bad *b)
{
	bad_desc(b, 0, 0x1000, 8, DRV_F_WRITE, 0);
	bad_avail(b, 1, 0);
}

static void bad_over_the_end(struct bad *b)
{
	bad_desc(b, 0, DRV_GPA + DRV_RAM_SIZE - 4, 5, DRV_F_WRITE, 0);
	bad_avail(b, 1, 0);
}

static void bad_wrapping(struct bad *b)
{
	bad_desc(b, 0, UINT64_MAX - 3, 8, 0, 0);
	bad_avail(b, 1, 0);
}

static void bad_indirect(struct bad *b, uint64_t at, uint32_t len, uint16_t flags)
{
	bad_desc(b, 0, at, len, DRV_F_INDIRECT | flags, 1);
	bad_avail(b, 1, 0);
}

static void bad_indirect_outside(struct bad *b)
{
	bad_indirect(b, 0x1000, 16, 0);
}

static void bad_indirect_wraps(struct bad *b)
{
	bad_indirect(b, UINT64_MAX - 15, 32, 0);
}

static void bad_indirect_empty(struct bad *b)
{
	bad_indirect(b, TABLES, 0, 0);
}

static void bad_indirect_odd(struct bad *b)
{
	bad_table(b, 0, DRV_DATA, 8, 0, 0);
	bad_indirect(b, TABLES, 17, 0);
}

static void bad_indirect_short(struct bad *b)
{
	bad_indirect(b, TABLES, 15, 0);
}

static void bad_indirect_next(struct bad *b)
{
	bad_table(b, 0, DRV_DATA, 8, 0, 0);
	bad_desc(b, 1, DRV_DATA, 8, 0, 0);
	bad_indirect(b, TABLES, 16, DRV_F_NEXT);
}

static void bad_indirect_write_then_read(struct bad *b)
{
	bad_table(b, 0, DRV_DATA, 8, DRV_F_WRITE | DRV_F_NEXT, 1);
	bad_table(b, 1, DRV_DATA, 8, 0, 0);
	bad_indirect(b, TABLES, 32, 0);
}

static void bad_indirect_nested(struct bad *b)
{
	bad_table(b, 0, TABLES, 16, DRV_F_INDIRECT, 0);
	bad_indirect(b, TABLES, 16, 0);
}

/* The table is the ring itself. */
static void bad_indirect_ring(struct bad *b)
{
	bad_indirect(b, b->q->cfg.desc, BAD_SIZE * 16, 0);
}

static void bad_indirect_out_of_table(struct bad *b)
{
	bad_table(b, 0, DRV_DATA, 8, DRV_F_NEXT, 2);
	bad_indirect(b, TABLES, 32, 0);
}

static void bad_indirect_loop(struct bad *b)
{
	bad_table(b, 0, DRV_DATA, 8, DRV_F_NEXT, 1);
	bad_table(b, 1, DRV_DATA, 8, DRV_F_NEXT, 0);
	bad_indirect(b, TABLES, 32, 0);
}

/* More buffers than any chain may have, in a table that is all in RAM. */
static void bad_indirect_huge(struct bad *b)
{
	for (unsigned int i = 0; i < VIRTQ_MAX_SIZE + 1; i++)
		bad_table(b, i, DRV_DATA, 1, i < VIRTQ_MAX_SIZE ? DRV_F_NEXT : 0, i + 1);
	bad_indirect(b, TABLES, (VIRTQ_MAX_SIZE + 1) * 16, 0);
}

/* All of RAM as a table of empty buffers: it must not take long either. */
static void bad_indirect_all_ram(struct bad *b)
{
	for (unsigned int i = 0; i < 2 * VIRTQ_MAX_SIZE; i++)
		bad_table(b, i, 0, 0, DRV_F_NEXT, i + 1);
	bad_indirect(b, TABLES, DRV_GPA + DRV_RAM_SIZE - TABLES, 0);
}

/* Chains of 4 GiB and a bit, of buffers that lie in RAM each. */
static void bad_total(struct bad *b)
{
	for (unsigned int i = 0; i < 1023; i++)
		bad_table(b, i, DRV_GPA, DRV_RAM_SIZE, i < 1022 ? DRV_F_NEXT : 0, i + 1);
	bad_desc(b, 0, DRV_GPA, DRV_RAM_SIZE, DRV_F_NEXT, 1);
	bad_desc(b, 1, DRV_GPA, 1, DRV_F_NEXT, 2);
	bad_desc(b, 2, TABLES, 1023 * 16, DRV_F_INDIRECT, 0);
	bad_avail(b, 1, 0);
}

static void bad_packed_endless(struct bad *b)
{
	for (unsigned int i = 0; i < BAD_SIZE; i++)
		bad_desc(b, i, DRV_DATA, 8, DRV_F_NEXT, i);
}

struct bad_case {
	const char *name;
	void (*make)(struct bad *b);
	bool packed, no_indirect;
	int result;
};

static const struct bad_case bad_cases[] = {
	{"descriptor loops to itself", bad_loop_self, false, false, -EPROTO},
	{"loop of empty buffers", bad_loop_empty, false, false, -EPROTO},
	{"head out of range", bad_head, false, false, -EPROTO},
	{"next out of range", bad_next, false, false, -EPROTO},
	{"avail idx jumps", bad_avail_jump, false, false, -EPROTO},
	{"avail idx runs back", bad_avail_back, false, false, -EPROTO},
	{"writable before readable", bad_order, false, false, -EPROTO},
	{"writable before readable", bad_order, true, false, -EPROTO},
	{"buffer outside RAM", bad_outside, false, false, -EPROTO},
	{"buffer outside RAM", bad_outside, true, false, -EPROTO},
	{"buffer over the end of RAM", bad_over_the_end, false, false, -EPROTO},
	{"buffer over the end of RAM", bad_over_the_end, true, false, -EPROTO},
	{"buffer wraps", bad_wrapping, false, false, -EPROTO},
	{"buffer wraps", bad_wrapping, true, false, -EPROTO},
	{"indirect outside RAM", bad_indirect_outside, false, false, -EPROTO},
	{"indirect outside RAM", bad_indirect_outside, true, false, -EPROTO},
	{"indirect wraps", bad_indirect_wraps, false, false, -EPROTO},
	{"indirect wraps", bad_indirect_wraps, true, false, -EPROTO},
	{"indirect of no length", bad_indirect_empty, false, false, -EPROTO},
	{"indirect of no length", bad_indirect_empty, true, false, -EPROTO},
	{"indirect of odd length", bad_indirect_odd, false, false, -EPROTO},
	{"indirect of odd length", bad_indirect_odd, true, false, -EPROTO},
	{"indirect of less than one", bad_indirect_short, true, false, -EPROTO},
	{"indirect with next", bad_indirect_next, false, false, -EPROTO},
	{"indirect with next", bad_indirect_next, true, false, -EPROTO},
	{"indirect: writable first", bad_indirect_write_then_read, false, false, -EPROTO},
	{"indirect: writable first", bad_indirect_write_then_read, true, false, -EPROTO},
	{"indirect nested", bad_indirect_nested, false, false, -EPROTO},
	/* Only WRITE means anything in a packed table: an ordinary buffer (§2.8.7). */
	{"indirect nested", bad_indirect_nested, true, false, 1},
	{"indirect is the ring", bad_indirect_ring, false, false, -EPROTO},
	{"indirect: next out of table", bad_indirect_out_of_table, false, false, -EPROTO},
	{"indirect loops", bad_indirect_loop, false, false, -EPROTO},
	{"indirect huge", bad_indirect_huge, false, false, -EPROTO},
	{"indirect huge", bad_indirect_huge, true, false, -EPROTO},
	{"indirect is all RAM", bad_indirect_all_ram, false, false, -EPROTO},
	{"indirect is all RAM", bad_indirect_all_ram, true, false, -EPROTO},
	{"indirect not negotiated", bad_indirect_short, false, true, -EPROTO},
	{"indirect not negotiated", bad_indirect_nested, true, true, -EPROTO},
	{"more than 4 GiB", bad_total, false, false, -EPROTO},
	{"more than 4 GiB", bad_total, true, false, -EPROTO},
	{"chain as long as the ring and longer", bad_packed_endless, true, false, -EPROTO},
};

static void bad_init(struct bad *b, const struct virtq_config *cfg)
{
	drv_ram_init(&b->ram);
	b->q = malloc(sizeof(*b->q));
	drv_queue_init(b->q, &b->ram, 0, cfg);
	b->chain = virtq_chain_create();
	b->vq = virtq_create(&b->ram.mem, &b->q->cfg);
	assert_non_null(b->vq);
}

static void bad_fini(struct bad *b)
{
	virtq_destroy(b->vq);
	virtq_chain_destroy(b->chain);
	free(b->q);
	drv_ram_fini(&b->ram);
}

static void test_hostile(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad_cases); i++) {
		const struct bad_case *c = &bad_cases[i];
		struct virtq_config cfg = {
			.size = BAD_SIZE, .packed = c->packed, .indirect = !c->no_indirect};
		struct bad b;
		int got;

		bad_init(&b, &cfg);
		c->make(&b);
		got = virtq_pop(b.vq, b.chain);
		if (got != c->result)
			fail_msg("%s (%s): %d", c->name, c->packed ? "packed" : "split", got);
		/* Then and ever after. */
		if (got < 0) {
			assert_true(virtq_broken(b.vq));
			assert_int_equal(virtq_pop(b.vq, b.chain), -EPROTO);
			assert_false(virtq_enable_kicks(b.vq));
		}
		bad_fini(&b);
	}
}

static void test_head_twice(void **state)
{
	struct virtq_config cfg = {.size = BAD_SIZE};
	struct bad b;

	(void)state;
	bad_init(&b, &cfg);
	bad_desc(&b, 3, DRV_DATA, 8, 0, 0);
	drv_store16(b.q, b.q->cfg.driver + 4, 3);
	drv_store16(b.q, b.q->cfg.driver + 6, 3);
	drv_store16(b.q, b.q->cfg.driver + 8, 3);
	drv_store16(b.q, b.q->cfg.driver + 2, 1);
	assert_int_equal(virtq_pop(b.vq, b.chain), 1);
	virtq_push(b.vq, b.chain, 0);
	drv_store16(b.q, b.q->cfg.driver + 2, 3);
	assert_int_equal(virtq_pop(b.vq, b.chain), 1);
	assert_int_equal(virtq_pop(b.vq, b.chain), -EPROTO);
	bad_fini(&b);
}

/* A packed ring made available again before any of it came back. */
static void test_packed_overcommit(void **state)
{
	struct virtq_config cfg = {.size = BAD_SIZE, .packed = true};
	struct bad b;

	(void)state;
	bad_init(&b, &cfg);
	for (unsigned int i = 0; i < BAD_SIZE; i++)
		bad_desc(&b, i, DRV_DATA, 8, 0, i);
	for (unsigned int i = 0; i < BAD_SIZE; i++)
		assert_int_equal(virtq_pop(b.vq, b.chain), 1);
	assert_int_equal(virtq_pop(b.vq, b.chain), 0);
	drv_desc(b.q, 0)->b = DRV_F_USED; /* available in the next lap */
	assert_int_equal(virtq_pop(b.vq, b.chain), -EPROTO);
	bad_fini(&b);
}

/* Empty buffers are legal and count for nothing; a chain may have nothing else. */
static void test_empty_buffers(void **state)
{
	(void)state;
	for (unsigned int packed = 0; packed < 2; packed++) {
		struct virtq_config cfg = {.size = BAD_SIZE, .packed = packed};
		struct drv_buf bufs[] = {{0, 0}, {DRV_DATA, 4}, {UINT64_MAX, 0}, {DRV_DATA, 5}};
		uint32_t len;
		struct bad b;
		int id;

		bad_init(&b, &cfg);
		assert_true(drv_add(b.q, bufs, 2, 2, 0) >= 0);
		assert_int_equal(virtq_pop(b.vq, b.chain), 1);
		assert_int_equal(b.chain->nr_out, 1);
		assert_int_equal(b.chain->nr_in, 1);
		assert_int_equal(b.chain->in_len, 5);
		virtq_push(b.vq, b.chain, 5);
		assert_true(drv_add(b.q, bufs, 1, 0, 0) >= 0);
		assert_int_equal(virtq_pop(b.vq, b.chain), 1);
		assert_int_equal(b.chain->nr_out + b.chain->nr_in, 0);
		virtq_push(b.vq, b.chain, 0);
		assert_true(drv_get_used(b.q, &id, &len));
		assert_int_equal(len, 5);
		assert_true(drv_get_used(b.q, &id, &len));
		bad_fini(&b);
	}
}

/* A chain that starts in the ring and ends in an indirect table (§2.7.5.3.2). */
static void test_chain_then_indirect(void **state)
{
	struct virtq_config cfg = {.size = BAD_SIZE, .indirect = true};
	struct bad b;

	(void)state;
	bad_init(&b, &cfg);
	bad_desc(&b, 0, DRV_DATA, 8, DRV_F_NEXT, 5);
	bad_desc(&b, 5, TABLES, 48, DRV_F_INDIRECT, 0);
	bad_table(&b, 0, DRV_DATA, 1, DRV_F_NEXT, 2);
	bad_table(&b, 2, DRV_DATA, 2, DRV_F_NEXT | DRV_F_WRITE, 1);
	bad_table(&b, 1, DRV_DATA, 3, DRV_F_WRITE, 0);
	bad_avail(&b, 1, 0);
	assert_int_equal(virtq_pop(b.vq, b.chain), 1);
	assert_int_equal(b.chain->out_len, 9);
	assert_int_equal(b.chain->in_len, 5);
	bad_fini(&b);
}

static void test_break(void **state)
{
	struct virtq_config cfg = {.size = BAD_SIZE};
	struct drv_buf buf = {DRV_DATA, 4};
	struct bad b;

	(void)state;
	bad_init(&b, &cfg);
	drv_add(b.q, &buf, 1, 0, 0);
	virtq_break(b.vq);
	assert_int_equal(virtq_pop(b.vq, b.chain), -EPROTO);
	bad_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_traffic),	      cmocka_unit_test(test_wraparound),
		cmocka_unit_test(test_create),	      cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_head_twice),    cmocka_unit_test(test_packed_overcommit),
		cmocka_unit_test(test_empty_buffers), cmocka_unit_test(test_chain_then_indirect),
		cmocka_unit_test(test_break),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
