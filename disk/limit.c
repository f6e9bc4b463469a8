// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/disk.h"
#include "kvm/util.h"

#define LIMIT_UNIT 1000 /* level is counted in thousandths */
#define LIMIT_SEC  1000000000ULL
#define LIMIT_MAX  (UINT64_C(1) << 40) /* units a second: more is no limit, and nothing overflows */

static int64_t limit_capacity(const struct disk_limit *limit)
{
	return MAX(limit->rate * LIMIT_UNIT / 10, LIMIT_UNIT);
}

void disk_limit_init(struct disk_limit *limit, uint64_t rate, uint64_t now)
{
	limit->rate = MIN(rate, LIMIT_MAX);
	limit->last_ns = now;
	limit->level = limit_capacity(limit);
}

uint64_t disk_limit_wait(struct disk_limit *limit, uint64_t now)
{
	uint64_t elapsed = now - limit->last_ns, missing;
	int64_t capacity = limit_capacity(limit);

	if (!limit->rate)
		return 0;
	/* A debt may take longer than a second to pay: whole seconds and the rest apart. */
	elapsed = MIN(elapsed, 1000 * LIMIT_SEC);
	if (elapsed / LIMIT_SEC)
		limit->level += (int64_t)(elapsed / LIMIT_SEC * limit->rate * LIMIT_UNIT);
	limit->level += (int64_t)((__uint128_t)(elapsed % LIMIT_SEC) * limit->rate * LIMIT_UNIT /
				  LIMIT_SEC);
	limit->level = MIN(limit->level, capacity);
	limit->last_ns = now;
	if (limit->level > 0)
		return 0;
	missing = 1 - limit->level;
	return (uint64_t)((__uint128_t)missing * LIMIT_SEC / (limit->rate * LIMIT_UNIT)) + 1;
}

void disk_limit_pay(struct disk_limit *limit, uint64_t units)
{
	if (limit->rate)
		limit->level -= (int64_t)MIN(units, LIMIT_MAX) * LIMIT_UNIT;
}
