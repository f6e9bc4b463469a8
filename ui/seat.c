// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/seat.h"

#include <errno.h>

#include "kvm/util.h"

enum seat_event { SEAT_KEY, SEAT_MOVE, SEAT_POINT };

void seat_init(struct seat *seat)
{
	*seat = (struct seat){0};
	pthread_mutex_init(&seat->lock, NULL);
}

void seat_fini(struct seat *seat)
{
	pthread_mutex_destroy(&seat->lock);
}

int seat_add(struct seat *seat, const struct seat_receiver *ops, void *dev)
{
	int ret = -ENOSPC;

	pthread_mutex_lock(&seat->lock);
	if (seat->nr < SEAT_MAX_RECEIVERS) {
		seat->receiver[seat->nr].ops = ops;
		seat->receiver[seat->nr++].dev = dev;
		ret = 0;
	}
	pthread_mutex_unlock(&seat->lock);
	return ret;
}

void seat_remove(struct seat *seat, void *dev)
{
	unsigned int left = 0;

	pthread_mutex_lock(&seat->lock);
	for (unsigned int i = 0; i < seat->nr; i++)
		if (seat->receiver[i].dev != dev)
			seat->receiver[left++] = seat->receiver[i];
	seat->nr = left;
	pthread_mutex_unlock(&seat->lock);
}

static bool seat_takes(const struct seat_receiver *ops, enum seat_event event)
{
	switch (event) {
	case SEAT_KEY:
		return ops->key;
	case SEAT_MOVE:
		return ops->move;
	case SEAT_POINT:
		return ops->point;
	}
	return false;
}

/* The receiver in use for such events, or NULL; *dev is its device. seat.lock is held. */
static const struct seat_receiver *seat_find(struct seat *seat, enum seat_event event, void **dev)
{
	for (unsigned int i = seat->nr; i-- > 0;) {
		const struct seat_receiver *ops = seat->receiver[i].ops;

		*dev = seat->receiver[i].dev;
		if (seat_takes(ops, event) && (!ops->ready || ops->ready(*dev)))
			return ops;
	}
	return NULL;
}

void seat_key(struct seat *seat, unsigned int code, bool down)
{
	const struct seat_receiver *ops;
	void *dev;

	pthread_mutex_lock(&seat->lock);
	ops = seat_find(seat, SEAT_KEY, &dev);
	if (ops)
		ops->key(dev, code, down);
	pthread_mutex_unlock(&seat->lock);
}

void seat_move(struct seat *seat, int dx, int dy, int dz, unsigned int buttons)
{
	const struct seat_receiver *ops;
	void *dev;

	pthread_mutex_lock(&seat->lock);
	ops = seat_find(seat, SEAT_MOVE, &dev);
	if (ops)
		ops->move(dev, dx, dy, dz, buttons);
	pthread_mutex_unlock(&seat->lock);
}

static unsigned int seat_axis(int at, int size)
{
	if (size < 2)
		return 0;
	return (uint64_t)MAX(MIN(at, size - 1), 0) * SEAT_MAX_AXIS / (unsigned int)(size - 1);
}

void seat_point(struct seat *seat, int x, int y, int width, int height, int dz,
		unsigned int buttons)
{
	const struct seat_receiver *ops;
	void *dev;

	pthread_mutex_lock(&seat->lock);
	ops = seat_find(seat, SEAT_POINT, &dev);
	if (ops) {
		ops->point(dev, seat_axis(x, width), seat_axis(y, height), dz, buttons);
	} else {
		ops = seat_find(seat, SEAT_MOVE, &dev);
		if (ops)
			ops->move(dev, x - seat->x, y - seat->y, dz, buttons);
	}
	seat->x = x;
	seat->y = y;
	pthread_mutex_unlock(&seat->lock);
}

bool seat_takes_points(struct seat *seat)
{
	bool takes;
	void *dev;

	pthread_mutex_lock(&seat->lock);
	takes = seat_find(seat, SEAT_POINT, &dev);
	pthread_mutex_unlock(&seat->lock);
	return takes;
}
